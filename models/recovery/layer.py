"""Beyond the range of the frozen generator: what its first layer makes of a latent vector is optimised in place of the
latent vector.

A hundred numbers reach few of the sounds that the layers after the first can make. Their input, 16 × 16 d numbers,
reaches far more of them (extended latent spaces: Abdal et al., arXiv 1904.03189). What comes out is no latent vector's
sound any more, and every table says so.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from models.audio.second import Second
from models.generator.generator import BATCH, random_latent
from models.recovery.descent import AT_ONCE, Descent, Objective
from models.recovery.placement import as_generated
from models.recovery.solution import Solution

STEPS = 120  # of Adam
RATE = 0.15  # of Adam at the first step, in units of the root mean square of what the first layer gives
LOG_SPECTRAL_WEIGHT = 1.0  # of the log-spectral distance in units of 10 dB, against the perceptual loss


def generate_from_layer(generator, layer):
    """Waveforms [n, num_samples, num_channels] of inputs of the second layer [n, 16, 16 d], in batches."""
    layer = np.asarray(layer, np.float32)
    return np.concatenate(
        [np.asarray(generator.from_first_layer(layer[i : i + BATCH])) for i in range(0, len(layer), BATCH)]
    )


@functools.lru_cache(maxsize=2)
def _compiled(generator, perceptual_loss, log_spectral_weight):
    """The objective, the descent, and the root mean square of what the first layer gives; kept, since compiling takes
    seconds."""
    second = Second(generator.num_samples, generator.sample_rate)
    objective = Objective(perceptual_loss, log_spectral_weight, second)
    descent = Descent(objective, generator.from_first_layer, tf.nn.relu)  # a ReLU's output is never negative
    usual = generator.first_layer(random_latent(generator, BATCH, 0))
    return objective, descent, float(tf.sqrt(tf.reduce_mean(usual**2)))


@dataclass(frozen=True)
class Layer:
    """The first layer's output is optimised too, from the latent vector that another solver ends at.

    after: that solver, or None to begin at the start itself. perceptual_loss: a PerceptualLoss, or None.
    log_spectral_weight: of the log-spectral distance in units of 10 dB. steps: of Adam.
    """

    after: object = None
    perceptual_loss: object = None
    log_spectral_weight: float = LOG_SPECTRAL_WEIGHT
    steps: int = STEPS

    def solve(self, targets, generator, start=None, *, seed=0, report=None):
        """targets: waveforms [n, num_samples, num_channels]. start: latent vectors [n, latent_dim]; None only with
        `after`. seed, report: as of models.recovery.recover.recover. → Solution, with the layer; its latent vectors and
        its iterations are those of `after`. The objective of the answer is never above that of these latent vectors.

        Raises ValueError for a generator that cannot be run from its first layer, and where there is nothing to begin
        from.
        """
        if not generator.has_first_layer:
            raise ValueError(f"{generator.description}: it cannot be run from its first layer's output")
        if self.after is None and start is None:
            raise ValueError("the first layer's space is searched from a start, or after another solver")
        if self.after is None:
            before = Solution(np.asarray(start, np.float32), np.full(len(start), np.nan), np.zeros(len(start), int))
        else:
            before = self.after.solve(targets, generator, start, seed=seed, report=report)
            targets = as_generated(targets, before)  # level, offset and position are not the layer's to learn
        objective, descent, scale = _compiled(generator, self.perceptual_loss, self.log_spectral_weight)
        answers = []
        for i in range(0, len(targets), AT_ONCE):
            originals = objective.originals(targets[i : i + AT_ONCE])
            begin = generator.first_layer(tf.constant(before.z[i : i + AT_ONCE], tf.float32))
            answers.append(descent.run(begin, originals, self.steps, RATE * scale))
            if report:
                report(max(0, len(targets) - i - AT_ONCE))
        layer, values = (np.concatenate(column) for column in zip(*answers))
        return replace(before, layer=layer, objective=values)
