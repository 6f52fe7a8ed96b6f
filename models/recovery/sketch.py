"""What a generator's sounds are to first order, and where they lie in a recording before their latent vector is found.

The sketch of a generator is the mean waveform over its prior and the derivatives of that by each coordinate. Position
is found by correlation with it; a usual level is one that the generator's own sounds have.
"""

from dataclasses import dataclass

import numpy as np
import scipy.ndimage

from models.generator.generator import BATCH, generate, random_latent
from models.recovery.alignment import centred, missing, unit
from models.recovery.centre import centre

FARTHEST = 800  # samples that a clip may have been moved by, and no more than an eighth of it
WHOLE = 0.15  # fraction of a sample below which a shift is taken for one of whole samples at first
BROAD = 0.7  # share of a peak that its neighbours have where a fraction can be told
RIDGE = 0.03  # of the sketch of a generator, relative to the mean of its power
RECOGNISED = 0.7  # of the least share that the sketch explains of the generator's sounds: below, a target seems none
NEAR = 1.0  # samples, up to which a sound was found where it is
TRIED = 16  # sounds of a generator, of which all have to be found where they are
HOPEFUL = 0.95  # of that share, that a first step of a descent has to explain
UNMOVED = 0.95  # share of the best place's score that the place as it is has, if a clip may not have been moved
PEAKS, PEAK_WIDTH = 8, 8  # places at which a target with altered samples is looked at again, and samples between them
ALIKE = 2  # the levels of a generator's sounds are alike where the largest is less than this many times the smallest
LEVELS = 1.5  # times the largest level or mean of the generator's sounds, or the smallest divided by it: the usual ones


@dataclass(frozen=True)
class Sketch:
    """rows: the mean waveform and its derivatives by each coordinate [1 + k, s], channels summed. inverse: of the
    products among them, with a ridge. Of some of the generator's waveforms: level, lowest, highest, the median and the
    range of their deviations about their means; constant, the median of those means, and mean, the largest; share, the
    least of their energies that the rows explain; signed, whether the mean waveform is a positive part of each.
    """

    rows: np.ndarray
    inverse: np.ndarray
    level: float
    lowest: float
    highest: float
    constant: float
    mean: float
    share: float
    signed: bool


def sketch(generator):
    """What the generator's waveforms are to first order → Sketch, made once for a generator."""
    return generator.derived("sketch", lambda: _sketch(generator))


def _sketch(generator):
    known = centre(generator)
    rows = np.concatenate([known.waveform.numpy(), known.tangents.numpy()[0]])
    rows = rows.reshape(len(rows), generator.num_samples, -1).sum(axis=2)
    inverse, made = np.linalg.inv(_products(rows)), generate(generator, random_latent(generator, BATCH, 0))
    alike = rows @ unit(made.sum(axis=2)).T
    parts = inverse @ alike
    share, signed = (alike * parts).sum(axis=0).min(), bool((parts[0] > 0).all())
    levels, means = made.std(axis=(1, 2)), made.mean(axis=(1, 2))
    spread = np.median(levels), levels.min(), levels.max()
    return Sketch(rows, inverse, *spread, np.median(means), np.abs(means).max(), share, signed)


def _products(rows):
    """The products among rows [m, s], with a ridge: [m, m]."""
    products = rows.astype(np.float64) @ rows.T
    return products + RIDGE * np.trace(products) / len(products) * np.eye(len(products))


