"""Levenberg–Marquardt in a box, for several small dense least-squares problems at once, with few Jacobians.

minimise ½ ‖r(z)‖² over z in [-1, 1]^k, where r has thousands of entries and k is about a hundred. The normal equations
are only k × k, so the step is solved for a whole range of dampings, and all of them are tried in one batch of forward
evaluations: nothing is spent on a rejected step (Levenberg 1944, Marquardt 1963; bounds by an active set, as in Kanzow
et al. 2004). A Jacobian costs k tangents, a gradient about three evaluations. So between two Jacobians there are steps
with a new gradient and the old normal matrix, corrected by how the gradient changes (BFGS), as long as they gain
enough.

The residual is that of a ReLU network: piecewise smooth with pieces far smaller than the way to go, and plain steps
creep from kink to kink. So the Jacobian is that of the residual averaged over normal noise around z, as wide as z is
still expected to be wrong: ‖r‖ / ‖J‖. Near an exact solution the noise goes to zero with the residual; where there is
none it is narrowed as progress ends.
"""

import numpy as np
import tensorflow as tf

from models.recovery.solution import Solution

DAMPINGS = np.float64(10.0) ** np.arange(-3, 3)  # tried around the current damping, as factors
BETWEEN = np.float64(10.0) ** np.arange(-1, 2)  # the same, in a step without a new Jacobian
SMALLEST_DAMPING, LARGEST_DAMPING = 1e-12, 1e6  # relative to the norm of the normal matrix
WIDEST = 0.5  # standard deviation of the noise to begin with; that of the whole box is 0.58
FACTOR = 1.0  # noise relative to the expected error of z, at most
NARROW = 0.05  # a factor below which the noise no longer matters
FAST = 0.2  # share of the objective gained in an iteration, above which the noise is widened
SLOW = 0.02  # and below which it is narrowed
LEAST = 0.2  # curvature along a step, relative to that expected, below which a correction is damped (Powell 1978)
WORTHWHILE = 0.1  # share of the objective that a step without a new Jacobian has to gain, or the next one takes one


def _free(z, gradient, bound):
    """True for each coordinate of z [..., k] that no bound holds: elsewhere descent would leave the box."""
    return (np.abs(z) < bound) | (z * gradient >= 0)


def _solve(normals, rights, dampings, free):
    """Solutions [m, tried, k] of damped normal equations over the free coordinates, 0 in the others.

    normals [m, k, k], rights [m, k], dampings [m, tried], free [m, k]. By TensorFlow, which shares matrices as small as
    these among the processor's cores one by one, where NumPy would share out each.
    """
    both = free[:, :, None] & free[:, None]
    diagonal = np.where(free[:, None], dampings[..., None], 1.0)  # [m, tried, k]
    damped = np.where(both, normals, 0)[:, None] + diagonal[..., None] * np.eye(free.shape[1])
    rights = np.broadcast_to(np.where(free, rights, 0)[:, None, :, None], (*diagonal.shape, 1))
    return tf.linalg.solve(tf.constant(damped), tf.constant(rights)).numpy()[..., 0]


def _corrected(normal, direction, product):
    """The normal matrix changed as BFGS does, so that its product with a direction is `product`."""
    old, curvature = normal @ direction, direction @ product
    expected = direction @ old
    if curvature < LEAST * expected:  # Powell's damping
        share = (1 - LEAST) * expected / max(expected - curvature, 1e-300)
        product = share * product + (1 - share) * old
        curvature = direction @ product
    if expected <= 0:
        return normal
    return normal + np.outer(product, product) / curvature - np.outer(old, old) / expected


