"""Where in a recording a generator's sound lies, and at which level, before its latent vector is known.

What the generator's waveforms can be to first order is a sketch: the mean waveform over the prior and its derivatives
by each coordinate. Position is found by correlation with it, level from the usual one of the generator's sounds.
"""

import functools
from dataclasses import dataclass

import numpy as np

from models.generator.generator import BATCH, KEPT, generate, random_latent
from models.recovery.altered import unaltered
from models.recovery.filters import through, without
from models.recovery.starts import predict
from models.recovery.stretching import at, in_clip, in_recording

PROMISING = 0.3  # objective of a start below which an exact answer may exist
PREDICTIONS = 2  # of a target, the second at the level that the first is best at
LEAST_GAIN = 0.1  # of the usual one: less, or one below 0, is that of a bad prediction
NEAR = 0.05  # samples beyond an end of a waveform, to which it still is known
FARTHEST = 800  # samples that a clip may have been moved by, and no more than an eighth of it
AROUND = 3  # samples from where a sketch places a clip, within which a waveform is correlated with it
WHOLE = 0.15  # fraction of a sample below which a shift is taken for one of whole samples at first
BROAD = 0.7  # share of a peak that its neighbours have where a fraction can be told
RIDGE = 0.03  # of the sketch of a generator, relative to the mean of its power
RECOGNISED = 0.7  # of the least share that the sketch explains of the generator's sounds: below, a target seems none
UNMOVED = 0.95  # share of the best place's score that the place as it is has, if a clip may not have been moved
ALIKE = 2  # the levels of a generator's sounds are alike where the largest is less than this many times the smallest
LEVELS = 1.5  # times the largest level or mean of the generator's sounds, or the smallest divided by it: the usual ones