def place(targets, generator):
    """Where a generator's sound lies in targets [n, num_samples, num_channels] → shifts [n] in samples, whether the
    sketch of the generator explains as much there as of its sounds, whether they may not have been moved at all, and
    whether they are recognised, but turned over: the mean waveform is part of every sound, and theirs is negative; not
    of a generator whose sounds have it with either sign.

    The mean waveform over the prior and its derivatives span what a clip can be to first order, whatever its level. At
    every shift a target is projected onto them, all shifts at once by correlation; one of which samples were altered
    without these, too, at the places that are best with them and where it is.
    """
    known = sketch(generator)
    rows, inverse = known.rows, known.inverse
    size = 2 * rows.shape[1]
    farthest = 1 + min(FARTHEST, rows.shape[1] // 8)  # an end has no neighbour
    shifts = np.arange(-farthest, farthest + 1)
    spectra = np.conj(np.fft.rfft(rows, size))
    best, shares, (unmoved, turned) = np.zeros(len(targets)), np.zeros(len(targets)), np.zeros((2, len(targets)), bool)
    for i, target in enumerate(unit(centred(targets)[0].sum(axis=2))):
        alike = np.fft.irfft(spectra * np.fft.rfft(target, size), size)[:, shifts]
        parts = inverse @ alike
        scores = (alike * parts).sum(axis=0)
        turned[i] = known.signed and parts[0, scores.argmax()] < 0
        best[i], shares[i], as_it_is = summit(scores) - farthest, scores.max(), scores[farthest]
        there = ~missing(targets[i], generator)
        if not there.all():
            tried = {shift: _share_of(known, target, there, shift) for shift in (0, *shifts[_peaks(scores)])}
            best[i] = max(tried, key=tried.get)
            shares[i], as_it_is = tried[best[i]], tried[0]
        unmoved[i] = as_it_is >= UNMOVED * shares[i]
    recognised = shares > RECOGNISED * known.share
    return best, recognised, unmoved, recognised & turned


def _share_of(known, target, there, shift):
    """The share of a target [samples] that a Sketch explains, `shift` samples late, of those samples where `there`
    is True."""
    target, there = (np.roll(samples, -shift) for samples in (target * there, there))
    rows, (target,) = known.rows * there, unit(target[None])
    alike = rows @ target
    return alike @ np.linalg.solve(_products(rows), alike)


def _peaks(scores):
    """Where scores [m] are highest within PEAK_WIDTH on either side, the PEAKS highest such places."""
    tops = np.flatnonzero(scores == scipy.ndimage.maximum_filter1d(scores, 2 * PEAK_WIDTH + 1))
    return tops[np.argsort(-scores[tops])[:PEAKS]]


def summit(scores):
    """Where scores [m] are highest, a real number: the top of a parabola, if the peak is broad and not at a whole
    number."""
    peak = int(np.clip(scores.argmax(), 1, len(scores) - 2))
    before, top, after = scores[peak - 1 : peak + 2]
    fraction = 0.5 * (before - after) / min(before - 2 * top + after, -1e-12)
    broad = min(before, after) > BROAD * top and WHOLE < abs(fraction) < 1
    return peak + (fraction if broad else 0.0)


def has_usual_level(targets, generator):
    """True for each of the targets [n, num_samples, num_channels] whose level and mean the generator's sounds have."""
    known, (waveforms, means) = sketch(generator), centred(targets)
    levels = waveforms.std(axis=(1, 2))
    usual = (levels > known.lowest / LEVELS) & (levels < known.highest * LEVELS)
    return usual & (np.abs(means) < LEVELS * max(known.mean, known.lowest))


def levels_alike(generator):
    """Whether a sound at a usual level seems to be at the one that the generator gave it: its levels differ little."""
    return sketch(generator).highest < ALIKE * sketch(generator).lowest


def signs_told(generator):
    """Whether the sketch of a generator tells a sound from the same turned over."""
    return sketch(generator).signed


def least_of_own(generator):
    """The objective that a linear model of a generator leaves of those of its sounds that it explains worst, nearly: a
    first step of a descent leaves no more of any."""
    return 0.5 * (1 - HOPEFUL * sketch(generator).share)


def places_told(generator):
    """Whether the sketch of a generator finds its own sounds where they are: it may be as much like them elsewhere."""

    def told():
        shifts, *_ = place(generate(generator, random_latent(generator, TRIED, 1)), generator)
        return bool((np.abs(shifts) < NEAR).all())

    return generator.derived(("places told",), told)
