"""Clips that may have gone through more than another level, offset and position: a linear filter, or another speed.
Where their descents begin, and what was found of them.

A filter has the level, the sign and the position of a sound among its special cases, so it is looked for where those
alone do not explain a clip that the generator seems to have made. Only the product of all is known. The convention is
the generator's own level and place, and a filter of unit energy whose largest tap is positive and lies at 0.
"""

from dataclasses import replace

import numpy as np

from models.recovery.descents import ALIGNED, ALIGNMENTS, NEARER, descend, placed, residual_of
from models.recovery.errors import EXPLAINED, FAR, PROMISING, objective_at
from models.recovery.filters import ORIGIN, filters
from models.recovery.locating import usual_place
from models.recovery.problem import Alignment
from models.recovery.speed import place_by_speed, played

NEEDED = objective_at(10.0) / objective_at(0.0)  # share of an objective without a channel that is left with it, at most
HELPED = 0.5  # share of the objective of an explained clip that a channel leaves at once, at most
SAMPLES = 16  # of a clip for each unknown, at least, where a channel is looked for: fewer are explained by any
IMPULSE = 1e-6  # energy of a filter beside its largest tap, up to which it is level and place alone
UNMOVED = 0.01  # samples by which speed and position move a clip's ends, below which it needs no other alignment
SAME_SPEED = 1e-6  # change of speed that moves a clip's ends by no hundredth of a sample


def look_for_channels(standings, options, why):
    """Descends with another speed, or with a filter, each from where a clip stands or from what is predicted of it,
    where the channel makes one of these explain it for the most part, else, and where that leads nowhere, from zero.
    It is kept where it explains a clip that nothing else did, or NEEDED more of it.

    Clips that are explained well are left out where no channel changes much at once: those are in a local minimum. Of
    the others those are tried that the sketch of the generator is like, as they are or at another speed.
    """
    generator = standings[0].problem.generator
    enough = generator.num_samples > SAMPLES * (filters(generator).size + generator.latent_dim)
    if generator.num_samples <= SAMPLES * (played(generator).size + generator.latent_dim):
        return
    by_speed = _at_once(standings, played(generator))
    by_filter = _at_once(standings, filters(generator)) if enough else [np.inf] * len(standings)
    speeds = [None] * len(standings)
    unknown = [i for i, one in enumerate(standings) if one.fit.objective > FAR]
    if unknown:
        targets = np.stack([standings[i].problem.target for i in unknown])
        for i, other, speed, shift in zip(unknown, *place_by_speed(targets, generator)):
            speeds[i] = (speed, shift) if other else None
    for i, one in enumerate(standings):  # a speed has fewer unknowns than a filter
        helps = by_speed[i] < HELPED * min(one.fit.objective, by_filter[i])
        speeds[i] = speeds[i] or ((1.0, one.fit.alignment.shift) if helps and one.explained else None)
    chosen = [i for i, speed in enumerate(speeds) if speed is not None]
    _look([standings[i] for i in chosen], [speeds[i] for i in chosen], played(generator), options, why)
    chosen = []
    for i, one in enumerate(standings):
        helps = by_filter[i] < HELPED * one.fit.objective
        if enough and one.fit.channel is None and (helps or (one.recognised and one.fit.objective > FAR)):
            chosen.append(one)
    _look(chosen, [(1.0, np.round(_shift(one))) for one in chosen], filters(generator), options, why)


def _shift(standing):
    """Samples that a clip is late, as far as that is known."""
    return standing.begins[-1].alignment.shift if standing.begins else standing.fit.alignment.shift


def _at_once(standings, kind):
    """What a channel leaves of each of the clips that are explained for the most part, with the sound and at the place
    that they are explained by; infinite for the others."""
    values = [np.inf] * len(standings)
    chosen = [i for i, one in enumerate(standings) if one.explained]
    if chosen:
        some = [standings[i] for i in chosen]
        fits = [replace(one.fit, channel=kind, free=False) for one in some]
        for i, value in zip(chosen, _objectives(some, fits)):
            values[i] = value
    return values


