"""Who made a sound, in words."""

import numpy as np

from models.recovery import filter_words, speed
from models.recovery import verdict as v
from models.recovery.alignment import inside
from models.recovery.altered import clicks
from models.recovery.remainder import remainder

SELDOM = 0.01  # share of a sound's energy at levels that are not counted, at either end

WORDS = {  # after "the sound is …"
    v.UNTOUCHED: "this generator's, untouched",
    v.NOISE: "this generator's, then noise or another sound",
    v.CHANNEL: "this generator's, then {channel}",
    v.UNSURE: "this generator's, changed in a way that is not known, such as lossy coding, or of one near it, such as "
    "another state of its training: what remains follows the sound",
    v.OTHER: "not made by this generator",
    v.SILENT: "no sound in it",
}


def made_by(clip, answer):
    """Who made a sound, a key of WORDS, or None without least squares on its waveform. clip: the models.audio.clip.Clip
    that a models.recovery.recover.Recovered answers."""
    if answer.alignment is None or answer.explained is None:
        return None
    target = np.asarray(clip.samples, np.float32).reshape(answer.matched.shape)
    known = inside(target)
    known = np.where(clicks(target - answer.matched, known), 0, known)
    left = remainder(answer.matched, target, known, clip.gain * v.step_of(target / np.float32(clip.gain)))
    return v.verdict(answer.explained, left, channel_in_words(answer))


def channel_in_words(answer):
    """What was done to a sound beside its level, offset and position, as far as that was found: "" where nothing was;
    None where least squares did not look for it."""
    place, words = answer.alignment, []
    if place is None:
        return None
    if place.gain < 0:
        words.append("turned over")
    if place.speed != 1:
        words.append(speed.described(place.speed, answer.sample_rate))
    if place.levels is not None:
        words.append(levels_in_words(place.levels, answer.waveform))
    if place.filter is not None:
        words.append(filter_words.described(place.filter, answer.waveform, answer.sample_rate))
    words += [answer.altered] * bool(answer.altered)
    return ", ".join(words)


def levels_in_words(levels, waveform):
    """How far apart levels [samples] are over time, where a waveform [samples, channels] has most of its energy."""
    power = np.asarray(waveform, np.float64).reshape(len(levels), -1).mean(axis=1) ** 2
    order = np.argsort(np.abs(levels))
    share = np.cumsum(power[order]) / max(power.sum(), np.finfo(np.float64).tiny)
    low, high = np.abs(levels)[order[np.searchsorted(share, (SELDOM, 1 - SELDOM))]]
    return f"levelled: up to {20 * np.log10(high / max(low, 1e-6)):.0f} dB apart over time"


def in_words(key, channel=""):
    """A verdict as a phrase. channel: what was done to the sound, in words, of v.CHANNEL."""
    return WORDS[key].format(channel=channel)
