"""Clips that may have gone through more than another level, offset and position: a linear filter, a room, another
speed, levels that change, or hum beside them. Where their descents begin, and what was found of them.

A filter has the level, the sign and the position of a sound among its special cases, so it is looked for where those
alone do not explain a clip that the generator seems to have made. Only the product of all is known. The convention is
the generator's own level and place, and a filter of unit energy whose largest tap is positive and lies at 0.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from models.generator.excerpts import BLOCKS
from models.recovery.descents import ALIGNED, LANDING, NEARER, ROUNDS, descend, placed, residual_of
from models.recovery.echoes import Echo, echo_of
from models.recovery.errors import EXPLAINED, FAR, NOISY, PROMISING
from models.recovery.filters import ORIGIN, Basis, filters
from models.recovery.locating import usual_place
from models.recovery.placing import Levels, Played, humming, levelled, moved, played
from models.recovery.problem import Alignment
from models.recovery.rooms import Room, rooms
from models.recovery.speed import places_by_speed, refined, refined_by

HELD_BACK = 0.02  # objective in a room whose taps are held back most, above which it is none
LIKE_OWN = 0.12, 0.35  # shares of a clip that its predictions at other speeds explain, the second at the LIKELIEST
LIKELIEST = 4
NEEDED = 0.5  # share of an objective without a channel that is left with it, at most
HELPED = 0.75  # share of a clip's objective that a channel leaves at once, at most, or it is not looked for
CHANNELS = "speed", "hum", "filter", "levels", "echo", "room"
ECHO = "an echo"
LARGEST = 256  # unknowns that a channel counts as at most: a room's are held back
# Objectives of a sound through a channel of each kind: what has more unknowns explains more of any sound, so more is
# asked of it. That of what is predicted, above which the sound is not the generator's; and where a descent has to end.
LIKELY = {Played: PROMISING, Echo: 0.25, Basis: 0.25, Levels: 0.25, Room: 0.12}
ENOUGH = {Played: EXPLAINED, Echo: 0.01, Basis: 0.01, Levels: 0.01, Room: 0.001}
SAMPLES = 16  # of a clip for each unknown, at least, where a channel is looked for: fewer are explained by any
SILENT = 1e-6  # energy of a block of a clip relative to its loudest one, up to which it holds no sound
MAINS = 50.0, 60.0  # Hz
IMPULSE = 1e-6  # energy of a filter beside its largest tap, up to which it is level and place alone
UNMOVED = 0.01  # samples by which speed and position move a clip's ends, below which it needs no other alignment
SAME_SPEED = 1e-6  # change of speed that moves a clip's ends by no hundredth of a sample


class Place(NamedTuple):
    """Where a clip lies: its speed, as of models.recovery.speed, samples that it is late, and -1 if it is turned over,
    else 1."""

    speed: float
    shift: float
    sign: int


def look_for_channels(standings, options, why, names=CHANNELS):
    """Descends through the channels that a clip may have gone through, those of fewest unknowns first, each from where
    the clip stands or from what is predicted of it, where the channel makes one of these explain it for the most part,
    else, and where that leads nowhere, from zero. One is kept where it explains a clip that nothing else did, or NEEDED
    more of it.

    Clips of which something is explained go through those that leave HELPED of what remains at once, and about as
    little as any. Those that are explained badly and that the sketch of the generator is like go through the others
    too: at another speed, through a filter, in a room. names: of CHANNELS, those that are looked for.
    """
    generator = standings[0].problem.generator
    kinds, samples = _kinds(generator, names), [_sounding(one.fit) for one in standings]
    at_once = np.array([_at_once(standings, kind) for kind in kinds]).reshape(len(kinds), len(standings))
    unknown = [i for i, one in enumerate(standings) if one.fit.objective > FAR]
    speeds = [None] * len(standings)
    if unknown and played(generator) in kinds:
        targets = np.stack([standings[i].problem.target for i in unknown])
        for i, places in zip(unknown, places_by_speed(targets, generator)):
            speeds[i] = _likeliest(standings[i], places)
    for kind, left in zip(kinds, at_once):
        if kind is ECHO:
            for one in standings:
                _look_for_an_echo(one, options, why)
            continue
        chosen, places = [], []
        for i, one in enumerate(standings):
            if not one.missed(noisy=NOISY) or one.spent or not _enough(samples[i], kind, generator):
                continue
            place = None
            if left[i] < HELPED * one.fit.objective and HELPED * left[i] < at_once[:, i].min():
                place = Place(1.0, one.fit.alignment.shift, one.sign)
            if one.fit.objective > FAR:
                if kind is played(generator):
                    place = speeds[i] or place
                elif isinstance(kind, (Basis, Room)) and one.recognised:
                    place = Place(1.0, _shift(one), one.sign)
            if place is not None:
                chosen.append(one)
                delayed = isinstance(kind, Played)  # the others know whole samples alone
                places.append(place if delayed else place._replace(shift=np.round(place.shift)))
        _look(chosen, places, kind, options, why)


def _likeliest(standing, places):
    """Of (speed, shift) the Place at which a clip is most like what is predicted of it there, either way up, as exactly
    as it is known; None where it is like none. Without predictions the first."""
    problem, generator = standing.problem, standing.problem.generator
    if not places:
        return None
    if problem.predict is None:
        return Place(*refined(problem.target, generator, *places[0])[:2], standing.sign)
    known = [Place(*place, sign) for place in places for sign in (1, -1)]
    for coarsely, least in zip((True, False), LIKE_OWN):
        sounds = [fit.sound(generator) for fit in _predicted([standing] * len(known), known, None)]
        nearer = [_nearer(problem, place, sound, coarsely) for place, sound in zip(known, sounds)]
        likeliest = np.argsort([-alike for _, alike in nearer])[:LIKELIEST]
        if nearer[likeliest[0]][1] < least:
            return None
        known = [nearer[i][0] for i in likeliest]
        if coarsely:
            known = [_nearer(problem, place, sounds[i], False)[0] for place, i in zip(known, likeliest)]
    return known[0]


def _nearer(problem, place, sound, coarsely):
    """A Place as exactly as a predicted sound tells it, and how much like that a clip is there."""
    speed, shift, alike = refined_by(problem.target, problem.generator, place.speed, place.shift, sound, coarsely)
    return Place(speed, shift, place.sign), alike


def _look_for_an_echo(standing, options, why):
    """Descends with an echo, where one helps the clip's own sound or the predicted one at once."""
    generator, place = standing.problem.generator, Place(1.0, np.round(_shift(standing)), standing.sign)
    seems_own = standing.fit.objective < PROMISING or standing.recognised
    if not standing.missed(noisy=NOISY) or standing.spent or not seems_own:
        return
    begun = [_begun(standing, standing.fit.x[:-3], place, None), *_predicted([standing], [place], None)]
    best, kind = np.inf, None
    for fit in begun:
        echo = echo_of(fit.sound(generator), fit.aligned * fit.present)
        if echo is None or not _enough(_sounding(fit), echo, generator):
            continue
        without, left = (_objectives([standing], [replace(fit, channel=one)])[0] for one in (moved(generator), echo))
        if left < min(HELPED * without, best):
            best, kind = left, echo
    if kind is not None:
        _look([standing], [place], kind, options, why)


