"""Where recovery begins: a prediction, or latent vectors drawn at random."""

import zlib

import numpy as np

from models.generator.codes import draw_latent
from models.generator.generator import BATCH, by_channel

STREAM = 20_101  # separates the random starts from every other use of a seed


def predict(targets, inverse_mapping):
    """Latent vectors [n, latent_dim] that an inverse mapping predicts for waveforms [n, num_samples] or
    [n, num_samples, num_channels], in batches (paper section 3.2).
    """
    targets = np.asarray(targets, np.float32)
    targets = by_channel(targets) if targets.ndim == 3 else targets
    parts = [inverse_mapping.predict_on_batch(targets[i : i + BATCH]) for i in range(0, len(targets), BATCH)]
    return np.concatenate(parts).astype(np.float32)


def random_starts(targets, latent_dim, seed, prior="uniform"):
    """Latent vectors [n, latent_dim] of a prior, each drawn from the seed, a list of numbers, and its clip."""
    streams = [[STREAM, zlib.crc32(np.ascontiguousarray(clip).tobytes()), *seed] for clip in targets]
    return np.stack([draw_latent(np.random.default_rng(stream), latent_dim, prior) for stream in streams])
