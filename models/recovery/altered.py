"""Samples of a recording that are not the generator's: clipped, cut to zero, gated, or hit by a click. They are left
out of what is compared, so that the others decide; of a clipped one it is known on which side of it the sound was.
"""

from dataclasses import dataclass

import numpy as np
import scipy.ndimage

from models.generator.generator import generate, random_latent

SOUNDS = 16  # of a generator, by which it is told what they do by themselves
HELD = 16  # samples in a row of exactly the same value, from which on they may be a cut or a gate
STEPS = 32  # of a recording's rounding, within which a sound comes to what it holds
USUAL = 4  # times what is usual for a generator, within which one of its sounds does
CLIPPED = 8  # samples at a recording's largest or smallest value, in rows of two or more, from which on it was clipped
CROWDED = 4  # times as many as just below them: a rounded peak has twice as many
LEVELLED = 1e-3  # of the peak, by which clipped samples differ after rounding
CLICK = 8.0  # times the median of what remains around it, from which on a sample is a click
AROUND, EVERY = 1024, 4  # samples of that median, and which of them it takes
WIDER = 2  # samples left out at either side of a click
MOST = 0.05  # share of a clip's samples that clicks hit: more is no click
LOUD = 0.5  # share of the energy of what remains that clicks have: less is the sound's own


@dataclass(frozen=True)
class Habits:
    """What a generator's own sounds do by themselves, so that it is no alteration. abrupt: how far from a value that
    they hold they are within HELD samples of it, at most, relative to their peak; clips: whether some look clipped.
    """

    abrupt: float = 0.0
    clips: bool = False


def habits(generator):
    """The Habits of a generator, asked once; those of one whose sounds never look altered without a generator."""
    if generator is None:
        return Habits()

    def asked():
        sounds = generate(generator, random_latent(generator, SOUNDS, 0))
        channels = [samples for sound in sounds for samples in sound.T]
        abrupt = [edge / np.abs(one).max() for one in channels for *_, edge in _held(one)]
        return Habits(max(abrupt, default=0.0), any(_levelled(one).any() for one in channels))

    return generator.derived(("habits",), asked)


def _held(samples):
    """The stretches in which samples [n] hold a value: yields (first, end, how far from it the HELD samples before and
    behind are at most); nothing where they never change."""
    starts = np.flatnonzero(np.diff(samples, prepend=np.nan) != 0)
    ends = np.append(starts[1:], len(samples))
    chosen = (ends - starts >= HELD) & (ends - starts < len(samples))
    for first, end in zip(starts[chosen], ends[chosen]):
        around = np.append(samples[max(first - HELD, 0) : first], samples[end : end + HELD])
        yield first, end, np.abs(around - samples[first]).max()


def _levelled(samples):
    """True for those of samples [n] that look clipped."""
    found, peak = np.zeros(len(samples), bool), np.abs(samples).max()
    width = max(LEVELLED * peak, _step(samples))
    for side in (1, -1):
        most = (side * samples).max()
        levelled = side * samples > most - LEVELLED * peak
        below = (side * samples > most - 2.5 * width).sum() - levelled.sum()
        neighbours = levelled & (np.roll(levelled, 1) | np.roll(levelled, -1))
        if most > 0 and not levelled.all() and neighbours.sum() >= max(CLIPPED, CROWDED * below):
            found |= levelled
    return found


def _step(samples):
    """The least change of samples [n], which is that of rounding; 0 where nothing changes."""
    changes = np.abs(np.diff(samples))
    return changes[changes > 0].min(initial=np.inf) if changes.any() else 0.0


def clipped(target, generator=None):
    """True for samples of a target [samples, channels] that were clipped: the sound was as far from zero there, or
    farther. Without a generator every sound that looks clipped was."""
    if habits(generator).clips:
        return np.zeros(target.shape, bool)
    return np.stack([_levelled(samples) for samples in target.T], axis=1)


def unaltered(target, generator=None):
    """1 where a target [samples, channels] may be as the generator made it; 0 where it was clipped, or holds a value
    that it comes to more abruptly than the generator's sounds, if one is given, and the recording's rounding do, as a
    cut or a gate."""
    known = 1 - clipped(target, generator).astype(np.float32)
    abrupt = habits(generator).abrupt
    for channel, samples in enumerate(target.T):
        gentle = max(USUAL * abrupt * np.abs(samples).max(), STEPS * _step(samples))
        for first, end, edge in _held(samples):
            if edge > gentle:
                known[first:end, channel] = 0
    return known


def clicks(residual, known):
    """True where what remains of a clip, residual [samples, channels], of which `known` is 1 where a sample is known,
    stands out from what remains around it; nowhere where those are more than a click's share of what is known, or less
    than LOUD of what remains."""
    size = np.abs(np.where(known > 0, residual, 0))
    around = scipy.ndimage.median_filter(size[::EVERY], (AROUND // EVERY, 1), mode="reflect").repeat(EVERY, axis=0)
    found = (size > CLICK * np.maximum(around[: len(size)], 1e-12)) & (known > 0)
    found = scipy.ndimage.binary_dilation(found, np.ones((2 * WIDER + 1, 1)))
    found &= known > 0
    few, loud = found.sum() < MOST * (known > 0).sum(), (size[found] ** 2).sum() > LOUD * (size**2).sum()
    return found if few and loud else np.zeros_like(found)