def _kinds(generator, names):
    """What a channel may be made of, the fewest unknowns first, as far as a generator's sounds have samples for them;
    ECHO for an echo, which is another for each clip, and would explain a part of what a filter does."""
    made = {
        "speed": lambda: [played(generator)],
        "hum": lambda: [humming(generator, mains) for mains in MAINS],
        "filter": lambda: [filters(generator)],
        "levels": lambda: [levelled(generator)],
        "echo": lambda: [ECHO],
        "room": lambda: rooms(generator)[:1],
    }
    kinds = [kind for name in CHANNELS if name in names for kind in made[name]()]
    return [kind for kind in kinds if kind is ECHO or _enough(generator.num_samples, kind, generator)]


def _enough(samples, kind, generator):
    """Whether so many samples tell the unknowns of a channel of a kind beside those of the generator."""
    return SAMPLES * (min(kind.size, LARGEST) + generator.latent_dim) <= samples


def _sounding(fit):
    """Samples of the target of a Fit that are known and hold sound, counted in blocks of its time."""
    known = fit.present.min(axis=1)
    centred = known[:, None] * (fit.aligned - fit.aligned.mean(axis=0))
    energies = np.array([(part**2).sum() for part in np.array_split(centred, BLOCKS)])
    counts = np.array([part.sum() for part in np.array_split(known, BLOCKS)])
    return int(counts[energies > SILENT * energies.max()].sum())


def _shift(standing):
    """Samples that a clip is late, as far as that is known."""
    return standing.begins[-1].alignment.shift if standing.begins else standing.fit.alignment.shift


def _at_once(standings, kind):
    """What a channel leaves of each of the clips that something is explained of, with the sound and at the place that
    it is explained by; infinite for the others."""
    values = [np.inf] * len(standings)
    chosen = [i for i, one in enumerate(standings) if one.fit.objective < PROMISING]
    if chosen and kind is not ECHO:
        some = [standings[i] for i in chosen]
        fits = [replace(one.fit, channel=kind, free=False) for one in some]
        for i, value in zip(chosen, _objectives(some, fits)):
            values[i] = value
    return values


def _objectives(standings, fits):
    x = np.stack([fit.x for fit in fits])
    return residual_of(standings[0].problem.generator, fits).evaluate(x, np.arange(len(x)))


