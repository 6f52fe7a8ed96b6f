"""How far a generated waveform is from its target, as a vector, with its derivatives: what least-squares recovery
computes, compiled once a generator.
"""

import functools

import tensorflow as tf

from models.audio.clip import HOP_LENGTH, spectrogram

EXPONENT = 0.5  # of the STFT magnitudes: loudness grows roughly like this
FLOOR = 1e-3  # magnitude below which nothing is heard and the compression turns linear; a full-scale sine reaches 64
SILENCE = 1e-3  # energy of a target below which the objective is no longer relative to it


def compressed(real, imaginary):
    """STFT parts → compressed magnitude and what it is multiplied by to differentiate it."""
    power = real**2 + imaginary**2 + FLOOR**2
    magnitude = power ** (EXPONENT / 2)
    return magnitude, EXPONENT * magnitude / power


@functools.lru_cache(maxsize=4)
def mismatch(generator):
    """The Mismatch of a generator; kept, since compiling it takes seconds."""
    return Mismatch(generator)


class Mismatch:
    """Functions of latent vectors z [m, latent_dim] and of the originals of as many clips.

    Where the originals hold magnitudes, residuals have two parts, the waveforms and the magnitudes, each relative to
    the target's own energy; else there is the first part only.
    """

    def __init__(self, generator):
        self.generator = generator
        self.has_spectrum = generator.num_samples >= HOP_LENGTH  # less has none
        self._compiled = {}

    def _run(self, function, z, known, *others):
        """A function of tensors [m, …], compiled at its first use for any m, with magnitudes and without."""
        key, arguments = (function.__name__, len(known)), (z, known, *others)
        if key not in self._compiled:
            specs = tf.nest.map_structure(lambda a: tf.TensorSpec([None, *a.shape[1:]], a.dtype), arguments)
            self._compiled[key] = tf.function(function, autograph=False).get_concrete_function(*specs)
        return self._compiled[key](*arguments)

    def errors(self, z, known):
        """Latent vectors and originals → relative squared errors, a list of one or two [m]."""
        return self._run(self._errors, z, known)

    def gradient(self, z, known, smoothing, widths, weights):
        """The gradients [m, latent_dim] of half the squared residuals of the waveform averaged over latent noise of
        deviation `smoothing` [m]. widths: of `linearised`. weights: of the parts, a list of [m].
        """
        return self._run(self._gradient, z, known, smoothing, widths, weights)

    def linearised(self, z, known, smoothing):
        """The normal matrices of the parts, averaged in the same way, a list of [m, latent_dim, latent_dim] in float64,
        and the widths.
        """
        return self._run(self._linearised, z, known, smoothing)

    def originals(self, targets):
        """Targets [n, num_samples, num_channels] → all that has to be known of them, a list of tensors [n, …]: of the
        waveforms themselves and 1 / sqrt(energy), and the same of the magnitudes.
        """
        flat = tf.reshape(tf.convert_to_tensor(targets, tf.float32), (len(targets), -1))  # [n, samples * channels]
        known = [flat, tf.math.rsqrt(tf.maximum(tf.reduce_sum(flat**2, axis=1), SILENCE))[:, None]]
        if self.has_spectrum:
            magnitudes = compressed(*self._stft(flat))[0]  # [n, channels * frames * bins]
            known += [magnitudes, tf.math.rsqrt(tf.reduce_sum(magnitudes**2, axis=1))[:, None]]
        return known

    def _stft(self, flat):
        """[..., num_samples * num_channels] → real and imaginary part, each [..., channels * frames * bins]."""
        shape = tf.shape(flat)
        waves = tf.reshape(flat, (-1, self.generator.num_samples, self.generator.num_channels))
        waves = tf.reshape(tf.transpose(waves, (0, 2, 1)), (-1, self.generator.num_samples))
        return [tf.reshape(part, tf.concat([shape[:-1], [-1]], 0)) for part in spectrogram(waves)]

    def _residuals(self, waveform, known):
        """Waveforms [m, s] → how far they are from the originals, a list of one or two arrays [m, …]."""
        found = [(waveform - known[0]) * known[1]]
        if len(known) > 2:
            found.append((compressed(*self._stft(waveform))[0] - known[2]) * known[3])
        return found

    def _tangents(self, waveform, tangents, known):
        """Waveforms [m, s] and tangents [m, k, s] of theirs → those of the residuals, a list of [m, k, …]."""
        found = [tangents * known[1][:, None]]
        if len(known) > 2:
            real, imaginary = self._stft(waveform)
            tangent_real, tangent_imaginary = self._stft(tangents)
            slope = compressed(real, imaginary)[1] * known[3]
            found.append((slope * real)[:, None] * tangent_real + (slope * imaginary)[:, None] * tangent_imaginary)
        return found

    def _flat(self, waveform):
        return tf.reshape(waveform, (-1, self.generator.num_samples * self.generator.num_channels))

    def _errors(self, z, known):
        return [tf.reduce_sum(part**2, axis=1) for part in self._residuals(self._flat(self.generator(z)), known)]

    def _gradient(self, z, known, smoothing, widths, weights):
        with tf.GradientTape() as tape:
            tape.watch(z)
            waveform = self._flat(self.generator.smoothed(z, smoothing, widths))
            parts = zip(self._residuals(waveform, known), weights)
            half = tf.add_n([0.5 * weight * tf.reduce_sum(part**2, axis=1) for part, weight in parts])
        return tape.gradient(half, z)

    def _linearised(self, z, known, smoothing):
        waveform, tangents, widths = self.generator.jacobian(z, smoothing)  # means over the noise, [m, s], [m, k, s]
        # in float64: the condition of the normal equations is that of J squared
        jacobians = [tf.cast(part, tf.float64) for part in self._tangents(waveform, tangents, known)]
        return [tf.matmul(jacobian, jacobian, transpose_b=True) for jacobian in jacobians], widths
