"""Echoes and small rooms: filters of a tenth of a second, one tap a sample, as operations that
models.recovery.channel.Channelled finds the best sum of.

With so many taps a filter explains much of any sound, so late ones are held back: a penalty on their energies grows by
30 dB to the end, as the sound of a room falls. It is lowered as the sound comes nearer. As all columns are one sound,
delayed, their products follow from those of the first by one line each, and no column is ever written down.
"""

import numpy as np
import scipy.fft
import scipy.linalg

BEFORE = 16  # samples by which a sound is advanced at most
SHARE = 9  # part of a clip that the taps last for
FALL = 3.0  # decades by which the penalty grows to the last of them
ROUNDED = 1e-10  # of the products of a sound, up to which they are rounding
PENALTIES = 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7  # relative to the sound's energy, one after another


class Room:
    """Taps of a filter for waveforms of `num_samples` in one channel, and an offset. penalty: of the first taps'
    energies, relative to the sound's."""

    def __init__(self, num_samples, penalty):
        self.num_samples, self.before, self.taps = num_samples, BEFORE, num_samples // SHARE
        self.size = self.taps + 1
        late = np.maximum(np.arange(self.taps) - BEFORE, 0) / self.taps
        self.penalties = penalty * 10 ** (FALL * late)
        self.length = scipy.fft.next_fast_len(num_samples + self.taps, real=True)

    def best(self, waveform, target, weights):
        return BestRoom(self, waveform[:, 0].astype(np.float64), target, weights)

    def response(self, coefficients):
        """Impulse response [num_samples]; its first tap is at −before."""
        return np.append(coefficients[:-1], np.zeros(self.num_samples - self.taps))

    def filtered(self, waveforms, response):
        """Waveforms [..., samples, 1] through an impulse response."""
        return self.delayed(waveforms[..., 0], response[: self.taps])[..., None]

    def correlated(self, waveforms, response):
        """The transpose of `filtered`."""
        spectrum = scipy.fft.rfft(waveforms[..., 0], self.length) * np.conj(self._spectrum(response[: self.taps]))
        return scipy.fft.irfft(spectrum, self.length)[..., : self.num_samples, None]

    def _spectrum(self, taps):
        """Of filters of taps [..., taps]."""
        padded = np.pad(taps, [(0, 0)] * (taps.ndim - 1) + [(0, self.length - self.taps)])
        return scipy.fft.rfft(np.roll(padded, -self.before, axis=-1))

    def delayed(self, waves, taps):
        """Waves [..., samples] through filters of taps [..., taps], of leading axes that broadcast: [..., samples]."""
        spectrum = scipy.fft.rfft(waves, self.length) * self._spectrum(taps)
        return scipy.fft.irfft(spectrum, self.length)[..., : self.num_samples]

    def products(self, wave, others):
        """The products of waves [..., samples] with a wave [samples] at each tap's place: [..., taps]."""
        spectrum = scipy.fft.rfft(others, self.length) * np.conj(scipy.fft.rfft(wave, self.length))
        return np.roll(scipy.fft.irfft(spectrum, self.length), self.before, axis=-1)[..., : self.taps]

    def gram(self, wave, first, last):
        """The products of a wave [samples] at each tap's place with that at each other's, over the samples from first
        to last: the upper half of [taps, taps]."""
        padded = np.pad(wave, (self.taps, self.before))
        columns = self.taps + self.before - np.arange(self.taps)  # where each begins
        wide = np.zeros(self.num_samples)
        wide[first:last] = padded[columns[0] + first : columns[0] + last]
        result = np.empty((self.taps, self.taps))
        result[0] = self.products(wave, wide)
        leading, trailing = padded[columns + first - 1], padded[columns + last - 1]
        for i in range(self.taps - 1):
            line = result[i, i:-1] + leading[i] * leading[i:-1] - trailing[i] * trailing[i:-1]
            result[i + 1, i + 1 :] = line
        return result


class BestRoom:
    """What models.recovery.filters.BestChannel is, of a Room's taps for a wave [samples]; weights [samples]: the same
    number from the first known sample to the last. `residual` and `off` have the penalty's part behind the samples.
    """

    def __init__(self, room, wave, target, weights):
        self.room, self.wave = room, wave
        known = np.flatnonzero(weights)
        self.first, self.last = known[0], known[-1] + 1
        self.weight, count = weights[self.first], self.last - self.first
        products = room.gram(wave, self.first, self.last)
        least = ROUNDED * max(products.diagonal().max(), 1.0)  # of a wave that is constant or silent there
        self.means = room.products(wave, self._inside(np.ones(room.num_samples))) / count  # of each column
        products -= count * self.means[:, None] * self.means
        self.roots = np.sqrt(room.penalties * max(products[BEFORE, BEFORE], least))
        products[np.diag_indices_from(products)] += self.roots**2 + least
        self.factor = scipy.linalg.cho_factor(products, lower=False, overwrite_a=True, check_finite=False)
        mean = target[self.first : self.last].mean()
        taps = self._solve(room.products(wave, self._inside(target - mean)))
        offset = mean - taps @ self.means
        self.coefficients = np.append(taps, offset)
        self.fitted = room.delayed(wave, taps) + offset
        difference = self._inside(target - self.fitted)
        self.residual = self.weight * np.append(difference, -self.roots * taps)

    def _inside(self, waves):
        result = np.zeros_like(waves)
        result[..., self.first : self.last] = waves[..., self.first : self.last]
        return result

    def _solve(self, rights):
        return scipy.linalg.cho_solve(self.factor, rights.T, check_finite=False).T

    def off(self, rows):
        """Weighed rows [k, samples] without what the taps and an offset explain of them, [k, samples + taps]."""
        rows = self._inside(rows)
        rows = self._inside(rows - rows[:, self.first : self.last].mean(axis=1, keepdims=True))
        taps = self._solve(self.room.products(self.wave, rows))
        explained = self.room.delayed(self.wave, taps) - (taps @ self.means)[:, None]
        return np.concatenate([rows - self._inside(explained), -self.roots * taps], axis=1)


def rooms(generator):
    """The Rooms for a generator's waveforms, from the largest penalty to the smallest; none where they are too short or
    have several channels."""
    if generator.num_channels > 1 or generator.num_samples < 64 * BEFORE:
        return []
    return generator.derived(("rooms",), lambda: [Room(generator.num_samples, penalty) for penalty in PENALTIES])
