"""How far a generated waveform is from its target, as a vector, with its derivatives: what least-squares recovery
computes, compiled once a generator.
"""

import numpy as np
import tensorflow as tf

from models.audio.clip import HOP_LENGTH, spectrogram

EXPONENT = 0.5  # of the STFT magnitudes: loudness grows roughly like this
FLOOR = 1e-3  # magnitude below which nothing is heard and the compression turns linear; a full-scale sine reaches 64
BOUNDED = -1.0  # the weight of a sample that has to be as far from zero as the target's, or farther
SILENCE = 1e-3  # energy of a target below which the objective is no longer relative to it


def compressed(real, imaginary):
    """STFT parts → compressed magnitude and what it is multiplied by to differentiate it."""
    power = real**2 + imaginary**2 + FLOOR**2
    magnitude = power ** (EXPONENT / 2)
    return magnitude, EXPONENT * magnitude / power


def relative(flat, weights):
    """Weights [n, s] of the samples of targets [n, s], scaled to a weighted energy of 1; float32. Weights below 0 are
    of samples that were clipped."""
    energy = np.sum((flat * weights) ** 2, axis=1, keepdims=True)
    return (weights / np.sqrt(np.maximum(energy, SILENCE))).astype(np.float32)


def mismatch(generator):
    """The Mismatch of a generator, made once, since compiling it takes seconds."""
    return generator.derived("mismatch", lambda: Mismatch(generator))


