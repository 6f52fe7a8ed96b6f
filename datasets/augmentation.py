"""Recordings as other speakers, through other microphones and in other rooms would have made them.

`Elsewhere` changes waveforms, for networks that are compared by sound. `SpectrogramAugmentation` changes the power
spectrograms of classifiers, which is cheaper by far: another speaker is a warped frequency axis and another pace (vocal
tract length perturbation, Jaitly and Hinton, 2013), another microphone a random frequency response, often without what
lies above or below some frequency, another room a decaying tail in each bin, and stretches and bands are missing
(SpecAugment, arXiv 1904.08779). Both take whole batches and stateless random numbers, so that a seed repeats a run.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from models.audio import features
from models.audio.clip import HOP_LENGTH, SAMPLE_RATE
from models.networks import judge

FRAME = 128  # samples, the grain of the search for the audible part
AUDIBLE = 0.03  # of a clip's peak: where speech begins and ends
AUDIBLE_POWER = 1e-4  # of the loudest frame's, likewise
VOCODER_FRAME, VOCODER_HOP = 512, 128  # samples
EQ_POINTS = 9  # of a waveform's random frequency response, evenly from 0 Hz to 8,192 Hz
EQ_POINTS_OF_BANDS = 7  # of a spectrogram's, evenly over the bands
NARROW_DB = 40.0  # what is lost above or below the frequencies that a narrow band keeps


def _audible_part(loudness, share):
    """loudness [n, steps] → the first and one past the last step of each clip that has this share of its loudest,
    float32 [n, 1] each."""
    audible = tf.cast(loudness >= share * tf.reduce_max(loudness, axis=1, keepdims=True), tf.int32)
    start = tf.argmax(audible, axis=1, output_type=tf.int32)
    stop = loudness.shape[1] - tf.argmax(audible[:, ::-1], axis=1, output_type=tf.int32)
    return tf.cast(start, tf.float32)[:, None], tf.cast(stop, tf.float32)[:, None]


def _factors(seed, largest, start, stop, size):
    """Random factors of the speed [n, 1], up to 1 + `largest` either way; one that is so slow that the part from
    `start` to `stop` would not fit into `size` is as slow as fits."""
    bound = tf.math.log1p(largest)
    factor = tf.exp(tf.random.stateless_uniform(tf.shape(start), seed, -bound, bound))
    return tf.maximum(factor, tf.minimum((stop - start) / size, 1.0))


def _responses(n, size, points, seed, deviation_db):
    """Smooth random frequency responses [n, size] in dB, through `points` of this standard deviation."""
    position = tf.linspace(0.0, points - 1.0, size)
    hats = tf.nn.relu(1 - tf.abs(position[None] - tf.range(points, dtype=tf.float32)[:, None]))  # [points, size]
    return tf.random.stateless_normal((n, points), seed, 0.0, deviation_db) @ hats


@dataclass(frozen=True)
class Elsewhere:
    """Waveforms from elsewhere, for networks to which a clip comes at one level and in the middle of the second.

    speed: largest change of speed, and with it of pitch, as a fraction. pace: largest change of speed beside that, at
    the same pitch. room: longest reverberation time in seconds, of half the clips. equalizer_db: standard deviation of
    a smooth random frequency response; half the clips also lose what is above a random frequency, and half what is
    below one. noise_db: the least signal-to-noise ratio, the greatest is 50 dB. 0 turns each of them off.
    """

    speed: float = 0.15
    pace: float = 0.25
    room: float = 0.4
    equalizer_db: float = 4.0
    noise_db: float = 15.0

    def __call__(self, waveform, seed):
        """waveform: float32 [n, samples]. seed: int [2], fresh for every batch. Returns as many clips, each changed in
        its own way."""
        seeds = tf.random.split(seed, 18)
        for changed, by in ((_paced, self.pace), (_sped, self.speed), (_in_a_room, self.room)):
            waveform = changed(waveform, seeds, by) if by else waveform
        return _filtered(waveform, seeds, self) if self.equalizer_db or self.noise_db else waveform


def _audible_samples(waveform):
    """The first and one past the last audible sample of waveforms [n, samples], float32 [n, 1] each."""
    n, samples = tf.shape(waveform)[0], waveform.shape[1]
    envelope = tf.reduce_max(tf.abs(tf.reshape(waveform, (n, samples // FRAME, FRAME))), axis=2)
    return (FRAME * edge for edge in _audible_part(envelope, AUDIBLE))


def _sped(waveform, seeds, speed):
    """Resampled by a random speed, by linear interpolation; the audible part begins where it began, or fits."""
    samples = waveform.shape[1]
    start, stop = _audible_samples(waveform)
    speed = _factors(seeds[0], speed, start, stop, samples)
    offset = tf.minimum(start, samples - (stop - start) / speed)
    time = (tf.range(samples, dtype=tf.float32)[None] - offset) * speed + start  # where each sample comes from
    floor = tf.floor(time)
    padded = tf.pad(waveform, [[0, 0], [2, 2]])  # outside the recording there is silence
    before = tf.clip_by_value(tf.cast(floor, tf.int32) + 2, 0, samples + 2)
    a, b = tf.gather(padded, before, batch_dims=1), tf.gather(padded, before + 1, batch_dims=1)
    return a + (time - floor) * (b - a)


def _paced(waveform, seeds, pace):
    """Faster or slower at the same pitch, by a phase vocoder (Flanagan and Golden, 1966); the audible part begins where
    it began, or fits."""
    samples = waveform.shape[1]
    start, stop = _audible_samples(waveform)
    pace = _factors(seeds[11], pace, start, stop, samples)
    begin = tf.minimum(start, samples - (stop - start) / pace)
    spectrum = tf.signal.stft(
        tf.pad(waveform, [[0, 0], [VOCODER_FRAME - VOCODER_HOP] * 2]), VOCODER_FRAME, VOCODER_HOP
    )  # [n, frames, bins]
    frames = spectrum.shape[1]
    place = (
        (tf.range(frames, dtype=tf.float32)[None] * VOCODER_HOP - begin) * pace + start
    ) / VOCODER_HOP  # where each frame comes from
    place = tf.clip_by_value(place, 0.0, frames - 1.001)
    floor = tf.cast(place, tf.int32)
    here, following = tf.gather(spectrum, floor, batch_dims=1), tf.gather(spectrum, floor + 1, batch_dims=1)
    part = (place - tf.floor(place))[..., None]
    magnitude = (1 - part) * tf.abs(here) + part * tf.abs(following)
    turned = tf.math.angle(following) - tf.math.angle(here)  # from one frame to the next
    phase = tf.math.angle(here[:, :1]) + tf.cumsum(turned, axis=1, exclusive=True)
    paced = tf.signal.inverse_stft(
        tf.complex(magnitude * tf.cos(phase), magnitude * tf.sin(phase)), VOCODER_FRAME, VOCODER_HOP,
        window_fn=tf.signal.inverse_stft_window_fn(VOCODER_HOP),
    )  # fmt: skip
    return tf.ensure_shape(paced[:, VOCODER_FRAME - VOCODER_HOP :][:, :samples], (None, samples))


def _in_a_room(waveform, seeds, room):
    """Half of the clips ring on: convolved with decaying noise of a random reverberation time and level."""
    n, samples = tf.shape(waveform)[0], waveform.shape[1]
    seconds = tf.random.stateless_uniform((n, 1), seeds[12], 0.05, room)
    level = 10 ** (tf.random.stateless_uniform((n, 1), seeds[13], -30.0, 0.0) / 20)
    level = tf.where(tf.random.stateless_uniform((n, 1), seeds[14]) < 0.5, level, 0.0)
    time = tf.range(1, samples, dtype=tf.float32)[None] / SAMPLE_RATE
    tail = tf.random.stateless_normal((n, samples - 1), seeds[15]) * 10 ** (-3 * time / seconds)
    tail *= level / tf.norm(tail, axis=1, keepdims=True)  # its energy relative to the direct sound
    response = tf.signal.rfft(tf.concat([tf.ones((n, 1)), tail], axis=1), [2 * samples])
    return tf.signal.irfft(tf.signal.rfft(waveform, [2 * samples]) * response)[:, :samples]


def _filtered(waveform, seeds, options):
    """Through a random smooth frequency response, narrow bands among them, with coloured noise added."""
    n, bins = tf.shape(waveform)[0], waveform.shape[1] // 2 + 1
    spectrum = tf.signal.rfft(waveform)  # [n, bins]
    hertz = tf.range(bins, dtype=tf.float32)[None]  # one second, so a bin is a Hertz
    if options.equalizer_db:
        response = _responses(n, bins, EQ_POINTS, seeds[2], options.equalizer_db)
        top = 2 * np.log(8192.0) - np.log(2500.0)  # above 8,192 Hz: none
        high = tf.exp(tf.random.stateless_uniform((n, 1), seeds[16], np.log(2500.0), top))
        low = tf.exp(tf.random.stateless_uniform((n, 1), seeds[17], np.log(5.0), np.log(400.0)))  # speech: 80 Hz and up
        response -= NARROW_DB * (tf.sigmoid((hertz - high) / 100) + tf.sigmoid((low - hertz) / 20))
        spectrum *= tf.cast(10 ** (response / 20), tf.complex64)
    if not options.noise_db:
        return tf.signal.irfft(spectrum)
    parts = tf.random.stateless_normal((2, n, bins), seeds[5])
    tilt = tf.maximum(hertz, 50.0) ** -tf.random.stateless_uniform((n, 1), seeds[6])  # from white noise to pink
    noise = tf.complex(parts[0], parts[1]) * tf.cast(tilt, tf.complex64)
    ratio = tf.random.stateless_uniform((n, 1), seeds[7], options.noise_db, 50.0)
    power = tf.reduce_sum(tf.abs(spectrum) ** 2, axis=1, keepdims=True) / tf.reduce_sum(
        tf.abs(noise) ** 2, axis=1, keepdims=True
    )
    return tf.signal.irfft(spectrum + noise * tf.cast(tf.sqrt(power * 10 ** (-ratio / 10)), tf.complex64))


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
        power = _room(_placed(self.view.power(waveform), seeds, self), seeds, self)
        bound = tf.math.log1p(self.warp)
        warp = tf.exp(tf.random.stateless_uniform((tf.shape(power)[0], 1, 1), seeds[13], -bound, bound))
        bands = _microphone(power @ self.view.bands(warp), seeds, self)
        return _masked(self.view.picture(bands), seeds, self)[..., None]


def _placed(power, seeds, options):
    """Stretched by a random pace and put where it fits: [n, frames, bins] → the same shape."""
    n, frames = tf.shape(power)[0], power.shape[1]
    start, stop = _audible_part(tf.reduce_sum(power, axis=2), AUDIBLE_POWER)
    pace = _factors(seeds[0], options.pace, start, stop, frames)
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
    points = EQ_POINTS_OF_BANDS
    response, colour = (_responses(n, size, points, seeds[i], options.equalizer_db) for i in (5, 6))  # dB
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
