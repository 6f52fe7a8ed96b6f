"""The solvers of recovery, on problems whose answer is known and on tiny generators."""

import json

import numpy as np
import pytest
import scipy.optimize
import tensorflow as tf

from models.generator.generator import random_latent
from models.metrics.metrics import condition_number, latent_mse
from models.recovery.exact import FARTHEST, LevenbergMarquardt, hop
from models.recovery.layer import Layer
from models.recovery.lbfgsb import LBFGSB, PublishedObjective, SideBySide
from models.recovery.levenberg_marquardt import minimise
from models.recovery.perceptual import Perceptual
from models.recovery.recover import recover
from models.recovery.residual import Residual
from models.recovery.solution import identity


class Linear:
    """The linear least-squares problem matrix @ z = right, for `minimise`; it counts what is asked of it."""

    def __init__(self, matrix, right):
        self.matrix, self.right = matrix, right
        self.jacobians = self.gradients_taken = 0

    def unsettled(self, index):
        return np.zeros(len(index), bool)

    def settle(self, z, index):
        return self.evaluate(z, index)

    def evaluate(self, z, index):
        return 0.5 * ((z @ self.matrix.T - self.right) ** 2).sum(axis=1)

    def linearise(self, z, index, smoothing):
        self.jacobians += len(index)

    def normals(self, index):
        return np.repeat((self.matrix.T @ self.matrix)[None], len(index), axis=0)

    def gradients(self, z, index, smoothing):
        self.gradients_taken += len(index)
        return (z @ self.matrix.T - self.right) @ self.matrix


class Bent(Linear):
    """The same with a residual that bends: tanh(matrix @ z) = right, whose Jacobian changes with z."""

    def evaluate(self, z, index):
        return 0.5 * ((np.tanh(z @ self.matrix.T) - self.right) ** 2).sum(axis=1)

    def linearise(self, z, index, smoothing):
        super().linearise(z, index, smoothing)
        slopes = 1 - np.tanh(z @ self.matrix.T) ** 2
        found = np.einsum("sk,ns,sl->nkl", self.matrix, slopes**2, self.matrix)
        self.kept = getattr(self, "kept", {}) | dict(zip(index.tolist(), found))

    def normals(self, index):
        return np.stack([self.kept[i] for i in index])

    def gradients(self, z, index, smoothing):
        self.gradients_taken += len(index)
        value = np.tanh(z @ self.matrix.T)
        return ((value - self.right) * (1 - value**2)) @ self.matrix


def test_levenberg_marquardt_solves_a_linear_problem_in_the_box():
    from scipy.optimize import lsq_linear

    rng = np.random.default_rng(0)
    matrix, inside, outside = rng.normal(size=(30, 6)), rng.uniform(-0.9, 0.9, 6), rng.uniform(-3, 3, 6)
    for true in (inside, outside):
        expected = lsq_linear(matrix, matrix @ true, (-1, 1), tol=1e-14)
        found = minimise(Linear(matrix, matrix @ true), np.zeros((2, 6)), max_iter=60)
        assert np.abs(found.z - expected.x).max() < 1e-4 and np.abs(found.z).max() <= 1
        assert found.objective[0] == pytest.approx(expected.cost, rel=1e-4, abs=1e-8)


def test_most_steps_take_no_new_jacobian():
    rng = np.random.default_rng(1)
    matrix, true = rng.normal(size=(40, 6)) / 4, rng.uniform(-0.9, 0.9, (5, 6))
    problem = Bent(matrix, None)
    for one in true:  # each by itself: the right sides differ
        problem.right = np.tanh(matrix @ one)
        found = minimise(problem, np.zeros((1, 6)), max_iter=60, target=1e-20)
        assert np.abs(found.z[0] - one).max() < 1e-6
    assert problem.jacobians < problem.gradients_taken / 2


def test_a_residual_of_exactly_zero_ends_the_descent():
    class Counted(Linear):
        def gradients(self, z, index, smoothing):
            assert self.gradients_taken < 100
            return super().gradients(z, index, smoothing)

    found = minimise(Counted(np.eye(3), np.zeros(3)), np.zeros((2, 3)))
    assert not found.objective.any() and not found.z.any()


