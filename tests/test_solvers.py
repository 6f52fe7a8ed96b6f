"""The solvers of recovery, on problems whose answer is known and on tiny generators."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from common.store import depends_on
from models.audio.clip import Clip
from models.generator.generator import Generator, random_latent
from models.metrics.metrics import condition_number, latent_mse
from models.recovery import attempts, descents
from models.recovery.alignment import centred, moved, recorded
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.descents import Standing, descend, from_elsewhere, placed, under_weights, unsettled
from models.recovery.errors import NOISY
from models.recovery.layer import Layer
from models.recovery.least_squares import minimise, posterior
from models.recovery.perceptual import Perceptual
from models.recovery.problem import Alignment, Problem, solve_all
from models.recovery.published import LBFGSB, PublishedObjective
from models.recovery.recover import recover, recovered_clips
from models.recovery.residual import Residual


def solve(solver, targets, generator, start=None, **known):
    """The Answers of a solver to targets [n, …]. start: latent vectors [n, latent_dim]. known: fields of Problems."""
    start = [None] * len(targets) if start is None else start
    targets = np.asarray(targets, np.float32)
    return solve_all(solver, [Problem(one, generator, begin, **known) for one, begin in zip(targets, start)])


def standings_of(targets, generator, z):
    """Where clips stand that nothing is known of but latent vectors z [n, latent_dim], measured."""
    targets = np.asarray(targets, np.float32)
    objectives = Residual(generator, targets).evaluate(z, np.arange(len(z)))
    standings = []
    for target, one, objective in zip(targets, z, objectives):
        fit = replace(placed(Problem(target, generator), one, Alignment(), False), objective=objective)
        standings.append(Standing(Problem(target, generator, one), fit))
    return standings


OPTIONS = {"max_iter": 50}


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

    def averaged(self, z, index):
        return self.evaluate(z, index)

    def linearise(self, z, index, smoothing, directions):
        self.jacobians += len(index)
        self.along = directions

    def normals(self, index):
        return self.along @ (self.matrix.T @ self.matrix) @ self.along.swapaxes(1, 2)

    def quieten(self, index):
        pass

    def gradients(self, z, index):
        self.gradients_taken += len(index)
        return (z @ self.matrix.T - self.right) @ self.matrix


class Bent(Linear):
    """The same with a residual that bends: tanh(matrix @ z) = right, whose Jacobian changes with z."""

    def evaluate(self, z, index):
        return 0.5 * ((np.tanh(z @ self.matrix.T) - self.right) ** 2).sum(axis=1)

    def linearise(self, z, index, smoothing, directions):
        super().linearise(z, index, smoothing, directions)
        tangents = (1 - np.tanh(z @ self.matrix.T) ** 2)[:, None] * (directions @ self.matrix.T)
        self.kept = getattr(self, "kept", {}) | dict(zip(index.tolist(), tangents @ tangents.swapaxes(1, 2)))

    def normals(self, index):
        return np.stack([self.kept[i] for i in index])

    def gradients(self, z, index):
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


def test_a_problem_without_hope_is_given_up_behind_its_first_jacobian():
    matrix = np.random.default_rng(2).normal(size=(20, 3))
    near = matrix @ [0.3, -0.2, 0.1]
    hopeless = near + 10 * np.linalg.qr(np.column_stack([matrix, np.ones(20)]))[0][:, 3]  # far from all that it spans
    for right, given_up in ((near, False), (hopeless, True)):
        problem = Linear(matrix, right)
        found = minimise(problem, np.zeros((1, 3)), target=1e-20, hopeless=1.0)
        assert (found.objective[0] > 1) == given_up and (problem.jacobians == 1) == given_up


def test_a_residual_of_exactly_zero_ends_the_descent():
    class Counted(Linear):
        def gradients(self, z, index):
            assert self.gradients_taken < 100
            return super().gradients(z, index)

    found = minimise(Counted(np.eye(3), np.zeros(3)), np.zeros((2, 3)))
    assert not found.objective.any() and not found.z.any()


@pytest.mark.parametrize("spectral", [0.0, 0.5])
def test_the_residuals_gradient_is_that_of_its_objective(generator, spectral):
    z = random_latent(generator, 2, 1)
    problem = Residual(generator, generator(random_latent(generator, 2, 2)), spectral)
    problem.linearise(z, np.arange(2), np.zeros(2), np.tile(np.eye(8), (2, 1, 1)))
    gradient, normal = problem.gradients(z, np.arange(2)), problem.normals(np.arange(2))
    step = 1e-3 * np.sign(gradient)
    change = problem.evaluate(z + step, np.arange(2)) - problem.evaluate(z - step, np.arange(2))
    assert np.allclose((gradient * step).sum(axis=1), change / 2, rtol=0.02)
    assert (np.linalg.eigvalsh(normal) > -1e-9).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_averaged_gradients_are_those_of_the_averaged_jacobian(generator, smoothing):
    z, targets = random_latent(generator, 3, 1), generator(random_latent(generator, 3, 2)).numpy().reshape(3, -1)
    noise, index = np.full(3, smoothing, np.float32), np.arange(3)
    problem = Residual(generator, targets)
    problem.linearise(z, index, noise, np.tile(np.eye(8), (3, 1, 1)))
    waveform, jacobian, _ = (np.asarray(a, np.float64) for a in (*generator.jacobian(z, noise)[:2], 0))
    energy = (targets.astype(np.float64) ** 2).sum(axis=1)[:, None]
    terms = jacobian * ((waveform - targets) / energy)[:, None]
    rounding = 1000 * np.finfo(np.float32).eps * np.sqrt((terms**2).sum(axis=2))  # a sum of 16,384, layer by layer
    assert (np.abs(problem.gradients(z, index) - terms.sum(axis=2)) < rounding).all()
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
    solvers = [Perceptual(loss, exact=LevenbergMarquardt(n)) for loss in losses for n in (3, 4)]
    solvers += [LevenbergMarquardt(3), LBFGSB(3), Layer(losses[0]), None]
    texts = [json.dumps(depends_on(solver=solver), sort_keys=True) for solver in solvers]
    assert len(set(texts)) == len(texts)
    assert losses[0].sha256 in texts[0] and texts[0] == json.dumps(depends_on(solver=solvers[0]), sort_keys=True)


def test_the_noise_explains_what_remains_of_the_residual_and_is_the_priors_where_nothing_is_known():
    matrix = np.random.default_rng(2).normal(size=(3, 30, 6))
    matrix[:, :, 5] = 0  # the residual does not depend on the last coordinate
    deviations = np.array([0.5, 0.5, 1.0, 0.5, 0.5, 0.7]) * np.ones((3, 1))
    normals = matrix.swapaxes(1, 2) @ matrix
    energies = np.array([1e-6, 1e-2, 1.0])
    _, directions, inverses = posterior(normals, energies, deviations)
    covariance, most = directions.swapaxes(1, 2) @ directions, np.einsum("nii,ni->n", normals, deviations**2)
    assert (energies < 0.5 * most).all()
    assert np.einsum("nij,nji->n", covariance, normals) == pytest.approx(energies, rel=1e-6)
    assert covariance[:, 5, 5] == pytest.approx(0.49, rel=1e-6)
    assert np.allclose(directions.swapaxes(1, 2) @ inverses, np.eye(6), atol=1e-6)


def test_a_residual_of_other_weights_has_the_same_truth(generator):
    true, index = random_latent(generator, 2, 21), np.arange(2)
    problem = Residual(generator, generator(true))
    away = problem.evaluate(0.9 * true, index)
    problem.reweigh(np.exp(np.random.default_rng(0).normal(size=(2, 64))))
    assert (problem.evaluate(true, index) < 1e-10).all()
    assert (np.abs(problem.evaluate(0.9 * true, index) / away - 1) > 0.01).all()


def test_level_offset_and_position_are_recovered_with_the_latent_vector(generator):
    true = random_latent(generator, 6, 31)
    assert (condition_number(generator, true) < 1e4).all()
    clips = generator(true).numpy()
    gains, offsets = np.array([0.1, 1, 1, 1, 1, 3]), np.array([0, 0.03, 0, 0, 0, -0.02])
    shifts = np.array([0, 0, 1, -37, 10, 800])
    recorded = np.stack([moved(clip, shift)[0] for clip, shift in zip(clips, shifts)])
    recorded = recorded * gains[:, None, None] + offsets[:, None, None]
    found = recover(recorded, generator, solver=LevenbergMarquardt())
    assert (latent_mse(true, found.z) < 1e-4).all() and (found.explained > 0.99).all()
    assert np.abs(found.gain / gains - 1).max() < 1e-3 and np.abs(found.shift - shifts).max() < 1e-3
    assert np.abs(found.offset - offsets).max() < 1e-3
    assert np.abs(found.waveforms - clips).max() < 0.05 * np.abs(clips).max() and (found.snr_db > 40).all()


class NearTruth:
    """An inverse mapping that predicts the latent vectors `true` [n, latent_dim] of targets in the same order, but for
    an error; it notes the targets."""

    sha256 = "near truth"

    def __init__(self, true):
        self.true, self.asked = true, []

    def predict_on_batch(self, targets):
        self.asked.append(np.asarray(targets))
        return self.true + 0.1 * np.random.default_rng(8).normal(size=self.true.shape)


def test_a_clip_of_another_level_and_position_begins_at_a_prediction(generator):
    true = 0.7 * random_latent(generator, 4, 61)
    clips = generator(true).numpy()
    targets = np.stack([moved(clip, shift)[0] for clip, shift in zip(clips, (0, 9, -30, 4))])
    targets = (targets * np.reshape([0.1, 1, 5, 2], (4, 1, 1)) + 0.05).astype(np.float32)
    mapping = NearTruth(true)
    known = {}, {"predict": mapping.predict_on_batch}
    zero, predicted = (solve(LevenbergMarquardt(), targets, generator, **some) for some in known)
    assert (latent_mse(true, predicted.z) < 1e-4).all()
    np.testing.assert_allclose(predicted.gain, [0.1, 1, 5, 2], rtol=1e-3)
    assert predicted.iterations.sum() < zero.iterations.sum()
    kept = slice(30, -30)
    far = np.abs(mapping.asked[1] - clips)[:, kept].mean() / np.abs(clips[:, kept]).mean()
    assert len(mapping.asked) == 2 and far < 0.3, "it is asked for the clips as the generator makes them"


def test_a_bad_prediction_is_not_begun_at(generator):
    true = 0.7 * random_latent(generator, 3, 61)
    targets = 3 * generator(true).numpy() + 0.05
    misled = solve(LevenbergMarquardt(), targets, generator, predict=NearTruth(-true).predict_on_batch)
    assert (latent_mse(true, misled.z) < 1e-4).all()


@pytest.mark.parametrize("layer", [None, Layer(steps=1)])
@pytest.mark.parametrize("solver", [LevenbergMarquardt(), Perceptual()], ids=type)
def test_every_solver_with_least_squares_is_given_the_inverse_mapping(generator, solver, layer):
    true = 0.7 * random_latent(generator, 2, 61)
    mapping = NearTruth(true)
    clips = [Clip(samples) for samples in 5 * generator(true).numpy()[..., 0]]
    found, _ = recovered_clips(clips, generator, inverse_mapping=mapping, solver=solver, layer=layer)
    assert (latent_mse(true, found.z) < 1e-4).all() and len(mapping.asked) > 1
    assert (found.snr_db > 30).all() and found.gain == pytest.approx(5, rel=1e-2)


def test_what_lies_outside_a_cut_is_unknown(generator):
    true = random_latent(generator, 2, 33)
    cut = generator(true).numpy()
    cut[:, : len(cut[0]) // 4] = cut[:, -len(cut[0]) // 3 :] = 0
    found = recover(cut, generator, solver=LevenbergMarquardt())
    assert (latent_mse(true, found.z) < 1e-4).all() and (found.explained > 0.99).all()
    assert recorded(np.array([[3], [3], [5], [0], [4]])) == (2, 4) and recorded(np.zeros((5, 1))) == (0, 4)
    assert recorded(np.array([[3], [2], [2], [5], [5], [5]])) == (0, 2)


def test_a_moved_waveform_is_the_same_waveform_later():
    wave = np.sin(np.arange(400) / 7)[:, None] * np.hanning(400)[:, None]
    for shift in (0, 3, -20, 2.5, -0.25):
        later, known = moved(wave, shift)
        places = np.arange(400) - shift
        inside = (places >= 0) & (places <= 399)
        expected = np.sin(places / 7) * 0.5 * (1 - np.cos(2 * np.pi * places / 399))
        assert (known[:, 0] > 0).tolist() == inside.tolist()
        assert np.abs(later[:, 0] - expected)[inside].max() < 1e-3


def test_the_box_is_the_callers(generator):
    true = 1.8 * random_latent(generator, 3, 41)
    clips, solver = generator(true).numpy(), LevenbergMarquardt()
    assert (np.abs(solve(solver, clips, generator, place_known=True).z) >= 1).any()
    unbounded = np.full(8, np.inf)
    wide = solve(solver, clips, generator, place_known=True, lower=-unbounded, upper=unbounded)
    assert (latent_mse(true, wide.z) < 1e-4).all()
    problems = []
    for target, z in zip(clips, true):
        lower, upper = np.full(8, -2.0), np.full(8, 2.0)
        lower[2] = upper[2] = z[2]
        problems.append(Problem(target, generator, lower=lower, upper=upper, place_known=True))
    held = solve_all(solver, problems)
    assert np.abs(held.z[:, 2] - true[:, 2]).max() < 1e-9 and (latent_mse(true, held.z) < 1e-4).all()
    assert not held.z_std[:, 2].any() and held.z_std[:, 0].all()


def test_the_stated_deviation_is_that_of_the_error(generator):
    true = 0.7 * random_latent(generator, 12, 51)
    clips = generator(true).numpy()
    level = 0.03 * np.sqrt((clips**2).mean(axis=(1, 2), keepdims=True))
    noisy = clips + level * np.random.default_rng(3).normal(size=clips.shape)
    found = solve(LevenbergMarquardt(restarts=0), noisy, generator, true, place_known=True)
    ratio = np.sqrt(np.mean(((found.z - true) / found.z_std) ** 2))
    assert 0.67 <= ratio <= 1.5  # 96 coordinates: a ratio of 1 is measured within 0.07


def test_noise_is_not_taken_for_a_local_minimum(generator):
    """For sounds that, as words do, become louder and fainter."""
    fade = np.hanning(generator.num_samples).astype(np.float32)[:, None] ** 2
    word = Generator(lambda z: fade * generator(z), 8, "", "")
    true = 0.7 * random_latent(word, 3, 71)
    clips = word(true).numpy()
    level = 0.03 * np.sqrt((clips**2).mean(axis=(1, 2), keepdims=True))
    noisy = (clips + level * np.random.default_rng(5).normal(size=clips.shape)).astype(np.float32)
    faint = (clips + 0.03 * (noisy - clips)).astype(np.float32)
    once, patient = (solve(LevenbergMarquardt(restarts=n), faint, word, true, place_known=n == 0) for n in (0, 8))
    assert (patient.iterations == once.iterations).all() and (patient.z == once.z).all(), "60 dB hide no minimum"
    standings = standings_of(noisy, word, true)
    for standing, fit in zip(standings, descend(standings, [one.fit for one in standings], OPTIONS)):
        standing.keep(fit, "")
    assert not any(one.missed(1) for one in standings) and all(one.missed(1, NOISY) for one in standings)
    for number in range(8):
        if shaken := [one for one in standings if unsettled(one, 1)]:
            under_weights(shaken, [number, 0], OPTIONS, "")
    assert [one.back for one in standings] == [descents.BACK] * 3, "what leads back again and again is noise"
    away = recover(clips + 0.1 * level, word, start=true, solver=LevenbergMarquardt(restarts=0))
    assert np.abs(away.offset / level[:, 0, 0] - 0.1).max() < 0.01, "a constant is no noise"


def test_noise_that_comes_and_goes_is_not_steady(generator):
    """For a word that is far louder at one moment than elsewhere."""
    loud = np.where(np.arange(generator.num_samples) < 256, 1, 0.01).astype(np.float32)[:, None]
    word, true = Generator(lambda z: loud * generator(z), 8, "", ""), random_latent(generator, 1, 72)
    noise = 1e-3 * np.random.default_rng(6).normal(size=(1, generator.num_samples, 1)).astype(np.float32)
    noise = np.concatenate([noise, noise])
    noise[1, generator.num_samples // 4 :] = 0
    standings = standings_of(word(true).numpy() + noise, word, np.repeat(true, 2, axis=0))
    assert [one.steady for one in standings] == [True, False]


def test_a_constant_does_not_hide_what_was_missed(generator):
    """For sounds that are next to nothing beside their mean, as those of a saturated generator."""
    faint = Generator(lambda z: 1 + 1e-3 * generator(z), 8, "", "")
    true = random_latent(faint, 2, 81)
    standings = standings_of(faint(true).numpy(), faint, 0.9 * true)
    assert all(one.fit.objective < 1e-8 and one.missed(1) for one in standings)


@pytest.fixture
def folded(generator):
    """A generator whose first coordinate has a local minimum at 0.195 for each truth of 0.41, and truths of that."""
    along = Generator(lambda z: generator(tf.concat([z[:, :1] + 0.12 * tf.sin(12 * z[:, :1]), z[:, 1:]], 1)), 8, "", "")
    true = 0.5 * random_latent(along, 6, 81)
    true[:, 0] = 0.41
    return along, true


def test_a_local_minimum_is_left_from_elsewhere(folded):
    folded, true = folded
    start = true * (np.arange(8) > 0)
    standings = standings_of(folded(true).numpy(), folded, start)
    for standing, fit in zip(standings, descend(standings, [one.fit for one in standings], OPTIONS, smoothing=0.05)):
        standing.keep(fit, "")
    local = np.array([one.fit.objective for one in standings])
    for number in range(3):
        from_elsewhere(standings, [number, 0], OPTIONS, "from elsewhere")
    assert all(one.fit.objective <= before for one, before in zip(standings, local))
    found = [one for one, z in zip(standings, true) if latent_mse(z[None], one.fit.x[None, :8])[0] < 1e-4]
    assert found and {one.why for one in found} == {"from elsewhere"}


def test_a_local_minimum_is_left_under_noise(folded):
    """For a word in whose noise it is hardly seen that the minimum is not the truth's."""
    folded, true = folded
    fade = np.hanning(folded.num_samples).astype(np.float32)[:, None] ** 2
    word = Generator(lambda z: fade * folded(z), 8, "", "")
    clips = word(true).numpy()
    level = 0.2 * np.sqrt((clips**2).mean(axis=(1, 2), keepdims=True))
    noisy = (clips + level * np.random.default_rng(5).normal(size=clips.shape)).astype(np.float32)
    start = true * (np.arange(8) > 0)
    known = {"place_known": True}
    once, patient = (solve(LevenbergMarquardt(), noisy, word, start, near=near, **known) for near in (True, False))
    assert all(one.steady for one in standings_of(noisy, word, once.z))
    assert (patient.objective <= once.objective).all()
    found, before = (np.sum(latent_mse(true, solution.z) < 1e-4) for solution in (patient, once))
    assert found >= 4 > before


