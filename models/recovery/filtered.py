"""Clips that may have gone through a linear filter, beside level, offset and position: where they begin, and what was
found of them.

A filter has the level, the sign and the position of a sound among its special cases, so it is looked for where those
alone do not explain a clip that the generator seems to have made. Only the product of all is known. The convention is
the generator's own level and place, and a filter of unit energy whose largest tap is positive and lies at 0.
"""

from dataclasses import replace

import numpy as np

from models.recovery.channel import Filtered
from models.recovery.covariance import deviations
from models.recovery.descents import NEARER, descend, placed, residual_of
from models.recovery.errors import EXPLAINED, FAR, PROMISING, objective_at
from models.recovery.filters import ORIGIN
from models.recovery.problem import Alignment

NEEDED = objective_at(10.0) / objective_at(0.0)  # share of an objective without a filter that is left with one, at most
IMPULSE = 1e-6  # energy of a filter beside its largest tap, up to which it is level and place alone
HELPED = 0.5  # share of the objective of a clip, explained for the most part, that a filter leaves at once, at most


def look_for_filters(standings, options, why):
    """Descends with a filter each: from where a clip stands or what is predicted of it, where a filter makes one of
    these explain it for the most part, else, and where that leads nowhere, from zero. It is kept where it explains a
    clip that nothing else did, or NEEDED more of it.

    Clips that are explained well are left out where a filter changes little: those are in a local minimum.
    """
    fits = [_filtered(one, one.fit.x[:-3]) for one in standings]
    values = _objectives(standings, fits)
    if standings[0].problem.predict is not None:
        z = standings[0].problem.predict(np.stack([fit.aligned for fit in fits])).astype(np.float64)
        z = [np.clip(one, *standing.problem.box()) for one, standing in zip(z, standings)]
        predicted = [_filtered(*one) for one in zip(standings, z)]
        for i, value in enumerate(_objectives(standings, predicted)):
            if value < values[i]:
                fits[i], values[i] = predicted[i], value
    now = [one.fit.objective for one in standings]
    chosen = [i for i, value in enumerate(values) if value < HELPED * now[i] or now[i] > FAR]
    if not chosen:
        return
    standings, fits, values = ([some[i] for i in chosen] for some in (standings, fits, values))
    near = [value < PROMISING for value in values]
    fits = [fit if there else _from_zero(fit) for fit, there in zip(fits, near)]
    fits = descend(standings, fits, options, smoothing=[NEARER if there else np.inf for there in near])
    lost = [i for i, fit in enumerate(fits) if near[i] and fit.objective >= EXPLAINED]
    if lost:
        begun = [_from_zero(fits[i]) for i in lost]
        for i, fit in zip(lost, descend([standings[i] for i in lost], begun, options)):
            fits[i] = fit
    for standing, fit in zip(standings, fits):
        if fit.objective < EXPLAINED:
            standing.back = 0
            standing.keep(fit, why, NEEDED)


def _filtered(standing, z):
    """A Fit through a filter at unknowns z [k], the target at about the level and place of the generator's sounds."""
    place = standing.begins[-1].alignment
    place = Alignment(place.gain, place.offset, float(np.round(place.shift)))
    return placed(standing.problem.target, z, place, False, filtered=True)


def _from_zero(fit):
    return replace(fit, x=0 * fit.x)


def _objectives(standings, fits):
    x = np.stack([fit.x for fit in fits])
    return residual_of(standings, fits).evaluate(x, np.arange(len(x)))


def channel_of(problem, fit):
    """What was found of a clip through a filter → its Alignment, and the standard deviations of its unknowns [k]."""
    generator, k = problem.generator, len(fit.x) - 3
    least_squares = Filtered(generator, fit.aligned[None], fit.present.reshape(1, -1))
    waveform = np.asarray(generator(fit.x[None, :k].astype(np.float32)), np.float64)[0]
    best = least_squares.fit(waveform, 0)
    response = least_squares.basis.response(best.coefficients)
    peak = np.abs(response[: ORIGIN + 1]).argmax()  # the largest of the first taps: it will lie at ORIGIN
    level = np.copysign(np.linalg.norm(response), response[peak])
    taps = np.zeros(len(response), np.float32)
    taps[ORIGIN - peak :] = response[: len(response) - ORIGIN + peak] / level
    offset, place = best.coefficients[-1], fit.alignment
    lower, upper = problem.box()
    sound = best.fitted.reshape(waveform.shape) - offset
    free = np.append(lower < upper, (False,) * 3)
    std = deviations(sound, fit.aligned - offset, fit.present > 0, fit.normal, free)[:k]
    shift = place.shift + peak - least_squares.basis.before
    known = place.gain * level, place.offset + place.gain * offset, shift
    return Alignment(*known, taps if 1 - taps[ORIGIN] ** 2 > IMPULSE else None), std
