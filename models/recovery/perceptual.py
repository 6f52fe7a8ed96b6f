"""The default solver: an exact answer where there is one; for real recordings, descent on what is heard, from the
prediction and from the nearest of many random sounds.

Coarse to fine: a pool of random latent vectors is rendered once; of those that sound nearest to a clip a few
begin, the best of them after a short descent go on, and one is refined to the end.
"""

from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from models.audio.second import Second
from models.generator.generator import generate, random_latent
from models.recovery.attempts import LevenbergMarquardt, explained_share, residuals
from models.recovery.ear import (
    AT_ONCE,
    LOG_SPECTRAL_WEIGHT,
    STEPS,
    Objective,
    inside,
    latent_descent,
    take,
    unbounded,
)
from models.recovery.errors import PROMISING
from models.recovery.problem import Alignment, Answer, spent

POOL = 512  # random sounds among which a clip's starts are looked for
POOL_STREAM = 20_103  # separates the pool's random numbers from every other use of a seed
# (starts, steps of each) of the stages before the last: of the nearest of the pool, and of a prediction beside some
FROM_POOL = (6, 15), (2, 40)
FROM_PREDICTION = ((3, 12),)
SHORT_STAGES, SHORT_STEPS = ((4, 8),), 8  # the same, and the steps of the last, of a first look
SHORT_BUDGET = 20  # Jacobians of a Problem's budget, below which there is time for a first look only
BY_EAR = "by ear"
FINE = 16  # rows of a picture above which it is averaged before sounds are compared


def _descent(generator, perceptual_loss, log_spectral_weight):
    """The objective and the descent of a generator, made once, since compiling them takes seconds."""

    def make():
        second = Second(generator.num_samples, generator.sample_rate)
        objective = Objective(perceptual_loss, log_spectral_weight, second)
        return objective, latent_descent(generator, objective)

    return generator.derived(("descent by ear", perceptual_loss, log_spectral_weight), make)


def _pool(generator, perceptual_loss, seed):
    """Random latent vectors [POOL, latent_dim] and what is heard of them: a list of arrays [POOL, …], for `_nearest`;
    made once, as large as 70 MB."""

    def make():
        z = random_latent(generator, POOL, [POOL_STREAM, *seed])
        second = Second(generator.num_samples, generator.sample_rate)
        return z, _features(Objective(perceptual_loss, second=second), generate(generator, z))

    return generator.derived(("pool", perceptual_loss, seed, POOL), make)


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

    @property
    def solves_exactly(self):
        """Whether an answer may be exact: its own solver compares waveforms sample by sample."""
        return self.exact is not None

    def solve(self, problems, *, seed=0, report=None):
        """As models.recovery.problem says; `iterations` count Jacobians of an exact answer, steps of Adam elsewhere.

        Which clips have an exact answer shows within a few iterations; one that the descent by ear leads near an exact
        answer is then solved exactly too. The objective of an answer by ear is of what is heard.
        """
        heard = list(range(len(problems)))
        if self.exact is not None:
            asked = [replace(problem, only_exact=True) for problem in problems]
            for i, answer in self.exact.solve(asked, seed=seed, report=report):
                if answer.exact or problems[i].only_exact:
                    heard.remove(i)
                    yield i, answer
        if not heard:
            return
        by_ear = dict(zip(heard, self.listen([problems[i] for i in heard], seed, report)))
        near = [i for i, answer in by_ear.items() if self._near(problems[i], answer)]
        for i in heard:
            if i not in near:
                yield i, by_ear[i]
        asked = [replace(problems[i], start=by_ear[i].z, place_known=True, only_exact=True) for i in near]
        if asked:
            for k, answer in self.exact.solve(asked, seed=seed, report=report):
                i = near[k]
                yield i, answer if answer.exact else spent(by_ear[i], answer.iterations)

    def _near(self, problem, answer):
        """Whether an answer by ear may be near an exact one."""
        if self.exact is None:
            return False
        z = answer.z[None]
        return residuals(problem.target[None], problem.generator, z)[0] < PROMISING

    def listen(self, problems, seed=0, report=None):
        """The answers by ear alone, in order."""
        generator, targets = problems[0].generator, np.stack([problem.target for problem in problems])
        start = None if problems[0].start is None else np.stack([problem.start for problem in problems])
        short = (problems[0].budget or SHORT_BUDGET) < SHORT_BUDGET
        ears = replace(self, stages=SHORT_STAGES, steps=SHORT_STEPS) if short else self
        answers = []
        for problem, z, objective, steps in zip(problems, *ears.descend(targets, generator, start, seed, report)):
            known = (None, None) if self.exact is None else (Alignment(), explained_share(problem, z))
            answers.append(Answer(z, float(objective), int(steps), BY_EAR, *known))
        return answers

    def descend(self, targets, generator, start=None, seed=0, report=None):
        """The latent vectors whose sounds are closest to the ear → z float32 [n, latent_dim], objectives [n],
        iterations [n]. Arguments as of `solve`.

        With a start each clip begins there and at the nearest of a pool of random sounds, without one at the latter
        alone. The objective of the answer is never above that of the start.
        """
        objective, descent = _descent(generator, self.perceptual_loss, self.log_spectral_weight)
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
