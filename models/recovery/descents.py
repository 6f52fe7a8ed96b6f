"""Where each of several clips stands, and the ways on from there: a descent from a start, from elsewhere, with level
and place as unknowns, or under random weights. models/recovery/attempts.py says which is taken when.
"""

import functools
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.stats

from models.generator.excerpts import BLOCKS, EXCERPTS, RUN
from models.generator.generator import generate
from models.recovery.alignment import aligned, bounded, missing
from models.recovery.centre import prior_deviation
from models.recovery.channel import Channelled
from models.recovery.errors import CONVERGED, ENOUGH, EXPLAINED, FAR, MISSED, NEAR_TRUTH, NOISY
from models.recovery.least_squares import minimise
from models.recovery.locating import Begin
from models.recovery.mismatch import SILENCE
from models.recovery.noise import Noise
from models.recovery.placing import moved
from models.recovery.problem import Alignment, Problem
from models.recovery.remainder import STEADY, remainder
from models.recovery.residual import Residual
from models.recovery.rooms import Room
from models.recovery.starts import random_starts

NEARER = 0.15  # noise that a descent begins with at a prediction, whose error has this order
LANDING = 0.05  # the same where a residual is reweighted
ALIGNED = 1e-3  # the same behind an alignment
DRAWN, WIDTH = 0.25, 0.5  # deviation of a random start and of the noise it begins with, relative to the prior's
SPREAD = 1.5  # standard deviation of the logarithm of a weight
REWEIGHTED, PLAIN = 6, 4  # Jacobians with random weights, and without them after those
PATIENCE = 5  # reweighted descents in a row without a better answer, after which none is expected
BACK = 3  # descents in a row that lead back to the same objective, after which what remains is noise
SAME = 0.01  # share of an objective up to which another is the same
FREE = 0.5, 0.02, 0.5  # deviations of log gain, offset and delay in samples, behind what is known of them
WEIGHED, WEIGHED_JACOBIANS = 4, 6  # descents in a row under noise that is known better each time, and their Jacobians
KEPT = 16  # Jacobians of a budget that are kept for these
LIKELIER = 1e-3  # of the logarithm of what remains, by which it has to fall for another
EVENED_JACOBIANS = 12  # of a descent in which loud parts count for less
ROUNDS = 5  # of a descent, at most
FELL = 0.5  # share of its objective that a round by other excerpts has to leave at most, or the whole waveform follows
LEFT = 0.1  # share of its objective that a descent has to leave at most, where it was evened, or others follow
LEAST_ODDS = 0.01  # of a block's being drawn, relative to the mean
PLACED = 1e-3  # samples of delay below which a target needs no other


@dataclass(frozen=True)
class Fit:
    """One place that a descent led to, with all that belongs to it: nothing of it changes by itself.

    x [k + 3]: the unknowns, then the logarithm of a gain, an offset and a delay beside `alignment`, at which the target
    was compared: `aligned` [samples, channels], `present`, 0 where a sample of it is not known, and `bounded`, True
    where it was clipped, so that only one side of it is. free: whether the last three were unknowns. channel: the
    operations of a models.recovery.channel.Channelled, of which what is compared went through the best sum, whose level
    takes the place of theirs; or None. noise: the
    models.recovery.noise.Noise by which what remains was weighed, with a channel, or None. normal [k + 3, k + 3]: the
    normal matrix of its last Jacobian. averaged: the objective averaged over the noise at the end of its descent.
    """

    x: np.ndarray
    objective: float
    normal: np.ndarray
    alignment: Alignment
    aligned: np.ndarray
    present: np.ndarray
    bounded: np.ndarray
    free: bool = False
    channel: object = None
    noise: Noise | None = None
    averaged: float = np.inf

    def best(self, generator):
        """The generator's waveform [samples, channels], and the models.recovery.filters.BestChannel that it went
        through, or None."""
        waveform = generate(generator, self.x[None, :-3].astype(np.float32))[0]
        if self.channel is None:
            return waveform, None
        return waveform, residual_of(generator, [self]).fit(waveform, 0)

    def sound(self, generator):
        """The generator's waveform [samples, channels] as it is compared with the aligned target."""
        waveform, best = self.best(generator)
        return waveform if best is None else best.fitted.reshape(waveform.shape)

    def remains(self, generator):
        """What it leaves of the aligned target [samples, channels], 0 where that is not known."""
        return self.present * (self.aligned - self.sound(generator))

    def folded(self, problem):
        """The same place with its gain, offset and delay counted among the alignment."""
        level, offset, delay = self.x[-3:]
        gain = self.alignment.gain
        place = Alignment(gain * np.exp(level), self.alignment.offset + gain * offset, self.alignment.shift + delay)
        again = placed(problem, self.x[:-3], place, True)
        present = again.present * self.present  # without what was left out as a click
        return replace(again, present=present, objective=self.objective, normal=self.normal)


