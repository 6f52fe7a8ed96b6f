"""Exact recovery: what is tried with a clip that the generator may have made, in order, until its answer is exact.

A clip that has an exact answer gives itself away: the objective of a good prediction is far below that of silence, and
from anywhere Levenberg–Marquardt makes it fall by a tenth or more with every two Jacobians. Averaged over latent noise
it is well below that of silence after the first. For a real recording it neither begins low nor falls.

Where a clip lies in its recording, and at which level, is first estimated (models/recovery/sketch.py). What that leaves
unknown, with the offset, are three more unknowns of the same least squares, each with a column of the Jacobian of its
own (as they are linear, variable projection would do the same: Golub and Pereyra 1973). The columns are those of the
covariance, too, which says how sure each coordinate is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from models.generator.generator import BATCH
from models.recovery.alignment import aligned, alterations, inside
from models.recovery.altered import clicks
from models.recovery.centre import prior_deviation
from models.recovery.channelled import CHANNELS, channel_of, look_for_channels
from models.recovery.covariance import variance_left
from models.recovery.descents import (
    ALIGNED,
    BACK,
    LANDING,
    NEARER,
    Standing,
    by_channel,
    descend,
    descend_under,
    evened,
    from_elsewhere,
    from_places,
    placed,
    residual_of,
    stands_alone,
    under_noise,
    under_weights,
    unsettled,
)
from models.recovery.determined import determined
from models.recovery.errors import EXPLAINED, HOPELESS, MISSED, NEAR_TRUTH, NOISY, PROMISING
from models.recovery.locating import predicted_places, usual_place
from models.recovery.problem import Alignment, Answer
from models.recovery.residual import Residual
from models.recovery.sketch import has_usual_level, least_of_own, levels_alike, place, places_told, signs_told

LEAST_FALL = 0.1  # share by which the objective of a clip with an exact answer falls in two iterations, at least
UNTOLD_JACOBIANS = 25  # of a descent that cannot be told to lead nowhere
EVENED = 0.5, 1.0, None  # shares of its loudness by which a clip is evened, None for that of what remains
CYCLES = 2  # in which it is evened by all of these
SHIFTED, LOUDER = 0.5, 0.2  # samples and log gain, up to which a clip was placed where it is
FEWER = 2.0  # times the best objective, up to which a fit with fewer unknowns is taken
ANEW = 3  # descents from random latent vectors
NOT_EXPLAINED, SPENT = "no latent vector explains it", "stopped after its budget"


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Exact recovery of every clip, by least squares on the waveform.

    max_iter: Jacobians of a descent, at most. restarts: how often, at most, a clip that is explained for the most part
    but not exactly yet is led out of its local minimum by each attempt that does so. stft_share: weight of the STFT
    magnitudes, 0 to 1, in the residual of clips that no latent vector explains; where a Problem wants an exact answer
    only, such a clip ends where the waveform alone has led, and one that neither its start nor the sketch of the
    generator is anything like is not even begun with: its objective is infinite. budget: Jacobians that one clip may
    take over all attempts, unless its Problem has a budget of its own; 0: any number. What it has reached by then is
    its answer. channels: of models.recovery.channelled.CHANNELS, what a clip may have gone through.
    """

    max_iter: int = 200
    restarts: int = 8
    stft_share: float = 0.5
    budget: int = 200
    channels: tuple = CHANNELS

    solves_exactly = True  # whether an answer may be exact: it compares waveforms sample by sample

    def solve(self, problems, *, seed=0, report=None):
        """As models.recovery.problem says; the unknowns' prior sets how wide the noise is at first, it is no penalty.
        An Answer's iterations are Jacobians.
        """
        if not problems:
            return
        tries = _Tries(self, seed, report)
        standings = look_at(
            [problem if problem.budget else replace(problem, budget=self.budget) for problem in problems], seed
        )
        waiting = dict(enumerate(standings))
        for attempt in ATTEMPTS:
            for number in range(attempt.times(self)):
                chosen = [one for one in waiting.values() if _may(attempt, one)]
                if not chosen:
                    break
                attempt.how(tries, chosen, number, attempt.name)
                for one in chosen:
                    one.tried.add(attempt.name)
            tries.phase += attempt.draws
            for one in waiting.values():
                one.idle, one.last = 0, None
            for i in [i for i, one in waiting.items() if not one.missed(noisy=NOISY)]:
                yield i, settled(waiting.pop(i))
        for i, one in waiting.items():
            yield i, settled(one)


