"""A frozen generator, whatever it is made of: a differentiable function from latent vectors to waveforms."""

import numpy as np
import tensorflow as tf

from models.audio import PUBLISHED

BATCH = 64  # waveforms generated, or latent vectors predicted, at once


class Generator:
    """A frozen, differentiable generator.

    latent_dim, num_samples, num_channels: the shapes of its input and output.
    preparation: how its training clips were prepared (`clip.json`).
    description: what it is, for people. sha256: of its variables, whatever form it runs in.

    Called on z [n, latent_dim], it returns waveforms [n, num_samples, num_channels].
    """

    def __init__(self, function, latent_dim, description, sha256, preparation=PUBLISHED):
        self._function, self.latent_dim = function, latent_dim
        self.description, self.sha256, self.preparation = description, sha256, preparation
        waveform = self(np.zeros((1, latent_dim), np.float32))
        self.num_samples, self.num_channels = int(waveform.shape[1]), int(waveform.shape[2])

    def __call__(self, z):
        waveform = self._function(tf.convert_to_tensor(z, tf.float32))
        return waveform[..., None] if waveform.shape.rank == 2 else waveform  # [n, num_samples, num_channels]

    def jacobian(self, z, smoothing):
        """z [n, latent_dim] → waveforms [n, num_samples * num_channels] and the derivative [n, latent_dim, num_samples * num_channels].

        Forward mode: the latent_dim tangents go through the generator as one batch, which is far cheaper than one backward pass a sample.
        smoothing: [n], the standard deviation of the latent noise over which the derivative is averaged; only a recognised WaveGAN can do that,
        here it is the plain derivative.
        """
        z = tf.convert_to_tensor(z, tf.float32)
        repeated = tf.repeat(z, self.latent_dim, axis=0)  # [n k, k]
        tangents = tf.tile(tf.eye(self.latent_dim), [tf.shape(z)[0], 1])
        with tf.autodiff.ForwardAccumulator(repeated, tangents) as forward:
            waveform = self(repeated)
        size = self.num_samples * self.num_channels
        derivative = tf.reshape(forward.jvp(waveform, unconnected_gradients=tf.UnconnectedGradients.ZERO), (-1, self.latent_dim, size))
        return tf.reshape(waveform, (-1, self.latent_dim, size))[:, 0], derivative


def generate(generator, z):
    """Waveforms [n, num_samples, num_channels] of latent vectors [n, latent_dim], in batches."""
    z = np.asarray(z, np.float32)
    return np.concatenate([np.asarray(generator(z[i : i + BATCH])) for i in range(0, len(z), BATCH)])


def random_latent(generator, n, seed):
    """n latent vectors from WaveGAN's prior, uniform on [-1, 1]: float32 [n, latent_dim]."""
    return np.random.default_rng(seed).uniform(-1, 1, (n, generator.latent_dim)).astype(np.float32)
