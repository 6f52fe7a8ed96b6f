"""Levenberg–Marquardt in a box, for several small dense least-squares problems at once, with few Jacobians.

minimise ½ ‖r(z)‖² over z in a box of k coordinates, where r has thousands of entries and k is about a hundred. The
normal equations are only k × k, so the step is solved for a whole range of dampings, and all of them are tried in one
batch of forward evaluations: nothing is spent on a rejected step (Levenberg 1944, Marquardt 1963; bounds by an active
set, as in Kanzow et al. 2004). A Jacobian costs k tangents, a gradient about three evaluations. So behind each
Jacobian come some steps with a new gradient and the old normal matrix, corrected by how the gradient changes (BFGS).

The residual is that of a ReLU network: piecewise smooth with pieces far smaller than the way to go, and plain steps
creep from kink to kink or end in a minimum that is none of the smooth shape. So residual and Jacobian are averaged
over normal noise around z, as wide in every direction as z is still expected to be wrong: the posterior of a Gaussian
prior and the last normal matrix, (JᵀJ / σ² + prior⁻¹)⁻¹, with σ² such that this noise explains a share of what remains
of the residual. Directions that the waveform determines are soon narrow, the others stay as wide as the prior
(García-Fernández et al. 2015, posterior linearisation). Near an exact solution the noise goes to zero with the
residual; where there is none it is narrowed as progress ends.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

DAMPINGS = np.float64(10.0) ** np.arange(-2, 2)  # tried around the current damping, as factors
BETWEEN = np.float64(10.0) ** np.arange(-1, 1)  # the same, in a step without a new Jacobian
SMALLEST_DAMPING, LARGEST_DAMPING = 1e-12, 1e6  # relative to the norm of the normal matrix
SHARE = 0.3  # of the residual's energy, that the noise explains to first order; its curvature explains more
BELOW = 0.3  # exponent of how far the averaged objective is below the plain one: so much less the noise explains
MOST = 0.5  # share of the prior's energy that the noise has at most, so that σ² is finite
PULL = 0.1  # towards the prior's mean, as a share of what the posterior has; it vanishes with the residual
STEPS = 3  # behind each Jacobian, at most, the first among them
FAST = 0.2  # share of the objective gained with a Jacobian, above which the noise is widened again
SLOW = 0.1  # and below which it is narrowed
SETTLED = 0.01  # change of the objective, either way, below which it is narrowed at once
NARROW = 0.05  # share of its usual energy below which the noise no longer matters
LEAST = 0.2  # curvature along a step, relative to that expected, below which a correction is damped (Powell 1978)
IDLE = 2  # iterations in a row that gain too little, after which a problem ends
FINE = 1e-3  # objective, 27 dB, below which a problem that has settled is at its end: what remains is noise, or a kink
WORTHWHILE = 0.1  # share of the objective that a step without a new Jacobian has to gain, or no other follows
HALVINGS = 60  # of the interval of log σ²: to rounding
FIXED = 1e-6  # deviation of a coordinate whose bounds coincide


@dataclass
class Descent:
    """z [n, k], objective ½‖r‖² [n], the same averaged over the noise at the last step [n], iterations [n], which are
    Jacobians, and the normal matrices of the last Jacobians [n, k, k].
    """

    z: np.ndarray
    objective: np.ndarray
    averaged: np.ndarray
    iterations: np.ndarray
    normal: np.ndarray


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


def posterior(normals, energies, deviations):
    """How far z may still be wrong: σ² [m] and the factors of a covariance, directions [m, k, k] and their inverse
    transposes.

    The covariance is (normals / σ² + diag(deviations)⁻²)⁻¹ and the sum over its directions, the rows, of dᵀd. σ² is
    such that the residual's change along a random error has the energy `energies` [m], or the share MOST of what the
    prior's has, if that is less. deviations [m, k]: the prior's.
    """
    scaled = normals * deviations[:, :, None] * deviations[:, None]
    power, vectors = np.linalg.eigh(scaled)
    power = np.maximum(power, 0)
    energies = np.minimum(energies, MOST * power.sum(axis=1))
    low, high = np.full(len(power), -60.0), np.full(len(power), 20.0)  # of log10 σ²
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        variance = 10 ** middle[:, None]
        below = (variance * power / (power + variance)).sum(axis=1) < energies
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    variance = 10 ** low[:, None]
    widths = np.sqrt(variance / (power + variance))
    factors = (vectors * deviations[:, :, None]).swapaxes(1, 2)
    inverses = (vectors / deviations[:, :, None]).swapaxes(1, 2)
    return variance[:, 0], factors * widths[..., None], inverses / widths[..., None]


class _Problems:
    """Where all problems stand: z [n, k] and its objective [n], the best of each so far, and what each knows for its
    next step.
    """

    def __init__(self, problem, z, lower, upper, deviation, smoothing):
        self.problem = problem
        self.lower, self.upper = (np.broadcast_to(bound, z.shape).astype(np.float64) for bound in (lower, upper))
        self.z = np.clip(np.array(z, np.float64), self.lower, self.upper)
        (n, k), held = self.z.shape, self.lower == self.upper
        bounded = np.isfinite(self.lower) & np.isfinite(self.upper)
        with np.errstate(invalid="ignore"):
            self.centre = np.where(bounded, (self.lower + self.upper) / 2, 0.0)
        self.deviation = np.where(held, FIXED, np.broadcast_to(deviation, z.shape))
        begin = np.minimum(self.deviation, smoothing)
        self.directions, self.inverses = (a[:, None] * np.eye(k) for a in (begin, 1 / begin))
        self.noisy = np.ones(n, bool)
        self.objective, self.lowest, self.best = np.full(n, np.inf), np.full(n, np.inf), self.z.copy()
        self.iterations, self.idle = np.zeros(n, int), np.zeros(n, int)
        self.damping, self.factor, self.variance = np.full(n, 1e-2), np.ones(n), np.zeros(n)
        # objectives after the last steps, averaged over the noise, with the pull
        self.averaged = np.full(n, np.inf)
        self.normal, self.jacobian = np.zeros((n, k, k)), np.zeros((n, k, k))  # corrected between Jacobians, and not

    def settle(self, index):
        """Measures the problems `index` anew where they may change what they minimise."""
        index = index[self.problem.unsettled(index) | ~np.isfinite(self.objective[index])]
        if len(index):
            objective = self.problem.settle(self.z[index], index)
            changed = objective != self.objective[index]
            self.objective[index] = objective
            index = index[changed]
            self.lowest[index], self.best[index] = self.objective[index], self.z[index]

    def iterate(self, index, tolerance):
        """A new Jacobian and some steps of the problems `index`."""
        self.problem.linearise(self.z[index], index, self.noisy[index].astype(np.float32), self.directions[index])
        self.iterations[index] += 1
        inverses = self.inverses[index]
        self.normal[index] = np.einsum(
            "nia,nij,njb->nab", inverses, self.problem.normals(index), inverses, optimize=True
        )
        self.jacobian[index] = self.normal[index]
        if (first := index[self.iterations[index] == 1]).size:
            self.variance[first] = self._posterior(first)[0]
        moved = self.steps(index, DAMPINGS, STEPS)
        before, here = self.lowest[index], self.objective[index]
        self.look(index)
        gain = 1 - self.lowest[index] / np.maximum(before, 1e-300)
        idle = ((gain < tolerance) & ~self.noisy[index]) | ((gain <= 0) & ~moved)
        self.idle[index] = np.where(idle, self.idle[index] + 1, 0)
        settled = np.abs(self.objective[index] - here) < SETTLED * here
        self.idle[index[settled & (self.lowest[index] < FINE)]] = IDLE
        change = np.where(settled, 0.05, np.where(gain < SLOW, 0.4, 1.0))
        factor = np.where(gain > FAST, 2.0, change) * self.factor[index]
        self.factor[index] = np.minimum(factor, 1.0)
        self.noisy[index] = self.factor[index] >= NARROW**2
        quiet = index[~self.noisy[index]]
        self.z[quiet], self.objective[quiet] = self.best[quiet], self.lowest[quiet]
        self.variance[index], self.directions[index], self.inverses[index] = self._posterior(index)

    def _posterior(self, index):
        plain = np.maximum(self.objective[index], 1e-30)
        below = np.clip(self.averaged[index] / plain, 1e-6, 1.0) ** BELOW
        energy = 2 * SHARE * self.factor[index] * below * plain
        return posterior(self.normal[index], np.maximum(energy, 1e-30), self.deviation[index])

    def look(self, index):
        """Measures the problems `index` and remembers the best."""
        self.objective[index] = self.problem.evaluate(self.z[index], index)
        better = index[self.objective[index] < self.lowest[index]]
        self.lowest[better], self.best[better] = self.objective[better], self.z[better]

    def _pulls(self, index, z):
        """The prior's part of the averaged objective at z [m, tried, k], and its slopes and curvatures [m, 1, k]."""
        curvature = (PULL * self.variance[index] * self.noisy[index])[:, None] / self.deviation[index] ** 2
        curvature = np.where(self.deviation[index] > FIXED, curvature, 0)[:, None]
        away = z - self.centre[index, None]
        return 0.5 * (curvature * away**2).sum(axis=2), curvature * away, curvature

    def steps(self, index, factors, count):
        """Takes steps of the problems `index` with the last Jacobian, each the best of a range of dampings by the
        averaged objective, as long as they are worthwhile, `count` at most → whether each has moved.
        """
        moved, everything = np.zeros(len(self.z), bool), index
        value = np.full(len(self.z), np.inf)
        last = {}  # z and the gradient at the step before
        for number in range(count):
            z = self.z[index]
            gradients = self.problem.gradients(z, index)
            pull, slope, curvature = self._pulls(index, z[:, None])
            for i, gradient in zip(index, gradients):
                if i in last:
                    self.normal[i] = _corrected(self.normal[i], self.z[i] - last[i][0], gradient - last[i][1])
                last[i] = self.z[i].copy(), gradient
            if not number:
                value[index] = self.problem.averaged(z, index) + pull[:, 0]
            gradients = gradients + slope[:, 0]
            normals = self.normal[index] + curvature * np.eye(z.shape[1])
            inside = (z > self.lower[index]) & (z < self.upper[index])
            outward = np.where(gradients < 0, z >= self.upper[index], z <= self.lower[index])
            free = (inside | ~outward) & (self.lower[index] < self.upper[index])
            dampings = np.clip(self.damping[index, None] * factors, SMALLEST_DAMPING, LARGEST_DAMPING)  # [m, tried]
            absolute = np.linalg.norm(normals, axis=(1, 2))[:, None] * dampings + 1e-30
            steps = _solve(normals, gradients, absolute, free)
            trials = np.clip(z[:, None] - steps, self.lower[index, None], self.upper[index, None])  # [m, tried, k]
            tried = self.problem.averaged(trials.reshape(-1, z.shape[1]), np.repeat(index, len(factors)))
            tried = tried.reshape(len(index), -1) + self._pulls(index, trials)[0]
            tried = np.where(np.isfinite(tried), tried, np.inf)
            rows, best = np.arange(len(index)), tried.argmin(axis=1)
            better = tried[rows, best] < value[index]
            gain = np.where(better, 1 - tried[rows, best] / np.maximum(value[index], 1e-300), 0.0)
            value[index] = np.where(better, tried[rows, best], value[index])
            self.z[index[better]] = trials[rows, best][better]
            self.damping[index] = np.where(better, dampings[rows, best], np.minimum(dampings[:, -1], LARGEST_DAMPING))
            moved[index] |= better
            index, factors = index[gain > WORTHWHILE], BETWEEN
            if not len(index):
                break
        self.averaged[everything] = value[everything]
        return moved[everything]

    def finish(self, index):
        """Steps of the problems `index` without noise and without new Jacobians, until they gain little: this close to
        an exact solution each costs some forward passes and takes the error down, to what rounding leaves."""
        if len(index):
            self.z[index], self.noisy[index] = self.best[index], False
            self.problem.quieten(index)
            self.steps(index, BETWEEN, 100)
            self.look(index)


