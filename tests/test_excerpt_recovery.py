"""Recovery by Jacobians of excerpts, and what a generator keeps of its centre."""

import numpy as np
import pytest

from models.generator.excerpts import BLOCKS, EXCERPTS, RUN
from models.generator.generator import random_latent
from models.metrics.metrics import latent_mse
from models.recovery import residual as residuals
from models.recovery.alignment import moved
from models.recovery.attempts import LevenbergMarquardt, look_at
from models.recovery.centre import is_central, prior_deviation
from models.recovery.descents import drawn_excerpts
from models.recovery.problem import Alignment, Problem
from models.recovery.recover import recover
from models.recovery.residual import Residual


def excerpts_of(n, seed=0):
    return np.random.default_rng(seed).integers(0, BLOCKS - RUN + 1, (n, EXCERPTS)).astype(np.int32)


def test_what_is_minimised_is_the_error_of_the_excerpts(generator):
    """The averaged objective, its gradient along a step, and the normal matrix, against differences of the first."""
    z, index = random_latent(generator, 2, 1), np.arange(2)
    problem = Residual(generator, generator(random_latent(generator, 2, 2)), excerpts=excerpts_of(2))
    x = np.column_stack([z, [[0.1, 0.01, 0.2]] * 2])
    problem.linearise(x, index, np.zeros(2), np.tile(np.eye(11), (2, 1, 1)))
    gradient, normal = problem.gradients(x, index), problem.normals(index)
    step = 1e-3 * np.sign(gradient)
    change = problem.averaged(x + step, index) - problem.averaged(x - step, index)
    assert np.allclose((gradient * step).sum(axis=1), change / 2, rtol=0.02)
    assert (np.linalg.eigvalsh(normal) > -1e-9).all()
    whole = Residual(generator, generator(random_latent(generator, 2, 2)))
    assert (problem.evaluate(x, index) == whole.evaluate(x, index)).all(), "what is checked is the whole waveform"
    assert (np.abs(problem.averaged(x, index) / whole.evaluate(x, index) - 1) > 0.01).all()


@pytest.mark.parametrize("excerpts", [None, excerpts_of(2)], ids=["whole", "excerpts"])
def test_the_jacobian_at_the_centre_is_the_one_that_is_kept(generator, excerpts, monkeypatch):
    targets, index = generator(random_latent(generator, 2, 91)).numpy(), np.arange(2)
    x, along, noise = np.zeros((2, 11)), np.zeros((2, 11, 11)), np.ones(2)
    along[:, :8, :8], along[:, 8:, 8:] = prior_deviation(generator) * np.eye(8), 0.3 * np.eye(3)
    assert is_central(generator, x[0], 1.0, along[0]) and not is_central(generator, x[0], 0.0, along[0])
    kept, asked = (Residual(generator, targets, excerpts=excerpts) for _ in range(2))
    kept.linearise(x, index, noise, along)
    monkeypatch.setattr(residuals, "is_central", lambda *_: False)
    asked.linearise(x, index, noise, along)
    for one, other in (
        (kept.normals(index), asked.normals(index)),
        (kept.gradients(x, index), asked.gradients(x, index)),
    ):
        # sums of 16,384 products of numbers that five layers of at most 800 products rounded
        assert np.abs(one - other).max() < 16 * np.sqrt(5 * 800) * np.finfo(np.float32).eps * np.abs(other).max()


def test_excerpts_are_drawn_where_something_remains_and_anew(generator):
    true = random_latent(generator, 3, 5)
    targets = generator(true).numpy()
    targets[:, : generator.num_samples // 2] = generator(0 * true)[:, : generator.num_samples // 2]
    standings = look_at([Problem(target, generator, place_known=True) for target in targets], seed=7)
    fits = [one.fit for one in standings]
    first = drawn_excerpts(standings, fits)
    assert first.shape == (3, EXCERPTS) and (first >= BLOCKS // 2 - RUN).all() and (first <= BLOCKS - RUN).all()
    assert (np.diff(np.sort(first)) >= RUN).all(), "they do not overlap"
    assert (drawn_excerpts(standings, fits) == first).all()
    standings[0].cost += 1
    assert (drawn_excerpts(standings, fits)[0] != first[0]).any()


def test_an_answer_by_excerpts_is_that_of_the_whole_waveform(generator):
    """Under noise: as near the truth as least squares on all samples, and its deviations are of these."""
    true = random_latent(generator, 4, 6)
    clips = generator(true).numpy()
    noisy = clips + 0.01 * clips.std(axis=(1, 2), keepdims=True) * np.random.default_rng(0).normal(size=clips.shape)
    found = recover(noisy.astype(np.float32), generator, solver=LevenbergMarquardt(40, 2))
    whole = Residual(generator, noisy.astype(np.float32))
    assert (whole.evaluate(found.z, np.arange(4)) <= 1.001 * whole.evaluate(true, np.arange(4))).all()
    # of 32 coordinates whose deviations are right the root mean square is 1, give or take 1 / sqrt(64)
    assert 0.5 < np.sqrt(np.mean(((found.z - true) / found.z_std) ** 2)) < 1.5


def test_clips_of_another_level_and_place_come_back_exactly(generator):
    true = random_latent(generator, 4, 8)
    placed = [Alignment(0.5, 0.02, 10), Alignment(2.0, 0.0, -300), Alignment(1.0, -0.1, 0), Alignment(0.3, 0.0, 1)]
    clips = np.stack([moved(w, p.shift)[0] * p.gain + p.offset for w, p in zip(generator(true).numpy(), placed)])
    found = recover(clips.astype(np.float32), generator, solver=LevenbergMarquardt(40, 2))
    assert (latent_mse(true, found.z) < 1e-8).all()
