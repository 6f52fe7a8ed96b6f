"""A WaveGAN's waveforms on a part of their time, for what needs no more of them.

A waveform has BLOCKS blocks of time, one for each place of what the second layer gives. An excerpt is RUN blocks in a
row. Layers up to there are computed whole; each one behind it only where the excerpts, widened by what its own kernel
and those behind it reach, need it. There a waveform is the same as a whole one, but for rounding.
"""

import numpy as np
import tensorflow as tf

from models.generator.layers import FILTER_BLOCK
from models.generator.subpixel import subpixel_conv

BLOCKS = 64  # of a waveform
RUN, EXCERPTS = 4, 4  # blocks of an excerpt, and excerpts of a waveform, so that one compiled function serves
SILENT = 1e9  # taken from what lies beyond the waveform's ends, so that a ReLU gives nothing there


def places(first, last, starts, unit):
    """The places from `first` to before `last`, counted from where excerpts begin → [n, excerpts, last - first].

    starts: [n, excerpts], the blocks that they begin with. unit: places of a block.
    """
    return unit * starts[..., None] + tf.range(first, last)


def excerpt_samples(starts, num_samples):
    """Which of num_samples samples are in the excerpts that begin with the blocks `starts`, int32 [n, excerpts] → [n,
    excerpts * samples of an excerpt]."""
    unit = num_samples // BLOCKS
    return tf.reshape(places(0, RUN * unit, starts, unit), (-1, starts.shape[1] * RUN * unit))


class ExcerptWaveGAN:
    """Excerpts of the waveforms of a WaveGAN, a models.generator.layers.SubpixelWaveGAN.

    Called on z [n, latent_dim] and the blocks that the excerpts begin with, int32 [n, excerpts], each from 0 to
    BLOCKS - RUN, it returns waveforms [n, excerpts * samples of an excerpt, num_channels], one excerpt behind the
    other. They may overlap.
    """

    def __init__(self, wavegan):
        self.wavegan, layers = wavegan, wavegan.convolutions[1:]
        units = np.cumprod([1, *(layer[3] for layer in layers)]).tolist()  # places of a block, between the layers
        filtered = [FILTER_BLOCK * side for side in wavegan.filter[1]] if wavegan.filter else (0, 0)
        first, last = -filtered[0], RUN * units[-1] + filtered[1]
        self.layers = []  # each with where its output begins and ends, and what of it is beyond that
        for (kernel, (before, after), bias, stride, activation), unit in zip(reversed(layers), reversed(units)):
            needed, low = (first, last), (first // stride, -(-last // stride))
            first, last = low[0] - int(before), low[1] + int(after)
            crop = slice(needed[0] - stride * low[0], needed[1] - stride * low[0])
            self.layers.insert(0, (kernel, bias, stride, activation, crop, (*needed, unit)))
        self.first, self.last = first, last  # of what the second layer gives

    def __call__(self, z, starts):
        kernel, padding, bias, stride, activation = self.wavegan.convolutions[0]
        x = activation(subpixel_conv(self.wavegan.first_layer(z), kernel, padding, stride) + bias)  # [n, 64, 8d]
        x = tf.pad(x, [[0, 0], [-self.first, self.last - RUN], [0, 0]])
        x = tf.gather(x, places(0, self.last - self.first, starts, 1), axis=1, batch_dims=1)
        x = tf.reshape(x, (-1, *x.shape[2:]))  # [n * excerpts, places, 8d]
        for kernel, bias, stride, activation, crop, (first, last, unit) in self.layers:
            x = subpixel_conv(x, kernel, (0, 0), stride)[:, crop] + bias
            place = tf.reshape(places(first, last, starts, unit), (-1, last - first, 1))
            inside = tf.cast((place >= 0) & (place < BLOCKS * unit), x.dtype)
            x = tf.nn.relu(x + SILENT * (inside - 1)) if activation is tf.nn.relu else activation(x)
        channels = x.shape[2]
        if self.wavegan.filter:
            x = tf.reshape(x * inside, (-1, (last - first) // FILTER_BLOCK, FILTER_BLOCK * channels))
            x, channels = subpixel_conv(x, self.wavegan.filter[0], (0, 0), 1), 1
        return tf.reshape(x, (-1, starts.shape[1] * RUN * unit, channels))
