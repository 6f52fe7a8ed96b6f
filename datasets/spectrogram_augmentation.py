"""What a classifier shall not listen to, changed in power spectrograms: cheaper than in waveforms by far.

Another speaker is a warped frequency axis and another pace (vocal tract length perturbation, Jaitly and Hinton, 2013),
another microphone a random frequency response, often without what lies above or below some frequency, another room a
decaying tail in each bin, and stretches and bands are missing (SpecAugment, arXiv 1904.08779).
"""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from models.audio import features
from models.audio.clip import HOP_LENGTH, SAMPLE_RATE
from models.networks import judge

AUDIBLE = 1e-4  # of the loudest frame's power: where speech begins and ends
EQ_POINTS = 7  # of the random frequency response, evenly over the bands
NARROW_DB = 40.0  # what a narrow band loses beyond its edges


@dataclass(frozen=True)
class View:
    """What a network sees of a clip, in its steps.

    power: waveforms [n, 16384] → power [n, frames, bins]. bands: a warp of the frequency axis [n, 1, 1] → weights [n,
    bins, bands]. picture: power in bands [n, frames, bands] → what the network sees of it, of the same shape, 0 where
    it is silent. hop: from frame to frame, in seconds.
    """

    power: Callable
    bands: Callable
    picture: Callable
    hop: float


LINEAR = View(features.power_spectrogram, features.warped_bins, features.log_power, HOP_LENGTH / SAMPLE_RATE)
MEL = View(judge.power_spectrogram, judge.mel_bands, judge.log_mel, judge.HOP_LENGTH / SAMPLE_RATE)


@dataclass(frozen=True)
class SpectrogramAugmentation:
    """How far each property varies.

    view: what the network sees, LINEAR for a classifier of "log" features, MEL for the judge. warp: largest factor of
    the frequency axis, as a fraction. pace: the same of the duration. equalizer_db: standard deviation of the response.
    noise_db: least signal-to-noise ratio (the greatest is 60 dB). tail_seconds: longest reverberation time, of half the
    clips. narrow: the share of clips that lose a part of the upper or lower bands. mask_seconds, mask_bands: the
    longest stretch and the widest band, as a share of all bands, that are silenced.
    """

    view: View
    warp: float = 0.25
    pace: float = 0.35
    equalizer_db: float = 5.0
    noise_db: float = 5.0
    tail_seconds: float = 0.8
    narrow: float = 0.3
    mask_seconds: float = 0.125
    mask_bands: float = 0.15

    def __call__(self, waveform, seed):
        """waveform: float32 [n, 16384]. seed: int [2], fresh for every batch. Returns what the network sees of each
        clip, each changed in its own way: [n, frames, bands, 1].
        """
        seeds = tf.random.split(seed, 18)
        power = _room(_moved(self.view.power(waveform), seeds, self), seeds, self)
        bound = tf.math.log1p(self.warp)
        warp = tf.exp(tf.random.stateless_uniform((tf.shape(power)[0], 1, 1), seeds[13], -bound, bound))
        bands = _microphone(power @ self.view.bands(warp), seeds, self)
        return _masked(self.view.picture(bands), seeds, self)[..., None]


def _moved(power, seeds, options):
    """Stretched by a random pace and put where it fits: [n, frames, bins] → the same shape."""
    n, frames = tf.shape(power)[0], power.shape[1]
    loudness = tf.reduce_sum(power, axis=2)  # [n, frames]
    audible = tf.cast(loudness > AUDIBLE * tf.reduce_max(loudness, axis=1, keepdims=True), tf.int32)
    start = tf.cast(tf.argmax(audible, axis=1), tf.float32)[:, None]
    stop = frames - tf.cast(tf.argmax(audible[:, ::-1], axis=1), tf.float32)[:, None]
    bound = tf.math.log1p(options.pace)
    pace = tf.exp(tf.random.stateless_uniform((n, 1), seeds[0], -bound, bound))
    pace = tf.maximum(pace, tf.minimum((stop - start) / frames, 1.0))  # slower would not fit
    place = tf.clip_by_value(tf.random.stateless_uniform((n, 1), seeds[1], -0.15, 1.15), 0.0, 1.0)
    offset = place * (frames - (stop - start) / pace)
    # [n, frames], where each frame comes from
    source = (tf.range(frames, dtype=tf.float32)[None] - offset) * pace + start
    weights = tf.nn.relu(1 - tf.abs(source[..., None] - tf.range(frames, dtype=tf.float32)))  # [n, frames, frames]
    return weights @ power


