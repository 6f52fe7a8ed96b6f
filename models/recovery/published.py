"""The published solver: SciPy's L-BFGS-B on mean absolute errors and the perceptual loss, clip after clip."""

from dataclasses import dataclass

import numpy as np
import scipy.optimize
import tensorflow as tf

from models.audio.clip import spectrogram
from models.audio.second import Second
from models.recovery.problem import Answer
from models.recovery.starts import random_starts

SHORT = 5  # iterations that take about as long as a Jacobian


class PublishedObjective:
    """The paper's objective of each clip: mean absolute error of the waveforms, plus that of the real parts of their
    spectrograms, plus the weighted perceptual loss (where there is a `models.networks.classifier.PerceptualLoss`).
    Compiled once, for any number of clips.
    """

    def __init__(self, generator, perceptual_loss=None, perceptual_weight=0.002):
        self.generator, self.perceptual_loss, self.perceptual_weight = generator, perceptual_loss, perceptual_weight
        self.second = Second(generator.num_samples, generator.sample_rate)

    def originals(self, waveforms):
        """Targets [n, num_samples, num_channels] → all that the objective has to know of them, a list of tensors
        [n, …].
        """
        waveforms = tf.convert_to_tensor(waveforms, tf.float32)
        begin, activations = self.second.begin(waveforms), []
        if self.perceptual_loss:
            activations = self.perceptual_loss.activations(self.second(waveforms, begin))
        return [waveforms, _real_parts(waveforms), begin, *activations]

    def values_and_gradients(self, z, originals):
        """Latent vectors [n, latent_dim] and the originals of as many clips → objectives [n] and their gradients
        [n, latent_dim], float64.
        """
        values, gradients = self._compiled(tf.constant(z, tf.float32), originals)
        return values.numpy().astype(np.float64), gradients.numpy().astype(np.float64)

    @tf.function(reduce_retracing=True, autograph=False)
    def _compiled(self, z, originals):
        target, real, begin, *activations = originals
        with tf.GradientTape() as tape:
            tape.watch(z)
            waveform = self.generator(z)
            values = tf.reduce_mean(tf.abs(waveform - target), axis=(1, 2))
            values += tf.reduce_mean(tf.abs(_real_parts(waveform) - real), axis=(1, 2, 3))
            if self.perceptual_loss:
                values += self.perceptual_weight * self.perceptual_loss(activations, self.second(waveform, begin))
        return values, tape.gradient(values, z)


def _real_parts(waveforms):
    """Waveforms [n, samples, channels] → real parts of their spectrograms [n, channels, frames, bins]."""
    samples, channels = waveforms.shape[1:]
    real = spectrogram(tf.reshape(tf.transpose(waveforms, (0, 2, 1)), (-1, samples)))[0]
    return tf.reshape(real, (-1, channels, *real.shape[1:]))


@dataclass(frozen=True)
class LBFGSB:
    """The paper's solver (section 3.3): L-BFGS-B on the published objective.

    max_iter: iterations of each clip. perceptual_loss: models.networks.classifier.PerceptualLoss, or None.
    perceptual_weight: of it; 1 in the authors' recovery script, 0.002 in their metrics.
    """

    max_iter: int = 200
    perceptual_loss: object = None
    perceptual_weight: float = 1.0

    solves_exactly = False  # whether an answer may be exact: it compares waveforms sample by sample

    def solve(self, problems, *, seed=0, report=None):
        """As models.recovery.problem says, one clip after the other, from random latent vectors where a Problem has no
        start.
        """
        generator = problems[0].generator
        published = PublishedObjective(generator, self.perceptual_loss, self.perceptual_weight)
        for i, problem in enumerate(problems):
            target, begin, drawn = problem.target[None], problem.start, None
            if begin is None:
                stream = [0, *np.atleast_1d(seed)]
                begin = drawn = random_starts(target, generator.latent_dim, stream, generator.prior)[0]
            originals = published.originals(target)
            longest = min(self.max_iter, SHORT * problem.budget) if problem.budget else self.max_iter

            def function(z, known=originals):
                (value,), (gradient,) = published.values_and_gradients(z[None], known)
                return value, gradient

            result = scipy.optimize.minimize(
                function,
                begin.astype(np.float64),
                method="L-BFGS-B",
                jac=True,
                tol=1e-8,
                options={"maxiter": longest, "maxfun": 20 * longest},
            )
            yield i, Answer(result.x.astype(np.float32), float(result.fun), int(result.nit), "L-BFGS-B", start=drawn)
            if report:
                report(len(problems) - i - 1)