def test_no_two_tries_draw_the_same(folded, monkeypatch):
    folded, true = folded
    drawn, random_starts = [], descents.random_starts

    def noted(targets, count, seed, *others):
        drawn.append(tuple(seed))
        return random_starts(targets, count, seed, *others)

    monkeypatch.setattr(descents, "random_starts", noted)
    drawing = [replace(one, when=lambda standing: True) for one in attempts.ATTEMPTS if one.draws]
    monkeypatch.setattr(attempts, "ATTEMPTS", drawing)
    near = (folded(true) + 0.1 * folded(-true)).numpy()  # which no latent vector explains to the last
    solve(LevenbergMarquardt(max_iter=2, restarts=1, budget=0), near, folded, true, place_known=True)
    assert len(set(drawn)) == len(drawn) > 1


def test_what_no_latent_vector_explains_says_so(generator):
    noise = np.random.default_rng(4).normal(0, 0.1, (1, generator.num_samples, 1)).astype(np.float32)
    found = recover(noise, generator, solver=LevenbergMarquardt(max_iter=20, restarts=0))
    assert found.z_std is None and found.explained[0] < 0.5 and found.gain[0] == 1 and found.shift[0] == 0


@pytest.mark.parametrize("solver", [LevenbergMarquardt(3, 0), Perceptual(steps=2, exact=LevenbergMarquardt(3, 0))])
def test_what_is_explained_is_explained_by_the_latent_vector_returned(generator, solver):
    near = generator(random_latent(generator, 2, 14)).numpy()
    noise = np.random.default_rng(4).normal(0, near.std(), near.shape)
    targets = (near + 1.5 * noise).astype(np.float32)  # of which a latent vector explains a part, and never enough
    found = recover(targets, generator, solver=solver, start=random_latent(generator, 2, 14))
    left = ((targets - generator(found.z).numpy()) ** 2).sum(axis=(1, 2)) / (targets**2).sum(axis=(1, 2))
    np.testing.assert_allclose(found.explained, np.clip(1 - left, 0, 1), atol=1e-5)
    assert (found.gain == 1).all() and not found.shift.any()


