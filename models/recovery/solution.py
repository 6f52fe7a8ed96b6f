"""What every solver returns, and what a solver's results depend on."""

from dataclasses import dataclass, fields, is_dataclass, replace

import numpy as np

# Another solver is a frozen dataclass in a file of its own, with its settings as fields and
# solve(targets, generator, start, *, seed, report) → Solution. `solver_of` in common/solvers.py makes it from the
# scripts' settings, of whose setting `solver` its name is one choice.

LEAST = 1e-14  # objective or error that counts as zero


@dataclass
class Solution:
    """Where a solver ended, for n clips.

    z [n, latent_dim]: latent vectors. objective [n]: the solver's own, of its answer. iterations [n]: Jacobians,
    steps of Adam or iterations of L-BFGS-B, over all starts. start [n, latent_dim]: the random latent vectors that it
    began from, if the user gave none and the solver drew them. layer [n, 16, 16 d]: what the first layer ought to
    give, if that was optimised too.

    code, runner_up [n]: the best code and the next best, as models.generator.codes.Codes writes them, "" where there is
    none; margin_db [n]: how far the objective of the second is above that of the first. label [n]: the best label, as
    text, where that was looked for; then runner_up and margin_db are the labels'.

    Of least squares on the waveform, else None: a target is gain · (the generator's waveform, `shift` samples later) +
    offset, each [n]. z_std [n, latent_dim]: standard deviations of the coordinates, NaN for a clip that no latent
    vector explains. at_bound [n]: coordinates that ended at a bound. explained [n]: the share of the target's energy,
    less the offset that was recovered, that gain, shift and the generator's waveform explain, 0 to 1. filter [n,
    num_samples]: of unit energy, its largest tap positive and at models.recovery.filters.ORIGIN, that a clip's waveform
    went through beside, zeros where it went through none; None where no clip did. speed [n]: how many times longer a
    target lasts than the generator's waveform, about whose middle it is stretched; None where all last as long.
    """

    z: np.ndarray
    objective: np.ndarray
    iterations: np.ndarray
    start: np.ndarray | None = None
    layer: np.ndarray | None = None
    gain: np.ndarray | None = None
    offset: np.ndarray | None = None
    shift: np.ndarray | None = None
    z_std: np.ndarray | None = None
    at_bound: np.ndarray | None = None
    explained: np.ndarray | None = None
    filter: np.ndarray | None = None
    speed: np.ndarray | None = None
    code: np.ndarray | None = None
    runner_up: np.ndarray | None = None
    margin_db: np.ndarray | None = None
    label: np.ndarray | None = None


def part(solution, chosen):
    """Some clips of a Solution; chosen: a mask or indices."""
    values = {f.name: getattr(solution, f.name) for f in fields(solution)}
    return replace(solution, **{name: None if value is None else value[chosen] for name, value in values.items()})


def joined(parts, n):
    """One Solution of n clips from parts, pairs of their indices and a Solution, some perhaps without a clip; NaN where
    a part has no such value."""
    parts = [one for one in parts if len(one[0])]
    if len(parts) == 1 and len(parts[0][0]) == n:
        return part(parts[0][1], np.argsort(parts[0][0]))
    values = {}
    for name in (field.name for field in fields(parts[0][1])):
        known = [(index, value) for index, one in parts if (value := getattr(one, name)) is not None]
        values[name] = None
        if known:
            kind = np.result_type(*(value for _, value in known)) if len(known) == len(parts) else np.float32
            values[name] = np.full((n, *known[0][1].shape[1:]), np.nan if kind.kind == "f" else 0, kind)
            for index, value in known:
                values[name][index] = value
    return type(parts[0][1])(**values)


def margin_db(first, second):
    """How far an objective or an error, a number or an array, is above another, in dB."""
    return 10 * np.log10(np.maximum(second, LEAST) / np.maximum(first, LEAST))


def identity(value):
    """What the results of a solver depend on, as anything JSON can hold: its name and its fields, networks by the
    SHA-256 of their variables.
    """
    if is_dataclass(value):
        return {"solver": type(value).__name__} | {f.name: identity(getattr(value, f.name)) for f in fields(value)}
    if hasattr(value, "preparation"):  # a generator: the latent vectors depend on what the user says of it, too
        shape = value.num_samples, value.num_channels
        return [value.sha256, value.sample_rate, str(value.bounds), value.prior, value.preparation.code, *shape]
    if hasattr(value, "sha256"):
        return [value.sha256, *([value.taps] if hasattr(value, "taps") else [])]
    return value