def _may(attempt, standing):
    return (attempt.last or not standing.spent) and attempt.when(standing)


class _Tries:
    """What all attempts of one call share: the options of a descent, and random numbers of which no two are drawn from
    the same stream. phase: how many attempts that draw have gone before."""

    def __init__(self, solver, seed, report):
        self.solver, self.seed, self.phase = solver, np.atleast_1d(seed), 0
        self.options = {"max_iter": solver.max_iter, "report": lambda active: report and report(len(active))}

    def stream(self, number):
        return [number, self.phase, *self.seed]

    def patient(self):
        """Options of a descent that is given up where an unexplained clip gains too little."""
        return self.options | {"least_fall": LEAST_FALL, "above": EXPLAINED}

    def longer(self):
        """Options of a descent that cannot be told to lead nowhere."""
        return self.options | {"max_iter": min(UNTOLD_JACOBIANS, self.options["max_iter"])}

    def brisk(self, standings):
        """The same, of a clip that is explained but not exactly, too: what is left may be a channel's."""
        return self.hopeful(standings) | {"above": MISSED}

    def hopeful(self, standings):
        """Options of a descent that is also given up behind its first Jacobian where that leaves no hope."""
        generator = standings[0].problem.generator
        return self.patient() | {"hopeless": max(HOPELESS, least_of_own(generator)) if generator.smooths else np.inf}


def look_at(problems, seed=0):
    """Standings of clips before the first attempt, with what is seen without a Jacobian of theirs."""
    standings = []
    for one in problems:
        begin = np.zeros(one.generator.latent_dim) if one.start is None else one.start
        standings.append(Standing(one, placed(one, begin, Alignment(), False), seed=(*np.atleast_1d(seed),)))
    targets, generator = np.stack([one.target for one in problems]), problems[0].generator
    if problems[0].start is not None:
        objectives = Residual(generator, targets).evaluate(
            np.stack([s.fit.x for s in standings]), np.arange(len(targets))
        )
        for standing, objective in zip(standings, objectives):
            standing.promising = objective < PROMISING
    unknown = [i for i, one in enumerate(problems) if not one.place_known]
    if unknown:
        shifts, recognised, unmoved, turned = place(targets[unknown], generator)
        usual, signs = has_usual_level(targets[unknown], generator), np.where(turned, -1, 1)
        for i, *seen, sign in zip(unknown, recognised, unmoved, usual, signs):
            standings[i].recognised, standings[i].unmoved, standings[i].usual = map(bool, seen)
            standings[i].sign = int(sign)
        known = [i for i, there in zip(unknown, recognised) if there]
        where = shifts[recognised], signs[recognised]
        near = predicted_places([problems[i] for i in known], *where)
        for i, begin, *shift_and_sign in zip(known, near, *where):
            standings[i].begins = [begin, usual_place(problems[i], *shift_and_sign)] if begin.near else [begin]
            if not begin.near and not signs_told(generator):
                standings[i].begins.append(usual_place(problems[i], shift_and_sign[0], -1))
    return standings


# When an attempt is worth its Jacobians: functions of a Standing.


def looks_as_made(one):
    """It may be at the generator's own level and place, or nothing better is known."""
    if one.problem.place_known:
        return True
    if not one.recognised:
        return not one.problem.only_exact or one.promising
    if one.begins[0].near or not one.usual or one.sign < 0:
        return False
    return one.promising or (one.unmoved and levels_alike(one.problem.generator))


def near_truth(one):
    return one.fit.channel is None and not one.problem.near and unsettled(one, NEAR_TRUTH)


def recognised(one):
    return bool(one.begins) and one.missed() and one.fit.channel is None


def maybe_channelled(one):
    """Its place is not known, and neither level nor place explain it."""
    return not one.problem.place_known and one.fit.channel is None and one.missed()


def explained_in_part(one):
    return one.explained and maybe_channelled(one)


