"""What least-squares recovery minimises: how far a generated waveform is from the target, as a vector, with its derivative by the latent vector.

The residual is the difference of the waveforms and, if wanted, of their compressed STFT magnitudes. The first is what an exact answer needs; for a
real recording, which no latent vector repeats sample by sample, the second finds a sound that is alike where the phases cannot be.
"""

import numpy as np
import tensorflow as tf

from models.audio import spectrogram

EXPONENT = 0.5  # of the STFT magnitudes: loudness grows roughly like this
FLOOR = 1e-3  # magnitude below which nothing is heard and the compression turns linear; a full-scale sine reaches 64
SILENCE = 1e-3  # energy of a target below which the objective is no longer relative to it
JACOBIANS_AT_ONCE = 4  # clips, to bound the memory


def compressed(real, imaginary):
    """STFT parts → compressed magnitude and what it is multiplied by to differentiate it."""
    power = real**2 + imaginary**2 + FLOOR**2
    magnitude = power ** (EXPONENT / 2)
    return magnitude, EXPONENT * magnitude / power


class Residual:
    """Least-squares problems for targets [n, num_samples, num_channels] under a generator, as `levenberg_marquardt.minimise` takes them.

    spectral: weight of the spectral part in [0, 1]; 0 is waveforms only, 1 is magnitudes only. Both parts are scaled to the target's own energy, so
    the objective is half the weighted mean of the two relative squared errors.
    """

    def __init__(self, generator, targets, spectral=0.0):
        self.generator, self.spectral = generator, spectral
        self.targets = tf.reshape(tf.convert_to_tensor(targets, tf.float32), (len(targets), -1))  # [n, num_samples * num_channels]
        energy = tf.maximum(tf.reduce_sum(self.targets**2, axis=1), SILENCE)
        self._wave_scale = tf.sqrt((1 - spectral) / energy)[:, None]
        if spectral:
            self._magnitudes = compressed(*self._stft(self.targets))[0]  # [n, channels * frames * bins]
            self._spectral_scale = tf.sqrt(spectral / tf.reduce_sum(self._magnitudes**2, axis=1))[:, None]

    def _stft(self, flat):
        """[..., num_samples * num_channels] → real and imaginary part, each [..., channels * frames * bins]."""
        shape = tf.shape(flat)
        waves = tf.reshape(flat, (-1, self.generator.num_samples, self.generator.num_channels))
        waves = tf.reshape(tf.transpose(waves, (0, 2, 1)), (-1, self.generator.num_samples))
        return [tf.reshape(part, tf.concat([shape[:-1], [-1]], 0)) for part in spectrogram(waves)]

    @tf.function(reduce_retracing=True)
    def _objective(self, z, index):
        waveform = tf.reshape(self.generator(z), (tf.shape(z)[0], -1))
        total = tf.reduce_sum((tf.gather(self._wave_scale, index) * (waveform - tf.gather(self.targets, index))) ** 2, axis=1)
        if self.spectral:
            difference = compressed(*self._stft(waveform))[0] - tf.gather(self._magnitudes, index)
            total += tf.reduce_sum((tf.gather(self._spectral_scale, index) * difference) ** 2, axis=1)
        return 0.5 * total

    @tf.function(reduce_retracing=True)
    def _linearised(self, z, index, smoothing):
        objective = self._objective(z, index)
        waveform, tangents = self.generator.jacobian(z, smoothing)  # means over the noise, [m, s], [m, k, s]
        scale = tf.gather(self._wave_scale, index)
        residuals, jacobians = [scale * (waveform - tf.gather(self.targets, index))], [scale[:, None] * tangents]
        if self.spectral:
            scale = tf.gather(self._spectral_scale, index)
            real, imaginary = self._stft(waveform)
            magnitude, slope = compressed(real, imaginary)
            tangent_real, tangent_imaginary = self._stft(tangents)
            residuals.append(scale * (magnitude - tf.gather(self._magnitudes, index)))
            jacobians.append((scale * slope)[:, None] * (real[:, None] * tangent_real + imaginary[:, None] * tangent_imaginary))
        gradient, normal = 0.0, 0.0
        for residual, jacobian in zip(residuals, jacobians):  # in float64: the condition of the normal equations is that of J squared
            residual, jacobian = tf.cast(residual, tf.float64), tf.cast(jacobian, tf.float64)
            gradient += tf.einsum("nks,ns->nk", jacobian, residual)
            normal += tf.matmul(jacobian, jacobian, transpose_b=True)
        return tf.cast(objective, tf.float64), gradient, normal

    def evaluate(self, z, index):
        """z [m, k] → objectives [m] of the targets `index` [m]."""
        return self._objective(tf.constant(z, tf.float32), tf.constant(index, tf.int32)).numpy().astype(np.float64)

    def linearise(self, z, index, smoothing):
        """z [m, k] → objectives [m], gradients [m, k] and normal matrices [m, k, k] of the targets `index` [m], float64."""
        parts = []
        for i in range(0, len(z), JACOBIANS_AT_ONCE):
            part = slice(i, i + JACOBIANS_AT_ONCE)
            arguments = tf.constant(z[part], tf.float32), tf.constant(index[part], tf.int32), tf.constant(smoothing[part], tf.float32)
            parts.append([a.numpy() for a in self._linearised(*arguments)])
        return [np.concatenate(column) for column in zip(*parts)]
