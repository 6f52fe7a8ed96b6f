"""The latent vector of a sound (paper section 3): predicted, optimised, or both.

`recover` takes target waveforms and a generator and returns the latent vectors whose sounds are closest. A solver finds
them; without one the start is the answer, a prediction in most cases. A prediction and a solver are the paper's hybrid.
`recover_clips` does the same for recordings, of which some may be the generator's own clips as they are.
"""

from dataclasses import dataclass, replace

import numpy as np

from models.generator.generator import generate
from models.metrics.metrics import snr_db
from models.recovery.clips import EXPLAINED
from models.recovery.codes import exact_only
from models.recovery.exact import LevenbergMarquardt, exact_part, residuals
from models.recovery.layer import Layer, generate_from_layer
from models.recovery.placement import PROMISING, as_recorded
from models.recovery.solution import Solution, joined, part
from models.recovery.starts import predict


@dataclass
class Recovery(Solution):
    """A Solution with its waveforms [n, num_samples, num_channels], what they are in the targets, and the SNR of that.

    Where there is a `layer` the waveforms were made from it, and are no latent vector's sounds. start: what the solver
    began from, a prediction or random latent vectors, if it was either. matched: the waveforms at the level, over the
    offset and at the position that were recovered, where they were. snr_db [n]: of `matched`.
    """

    waveforms: np.ndarray = None
    matched: np.ndarray = None
    snr_db: np.ndarray = None


def recover(
    targets,  # waveforms [n, num_samples] or [n, num_samples, num_channels], prepared as the generator's training clips
    generator,  # models.generator.generator.Generator
    *,
    solver=None,  # Perceptual(), LevenbergMarquardt(), LBFGSB(), Coded or Layer; None: the start is the answer
    start=None,  # latent vectors [n, latent_dim] to begin from, such as models.recovery.starts.predict returns
    seed=0,  # of whatever the solver draws, a number or a list of numbers
    report=None,  # called with the number of clips still being worked on
):
    """Latent vectors whose waveforms are closest to the targets → Recovery.

    The objective of a start that is the answer is that of LevenbergMarquardt. A clip's answer depends on the others by
    rounding only: with another number of them TensorFlow sums in another order, and gradients differ by up to 2e-4 of
    their size. Raises ValueError for misshapen targets, for neither a solver nor a start, and what the solver raises.
    """
    targets = np.asarray(targets, np.float32).reshape(len(targets), -1, generator.num_channels)
    if targets.shape[1] != generator.num_samples:
        raise ValueError(f"targets have {targets.shape[1]} samples, the generator makes {generator.num_samples}")
    start = None if start is None else np.asarray(start, np.float32)
    if solver is not None:
        solution = solver.solve(targets, generator, start, seed=seed, report=report)
    elif start is not None:
        solution = Solution(start, residuals(targets, generator, start), np.zeros(len(start), int))
    else:
        raise ValueError("without a solver the start is the answer, and there is none")
    return _finished(solution, targets, generator, start)


def _finished(solution, targets, generator, start):
    z = solution.z.astype(np.float32)
    waveforms = generate(generator, z) if solution.layer is None else generate_from_layer(generator, solution.layer)
    matched = as_recorded(waveforms, solution)
    values = vars(solution) | {"z": z, "start": start if solution.start is None else solution.start}
    return Recovery(**values, waveforms=waveforms, matched=matched, snr_db=snr_db(targets, matched))


def _predicting(solver, inverse_mapping):
    """A solver, whose least squares, if it has any, predict clips of another level or position anew. Those of `Coded`
    do not: their coordinates are not the ones that an inverse mapping predicts.
    """
    if isinstance(solver, LevenbergMarquardt):
        return replace(solver, inverse_mapping=inverse_mapping)
    if isinstance(solver, Layer):
        return replace(solver, after=_predicting(solver.after, inverse_mapping))
    if (exact := exact_part(solver)) is not None:
        return replace(solver, exact=_predicting(exact, inverse_mapping))
    return solver


def recover_clips(clips, generator, *, inverse_mapping=None, solver=None, seed=0, report=None):
    """Recovers models.audio.clip.Clips → Recovery, and the Clips in the form that was recovered.

    A clip that may be the generator's own `as_it_is` is tried in that form first; where a latent vector explains it,
    that form is recovered, elsewhere the prepared one. A solver without least squares on the waveform takes it as it is
    where its prediction is close, and closer than that of the prepared form; without a prediction, never.
    inverse_mapping: predicts where to begin, or None. The other arguments are those of `recover`.
    """
    if inverse_mapping is not None:
        solver = _predicting(solver, inverse_mapping)
    shape = len(clips), generator.num_samples, generator.num_channels
    targets = np.stack([clip.samples for clip in clips]).reshape(shape)
    possible = [i for i, clip in enumerate(clips) if clip.as_it_is is not None and clip.samples is not clip.as_it_is]
    possible = np.array(possible, int)
    clips, parts = list(clips), []

    def begin(waveforms):
        return None if inverse_mapping is None else predict(waveforms, inverse_mapping)

    taken = possible[:0]
    if len(possible):
        own = np.stack([clips[i].as_it_is for i in possible]).reshape(len(possible), *shape[1:])
        start, exact = begin(own), exact_only(solver)
        if exact is not None:
            solution = exact.solve(own, generator, start, seed=seed, report=report)
            good = solution.objective < EXPLAINED
            taken = possible[good]
            if len(taken):
                begun = None if start is None else start[good]
                parts.append((taken, _finished(part(solution, good), own[good], generator, begun)))
        elif start is not None:
            prepared = residuals(targets[possible], generator, begin(targets[possible]))
            taken = possible[residuals(own, generator, start) < np.minimum(prepared, PROMISING)]
        for i in taken:
            clips[i] = clips[i].unprepared()
            targets[i] = clips[i].samples.reshape(shape[1:])
    done = parts[0][0] if parts else taken[:0]
    rest = np.setdiff1d(np.arange(len(clips)), done)
    if len(rest):
        options = {"solver": solver, "start": begin(targets[rest]), "seed": seed, "report": report}
        parts.append((rest, recover(targets[rest], generator, **options)))
    return joined(parts, len(clips)), clips