def minimise(
    problem,
    z,
    *,
    max_iter=100,
    lower=-1.0,
    upper=1.0,
    deviation=3**-0.5,
    tolerance=1e-3,
    target=0.0,
    smoothing=np.inf,
    report=None,
    least_fall=0.0,
    above=0.0,
    patient_below=0.0,
    hopeless=np.inf,
):
    """Descends from z [n, k], all problems side by side; each one stops by itself.

    problem: models.recovery.residual.Residual, or what has its methods `evaluate`, `unsettled`, `settle`, `linearise`,
    `normals`, `gradients`, `averaged` and `quieten`. max_iter: Jacobians at most, a number or one for each problem.
    lower, upper: the box, numbers or arrays that broadcast to z, infinite where a coordinate has no bound, equal where
    it is held. deviation: of the prior, the same. tolerance: a problem ends when two iterations in a row without noise
    each gain less than this share. target: a problem whose objective falls below this, a number or one for each
    problem, takes no more Jacobians and ends when steps without one gain little. report(active): called after each
    iteration. smoothing: deviation of the noise at the first iteration, a number or [n, 1], about the error that z
    begins with; that of the prior if it is smaller.
    least_fall, above: a problem whose objective is above `above` is given up when it would take its third Jacobian or a
    later one, and is less than the share `least_fall` below where it was two Jacobians before; where it is below
    `patient_below` averaged over the noise, only if this is true of the average, too. hopeless: it is given up
    after the first Jacobian where its objective is above `above`, and above this when it is averaged over the noise.
    Returns a Descent.
    """
    target, longest = np.broadcast_to(target, len(z)), np.broadcast_to(max_iter, len(z))
    state, active = _Problems(problem, z, lower, upper, deviation, smoothing), np.arange(len(z))
    earlier = np.full((2, len(z), 2), np.inf)  # objectives, and averaged ones, at the last two Jacobians
    while len(active):
        state.settle(active)
        over = state.iterations[active] >= longest[active]
        lowest = state.lowest[active]
        over |= (lowest > above) & (state.iterations[active] == 1) & (state.averaged[active] > hopeless)
        now = np.stack([lowest, state.averaged[active]])
        if least_fall:
            stays, stays_averaged = now >= (1 - least_fall) * earlier[:, active, 0]
            over |= (lowest > above) & stays & (stays_averaged | (now[1] > patient_below))
        earlier[:, active] = np.stack([earlier[:, active, 1], now], axis=2)
        active = active[~over]
        if len(active):
            state.iterate(active, tolerance)
        active = active[(state.idle[active] < IDLE) & (state.lowest[active] > target[active])]
        if report:
            report(active)
    state.finish(np.flatnonzero((state.lowest <= target) & (state.iterations > 0)))
    return Descent(state.best, state.lowest, state.averaged, state.iterations, state.jacobian)
