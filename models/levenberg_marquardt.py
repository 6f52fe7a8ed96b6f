"""Levenberg–Marquardt in a box, for several small dense least-squares problems at once.

minimise ½ ‖r(z)‖² over z in [-1, 1]^k, where r has thousands of entries and k is about a hundred. Each iteration pays
for one Jacobian; because the normal equations are only k × k, the step is solved for a whole range of dampings and all
of them are tried in one batch of forward evaluations, so no Jacobian is ever spent on a rejected step (Levenberg 1944,
Marquardt 1963; bounds by an active set, as in Kanzow et al. 2004).

The residual is that of a ReLU network: piecewise smooth with pieces far smaller than the way to go, and plain steps
creep from kink to kink. So the Jacobian is that of the residual averaged over normal noise around z, as wide as z is
still expected to be wrong: ‖r‖ / ‖J‖. Near an exact solution the noise goes to zero with the residual, and the
convergence is quadratic again; where there is none it is narrowed as progress ends.
"""

from dataclasses import dataclass

import numpy as np

DAMPINGS = np.float64(10.0) ** np.arange(-3, 3)  # tried around the current damping, as factors
SMALLEST_DAMPING, LARGEST_DAMPING = 1e-12, 1e6  # relative to the largest eigenvalue of the normal equations
WIDEST = 0.5  # standard deviation of the noise to begin with; that of the whole box is 0.58
FACTOR = 1.0  # noise relative to the expected error of z, at most
NARROW = 0.05  # a factor below which the noise no longer matters
FAST = 0.2  # share of the objective gained in an iteration, above which the noise is widened
SLOW = 0.02  # and below which it is narrowed


@dataclass
class Solution:
    """Where a descent ended: z [n, k], objective ½‖r‖² [n], iterations [n] (Jacobians that each problem used)."""

    z: np.ndarray
    objective: np.ndarray
    iterations: np.ndarray


def _steps(z, normal, gradient, damping, bound):
    """Trial points [dampings, k] of one problem: damped Gauss–Newton steps over the coordinates that no bound holds,
    clipped to the box.
    """
    held = (np.abs(z) >= bound) & (z * gradient < 0)  # descent would leave the box there
    free = ~held
    trials = np.repeat(z[None], len(damping), axis=0)
    if free.any():
        values, vectors = np.linalg.eigh(normal[np.ix_(free, free)])
        values = np.maximum(values, 0)
        shrink = values[-1] * damping[:, None] + values + 1e-30  # [dampings, free]
        trials[:, free] -= (vectors.T @ gradient[free] / shrink) @ vectors.T
    return np.clip(trials, -bound, bound)


class _Problems:
    """Where all problems stand: z [n, k], objective [n], and what each knows for its next step."""

    def __init__(self, z, bound, smoothing):
        self.z = np.clip(np.array(z, np.float64), -bound, bound)
        n = len(self.z)
        self.bound = bound
        self.objective = np.full(n, np.inf)
        self.iterations = np.zeros(n, int)
        self.damping = np.full(n, 1e-2)
        self.idle = np.zeros(n, int)  # iterations in a row that gained next to nothing
        self.smoothing = np.full(n, smoothing, np.float64)
        self.factor = np.full(n, FACTOR)

    def step(self, active, evaluate, start, gradients, normals):
        """Takes the best of a range of dampings in each active problem → the share of the objective that it gained."""
        dampings = np.clip(self.damping[active, None] * DAMPINGS, SMALLEST_DAMPING, LARGEST_DAMPING)  # [active, tried]
        trials = [_steps(self.z[i], normals[a], gradients[a], dampings[a], self.bound) for a, i in enumerate(active)]
        trials = np.stack(trials)  # [active, tried, k]
        found = evaluate(trials.reshape(-1, self.z.shape[1]), np.repeat(active, len(DAMPINGS)))
        found = found.reshape(len(active), -1)
        found = np.where(np.isfinite(found), found, np.inf)
        rows, best = np.arange(len(active)), found.argmin(axis=1)
        better = found[rows, best] < start
        self.objective[active] = np.where(better, found[rows, best], start)
        self.z[active[better]] = trials[rows, best][better]
        self.damping[active] = np.where(better, dampings[rows, best], np.minimum(dampings[:, -1], LARGEST_DAMPING))
        self.iterations[active] += 1
        return 1 - self.objective[active] / np.maximum(start, 1e-300)

    def adjust_noise(self, active, gain, normals, tolerance):
        """Widens the noise where progress is fast and narrows it where it ends; counts iterations without any."""
        gained_nothing = (gain < tolerance) & (self.factor[active] < NARROW)
        self.idle[active] = np.where(gained_nothing, self.idle[active] + 1, 0)
        widened = np.where(gain > FAST, 2.0, np.where(gain < SLOW, 0.4, 1.0)) * self.factor[active]
        self.factor[active] = np.minimum(widened, FACTOR)
        size = np.maximum(np.trace(normals, axis1=1, axis2=2), 1e-300)
        expected = self.factor[active] * np.sqrt(2 * self.objective[active] / size)
        self.smoothing[active] = np.where(self.factor[active] < NARROW, 0, np.minimum(WIDEST, expected))


def minimise(
    evaluate,
    linearise,
    z,
    *,
    max_iter=100,
    bound=1.0,
    tolerance=1e-3,
    target=0.0,
    smoothing=WIDEST,
    report=None,
    least_fall=0.0,
    above=0.0,
):
    """Descends from z [n, k], all problems side by side; each one stops by itself.

    evaluate(z [m, k], index [m]) → objectives [m] of problems `index` at z. linearise(z [m, k], index [m], smoothing
    [m]) → objectives [m], gradients Jᵀr [m, k], normal matrices JᵀJ [m, k, k], in float64, where J is averaged over
    normal noise of standard deviation `smoothing` around z. max_iter: Jacobians at most. tolerance: a problem ends when
    two iterations in a row, without noise, each gain less than this share. target: a problem ends at an objective below
    this, a number or one for each problem. report(active): called after each iteration. smoothing: at the first
    iteration, about the error that z begins with. least_fall, above: a problem whose objective is above `above` is
    given up when an iteration after the third leaves it less than the share `least_fall` below what it was two
    iterations before. Returns a Solution.
    """
    target = np.broadcast_to(target, len(z))
    state = _Problems(z, bound, smoothing)
    active, earlier = np.arange(len(z)), []
    for iteration in range(max_iter):
        linear = linearise(state.z[active], active, state.smoothing[active])
        gain = state.step(active, evaluate, *linear)
        state.adjust_noise(active, gain, linear[2], tolerance)
        objective = state.objective[active]
        earlier.append(state.objective.copy())
        going_on = (state.idle[active] < 2) & (objective > target[active])
        if least_fall and iteration >= 2:
            going_on &= (objective <= above) | (objective < (1 - least_fall) * earlier[-3][active])
        active = active[going_on]
        if report:
            report(active)
        if not len(active):
            break
    return Solution(state.z, state.objective, state.iterations)