@pytest.mark.parametrize("spectral", [0.0, 0.5])
def test_the_residuals_gradient_is_that_of_its_objective(generator, spectral):
    z = random_latent(generator, 2, 1)
    problem = Residual(generator, generator(random_latent(generator, 2, 2)), spectral)
    problem.linearise(z, np.arange(2), np.zeros(2))
    gradient, normal = problem.gradients(z, np.arange(2), np.zeros(2)), problem.normals(np.arange(2))
    step = 1e-3 * np.sign(gradient)
    change = problem.evaluate(z + step, np.arange(2)) - problem.evaluate(z - step, np.arange(2))
    assert np.allclose((gradient * step).sum(axis=1), change / 2, rtol=0.02)
    assert (np.linalg.eigvalsh(normal) > -1e-9).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_averaged_gradients_are_those_of_the_averaged_jacobian(generator, smoothing):
    z, targets = random_latent(generator, 3, 1), generator(random_latent(generator, 3, 2)).numpy().reshape(3, -1)
    noise, index = np.full(3, smoothing, np.float32), np.arange(3)
    problem = Residual(generator, targets)
    problem.linearise(z, index, noise)
    waveform, jacobian, _ = (np.asarray(a, np.float64) for a in (*generator.jacobian(z, noise)[:2], 0))
    energy = (targets.astype(np.float64) ** 2).sum(axis=1)[:, None]
    terms = jacobian * ((waveform - targets) / energy)[:, None]
    rounding = 1000 * np.finfo(np.float32).eps * np.sqrt((terms**2).sum(axis=2))  # a sum of 16,384, layer by layer
    assert (np.abs(problem.gradients(z, index, noise) - terms.sum(axis=2)) < rounding).all()
    assert (np.abs(terms.sum(axis=2)) > rounding).mean() > 0.9  # so that a wrong one would show


def test_levenberg_marquardt_recovers_synthesized_clips_exactly(generator):
    true = random_latent(generator, 12, 3)
    assert (condition_number(generator, true) < 1e4).all()
    found = recover(generator(true), generator, solver=LevenbergMarquardt(60, 3))
    assert (latent_mse(true, found.z) < 1e-8).all() and (found.snr_db > 80).all()
    assert (np.abs(found.z) <= 1).all() and found.iterations.shape == (12,)


def test_l_bfgs_b_is_the_published_objective(generator):
    true = random_latent(generator, 1, 4)
    target, other = generator(true).numpy(), random_latent(generator, 1, 5)
    published = PublishedObjective(generator)
    (objective,), (gradient,) = published.values_and_gradients(other, published.originals(target))
    wave, sound = generator(other).numpy()[0, :, 0], target[0, :, 0]
    real = [tf.math.real(tf.signal.stft(a, 256, 128, pad_end=True)).numpy() for a in (wave, sound)]
    assert objective == pytest.approx(np.abs(wave - sound).mean() + np.abs(real[0] - real[1]).mean(), rel=1e-5)
    assert gradient.shape == (8,)
    found = recover(target, generator, solver=LBFGSB(max_iter=200), start=true + 0.05)
    assert found.snr_db[0] > 20 and found.objective[0] < objective


def rosenbrock(z, scale):
    """Values [m] and gradients [m, 2] of Rosenbrock's functions, each with its own scale [m]."""
    x, y = z.T
    bend = y - x**2
    return (1 - x) ** 2 + scale * bend**2, np.stack([-2 * (1 - x) - 4 * scale * bend * x, 2 * scale * bend], axis=1)


def test_descents_side_by_side_are_those_one_by_one():
    starts, scales = np.random.default_rng(0).uniform(-2, 2, (7, 2)), np.logspace(0, 3, 7)

    def descend(function, start):
        return scipy.optimize.minimize(function, start, method="L-BFGS-B", jac=True, tol=1e-8)

    alone = []
    for start, scale in zip(starts, scales):
        alone.append(descend(lambda z, s=scale: [a[0] for a in rosenbrock(z[None], np.array([s]))], start))
    assert len({found.nfev for found in alone}) > 1  # they end at different times
    for order in (np.arange(7), np.arange(7)[::-1]):
        left, sizes = [], []

        def batch(z, index, order=order, sizes=sizes):
            sizes.append(len(z))
            return rosenbrock(z, scales[order][index])

        found = SideBySide(batch).run(descend, starts[order], left.append)
        for i, result in zip(order, found):
            assert (result.x == alone[i].x).all() and result.nfev == alone[i].nfev
        assert len(sizes) == max(result.nfev for result in alone) and left == sorted(left, reverse=True)
        assert sizes[0] == 7 and sum(sizes) == sum(result.nfev for result in alone) and left[-1] == 0