def placed(problem, z, alignment, free, channel=None):
    """A Fit to a Problem that no descent has measured yet, at unknowns z [k]."""
    x = np.append(z, (0.0, 0.0, 0.0))
    known = aligned(problem.target, alignment, problem.generator)
    clipped = bounded(problem.target, alignment, problem.generator)
    return Fit(x, np.inf, np.zeros((len(x), len(x))), alignment, *known, clipped, free, channel)


@dataclass
class Standing:
    """One clip while attempts are made. fit: the best so far. plain: the best without a channel, where the best has
    one. cost: Jacobians so far. why: the attempt that led to the best. back: how often in a row another descent came
    back to its objective. idle: reweighted descents in a row that gained nothing. last [k + 3]: where the last of these
    ended. clicked: whether it was better without clicks. seed: of the excerpts that are drawn, numbers.

    What was seen before the first attempt: whether its start is promising, whether the sketch of the generator
    recognises it, whether it lies where the generator put it, whether it has a usual level, and sign, -1 where it is
    turned over; begins: where it would begin with an unknown level and place, most likely first.
    """

    problem: Problem
    fit: Fit
    promising: bool = False
    recognised: bool = True
    unmoved: bool = True
    usual: bool = True
    sign: int = 1
    begins: list[Begin] = field(default_factory=list)
    plain: Fit | None = None
    cost: int = 0
    why: str = ""
    tried: set = field(default_factory=set)
    back: int = 0
    idle: int = 0
    last: np.ndarray | None = None
    clicked: bool = False
    seed: tuple = ()
    _known: dict = field(default_factory=dict)

    @property
    def explained(self):
        return self.fit.objective < EXPLAINED

    @property
    def without_channel(self):
        """The best Fit without a channel, or None where only others were made."""
        return self.fit if self.fit.channel is None else self.plain

    @functools.cached_property
    def altered(self):
        """Whether many samples of it were cut, gated or clipped."""
        return bool(missing(self.problem.target, self.problem.generator).any())

    @property
    def in_a_room(self):
        """Whether its best fit is through a filter whose samples cannot be weighed one by one."""
        return isinstance(self.fit.channel, Room)

    @property
    def spent(self):
        """Whether its budget of Jacobians is used up, but for what weighing the noise may take in the end."""
        budget = self.problem.budget or np.inf
        return self.cost >= (budget - KEPT if budget > 4 * KEPT else budget)

    @property
    def left(self):
        """Jacobians that are left of its budget, infinite without one."""
        return (self.problem.budget or np.inf) - self.cost

    def missed(self, most=np.inf, noisy=np.inf):
        """Whether its exact answer was missed, and its objective is `most` or less. Where what remains is steady and
        the objective is below `noisy`, it has it, or nearly so, with noise; and where what remains was weighed as noise
        and is not louder where the sound is. Noise that is louder at some frequencies is weighed first.
        """
        target, objective = self.fit.aligned, self.fit.objective
        varying = target.var() / max((target**2).mean(), 1e-30)  # a constant counts for nothing
        if not MISSED * varying < objective <= most:
            return False
        if not self.explained:
            return True
        if self.fit.noise is not None:
            return not (self.steady or self.alone)
        return not (objective < noisy and self.steady and ("among noise" in self.tried or not self.uneven))

    @property
    def steady(self):
        """Whether what remains of the best fit is steady, measured once."""
        return self._of_fit("steady", is_steady)

    @property
    def uneven(self):
        """Whether what remains of the best fit is louder at some times or frequencies, measured once."""
        return self._of_fit("uneven", lambda generator, fit: Noise(fit.remains(generator)).uneven)

    @property
    def alone(self):
        """Whether what remains of the best fit does not follow the sound, measured once."""
        return self._of_fit("alone", stands_alone)

    def _of_fit(self, name, function):
        if self._known.get(name, (None,))[0] is not self.fit:
            self._known[name] = self.fit, function(self.problem.generator, self.fit)
        return self._known[name][1]

    def keep(self, fit, why, share=1.0):
        """Takes a Fit that explains the clip where none did, or whose objective is less than a share of the best."""
        gained = fit.objective < EXPLAINED <= self.fit.objective
        if gained or fit.objective < share * self.fit.objective:
            if fit.channel is not None and self.fit.channel is None:
                self.plain = self.fit
            self.fit, self.why = fit, why

    def count_back(self, objective, before):
        """Notes whether a descent has come back to the objective that was known."""
        self.back = self.back + 1 if abs(objective - before) < SAME * before else 0


