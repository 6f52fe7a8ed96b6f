"""What a classifier shall not listen to: where in the second a digit is, how loud, how fast, through which microphone, in how much noise.

Everything happens to whole batches of waveforms with stateless random numbers, so that a seed repeats a training run.
"""

from dataclasses import dataclass

import tensorflow as tf

FRAME = 128  # samples, the grain of the search for the audible part
AUDIBLE = 0.03  # of a clip's peak: what is fainter at either end may leave the clip
EDGES = 0.25  # makes a sixth of the clips begin with the first sample and a sixth end with the last: recordings often do
EQ_POINTS = 9  # of the random frequency response, evenly from 0 Hz to 8,192 Hz


@dataclass(frozen=True)
class Augmentation:
    """How far each property varies; 0 turns it off.

    position: move the audible part anywhere it fits (True), or leave it. speed: largest change of speed, and with it of pitch, as a
    fraction. gain_db: largest gain and attenuation. equalizer_db: standard deviation of a smooth random frequency response.
    noise_db: the least signal-to-noise ratio, the greatest is 50 dB (0: no noise). masks: longest silenced stretch in seconds and, with
    10,000 times the number, the widest silenced band in Hz.
    """

    position: bool = True
    speed: float = 0.2
    gain_db: float = 20.0
    equalizer_db: float = 4.0
    noise_db: float = 8.0
    masks: float = 0.06


def _audible_part(waveform):
    """waveform [n, samples] → first and one-past-last audible sample of each clip, float32 [n, 1] each."""
    n, samples = tf.shape(waveform)[0], waveform.shape[1]
    envelope = tf.reduce_max(tf.abs(tf.reshape(waveform, (n, samples // FRAME, FRAME))), axis=2)
    audible = tf.cast(envelope >= AUDIBLE * tf.reduce_max(envelope, axis=1, keepdims=True), tf.int32)  # [n, frames]
    start = FRAME * tf.argmax(audible, axis=1, output_type=tf.int32)
    stop = samples - FRAME * tf.argmax(audible[:, ::-1], axis=1, output_type=tf.int32)
    return tf.cast(start, tf.float32)[:, None], tf.cast(stop, tf.float32)[:, None]


def _moved(waveform, seeds, how):
    """Resampled by a random speed and put at a random place, by linear interpolation; the audible part stays inside."""
    n, samples = tf.shape(waveform)[0], waveform.shape[1]
    start, stop = _audible_part(waveform)
    bound = float(tf.math.log1p(how.speed))
    speed = tf.exp(tf.random.stateless_uniform((n, 1), seeds[0], -bound, bound))
    speed = tf.maximum(speed, tf.minimum((stop - start) / samples, 1.0))  # slower would not fit
    room = samples - (stop - start) / speed
    place = tf.clip_by_value(tf.random.stateless_uniform((n, 1), seeds[1], -EDGES, 1 + EDGES), 0.0, 1.0)
    offset = place * room if how.position else tf.minimum(start, room)
    time = (tf.range(samples, dtype=tf.float32)[None] - offset) * speed + start  # [n, samples], where each sample comes from
    floor = tf.floor(time)
    padded = tf.pad(waveform, [[0, 0], [2, 2]])  # outside the recording there is silence
    left = tf.clip_by_value(tf.cast(floor, tf.int32) + 2, 0, samples + 2)
    a, b = tf.gather(padded, left, batch_dims=1), tf.gather(padded, left + 1, batch_dims=1)
    return a + (time - floor) * (b - a)


def _filtered(waveform, seeds, how):
    """Through a random smooth frequency response, with a band missing in half the clips and coloured noise added."""
    n, samples = tf.shape(waveform)[0], waveform.shape[1]
    spectrum = tf.signal.rfft(waveform)  # [n, samples / 2 + 1]
    bins = samples // 2 + 1
    position = tf.linspace(0.0, EQ_POINTS - 1.0, bins)
    hats = tf.nn.relu(1 - tf.abs(position[None] - tf.range(EQ_POINTS, dtype=tf.float32)[:, None]))  # [points, bins]
    response = tf.random.stateless_normal((n, EQ_POINTS), seeds[2], 0.0, how.equalizer_db) @ hats  # [n, bins] in dB
    hertz = tf.range(bins, dtype=tf.float32)[None]  # one second, so a bin is a Hertz
    width = tf.random.stateless_uniform((n, 1), seeds[3], -1e4 * how.masks, 1e4 * how.masks)  # negative: none
    centre = tf.random.stateless_uniform((n, 1), seeds[4], 200.0, 4000.0)
    response -= 40.0 * tf.cast(tf.abs(hertz - centre) < width / 2, tf.float32)
    spectrum *= tf.cast(10 ** (response / 20), tf.complex64)
    if not how.noise_db:
        return tf.signal.irfft(spectrum)
    parts = tf.random.stateless_normal((2, n, bins), seeds[5])
    tilt = tf.maximum(hertz, 50.0) ** -tf.random.stateless_uniform((n, 1), seeds[6])  # from white noise to pink
    noise = tf.complex(parts[0], parts[1]) * tf.cast(tilt, tf.complex64)
    ratio = tf.random.stateless_uniform((n, 1), seeds[7], how.noise_db, 50.0)
    power = tf.reduce_sum(tf.abs(spectrum) ** 2, axis=1, keepdims=True) / tf.reduce_sum(tf.abs(noise) ** 2, axis=1, keepdims=True)
    return tf.signal.irfft(spectrum + noise * tf.cast(tf.sqrt(power * 10 ** (-ratio / 10)), tf.complex64))


def _interrupted(waveform, seeds, how):
    """A stretch of up to `masks` seconds silenced in half the clips."""
    n, samples = tf.shape(waveform)[0], waveform.shape[1]
    length = tf.random.stateless_uniform((n, 1), seeds[8], -how.masks, how.masks) * samples
    start = tf.random.stateless_uniform((n, 1), seeds[9]) * samples
    time = tf.range(samples, dtype=tf.float32)[None]
    return waveform * tf.cast((time < start) | (time >= start + length), tf.float32)


def augment(waveform, seed, how=Augmentation()):
    """waveform: float32 [n, samples]. seed: int [2], fresh for every batch. Returns as many clips, each changed in its own way."""
    seeds = tf.random.split(seed, 11)
    if how.position or how.speed:
        waveform = _moved(waveform, seeds, how)
    if how.masks:
        waveform = _interrupted(waveform, seeds, how)
    if how.equalizer_db or how.noise_db or how.masks:
        waveform = _filtered(waveform, seeds, how)
    gain = tf.random.stateless_uniform((tf.shape(waveform)[0], 1), seeds[10], -how.gain_db, how.gain_db)
    return waveform * 10 ** (gain / 20)