def _objectives(standings, fits):
    x = np.stack([fit.x for fit in fits])
    return residual_of(standings, fits).evaluate(x, np.arange(len(x)))


def _look(standings, places, kind, options, why):
    """Descends with a channel of a kind, at places [n] of (speed, shift), and keeps what explains more."""
    if not standings:
        return
    fits = [_begun(one, one.fit.x[:-3], place, kind) for one, place in zip(standings, places)]
    values = _objectives(standings, fits)
    if standings[0].problem.predict is not None:
        z = standings[0].problem.predict(np.stack([fit.aligned for fit in fits])).astype(np.float64)
        z = [np.clip(one, *standing.problem.box()) for one, standing in zip(z, standings)]
        predicted = [_begun(*one, kind) for one in zip(standings, z, places)]
        for i, value in enumerate(_objectives(standings, predicted)):
            if value < values[i]:
                fits[i], values[i] = predicted[i], value
    near = [value < PROMISING for value in values]
    fits = [fit if there else replace(fit, x=0 * fit.x) for fit, there in zip(fits, near)]
    fits = descend(standings, fits, options, smoothing=[NEARER if there else np.inf for there in near])
    lost = [i for i, fit in enumerate(fits) if near[i] and fit.objective >= EXPLAINED]
    if lost:
        begun = [replace(fits[i], x=0 * fits[i].x) for i in lost]
        for i, fit in zip(lost, descend([standings[i] for i in lost], begun, options)):
            fits[i] = fit
    if kind is played(standings[0].problem.generator):
        fits = _followed(standings, fits, options)
    for standing, fit in zip(standings, fits):
        if fit.objective < EXPLAINED:
            standing.back = 0
            standing.keep(fit, why, NEEDED)


def _begun(standing, z, place, kind):
    """A Fit through a channel at unknowns z [k], the target at about the level and place of the generator's sounds."""
    speed, shift = place
    usual = usual_place(standing.problem, shift, standing.sign).alignment
    return placed(standing.problem.target, z, replace(usual, shift=float(shift), speed=float(speed)), False, kind)


def _followed(standings, fits, options):
    """Aligns the clips that are explained by what their descents found of speed and position, and descends again, until
    nothing moves."""
    for _ in range(ALIGNMENTS):
        again = []
        for i, (standing, fit) in enumerate(zip(standings, fits)):
            if fit.objective < EXPLAINED and not standing.spent:
                place, (waveform, best) = fit.alignment, fit.best(standing.problem.generator)
                speed, shift = fit.channel.refined(best.coefficients, place.speed, place.shift)
                moves = abs(shift - place.shift) + abs(speed / place.speed - 1) * len(waveform) / 2
                if moves > UNMOVED:
                    again.append(i)
                    fits[i] = _begun(standing, fit.x[:-3], (speed, shift), fit.channel)
        if not again:
            break
        descents = descend([standings[i] for i in again], [fits[i] for i in again], options, smoothing=ALIGNED)
        for i, fit in zip(again, descents):
            fits[i] = fit
    return fits


def channel_of(problem, fit):
    """What was found of a clip through a channel, as its Alignment."""
    (_, best), place = fit.best(problem.generator), fit.alignment
    offset = place.offset + place.gain * best.coefficients[-1]
    if fit.channel is played(problem.generator):
        speed, shift = fit.channel.refined(best.coefficients, place.speed, place.shift)
        speed = 1.0 if abs(speed - 1) < SAME_SPEED else speed
        return Alignment(place.gain * best.coefficients[0], offset, shift, speed=speed)
    response = fit.channel.response(best.coefficients)
    peak = np.abs(response[: ORIGIN + 1]).argmax()  # of the first taps, which will lie at ORIGIN
    level = np.copysign(np.linalg.norm(response), response[peak])
    taps = np.zeros(len(response), np.float32)
    taps[ORIGIN - peak :] = response[: len(response) - ORIGIN + peak] / level
    shift = place.shift + peak - fit.channel.before
    return Alignment(place.gain * level, offset, shift, taps if 1 - taps[ORIGIN] ** 2 > IMPULSE else None)
