"""What every solver returns, and what a solver's results depend on."""

from dataclasses import dataclass, fields, is_dataclass

import numpy as np

# Another solver is a frozen dataclass in a file of its own, with its settings as fields and
# solve(targets, generator, start, *, seed, report) → Solution; its name in the scripts' setting `solver`.


@dataclass
class Solution:
    """Where a solver ended, for n clips.

    z [n, latent_dim]: latent vectors. objective [n]: the solver's own, of its answer. iterations [n]: Jacobians,
    steps of Adam or iterations of L-BFGS-B, over all starts. start [n, latent_dim]: the random latent vectors that it
    began from, if the user gave none and the solver drew them. layer [n, 16, 16 d]: what the first layer ought to
    give, if that was optimised too.

    code, runner_up [n]: the best code and the next best, as models.generator.codes.Codes writes them, "" where there is
    none; margin_db [n]: how far the objective of the second is above that of the first.

    Of least squares on the waveform, else None: a target is gain · (the generator's waveform, `shift` samples later) +
    offset, each [n]. z_std [n, latent_dim]: standard deviations of the coordinates, NaN for a clip that no latent
    vector explains. at_bound [n]: coordinates that ended at a bound. explained [n]: the share of the target's energy
    about its mean that gain, shift, offset and the generator's waveform explain, 0 to 1.
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
    code: np.ndarray | None = None
    runner_up: np.ndarray | None = None
    margin_db: np.ndarray | None = None


def identity(value):
    """What the results of a solver depend on, as anything JSON can hold: its name and its fields, networks by the
    SHA-256 of their variables.
    """
    if is_dataclass(value):
        return {"solver": type(value).__name__} | {f.name: identity(getattr(value, f.name)) for f in fields(value)}
    if hasattr(value, "preparation"):  # a generator: the latent vectors depend on its bounds and prior too
        return [value.sha256, value.sample_rate, str(value.bounds), value.prior]
    if hasattr(value, "sha256"):
        return [value.sha256, *([value.taps] if hasattr(value, "taps") else [])]
    return value
