"""One echo: the same sound again, later and fainter, through a short filter of its own.

A room's taps (models/recovery/rooms.py) end after a ninth of a clip, and with as many of them a filter explains much of
any sound. One echo has its delay as its only unknown that is not linear, and that is seen in how the recording follows
from a sound that is like it: what an inverse filter leaves of an echo is one peak.
"""

import numpy as np
import scipy.fft

from models.recovery.filters import BEHIND, Basis

AROUND = 16  # samples on either side of the sound and of its echo, within which both are found
EARLIEST, LATEST = BEHIND + 2 * AROUND, 0.5  # samples by which an echo is late, at least, and share of a clip, at most
RIDGE = 0.01  # of an inverse filter, relative to the largest power


class Echo(Basis):
    """Delays about 0 and about that of an echo, in samples, for waveforms of `num_samples`, and a constant."""

    def __init__(self, num_samples, delay):
        self.num_samples, self.before, self.delay = num_samples, AROUND, delay
        around = np.arange(-AROUND, AROUND + 1)
        self.delays = np.concatenate([around, delay + around])
        self.size = len(self.delays) + 1
        self._impulses = np.zeros((self.size - 1, num_samples))
        self._impulses[np.arange(self.size - 1), self.before + self.delays] = 1
        self._length = scipy.fft.next_fast_len(2 * num_samples, real=True)

    def columns(self, waveform):
        """A waveform [samples, channels] at every delay, and a constant: float64 [size, samples · channels]."""
        samples = len(waveform)
        padded = np.pad(np.asarray(waveform, np.float64), [(self.delay + AROUND, AROUND), (0, 0)])
        first = self.delay + AROUND - self.delays  # where each begins
        late = [padded[start : start + samples].reshape(-1) for start in first]
        return np.stack([*late, np.ones(waveform.size)])


def echo_of(waveform, target):
    """The Echo that is the strongest in how a target [samples, channels] follows from a waveform of the same shape, or
    None where there is no room for one."""
    samples, latest = len(waveform), int(LATEST * len(waveform))
    if latest <= EARLIEST:
        return None
    length = scipy.fft.next_fast_len(2 * samples, real=True)
    sound, heard = (scipy.fft.rfft(some - some.mean(axis=0), length, axis=0) for some in (waveform, target))
    power = (np.abs(sound) ** 2).sum(axis=1)
    inverse = (heard * np.conj(sound)).sum(axis=1) / (power + RIDGE * power.max() + np.finfo(np.float64).tiny)
    response = np.abs(scipy.fft.irfft(inverse, length))
    return Echo(samples, EARLIEST + int(response[EARLIEST:latest].argmax()))
