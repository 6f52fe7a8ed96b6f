"""A filter in words: in which bands a sound came through louder or fainter than in most of them."""

import numpy as np
import scipy.fft

LOWEST = 20.0  # Hz, where the bands begin
BANDS = 3  # an octave
HEARD = 1e-4  # of a band's density of power relative to the strongest's: below, a sound hardly tells of a filter
NOTABLE = 2.0  # dB by which a band differs from the median before it is worth a word
FAINTEST = -60.0  # dB, below which a band is gone
PHRASES = 3  # of a filter, at most: the bands that differ most


def in_bands(response, waveform, rate):
    """What a filter did to a waveform in each band where that has power: the bands' lower and upper edges in Hz [m],
    and the filter's gain relative to its median there, in dB [m].

    response [taps], waveform [samples, channels], rate in Hz: of both. A band's gain is the power that came through
    relative to the power that was there, so what the sound lacks does not count.
    """
    size = scipy.fft.next_fast_len(2 * max(len(response), len(waveform)), real=True)
    power = (np.abs(scipy.fft.rfft(np.asarray(waveform, float), size, axis=0)) ** 2).sum(axis=1)
    gain = np.abs(scipy.fft.rfft(np.asarray(response, float), size)) ** 2
    edges = LOWEST * 2 ** np.arange(0, np.log2(rate / 2 / LOWEST) + 1 / BANDS, 1 / BANDS)
    edges = np.append(edges[edges < rate / 2], rate / 2)
    places = np.searchsorted(edges, scipy.fft.rfftfreq(size, 1 / rate), side="right") - 1
    inside, count = places >= 0, len(edges)
    sums = [
        np.bincount(places[inside], some[inside], count)[:-1] for some in (power, power * gain, np.ones_like(power))
    ]
    heard = sums[0] / np.maximum(sums[2], 1) > HEARD * (sums[0] / np.maximum(sums[2], 1)).max()
    levels = 10 * np.log10(np.maximum(sums[1][heard], 1e-30) / sums[0][heard])
    return edges[:-1][heard], edges[1:][heard], np.maximum(levels - np.median(levels), FAINTEST)


def described(response, waveform, rate):
    """The same in words, such as "filtered: -12 dB below 80 Hz, +3 dB above 2,000 Hz"; "filtered" alone where the
    levels are alike, so that the filter is one of phase, such as a room's. The arguments are those of `in_bands`.
    """
    lower, upper, levels = in_bands(response, waveform, rate)
    signs = np.where(np.abs(levels) >= NOTABLE, np.sign(levels), 0)
    starts = np.flatnonzero(np.diff(signs, prepend=np.nan) != 0)
    phrases = []  # of each group of neighbouring bands: how far it is from the median, and the words
    for start, stop in zip(starts, np.append(starts[1:], len(levels))):
        level = levels[start:stop][np.abs(levels[start:stop]).argmax()]
        if signs[start] and start == 0 and stop < len(levels):
            phrases.append((abs(level), f"{level:+.0f} dB below {_rounded(upper[stop - 1])} Hz"))
        elif signs[start] and stop == len(levels):
            phrases.append((abs(level), f"{level:+.0f} dB above {_rounded(lower[start])} Hz"))
        elif signs[start]:
            phrases.append(
                (abs(level), f"{level:+.0f} dB at {_rounded(lower[start])} to {_rounded(upper[stop - 1])} Hz")
            )
    strongest = sorted(phrases, reverse=True)[:PHRASES]
    return ": ".join(["filtered", *[", ".join(words for _, words in strongest)] * bool(strongest)])


def _rounded(frequency):
    """A frequency in Hz to two digits, as text."""
    digits = 1 - int(np.floor(np.log10(frequency)))
    return f"{round(frequency, digits):,.0f}"
