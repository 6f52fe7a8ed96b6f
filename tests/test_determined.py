"""What a clip says of its latent vector: never less than the prior does, and nothing of what other unknowns explain."""

import numpy as np
import pytest

from models.recovery.determined import determined, determined_mse

K, SAMPLES = 6, 400


def jacobian(seed, columns=K):
    return np.random.default_rng(seed).normal(size=(SAMPLES, columns))


def test_the_deviations_are_those_of_latent_vectors_drawn_from_the_posterior():
    """Linear problems with a known prior: over many of them the errors have the deviations that are stated."""
    rng, j, prior, sigma = np.random.default_rng(1), jacobian(2), np.full(K, 0.6), 8.0
    j[:, 3] *= 1e-3  # hardly heard
    known = determined(j.T @ j, sigma**2, prior)
    true = prior * rng.normal(size=(4000, K))
    heard = true @ j.T + sigma * rng.normal(size=(4000, SAMPLES))
    found = np.linalg.solve(j.T @ j / sigma**2 + np.diag(prior**-2.0), j.T @ heard.T / sigma**2).T
    errors = np.sqrt(np.mean((found - true) ** 2, axis=0))
    assert known.deviations == pytest.approx(errors, rel=0.06)  # 4,000 draws: 1.1 % each
    assert known.count == 5 and known.deviations[3] == pytest.approx(0.6, rel=1e-3)
    assert (known.deviations <= prior).all()


def test_without_noise_each_coordinate_that_is_heard_is_sure_and_the_others_are_as_before():
    j = jacobian(3)
    j[:, 1] = j[:, 0]  # two that cannot be told apart, and one that is not heard
    j[:, 5] = 0
    known = determined(j.T @ j, 1e-9, np.full(K, 0.5))
    assert known.count == 4
    assert known.deviations[[2, 3, 4]] == pytest.approx(np.zeros(3), abs=1e-5)
    assert known.deviations[[0, 1]] == pytest.approx(np.full(2, 0.5 / 2**0.5), rel=1e-3)
    assert known.deviations[5] == pytest.approx(0.5)


def test_what_a_filter_explains_as_well_is_not_determined():
    j = jacobian(4, K + 2)
    j[:, K] = 2 * j[:, 0] - j[:, 1]  # the further unknowns explain one direction of two coordinates
    alone = determined(j[:, :K].T @ j[:, :K], 1e-6, np.full(K, 0.5))
    beside = determined(j.T @ j, 1e-6, np.full(K, 0.5))
    assert alone.count == K and beside.count == K - 1
    assert (beside.deviations[:2] > 0.1).all() and (beside.deviations[2:] < 1e-3).all()


def test_the_error_counts_in_determined_directions_only():
    j = jacobian(5)
    j[:, 1] = j[:, 0]
    known, true = determined(j.T @ j, 1e-9, np.full(K, 0.5)), np.zeros(K)
    unheard, heard = np.array([0.3, -0.3, 0, 0, 0, 0]), np.array([0, 0, 0.1, 0, 0, 0])
    assert determined_mse(true, unheard, known, np.full(K, 0.5)) == pytest.approx(0, abs=1e-12)
    assert determined_mse(true, heard, known, np.full(K, 0.5)) == pytest.approx(0.1**2 / 5, rel=1e-3)
    nothing = determined(np.zeros((K, K)), 1.0, np.full(K, 0.5))
    assert nothing.count == 0 and determined_mse(true, heard, nothing, np.full(K, 0.5)) == 0
