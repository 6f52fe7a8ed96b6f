"""Beyond the range of the frozen generator: what its first layer makes of a latent vector is optimised in place of the
latent vector.

A hundred numbers reach few of the sounds that the layers after the first can make. Their input, 16 × 16 d numbers,
reaches far more of them (extended latent spaces: Abdal et al., arXiv 1904.03189). What comes out is no latent vector's
sound any more, and every table says so.
"""

import functools
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from models.generator.generator import BATCH, random_latent
from models.recovery.descent import AT_ONCE, Descent, Objective

STEPS = 120  # of Adam
RATE = 0.15  # of Adam at the first step, in units of the root mean square of what the first layer gives
SPECTRAL_WEIGHT = 1.0  # of the log-spectral distance in units of 10 dB, against the perceptual loss


@dataclass
class LayerRecovery:
    """Inputs of the generator's second layer [n, 16, 16 d], 0 or more, their waveforms [n, num_samples, num_channels],
    and the objectives [n]."""

    layer: np.ndarray
    waveforms: np.ndarray
    objective: np.ndarray


def generate_from_layer(generator, layer):
    """Waveforms [n, num_samples, num_channels] of inputs of the second layer [n, 16, 16 d], in batches."""
    layer = np.asarray(layer, np.float32)
    return np.concatenate(
        [np.asarray(generator.from_first_layer(layer[i : i + BATCH])) for i in range(0, len(layer), BATCH)]
    )


@functools.lru_cache(maxsize=2)
def _compiled(generator, perceptual_loss, spectral_weight):
    """The objective, the descent, and the root mean square of what the first layer gives; kept, since compiling takes
    seconds."""
    objective = Objective(perceptual_loss, spectral_weight)
    descent = Descent(objective, generator.from_first_layer, tf.nn.relu)  # a ReLU's output is never negative
    usual = generator.first_layer(random_latent(generator, BATCH, 0))
    return objective, descent, float(tf.sqrt(tf.reduce_mean(usual**2)))


def recover_layer(
    targets,  # waveforms [n, num_samples] or [n, num_samples, num_channels]
    generator,  # models.generator.generator.Generator of a recognised WaveGAN
    z,  # latent vectors [n, latent_dim] to begin from, as models.recovery.recover.recover found them
    *,
    perceptual_loss=None,  # models.networks.classifier.PerceptualLoss
    spectral_weight=SPECTRAL_WEIGHT,  # of the log-spectral distance in units of 10 dB
    steps=STEPS,  # of Adam
    report=None,  # called with the number of clips that are left
):
    """Inputs of the generator's second layer whose sounds are closest to the targets → LayerRecovery.

    The objective of the answer is never above that of z. Raises ValueError for a generator that cannot be run from
    there.
    """
    if not generator.has_first_layer:
        raise ValueError(f"{generator.description}: it cannot be run from its first layer's output")
    targets = np.asarray(targets, np.float32).reshape(len(targets), -1, generator.num_channels)
    objective, descent, scale = _compiled(generator, perceptual_loss, spectral_weight)
    found = []
    for i in range(0, len(targets), AT_ONCE):
        originals = objective.originals(targets[i : i + AT_ONCE])
        begin = generator.first_layer(tf.constant(z[i : i + AT_ONCE], tf.float32))
        found.append(descent.run(begin, originals, steps, RATE * scale))
        if report:
            report(max(0, len(targets) - i - AT_ONCE))
    layer, values = (np.concatenate(column) for column in zip(*found))
    return LayerRecovery(layer, generate_from_layer(generator, layer), values)
