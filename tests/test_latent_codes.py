"""The codes that an encoder finds in recordings, and how far they are from the prior."""

import numpy as np
import pytest

from models.training.wavegan.latent_codes import (
    digit_asked_for,
    digit_directions,
    digit_log_probabilities,
    digit_means_distance,
    distribution_terms,
    emphasised,
    moments_distance,
    sliced_distance,
)
from models.training.wavegan.losses import UNLABELLED


def test_the_sliced_distance_is_the_distance_of_distributions():
    rng = np.random.default_rng(0)
    prior, directions = rng.uniform(-1, 1, (64, 5)).astype(np.float32), rng.normal(size=(5, 20)).astype(np.float32)
    assert float(sliced_distance(prior, prior[::-1], directions)) == pytest.approx(0, abs=1e-10)
    one = np.array([[1.0], [0], [0], [0], [0]], np.float32)
    assert float(sliced_distance(prior + one.T, prior, one)) == pytest.approx(1, rel=1e-4)


def test_codes_in_a_small_subspace_are_far_from_the_prior_and_draws_of_it_are_not():
    """Against the moments in float64, and by what random directions alone do not see."""
    rng = np.random.default_rng(0)
    prior, draws, other = (rng.uniform(-1, 1, (1024, 100)).astype(np.float32) for _ in range(3))
    basis = np.linalg.qr(rng.normal(size=(100, 12)))[0]
    narrow = np.sqrt(100 / 12) * np.sqrt(1 / 3) * rng.normal(size=(1024, 12)) @ basis.T  # of the same energy
    directions = rng.normal(size=(100, 100)).astype(np.float32)
    values = []
    for codes in (other, narrow.astype(np.float32)):
        moments = codes.T.astype(np.float64) @ codes / len(codes)
        assert float(moments_distance(codes)) == pytest.approx(((moments - np.eye(100) / 3) ** 2).sum(), rel=1e-3)
        digits = np.zeros(1024, np.int32)
        terms = distribution_terms(codes[:16], digits[:16], codes[16:], digits[16:], draws, directions)
        values.append([float(terms[name]) / 64 for name in ("prior", "moments")])
    assert values[1][1] > 20 * values[0][1]  # 12 variances of 25/9, seven of eight are missing
    assert values[1][0] > 2 * values[0][0]


def test_each_digit_has_a_tenth_of_the_latent_cube():
    z = np.random.default_rng(0).uniform(-1, 1, (20000, 100)).astype(np.float32)
    known = np.zeros(len(z), np.int32)
    known[0] = UNLABELLED
    asked = np.asarray(digit_asked_for(z, known))
    assert asked[0] == UNLABELLED
    assert (asked[1:] == z[1:].reshape(-1, 10, 10).sum(axis=2).argmax(axis=1)).all()
    assert np.abs(np.bincount(asked[1:], minlength=10) / len(z) - 0.1).max() < 5 * np.sqrt(0.09 / len(z))
    logits = np.asarray(digit_log_probabilities(z, 10.0))
    assert (logits[1:].argmax(axis=1) == asked[1:]).all()
    assert np.abs(np.exp(logits).sum(axis=1) - 1).max() < 1e-5


def test_the_means_of_the_digits_are_those_of_the_prior():
    """Draws of the prior by the digit they ask for are near, within the error of a mean; shuffled digits are not."""
    rng = np.random.default_rng(0)
    z = rng.uniform(-1, 1, (5000, 100)).astype(np.float32)
    asked = np.asarray(digit_asked_for(z, np.zeros(len(z), np.int32)))
    by_chance = 10 * 100 / 3 / len(z)  # ten means of 100 coordinates of variance 1 / 3, each of a tenth of the vectors
    assert float(digit_means_distance(z, asked)) < 1.5 * by_chance
    assert float(digit_means_distance(z, rng.permutation(asked))) > 5 * by_chance
    unknown = np.where(np.arange(len(z)) < 2500, UNLABELLED, asked)
    half = float(digit_means_distance(z[2500:], asked[2500:])) / 2
    assert float(digit_means_distance(z, unknown)) == pytest.approx(half, rel=1e-4)


def test_emphasis_is_of_the_digits_sums_alone():
    z = np.random.default_rng(5).uniform(-1, 1, (50, 100)).astype(np.float32)
    change = np.asarray(emphasised(z, 3.0)) - z
    along = np.asarray(digit_directions(100))
    assert np.allclose(change @ along, 2 * z @ along, atol=1e-5)
    assert np.allclose(change, change @ along @ along.T, atol=1e-5)
    assert np.allclose(emphasised(z, 1.0), z)