def is_steady(generator, fit):
    """Whether what remains of a Fit is no constant and changes far less with time than the target, and by less than its
    mean: noise does so, what a generator fails to follow does not.
    """
    target, present = fit.aligned, fit.present
    residual = fit.sound(generator) - target

    def mean(waveform):
        """Of what is known."""
        return (present * waveform).sum() / max(present.sum(), 1)

    changes = []
    for waveform in (residual, target - mean(target)):
        parts = np.array_split(present * waveform**2, BLOCKS), np.array_split(present, BLOCKS)
        power, known = (np.array([part.sum() for part in some]) for some in parts)  # [BLOCKS]
        power = np.where(known > 0, power / np.maximum(known, 1), np.nan)
        changes.append(np.nanstd(power) / max(np.nanmean(power), 1e-30))
    constant = mean(residual) ** 2 > STEADY * mean(residual**2)
    return bool(changes[0] < min(STEADY * changes[1], 1) and not constant)


def stands_alone(generator, fit):
    """Whether what remains of a Fit is not louder where its sound is."""
    return not remainder(fit.sound(generator), fit.aligned, fit.present).follows


def residual_of(generator, fits, stft_share=0.0, excerpts=None):
    """The Residual of clips whose targets are those of Fits, all of them through one kind of channel or none."""
    present = np.stack([fit.present.reshape(-1) for fit in fits])
    targets = np.stack([fit.aligned for fit in fits])
    if fits[0].channel is not None:
        noises = None if fits[0].noise is None else [fit.noise for fit in fits]
        return Channelled(generator, targets, fits[0].channel, present, noises)
    bounds = np.stack([fit.bounded.reshape(-1) for fit in fits])
    return Residual(generator, targets, stft_share, present, excerpts, bounds if bounds.any() else False)


def by_excerpts(standings, fits):
    """Whether excerpts lead on from Fits: where the generator has them, and no channel is to be found, which needs all
    that is known."""
    return standings[0].problem.generator.has_excerpts and fits[0].channel is None


def drawn_excerpts(standings, fits):
    """The blocks that excerpts of the clips begin with, int32 [n, EXCERPTS], none beside or within another where there
    is room: drawn anew for each descent, in proportion to what remains of the energy there.
    """
    starts = np.zeros((len(fits), EXCERPTS), np.int32)
    waveforms = generate(standings[0].problem.generator, np.stack([fit.x[:-3] for fit in fits]).astype(np.float32))
    for row, (standing, fit) in enumerate(zip(standings, fits)):
        remains = fit.present * (fit.aligned - waveforms[row])
        energy = np.array([np.sum(part**2, dtype=np.float64) for part in np.array_split(remains, BLOCKS)])
        odds = np.convolve(energy + LEAST_ODDS * energy.mean() + 1e-30, np.ones(RUN), "valid")
        (drawn,) = random_starts(standing.problem.target[None], EXCERPTS, [standing.cost, *standing.seed])
        for i, number in enumerate(drawn):
            total = np.cumsum(odds)
            start = min(np.searchsorted(total, (number + 1) / 2 * total[-1]), len(odds) - 1)
            starts[row, i] = start
            odds[max(start - RUN + 1, 0) : start + RUN] *= 1e-9
    return starts


