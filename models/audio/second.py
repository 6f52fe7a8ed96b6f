"""The second that classifier, judge and spectral metrics take of a clip: 16,384 samples of one channel at 16,384 Hz."""

import numpy as np
import tensorflow as tf

from models.audio.clip import NUM_SAMPLES, SAMPLE_RATE


class Second:
    """Cuts that second out of clips of `num_samples` at `sample_rate` in Hz, and out of their reconstructions.

    Channels are averaged, the rate is changed by the Fourier transform, which is linear, so gradients pass, and the
    second is that of the target which holds most energy; a shorter clip is padded with zeros at its end. A clip that is
    such a second already stays as it is.
    """

    def __init__(self, num_samples=NUM_SAMPLES, sample_rate=SAMPLE_RATE):
        self.num_samples, self.same_rate = num_samples, sample_rate == SAMPLE_RATE
        self.length = round(num_samples * SAMPLE_RATE / sample_rate)  # of a clip at the networks' rate

    def _resampled(self, waveforms):
        """Waveforms [n, num_samples] or [n, num_samples, channels] → [n, NUM_SAMPLES or more]."""
        waveforms = tf.convert_to_tensor(waveforms, tf.float32)
        mono = waveforms if len(waveforms.shape) == 2 else tf.reduce_mean(waveforms, axis=2)
        if not self.same_rate:
            spectrum = tf.signal.rfft(mono)[:, : self.length // 2 + 1]  # irfft pads it with zeros
            mono = tf.signal.irfft(spectrum, [self.length]) * (self.length / self.num_samples)
        return tf.pad(mono, [[0, 0], [0, max(0, NUM_SAMPLES - self.length)]])

    def begin(self, targets):
        """Waveforms [n, num_samples, …] → the first sample of each one's second at 16,384 Hz, int32 [n]."""
        if self.length <= NUM_SAMPLES:
            return tf.zeros(tf.shape(targets)[0], tf.int32)
        energy = tf.cumsum(tf.cast(self._resampled(targets), tf.float64) ** 2, axis=1)
        energy = tf.pad(energy, [[0, 0], [1, 0]])  # before each sample
        return tf.argmax(energy[:, NUM_SAMPLES:] - energy[:, :-NUM_SAMPLES], axis=1, output_type=tf.int32)

    def __call__(self, waveforms, begin):
        """Waveforms [n, num_samples, …] → [n, 16384], of each the second from its `begin` [n] on; differentiable."""
        mono = self._resampled(waveforms)
        if self.length <= NUM_SAMPLES:
            return mono
        return tf.gather(mono, begin[:, None] + tf.range(NUM_SAMPLES), batch_dims=1)

    def of(self, targets, *reconstructions):
        """Arrays [n, 16384] of targets and of their reconstructions, the same second of each clip."""
        begin = self.begin(targets)
        return [np.asarray(self(waveforms, begin)) for waveforms in (targets, *reconstructions)]
