"""Gain, offset and position of a generator's sound in a recording: how a waveform is put there, and how it is taken
back.
"""

import numpy as np

from models.recovery.altered import clipped, unaltered
from models.recovery.filters import LOST, through, without
from models.recovery.stretching import at, in_clip, in_recording

MUCH = 0.02  # share of a target's samples, above which its sound cannot be placed with what was altered
NEAR = 0.05  # samples beyond an end of a waveform, to which it still is known


def moved(waveform, shift):
    """A waveform [samples, channels] `shift` samples later, and 1 where a sample of it is known, else 0; a fraction by
    the phases of its Fourier transform.
    """
    n = len(waveform)
    whole = int(np.round(shift))
    frequencies = np.fft.rfftfreq(2 * n)[:, None]
    turned = np.fft.rfft(waveform, 2 * n, axis=0) * np.exp(-2j * np.pi * frequencies * shift)
    result, places = np.fft.irfft(turned, 2 * n, axis=0)[:n], np.arange(n)[:, None] - shift
    known = np.broadcast_to((places > -NEAR) & (places < n - 1 + NEAR), waveform.shape)
    if whole == shift:  # exactly as they were
        result = np.zeros_like(waveform)
        kept = slice(max(whole, 0), n + min(whole, 0))
        result[kept] = waveform[max(-whole, 0) : n - max(whole, 0)]
    return np.where(known, result, 0).astype(np.float32), known.astype(np.float32)


def aligned(target, alignment, generator=None):
    """A target [samples, channels] at the level, mean and position of the generator's own sounds, and 1 where a sample
    of it is known and was recorded, else 0: what `as_recorded` does, undone. generator: as of `inside`.
    """
    sound = (target - alignment.offset) / alignment.gain
    if alignment.speed == 1:
        waveform, known = moved(sound, -alignment.shift)
        return waveform, known * inside(target, alignment.shift, generator)
    places = in_recording(len(target), alignment.speed, alignment.shift)
    there = inside(target, generator=generator)
    waveform, known = at(sound * there, places)
    nearest = np.clip(np.round(places).astype(int), 0, len(target) - 1)
    return waveform.astype(np.float32), (known * there[nearest]).astype(np.float32)


def recorded(target):
    """First and last sample of a target [samples, channels] that are part of it: at either end the same number twice or
    more is what it was padded with, or nothing. All of it where nothing changes.
    """
    changes = np.flatnonzero(np.diff(target, axis=0).any(axis=1))
    first, last = (changes[0], changes[-1] + 1) if len(changes) > 1 else (0, len(target) - 1)
    return first + 1 if first > 0 else 0, last - 1 if last < len(target) - 1 else last


def inside(target, shift=0.0, generator=None):
    """1 where a target [samples, channels], `shift` samples earlier, was recorded, 0 where it was padded, or altered in
    a way that the generator's own sounds never show; without a generator every way is one."""
    first, last = recorded(target)
    places = np.arange(len(target))[:, None] + shift
    there = np.broadcast_to((places > first - NEAR) & (places < last + NEAR), target.shape).astype(np.float32)
    whole = unaltered(target, generator)
    return there if whole.all() else there * _around(whole, places[:, 0])


def alterations(target, generator):
    """What was done to samples of a target [samples, channels], from the first to the last that was recorded, in
    words."""
    first, last = recorded(target)
    part = target[first : last + 1]
    levelled = clipped(part, generator)
    cut = (unaltered(part, generator) == 0) & ~levelled
    return [words for words, found in (("clipped", levelled), ("silenced in places", cut)) if found.any()]


def missing(target, generator):
    """True for those samples of a target [samples], from the first to the last that was recorded, that were altered in
    a way that the generator's own sounds never show, where they are MUCH of it; else nowhere."""
    first, last = recorded(target)
    found = (unaltered(target, generator) == 0).any(axis=1)
    found[:first], found[last + 1 :] = False, False
    return found & (found.mean() > MUCH)


def _around(known, places):
    """The least of `known` [samples, channels] of the samples on both sides of places [samples]."""
    nearest = np.clip(np.floor(places + [[NEAR], [1 - NEAR]]).astype(int), 0, len(known) - 1)
    return known[nearest].min(axis=0)


def bounded(target, alignment, generator):
    """True for the samples of an `aligned` target [samples, channels] that were clipped, so that the generator's are as
    far from zero, or farther: none where the speed has changed."""
    found = clipped(target, generator)
    if alignment.speed != 1 or not found.any():
        return np.zeros(target.shape, bool)
    places = np.arange(len(target)) + alignment.shift
    return _around(found, places) & ((places > 0) & (places < len(target) - 1))[:, None]


def as_recorded(waveform, alignment):
    """A generator's waveform [samples, channels] through the channel of an Alignment; as it is for None."""
    if alignment is None:
        return waveform
    if alignment.levels is not None:
        waveform = waveform * alignment.levels[:, None]
    if alignment.filter is not None:
        waveform = through(waveform, alignment.filter)
    if alignment.speed != 1:
        placed = at(waveform, in_clip(len(waveform), alignment.speed, alignment.shift))[0]
    else:
        placed = moved(waveform, alignment.shift)[0] if alignment.shift else waveform
    return (placed * alignment.gain + alignment.offset).astype(np.float32)


def as_generated(target, alignment):
    """A target [samples, channels] without the channel of an Alignment, 0 where it is not known: what
    `as_recorded` does, undone. As it is for None and for the usual one."""
    if alignment is None or alignment.plain:
        return target
    waveform = np.multiply(*aligned(target, alignment))
    if alignment.filter is not None:
        waveform = without(waveform, alignment.filter)
    if alignment.levels is not None:
        levels = alignment.levels[:, None]
        waveform = waveform * levels / np.maximum(levels**2, LOST * (levels**2).max())
    return waveform


def centred(targets):
    """Targets [n, num_samples, num_channels] without the mean of what was recorded, 0 where they were padded, and those
    means [n]. The mean of all would be no offset where zeros were put in behind one.
    """
    waveforms, means = np.zeros(targets.shape), np.zeros(len(targets))
    for i, target in enumerate(targets):
        first, last = recorded(target)
        part = target[first : last + 1].astype(np.float64)
        means[i] = part.mean()
        waveforms[i, first : last + 1] = part - means[i]
    return waveforms, means


def unit(waveforms):
    """Waveforms [n, samples] without their means, each of energy 1, or 0 if it is silence."""
    waveforms = waveforms - waveforms.mean(axis=1, keepdims=True)
    return waveforms / np.maximum(np.linalg.norm(waveforms, axis=1, keepdims=True), 1e-12)