def channelled_minimum(one):
    return one.fit.channel is not None and not one.in_a_room and unsettled(one, EXPLAINED)


def misled(one):
    """A prediction was begun at, or a sign that may be the other, and it is not explained."""
    return len(one.begins) > 1 and not one.explained


def from_zero_alone(one):
    """Nothing near it is predicted."""
    return not (one.promising or any(begin.near for begin in one.begins))


def maybe_unmoved(one):
    """Its place may have been a wrong one, and it was not tried as it is: it lies and sounds as if it had not been
    moved, or parts of it are missing, by which it was placed, or places are not told for sure of such sounds; or it has
    a usual level, and is not explained exactly."""
    if not one.begins or "as it is" in one.tried:
        return False
    if not one.explained:
        return one.usual and one.unmoved or one.altered or not places_told(one.problem.generator)
    place = one.fit.alignment
    stays = abs(place.shift) < SHIFTED and abs(np.log(max(place.gain, 1e-30))) < LOUDER
    return from_zero_alone(one) and one.usual and not stays and one.missed(noisy=NOISY)


def lost_as_it_is(one):
    """It was tried as it is, and is not explained, which tells nothing of a generator whose places are not told."""
    tried = "as it is, from zero" in one.tried and not one.fit.free and from_zero_alone(one)
    return tried and not one.explained and not places_told(one.problem.generator)


def untold_minimum(one):
    """It is explained, nothing near it was predicted, and what remains may be a local minimum's."""
    return from_zero_alone(one) and maybe_minimum(one)


def maybe_minimum(one):
    """It is explained without a channel, though not exactly, and what remains is not steady, as noise would be."""
    there = one.without_channel
    if there is None or there.objective >= EXPLAINED or one.problem.near:
        return False
    return not one.steady and one.missed(noisy=NOISY)


def far_minimum(one):
    return any_minimum(one) and one.fit.objective > NEAR_TRUTH


def any_minimum(one):
    return not one.problem.near and one.fit.channel is None and one.back < BACK and one.missed(EXPLAINED)


def minimum(one):
    return not one.problem.near and one.fit.channel is None and unsettled(one, EXPLAINED)


def beside_noise(one):
    """It is explained for the most part, and what remains may be another sound's."""
    beside = one.in_a_room or one.fit.noise or one.problem.near
    return one.explained and not beside and unsettled(one, EXPLAINED)


def still_missed(one):
    return one.explained and not (one.in_a_room or one.fit.noise or one.problem.near) and one.missed()


def unexplained(one):
    return not one.problem.only_exact and not one.explained


# How it is made: functions of what attempts share, the clips, the number of the attempt among its kind, and its name.


def _as_it_is_at_zero(one):
    return placed(one.problem, 0 * one.fit.x[:-3], Alignment(), False)


def as_it_is(tries, chosen, number, why):
    fits = [one.fit if one.promising else _as_it_is_at_zero(one) for one in chosen]
    nearness = [NEARER if one.promising else np.inf for one in chosen]
    for one, fit in zip(chosen, descend(chosen, fits, tries.brisk(chosen), smoothing=nearness)):
        one.keep(fit, why)


def from_zero(tries, chosen, number, why):
    """Where parts of a clip are missing a first Jacobian tells nothing, nor do some where a generator's sounds are too
    different from their sketch."""
    told = places_told(chosen[0].problem.generator)
    for some in ([one for one in chosen if one.altered is altered] for altered in (False, True)):
        if some:
            options = tries.longer() if not told else tries.patient() if some[0].altered else tries.hopeful(some)
            fits = [_as_it_is_at_zero(one) for one in some]
            for one, fit in zip(some, descend(some, fits, options)):
                one.keep(fit, why, FEWER if fit.objective < EXPLAINED else 1.0)  # it has fewer unknowns


def at_its_place(tries, chosen, number, why):
    from_places(chosen, [one.begins[0] for one in chosen], tries.brisk(chosen), why)


def at_its_place_from_zero(tries, chosen, number, why):
    from_places(chosen, [one.begins[-1] for one in chosen], tries.hopeful(chosen), why)


def through_a_channel(tries, chosen, number, why):
    look_for_channels(chosen, tries.hopeful(chosen), why, tries.solver.channels)


