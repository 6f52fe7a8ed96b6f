"""How sure each coordinate of a latent vector is: the covariance of a least-squares answer, from its residual and its
normal matrix.
"""

import numpy as np
import scipy.ndimage

from models.recovery.mismatch import SILENCE

NEIGHBOURS = 64  # bins over which a spectrum is averaged
SOUNDING = 1e-6  # power, relative to the strongest, above which a frequency is the generator's


def deviations(waveform, target, known, normal, free):
    """Standard deviations [k] of the unknowns of a clip: the residual's variance, at frequencies where the waveform has
    any power, times the inverse of the normal matrix over all that was free; 0 where an unknown was held.

    waveform: of the answer, target: what it was compared with, both [samples, channels]. known [samples, channels]:
    False where a sample of the target counts for nothing. normal [k, k]: JᵀJ of the residual relative to the target's
    energy. free [k].
    """
    power = np.abs(np.fft.rfft(waveform, axis=0)) ** 2
    error = np.abs(np.fft.rfft(np.where(known, waveform - target, 0), axis=0)) ** 2
    sounding = smoothed(power) > SOUNDING * smoothed(power).max()
    count = 2 * sounding.sum() * known.mean()  # numbers in those bins; a bin has two, of half its power each
    energy = error[sounding].mean() / len(waveform) * count / max(count - free.sum(), 1)  # of a sample's error
    scale = max(np.sum((target * known) ** 2, dtype=np.float64), SILENCE)  # what the normal matrix is relative to
    covariance = np.linalg.pinv(normal[np.ix_(free, free)], hermitian=True) * energy / scale
    result = np.zeros(len(free))
    result[free] = np.sqrt(np.maximum(np.diag(covariance), 0))
    return result


def smoothed(power):
    """Powers [bins, channels] averaged over neighbouring bins."""
    return scipy.ndimage.uniform_filter1d(power, NEIGHBOURS, axis=0, mode="nearest")
