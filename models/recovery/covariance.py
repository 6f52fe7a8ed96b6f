"""How large what remains of a least-squares answer is, at the frequencies that count."""

import numpy as np
import scipy.ndimage

from models.recovery.mismatch import SILENCE

NEIGHBOURS = 64  # bins over which a spectrum is averaged
SOUNDING = 1e-6  # power, relative to the strongest, above which a frequency is the generator's


def variance_left(waveform, target, known, unknowns):
    """The variance of a sample of what remains of a target, at frequencies where the waveform has any power, relative
    to the target's energy, as a normal matrix is.

    waveform: of the answer, target: what it was compared with, both [samples, channels]. known [samples, channels]:
    False where a sample of the target counts for nothing. unknowns: how many were fitted.
    """
    power = np.abs(np.fft.rfft(waveform, axis=0)) ** 2
    error = np.abs(np.fft.rfft(np.where(known, waveform - target, 0), axis=0)) ** 2
    sounding = smoothed(power) > SOUNDING * smoothed(power).max()
    count = 2 * sounding.sum() * known.mean()  # numbers in those bins; a bin has two, of half its power each
    energy = error[sounding].mean() / len(waveform) * count / max(count - unknowns, 1)  # of a sample's error
    return energy / max(np.sum((target * known) ** 2, dtype=np.float64), SILENCE)


def smoothed(power):
    """Powers [bins, channels] averaged over neighbouring bins."""
    return scipy.ndimage.uniform_filter1d(power, NEIGHBOURS, axis=0, mode="nearest")
