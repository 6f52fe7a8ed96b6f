"""The default solver: an exact answer where there is one; for real recordings, descent on what is heard, from the
prediction and from the nearest of many random sounds.

Coarse to fine: a pool of random latent vectors is rendered once; of those that sound nearest to a clip a few
begin, the best of them after a short descent go on, and one is refined to the end.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from models.audio.second import Second
from models.generator.generator import KEPT, generate, random_latent
from models.recovery.clips import EXPLAINED
from models.recovery.descent import (
    AT_ONCE,
    LOG_SPECTRAL_WEIGHT,
    STEPS,
    Objective,
    inside,
    latent_descent,
    take,
    unbounded,
)
from models.recovery.exact import LevenbergMarquardt, residuals
from models.recovery.placement import PROMISING
from models.recovery.solution import Solution

POOL = 512  # random sounds among which a clip's starts are looked for
POOL_STREAM = 20_103  # separates the pool's random numbers from every other use of a seed
# (starts, steps of each) of the stages before the last: of the nearest of the pool, and of a prediction beside some
FROM_POOL = (6, 15), (2, 40)
FROM_PREDICTION = ((3, 12),)
BESIDE = "gain", "offset", "shift", "z_std", "at_bound", "explained"  # what the exact solver says of a clip
FINE = 16  # rows of a picture above which it is averaged before sounds are compared


@functools.lru_cache(maxsize=KEPT)
def _compiled(generator, perceptual_loss, log_spectral_weight):
    """The descent for a generator and an objective; kept, since compiling it takes seconds."""
    second = Second(generator.num_samples, generator.sample_rate)
    objective = Objective(perceptual_loss, log_spectral_weight, second)
    return objective, latent_descent(generator, objective)


@functools.lru_cache(maxsize=8)  # each as large as 70 MB
def _pool(generator, perceptual_loss, seed):
    """Random latent vectors [POOL, latent_dim] and what is heard of them: a list of arrays [POOL, …], for
    `_nearest`."""
    z = random_latent(generator, POOL, [POOL_STREAM, *seed])
    second = Second(generator.num_samples, generator.sample_rate)
    return z, _features(Objective(perceptual_loss, second=second), generate(generator, z))


def _features(objective, waveforms):
    """A short description [n, …] of waveforms [n, samples, channels], whose mean absolute differences are near the
    perceptual loss: its activations, the finest ones averaged over 4 × 4 places; without a perceptual loss coarse
    spectra.
    """
    parts = []
    for i in range(0, len(waveforms), AT_ONCE):
        level, _, _, _, *activations = objective.originals(waveforms[i : i + AT_ONCE])
        described = []
        for picture in activations or [level[..., None]]:
            size = 4 if picture.shape[1] > FINE else 1
            coarse = tf.nn.avg_pool2d(picture, size, size, "SAME")
            described.append(tf.reshape(coarse, (coarse.shape[0], -1)).numpy() / np.prod(coarse.shape[1:]))
        parts.append(np.concatenate(described, axis=1))
    return np.concatenate(parts)


def _nearest(features, pool, count):
    """Indices [n, count] of those of the pool that sound nearest to each of n clips."""
    distances = np.stack([np.abs(pool - one).sum(axis=1) for one in features])
    return np.argsort(distances, axis=1, kind="stable")[:, :count]


def _stage(descent, originals, starts, steps):
    """Descends from starts u [n, k, latent_dim] → the same, best first, and their objectives [n, k]."""
    n, k, latent_dim = starts.shape
    ends, values = np.zeros((n * k, latent_dim), np.float32), np.zeros(n * k)
    flat, clip = starts.reshape(n * k, latent_dim), np.repeat(np.arange(n), k)
    for i in range(0, n * k, AT_ONCE):
        part = slice(i, i + AT_ONCE)
        ends[part], values[part] = descent.run(flat[part], take(originals, clip[part]), steps)
    order = np.argsort(values.reshape(n, k), axis=1, kind="stable")
    ends = np.take_along_axis(ends.reshape(n, k, latent_dim), order[..., None], axis=1)
    return ends, np.take_along_axis(values.reshape(n, k), order, axis=1)


@dataclass(frozen=True)
class Perceptual:
    """The exact answer of clips that have one, what is nearest to the ear for the others.

    perceptual_loss: models.networks.classifier.PerceptualLoss; without one it goes by spectra alone.
    log_spectral_weight: of the log-spectral distance in units of 10 dB. steps: of Adam, in the last stage. exact: the
    solver of clips that have an exact answer, or None to take every clip as a recording. stages: (starts, steps
    of each) of the stages before the last; None: as many as tables are made with.
    """

    perceptual_loss: object = None
    log_spectral_weight: float = LOG_SPECTRAL_WEIGHT
    steps: int = STEPS
    exact: LevenbergMarquardt | None = LevenbergMarquardt()
    stages: tuple | None = None

    def solve(self, targets, generator, start=None, *, seed=0, report=None):
        """targets: waveforms [n, num_samples, num_channels]. start: latent vectors [n, latent_dim], a prediction, or
        None. seed: of the random sounds and starts, a number or a list of numbers. report: called with the number of
        clips still being worked on. → Solution: iterations count Jacobians of an exact answer, steps of Adam elsewhere.

        Which clips have an exact answer shows within a few iterations; one that the descent by ear leads near an exact
        answer is then solved exactly too.
        """
        n = len(targets)
        z, objective = np.zeros((n, generator.latent_dim), np.float32), np.full(n, np.inf)
        iterations, explained = np.zeros(n, int), np.zeros(n, bool)
        known = {}  # what the exact solver says of each clip beside these, and of no clip at first

        def tell(active):
            if report:
                report(active + np.sum(~explained) if active < n else n)

        def solve_exactly(index, begin, **options):
            """Keeps what explains its clip."""
            if self.exact is None or not len(index):
                return
            solver = replace(self.exact, give_up=True, **options)
            best = solver.solve(targets[index], generator, begin, seed=seed, report=tell)
            good = best.objective < EXPLAINED
            z[index[good]], objective[index[good]] = best.z[good], best.objective[good]
            iterations[index[good]] = best.iterations[good]
            explained[index[good]] = True
            for name in BESIDE:
                values = getattr(best, name)
                if name not in known:
                    known[name] = values.copy()
                known[name][index[good]] = values[good]

        def promising(index, z):
            share = self.exact.stft_share if self.exact else 0.0
            return index[residuals(targets[index], generator, z, share) < PROMISING]

        solve_exactly(np.arange(n), start)
        remaining = np.flatnonzero(~explained)
        if len(remaining):
            begin = None if start is None else start[remaining]
            z[remaining], objective[remaining], iterations[remaining] = self.descend(
                targets[remaining], generator, begin, seed, report
            )
            near = promising(remaining, z[remaining])
            solve_exactly(near, z[near], free=False)
        return Solution(z, objective, iterations, **known)

    def descend(self, targets, generator, start=None, seed=0, report=None):
        """The latent vectors whose sounds are closest to the ear → z float32 [n, latent_dim], objectives [n],
        iterations [n]. Arguments as of `solve`.

        With a start each clip begins there and at the nearest of a pool of random sounds, without one at the latter
        alone. The objective of the answer is never above that of the start.
        """
        objective, descent = _compiled(generator, self.perceptual_loss, self.log_spectral_weight)
        pool, pool_features = _pool(generator, self.perceptual_loss, tuple(int(s) for s in np.atleast_1d(seed)))
        stages = self.stages or (FROM_POOL if start is None else FROM_PREDICTION)
        answers = []
        for i in range(0, len(targets), AT_ONCE):
            part = targets[i : i + AT_ONCE]
            originals = objective.originals(part)
            near = pool[_nearest(_features(objective, part), pool_features, stages[0][0])]  # [n, starts, latent_dim]
            if start is not None:
                begin = np.clip(start[i : i + AT_ONCE], -generator.bounds, generator.bounds)
                near = np.concatenate([begin[:, None], near[:, :-1]], axis=1)
            u = unbounded(near, generator.bounds)
            for count, short in (*stages, (1, self.steps)):
                u, values = _stage(descent, originals, u[:, :count], short)
            z, values = np.asarray(inside(u[:, 0], generator.bounds)), values[:, 0]
            if start is not None:  # the start itself, which `unbounded` moved inside
                begun = objective(originals, generator(begin)).numpy()
                z, values = np.where((begun < values)[:, None], begin, z), np.minimum(begun, values)
            answers.append((z, values))
            if report:
                report(len(targets) - i - len(part))
        z, values = (np.concatenate(column) for column in zip(*answers))
        steps = sum(count * short for count, short in stages) + self.steps
        return z.astype(np.float32), values, np.full(len(z), steps)