class Mismatch:
    """Functions of latent vectors z [m, latent_dim] and of the originals of as many clips.

    Three more coordinates behind those of a latent vector, where there are any, are the natural logarithm of a gain, an
    offset and a delay in samples, all of them small: the waveform compared is gain · (w − delay · dw/dt) + offset.
    Where the originals hold magnitudes, residuals have two parts, the waveforms and the magnitudes, each relative to
    the target's own energy; else there is the first part only. Excerpts, int32 [m, EXCERPTS], say that the originals
    are those of excerpts, as models/generator/excerpts.py has them.
    """

    def __init__(self, generator):
        self.generator = generator
        self.has_spectrum = generator.num_samples >= HOP_LENGTH  # less has none
        self._compiled = {}

    def _run(self, function, z, originals, *others):
        """A function of tensors [m, …], compiled at its first use for any m, with magnitudes and without."""
        key = function.__name__, len(originals), originals[0].shape[1], z.shape[1]
        arguments = z, originals, *others
        if key not in self._compiled:
            specs = tf.nest.map_structure(lambda a: tf.TensorSpec([None, *a.shape[1:]], a.dtype), arguments)
            self._compiled[key] = tf.function(function, autograph=False).get_concrete_function(*specs)
        return self._compiled[key](*arguments)

    def errors(self, z, originals):
        """Latent vectors and originals → relative squared errors, a list of one or two [m]."""
        return self._run(self._errors, z, originals)

    def gradient(self, z, originals, smoothing, widths, weights, *excerpts):
        """The gradients [m, latent_dim] of half the squared residuals of the waveform averaged over latent noise of
        deviation `smoothing` [m]. widths: of `linearised`. weights: of the parts, a list of [m].
        """
        return self._run(self._gradient, z, originals, smoothing, widths, weights, *excerpts)

    def averaged_errors(self, z, originals, smoothing, widths, *excerpts):
        """As `errors`, of waveforms averaged over latent noise."""
        return self._run(self._averaged_errors, z, originals, smoothing, widths, *excerpts)

    def linearised(self, z, originals, smoothing, directions, *excerpts):
        """The normal matrices of the parts along directions [m, k, latent_dim], averaged in the same way, a list of
        [m, k, k] in float64, and the widths.
        """
        return self._run(self._linearised, z, originals, smoothing, directions, *excerpts)

    def normals(self, z, originals, directions, flat, tangents):
        """The same normal matrices, from the generator's waveforms [m, s] and tangents [m, k, s]."""
        return self._run(self._normals, z, originals, directions, flat, tangents)

    def originals(self, targets):
        """Targets [n, num_samples, num_channels] → what their comparison needs, a list of tensors [n, …]: of the
        waveforms themselves and each sample's weight, 1 / sqrt(energy), and the same of the magnitudes, whose weight
        is one number.
        """
        flat = tf.reshape(tf.convert_to_tensor(targets, tf.float32), (len(targets), -1))  # [n, samples * channels]
        originals = [flat, tf.constant(relative(flat.numpy(), np.ones(flat.shape)))]
        if self.has_spectrum:
            magnitudes = compressed(*self._stft(flat))[0]  # [n, channels * frames * bins]
            originals += [magnitudes, tf.math.rsqrt(tf.reduce_sum(magnitudes**2, axis=1))[:, None]]
        return originals

    def _stft(self, flat):
        """[..., num_samples * num_channels] → real and imaginary part, each [..., channels * frames * bins]."""
        shape = tf.shape(flat)
        waves = tf.reshape(flat, (-1, self.generator.num_samples, self.generator.num_channels))
        waves = tf.reshape(tf.transpose(waves, (0, 2, 1)), (-1, self.generator.num_samples))
        return [tf.reshape(part, tf.concat([shape[:-1], [-1]], 0)) for part in spectrogram(waves)]

    def _residuals(self, waveform, originals):
        """Waveforms [m, s] → how far they are from the originals, a list of one or two arrays [m, …]."""
        parts = [(waveform - originals[0]) * self._weights(waveform, originals)]
        if len(originals) > 2:
            parts.append((compressed(*self._stft(waveform))[0] - originals[2]) * originals[3])
        return parts

    def _weights(self, waveform, originals):
        """The weight of each sample of waveforms [m, s], 0 where a clipped one is as far from zero as it has to be."""
        target, weights = originals[:2]
        beyond = (waveform - target) * tf.sign(target) > 0
        return tf.where((weights < 0) & beyond, 0.0, weights)

    def _tangents(self, waveform, tangents, originals):
        """Waveforms [m, s] and tangents [m, k, s] of theirs → those of the residuals, a list of [m, k, …]."""
        parts = [tangents * self._weights(waveform, originals)[:, None]]
        if len(originals) > 2:
            real, imaginary = self._stft(waveform)
            tangent_real, tangent_imaginary = self._stft(tangents)
            slope = compressed(real, imaginary)[1] * originals[3]
            parts.append((slope * real)[:, None] * tangent_real + (slope * imaginary)[:, None] * tangent_imaginary)
        return parts

    def _derivative(self, flat):
        """−dw/dt of waveforms [..., samples * channels], by central differences."""
        channels = self.generator.num_channels
        padded = tf.pad(flat, [[0, 0]] * (flat.shape.rank - 1) + [[channels, channels]])
        return 0.5 * (padded[..., : -2 * channels] - padded[..., 2 * channels :])

    def _moved(self, flat, z):
        """Waveforms [m, samples * channels] with the gain, offset and delay that z [m, k] has."""
        if z.shape[1] == self.generator.latent_dim:
            return flat
        level, offset, delay = tf.unstack(z[:, self.generator.latent_dim :, None], axis=1)
        return tf.exp(level) * (flat + delay * self._derivative(flat)) + offset

    def _moved_tangents(self, flat, tangents, z, directions):
        """The tangents [m, k, samples * channels] of the same along directions [m, k, k]."""
        if z.shape[1] == self.generator.latent_dim:
            return tangents
        level, offset, delay = tf.unstack(z[:, self.generator.latent_dim :, None], axis=1)  # each [m, 1]
        along = directions[:, :, self.generator.latent_dim :, None]  # [m, k, 3, 1]
        slope = self._derivative(flat)
        gain = tf.exp(level)
        tangents = gain[:, None] * (tangents + delay[:, None] * self._derivative(tangents))
        tangents += along[:, :, 0] * (gain * (flat + delay * slope))[:, None]
        return tangents + along[:, :, 1] + along[:, :, 2] * (gain * slope)[:, None]

    def _latent(self, z):
        return z[..., : self.generator.latent_dim]

    def _flat(self, waveform):
        return tf.reshape(waveform, (-1, waveform.shape[1] * waveform.shape[2]))

    def _errors(self, z, originals):
        waveform = self._moved(self._flat(self.generator(self._latent(z))), z)
        return [tf.reduce_sum(part**2, axis=1) for part in self._residuals(waveform, originals)]

    def _averaged(self, z, *others):
        return self._moved(self._flat(self.generator.smoothed(self._latent(z), *others)), z)

    def _averaged_errors(self, z, originals, *others):
        waveform = self._averaged(z, *others)
        return [tf.reduce_sum(part**2, axis=1) for part in self._residuals(waveform, originals)]

    def _gradient(self, z, originals, smoothing, widths, weights, *excerpts):
        with tf.GradientTape() as tape:
            tape.watch(z)
            waveform = self._averaged(z, smoothing, widths, *excerpts)
            parts = zip(self._residuals(waveform, originals), weights)
            half = tf.add_n([0.5 * weight * tf.reduce_sum(part**2, axis=1) for part, weight in parts])
        return tape.gradient(half, z)

    def _linearised(self, z, originals, smoothing, directions, *excerpts):
        # means over the noise, [m, s] and [m, k, s]
        asked = self._latent(z), smoothing, self._latent(directions), *excerpts
        flat, tangents, widths = self.generator.jacobian(*asked)
        return self._normals(z, originals, directions, flat, tangents), widths

    def _normals(self, z, originals, directions, flat, tangents):
        waveform, tangents = self._moved(flat, z), self._moved_tangents(flat, tangents, z, directions)
        # in float64: the condition of the normal equations is that of J squared
        jacobians = [tf.cast(part, tf.float64) for part in self._tangents(waveform, tangents, originals)]
        return [tf.matmul(jacobian, jacobian, transpose_b=True) for jacobian in jacobians]
