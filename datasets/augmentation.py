"""What a classifier shall not listen to: where in the second a digit is, how loud, how fast, through which microphone,
in how much noise.

Everything happens to whole batches of waveforms with stateless random numbers, so that a seed repeats a training run.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from models.audio.clip import SAMPLE_RATE

FRAME = 128  # samples, the grain of the search for the audible part
AUDIBLE = 0.03  # of a clip's peak: what is fainter at either end may leave the clip
EDGES = (
    0.25  # makes a sixth of the clips begin with the first sample and a sixth end with the last: recordings often do
)
VOCODER_FRAME, VOCODER_HOP = 512, 128  # samples
EQ_POINTS = 9  # of the random frequency response, evenly from 0 Hz to 8,192 Hz


@dataclass(frozen=True)
class Augmentation:
    """How far each property varies; 0 turns it off.

    position: move the audible part anywhere it fits (True), or leave it. speed: largest change of speed, and with it of
    pitch, as a fraction. pace: largest change of speed beside that, at the same pitch. room: longest reverberation time
    in seconds, of half the clips. band: whether half the clips lose what is above or below a random frequency, as
    through a telephone. gain_db: largest gain and attenuation. equalizer_db: standard deviation of a smooth random
    frequency response. noise_db: the least signal-to-noise ratio, the greatest is 50 dB (0: no noise). masks: longest
    silenced stretch in seconds and, with 10,000 times the number, the widest silenced band in Hz.
    """

    position: bool = True
    speed: float = 0.2
    gain_db: float = 20.0
    equalizer_db: float = 4.0
    noise_db: float = 8.0
    masks: float = 0.06
    pace: float = 0.0
    room: float = 0.0
    band: bool = False

    def __call__(self, waveform, seed):
        """See `augment`."""
        return augment(waveform, seed, self)


# Recordings from elsewhere, for networks to which a clip comes at one level and in the middle of the second
ELSEWHERE = Augmentation(
    position=False, speed=0.15, gain_db=0.0, equalizer_db=4.0, noise_db=15.0, masks=0.0, pace=0.25, room=0.4, band=True
)


def _audible_part(waveform):
    """waveform [n, samples] → first and one-past-last audible sample of each clip, float32 [n, 1] each."""
    n, samples = tf.shape(waveform)[0], waveform.shape[1]
    envelope = tf.reduce_max(tf.abs(tf.reshape(waveform, (n, samples // FRAME, FRAME))), axis=2)
    audible = tf.cast(envelope >= AUDIBLE * tf.reduce_max(envelope, axis=1, keepdims=True), tf.int32)  # [n, frames]
    start = FRAME * tf.argmax(audible, axis=1, output_type=tf.int32)
    stop = samples - FRAME * tf.argmax(audible[:, ::-1], axis=1, output_type=tf.int32)
    return tf.cast(start, tf.float32)[:, None], tf.cast(stop, tf.float32)[:, None]


def _moved(waveform, seeds, options):
    """Resampled by a random speed and put at a random place, by linear interpolation; the audible part stays inside."""
    n, samples = tf.shape(waveform)[0], waveform.shape[1]
    start, stop = _audible_part(waveform)
    bound = float(tf.math.log1p(options.speed))
    speed = tf.exp(tf.random.stateless_uniform((n, 1), seeds[0], -bound, bound))
    speed = tf.maximum(speed, tf.minimum((stop - start) / samples, 1.0))  # slower would not fit
    room = samples - (stop - start) / speed
    place = tf.clip_by_value(tf.random.stateless_uniform((n, 1), seeds[1], -EDGES, 1 + EDGES), 0.0, 1.0)
    offset = place * room if options.position else tf.minimum(start, room)
    time = (
        tf.range(samples, dtype=tf.float32)[None] - offset
    ) * speed + start  # [n, samples], where each sample comes from
    floor = tf.floor(time)
    padded = tf.pad(waveform, [[0, 0], [2, 2]])  # outside the recording there is silence
    before = tf.clip_by_value(tf.cast(floor, tf.int32) + 2, 0, samples + 2)
    a, b = tf.gather(padded, before, batch_dims=1), tf.gather(padded, before + 1, batch_dims=1)
    return a + (time - floor) * (b - a)


def _paced(waveform, seeds, options):
    """Faster or slower at the same pitch, by a phase vocoder (Flanagan and Golden, 1966); the audible part begins where
    it began, or fits."""
    n, samples = tf.shape(waveform)[0], waveform.shape[1]
    start, stop = _audible_part(waveform)
    bound = float(tf.math.log1p(options.pace))
    pace = tf.exp(tf.random.stateless_uniform((n, 1), seeds[11], -bound, bound))
    pace = tf.maximum(pace, tf.minimum((stop - start) / samples, 1.0))  # slower would not fit
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


def _in_a_room(waveform, seeds, options):
    """Half of the clips ring on: convolved with decaying noise of a random reverberation time and level."""
    n, samples = tf.shape(waveform)[0], waveform.shape[1]
    seconds = tf.random.stateless_uniform((n, 1), seeds[12], 0.05, options.room)
    level = 10 ** (tf.random.stateless_uniform((n, 1), seeds[13], -30.0, 0.0) / 20)
    level = tf.where(tf.random.stateless_uniform((n, 1), seeds[14]) < 0.5, level, 0.0)
    time = tf.range(1, samples, dtype=tf.float32)[None] / SAMPLE_RATE
    tail = tf.random.stateless_normal((n, samples - 1), seeds[15]) * 10 ** (-3 * time / seconds)
    tail *= level / tf.norm(tail, axis=1, keepdims=True)  # its energy relative to the direct sound
    response = tf.signal.rfft(tf.concat([tf.ones((n, 1)), tail], axis=1), [2 * samples])
    return tf.signal.irfft(tf.signal.rfft(waveform, [2 * samples]) * response)[:, :samples]


def _filtered(waveform, seeds, options):
    """Through a random smooth frequency response, with a band missing in half the clips and coloured noise added."""
    n, samples = tf.shape(waveform)[0], waveform.shape[1]
    spectrum = tf.signal.rfft(waveform)  # [n, samples / 2 + 1]
    bins = samples // 2 + 1
    position = tf.linspace(0.0, EQ_POINTS - 1.0, bins)
    hats = tf.nn.relu(1 - tf.abs(position[None] - tf.range(EQ_POINTS, dtype=tf.float32)[:, None]))  # [points, bins]
    response = tf.random.stateless_normal((n, EQ_POINTS), seeds[2], 0.0, options.equalizer_db) @ hats  # [n, bins] in dB
    hertz = tf.range(bins, dtype=tf.float32)[None]  # one second, so a bin is a Hertz
    width = tf.random.stateless_uniform((n, 1), seeds[3], -1e4 * options.masks, 1e4 * options.masks)  # negative: none
    centre = tf.random.stateless_uniform((n, 1), seeds[4], 200.0, 4000.0)
    response -= 40.0 * tf.cast(tf.abs(hertz - centre) < width / 2, tf.float32)
    if options.band:
        high = tf.exp(
            tf.random.stateless_uniform((n, 1), seeds[16], np.log(2500.0), 2 * np.log(8192.0) - np.log(2500.0))
        )  # above 8,192 Hz: none
        low = tf.exp(
            tf.random.stateless_uniform((n, 1), seeds[17], np.log(5.0), np.log(400.0))
        )  # below 80 Hz there is no speech
        response -= 40.0 * (tf.sigmoid((hertz - high) / 100) + tf.sigmoid((low - hertz) / 20))
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


def _interrupted(waveform, seeds, options):
    """A stretch of up to `masks` seconds silenced in half the clips."""
    n, samples = tf.shape(waveform)[0], waveform.shape[1]
    length = tf.random.stateless_uniform((n, 1), seeds[8], -options.masks, options.masks) * samples
    start = tf.random.stateless_uniform((n, 1), seeds[9]) * samples
    time = tf.range(samples, dtype=tf.float32)[None]
    return waveform * tf.cast((time < start) | (time >= start + length), tf.float32)


def augment(waveform, seed, options=Augmentation()):
    """waveform: float32 [n, samples]. seed: int [2], fresh for every batch. Returns as many clips, each changed in its
    own way."""
    seeds = tf.random.split(seed, 18)
    if options.pace:
        waveform = _paced(waveform, seeds, options)
    if options.position or options.speed:
        waveform = _moved(waveform, seeds, options)
    if options.room:
        waveform = _in_a_room(waveform, seeds, options)
    if options.masks:
        waveform = _interrupted(waveform, seeds, options)
    if options.equalizer_db or options.noise_db or options.masks or options.band:
        waveform = _filtered(waveform, seeds, options)
    gain = tf.random.stateless_uniform((tf.shape(waveform)[0], 1), seeds[10], -options.gain_db, options.gain_db)
    return waveform * 10 ** (gain / 20)
