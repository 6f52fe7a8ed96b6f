"""What a sound becomes, to first order, at another level, position or speed, or at a level that changes with time, over
an offset and hum: operations of which models.recovery.channel.Channelled finds the best sum.

Each has `columns`, which a sum is made of, and, for the sum whose coefficients `response` takes, `filtered` and its
transpose `correlated`. The last column is a constant.
"""

import numpy as np

HARMONICS = 20  # of hum: to 1,000 Hz of 50
TIMES_OF_LEVEL = 128  # at which a level that changes with time has a value of its own, straight lines between them


class Played:
    """Level, delay, for `moves` of 2 also the change of speed, and the waves [m, samples] that sound beside."""

    def __init__(self, num_samples, moves=2, beside=()):
        self.times = (np.arange(num_samples)[:, None] - (num_samples - 1) / 2) / num_samples
        self.moves, self.beside = moves, np.reshape(beside, (-1, num_samples, 1))
        self.size = 2 + moves + len(self.beside)

    def columns(self, waveform):
        """A waveform [samples, channels], its derivative, that times the time, and what does not depend on it: [size,
        s] float64."""
        slope = _derivative(np.asarray(waveform, np.float64))
        columns = waveform, *(slope, self.times * slope)[: self.moves], *(self.beside + 0 * slope), np.ones_like(slope)
        return np.stack(columns).reshape(self.size, -1)

    def response(self, coefficients):
        return np.append(coefficients[: 1 + self.moves], np.zeros(2 - self.moves))

    def _change(self, response):
        return response[1] + response[2] * self.times

    def filtered(self, waveforms, response):
        """Waveforms [..., samples, channels] at the level, speed and position of coefficients."""
        change = self._change(response).astype(waveforms.dtype)
        return response[0].astype(waveforms.dtype) * waveforms + change * _derivative(waveforms)

    def correlated(self, waveforms, response):
        change = self._change(response).astype(waveforms.dtype)
        return response[0].astype(waveforms.dtype) * waveforms - _derivative(change * waveforms)

    def refined(self, coefficients, speed, shift):
        """A clip's speed and shift with what the coefficients say of them."""
        level, delay, change = self.response(coefficients)
        faster = 1 + change / level / len(self.times)
        return speed / faster, shift - delay / level * speed / faster


class Levels:
    """A level that changes with time, as compression and fades have it."""

    def __init__(self, num_samples):
        places = np.linspace(0, TIMES_OF_LEVEL - 1, num_samples)
        self.hats = np.maximum(1 - np.abs(places - np.arange(TIMES_OF_LEVEL)[:, None]), 0)
        self.size = TIMES_OF_LEVEL + 1

    def columns(self, waveform):
        """A waveform [samples, channels] at each of the times, and a constant: [size, s] float64."""
        columns = np.ones((self.size, *waveform.shape))
        np.multiply(self.hats[:, :, None], waveform, out=columns[:-1])
        return columns.reshape(self.size, -1)

    def response(self, coefficients):
        """The levels [samples, 1]."""
        return (coefficients[:-1] @ self.hats)[:, None]

    def filtered(self, waveforms, response):
        return response.astype(waveforms.dtype) * waveforms

    correlated = filtered


def _derivative(waveforms):
    """dw/dt of waveforms [..., samples, channels] by central differences, silence before and behind."""
    padded = np.pad(waveforms, [(0, 0)] * (waveforms.ndim - 2) + [(1, 1), (0, 0)])
    return 0.5 * (padded[..., 2:, :] - padded[..., :-2, :])


def played(generator):
    """The Played for a generator's waveforms at another speed, made once."""
    return generator.derived(("played",), lambda: Played(generator.num_samples))


def moved(generator):
    """The same for those that are at their own speed."""
    return generator.derived(("moved",), lambda: Played(generator.num_samples, 1))


def humming(generator, mains):
    """The same with harmonics of the mains' frequency in Hz beside them."""

    def made():
        turns = np.arange(generator.num_samples) / generator.sample_rate * mains
        turns = 2 * np.pi * np.arange(1, HARMONICS + 1)[:, None] * turns
        return Played(generator.num_samples, 1, np.concatenate([np.cos(turns), np.sin(turns)]))

    return generator.derived(("humming", mains), made)


def levelled(generator):
    """The Levels for a generator's waveforms, made once."""
    return generator.derived(("levelled",), lambda: Levels(generator.num_samples))