def place(targets, generator):
    """Where a generator's sound lies in targets [n, num_samples, num_channels] → shifts [n] in samples, whether the
    sketch of the generator explains as much there as of its sounds, whether they may not have been moved at all, and
    whether they are recognised, but turned over: the mean waveform is part of every sound, and theirs is negative.

    The mean waveform over the prior and its derivatives span what a clip can be to first order, whatever its level. At
    every shift a target is projected onto them, all shifts at once by correlation.
    """
    known = sketch(generator)
    rows, inverse = known.rows, known.inverse
    size = 2 * rows.shape[1]
    farthest = 1 + min(FARTHEST, rows.shape[1] // 8)  # an end has no neighbour
    shifts = np.arange(-farthest, farthest + 1)
    spectra = np.conj(np.fft.rfft(rows, size))
    best, shares, unmoved = np.zeros(len(targets)), np.zeros(len(targets)), np.zeros(len(targets), bool)
    turned = np.zeros(len(targets), bool)
    for i, target in enumerate(unit(centred(targets)[0].sum(axis=2))):
        alike = np.fft.irfft(spectra * np.fft.rfft(target, size), size)[:, shifts]
        parts = inverse @ alike
        scores = (alike * parts).sum(axis=0)
        turned[i] = parts[0, scores.argmax()] < 0
        best[i], shares[i] = summit(scores) - farthest, scores.max()
        unmoved[i] = scores[farthest] >= UNMOVED * shares[i]
    recognised = shares > RECOGNISED * known.share
    return best, recognised, unmoved, recognised & turned


def summit(scores):
    """Where scores [m] are highest, a real number: the top of a parabola, if the peak is broad and not at a whole
    number."""
    peak = int(np.clip(scores.argmax(), 1, len(scores) - 2))
    before, top, after = scores[peak - 1 : peak + 2]
    fraction = 0.5 * (before - after) / min(before - 2 * top + after, -1e-12)
    broad = min(before, after) > BROAD * top and WHOLE < abs(fraction) < 1
    return peak + (fraction if broad else 0.0)


@dataclass
class Located:
    """Where clips begin that may be of another level or position: latent vectors z [n, latent_dim] and the gain, offset
    and shift [n] of the targets. near [n]: whether these, from a prediction, explain them for the most part.
    """

    z: np.ndarray
    gain: np.ndarray
    offset: np.ndarray
    shift: np.ndarray
    near: np.ndarray


def locate(targets, generator, shifts, index, inverse_mapping=None, bounds=(-np.inf, np.inf)):
    """Where the descents of targets [n, num_samples, num_channels] begin that may be of another level or position, each
    moved by about `shifts` [n] → Located. For the targets `index` an inverse mapping, if there is one, predicts from
    the target at the level and position that it seems to have, and again from it at those that suit the prediction.
    bounds: of latent vectors, (lower, upper), as `LevenbergMarquardt.solve` takes them.
    """
    waveforms, means = centred(targets)
    n, known = len(targets), sketch(generator)
    gain = np.maximum(waveforms.std(axis=(1, 2)), 1e-6) / known.level
    usual = gain, means - gain * known.constant, shifts
    found = Located(
        np.zeros((n, generator.latent_dim)), *(np.array(values, float) for values in usual), np.zeros(n, bool)
    )
    if inverse_mapping is None or not len(index):
        return found
    lower, upper = (np.broadcast_to(bound, found.z.shape) for bound in bounds)
    for _ in range(PREDICTIONS):
        clips = zip(targets[index], found.gain[index], found.offset[index], found.shift[index])
        z = predict(np.stack([np.multiply(*aligned(*clip)) for clip in clips]), inverse_mapping)
        found.z[index] = np.clip(z, lower[index], upper[index])
        waveforms = generate(generator, found.z[index].astype(np.float32))
        for i, waveform in zip(index, waveforms):
            fit = fitted(targets[i], waveform, inside(targets[i]), shifts[i])
            gain, found.offset[i], found.shift[i], left = fit
            found.near[i] = gain > LEAST_GAIN * usual[0][i] and 0.5 * left < PROMISING
            found.gain[i] = max(gain, LEAST_GAIN * usual[0][i])
    far = ~found.near
    found.z[far] = 0
    found.gain[far], found.offset[far], found.shift[far] = (values[far] for values in usual)
    return found


def fitted(target, waveform, known, shift):
    """Gain, offset and delay in samples at which a waveform [samples, channels] is most like a target, of which `known`
    is 1 where a sample is known, else 0: the delay by correlation, within some samples of `shift`, the others by least
    squares at that delay. Then the share of the target's energy about its mean that this leaves.
    """
    size, about = 2 * len(target), round(shift) + np.arange(-AROUND, AROUND + 1)
    sound = (target - target[known > 0].mean()) * known
    spectra = np.fft.rfft(sound.T, size) * np.conj(np.fft.rfft(unit(waveform.T), size))
    shift = about[0] + summit(np.fft.irfft(spectra, size).sum(axis=0)[about])
    late, there = moved(waveform, shift)
    both = known * there > 0
    columns = np.column_stack([late[both], np.ones(both.sum())])
    gain, offset = np.linalg.lstsq(columns, target[both], rcond=None)[0]
    left = np.mean((target[both] - columns @ (gain, offset)) ** 2)
    return gain, offset, shift, left / max(target[both].var(), 1e-12)


@dataclass(frozen=True)
class Sketch:
    """rows: the mean waveform and its derivatives by each coordinate [1 + k, s], channels summed. inverse: of the
    products among them, with a ridge. Of some of the generator's waveforms: level, lowest, highest, the median and the
    range of their deviations about their means; constant, the median of those means, and mean, the largest; share, the
    least of their energies that the rows explain.
    """

    rows: np.ndarray
    inverse: np.ndarray
    level: float
    lowest: float
    highest: float
    constant: float
    mean: float
    share: float


@functools.lru_cache(maxsize=KEPT)
def sketch(generator):
    """What the generator's waveforms are to first order → Sketch."""
    deviation = prior_deviation(generator)
    z = np.zeros((1, generator.latent_dim), np.float32)
    waveform, tangents, _ = generator.jacobian(z, np.full(1, deviation, np.float32))
    rows = np.concatenate([waveform.numpy(), deviation * tangents.numpy()[0]])
    rows = rows.reshape(len(rows), generator.num_samples, -1).sum(axis=2)
    products = rows.astype(np.float64) @ rows.T
    products += RIDGE * np.trace(products) / len(products) * np.eye(len(products))
    inverse, made = np.linalg.inv(products), generate(generator, random_latent(generator, BATCH, 0))
    alike = rows @ unit(made.sum(axis=2)).T
    share = (alike * (inverse @ alike)).sum(axis=0).min()
    levels, means = made.std(axis=(1, 2)), made.mean(axis=(1, 2))
    spread = np.median(levels), levels.min(), levels.max()
    return Sketch(rows, inverse, *spread, np.median(means), np.abs(means).max(), share)


def has_usual_level(targets, generator):
    """True for each of the targets [n, num_samples, num_channels] whose level and mean the generator's sounds have."""
    known, (waveforms, means) = sketch(generator), centred(targets)
    levels = waveforms.std(axis=(1, 2))
    usual = (levels > known.lowest / LEVELS) & (levels < known.highest * LEVELS)
    return usual & (np.abs(means) < LEVELS * max(known.mean, known.lowest))


def levels_alike(generator):
    """Whether a sound at a usual level seems to be at the one that the generator gave it: its levels differ little."""
    return sketch(generator).highest < ALIKE * sketch(generator).lowest


def centred(targets):
    """Targets [n, num_samples, num_channels] without the mean of what was recorded, 0 where they were padded, and those
    means [n]. The mean of all would be no offset where zeros were put in behind one.
    """
    waveforms, means = np.zeros(targets.shape), np.zeros(len(targets))
    for i, target in enumerate(targets):
        first, last = recorded(target)
        part = target[first : last + 1].astype(np.float64)
        means[i] = part.mean()
        waveforms[i, first : last + 1] = part - means[i]
    return waveforms, means


def unit(waveforms):
    """Waveforms [n, samples] without their means, each of energy 1, or 0 if it is silence."""
    waveforms = waveforms - waveforms.mean(axis=1, keepdims=True)
    return waveforms / np.maximum(np.linalg.norm(waveforms, axis=1, keepdims=True), 1e-12)


def moved(waveform, shift):
    """A waveform [samples, channels] `shift` samples later, and 1 where a sample of it is known, else 0; a fraction by
    the phases of its Fourier transform.
    """
    n = len(waveform)
    whole = int(np.round(shift))
    frequencies = np.fft.rfftfreq(2 * n)[:, None]
    turned = np.fft.rfft(waveform, 2 * n, axis=0) * np.exp(-2j * np.pi * frequencies * shift)
    result, places = np.fft.irfft(turned, 2 * n, axis=0)[:n], np.arange(n)[:, None] - shift
    known = np.broadcast_to((places > -NEAR) & (places < n - 1 + NEAR), waveform.shape)
    if whole == shift:  # exactly as they were
        result = np.zeros_like(waveform)
        kept = slice(max(whole, 0), n + min(whole, 0))
        result[kept] = waveform[max(-whole, 0) : n - max(whole, 0)]
    return np.where(known, result, 0).astype(np.float32), known.astype(np.float32)


def aligned(target, gain, offset, shift):
    """A target [samples, channels] at the level, mean and position of the generator's own sounds, and 1 where a sample
    of it is known and was recorded, else 0: what `as_recorded` does, undone.
    """
    waveform, known = moved((target - offset) / gain, -shift)
    return waveform, known * inside(target, shift)


def recorded(target):
    """First and last sample of a target [samples, channels] that are part of it: at either end the same number twice or
    more is what it was padded with, or nothing. All of it where nothing changes.
    """
    changes = np.flatnonzero(np.diff(target, axis=0).any(axis=1))
    first, last = (changes[0], changes[-1] + 1) if len(changes) > 1 else (0, len(target) - 1)
    return first + 1 if first > 0 else 0, last - 1 if last < len(target) - 1 else last


def inside(target, shift=0.0):
    """1 where a target [samples, channels], `shift` samples earlier, was recorded, 0 where it was padded."""
    first, last = recorded(target)
    places = np.arange(len(target))[:, None] + shift
    there = np.broadcast_to((places > first - NEAR) & (places < last + NEAR), target.shape).astype(np.float32)
    whole = unaltered(target)  # hook: what is not the generator's
    if whole.all():
        return there
    nearest = np.clip(np.floor(places[:, 0] + [[NEAR], [1 - NEAR]]).astype(int), 0, len(target) - 1)
    return there * whole[nearest].min(axis=0)


def as_recorded(waveforms, solution):
    """A generator's waveforms [n, num_samples, num_channels] with the gain, offset and shift of a Solution."""
    if solution.gain is None:
        return waveforms
    if getattr(solution, "filter", None) is not None:  # hook: the channel
        waveforms = through(waveforms, solution.filter)
    speeds = getattr(solution, "speed", None)  # hook: the channel
    speeds = np.ones(len(waveforms)) if speeds is None else speeds
    placed = [
        (moved(wave, shift)[0] if shift else wave) if speed == 1 else at(wave, in_clip(len(wave), speed, shift))[0]
        for wave, shift, speed in zip(waveforms, solution.shift, speeds)
    ]
    return (np.stack(placed) * solution.gain[:, None, None] + solution.offset[:, None, None]).astype(np.float32)


def as_generated(targets, solution):
    """Targets [n, num_samples, num_channels] without the gain, offset and shift of a Solution, 0 where they are not
    known: what `as_recorded` does, undone. Those that were not moved are as they were."""
    if solution.gain is None:
        return targets
    result = np.array(targets, np.float32)
    for i, known in enumerate(zip(*(np.asarray(getattr(solution, name)) for name in ("gain", "offset", "shift")))):
        if np.isfinite(known).all() and known != (1, 0, 0):
            speed = 1 if getattr(solution, "speed", None) is None else solution.speed[i]
            if speed == 1:
                result[i] = np.multiply(*aligned(targets[i], *known))
            else:  # hook: the channel
                sound = (targets[i] - known[1]) / known[0] * inside(targets[i])
                result[i] = at(sound, in_recording(len(sound), speed, known[2]))[0]
    if getattr(solution, "filter", None) is not None:  # hook: the channel
        result = without(result, solution.filter)
    return result


def prior_deviation(generator):
    """The standard deviation of a coordinate under the generator's prior, no wider than uniform within its bounds."""
    usual = 1.0 if generator.prior == "normal" else 3**-0.5 * max(generator.bounds, 1.0)
    return min(usual if np.isfinite(usual) else 1.0, 3**-0.5 * generator.bounds)
