"""Recovery of real recordings: descent on what is heard, from the prediction and from the nearest of many random
sounds.

Coarse to fine: a pool of random latent vectors is rendered once; of those that sound nearest to a clip a few
begin, the best of them after a short descent go on, and one is refined to the end.
"""

import functools

import numpy as np
import tensorflow as tf

from models.generator.generator import generate
from models.recovery.descent import AT_ONCE, STEPS, Objective, latent_descent, take, unbounded

POOL = 512  # random sounds among which a clip's starts are looked for
POOL_STREAM = 20_103  # separates the pool's random numbers from every other use of a seed
# (starts, steps of each) of the stages before the last: of the nearest of the pool, and of a prediction beside some
FROM_POOL = (6, 15), (2, 40)
FROM_PREDICTION = ((3, 12),)
FINE = 16  # rows of a picture above which it is averaged before sounds are compared


@functools.lru_cache(maxsize=2)
def _compiled(generator, perceptual_loss, spectral_weight):
    """The descent for a generator and an objective; kept, since compiling it takes seconds."""
    objective = Objective(perceptual_loss, spectral_weight)
    return objective, latent_descent(generator, objective)


@functools.lru_cache(maxsize=2)
def _pool(generator, perceptual_loss, seed):
    """Random latent vectors [POOL, latent_dim] and what is heard of them: a list of arrays [POOL, …], for
    `_nearest`."""
    rng = np.random.default_rng([POOL_STREAM, *seed])
    z = rng.uniform(-1, 1, (POOL, generator.latent_dim)).astype(np.float32)
    return z, _features(Objective(perceptual_loss), generate(generator, z))


def _features(objective, waveforms):
    """A short description [n, …] of waveforms [n, samples, channels], whose mean absolute differences are near the
    perceptual loss: its activations, the finest ones averaged over 4 × 4 places; without a perceptual loss coarse
    spectra.
    """
    parts = []
    for i in range(0, len(waveforms), AT_ONCE):
        level, _, _, *activations = objective.originals(waveforms[i : i + AT_ONCE])
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


def solve(targets, generator, start=None, perceptual_loss=None, *, spectral_weight, steps=STEPS, seed=0, report=None):
    """Latent vectors whose sounds are closest to the ear → z float32 [n, latent_dim], objectives [n], iterations [n].

    targets: waveforms [n, num_samples, num_channels]. start: latent vectors [n, latent_dim], a prediction; each clip
    begins there and at the nearest of a pool of random sounds, or at these alone. perceptual_loss, spectral_weight: see
    models.recovery.descent.Objective. steps: of the last stage. seed: of the pool, a number or a list of numbers.
    report: called with the number of clips that are left. The objective of the answer is never above that of the start.
    """
    objective, descent = _compiled(generator, perceptual_loss, spectral_weight)
    pool, pool_features = _pool(generator, perceptual_loss, tuple(int(s) for s in np.atleast_1d(seed)))
    stages = FROM_POOL if start is None else FROM_PREDICTION
    found = []
    for i in range(0, len(targets), AT_ONCE):
        part = targets[i : i + AT_ONCE]
        originals = objective.originals(part)
        near = pool[_nearest(_features(objective, part), pool_features, stages[0][0])]  # [n, starts, latent_dim]
        if start is not None:
            begin = start[i : i + AT_ONCE]
            near = np.concatenate([begin[:, None], near[:, :-1]], axis=1)
        u = unbounded(near)
        for count, short in (*stages, (1, steps)):
            u, values = _stage(descent, originals, u[:, :count], short)
        z, values = np.tanh(u[:, 0]), values[:, 0]
        if start is not None:  # the start itself, which `unbounded` moved inside
            begun = objective(originals, generator(begin)).numpy()
            z, values = np.where((begun < values)[:, None], begin, z), np.minimum(begun, values)
        found.append((z, values))
        if report:
            report(len(targets) - i - len(part))
    z, values = (np.concatenate(column) for column in zip(*found))
    return z.astype(np.float32), values, np.full(len(z), sum(count * short for count, short in stages) + steps)