def without_clicks(tries, chosen, number, why):
    """Without the samples at which what remains stands out, which the generator did not make."""
    hit, fits = [], []
    for one in chosen:
        there = clicks(one.fit.sound(one.problem.generator) - one.fit.aligned, one.fit.present)
        if there.any():
            hit.append(one)
            fits.append(replace(one.fit, present=np.where(there, 0, one.fit.present).astype(np.float32)))
    if hit:
        for one, fit in zip(hit, descend(hit, fits, tries.brisk(hit), smoothing=NEARER)):
            one.keep(fit, why)
            one.clicked |= one.fit is fit


def elsewhere(tries, chosen, number, why):
    from_elsewhere(chosen, tries.stream(number), tries.patient(), why)


def as_it_is_elsewhere(tries, chosen, number, why):
    fits = [_as_it_is_at_zero(one) for one in chosen]
    from_elsewhere(chosen, tries.stream(number), tries.longer(), why, fits)


def shaken(tries, chosen, number, why):
    for alike in by_channel(chosen):
        under_weights(alike, tries.stream(number), tries.options, why)


def evenly(shares, tries, chosen, number, why):
    """The loud parts of a clip count for less, by `shares` of models.recovery.descents.evened: from zero, where no
    prediction leads. Then plainly, from there."""
    for one in chosen:
        begun = one.without_channel
        begin = replace(begun, x=0 * begun.x) if from_zero_alone(one) else begun
        _land(tries, one, evened(one, begin, tries.options, shares), begun, why)


def _land(tries, one, weighed, begun, why):
    """Goes on plainly from a weighed Fit that leaves less, at the place of the one that it began at, or its own."""
    if weighed.objective < begun.objective and one.left >= 1:
        fit = replace(begun, x=np.append(weighed.x[:-3], (0.0, 0.0, 0.0)))
        if begun.free:
            fit = placed(one.problem, weighed.x[:-3], channel_of(one.problem, weighed), True)
        noise = ALIGNED if weighed.objective < NEAR_TRUTH else LANDING
        (landed,) = descend([one], [fit], tries.brisk([one]), noise)
        one.keep(landed, why)


def among_noise(tries, chosen, number, why):
    """What remains counts for less where it is loud; kept where it is noise: steady, or not loud where the sound is."""
    for one in chosen:
        fit = under_noise(one, tries.options)
        if fit is not None and (one.steady or stands_alone(one.problem.generator, fit)):
            one.fit, one.why = fit, why


def as_it_stands(tries, chosen, number, why):
    """The same of what is not explained better, whatever it is."""
    for one in chosen:
        one.fit = under_noise(one, tries.options) or one.fit


def closest(tries, chosen, number, why):
    """With STFT magnitudes beside the waveform, at the level and place that the clips have."""
    begin = [np.zeros(len(one.fit.x) - 3) if one.problem.start is None else one.problem.start for one in chosen]
    fits = [placed(one.problem, z, Alignment(), False) for one, z in zip(chosen, begin)]
    noise = [np.inf if one.problem.start is None else NEARER for one in chosen]
    residual = residual_of(chosen[0].problem.generator, fits, tries.solver.stft_share)
    for one, fit in zip(chosen, descend_under(residual, chosen, fits, tries.options, noise)):
        one.fit, one.why = fit, why


@dataclass(frozen=True)
class Attempt:
    """A row of the portfolio. name: the answer's `why`. times: how often at most, a function of the solver. draws: how
    many streams of random numbers it takes. last: whether it is made of clips whose budget is spent, too."""

    name: str
    when: Callable
    how: Callable
    times: Callable = lambda solver: 1
    draws: int = 0
    last: bool = False


def often(solver):
    return solver.restarts


def seldom(solver):
    return min(solver.restarts, ANEW)