def _room(power, seeds, options):
    """Each bin rings on: half of the clips get a tail whose reverberation time and level are random."""
    n, frames = tf.shape(power)[0], power.shape[1]
    seconds = tf.random.stateless_uniform((n, 1, 1), seeds[2], 0.05, options.tail_seconds)
    level_db = tf.random.stateless_uniform((n, 1, 1), seeds[3], -40.0, -4.0)
    level = tf.where(tf.random.stateless_uniform((n, 1, 1), seeds[4]) < 0.5, 10 ** (level_db / 10), 0.0)
    later = tf.cast(tf.range(frames)[:, None] - tf.range(frames)[None], tf.float32)  # frames from cause to effect
    decay = 10 ** (-6 * tf.maximum(later, 0.0) * options.view.hop / seconds)
    return (tf.eye(frames) + level * tf.where(later > 0, decay, 0.0)) @ power


def _microphone(bands, seeds, options):
    """A smooth random frequency response, the upper and lower bands missing in some clips, and noise of a random
    colour: [n, frames, bands] → the same shape.
    """
    n, size = tf.shape(bands)[0], bands.shape[2]
    position = tf.linspace(0.0, EQ_POINTS - 1.0, size)
    hats = tf.nn.relu(1 - tf.abs(position[None] - tf.range(EQ_POINTS, dtype=tf.float32)[:, None]))  # [points, bands]
    response, colour = (
        tf.random.stateless_normal((n, EQ_POINTS), seeds[i], 0.0, options.equalizer_db) @ hats for i in (5, 6)
    )  # dB
    place = tf.linspace(0.0, 1.0, size)[None]
    chosen = tf.random.stateless_uniform((n, 2), seeds[14]) < options.narrow
    high = tf.where(chosen[:, :1], tf.random.stateless_uniform((n, 1), seeds[15], 0.4, 1.0), 2.0)
    low = tf.where(chosen[:, 1:], tf.random.stateless_uniform((n, 1), seeds[16], 0.0, 0.1), -1.0)
    response -= NARROW_DB * (tf.sigmoid((place - high) * 60) + tf.sigmoid((low - place) * 60))
    bands *= 10 ** (response[:, None] / 10)
    ratio = tf.random.stateless_uniform((n, 1, 1), seeds[7], options.noise_db, 60.0)
    parts = tf.random.stateless_uniform((2, *tf.unstack(tf.shape(bands))), seeds[8], 1e-6, 1.0)
    grain = -0.5 * tf.reduce_sum(tf.math.log(parts), axis=0)  # noise power fluctuates, around 1
    speech = tf.reduce_max(tf.reduce_mean(bands, axis=2, keepdims=True), axis=1, keepdims=True)
    return bands + speech * 10 ** ((colour[:, None] - ratio) / 10) * grain


def _masked(picture, seeds, options):
    """A stretch of frames and some bands set to silence: [n, frames, bands] → the same shape."""
    n, frames, bands = tf.shape(picture)[0], picture.shape[1], picture.shape[2]
    stretch = options.mask_seconds / options.view.hop
    for axis, longest, size, first in ((1, stretch, frames, 9), (2, options.mask_bands * bands, bands, 11)):
        length = tf.random.stateless_uniform((n, 1), seeds[first], 0.0, longest)
        start = tf.random.stateless_uniform((n, 1), seeds[first + 1], 0.0, float(size))
        place = tf.range(size, dtype=tf.float32)[None]
        kept = tf.cast((place < start) | (place >= start + length), tf.float32)
        picture *= kept[:, :, None] if axis == 1 else kept[:, None]
    return picture