class _Problems:
    """Where all problems stand: z [n, k], objective [n], and what each knows for its next step."""

    def __init__(self, problem, z, bound, smoothing):
        self.problem, self.bound = problem, bound
        self.z = np.clip(np.array(z, np.float64), -bound, bound)
        n = len(self.z)
        self.objective = np.full(n, np.inf)
        self.iterations = np.zeros(n, int)
        self.damping = np.full(n, 1e-2)
        self.idle = np.zeros(n, int)  # iterations in a row that gained next to nothing
        self.smoothing = np.full(n, smoothing, np.float64)
        self.factor = np.full(n, FACTOR)
        self.normal = [None] * n
        self.last = [None] * n  # z and the gradient at the step before, with the same normal matrix
        self.size, self.norm = np.ones(n), np.ones(n)  # the trace and the Frobenius norm of each
        self.due = np.ones(n, bool)  # the next step takes a new Jacobian

    def settle(self, index):
        """Measures the problems `index` anew where they may change what they minimise."""
        index = index[self.problem.unsettled(index) | ~np.isfinite(self.objective[index])]
        if not len(index):
            return
        objective = self.problem.settle(self.z[index], index)
        changed = index[objective != self.objective[index]]
        self.objective[index] = objective
        changed = changed[~self.due[changed]]
        if len(changed):
            self.renew(changed)

    def iterate(self, index, new, tolerance):
        """A step of the problems `index`, with new Jacobians or with the old ones."""
        if new:
            self.linearise(index)
        gain = self.step(index, DAMPINGS if new else BETWEEN)
        self.due[index] = gain < (0 if new else WORTHWHILE)
        if new:
            gained_nothing = (gain < tolerance) & (self.factor[index] < NARROW)
            self.idle[index] = np.where(gained_nothing, self.idle[index] + 1, 0)
        self.adjust_noise(index, gain)

    def linearise(self, index):
        """Takes new Jacobians of the problems `index`."""
        self.problem.linearise(self.z[index], index, self.smoothing[index])
        self.iterations[index] += 1
        self.renew(index)

    def renew(self, index):
        """Begins anew with the normal matrices of the last Jacobians."""
        for i, matrix in zip(index, self.problem.normals(index)):
            self.last[i] = None
            self.normal[i], self.size[i] = matrix, max(np.trace(matrix), 1e-300)
            self.norm[i] = np.linalg.norm(matrix)

    def remember(self, index, gradients):
        """Corrects the normal matrices by how the gradients have changed since the step before."""
        for i, gradient in zip(index, gradients):
            if self.last[i]:
                z, before = self.last[i]
                self.normal[i] = _corrected(self.normal[i], self.z[i] - z, gradient - before)
            self.last[i] = self.z[i].copy(), gradient

    def step(self, index, factors):
        """Takes the best of a range of dampings in each problem of `index` → the share of the objective that it
        gained."""
        gradients = self.problem.gradients(self.z[index], index, self.smoothing[index])
        self.remember(index, gradients)
        dampings = np.clip(self.damping[index, None] * factors, SMALLEST_DAMPING, LARGEST_DAMPING)  # [m, tried]
        free = _free(self.z[index], gradients, self.bound)
        absolute = self.norm[index, None] * dampings + 1e-30
        steps = _solve(np.stack([self.normal[i] for i in index]), gradients, absolute, free)
        trials = self.z[index, None] - steps  # [m, tried, k]
        trials = np.clip(trials, -self.bound, self.bound)
        found = self.problem.evaluate(trials.reshape(-1, self.z.shape[1]), np.repeat(index, len(factors)))
        found = found.reshape(len(index), -1)
        found = np.where(np.isfinite(found), found, np.inf)
        rows, best = np.arange(len(index)), found.argmin(axis=1)
        start = self.objective[index]
        better = found[rows, best] < start
        self.objective[index] = np.where(better, found[rows, best], start)
        self.z[index[better]] = trials[rows, best][better]
        self.damping[index] = np.where(better, dampings[rows, best], np.minimum(dampings[:, -1], LARGEST_DAMPING))
        return np.where(better, 1 - self.objective[index] / np.maximum(start, 1e-300), 0.0)

    def finish(self, index):
        """Steps of the problems `index` without noise and without new Jacobians, until they gain little: this close to
        an exact solution each costs some forward passes and takes the error down, to what rounding leaves."""
        self.smoothing[index] = 0
        while len(index):
            index = index[self.step(index, BETWEEN) > WORTHWHILE]

    def adjust_noise(self, index, gain):
        """Makes the noise as wide as the error that is expected of z; a smaller share of it where progress ends."""
        factor = np.where(gain > FAST, 2.0, np.where(gain < SLOW, 0.4, 1.0)) * self.factor[index]
        self.factor[index] = np.minimum(factor, FACTOR)
        expected = self.factor[index] * np.sqrt(2 * self.objective[index] / self.size[index])
        self.smoothing[index] = np.where(self.factor[index] < NARROW, 0, np.minimum(WIDEST, expected))


def minimise(
    problem,
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

    problem: models.recovery.residual.Residual, or what has its methods `evaluate`, `unsettled`, `settle`, `linearise`,
    `normals` and `gradients`. max_iter: Jacobians at most. tolerance: a problem ends when two iterations in a row
    with new Jacobians, without noise, each gain less than this share. target: a problem whose objective falls below
    this, a number or one for each problem, takes no more Jacobians and ends when steps without one gain little.
    report(active): called after each iteration. smoothing: at the first iteration, about the error that z begins
    with. least_fall, above: a problem whose objective is above `above` is given up when it would take its third
    Jacobian or a later one, and is less than the share `least_fall` below where it was two Jacobians before.
    Returns a Solution, whose objective is ½‖r‖² and whose iterations are Jacobians.
    """
    target = np.broadcast_to(target, len(z))
    state, active = _Problems(problem, z, bound, smoothing), np.arange(len(z))
    earlier = np.full((len(z), 3), np.inf)  # objectives at the last three Jacobians
    while len(active):
        state.settle(active)
        fresh = active[state.due[active]]
        hopeless = (state.objective[fresh] > above) & (state.objective[fresh] >= (1 - least_fall) * earlier[fresh, 1])
        over = state.iterations[fresh] >= max_iter
        if least_fall:
            over |= hopeless
        active, fresh = np.setdiff1d(active, fresh[over]), fresh[~over]
        earlier[fresh] = np.column_stack([earlier[fresh, 1:], state.objective[fresh]])
        for index, new in ((fresh, True), (active[~state.due[active]], False)):
            if len(index):
                state.iterate(index, new, tolerance)
        active = active[(state.idle[active] < 2) & (state.objective[active] > target[active])]
        if report:
            report(active)
    state.finish(np.flatnonzero((state.objective <= target) & (state.iterations > 0)))
    return Solution(state.z, state.objective, state.iterations)
