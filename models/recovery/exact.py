"""Exact recovery: Levenberg–Marquardt for clips that the generator made itself, whatever level, offset and position
they have now, and the signs by which it is told that it made a clip.

A clip that has an exact answer gives itself away: the objective of a good prediction is far below that of silence, and
from anywhere Levenberg–Marquardt makes it fall by a tenth or more with every two Jacobians. Averaged over latent noise
it is well below that of silence after the first. For a real recording it neither begins low nor falls.

Where a clip lies in its recording, and at which level, is first estimated (models/recovery/placement.py). What that
leaves unknown, with the offset, are three more unknowns of the same least squares, each with a column of the
Jacobian of its own (as they are linear, variable projection would do the same: Golub and Pereyra 1973). The columns
are those of the covariance, too, which says how sure each coordinate is.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from models.generator.generator import BATCH
from models.recovery.altered import leave_out_clicks
from models.recovery.channel_clips import look_for_channels
from models.recovery.clips import EXPLAINED, NEARER, Clips
from models.recovery.placement import PROMISING, has_usual_level, levels_alike, locate, place
from models.recovery.residual import Residual
from models.recovery.starts import predict

HOPELESS = 0.42  # objective averaged over the noise of a first Jacobian, above which a clip has no exact answer
CHANNEL = 20_141  # separates what is drawn for filters from every other use of a seed
LEAST_FALL = 0.1  # share by which the objective of a clip with an exact answer falls in two iterations, at least
ANEW = 3  # descents from random latent vectors
NEAR_TRUTH = 1e-3  # objective, -27 dB, below which a clip is where it was taken to be, and its minimum a local one


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Exact recovery of every clip, by least squares on the waveform.

    max_iter: Jacobians of a descent, at most. restarts: how often, at most, a clip that is explained for the most part
    but not exactly yet is led out of its local minimum: far from the truth by a descent from elsewhere, three at most;
    near it by one whose residual is reweighted at random over blocks of time, and a plain one after it. The truth has
    a residual of zero under every weighting, a local minimum is one only under its own. What is missed even then goes
    through both once more, wherever it is.
    stft_share: weight of the STFT magnitudes, 0 to 1, in the residual of clips that no latent vector explains. give_up:
    those clips end where the waveform alone has led; where neither the start nor, if `free`, a sketch of the generator
    is anything like them, they are not even begun with, and their objective is infinite.
    free: level, offset and position are unknowns of clips that a sketch of the generator is like. At first they are not
    where a start explains a clip of a usual level for the most part, nor where a clip's level and position say that it
    is as it was made.
    inverse_mapping: predicts where these begin, from the target at the generator's level and position as far as they
    are known. None, or where that comes nowhere near: they begin at zero.
    """

    max_iter: int = 200
    restarts: int = 8
    stft_share: float = 0.5
    give_up: bool = False
    free: bool = True
    inverse_mapping: object = None

    def solve(self, targets, generator, start=None, *, seed=0, report=None, bounds=None):
        """targets: waveforms [n, num_samples, num_channels]. start: latent vectors [n, latent_dim], or None for zeros.
        seed: of the weights, a number or a list of numbers. report: called with the number of clips still being
        worked on. bounds: (lower, upper) of the coordinates, numbers or arrays that broadcast to [n, latent_dim],
        infinite where there is none, equal where a coordinate is held; None: those of the generator. Its prior sets
        how wide the noise is at first; it is no penalty. → Solution, whose iterations are Jacobians.
        """
        options = {"max_iter": self.max_iter, "report": lambda active: report and report(len(active))}
        turned = np.zeros(len(targets), bool)
        if self.free:  # hook: the sign
            shifts, recognised, unmoved, turned = place(targets, generator)
            targets = np.where(turned[:, None, None], -targets, targets)
            if start is not None and self.inverse_mapping is not None and turned.any():
                start = np.array(start)
                start[turned] = predict(targets[turned], self.inverse_mapping)
        clips = Clips(targets, generator, start, bounds, options)
        every = np.arange(len(targets))
        patience = {"least_fall": LEAST_FALL, "above": EXPLAINED}
        hope = patience | {"hopeless": HOPELESS if generator.smooths else np.inf}
        promising = np.zeros(len(every), bool)
        if start is not None:
            promising = Residual(generator, targets).evaluate(clips.x, every) < PROMISING
        begin, noise = clips.x.copy(), np.full((len(every), 1), np.inf if start is None else NEARER)
        clips.x[~promising], nearness = 0, np.where(promising[:, None], NEARER, np.inf)
        plain = recognised = np.ones(len(every), bool)
        if self.free:  # as a rule at once: a level that is a little off costs more than three unknowns
            known, usual = (targets, generator, shifts), has_usual_level(targets, generator)
            located = locate(*known, np.flatnonzero(recognised), self.inverse_mapping, clips.bounds)
            as_made = recognised & unmoved & levels_alike(generator)
            plain = (promising | as_made) & (usual | ~recognised) & ~located.near
            if not self.give_up:
                plain |= ~recognised
        if plain.any():
            clips.descend(every[plain], smoothing=nearness[plain], **hope)
        streams = ([number, *np.atleast_1d(seed)] for number in itertools.count())
        if self.free:  # hook: the channel, of clips that are explained for the most part
            channel = {"inverse_mapping": self.inverse_mapping, "stream": [CHANNEL, *np.atleast_1d(seed)]}
            leave_out_clicks(clips, clips.missed(EXPLAINED))  # hook: what is not the generator's
            look_for_channels(clips, clips.missed(EXPLAINED), shifts, recognised, **channel, **hope)
        clips.reweigh(self.restarts, next(streams), NEAR_TRUTH)
        free = clips.missed(np.inf)
        free = free[recognised[free]]
        if self.free and len(free):
            clips.set_free(free, located, **hope)
            lost = clips.unexplained(free[located.near[free]])
            if len(lost):
                clips.set_free(lost, locate(*known, lost), **hope)
            lost = clips.unexplained(free[(usual & unmoved & ~plain)[free]])  # or was its place a wrong one?
            if len(lost):
                clips.hold(lost)
                clips.objective[lost] = np.inf
                clips.descend(lost, x=np.zeros_like(clips.x[lost]), **hope)
        if self.free:  # hook: the channel, of all others
            look_for_channels(clips, clips.missed(np.inf), shifts, recognised, **channel, **hope)
        for least in (NEAR_TRUTH, 0):
            clips.begin_anew(min(self.restarts, ANEW), next(streams), least, **patience)
            clips.reweigh(self.restarts, next(streams), EXPLAINED)
        solution = clips.solution()
        solution.gain[turned & (clips.objective < EXPLAINED)] *= -1  # hook: the sign
        rest = np.flatnonzero(clips.objective >= EXPLAINED)
        if not self.give_up and len(rest):
            clips.hold(rest)
            problem = Residual(generator, targets[rest], self.stft_share)
            clips.descend(rest, problem, begin[rest], smoothing=noise[rest], always=True)
            solution.z[rest], solution.objective[rest] = clips.z[rest], clips.objective[rest]
            solution.at_bound[rest], solution.iterations[:] = clips.at_bound()[rest], clips.iterations
        return solution


def exact_part(solver):
    """The least-squares solver that a solver is or has, or None."""
    return solver if isinstance(solver, LevenbergMarquardt) else getattr(solver, "exact", None)


def residuals(targets, generator, z, stft_share=LevenbergMarquardt.stft_share):
    """LevenbergMarquardt's objectives [n] at latent vectors [n, latent_dim], in batches; silence has about 0.5."""
    problem, parts = Residual(generator, targets, stft_share), []
    for i in range(0, len(z), BATCH):
        parts.append(problem.evaluate(z[i : i + BATCH], np.arange(i, min(i + BATCH, len(z)))))
    return np.concatenate(parts)
