"""What else a clip may be: another form of its recording, another code, another label. Each is a Problem of its own,
and the best Answer is kept, with how far it is before the next.
"""

from dataclasses import dataclass, replace

import numpy as np

from models.generator.codes import LARGEST_SCALE, held, relaxed
from models.generator.generator import generate
from models.recovery.alignment import as_generated, as_recorded
from models.recovery.attempts import residuals
from models.recovery.errors import NEAR_TRUTH, PROMISING, margin_db
from models.recovery.problem import Answer, Answers, Problem, rank, solve_all, spent

CANDIDATES = 3  # codes that are held, the nearest to the free answer's
REACH = 4.0  # how far a code whose scale is free is followed, before LARGEST_SCALE where that leads nowhere
LEAST_SCALE = 0.5  # of a code, in which the free answer is read
NO_CODE_DB = 10.0  # by which a clip is better explained without any valid code, if it has none
VANISHED = 1e-2  # largest number of a code whose scale is free, up to which it is the code of zeros
LOOK, SECOND_LOOK = 2, 4  # Jacobians with each label, at the recording's place and at any
SAME_PLACE = 1e-3  # log gain, offset and samples of delay up to which a recording is where the generator put it
PREDICTED = "predicted"


def answers_of(solver, problems, **options):
    """The Answers to Problems in order: the solver's, or the starts where there is none."""
    return solve_all(solver, problems, **options) if solver else predicted(problems)


def predicted(problems):
    """The starts of Problems as their Answers. Raises ValueError where there is none."""
    if any(problem.start is None for problem in problems):
        raise ValueError("without a solver the start is the answer, and there is none")
    z, targets = (np.stack([getattr(problem, name) for problem in problems]) for name in ("start", "target"))
    objectives = residuals(targets, problems[0].generator, z)
    return Answers(Answer(one, float(value), 0, PREDICTED) for one, value in zip(z, objectives))


def best_of(tried):
    """The best of alternatives {name: (Problem, Answer)} → its name, its Problem, and its Answer with `runner_up` and
    `margin_db`, all tries' iterations counted.

    The margin is of the objectives, and of the waveforms' errors where one answer explains the clip and the next does
    not; NaN where there is no other.
    """
    order = sorted(tried, key=lambda name: rank(tried[name][1]))  # of equals the first stays first
    (problem, first), margin = tried[order[0]], np.nan
    if order[1:]:
        other, second = tried[order[1]]
        values = first.objective, second.objective
        if first.exact != second.exact:
            values = _waveform_error(problem, first), _waveform_error(other, second)
        margin = float(abs(margin_db(*values)))
    iterations = sum(answer.iterations for _, answer in tried.values())
    runner_up = order[1] if order[1:] else ""
    return order[0], problem, replace(first, iterations=iterations, runner_up=runner_up, margin_db=margin)


def _waveform_error(problem, answer):
    """The energy of what an Answer leaves of its target."""
    waveform = generate(problem.generator, answer.z[None].astype(np.float32))[0]
    return float(np.sum((as_recorded(waveform, answer.alignment) - problem.target).astype(np.float64) ** 2))


def forms_of(clips, generator, *, solver=None, code=None, seed=0, report=None, predict=None, **known):
    """Recovers models.audio.clip.Clips, each as it is where that explains it, else prepared → yields (number, the Clip
    in that form, its Problem, its Answer), each as it ends. known: further fields of the Problems.
    """
    shape = generator.num_samples, generator.num_channels

    def asked(numbers, samples, **more):
        targets = [samples(clips[i]).reshape(shape) for i in numbers]
        starts = predict(np.stack(targets)) if predict and numbers else [None] * len(numbers)
        predicts = None if generator.codes else predict  # a code's own coordinates are not those that are predicted
        return [
            Problem(target, generator, start, predict=predicts, **known | more)
            for target, start in zip(targets, starts)
        ]

    def answered(numbers, problems):
        for k, answer in _answered(problems, solver, code, seed=seed, report=report):
            yield numbers[k], problems[k], answer

    waiting = list(range(len(clips)))
    possible = [i for i in waiting if clips[i].as_it_is is not None and clips[i].samples is not clips[i].as_it_is]
    if solver and solver.solves_exactly and possible:
        first = asked(possible, lambda clip: clip.as_it_is, only_exact=True)
        for i, problem, answer in answered(possible, first):
            if answer.exact:
                waiting.remove(i)
                yield i, clips[i].unprepared(), problem, answer
    elif predict and possible:
        errors = []
        for samples in (lambda clip: clip.as_it_is, lambda clip: clip.samples):
            problems = asked(possible, samples)
            targets, starts = (np.stack([getattr(one, name) for one in problems]) for name in ("target", "start"))
            errors.append(residuals(targets, generator, starts))
        for i, own, prepared in zip(possible, *errors):
            if own < min(prepared, PROMISING):
                clips[i] = clips[i].unprepared()
    if waiting:
        for i, problem, answer in answered(waiting, asked(waiting, lambda clip: clip.samples)):
            yield i, clips[i], problem, answer


