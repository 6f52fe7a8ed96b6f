"""Samples of a recording that are not the generator's: clipped, cut to zero, gated, or hit by a click. They are left
out of what is compared, so that the others decide.
"""

import numpy as np
import scipy.ndimage

from models.generator.generator import generate, random_latent

SOUNDS = 16  # of a generator, by which it is told whether they hold values
HELD = 16  # samples in a row of exactly the same value, from which on they are no sound but a cut or a gate
CLIPPED = 8  # samples at a recording's largest or smallest value, in rows of two or more, from which on it was clipped
LEVELLED = 1e-3  # of the peak, by which clipped samples differ after rounding
CLICK = 8.0  # times the median of what remains around it, from which on a sample is a click
AROUND, EVERY = 1024, 4  # samples of that median, and which of them it takes
WIDER = 2  # samples left out at either side of a click
MOST = 0.05  # share of a clip's samples that clicks hit: more is no click


def unaltered(target):
    """1 where a target [samples, channels] may be as the generator made it, 0 where it holds a value, as a cut, a gate
    or a clipped sample does; all 1 where it never changes."""
    known = np.ones(target.shape, np.float32)
    for channel, samples in enumerate(target.T):
        starts = np.flatnonzero(np.diff(samples, prepend=np.nan) != 0)
        lengths = np.diff(np.append(starts, len(samples)))
        if len(starts) < 2:
            continue
        known[np.repeat(lengths >= HELD, lengths), channel] = 0
        peak = np.abs(samples).max()
        for side in (1, -1):
            most = (side * samples).max()
            levelled = side * samples > most - LEVELLED * peak
            neighbours = levelled & (np.roll(levelled, 1) | np.roll(levelled, -1))
            if most > 0 and neighbours.sum() >= CLIPPED:
                known[levelled, channel] = 0
    return known


def holds_values(generator):
    """Whether a generator's own sounds hold values, as those of a last ReLU do; asked once a generator."""

    def asked():
        sounds = generate(generator, random_latent(generator, SOUNDS, 0))
        return any(not unaltered(sound).all() for sound in sounds)

    return generator.derived(("holds values",), asked)


def clicks(residual, known):
    """True where what remains of a clip, residual [samples, channels], of which `known` is 1 where a sample is known,
    stands out from what remains around it; nowhere where that is more than a click's share."""
    size = np.abs(np.where(known > 0, residual, 0))
    around = scipy.ndimage.median_filter(size[::EVERY], (AROUND // EVERY, 1), mode="reflect").repeat(EVERY, axis=0)
    found = (size > CLICK * np.maximum(around[: len(size)], 1e-12)) & (known > 0)
    found = scipy.ndimage.binary_dilation(found, np.ones((2 * WIDER + 1, 1)))
    return found if found.mean() < MOST else np.zeros_like(found)