def descend(standings, fits, options, smoothing=np.inf):
    """Descends from a Fit of each clip → where each ends, as Fits. options: what `minimise` takes. smoothing: a number,
    or one for each clip.

    It goes in rounds. Where it can, the first are by Jacobians of excerpts, which are drawn anew each time: what is a
    local minimum of some is none of others. An explained clip then goes on by those of the whole waveform, which its
    answer and its deviations are of. Where gain, offset and delay are unknowns the target is aligned again by them
    behind each round, since a delay is known to first order only.
    """
    fits, noise = list(fits), np.array(np.broadcast_to(np.asarray(smoothing, float), len(fits)))
    going, whole = np.arange(len(fits)), np.full(len(fits), not by_excerpts(standings, fits))
    for left in reversed(range(ROUNDS)):
        ended = _round(standings, fits, [going[~whole[going]], going[whole[going]]], options, noise)
        going = []
        for i, fit in sorted(ended.items()):
            standing, explained = standings[i], fit.objective < EXPLAINED
            misplaced = fit.free and abs(fit.x[-1]) > PLACED and fit.objective > CONVERGED
            fell = fit.objective < FELL * fits[i].objective
            if not (explained or whole[i]) and fit.averaged < EXPLAINED and standing.left >= 1:
                going.append(i)  # where it began: the excerpts were explained, and the rest was not
                whole[i] = True
                continue
            fits[i] = fit.folded(standing.problem) if explained and fit.free else fit
            if explained and standing.left >= 1 and (misplaced or not whole[i]):
                going.append(i)
                near = fit.objective < (NEAR_TRUTH if misplaced else ENOUGH)
                whole[i] |= not fell or left == 1 or near and not misplaced
                noise[i] = ALIGNED if near else LANDING if whole[i] else NEARER
        going = np.array(going, int)
    return fits


def _round(standings, fits, parts, options, noise):
    """Descends from some of the Fits → {number: where it ends}. parts: the numbers of those that go by excerpts, and of
    those that go by the whole waveform."""
    ended = {}
    for some, entire in zip(parts, (False, True)):
        if len(some):
            chosen, begun = [standings[i] for i in some], [fits[i] for i in some]
            excerpts = None if entire else drawn_excerpts(chosen, begun)
            problem = residual_of(chosen[0].problem.generator, begun, excerpts=excerpts)
            ends = options if entire else options | {"target": ENOUGH, "patient_below": EXPLAINED}
            ended |= zip(some, descend_under(problem, chosen, begun, ends, noise[some]))
    return ended


def descend_under(problem, standings, fits, options, smoothing=np.inf, max_iter=None):
    """As `descend`, by one Residual. max_iter: Jacobians at most, fewer than those of the options and those that are
    left of a clip's budget.
    """
    x = np.stack([fit.x for fit in fits])
    lower, upper = np.zeros(x.shape), np.zeros(x.shape)
    for i, (standing, fit) in enumerate(zip(standings, fits)):
        lower[i, :-3], upper[i, :-3] = standing.problem.box()
        if fit.free:
            lower[i, -3:], upper[i, -3:] = -np.inf, np.inf
    longest = min(options["max_iter"], max_iter or options["max_iter"])
    left = [one.problem.budget - one.cost if one.problem.budget else longest for one in standings]
    deviation = np.append(np.full(x.shape[1] - 3, prior_deviation(standings[0].problem.generator)), FREE)
    descent = minimise(
        problem,
        x,
        lower=lower,
        upper=upper,
        smoothing=np.broadcast_to(np.asarray(smoothing, float), len(x))[:, None],
        **{"target": CONVERGED, "deviation": deviation} | options | {"max_iter": np.clip(left, 1, longest)},
    )
    results = []
    for i, (standing, fit) in enumerate(zip(standings, fits)):
        standing.cost += int(descent.iterations[i])
        ended = {"objective": float(descent.objective[i]), "averaged": float(descent.averaged[i])}
        results.append(replace(fit, x=descent.z[i], normal=descent.normal[i], **ended))
    return results


def from_places(standings, begins, options, why):
    """Descends with gain, offset and position as unknowns: from where a clip is, if it is explained well already, else
    from its Begin, about which the target is aligned again as its delay is found.
    """
    fits, near = [], []
    for standing, begin in zip(standings, begins):
        far = standing.fit.objective > FAR
        fits.append(
            placed(standing.problem, begin.z, begin.alignment, True) if far else replace(standing.fit, free=True)
        )
        near.append(NEARER if not far or begin.near else np.inf)
    for standing, fit in zip(standings, descend(standings, fits, options, near)):
        standing.back = 0
        standing.keep(fit, why, share=0.5)


def from_elsewhere(standings, stream, options, why, fits=None):
    """Descends from random latent vectors near the middle of the prior: a local minimum's neighbours are others. fits:
    with whose places, or None for the best ones'."""
    k = len(standings[0].fit.x) - 3
    drawn = random_starts(np.stack([one.problem.target for one in standings]), k, stream)
    width = prior_deviation(standings[0].problem.generator)
    fits = [
        replace(fit, x=np.append(3**0.5 * DRAWN * width * z, fit.x[k:]))
        for fit, z in zip(fits or [one.fit for one in standings], drawn)
    ]
    before = [one.fit.objective for one in standings]
    for standing, fit, old in zip(standings, descend(standings, fits, options, smoothing=WIDTH * width), before):
        standing.count_back(fit.objective, old)
        standing.keep(fit, why)