@dataclass(frozen=True)
class Code:
    """What is known of the code of every clip. hold: the code itself, as it is written, or "". scale: what codes are
    multiplied by, above 0 and up to 20, or "free"."""

    hold: str = ""
    scale: float | str = 1.0


def _answered(problems, solver, code, **options):
    """Yields (number, Answer) of Problems; of a generator with codes the best code's."""
    if problems and problems[0].generator.codes:
        yield from enumerate(_with_code(problems, solver, code or Code(), **options))
    elif solver:
        yield from solver.solve(problems, **options)
    else:
        yield from enumerate(predicted(problems))


def _with_code(problems, solver, code, **options):
    """Answers with the best valid code and the noise that goes with it: each Problem is solved with the code free, then
    with each near code held. Raises ValueError for a code that the layout lacks.
    """
    generator = problems[0].generator
    codes, scale = generator.codes, code.scale
    if scale == "free" and not np.isfinite(generator.bounds):
        raise ValueError("code_scale is free, and latent vectors have no bounds; set bounds, such as 4")
    free = relaxed(generator, REACH if scale == "free" else scale)
    if solver:
        begins = [None if one.start is None else free.inverse(one.start[None])[0] for one in problems]
        asked = [replace(one, generator=free, start=begin) for one, begin in zip(problems, begins)]
        answers = answers_of(solver, asked, **options)
        starts = [free.latent(answer.z[None]).numpy()[0] for answer in answers]
        if scale == "free":
            _follow_further(problems, solver, answers, starts, **options)
    else:
        answers, starts = predicted(problems), [one.start for one in problems]
    held_problems = {}  # {function: [(clip, code, its Problem, that of the noise)]}, each group solved at once
    for i, (problem, answer, start) in enumerate(zip(problems, answers, starts)):
        aligned = replace(
            problem, target=as_generated(problem.target, answer.alignment), place_known=True, near=True, predict=None
        )
        for text in _candidates(codes, code, start):
            if answer.of_waveform and scale != "free":
                group, asked = free, _held_at_bounds(aligned, free, codes.code(text) * scale, start, answer.exact)
            else:
                function = held(generator, text, scale)
                group, asked = function, replace(aligned, generator=function, start=function.inverse(start[None])[0])
            held_problems.setdefault(group, []).append((i, text, aligned, asked))
    tried = [{} for _ in problems]
    for function, group in held_problems.items():
        found = answers_of(solver, [asked for *_, asked in group], **options)
        for (i, text, aligned, asked), answer in zip(group, found):
            fixed = codes.code(text) * scale if function is free else None
            tried[i][text] = aligned, _as_latent(answer, asked, codes, fixed)
    function = None if code.hold or scale == "free" else free
    return [
        _with_best_code(codes, some, scale, answer, function and replace(problem, generator=function))
        for some, answer, problem in zip(tried, answers, problems)
    ]


def _candidates(codes, code, start):
    """The codes, as text, that are held for a clip whose free answer, or prediction, is `start` [latent_dim]."""
    if code.hold:
        return [codes.text(codes.code(code.hold))]
    scale = max(start[codes.places].max(), LEAST_SCALE) if code.scale == "free" else code.scale
    return [codes.text(near) for near in codes.nearest(start[codes.places] / scale, CANDIDATES)]


def _held_at_bounds(problem, free, code, start, only_exact):
    """The Problem of the noise alone, of the function with a free code: the code's bounds are equal."""
    places, z = problem.generator.codes.places, np.array(start)
    z[places] = code
    begin = free.inverse(z[None])[0]
    lower, upper = (np.full(len(begin), bound) for bound in (-free.bounds, free.bounds))
    lower[places] = upper[places] = begin[places]
    only = only_exact or problem.only_exact
    return replace(problem, generator=free, start=begin, lower=lower, upper=upper, only_exact=only)


def _as_latent(answer, problem, codes, code):
    """An Answer to a Problem with a held code, its unknowns being a latent vector of the generator. code: the numbers
    that were held at bounds, which are given as they are, without the rounding of the way there and back; or None.
    """
    function = problem.generator
    z, z_std = function.latent(answer.z[None]).numpy()[0], None
    if code is not None:
        z[codes.places] = code
        if answer.z_std is not None:
            z_std = np.zeros(len(z))
            z_std[codes.noise] = answer.z_std[codes.noise]
    return replace(answer, z=z.astype(np.float32), z_std=z_std, determined=None if z_std is None else answer.determined)


