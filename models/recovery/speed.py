"""A recording's speed: those that a generator's sound may have been played at, and words for one.

A speed is how many times longer a sound lasts than the generator made it: above 1 it is slower, and lower. Time is
stretched about a clip's middle, so that speed and position hardly depend on each other.
"""

import numpy as np
import scipy.fft
import scipy.interpolate

from models.generator.generator import BATCH, generate, random_latent
from models.recovery.alignment import centred, unit
from models.recovery.sketch import FARTHEST, RECOGNISED, sketch
from models.recovery.stretching import in_recording

COMMON_RATES = 8000, 11025, 12000, 16000, 16384, 22050, 24000, 32000, 44100, 48000  # Hz
LARGEST = 0.05  # change of speed that is looked for
STEP = 0.0015  # of the speeds tried: half of it moves the ends of a second by 6 samples, a tenth of 300 Hz' period
FINER = 8  # speeds tried anew between two of those, about the best
CONFUSED = 44100 / 48000, 48000 / 44100, 16000 / 16384, 16384 / 16000  # speeds of a wrong header, tried at any rate
COARSE = 4096  # samples of a clip, at least, by which speeds are compared
PARTS = 24  # of a sketch, that explain most of what it does
FASTER = 1.05  # times the score of a clip as it is that it has at another speed, if it may be played at that
WIDE = 2.0  # of those, to either side, where a sound is known
PLACES, APART = 8, 2  # speeds that are most like a target's, and steps between them
ALIKE = 1e-4  # between a speed and the ratio of two rates, up to which it is taken for that


def _parts(generator):
    return generator.derived(("parts of the sketch",), lambda: _made_parts(generator))


def _made_parts(generator):
    """The parts that explain most of what a generator's sketch does [PARTS, samples], the same at a lower rate, and of
    the latter the least score, at speed 1, of some of the generator's sounds."""
    known = sketch(generator)
    power, vectors = np.linalg.eigh(known.inverse)
    rows = (vectors * np.sqrt(np.maximum(power, 0))).T @ known.rows
    rows = np.linalg.svd(rows @ rows.T)[0][:, :PARTS].T @ rows
    coarse = _resampled(rows, rows.shape[1] // max(rows.shape[1] // COARSE, 1))
    made = generate(generator, random_latent(generator, BATCH, 0)).sum(axis=2)
    alike = coarse @ _resampled(unit(made), coarse.shape[1]).T
    return rows, coarse, (alike**2).sum(axis=0).min()


def _resampled(rows, count):
    """Rows [..., samples] at `count` places instead, by their Fourier series."""
    spectrum = scipy.fft.rfft(rows)[..., : count // 2 + 1]
    return scipy.fft.irfft(spectrum, count) * (count / rows.shape[-1])


def _scores(target, rows, speeds, shifts):
    """How much rows [r, samples] explain of a target, of any number of samples, at each of some speeds and shifts, in
    samples of the rows: [speeds, shifts]."""
    count, size = rows.shape[1], scipy.fft.next_fast_len(2 * rows.shape[1], real=True)
    spectra, scores = np.conj(scipy.fft.rfft(rows, size)), np.empty((len(speeds), len(shifts)))
    spline = scipy.interpolate.CubicSpline(np.arange(count), _resampled(target, count))
    for row, speed in enumerate(speeds):
        places = in_recording(count, speed, 0)
        stretched = np.where((places >= 0) & (places <= count - 1), spline(np.clip(places, 0, count - 1)), 0)
        alike = scipy.fft.irfft(spectra * scipy.fft.rfft(np.sqrt(speed) * stretched, size), size)[:, shifts]
        scores[row] = (alike**2).sum(axis=0)
    return scores


def places_by_speed(targets, generator):
    """Where targets [n, num_samples, num_channels] seem to be the generator's sounds played at another speed, by a
    sketch of the generator: for each the speeds and shifts in samples that are most like it, APART from each other and
    most likely first, PLACES at most; none where it is as much like the generator's sounds as it is.

    A sound's pitch and its speed are told apart by nothing but how it changes, so that the first is not always right.
    """
    _, coarse, least = _parts(generator)
    every, shifts = _shifts(generator)
    speeds = np.array([1, *(1 + STEP * np.arange(-int(LARGEST / STEP), int(LARGEST / STEP) + 1)), *CONFUSED])
    found = []
    for target in unit(centred(targets)[0].sum(axis=2)):
        scores = _scores(target, coarse, speeds, shifts)
        best, places = scores.max(axis=1), []
        if best.max() > max(RECOGNISED * least, FASTER * best[0]):
            for number in np.argsort(-best):
                apart = all(abs(speeds[number] - speed) > APART * STEP for speed, _ in places)
                if apart and len(places) < PLACES:
                    places.append((speeds[number], shifts[scores[number].argmax()] * every * speeds[number]))
        found.append(places)
    return found


def _shifts(generator):
    """Samples of a generator for each of a target's at a lower rate, and the shifts that are tried of those."""
    rows, coarse, _ = _parts(generator)
    every, farthest = rows.shape[1] / coarse.shape[1], _farthest(generator)
    return every, np.arange(-int(farthest / every), int(farthest / every) + 1)


def refined(target, generator, speed, shift):
    """A speed and a shift of `places_by_speed`, as exactly as the sketch tells them."""
    return _around(target, _parts(generator)[0], generator, speed, shift)[:2]


def refined_by(target, generator, speed, shift, sound, coarsely=False):
    """The same, WIDE about them, as exactly as a sound [num_samples, num_channels] tells them that a target is like, or
    at a lower rate; then how much like it the target is there, 0 to 1."""
    rows, every = unit(centred(sound[None])[0].sum(axis=2)), _shifts(generator)[0]
    coarse = _resampled(rows, int(rows.shape[1] / every))
    speed, shift, alike = _around(target, coarse, generator, speed, shift, WIDE)
    return (speed, shift, alike) if coarsely else _around(target, rows, generator, speed, shift)


def _around(target, rows, generator, speed, shift, wide=1.0):
    """The speed and shift about some at which rows [r, samples] at any rate explain most of a target, and how much."""
    each, every, farthest = generator.num_samples / rows.shape[1], _shifts(generator)[0], _farthest(generator)
    (target,) = unit(centred(target[None])[0].sum(axis=2))
    near = np.round(shift / speed / each) + np.arange(-int(2 * every), int(2 * every) + 1)
    near = np.unique(np.clip(near, -int(farthest / each), int(farthest / each))).astype(int)
    fine = speed + wide * STEP * np.arange(-FINER, FINER + 1) / FINER
    scores = _scores(target, rows, fine, near)
    row, peak = np.unravel_index(scores.argmax(), scores.shape)
    return fine[row], near[peak] * each * fine[row], scores.max() * each**2  # fewer samples have less energy


def _farthest(generator):
    return min(FARTHEST, generator.num_samples // 8)


def described(speed, rate):
    """A speed in words: "1.0 % slower", or what a file's header says where that is wrong. rate: the generator's, in Hz,
    which is the header's or the true one."""
    for other in COMMON_RATES:
        for header, true in ((rate, other), (other, rate)):
            if other != rate and abs(speed / (true / header) - 1) < ALIKE:
                return f"its header says {header:,} Hz, its samples are {true:,}"
    change = 100 * abs(speed - 1)
    digits = 1 if change >= 0.5 else 2 if change >= 0.05 else 3
    return f"{change:.{digits}f} % {'slower' if speed > 1 else 'faster'}"
