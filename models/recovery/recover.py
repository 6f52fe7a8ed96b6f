"""The latent vector of a sound (paper section 3): predicted, optimised, or both.

`recover` takes target waveforms and a generator and returns the latent vectors whose sounds are closest. A solver finds
them; without one the start is the answer, a prediction in most cases. A prediction and a solver are the paper's hybrid.
`recover_clips` does the same for recordings, of which some may be the generator's own clips as they are, or have a code
or a label that is not known, and hands on each as it ends.

What happens to a clip, in order: it becomes Problems, one for each form, code or label that it may have
(models/recovery/alternatives.py); a solver answers each (models/recovery/problem.py), the exact one by the attempts of
models/recovery/attempts.py; the best Answer is kept; its first layer goes further, if that is wanted; and it is
Recovered here, with its waveform.
"""

from dataclasses import dataclass, fields

import numpy as np

from models.generator.generator import generate
from models.metrics.metrics import snr_db
from models.recovery.alignment import as_recorded
from models.recovery.alternatives import answers_of, forms_of, with_label
from models.recovery.layer import generate_from_layer
from models.recovery.problem import Answer, Answers, Problem
from models.recovery.starts import predict


@dataclass(frozen=True, kw_only=True)
class Recovered(Answer):
    """An Answer with its waveform [num_samples, num_channels], what that is in the target, and the SNR of that, in dB.

    Where there is a `layer` the waveform was made from it, and is no latent vector's sound. start: what the solver
    began from, a prediction or a random latent vector, if it was either. matched: the waveform at the level, over the
    offset and at the position that were recovered. at_bound: coordinates of the noise that lie at a bound. sample_rate:
    in Hz.
    """

    waveform: np.ndarray
    matched: np.ndarray
    snr_db: float
    at_bound: int
    sample_rate: int


class Recovery(Answers):
    """The Recovered of several clips; `waveforms` and all that each has are arrays of all."""

    waveforms = property(lambda self: np.stack([one.waveform for one in self]))


def recover(
    targets,  # waveforms [n, num_samples] or [n, num_samples, num_channels], prepared as the generator's training clips
    generator,  # models.generator.generator.Generator
    *,
    solver=None,  # Perceptual(), LevenbergMarquardt() or LBFGSB(); None: the start is the answer
    layer=None,  # models.recovery.layer.Layer, where the first layer's output is optimised too
    start=None,  # latent vectors [n, latent_dim] to begin from, such as models.recovery.starts.predict returns
    inverse_mapping=None,  # predicts where a target aligned or filtered in another way would begin, or None
    only_exact=False,  # whether clips that no latent vector explains are given up as soon as that is seen
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
    start = [None] * len(targets) if start is None else np.asarray(start, np.float32)
    again = _predictor(inverse_mapping)
    problems = [
        Problem(target, generator, begin, predict=again, only_exact=only_exact) for target, begin in zip(targets, start)
    ]
    answers = answers_of(solver, problems, seed=seed, report=report)
    if layer is not None:
        answers = layer.further(targets, answers, generator)
    return Recovery(finished(problem, answer) for problem, answer in zip(problems, answers))


def _predictor(inverse_mapping):
    """What a Problem calls `predict`, or None without an inverse mapping."""
    return inverse_mapping and (lambda targets: predict(targets, inverse_mapping))


def finished(problem, answer):
    """The Recovered of an Answer to a Problem."""
    generator, z = problem.generator, answer.z.astype(np.float32)
    made = generate(generator, z[None]) if answer.layer is None else generate_from_layer(generator, answer.layer[None])
    matched = as_recorded(made[0], answer.alignment)
    values = {field.name: getattr(answer, field.name) for field in fields(answer)}
    values |= {"z": z, "start": problem.start if answer.start is None else answer.start}
    noise = z[generator.codes.noise] if generator.codes else z
    at_bound = int((np.abs(noise) >= generator.bounds).sum())
    (snr,) = snr_db(problem.target[None], matched[None])
    return Recovered(
        **values,
        waveform=made[0],
        matched=matched,
        snr_db=float(snr),
        at_bound=at_bound,
        sample_rate=generator.sample_rate,
    )


def recover_clips(
    clips,  # models.audio.clip.Clips
    generator,  # a Generator, or a LabelledGenerator whose label is looked for
    *,
    inverse_mapping=None,  # predicts where to begin, or None
    solver=None,  # as of `recover`; None: predictions are the answers
    layer=None,  # as of `recover`
    code=None,  # models.recovery.alternatives.Code, of a generator with codes; None: Code()
    only_exact=False,  # as of `recover`
    seed=0,
    report=None,
):
    """Recovers recordings → yields (number of the clip, the Clip in the form that was recovered, its Recovered), each
    as it ends.

    A clip that may be the generator's own `as_it_is` is tried in that form first; where a latent vector explains it,
    that form is recovered, elsewhere the prepared one. A solver without least squares on the waveform takes it as it is
    where its prediction is close, and closer than that of the prepared form; without a prediction, never. Raises
    ValueError, in one line, for a label or a code that cannot be looked for.
    """
    found = with_label if generator.takes_label else forms_of
    options = {"solver": solver, "code": code, "only_exact": only_exact, "seed": seed, "report": report}
    if not generator.takes_label:  # a network that predicts belongs to one label
        options["predict"] = _predictor(inverse_mapping)
    results = found(list(clips), generator, **options)
    if layer is not None:
        results = _further(layer, list(results))
    for i, clip, problem, answer in results:
        yield i, clip, finished(problem, answer)


def _further(layer, results):
    """The results of alternatives, each Answer with its layer, found for many clips at once."""
    for generator in dict.fromkeys(problem.generator for _, _, problem, _ in results):
        some = [one for one in results if one[2].generator is generator]
        answers = layer.further([problem.target for _, _, problem, _ in some], [one[3] for one in some], generator)
        yield from ((i, clip, problem, answer) for (i, clip, problem, _), answer in zip(some, answers))


def recovered_clips(clips, generator, **options):
    """`recover_clips` of all clips → their Recovery, and the Clips in the form that was recovered."""
    results, forms = Recovery([None] * len(clips)), list(clips)
    for i, form, found in recover_clips(clips, generator, **options):
        forms[i], results[i] = form, found
    return results, forms
