"""The generator at the middle of its prior: what every clip asks that begins there, asked once a generator."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class Centre:
    """The waveform [1, samples * channels] at zero, averaged over the prior, its derivatives [1, k, samples * channels]
    by each coordinate times the prior's deviation, and the widths of that average, as Generator.jacobian gives them.
    """

    waveform: tf.Tensor
    tangents: tf.Tensor
    widths: list

    def jacobian(self, k):
        """Waveform, derivatives by k unknowns and widths, as Generator.jacobian returns them: the generator takes no
        part in those beyond its own."""
        beyond = k - self.tangents.shape[1]
        return self.waveform, tf.pad(self.tangents, [[0, 0], [0, beyond], [0, 0]]), self.widths


def centre(generator):
    """The Centre of a generator."""
    return generator.derived("centre", lambda: _centre(generator))


def _centre(generator):
    k = generator.latent_dim
    along = prior_deviation(generator) * np.eye(k, dtype=np.float32)
    return Centre(*generator.jacobian(np.zeros((1, k), np.float32), np.ones(1, np.float32), along[None]))


def is_central(generator, z, smoothing, directions):
    """Whether a Jacobian at z [k or more], averaged over the noise `smoothing` along directions [k or more, the same],
    is that of the Centre: what z holds beyond the k unknowns has no part in the generator.
    """
    k = generator.latent_dim
    along = prior_deviation(generator) * np.eye(len(directions), k)
    return not z[:k].any() and smoothing == 1 and np.array_equal(directions[:, :k], along)


def prior_deviation(generator):
    """The standard deviation of a coordinate under the generator's prior, no wider than uniform within its bounds."""
    usual = 1.0 if generator.prior == "normal" else 3**-0.5 * max(generator.bounds, 1.0)
    return min(usual if np.isfinite(usual) else 1.0, 3**-0.5 * generator.bounds)
