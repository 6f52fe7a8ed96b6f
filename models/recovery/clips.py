"""The descents of several clips that a generator may have made, and how they are led out of local minima: by descents
from elsewhere, and by residuals that are reweighted at random.
"""

import numpy as np
import scipy.stats

from models.generator.generator import generate
from models.recovery.covariance import deviations
from models.recovery.levenberg_marquardt import minimise
from models.recovery.placement import aligned, inside, prior_deviation
from models.recovery.residual import Residual
from models.recovery.solution import Solution
from models.recovery.starts import random_starts

CONVERGED = 0.5e-10  # objective from which on Levenberg–Marquardt takes no more Jacobians: 100 dB
EXPLAINED = 0.1  # objective below which an exact answer seems to exist; silence has 0.5
MISSED_DB = 65.0  # SNR below which an exact answer was missed, unless what remains is noise, as that of 16 bits is
NEARER = 0.15  # noise that Levenberg–Marquardt begins with at a prediction, whose error has this order
LANDING = 0.05  # the same where a residual is reweighted
DRAWN, WIDTH = 0.25, 0.5  # deviation of a random start and of the noise it begins with, relative to the prior's
BLOCKS = 64  # of time, whose weights are drawn
SPREAD = 1.5  # standard deviation of the logarithm of a weight
PATIENCE = 5  # reweighted descents in a row without a better answer, after which none is expected
BACK, SAME = 3, 0.01  # descents in a row that lead back to the same objective, to this share: what remains is noise
FAR = 0.02  # objective, -14 dB, above which a clip is begun anew with level, offset and position as unknowns
NOISY = 0.5e-5  # objective, -50 dB, from which on noise may hide that a minimum is a local one
STEADY = 0.3  # of how a target's power changes with time: what remains and changes less is noise
REWEIGHTED, PLAIN = 6, 4  # Jacobians with random weights, and without them after those
FREE = 0.5, 0.02, 0.5  # deviations of log gain, offset and delay in samples, behind what is known of them
ALIGNMENTS = 4  # of a target by its delay, at most
PLACED = 1e-3  # samples of delay below which a target needs no other
ALIGNED = 1e-3  # noise behind an alignment