ATTEMPTS = (  # of each clip, in this order, until it is done; each keeps what is better
    Attempt("as it is", looks_as_made, as_it_is),
    Attempt("placed", recognised, at_its_place),
    Attempt("placed, from zero", misled, at_its_place_from_zero),
    Attempt("as it is, from zero", maybe_unmoved, from_zero),
    Attempt("as it is, from elsewhere", lost_as_it_is, as_it_is_elsewhere, often, draws=1),
    Attempt("without clicks", explained_in_part, without_clicks, lambda solver: 3),
    Attempt("evened", untold_minimum, partial(evenly, EVENED[:1])),
    Attempt("through a channel", maybe_channelled, through_a_channel),
    Attempt("through a channel, shaken", channelled_minimum, shaken, seldom, draws=1),
    Attempt("evened, in turns", maybe_minimum, partial(evenly, CYCLES * EVENED)),
    Attempt("among noise", beside_noise, among_noise),
    Attempt("shaken", near_truth, shaken, often, draws=1),
    Attempt("from elsewhere", far_minimum, elsewhere, seldom, draws=1),
    Attempt("shaken", minimum, shaken, often, draws=1),
    Attempt("from elsewhere", any_minimum, elsewhere, seldom, draws=1),
    Attempt("shaken", minimum, shaken, often, draws=1),
    Attempt("as it stands", still_missed, as_it_stands, last=True),
    Attempt(NOT_EXPLAINED, unexplained, closest),
)


def settled(one):
    """The Answer of a clip, with how sure each coordinate is where it is explained."""
    k, generator = one.problem.generator.latent_dim, one.problem.generator
    if not one.explained or one.why == NOT_EXPLAINED:
        why = SPENT if one.spent else NOT_EXPLAINED
        z, share = one.fit.x[:k], explained_share(one.problem, one.fit.x[:k])
        return Answer(z, one.fit.objective, one.cost, why, Alignment(), share, of_waveform=True)
    why, fit = SPENT if one.spent and one.missed() else one.why, one.fit
    altered = [*alterations(one.problem.target, generator), *["hit by a click"] * _left_out(one)]
    if fit.channel is not None:
        place = channel_of(one.problem, fit)
        level_alone = place.filter is None and place.levels is None and place.speed == 1
        why = "placed" if why != SPENT and level_alone else why
    else:
        fit = fit.folded(one.problem) if fit.free else fit
        place = fit.alignment
    share = float(np.clip(1 - 2 * fit.objective, 0, 1))
    answer = Answer(fit.x[:k], fit.objective, one.cost, why, place, share, of_waveform=True, altered=", ".join(altered))
    lower, upper = one.problem.box()
    prior = np.where(lower < upper, prior_deviation(generator), 0.0)
    free = np.append(np.ones(k, bool), (fit.free,) * 3)
    unknowns = int((prior > 0).sum()) + (3 * fit.free if fit.noise is None else fit.channel.size)
    if fit.noise is None:
        variance = variance_left(fit.sound(generator).astype(np.float64), fit.aligned, fit.present > 0, unknowns)
    else:  # what remains is as loud everywhere
        left = fit.best(generator)[1].residual
        variance = left @ left / max((fit.present > 0).sum() - unknowns, 1)
    known = determined(fit.normal[np.ix_(free, free)], variance, prior)
    return replace(answer, z_std=known.deviations, determined=known.count)


def _left_out(one):
    """Whether clicks are left out of what the best fit is compared with."""
    if not one.clicked:
        return False
    _, known = aligned(one.problem.target, one.fit.alignment, one.problem.generator)
    return bool(((known > 0) & (one.fit.present == 0)).any())


def explained_share(problem, z):
    """The share of a target's energy that the waveform of unknowns z [k] explains as it is, 0 to 1."""
    present = inside(problem.target, generator=problem.generator).reshape(1, -1)
    residual = Residual(problem.generator, problem.target[None], 0.0, present)
    return float(np.clip(1 - 2 * residual.evaluate(np.asarray(z)[None], np.arange(1))[0], 0, 1))


def residuals(targets, generator, z, stft_share=LevenbergMarquardt.stft_share):
    """LevenbergMarquardt's objectives [n] at latent vectors [n, latent_dim], in batches; silence has about 0.5."""
    problem, parts = Residual(generator, targets, stft_share), []
    for i in range(0, len(z), BATCH):
        parts.append(problem.evaluate(z[i : i + BATCH], np.arange(i, min(i + BATCH, len(z)))))
    return np.concatenate(parts)