def _follow_further(problems, solver, answers, starts, **options):
    """Follows codes as far as the largest scale, of clips that a code of a usual scale does not explain."""
    again = [i for i, answer in enumerate(answers) if answer.objective > NEAR_TRUTH]
    if not again:
        return
    free = relaxed(problems[0].generator, LARGEST_SCALE)
    asked = [replace(problems[i], generator=free, start=None) for i in again]
    for i, other in zip(again, answers_of(solver, asked, **options)):
        if rank(other) < rank(answers[i]):
            starts[i] = free.latent(other.z[None]).numpy()[0]
            other, answers[i] = answers[i], other
        answers[i] = spent(answers[i], other.iterations)


def _with_best_code(codes, tried, scale, free, free_problem):
    """The best of {code: (Problem, Answer)} as an Answer to the Problem itself. free, free_problem: the Answer with a
    free code and its Problem, None where the code is held or its scale is free: if that explains the clip and no valid
    code does, the clip has none, such as a sound of a latent vector whose code was drawn like its noise.
    """
    if scale == "free":
        tried = _without_vanished(codes, tried)
    text, problem, best = best_of(tried)
    alignment = free.alignment if best.alignment is None or free.alignment is not None else best.alignment
    without = None
    if free_problem and free.exact:
        left = [_waveform_error(*one) / np.sum(one[0].target ** 2) for one in ((free_problem, free), (problem, best))]
        margin = float(margin_db(*left))
        without = margin if margin > NO_CODE_DB else None
    answer = spent(best, free.iterations)
    return replace(answer, code=text, alignment=alignment, start=None, without_code_db=without)


def _without_vanished(codes, tried):
    """Alternatives {code: (Problem, Answer)} without those of a scale near 0, where the bits that are all 0 are among
    them: at scale 0 every code of bits is that one.
    """
    zeros = codes.text(np.zeros(codes.size))
    if zeros not in tried or codes.code(zeros).any():
        return tried
    return {
        text: one for text, one in tried.items() if text == zeros or np.abs(one[1].z[codes.places]).max() > VANISHED
    }


def with_label(clips, labelled, *, solver=None, code=None, seed=0, report=None, only_exact=False):
    """Recovers models.audio.clip.Clips whose label is not known: every label is tried by a short descent, and the two
    most likely ones are solved → yields as `forms_of`, the Answers with `label`, `runner_up` and `margin_db`.

    labelled: models.generator.labelled.LabelledGenerator. Raises ValueError, in one line, without a solver, and for a
    generator that does not say how many labels it has.
    """
    if solver is None:
        raise ValueError("which label a recording has is found by the gradient alone; no network predicts it")
    if labelled.num_labels is None:
        raise ValueError("the generator does not say how many labels it has, so its label has to be set")
    options = {"solver": solver, "code": code, "seed": seed, "report": report}

    def look(some, **known):
        """The Answers [labels][clips] of short descents."""
        found = [[None] * len(some) for _ in range(labelled.num_labels)]
        for label, answers in enumerate(found):
            for i, _, _, answer in forms_of(list(some), labelled.with_label(label), **options, **known):
                answers[i] = answer
        return found

    def solved(numbers, label, **known):
        """{number: (Clip, Problem, Answer)} of clips with one label."""
        found = forms_of([clips[i] for i in numbers], labelled.with_label(label), **options, **known)
        return {numbers[k]: rest for k, *rest in found}

    looks = look(clips, place_known=True, budget=LOOK)
    errors = np.array([[answer.objective for answer in some] for some in looks])  # [labels, n]
    far = np.flatnonzero(errors.min(axis=0) > PROMISING) if solver.solves_exactly else []
    if len(far):  # their level or position may be another
        again = look([clips[i] for i in far], budget=SECOND_LOOK)
        errors[:, far] = np.minimum(errors[:, far], [[answer.objective for answer in some] for some in again])
    likely = np.argsort(errors, axis=0, kind="stable")[:2]  # [1 or 2, n]
    tried = [{} for _ in clips]
    for label in dict.fromkeys(likely[0]):
        for i, found in solved(np.flatnonzero(likely[0] == label), label, only_exact=only_exact).items():
            tried[i][str(label)] = found
    for label in dict.fromkeys(likely[1]) if len(likely) > 1 else ():
        # Where the first label explains a recording, the second is not looked for by ear, nor at another level or
        # position than the first was found at.
        groups = {}
        for i in np.flatnonzero(likely[1] == label):
            answer = next(iter(tried[i].values()))[2]
            groups.setdefault((answer.exact, answer.exact and not _moved(answer)), []).append(i)
        for (exact, place_known), numbers in groups.items():
            for i, found in solved(
                numbers, label, only_exact=exact or only_exact, near=exact, place_known=place_known
            ).items():
                tried[i][str(label)] = found
    for i, some in enumerate(tried):
        label, problem, answer = best_of({name: found[1:] for name, found in some.items()})
        yield i, some[label][0], problem, replace(answer, label=label)


def _moved(answer):
    """Whether a recording was found at another level, offset or position than the generator's."""
    place = answer.alignment
    return max(abs(np.log(abs(place.gain))), abs(place.offset), abs(place.shift)) > SAME_PLACE or place.gain < 0
