"""What least-squares recovery minimises: how far a generated waveform is from the target, as a vector, with its
derivative by the latent vector.

The residual is the difference of the waveforms and, if wanted, of their compressed STFT magnitudes. The first is what
an exact answer needs; for a real recording, which no latent vector repeats sample by sample, the second finds a sound
that is alike where the phases cannot be. Near an exact answer the second only disturbs: compression makes the smallest
magnitudes, where there is hardly any sound, count and bend the most. So a problem whose waveform has come close goes on
with the waveform alone.
"""

import numpy as np
import tensorflow as tf

from models.audio import HOP_LENGTH, spectrogram

EXPONENT = 0.5  # of the STFT magnitudes: loudness grows roughly like this
FLOOR = 1e-3  # magnitude below which nothing is heard and the compression turns linear; a full-scale sine reaches 64
SILENCE = 1e-3  # energy of a target below which the objective is no longer relative to it
# Relative squared error of a waveform, 20 dB, below which an exact answer is near and the spectral part has done its
# work
CLOSE = 0.01
JACOBIANS_AT_ONCE = 4  # clips, to bound the memory


def compressed(real, imaginary):
    """STFT parts → compressed magnitude and what it is multiplied by to differentiate it."""
    power = real**2 + imaginary**2 + FLOOR**2
    magnitude = power ** (EXPONENT / 2)
    return magnitude, EXPONENT * magnitude / power


class Residual:
    """Least-squares problems for targets [n, num_samples, num_channels] under a generator, as
    `levenberg_marquardt.minimise` takes them.

    spectral: weight of the spectral part in [0, 1]; 0 is waveforms only, 1 is magnitudes only. Both parts are scaled to
    the target's own energy, so the objective is half the weighted mean of the two relative squared errors. A problem
    that `linearise` finds within 20 dB of its waveform is one of waveforms only from then on (not with spectral 1).
    """

    def __init__(self, generator, targets, spectral=0.0):
        self.generator = generator
        self.targets = tf.reshape(
            tf.convert_to_tensor(targets, tf.float32), (len(targets), -1)
        )  # [n, num_samples * num_channels]
        self._energy = tf.maximum(tf.reduce_sum(self.targets**2, axis=1), SILENCE)
        spectral = spectral if generator.num_samples >= HOP_LENGTH else 0.0  # less has no spectrum
        if spectral:
            self._magnitudes = compressed(*self._stft(self.targets))[0]  # [n, channels * frames * bins]
            self._spectral_energy = tf.reduce_sum(self._magnitudes**2, axis=1)
        self.weights = np.full(len(targets), spectral, np.float32)  # of the spectral part, [n]

    def _stft(self, flat):
        """[..., num_samples * num_channels] → real and imaginary part, each [..., channels * frames * bins]."""
        shape = tf.shape(flat)
        waves = tf.reshape(flat, (-1, self.generator.num_samples, self.generator.num_channels))
        waves = tf.reshape(tf.transpose(waves, (0, 2, 1)), (-1, self.generator.num_samples))
        return [tf.reshape(part, tf.concat([shape[:-1], [-1]], 0)) for part in spectrogram(waves)]

    @tf.function(reduce_retracing=True)
    def _errors(self, z, index, spectral):
        """z [m, latent_dim] → relative squared errors [m] of the waveforms and, where `spectral` is True, of the
        magnitudes, else 0.
        """
        waveform = tf.reshape(self.generator(z), (tf.shape(z)[0], -1))
        of_waveforms = tf.reduce_sum((waveform - tf.gather(self.targets, index)) ** 2, axis=1) / tf.gather(
            self._energy, index
        )
        if not spectral:
            return of_waveforms, tf.zeros_like(of_waveforms)
        difference = compressed(*self._stft(waveform))[0] - tf.gather(self._magnitudes, index)
        return of_waveforms, tf.reduce_sum(difference**2, axis=1) / tf.gather(self._spectral_energy, index)

    @tf.function(reduce_retracing=True)
    def _linearised(self, z, index, smoothing, weights, spectral):
        waveform, tangents = self.generator.jacobian(z, smoothing)  # means over the noise, [m, s], [m, k, s]
        scale = tf.sqrt((1 - weights) / tf.gather(self._energy, index))[:, None]
        residuals, jacobians = [scale * (waveform - tf.gather(self.targets, index))], [scale[:, None] * tangents]
        if spectral:
            scale = tf.sqrt(weights / tf.gather(self._spectral_energy, index))[:, None]
            real, imaginary = self._stft(waveform)
            tangent_real, tangent_imaginary = self._stft(tangents)
            magnitude, slope = compressed(real, imaginary)
            residuals.append(scale * (magnitude - tf.gather(self._magnitudes, index)))
            jacobians.append(
                (scale * slope)[:, None] * (real[:, None] * tangent_real + imaginary[:, None] * tangent_imaginary)
            )
        gradient, normal = 0.0, 0.0
        for residual, jacobian in zip(
            residuals, jacobians
        ):  # in float64: the condition of the normal equations is that of J squared
            residual, jacobian = tf.cast(residual, tf.float64), tf.cast(jacobian, tf.float64)
            gradient += tf.einsum("nks,ns->nk", jacobian, residual)
            normal += tf.matmul(jacobian, jacobian, transpose_b=True)
        return gradient, normal

    def _measured(self, z, index):
        """z [m, k] → the two relative squared errors [m] of the targets `index` [m], and the objectives [m] that they
        make.
        """
        weights = self.weights[index].astype(np.float64)
        errors = self._errors(tf.constant(z, tf.float32), tf.constant(index, tf.int32), bool(weights.any()))
        of_waveforms, of_magnitudes = (error.numpy().astype(np.float64) for error in errors)
        return of_waveforms, of_magnitudes, 0.5 * ((1 - weights) * of_waveforms + weights * of_magnitudes)

    def evaluate(self, z, index):
        """z [m, k] → objectives [m] of the targets `index` [m]."""
        return self._measured(z, index)[2]

    def linearise(self, z, index, smoothing):
        """z [m, k] → objectives [m], and of the problems averaged over latent noise gradients [m, k] and normal
        matrices [m, k, k], float64.

        index: [m], which targets. smoothing: [m], standard deviation of the noise. Turns problems that are close into
        ones of waveforms only.
        """
        of_waveforms, _, objectives = self._measured(z, index)
        close = (of_waveforms < CLOSE) & (self.weights[index] < 1)
        self.weights[index[close]] = 0
        objectives = np.where(close, 0.5 * of_waveforms, objectives)
        parts = []
        for i in range(0, len(z), JACOBIANS_AT_ONCE):
            part = slice(i, i + JACOBIANS_AT_ONCE)
            weights = self.weights[index[part]]
            arguments = [tf.constant(a[part], tf.float32) for a in (z, smoothing)]
            parts.append(
                self._linearised(
                    arguments[0],
                    tf.constant(index[part], tf.int32),
                    arguments[1],
                    tf.constant(weights),
                    bool(weights.any()),
                )
            )
        return objectives, *(np.concatenate(column) for column in zip(*parts))
