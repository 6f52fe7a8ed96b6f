"""What is asked of a solver, and what it answers: the two ends of every recovery.

A Problem says what one clip's answer has to explain, and what is known of it; an Answer is what was found, and stays as
it is. What varies a question (a held code, a label, a known place, another form of the recording) is another Problem,
made with dataclasses.replace. A solver is a frozen dataclass with its settings as fields and one method:

    solve(problems, *, seed=0, report=None) → yields (number of the problem, its Answer), each as it ends

All problems of a call have the same generator. seed: of whatever the solver draws, a number or a list of numbers.
report: called with the number of clips still being worked on.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from models.recovery.errors import EXPLAINED


@dataclass(frozen=True)
class Problem:
    """One clip, and what is known of its answer.

    target [num_samples, num_channels]: the waveform to explain. generator: a models.generator.generator.Generator, or a
    models.generator.codes.Affine, the function from the unknowns to a waveform. start [k]: unknowns to begin from, a
    prediction in most cases, or None. lower, upper [k]: the box of the unknowns, infinite where there is no bound and
    equal where one is held; None: the generator's bounds. predict: targets [n, num_samples, num_channels] → unknowns
    [n, k], for a solver that has to begin elsewhere than at the start, or None.

    place_known: the target is at the generator's own level and position. near: the start is near the answer, and no
    further tries are worth their time. only_exact: an answer that does not explain the waveform is of no use, so the
    clip is given up as soon as it seems to have none. budget: Jacobians, or steps as dear as these, at most; None: as
    many as the solver takes.
    """

    target: np.ndarray
    generator: object
    start: np.ndarray | None = None
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    predict: object = None
    place_known: bool = False
    near: bool = False
    only_exact: bool = False
    budget: int | None = None

    def box(self):
        """Lower and upper bounds of the unknowns, each float64 [k]."""
        bounds = self.generator.bounds
        ends = -bounds if self.lower is None else self.lower, bounds if self.upper is None else self.upper
        return tuple(np.broadcast_to(np.asarray(end, np.float64), (self.generator.latent_dim,)) for end in ends)


@dataclass(frozen=True)
class Alignment:
    """How a generator's waveform lies in a target: gain · (the waveform, `shift` samples later) + offset.

    gain: below 0 where the sound's polarity is turned over; never 0. offset: in the target's units. filter
    [num_samples]: what the waveform went through before, of unit energy, its largest tap positive and at
    models.recovery.filters.ORIGIN; None where it went through none. levels [num_samples]: of the waveform's samples,
    which it had before, of a mean square of 1 over its energy; None where they did not change with time. speed: how
    many times longer the target lasts than the waveform, about whose middle it is stretched.
    """

    gain: float = 1.0
    offset: float = 0.0
    shift: float = 0.0
    filter: np.ndarray | None = field(default=None, compare=False)
    speed: float = 1.0
    levels: np.ndarray | None = field(default=None, compare=False)

    @property
    def plain(self):
        """Whether the waveform lies in the target as the generator made it."""
        return self.filter is None and self.levels is None and self == Alignment()


@dataclass(frozen=True)
class Answer:
    """Where a solver ended with one clip.

    z [k]: the unknowns, a latent vector once models.recovery.recover hands it on. objective: the solver's own, of z.
    iterations: Jacobians, steps of Adam or iterations of L-BFGS-B, over all tries. why: which attempt found it, or why
    it ended. alignment: found with z, or None where the solver does not look for one. explained: the share of the
    target's energy, less the offset, that z explains, 0 to 1, or None without least squares on the waveform.
    altered: what was done to samples of the target, which then count for nothing or bound the waveform, in words.
    of_waveform: whether the objective is of the waveform alone. z_std [k]: standard deviations of z, None where nothing
    is explained. determined: directions of z that the clip determines, 0 to k, where z_std is known. start [k]: where
    the solver began, if it drew that itself.

    code, label: what was found of them, as text; runner_up: the next best code or label; margin_db: how far its
    objective is above. without_code_db: where no valid code explains the clip and numbers that are none do, by how much
    these do it better. layer [16, 16 d]: what the first layer ought to give, where that was optimised too.
    """

    z: np.ndarray
    objective: float
    iterations: int = 0
    why: str = ""
    alignment: Alignment | None = None
    explained: float | None = None
    of_waveform: bool = False
    altered: str = ""
    z_std: np.ndarray | None = None
    determined: int | None = None
    start: np.ndarray | None = None
    code: str | None = None
    label: str | None = None
    runner_up: str | None = None
    margin_db: float | None = None
    without_code_db: float | None = None
    layer: np.ndarray | None = None

    @property
    def exact(self):
        """Whether the waveform of z is so close to the target that the target is the generator's."""
        return self.of_waveform and self.objective < EXPLAINED

    gain = property(lambda self: self.alignment and self.alignment.gain)
    offset = property(lambda self: self.alignment and self.alignment.offset)
    shift = property(lambda self: self.alignment and self.alignment.shift)
    speed = property(lambda self: self.alignment and self.alignment.speed)


def rank(answer):
    """What answers are ordered by, the best first: whether one explains its clip, then its objective."""
    return not answer.exact, answer.objective


class Answers(list):
    """Answers to several clips; what each has, all have as one array: `answers.z` is [n, k].

    None where no answer has it; NaN, or "" of texts, in place of what single answers lack.
    """

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        values = [getattr(answer, name) for answer in self]
        known = [value for value in values if value is not None]
        if not known:
            return None
        if isinstance(known[0], str):
            return np.array([value or "" for value in values])
        return np.stack([np.full(np.shape(known[0]), np.nan) if value is None else value for value in values])


def solve_all(solver, problems, **options):
    """The Answers of a solver to problems, in their order."""
    answers = Answers([None] * len(problems))
    for i, answer in solver.solve(problems, **options):
        answers[i] = answer
    return answers


def spent(answer, iterations):
    """The same answer after more iterations than its own: of tries that led elsewhere."""
    return replace(answer, iterations=answer.iterations + int(iterations))