class Clips:
    """Where the descents of several clips stand: x [n, latent_dim + 3], latent vectors with the logarithm of the gain,
    the offset and the delay in samples (models/recovery/mismatch.py), and what each is compared with.

    aligned: the targets with mean, level and position as the generator's own, as far as they are known. present: 0
    where a sample of theirs is not known, else 1. back: how often in a row each came back to the objective it had.
    """

    def __init__(self, targets, generator, start, bounds, options):
        self.targets, self.generator, self.options = np.asarray(targets, np.float32), generator, options
        n, self.k = len(targets), generator.latent_dim
        lower, upper = (-generator.bounds, generator.bounds) if bounds is None else bounds
        nothing = np.zeros((n, 3))
        self.lower, self.upper = (
            np.column_stack([np.broadcast_to(bound, (n, self.k)), nothing]) for bound in (lower, upper)
        )
        self.deviation = np.append(np.full(self.k, prior_deviation(generator)), FREE)
        self.x = np.column_stack([np.zeros((n, self.k)) if start is None else start, nothing])
        self.normal = np.zeros((n, self.k + 3, self.k + 3))
        self.objective, self.iterations = np.full(n, np.inf), np.zeros(n, int)
        self.back = np.zeros(n, int)
        self.settled, self.found = np.zeros(n, bool), []  # hook: what a filter explained, and what was found of it
        self.aligned, self.present = self.targets.copy(), np.stack([inside(target) for target in self.targets])
        self.gain, self.offset, self.shift = np.ones(n), np.zeros(n), np.zeros(n)

    @property
    def bounds(self):
        """Lower and upper bounds of the latent vectors, each [n, latent_dim]."""
        return self.lower[:, : self.k], self.upper[:, : self.k]

    @property
    def z(self):
        """Latent vectors [n, latent_dim]."""
        return self.x[:, : self.k]

    def missed(self, most, noisy=np.inf):
        """Indices of the clips whose exact answer was missed, of objectives up to `most`. Those whose residual is
        steady and whose objective is below `noisy` have it, or nearly so, with noise.
        """
        varying = self.aligned.var(axis=(1, 2)) / np.maximum((self.aligned**2).mean(axis=(1, 2)), 1e-30)
        least = 0.5 * 10 ** (-MISSED_DB / 10) * varying  # a constant counts for nothing
        index = np.flatnonzero((self.objective > least) & (self.objective <= most))
        index = index[~self.settled[index]]
        explained = index[self.objective[index] < EXPLAINED]
        return np.setdiff1d(index, explained[self.steady(explained) & (self.objective[explained] < noisy)])

    def unexplained(self, index):
        """Those of the clips `index` that no descent has explained so far."""
        return index[self.objective[index] >= EXPLAINED]

    def steady(self, index):
        """True for each of the clips `index` [m] whose residual is no constant and changes far less with time than its
        target, and by less than its mean.
        """
        if not len(index):
            return np.zeros(0, bool)
        present, target = self.present[index], self.aligned[index]
        residual = self.sounds(index) - target  # hook: FilteredClips has others

        def mean(waveforms):
            """Of what is known, [m, 1, 1]."""
            count = np.maximum(present.sum(axis=(1, 2), keepdims=True), 1)
            return (present * waveforms).sum(axis=(1, 2), keepdims=True) / count

        changes = []
        for waveforms in (residual, target - mean(target)):
            parts = np.array_split(present * waveforms**2, BLOCKS, axis=1), np.array_split(present, BLOCKS, axis=1)
            power, known = (np.stack([part.sum(axis=(1, 2)) for part in some]) for some in parts)  # [BLOCKS, m]
            power = np.where(known > 0, power / np.maximum(known, 1), np.nan)
            changes.append(np.nanstd(power, axis=0) / np.maximum(np.nanmean(power, axis=0), 1e-30))
        constant = (mean(residual) ** 2 > STEADY * mean(residual**2))[:, 0, 0]
        return (changes[0] < np.minimum(STEADY * changes[1], 1)) & ~constant

    def sounds(self, index):
        """The generator's waveforms of the clips `index` [m], as their aligned targets are compared with them."""
        return generate(self.generator, self.z[index].astype(np.float32))

    def problem(self, index):
        present = self.present[index].reshape(len(index), -1)
        return Residual(self.generator, self.aligned[index], present=present)

    def descend(self, index, problem=None, x=None, always=False, **options):
        """Descends from x, or from where the clips `index` stand; keeps what is better, or all of it → Descent."""
        options = {"target": CONVERGED, "deviation": self.deviation} | self.options | options
        x = self.x[index] if x is None else x
        descent = minimise(
            problem or self.problem(index), x, lower=self.lower[index], upper=self.upper[index], **options
        )
        self.iterations[index] += descent.iterations
        better = always | (descent.objective < self.objective[index])
        for name, values in (("x", descent.z), ("objective", descent.objective), ("normal", descent.normal)):
            getattr(self, name)[index[better]] = values[better]
        return descent

    def hold(self, index):
        """Takes the clips `index` as they are: gain 1, no offset, no delay."""
        self.lower[index, self.k :] = self.upper[index, self.k :] = self.x[index, self.k :] = 0
        self.aligned[index] = self.targets[index]
        for i in index:
            self.present[i] = inside(self.targets[i])
        self.gain[index], self.offset[index], self.shift[index] = 1, 0, 0

    def align(self, index):
        """Moves, scales and offsets the targets `index` by what is known of them."""
        for i in index:
            known = self.gain[i], self.offset[i], self.shift[i]
            self.aligned[i], self.present[i] = aligned(self.targets[i], *known)

    def set_free(self, index, located, **options):
        """Another descent of the clips `index` with gain, offset and position as unknowns, for those that it explains
        better. Those that are explained well begin where they are, the others where they were `located`.
        """
        names = "x", "objective", "normal"
        before = {name: getattr(self, name)[index].copy() for name in names}
        far = self.objective[index] > FAR
        begun, near = index[far], ~far | located.near[index]
        for name in ("gain", "offset", "shift"):
            getattr(self, name)[begun] = getattr(located, name)[begun]
        self.align(begun)
        self.x[begun] = 0
        self.x[begun, : self.k] = located.z[begun]
        self.lower[index, self.k :], self.upper[index, self.k :] = -np.inf, np.inf
        self.objective[index] = np.inf
        self.descend(index, smoothing=np.where(near, NEARER, np.inf)[:, None], always=True, **options)
        for _ in range(ALIGNMENTS):
            again = index[(self.objective[index] < EXPLAINED) & (np.abs(self.x[index, -1]) > PLACED)]
            self.fold(index)
            self.align(index)
            if not len(again):
                break
            self.descend(again, smoothing=ALIGNED, always=True, **options)
        self.back[index] = 0
        explained = (self.objective[index] < EXPLAINED) & (before["objective"] >= EXPLAINED)
        worse = (2 * self.objective[index] > before["objective"]) & ~explained
        for name in names:
            getattr(self, name)[index[worse]] = before[name][worse]
        self.hold(index[worse])

    def fold(self, index):
        """Counts the gain, offset and delay that a descent ended with among what is known."""
        level, offset, delay = self.x[index, self.k :].T
        self.offset[index] += self.gain[index] * offset
        self.gain[index] *= np.exp(level)
        self.shift[index] += delay
        self.x[index, self.k :] = 0

    def count_back(self, index, objective, before):
        """Notes which of the clips `index` [m] have come back to the objectives `before` [m] that they had."""
        same = np.abs(objective - before) < SAME * before
        self.back[index] = np.where(same, self.back[index] + 1, 0)

    def begin_anew(self, attempts, stream, least, **options):
        """Descends again, from random latent vectors, with clips that are explained for the most part, but whose local
        minimum, an objective above `least`, is not the truth: those of descents from elsewhere are others.
        """
        for attempt in range(attempts):
            again = self.missed(EXPLAINED)
            again = again[(self.objective[again] > least) & (self.back[again] < BACK)]
            if not len(again):
                break
            x, before = self.x[again].copy(), self.objective[again].copy()
            drawn = random_starts(self.targets[again], self.k, [attempt, *stream])
            x[:, : self.k] = 3**0.5 * DRAWN * self.deviation[0] * drawn
            descent = self.descend(again, x=x, smoothing=WIDTH * self.deviation[0], **options)
            self.count_back(again, descent.objective, before)

    def reweigh(self, attempts, stream, most):
        """Leads clips whose objective is up to `most`, but that are not exact, out of their local minima. Under noise
        too: a minimum beside the truth's is hardly higher then, and as far from it as without noise.

        What leads back to the same objective again and again is no local minimum but noise.
        """
        x, idle = self.x.copy(), np.zeros(len(self.x), int)
        for attempt in range(attempts):
            again = self.missed(most, NOISY)
            again = again[(idle[again] < PATIENCE) & (self.back[again] < BACK)]
            if not len(again):
                break
            before = self.objective[again].copy()
            problem = self.problem(again)
            drawn = random_starts(self.targets[again], BLOCKS, [attempt, *stream])
            problem.reweigh(np.exp(SPREAD * scipy.stats.norm.ppf((1 + drawn * (1 - 1e-6)) / 2)))
            box = {"lower": self.lower[again], "upper": self.upper[again], "deviation": self.deviation}
            longest, plain = (min(count, self.options["max_iter"]) for count in (REWEIGHTED, PLAIN))
            bent = minimise(
                problem, x[again], smoothing=LANDING, target=CONVERGED, **box, **self.options | {"max_iter": longest}
            )
            self.iterations[again] += bent.iterations
            problem.reweigh(np.ones((len(again), 1)))
            descent = self.descend(again, problem, bent.z, smoothing=LANDING, max_iter=plain)
            x[again] = descent.z
            idle[again] = np.where(self.objective[again] < 0.99 * before, 0, idle[again] + 1)
            self.count_back(again, descent.objective, before)

    def solution(self):
        """What is known now, as a Solution."""
        n = len(self.x)
        self.fold(np.arange(n))
        self.align(np.flatnonzero(self.upper[:, -1] > 0))
        explained = self.objective < EXPLAINED
        self.gain[~explained], self.offset[~explained], self.shift[~explained] = 1, 0, 0
        z_std = np.full((n, self.k), np.nan)
        for i in np.flatnonzero(explained):
            waveform = np.asarray(self.generator(self.z[i : i + 1].astype(np.float32)), np.float64)[0]
            known, free = self.present[i] > 0, self.lower[i] < self.upper[i]
            z_std[i] = deviations(waveform, self.aligned[i], known, self.normal[i], free)[: self.k]
        solution = Solution(
            self.z.copy(),
            self.objective.copy(),
            self.iterations.copy(),
            gain=self.gain.copy(),
            offset=self.offset.copy(),
            shift=self.shift.copy(),
            z_std=z_std,
            at_bound=self.at_bound(),
            explained=np.clip(1 - 2 * self.objective, 0, 1),
        )
        for clips, rows, index in self.found:
            clips.into(solution, rows, index)
        return solution

    def at_bound(self):
        """How many coordinates of each clip lie at a bound, those that are held left out, [n]."""
        lower, upper = self.bounds
        return (((self.z <= lower) | (self.z >= upper)) & (lower < upper)).sum(axis=1)
