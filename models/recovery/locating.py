"""Where the descent of a clip begins that may be of another level or position than the generator's sounds."""

from dataclasses import dataclass

import numpy as np

from models.generator.generator import generate
from models.recovery.alignment import aligned, centred, inside, moved, unit
from models.recovery.errors import PROMISING, objective_at
from models.recovery.problem import Alignment
from models.recovery.sketch import sketch, summit

PREDICTIONS = 2  # of a target, the second at the level that the first is best at
LEAST_GAIN = 0.1  # of the usual one: less, or one below 0, is that of a bad prediction
AROUND = 3  # samples from where a sketch places a clip, within which a waveform is correlated with it


@dataclass(frozen=True)
class Begin:
    """Unknowns z [k] and the alignment that a descent begins at. near: whether these, from a prediction, explain the
    clip for the most part.
    """

    z: np.ndarray
    alignment: Alignment
    near: bool = False


def usual_place(problem, shift, sign=1):
    """Begin of a clip that is `shift` samples late, at zero and at the usual level and mean of the generator's sounds.
    sign: -1 for a sound turned over."""
    known = sketch(problem.generator)
    (waveform,), (mean,) = centred(problem.target[None])
    gain = sign * max(waveform.std(), 1e-6) / known.level
    alignment = Alignment(gain, mean - gain * known.constant, float(shift))
    return Begin(np.zeros(problem.generator.latent_dim), alignment)


def predicted_places(problems, shifts, signs):
    """Begins of clips that are about `shifts` [n] samples late, from what is predicted of each at the level and place
    that it seems to have, and again at those that suit that prediction; the usual ones where that comes nowhere near.
    signs [n]: -1 for a sound turned over, else 1.
    """
    usual = [usual_place(*one) for one in zip(problems, shifts, signs)]
    if not problems or problems[0].predict is None:
        return usual
    places = [begin.alignment for begin in usual]
    for _ in range(PREDICTIONS):
        targets = [
            np.multiply(*aligned(problem.target, place, problem.generator)) for problem, place in zip(problems, places)
        ]
        z = problems[0].predict(np.stack(targets)).astype(np.float64)
        z = np.stack([np.clip(one, *problem.box()) for one, problem in zip(z, problems)])
        near = []
        for i, waveform in enumerate(generate(problems[0].generator, z.astype(np.float32))):
            problem, sign, least = problems[i], signs[i], LEAST_GAIN * abs(usual[i].alignment.gain)
            gain, offset, shift, left = fitted(
                problem.target, waveform, inside(problem.target, generator=problem.generator), shifts[i], sign
            )
            near.append(sign * gain > least and objective_at(0) * left < PROMISING)
            places[i] = Alignment(sign * max(sign * gain, least), offset, shift)
    return [Begin(*known) if known[2] else begin for known, begin in zip(zip(z, places, near), usual)]


def fitted(target, waveform, known, shift, sign=1):
    """Gain, offset and delay in samples at which a waveform [samples, channels] is most like a target, of which `known`
    is 1 where a sample is known, else 0: the delay by correlation, within some samples of `shift`, the others by least
    squares at that delay. Then the share of the target's energy about its mean that this leaves. sign: of the gain.
    """
    size, about = 2 * len(target), round(shift) + np.arange(-AROUND, AROUND + 1)
    sound = sign * (target - target[known > 0].mean()) * known
    spectra = np.fft.rfft(sound.T, size) * np.conj(np.fft.rfft(unit(waveform.T), size))
    shift = about[0] + summit(np.fft.irfft(spectra, size).sum(axis=0)[about])
    late, there = moved(waveform, shift)
    both = known * there > 0
    columns = np.column_stack([late[both], np.ones(both.sum())])
    gain, offset = np.linalg.lstsq(columns, target[both], rcond=None)[0]
    left = np.mean((target[both] - columns @ (gain, offset)) ** 2)
    return gain, offset, shift, left / max(target[both].var(), 1e-12)