def test_a_budget_ends_the_attempts_of_a_clip_and_says_so(folded):
    folded, true = folded
    problems = [
        Problem(target, folded, z * (np.arange(8) > 0), budget=6) for target, z in zip(folded(true).numpy(), true)
    ]
    found = solve_all(LevenbergMarquardt(), problems)  # an attempt of two descents has a Jacobian for the second
    assert (found.iterations <= 7).all() and "stopped after its budget" in found.why
    more = solve_all(LevenbergMarquardt(budget=0), [replace(one, budget=None) for one in problems])
    assert (more.objective <= found.objective).all() and more.iterations.max() > 6


def test_each_answer_is_handed_on_as_its_clip_ends(generator):
    clean = generator(random_latent(generator, 3, 15)).numpy()
    clean[1] += 0.05 * np.random.default_rng(1).normal(size=clean[1].shape)
    problems = [Problem(target, generator) for target in clean.astype(np.float32)]
    order = [i for i, _ in LevenbergMarquardt(restarts=2).solve(problems)]
    assert sorted(order) == [0, 1, 2] and order[-1] == 1, "the noisy one is still tried when the others are done"


def test_the_offset_of_a_recording_is_told_from_the_zeros_behind_it(generator):
    """Else its constant part would count as explained."""
    sound = np.random.default_rng(5).normal(0, 0.1, (generator.num_samples // 2, 1))
    target = np.zeros((1, generator.num_samples, 1), np.float32)
    target[0, : len(sound)] = 0.3 + sound - sound.mean()
    waveforms, means = centred(target)
    assert means[0] == pytest.approx(0.3, abs=1e-6) and not waveforms[0, len(sound) :].any()
    found = recover(target, generator, solver=LevenbergMarquardt(max_iter=20, restarts=0), only_exact=True)
    assert found.explained[0] < 0.5


def test_a_fraction_of_a_sample_is_part_of_the_position(generator):
    """For sounds that, as recorded ones, hold next to nothing at the highest frequencies."""
    taps = scipy.signal.firwin(63, 0.4).astype(np.float32)[:, None, None] * np.hanning(63)[:, None, None].astype("f")
    fade = np.hanning(generator.num_samples).astype(np.float32)[:, None]  # nothing is cut where it is moved
    soft = Generator(lambda z: fade * tf.nn.conv1d(generator(z), taps, 1, "SAME"), 8, "", "")
    true = random_latent(soft, 3, 61)
    shifts = np.array([0.5, -20.3, 10.1])
    recorded = np.stack([moved(clip, shift)[0] for clip, shift in zip(soft(true).numpy(), shifts)])
    found = recover(recorded, soft, solver=LevenbergMarquardt())
    assert (latent_mse(true, found.z) < 1e-4).all() and np.abs(found.shift - shifts).max() < 0.01
