"""Beyond the range of the frozen generator: what its first layer makes of a latent vector is optimised in place of the
latent vector.

A hundred numbers reach few of the sounds that the layers after the first can make. Their input, 16 × 16 d numbers,
reaches far more of them (extended latent spaces: Abdal et al., arXiv 1904.03189). What comes out is no latent vector's
sound any more, and every table says so.
"""

from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from models.audio.second import Second
from models.generator.generator import BATCH, random_latent
from models.recovery.alignment import as_generated
from models.recovery.ear import AT_ONCE, Descent, Objective

STEPS = 120  # of Adam
RATE = 0.15  # of Adam at the first step, in units of the root mean square of what the first layer gives
LOG_SPECTRAL_WEIGHT = 1.0  # of the log-spectral distance in units of 10 dB, against the perceptual loss


def generate_from_layer(generator, layer):
    """Waveforms [n, num_samples, num_channels] of inputs of the second layer [n, 16, 16 d], in batches."""
    layer = np.asarray(layer, np.float32)
    return np.concatenate(
        [np.asarray(generator.from_first_layer(layer[i : i + BATCH])) for i in range(0, len(layer), BATCH)]
    )


def _descent(generator, perceptual_loss, log_spectral_weight):
    """The objective, the descent, and the root mean square of what the first layer gives; made once, since compiling
    takes seconds."""

    def make():
        second = Second(generator.num_samples, generator.sample_rate)
        objective = Objective(perceptual_loss, log_spectral_weight, second)
        descent = Descent(objective, generator.from_first_layer, tf.nn.relu)  # a ReLU's output is never negative
        usual = generator.first_layer(random_latent(generator, BATCH, 0))
        return objective, descent, float(tf.sqrt(tf.reduce_mean(usual**2)))

    return generator.derived(("descent of the layer", perceptual_loss, log_spectral_weight), make)


@dataclass(frozen=True)
class Layer:
    """The first layer's output is optimised too, from the latent vectors that a solver has ended at.

    perceptual_loss: a PerceptualLoss, or None. log_spectral_weight: of the log-spectral distance in units of 10 dB.
    steps: of Adam.
    """

    perceptual_loss: object = None
    log_spectral_weight: float = LOG_SPECTRAL_WEIGHT
    steps: int = STEPS

    def further(self, targets, answers, generator):
        """Answers to targets [n, num_samples, num_channels] → the same with their `layer`, whose objective is never
        above that of their latent vectors; level, offset and position stay as they were found.

        Raises ValueError for a generator that cannot be run from its first layer.
        """
        if not generator.has_first_layer:
            raise ValueError(f"{generator.description}: it cannot be run from its first layer's output")
        objective, descent, scale = _descent(generator, self.perceptual_loss, self.log_spectral_weight)
        targets = np.stack([as_generated(target, answer.alignment) for target, answer in zip(targets, answers)])
        result = []
        for i in range(0, len(targets), AT_ONCE):
            originals = objective.originals(targets[i : i + AT_ONCE])
            begin = generator.first_layer(np.stack([answer.z for answer in answers[i : i + AT_ONCE]]))
            layers, values = descent.run(begin, originals, self.steps, RATE * scale)
            for answer, layer, value in zip(answers[i : i + AT_ONCE], layers, values):
                result.append(replace(answer, layer=layer, objective=float(value), of_waveform=False))
        return result
