"""Channels of a recording that hold the same sound at different times, or turned over: mixed, they would ruin it."""

import numpy as np
import scipy.fft

FARTHEST = 2400  # samples between two channels, at most: 50 ms at 48 kHz, and 17 m between two microphones
SAME = 0.9  # correlation of two channels at their best delay, from which on they hold the same sound
RUINED = 0.98  # of it, that they have as they are where mixing them loses little


def differ(samples):
    """Whether any channel of samples [n, channels] holds the sound of the loudest at another time, or turned over."""
    centred = samples - samples.mean(axis=0)
    energies = (centred.astype(np.float64) ** 2).sum(axis=0)
    loudest = energies.argmax()
    size = scipy.fft.next_fast_len(len(samples) + FARTHEST, real=True)
    spectra = scipy.fft.rfft(centred, size, axis=0)
    alike = scipy.fft.irfft(spectra * np.conj(spectra[:, loudest : loudest + 1]), size, axis=0)
    alike = alike / np.sqrt(np.maximum(energies * energies[loudest], 1e-30))
    lags = np.arange(-FARTHEST, FARTHEST + 1)
    return bool(
        ((np.abs(alike[lags]).max(axis=0) > SAME) & (alike[0] < RUINED * np.abs(alike[lags]).max(axis=0))).any()
    )


def one_channel(samples):
    """Samples [n, channels] as one channel [n, 1]: their mean, or the loudest channel where others hold its sound at
    another time or turned over."""
    if samples.shape[1] > 1 and samples.any() and differ(samples):
        loudest = (samples.astype(np.float64) ** 2).sum(axis=0).argmax()
        return samples[:, loudest : loudest + 1]
    return samples.mean(axis=1, keepdims=True)
