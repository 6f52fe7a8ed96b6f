"""Exact recovery: Levenberg–Marquardt for clips that the generator made itself, and the signs by which it is told that
it made a clip.

A clip that has an exact answer gives itself away: the objective of a good prediction is far below that of silence, and
from anywhere Levenberg– Marquardt makes it fall several times over within a few iterations. For a real recording it
neither begins low nor falls.
"""

from dataclasses import dataclass

import numpy as np

from models.generator.generator import BATCH, generate
from models.metrics.metrics import snr_db
from models.recovery.levenberg_marquardt import WIDEST, minimise
from models.recovery.residual import Residual
from models.recovery.starts import random_starts

CONVERGED = 0.5e-10  # objective from which on Levenberg–Marquardt takes no more Jacobians: 100 dB
EXPLAINED = 0.1  # objective below which an exact answer seems to exist; silence has 0.5
PROMISING = 0.3  # objective of a start below which one may exist
MISSED_DB = 55.0  # SNR below which an exact answer was missed; a recording of 16 bits seldom allows less
LEAST_FALL = 0.2  # share by which the objective of a clip with an exact answer falls in two iterations, at least
NEARER = 0.15  # noise that Levenberg–Marquardt begins with at a prediction, whose error has this order
HOPS = 3  # of every four further tries, those that begin near the best answer so far; the fourth begins elsewhere
LANDING = 0.05  # noise at the beginning of a hop
FARTHEST = 0.4  # standard deviation of a hop along any direction, at most


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Exact recovery of every clip, by least squares on the waveform.

    max_iter: iterations of each start. restarts: how often, at most, a clip that is explained for the most part but not
    exactly yet is tried again, by the waveform alone, since magnitudes have minima of their own: three times by a hop
    from the best answer so far, then from half of a random latent vector; and so on. stft_share: weight of the STFT
    magnitudes in the residual, 0 to 1. give_up: a clip ends as soon as its objective stops falling as that of a clip
    with an exact answer does.
    """

    max_iter: int = 200
    restarts: int = 8
    stft_share: float = 0.5
    give_up: bool = False

    def solve(self, targets, generator, start=None, *, seed=0, report=None):
        """targets: waveforms [n, num_samples, num_channels]. start: latent vectors [n, latent_dim], or None for zeros.
        seed: of the further tries, a number or a list of numbers. report: called with the number of clips still being
        worked on. → Solution, whose iterations are Jacobians.
        """
        n = len(targets)
        smoothing = WIDEST if start is None else NEARER
        z = np.zeros((n, generator.latent_dim)) if start is None else start
        options = {"max_iter": self.max_iter, "target": CONVERGED}
        options["report"] = lambda active: report and report(len(active))
        if self.give_up:
            options |= {"least_fall": LEAST_FALL, "above": EXPLAINED}
        best = minimise(Residual(generator, targets, self.stft_share), z, smoothing=smoothing, **options)
        for attempt in range(self.restarts):
            snr = snr_db(targets, generate(generator, best.z))
            again = np.flatnonzero((snr < MISSED_DB) & (best.objective < EXPLAINED))
            if not len(again):
                break
            alone = Residual(generator, targets[again])
            drawn = random_starts(targets[again], generator.latent_dim, [attempt, *np.atleast_1d(seed)])
            if attempt % (HOPS + 1) < HOPS:
                begin, noise = hop(alone, best.z[again], drawn), LANDING
            else:
                begin, noise = 0.5 * drawn, WIDEST  # from the outer half of the cube it rarely gets away
            other = minimise(alone, begin, smoothing=noise, **options)
            best.iterations[again] += other.iterations
            better = snr_db(targets[again], generate(generator, other.z)) > snr[again]
            best.z[again[better]], best.objective[again[better]] = other.z[better], other.objective[better]
        return best


def residuals(targets, generator, z, stft_share=LevenbergMarquardt.stft_share):
    """LevenbergMarquardt's objectives [n] at latent vectors [n, latent_dim], in batches; silence has about 0.5."""
    problem, parts = Residual(generator, targets, stft_share), []
    for i in range(0, len(z), BATCH):
        parts.append(problem.evaluate(z[i : i + BATCH], np.arange(i, min(i + BATCH, len(z)))))
    return np.concatenate(parts)


def hop(problem, z, drawn):
    """Latent vectors [m, latent_dim] at random distances from z, for numbers `drawn` uniform on [-1, 1] of that shape.

    A descent that ends short of the exact answer is wrong above all in the directions that the waveform hardly
    depends on. So the hop goes along each singular vector of the Jacobian as far as would explain an equal share of
    what is left of the residual.
    """
    index = np.arange(len(z))
    left = np.sqrt(2 * problem.evaluate(z.astype(np.float32), index) / z.shape[1])  # a direction's share
    problem.linearise(z.astype(np.float32), index, np.zeros(len(z), np.float32))
    power, vectors = np.linalg.eigh(problem.normals(index))
    singular = np.sqrt(np.maximum(power, 1e-12 * power[:, -1:])) + 1e-30
    deviations = np.minimum(FARTHEST, left[:, None] / singular)
    steps = np.sqrt(3) * drawn * deviations  # a number that is uniform on [-1, 1] has the deviation 1 / sqrt(3)
    return np.clip(z + np.einsum("nkj,nj->nk", vectors, steps), -1, 1)