def under_weights(standings, stream, options, why):
    """Descends with the residual reweighted at random over blocks of time, then plainly: the truth has a residual of
    zero under every weighting, a local minimum is one only under its own. What leads back to the same objective again
    and again is no local minimum but noise.
    """
    fits = [replace(one.fit, x=one.fit.x if one.last is None else one.last) for one in standings]
    before = [one.fit.objective for one in standings]
    problem = residual_of(standings[0].problem.generator, fits)
    drawn = random_starts(np.stack([one.problem.target for one in standings]), BLOCKS, stream)
    problem.reweigh(np.exp(SPREAD * scipy.stats.norm.ppf((1 + drawn * (1 - 1e-6)) / 2)))
    bent = descend_under(problem, standings, fits, options, LANDING, REWEIGHTED)
    problem.reweigh(np.ones((len(standings), 1)))
    plain = descend_under(problem, standings, bent, options, LANDING, PLAIN)
    for standing, fit, old in zip(standings, plain, before):
        standing.last = fit.x
        standing.keep(fit, why)
        standing.idle = 0 if standing.fit.objective < 0.99 * old else standing.idle + 1
        standing.count_back(fit.objective, old)


def unsettled(standing, most):
    """Whether a clip is to be led out of a local minimum of an objective of `most` or less: under noise too, where a
    minimum beside the truth's is hardly higher, and as far from it as without noise.
    """
    return standing.missed(most, NOISY) and standing.idle < PATIENCE and standing.back < BACK


def by_channel(standings):
    """Standings in lists of those whose fits went through one kind of channel, weighed as noise or not."""
    lists = {}
    for one in standings:
        lists.setdefault((id(one.fit.channel), one.fit.noise is None), []).append(one)
    return lists.values()


def evened(standing, fit, options, shares):
    """A Fit of a clip that is explained for the most part, led on where its loud parts of time and frequency count for
    less, in one way after another: a local minimum of one is seldom one of another. → the first that leaves much less
    than the Fit, or the last. shares: of the clip's own loudness in dB, by which they do, or None for that of what
    remains.
    """
    generator, before = standing.problem.generator, fit.objective
    fit = fit.folded(standing.problem) if fit.free else fit
    fit = replace(fit, free=False, channel=moved(generator))
    sound = fit.present * (fit.aligned - fit.aligned.mean(axis=0))
    width = NEARER if fit.x[:-3].any() else np.inf
    for share in shares:
        if standing.left < 1:
            break
        noise = Noise(fit.remains(generator)) if share is None else Noise(sound, share)
        fit, width = _weighed(standing, replace(fit, noise=noise), options, width, EVENED_JACOBIANS), NEARER
        if fit.objective < LEFT * before:
            break
    return fit


def _weighed(standing, fit, options, smoothing, max_iter):
    """A descent from a Fit with noise → where it ends, its objective that of what remains as it is."""
    generator = standing.problem.generator
    (fit,) = descend_under(residual_of(generator, [fit]), [standing], [fit], options, smoothing, max_iter)
    energy = (fit.present * fit.aligned**2).sum(dtype=np.float64)
    left = (fit.remains(generator) ** 2).sum(dtype=np.float64)
    return replace(fit, objective=0.5 * float(left / max(energy, SILENCE)))


def under_noise(standing, options):
    """A Fit of a clip that is explained for the most part, with what remains weighed by how loud it is around, in turns
    with that, until it leaves no likelier noise → None if it never does.
    """
    generator, fit = standing.problem.generator, standing.fit
    fit = fit.folded(standing.problem) if fit.free else fit
    fit, noise = replace(fit, free=False, channel=fit.channel or moved(generator)), Noise(fit.remains(generator))
    best, width = None, ALIGNED if fit.objective < NEAR_TRUTH else NEARER
    for _ in range(WEIGHED):
        if standing.left < 1:
            break
        weighed = _weighed(standing, replace(fit, noise=noise), options, width, WEIGHED_JACOBIANS)
        likelier = Noise(weighed.remains(generator))
        if not likelier.level < noise.level:
            break
        best = fit = weighed
        if noise.level - likelier.level < LIKELIER:
            break
        noise = likelier
    return best
