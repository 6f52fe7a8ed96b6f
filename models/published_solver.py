"""The published solver: L-BFGS-B on mean absolute errors and the perceptual loss, one clip after the other."""

import numpy as np
import scipy.optimize
import tensorflow as tf

from models.audio import spectrogram


class PublishedObjective:
    """The paper's objective for one clip: mean absolute error of the waveforms, plus that of the real parts of their
    spectrograms, plus the weighted perceptual loss (where there is a `models.classifier.PerceptualLoss`). Compiled
    once, for any number of targets.
    """

    def __init__(self, generator, perceptual_loss=None, perceptual_weight=0.002):
        self.generator, self.perceptual_loss, self.perceptual_weight = generator, perceptual_loss, perceptual_weight

    def _real_part(self, waveform):
        return spectrogram(tf.transpose(waveform[0]))[0]  # [num_channels, frames, bins]

    @tf.function
    def _objective_and_gradient(self, z, target, target_real, activations):
        with tf.GradientTape() as tape:
            tape.watch(z)
            waveform = self.generator(z)
            objective = tf.reduce_mean(tf.abs(waveform - target))
            objective += tf.reduce_mean(tf.abs(self._real_part(waveform) - target_real))
            if self.perceptual_loss:
                objective += self.perceptual_weight * tf.reduce_mean(
                    self.perceptual_loss(activations, waveform[..., 0])
                )
        return objective, tape.gradient(objective, z)

    def of(self, target):
        """A target [1, num_samples, num_channels] → function z [latent_dim] → (objective, gradient [latent_dim]), as
        SciPy wants it."""
        target = tf.constant(target)
        real = self._real_part(target)
        activations = self.perceptual_loss.activations(target[..., 0]) if self.perceptual_loss else []

        def function(z):
            objective, gradient = self._objective_and_gradient(
                tf.constant(z[None], tf.float32), target, real, activations
            )
            return float(objective), gradient[0].numpy().astype(np.float64)

        return function


def solve(targets, generator, start, max_iter, perceptual_loss=None, perceptual_weight=0.002, report=None):
    """Descends from latent vectors `start` [n, latent_dim] → z float32 [n, latent_dim], objectives [n], iterations [n].

    targets: waveforms [n, num_samples, num_channels]. max_iter: iterations of each clip. report: called with the number
    of clips left.
    """
    z, objective, iterations = np.zeros_like(start, np.float32), np.zeros(len(targets)), np.zeros(len(targets), int)
    published = PublishedObjective(generator, perceptual_loss, perceptual_weight)
    for i, target in enumerate(targets):
        result = scipy.optimize.minimize(
            published.of(target[None]),
            start[i].astype(np.float64),
            method="L-BFGS-B",
            jac=True,
            tol=1e-8,
            options={"maxiter": max_iter, "maxfun": 20 * max_iter},
        )
        z[i], objective[i], iterations[i] = result.x, result.fun, result.nit
        if report:
            report(len(targets) - i - 1)
    return z, objective, iterations