def test_an_error_in_a_batch_ends_the_descents():
    def fails(z, index):
        raise MemoryError("no room")

    with pytest.raises(MemoryError):
        SideBySide(fails).run(lambda function, start: function(start), np.zeros((3, 2)), None)


def test_a_clips_published_objective_does_not_depend_on_its_place(generator):
    targets, z = generator(random_latent(generator, 5, 4)).numpy(), random_latent(generator, 5, 5)
    published, rounding = PublishedObjective(generator), 100 * float(np.finfo(np.float32).eps)  # of means over 16,384
    values, gradients = published.values_and_gradients(z, published.originals(targets))
    for i in range(5):
        (value,), (gradient,) = published.values_and_gradients(z[i : i + 1], published.originals(targets[i : i + 1]))
        assert value == pytest.approx(values[i], rel=rounding)
        assert min(abs(np.delete(values, i) - value)) > 10 * rounding * value  # another clip's would show
        # where a difference is all rounding its sign may fall otherwise: a few of 16,384
        assert np.abs(gradient - gradients[i]).max() < 1e-2 * np.abs(gradients[i]).max()


def test_the_perceptual_term_joins_the_published_objective(generator):
    from models.networks.classifier import PerceptualLoss, build_classifier

    heard = PerceptualLoss(build_classifier(width=2))
    target, z = generator(random_latent(generator, 1, 4)).numpy(), random_latent(generator, 1, 5)
    objective = {}
    for weight, loss in ((0, None), (0.5, heard)):
        published = PublishedObjective(generator, loss, weight)
        (objective[weight],), gradient = published.values_and_gradients(z, published.originals(target))
    term = float(heard(target[..., 0], generator(z)[..., 0])[0])
    assert (
        term > 0
        and objective[0.5] == pytest.approx(objective[0] + 0.5 * term, rel=1e-5)
        and np.isfinite(gradient).all()
    )


def test_a_start_is_used_and_misshapen_targets_are_refused(generator):
    true = random_latent(generator, 1, 6)
    assert recover(generator(true), generator, solver=LevenbergMarquardt(), start=true).iterations[0] <= 2
    with pytest.raises(ValueError, match="samples"):
        recover(np.zeros((1, 100)), generator)
    with pytest.raises(ValueError, match="the start is the answer"):
        recover(generator(true), generator)


def test_a_solvers_identity_is_its_fields_and_its_networks_hashes():
    from models.networks.classifier import PerceptualLoss, build_classifier

    losses = [PerceptualLoss(build_classifier(width=2), taps) for taps in ("blocks", "stage2")]
    solvers = [Layer(Perceptual(loss, exact=LevenbergMarquardt(n))) for loss in losses for n in (3, 4)]
    solvers += [LevenbergMarquardt(3), LBFGSB(3), None]
    texts = [json.dumps(identity(solver), sort_keys=True) for solver in solvers]
    assert len(set(texts)) == len(texts)
    assert losses[0].sha256 in texts[0] and texts[0] == json.dumps(identity(solvers[0]), sort_keys=True)


def test_a_hop_changes_the_waveform_by_as_much_as_is_left_of_the_residual(generator):
    z, index = 0.8 * random_latent(generator, 3, 21), np.arange(3)
    true = z + 1e-3 * random_latent(generator, 3, 22)
    problem = Residual(generator, generator(true))
    left = 2 * problem.evaluate(z, index)
    drawn = np.full(z.shape, 1 / np.sqrt(3))  # of the same size in every direction
    step = hop(problem, z, drawn) - z
    change = np.einsum("nk,nkl,nl->n", step, problem.normals(index), step)
    assert change == pytest.approx(left, rel=1e-3)
    assert np.abs(hop(problem, z, 1e6 * drawn)).max() == 1
    far = 0.8 * random_latent(generator, 3, 23)  # where the residual would allow any step
    assert np.linalg.norm(hop(problem, far, drawn) - far, axis=1).max() <= FARTHEST * np.sqrt(z.shape[1]) + 1e-6
