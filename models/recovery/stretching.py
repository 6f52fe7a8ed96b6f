"""Sounds at real times: a waveform stretched about its middle, and what is known of it then."""

import numpy as np
import scipy.fft
import scipy.interpolate

DENSE = 8  # samples of a Fourier series for each of a waveform's, between which a cubic goes
MARGIN = 256  # samples of silence at either end of a waveform, before its Fourier series begins anew
NEAR = 0.05  # samples beyond an end of a waveform, to which it still is known


def at(waveform, places):
    """A waveform [samples, channels] at real places [m] in samples → float64 [m, channels], and 1 where it is known
    there, else 0, [m, 1]."""
    samples = len(waveform)
    size = scipy.fft.next_fast_len(samples + 2 * MARGIN, real=True)
    spectrum = scipy.fft.rfft(np.pad(np.asarray(waveform, float), [(MARGIN, size - samples - MARGIN), (0, 0)]), axis=0)
    fine = DENSE * scipy.fft.irfft(spectrum, DENSE * size, axis=0)
    spline = scipy.interpolate.CubicSpline(np.arange(len(fine)), fine)
    known = (places > -NEAR) & (places < samples - 1 + NEAR)
    return np.where(known[:, None], spline(DENSE * (np.clip(places, 0, samples - 1) + MARGIN)), 0), known[:, None] * 1.0


def in_recording(samples, speed, shift):
    """Places [samples] in a recording of what lies at each sample of the generator's clip."""
    middle = (samples - 1) / 2
    return shift + middle + (np.arange(samples) - middle) * speed


def in_clip(samples, speed, shift):
    """Places [samples] in the generator's clip of what lies at each sample of a recording: the other way round."""
    middle = (samples - 1) / 2
    return middle + (np.arange(samples) - shift - middle) / speed
