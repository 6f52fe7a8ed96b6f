"""Linear filters that a sound may have gone through: what they are made of, and the one that fits best.

A filter is a sum of fixed ones, so given the sound its coefficients are a linear least-squares problem. The fixed ones
are delays by some samples either way, for equalisers, and two chains of Laguerre filters (Laguerre functions of
discrete time: Wahlberg, System Identification Using Laguerre Models, 1991), whose responses last for thousands of
samples: a high-pass of second order is met to 0.41^n by n of them whose pole lies at its corner.
"""

import numpy as np
import scipy.fft
import scipy.linalg

BEFORE, BEHIND = 32, 64  # samples by which a sound is advanced, and delayed, at most
CORNERS = 30.0, 200.0  # Hz, of the poles of the two chains
ORDERS = 14  # Laguerre filters of each chain
ORIGIN = BEFORE + BEHIND  # index of the tap at 0 of a filter whose largest tap lies there
FLAT = 1e-24  # energy of a column, relative to the largest, below which it is nothing but rounding
LOST = 1e-3  # of a filter's largest power: frequencies that it leaves less of are not brought back


class Basis:
    """The fixed filters at a rate in Hz, for waveforms of `num_samples`.

    size: how many coefficients a filter has: those of the fixed ones, and an offset behind them.
    """

    def __init__(self, num_samples, rate):
        self.num_samples, self.rate = num_samples, rate
        self.before, self.behind = min(BEFORE, num_samples // 8), min(BEHIND, num_samples // 4)
        self.poles = [np.exp(-2 * np.pi * corner / rate) for corner in CORNERS]
        self.size = self.before + self.behind + 1 + len(self.poles) * ORDERS + 1
        impulse = np.zeros((num_samples, 1))
        impulse[self.before] = 1
        self._impulses = self.columns(impulse)[:-1].copy()  # [size - 1, num_samples]; the first tap is at −before
        self._length = scipy.fft.next_fast_len(2 * num_samples, real=True)

    def columns(self, waveform):
        """A waveform [samples, channels] through every fixed filter, and a constant: float64 [size, samples ·
        channels]. Before and behind it there is silence.
        """
        from scipy.signal import lfilter  # takes long to import, and few clips need it

        samples, channels = waveform.shape
        result = np.empty((self.size, samples, channels))
        padded = np.pad(np.asarray(waveform, np.float64), [(self.behind, self.before), (0, 0)])
        count = self.before + self.behind + 1
        for i in range(count):  # the first is advanced most
            result[i] = padded[self.before + self.behind - i :][:samples]
        for pole in self.poles:
            now = lfilter([np.sqrt(1 - pole**2)], [1, -pole], waveform, axis=0)
            for order in range(ORDERS):
                result[count + order] = now
                now = lfilter([-pole, 1], [1, -pole], now, axis=0)
            count += ORDERS
        result[-1] = 1
        return result.reshape(self.size, -1)

    def response(self, coefficients):
        """Impulse response [num_samples] of a filter's coefficients [size]; its first tap is at −before."""
        return coefficients[:-1] @ self._impulses

    def filtered(self, waveforms, response):
        """Waveforms [..., samples, channels] through an impulse response [num_samples], as many samples."""
        return self._through(waveforms, response, False)

    def correlated(self, waveforms, response):
        """The transpose of `filtered`: of waveforms [..., samples, channels], the same."""
        return self._through(waveforms, response, True)

    def _through(self, waveforms, response, transposed):
        axis, length = -2, self._length
        spectrum = scipy.fft.rfft(response.astype(waveforms.dtype), length)
        turns = np.exp(2j * np.pi * self.before / length * np.arange(len(spectrum)))
        spectrum = (spectrum * turns).astype(spectrum.dtype)
        spectrum = (np.conj(spectrum) if transposed else spectrum)[:, None]
        result = scipy.fft.rfft(waveforms, length, axis=axis) * spectrum
        return scipy.fft.irfft(result, length, axis=axis)[..., : self.num_samples, :]


def filters(generator):
    """The Basis for a generator's waveforms, made once."""
    return generator.derived(("filters",), lambda: Basis(generator.num_samples, generator.sample_rate))


class BestChannel:
    """The channel whose result is closest to a target, of a waveform's `columns` [size, s] through its operations.

    target [s]. weigh: a linear function of waves [..., s], each part of them as it counts. ridge: of each column,
    relative to its own energy. → coefficients [size], fitted [s], the result, residual, the difference as weighed, and
    `off`, which takes the columns' part away.
    """

    def __init__(self, columns, target, weigh, ridge):
        self.columns = weigh(columns)
        products = self.columns @ self.columns.T
        energies = np.diag(products)
        self.scale = 1 / np.sqrt(np.maximum(energies, max(FLAT * energies.max(), 1e-300)))
        products *= self.scale[:, None] * self.scale
        products[np.diag_indices_from(products)] += ridge
        self.factor = scipy.linalg.cho_factor(products, overwrite_a=True, check_finite=False)
        self.coefficients = self._solve(self.columns @ weigh(target))
        self.fitted = self.coefficients @ columns
        self.residual = weigh(target - self.fitted)

    def _solve(self, rights):
        scale = self.scale if rights.ndim == 1 else self.scale[:, None]
        return scale * scipy.linalg.cho_solve(self.factor, scale * rights, check_finite=False)

    def off(self, rows):
        """Rows [k, s] without what the columns explain of them."""
        return rows - self._solve(self.columns @ rows.T).T @ self.columns


def through(waveform, taps):
    """A waveform [samples, channels] through a filter [samples] whose tap at 0 is that at ORIGIN."""
    length = scipy.fft.next_fast_len(len(waveform) + len(taps), real=True)
    spectra = (
        scipy.fft.rfft(waveform.astype(np.float64), length, axis=0),
        scipy.fft.rfft(taps.astype(np.float64), length),
    )
    full = scipy.fft.irfft(spectra[0] * spectra[1][:, None], length, axis=0)
    return full[ORIGIN:][: len(waveform)].astype(np.float32)


def without(waveform, taps):
    """What `through` did to a waveform [samples, channels], undone but for frequencies that hardly came through."""
    length = scipy.fft.next_fast_len(2 * len(waveform), real=True)
    turns = np.exp(2j * np.pi * ORIGIN / length * np.arange(length // 2 + 1))
    response = scipy.fft.rfft(taps.astype(np.float64), length) * turns
    inverse = np.conj(response) / (np.abs(response) ** 2 + LOST * np.abs(response).max() ** 2)
    spectrum = scipy.fft.rfft(waveform.astype(np.float64), length, axis=0) * inverse[:, None]
    return scipy.fft.irfft(spectrum, length, axis=0)[: len(waveform)].astype(np.float32)
