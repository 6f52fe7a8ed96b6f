"""Who made a sound: what is left behind its latent vector says more than how much that explains.

Another state of a generator's training, or the same weights a thousandth off, explains 99.9 % of its sounds too. But
what it leaves follows the sound: it is loud where the sound is loud, again and again. Rounding is as small as the
file's last bit, and noise does not care about the sound. What lossy coding leaves, and any change of the sound that is
not looked for, follows it as well: these and a relative are not told apart.
"""

import numpy as np

from models.recovery.errors import margin_db

# What is said of a sound. The first three: the generator made it.
UNTOUCHED, NOISE, CHANNEL = "untouched", "noise", "channel"
UNSURE, OTHER, SILENT = "cannot tell", "other", "silence"
OWN = UNTOUCHED, NOISE, CHANNEL

MET = 1e-6  # share of a sound's power, up to which what remains behind a channel is the channel's own error
EXPLAINED = 0.8  # share that a latent vector explains, below which the generator had no part in a sound
STEPS = 1 / 128, 1 / 32767, 1 / 32768  # of samples of 8 bits, and of 16 in both of their units


def verdict(explained, left, channel=None):
    """Who made a sound → one of UNTOUCHED, NOISE, CHANNEL, which all mean this generator, UNSURE, OTHER.

    explained: share of the sound that a latent vector explains, NaN if that is not known. left: Remainder, behind the
    channel if one was found, whose own error is no reason for doubt where it is small. channel: what was done to the
    sound beside its level, offset and position, in words, "" or None where nothing was found.
    """
    if not explained >= EXPLAINED:
        return OTHER
    if left.is_rounding:
        return CHANNEL if channel else UNTOUCHED
    if channel and left.share < MET:
        return CHANNEL
    if not left.can_tell:
        return UNSURE
    if left.is_noise:
        return CHANNEL if channel else NOISE
    return UNSURE


def is_silent(target, step=0.0):
    """Whether there is no sound in a target [samples, channels]: it is constant but for its last bit."""
    return float(np.ptp(target, axis=0).max()) <= step


def step_of(samples):
    """The step of samples [...] that come from a file of 8 or 16 bits as they are: of which all are whole multiples; 0
    where there is none, as in floating point, or in 24 bits, whose rounding is below what a solver leaves.
    """
    values = np.asarray(samples, np.float64)
    for step in STEPS:
        multiples = values / step
        if np.abs(multiples - np.round(multiples)).max(initial=0) <= 2**-23 * max(np.abs(multiples).max(initial=0), 1):
            return step
    return 0.0


def nearest(energies):
    """Which of several generators made a sound → its name, that of the next best, and how many dB that leaves more.

    energies: {name: energy that its best latent vector leaves of the sound}, two at least.
    """
    first, second = sorted(energies, key=energies.get)[:2]
    return first, second, float(margin_db(energies[first], energies[second]))
