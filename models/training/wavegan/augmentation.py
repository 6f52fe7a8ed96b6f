"""Differentiable augmentation: the same random changes for recordings and samples, before any discriminator sees them.

With few recordings a discriminator learns them by heart, and what it then asks of the generator is worthless. If it
only ever sees recordings and samples that were changed alike, and the change has a derivative, it cannot, while the
generator still learns the recordings' own distribution (DiffAugment, Zhao et al., arXiv 2006.10738). Each change is
left out of a share of the clips, so that it does not leak into the samples (Karras et al., arXiv 2006.06676).
"""

import keras
from keras import ops

SHARE = 0.5  # of the clips that each change is made to
GAIN_DB = 3.0  # largest change of level, either way
SHIFT = 0.05  # largest shift either way, as a share of the clip; around its end
BAND = 0.15  # widest band that is taken out, as a share of the spectrum
SPAN = 0.15  # longest stretch of time that is silenced, as a share of the clip


def _interval(share, widest, size, seed):
    """The random masks [n, size], 0 inside one interval and 1 outside, from `share`: [n, 1], 1 for clips that have
    one."""
    n = ops.shape(share)[0]
    width = widest * keras.random.uniform((n, 1), seed=seed) * share
    start = (1 - width) * keras.random.uniform((n, 1), seed=seed)
    position = (ops.arange(size, dtype="float32")[None] + 0.5) / size
    return 1 - ops.cast((position > start) & (position < start + width), "float32")


def draw(n, num_samples, seed):
    """Random changes for n clips of num_samples: real and imaginary part of a filter [n, num_samples / 2 + 1], and a
    mask in time [n, num_samples].

    The filter holds gain, polarity, shift and the band that is taken out. seed: a keras.random.SeedGenerator.
    """

    def chosen():
        return ops.cast(keras.random.uniform((n, 1), seed=seed) < SHARE, "float32")

    gain = 10 ** (GAIN_DB / 20 * keras.random.uniform((n, 1), -1, 1, seed=seed) * chosen())
    polarity = 1 - 2 * chosen()
    shift = SHIFT * num_samples * keras.random.uniform((n, 1), -1, 1, seed=seed) * chosen()
    phase = -2 * 3.14159265 / num_samples * ops.round(shift) * ops.arange(num_samples // 2 + 1, dtype="float32")[None]
    magnitude = gain * polarity * _interval(chosen(), BAND, num_samples // 2 + 1, seed)
    return magnitude * ops.cos(phase), magnitude * ops.sin(phase), _interval(chosen(), SPAN, num_samples, seed)


def augmented(waveform, changes):
    """waveform [n, num_samples] with the changes that `draw` returned → [n, num_samples]."""
    a, b, mask = changes
    real, imaginary = ops.rfft(waveform)
    return ops.irfft((real * a - imaginary * b, real * b + imaginary * a), fft_length=waveform.shape[1]) * mask
