"""Convolutions of tangents by fewer multiplications, against the convolutions themselves."""

import numpy as np
import pytest
import tensorflow as tf

from models.generator.generator import Generator, random_latent
from models.generator.jacobian import fast_convolution
from models.generator.jacobian.fast_convolution import best_plan, convolved, plan, points_of_kernel
from models.generator.jacobian.forward_mode import ForwardMode
from models.generator.jacobian.graph_walk import as_concrete

EPS = np.finfo(np.float64).eps


@pytest.fixture
def every(monkeypatch):
    """Every convolution that can be done fast is."""
    monkeypatch.setattr(fast_convolution, "GAIN", 0.0)
    best_plan.cache_clear()
    yield
    best_plan.cache_clear()


@pytest.mark.parametrize(("size", "taps"), [(8, 7), (9, 3), (22, 7), (38, 7), (60, 25), (64, 25), (5, 2)])
def test_a_block_is_the_correlation_with_the_kernel(size, taps):
    rng, chosen = np.random.default_rng(0), plan(size, taps)
    block, kernel = rng.normal(size=size), rng.normal(size=taps)
    found = chosen.synthesis @ ((chosen.filtering @ kernel) * (chosen.analysis @ block))
    expected = np.correlate(block, kernel, "valid")
    assert found.shape == expected.shape == (chosen.outputs,)
    # each is a sum of `points` products of sums of `size` and of `taps` numbers
    assert np.abs(found - expected).max() < 8 * EPS * size * np.linalg.norm(block) * np.linalg.norm(kernel)


@pytest.mark.parametrize("length", [7, 16, 31, 40])  # one output, one block, one that is cut, several
def test_signals_of_any_length_are_convolved(length):
    rng = np.random.default_rng(1)
    x, kernel, chosen = rng.normal(size=(5, length, 3)), rng.normal(size=(7, 3, 4)), plan(16, 7)
    found = convolved(tf.constant(x), points_of_kernel(tf.constant(kernel), chosen), chosen)
    expected = tf.nn.conv1d(x, kernel, 1, "VALID")
    assert np.abs(found - expected).max() < 64 * EPS * 7 * 3 * np.abs(x).max() * np.abs(kernel).max()


def test_only_wide_convolutions_are_worth_it():
    assert best_plan(16, 7, 384, 768).points < 7 * 16 / 2, "less than half of the multiplications"
    assert best_plan(4096, 7, 24, 4) is None and best_plan(64, 1, 512, 512) is None


def strided(z):
    """A dense layer, a 'same' convolution, a transposed one of stride 4, and one without padding."""
    rng = np.random.default_rng(2)
    x = tf.reshape(tf.nn.relu(z @ rng.normal(size=(6, 16 * 8)).astype(np.float32)), (-1, 16, 8))
    x = tf.nn.relu(tf.nn.conv1d(x, rng.normal(size=(5, 8, 8)).astype(np.float32), 1, "SAME"))
    kernel = tf.constant(rng.normal(size=(25, 4, 8)).astype(np.float32))
    x = tf.nn.relu(tf.nn.conv1d_transpose(x, kernel, (tf.shape(x)[0], 64, 4), 4, "SAME"))
    return tf.nn.conv1d(tf.pad(x, [[0, 0], [4, 2], [0, 0]]), rng.normal(size=(7, 4, 1)).astype(np.float32), 1, "VALID")


def test_a_jacobian_is_the_same(every):
    fast = Generator(strided, 6, "strided", "")
    assert len(fast_convolution.fast_convolutions(*_convolutions(fast))) == 3
    z, noise = random_latent(fast, 2, 0), np.full(2, 0.1)
    found = fast.jacobian(z, noise)
    fast_convolution.GAIN = np.inf  # the fixture sets it back
    best_plan.cache_clear()
    plain = Generator(strided, 6, "strided", "").jacobian(z, noise)
    for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(plain)):
        # three convolutions, whose sums have up to 5 * 8, 7 * 8 and 7 * 4 terms
        assert np.abs(one - other).max() < 64 * np.sqrt(124) * np.finfo(np.float32).eps * np.abs(other).max()


def _convolutions(generator):
    mode = ForwardMode(as_concrete(generator.function, generator.latent_dim))
    return mode.walk, [op for op in mode.walk.operations if mode._convolves(op)]


def test_what_is_too_large_is_done_as_ever(every, monkeypatch):
    generator = Generator(strided, 6, "strided", "")
    monkeypatch.setattr(fast_convolution, "MOST", 10)
    assert not fast_convolution.fast_convolutions(*_convolutions(generator))
