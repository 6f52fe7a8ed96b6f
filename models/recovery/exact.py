"""Exact recovery: Levenberg–Marquardt for clips that the generator made itself, and the signs by which it is told that
it made a clip.

A clip that has an exact answer gives itself away: the objective of a good prediction is far below that of silence, and
from anywhere Levenberg– Marquardt makes it fall several times over within a few iterations. For a real recording it
neither begins low nor falls.
"""

import numpy as np

from models.generator.generator import generate
from models.metrics.metrics import snr_db
from models.recovery.levenberg_marquardt import WIDEST, minimise
from models.recovery.residual import Residual

CONVERGED = 0.5e-10  # objective from which on Levenberg–Marquardt takes no more Jacobians: 100 dB
EXPLAINED = 0.1  # objective below which an exact answer seems to exist; silence has 0.5
PROMISING = 0.3  # objective of a start below which one may exist
MISSED_DB = 55.0  # SNR below which an exact answer was missed; a recording of 16 bits seldom allows less
LEAST_FALL = 0.2  # share by which the objective of a clip with an exact answer falls in two iterations, at least
NEARER = 0.15  # noise that Levenberg–Marquardt begins with at a prediction, whose error has this order
HOPS = 3  # of every four further tries, those that begin near the best answer so far; the fourth begins elsewhere
LANDING = 0.05  # noise at the beginning of a hop
FARTHEST = 0.4  # standard deviation of a hop along any direction, at most


def solve(targets, generator, start, draw, *, max_iter, restarts, spectral, all_the_way=True, report=None):
    """Levenberg–Marquardt → models.recovery.levenberg_marquardt.Solution.

    targets: waveforms [n, num_samples, num_channels]. start: latent vectors [n, latent_dim], or None for zeros.
    restarts: how often, at most, a clip that is explained for the most part but not exactly yet is tried again, by
    the waveform alone, since magnitudes have minima of their own: three times by a hop from the best answer so far,
    then from half of what draw, a function of the number of the attempt, returns [n, latent_dim], uniform on [-1, 1];
    and so on. max_iter: iterations of each start.
    spectral: weight of the STFT magnitudes. all_the_way: False gives a clip up as soon as its objective stops falling
    as that of a clip with an exact answer does. report: called with the number of clips still being worked on.
    """
    n = len(targets)
    smoothing = WIDEST if start is None else NEARER
    z = np.zeros((n, generator.latent_dim)) if start is None else start
    how = {"max_iter": max_iter, "target": CONVERGED, "report": lambda active: report and report(len(active))}
    if not all_the_way:
        how |= {"least_fall": LEAST_FALL, "above": EXPLAINED}
    problem = Residual(generator, targets, spectral)
    best = minimise(problem, z, smoothing=smoothing, **how)
    for attempt in range(restarts):
        snr = snr_db(targets, generate(generator, best.z))
        again = np.flatnonzero((snr < MISSED_DB) & (best.objective < EXPLAINED))
        if not len(again):
            break
        alone, drawn = Residual(generator, targets[again]), draw(attempt)[again]
        if attempt % (HOPS + 1) < HOPS:
            begin, noise = hop(alone, best.z[again], drawn), LANDING
        else:
            begin, noise = 0.5 * drawn, WIDEST  # from the outer half of the cube it rarely gets away
        other = minimise(alone, begin, smoothing=noise, **how)
        best.iterations[again] += other.iterations
        better = snr_db(targets[again], generate(generator, other.z)) > snr[again]
        best.z[again[better]], best.objective[again[better]] = other.z[better], other.objective[better]
    return best


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