def _look(standings, places, kind, options, why):
    """Descends with a channel of a kind, at Places [n], and keeps what explains more."""
    if not standings:
        return
    fits = [_begun(one, one.fit.x[:-3], place, kind) for one, place in zip(standings, places)]
    values, predicted = _objectives(standings, fits), _predicted(standings, places, kind)
    for i, value in enumerate(_objectives(standings, predicted) if predicted else ()):
        if value < values[i]:
            fits[i], values[i] = predicted[i], value
    certain = predicted or isinstance(kind, Room)
    likely = [i for i, value in enumerate(values) if value < LIKELY[type(kind)] or not certain]
    if not likely:
        return
    standings, fits, values = ([some[i] for i in likely] for some in (standings, fits, values))
    near = [value < PROMISING for value in values]
    fits = [fit if there else replace(fit, x=0 * fit.x) for fit, there in zip(fits, near)]
    above = HELD_BACK if isinstance(kind, Room) else ENOUGH[type(kind)]
    options = options | {"above": above, "patient_below": EXPLAINED}
    fits = descend(standings, fits, options, smoothing=[NEARER if there else np.inf for there in near])
    lost = [i for i, fit in enumerate(fits) if near[i] and fit.objective >= EXPLAINED and not standings[i].spent]
    if lost:
        begun = [replace(fits[i], x=0 * fits[i].x) for i in lost]
        for i, fit in zip(lost, descend([standings[i] for i in lost], begun, options)):
            fits[i] = fit
    if isinstance(kind, Played):
        fits = _followed(standings, fits, options)
    if isinstance(kind, Room):
        fits = _freed(standings, fits, options)
    for standing, fit in zip(standings, fits):
        if fit.objective < ENOUGH[type(kind)]:
            standing.back = 0
            standing.keep(fit, why, NEEDED)


def _predicted(standings, places, kind):
    """Fits through a channel at what is predicted of the clips at Places [n]; none without a prediction."""
    if standings[0].problem.predict is None:
        return []
    targets = [_begun(one, one.fit.x[:-3], place, kind).aligned for one, place in zip(standings, places)]
    z = standings[0].problem.predict(np.stack(targets)).astype(np.float64)
    z = [np.clip(one, *standing.problem.box()) for one, standing in zip(z, standings)]
    return [_begun(*one, kind) for one in zip(standings, z, places)]


def _begun(standing, z, place, kind):
    """A Fit through a channel at unknowns z [k], the target at about the level and place of the generator's sounds."""
    usual = usual_place(standing.problem, place.shift, place.sign).alignment
    return placed(standing.problem, z, replace(usual, shift=float(place.shift), speed=float(place.speed)), False, kind)


def _followed(standings, fits, options):
    """Aligns the clips that are explained by what their descents found of speed and position, and descends again, until
    nothing moves."""
    for _ in range(ROUNDS):
        again = []
        for i, (standing, fit) in enumerate(zip(standings, fits)):
            if fit.objective < EXPLAINED and not standing.spent:
                place, (waveform, best) = fit.alignment, fit.best(standing.problem.generator)
                speed, shift = fit.channel.refined(best.coefficients, place.speed, place.shift)
                moves = abs(shift - place.shift) + abs(speed / place.speed - 1) * len(waveform) / 2
                if moves > UNMOVED:
                    again.append(i)
                    fits[i] = _begun(standing, fit.x[:-3], Place(speed, shift, np.sign(place.gain)), fit.channel)
        if not again:
            break
        descents = descend([standings[i] for i in again], [fits[i] for i in again], options, smoothing=ALIGNED)
        for i, fit in zip(again, descents):
            fits[i] = fit
    return fits


def _freed(standings, fits, options):
    """Descends again from Fits through a Room that nearly explain their clips, under smaller penalties one after
    another."""
    near = [i for i, fit in enumerate(fits) if fit.objective < HELD_BACK]
    for kind in rooms(standings[0].problem.generator)[1:]:
        near = [i for i in near if not standings[i].spent]
        if not near:
            break
        begun = [replace(fits[i], channel=kind) for i in near]
        for i, fit in zip(near, descend([standings[i] for i in near], begun, options, smoothing=LANDING)):
            fits[i] = fit
    return fits


def channel_of(problem, fit):
    """What was found of a clip through a channel, as its Alignment."""
    (waveform, best), place = fit.best(problem.generator), fit.alignment
    offset = place.offset + place.gain * best.coefficients[-1]
    if isinstance(fit.channel, Played):
        speed, shift = fit.channel.refined(best.coefficients, place.speed, place.shift)
        speed = 1.0 if abs(speed - 1) < SAME_SPEED else speed
        return Alignment(place.gain * best.coefficients[0], offset, shift, speed=speed)
    response = fit.channel.response(best.coefficients)
    if isinstance(fit.channel, Levels):
        before, behind = ((waveform**2).sum(), ((response * waveform) ** 2).sum())
        level = np.copysign((behind / before) ** 0.5, (response * waveform**2).sum())
        return Alignment(place.gain * level, offset, place.shift, levels=(response[:, 0] / level).astype(np.float32))
    peak = np.abs(response[: ORIGIN + 1]).argmax()  # of the first taps, which will lie at ORIGIN
    level = np.copysign(np.linalg.norm(response), response[peak])
    taps = np.zeros(len(response), np.float32)
    taps[ORIGIN - peak :] = response[: len(response) - ORIGIN + peak] / level
    shift = place.shift + peak - fit.channel.before
    return Alignment(place.gain * level, offset, shift, taps if 1 - taps[ORIGIN] ** 2 > IMPULSE else None)
