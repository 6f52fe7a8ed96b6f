"""Which label a recording has, for a generator that takes one besides its latent vector: every label is tried by a
short descent, and the recording is solved with the two most likely ones.
"""

from dataclasses import replace

import numpy as np

from models.recovery.clips import EXPLAINED
from models.recovery.codes import Coded, exact_only
from models.recovery.exact import LevenbergMarquardt
from models.recovery.lbfgsb import LBFGSB
from models.recovery.perceptual import Perceptual
from models.recovery.placement import PROMISING
from models.recovery.recover import recover_clips
from models.recovery.solution import joined, margin_db, part

SHORT_JACOBIANS = 2  # of the short descent of least squares
SHORT_STAGES, SHORT_STEPS = ((4, 8),), 8  # of the short descent by ear
SHORT_ITERATIONS = 10  # of a short L-BFGS-B
SAME_PLACE = 1e-3  # log gain, offset and samples of delay up to which a recording is where the generator put it


def recover_clips_and_labels(clips, labelled, *, solver, seed=0, report=None):
    """Recovers models.audio.clip.Clips whose label is not known → Recovery with `label`, `runner_up` and `margin_db`,
    and the Clips in the form that was recovered.

    labelled: models.generator.labelled.LabelledGenerator. solver, seed, report: as of `recover_clips`. The margin is of
    the solver's objective, and of the waveform's error where one label explains the recording and the other does not.
    Raises ValueError, in one line, without a solver, and for a generator that does not say how many labels it has.
    """
    if solver is None:
        raise ValueError("which label a recording has is found by the gradient alone; no network predicts it")
    if labelled.num_labels is None:
        raise ValueError("the generator does not say how many labels it has, so its label has to be set")
    clips, options = list(clips), {"seed": seed, "report": report}
    errors = _first_look(clips, labelled, _short(solver, free=False), options)
    far = np.flatnonzero(errors.min(axis=0) > PROMISING)
    if len(far) and exact_only(solver) is not None:  # their level or position may be another
        again = _first_look([clips[i] for i in far], labelled, _short(solver, free=True), options)
        errors[:, far] = np.minimum(errors[:, far], again)
    likely = np.argsort(errors, axis=0, kind="stable")[:2]  # [2, n]
    best, forms = _solved(clips, labelled, likely[0], [solver] * len(clips), options)
    if len(likely) == 1:
        nothing = {"runner_up": np.full(len(clips), ""), "margin_db": np.full(len(clips), np.nan)}
        return replace(best, label=likely[0].astype(str), **nothing), forms
    # Where the first label explains a recording, the second is not looked for by ear, nor at another level or position
    # than the first was found at.
    moved = _moved(best)
    solvers = [
        _quickly(solver, moved[i]) or solver if explained else solver for i, explained in enumerate(_explains(best))
    ]
    second, second_forms = _solved(clips, labelled, likely[1], solvers, options)
    mixed = _explains(second) != _explains(best)
    swapped = np.where(mixed, _explains(second), second.objective < best.objective)
    values = np.where(mixed, 10 ** (-np.stack([best.snr_db, second.snr_db]) / 10), [best.objective, second.objective])
    chosen = [np.flatnonzero(~swapped), np.flatnonzero(swapped)]
    result = joined([(index, part(one, index)) for index, one in zip(chosen, (best, second))], len(clips))
    forms = [second_forms[i] if swapped[i] else form for i, form in enumerate(forms)]
    label, other = np.where(swapped, likely[::-1], likely).astype(str)
    return replace(result, label=label, runner_up=other, margin_db=np.abs(margin_db(*values))), forms


def _first_look(clips, labelled, solver, options):
    """The objectives [labels, n] that a solver ends with, label by label."""
    every = [labelled.with_label(label) for label in range(labelled.num_labels)]
    return np.stack([recover_clips(clips, one, solver=solver, **options)[0].objective for one in every])


def _moved(recovery):
    """Which recordings [n] were recovered at another level, offset or position than the generator's."""
    if recovery.gain is None:
        return np.zeros(len(recovery.z), bool)
    changed = np.abs(np.log(recovery.gain)), np.abs(recovery.offset), np.abs(recovery.shift)
    return np.max(changed, axis=0) > SAME_PLACE


def _solved(clips, labelled, labels, solvers, options):
    """Recovers each clip with the label and the solver of its own, [n] each → Recovery and the Clips' forms."""
    pairs, parts, forms = list(zip(labels, solvers)), [], list(clips)
    for pair in dict.fromkeys(pairs):
        index, (label, solver) = [i for i, other in enumerate(pairs) if other == pair], pair
        recovery, some = recover_clips([clips[i] for i in index], labelled.with_label(label), solver=solver, **options)
        parts.append((index, recovery))
        for i, form in zip(index, some):
            forms[i] = form
    return joined(parts, len(clips)), forms


def _explains(recovery):
    """Which recordings [n] a latent vector explains."""
    if recovery.explained is None:
        return np.zeros(len(recovery.z), bool)
    return recovery.explained > 1 - 2 * EXPLAINED


def _short(solver, free):
    """A solver that takes a first look: enough to tell which labels are likely. free: whether at any level, offset and
    position.
    """
    if isinstance(solver, Coded):
        return replace(solver, after=_short(solver.after, free))
    if isinstance(solver, LevenbergMarquardt):
        short = min(solver.max_iter, SHORT_JACOBIANS)
        return replace(solver, max_iter=short, restarts=0, give_up=True, free=free and solver.free)
    if isinstance(solver, LBFGSB):
        return replace(solver, max_iter=min(solver.max_iter, SHORT_ITERATIONS))
    if isinstance(solver, Perceptual):
        exact = solver.exact and _short(solver.exact, free)
        return replace(solver, stages=SHORT_STAGES, steps=SHORT_STEPS, exact=exact)
    raise ValueError(f"{type(solver).__name__} does not look for a label")


def _quickly(solver, free):
    """The least-squares part of a solver, without further tries, or None. free: as of `_short`."""
    return exact_only(solver, restarts=0) if free else exact_only(solver, restarts=0, free=False)
