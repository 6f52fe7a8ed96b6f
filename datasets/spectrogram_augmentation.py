"""What the judge shall not listen to, changed in power spectrograms and not in waveforms: its augmentation is not the
classifier's.

Another speaker is a warped frequency axis and another pace (vocal tract length perturbation, Jaitly and Hinton, 2013),
another microphone a random frequency response, another room a decaying tail in each bin, and stretches and bands are
missing (SpecAugment, arXiv 1904.08779).
"""

from dataclasses import dataclass

import tensorflow as tf

from models.networks.judge import BANDS, FRAMES, HOP_LENGTH, SAMPLE_RATE, log_mel, mel_bands

AUDIBLE = 1e-4  # of the loudest frame's power: where speech begins and ends
EQ_POINTS = 7  # of the random frequency response, evenly over the mel bands


@dataclass(frozen=True)
class SpectrogramAugmentation:
    """How far each property varies.

    warp: largest factor of the frequency axis, as a fraction. pace: the same of the duration. equalizer_db: standard
    deviation of the frequency response. noise_db: least signal-to-noise ratio (the greatest is 60 dB). tail_seconds:
    longest reverberation time. frames, bands: longest masks.
    """

    warp: float = 0.25
    pace: float = 0.35
    equalizer_db: float = 5.0
    noise_db: float = 5.0
    tail_seconds: float = 0.8
    frames: int = 8
    bands: int = 6


def _moved(power, seeds, how):
    """Stretched by a random pace and put where it fits: [n, frames, bins] → the same shape."""
    n = tf.shape(power)[0]
    loudness = tf.reduce_sum(power, axis=2)  # [n, frames]
    audible = tf.cast(loudness > AUDIBLE * tf.reduce_max(loudness, axis=1, keepdims=True), tf.int32)
    start = tf.cast(tf.argmax(audible, axis=1), tf.float32)[:, None]
    stop = FRAMES - tf.cast(tf.argmax(audible[:, ::-1], axis=1), tf.float32)[:, None]
    bound = tf.math.log1p(how.pace)
    pace = tf.exp(tf.random.stateless_uniform((n, 1), seeds[0], -bound, bound))
    pace = tf.maximum(pace, tf.minimum((stop - start) / FRAMES, 1.0))  # slower would not fit
    place = tf.clip_by_value(tf.random.stateless_uniform((n, 1), seeds[1], -0.15, 1.15), 0.0, 1.0)
    offset = place * (FRAMES - (stop - start) / pace)
    source = (
        tf.range(FRAMES, dtype=tf.float32)[None] - offset
    ) * pace + start  # [n, frames], where each frame comes from
    weights = tf.nn.relu(1 - tf.abs(source[..., None] - tf.range(FRAMES, dtype=tf.float32)))  # [n, frames, frames]
    return weights @ power


def _room(power, seeds, how):
    """Each bin rings on: half of the clips get a tail whose reverberation time and level are random."""
    n = tf.shape(power)[0]
    seconds = tf.random.stateless_uniform((n, 1, 1), seeds[2], 0.05, how.tail_seconds)
    level_db = tf.random.stateless_uniform((n, 1, 1), seeds[3], -40.0, -4.0)
    level = tf.where(tf.random.stateless_uniform((n, 1, 1), seeds[4]) < 0.5, 10 ** (level_db / 10), 0.0)
    later = tf.cast(tf.range(FRAMES)[:, None] - tf.range(FRAMES)[None], tf.float32)  # frames from cause to effect
    decay = 10 ** (-6 * tf.maximum(later, 0.0) * (HOP_LENGTH / SAMPLE_RATE) / seconds)
    return (tf.eye(FRAMES) + level * tf.where(later > 0, decay, 0.0)) @ power


def _microphone(bands, seeds, how):
    """A smooth random frequency response, and noise of a random colour: [n, frames, bands] → the same shape."""
    n = tf.shape(bands)[0]
    position = tf.linspace(0.0, EQ_POINTS - 1.0, BANDS)
    hats = tf.nn.relu(1 - tf.abs(position[None] - tf.range(EQ_POINTS, dtype=tf.float32)[:, None]))  # [points, bands]
    response, colour = (
        tf.random.stateless_normal((n, EQ_POINTS), seeds[i], 0.0, how.equalizer_db) @ hats for i in (5, 6)
    )  # dB
    bands *= 10 ** (response[:, None] / 10)
    ratio = tf.random.stateless_uniform((n, 1, 1), seeds[7], how.noise_db, 60.0)
    grain = tf.random.stateless_gamma(tf.shape(bands), seeds[8], alpha=2.0, beta=2.0)  # noise power fluctuates
    speech = tf.reduce_max(tf.reduce_mean(bands, axis=2, keepdims=True), axis=1, keepdims=True)
    return bands + speech * 10 ** ((colour[:, None] - ratio) / 10) * grain


def _masked(picture, seeds, how):
    """A stretch of frames and some bands set to silence: [n, frames, bands] → the same shape."""
    n = tf.shape(picture)[0]
    for axis, longest, size, first in ((1, how.frames, FRAMES, 9), (2, how.bands, BANDS, 11)):
        length = tf.random.stateless_uniform((n, 1), seeds[first], 0, longest + 1)
        start = tf.random.stateless_uniform((n, 1), seeds[first + 1], 0, float(size))
        place = tf.range(size, dtype=tf.float32)[None]
        kept = tf.cast((place < start) | (place >= start + length), tf.float32)
        picture *= kept[:, :, None] if axis == 1 else kept[:, None]
    return picture


def augmented_log_mel(power, seed, how=SpectrogramAugmentation()):
    """power: float32 [n, 64, 257], of models.networks.judge.power_spectrogram. seed: int [2], fresh for every batch.

    Returns log-mel spectrograms [n, 64, 40, 1], each changed in its own way.
    """
    seeds = tf.random.split(seed, 14)
    power = _room(_moved(power, seeds, how), seeds, how)
    bound = tf.math.log1p(how.warp)
    warp = tf.exp(tf.random.stateless_uniform((tf.shape(power)[0], 1, 1), seeds[13], -bound, bound))
    bands = _microphone(power @ mel_bands(warp), seeds, how)
    return _masked(log_mel(bands), seeds, how)[..., None]
