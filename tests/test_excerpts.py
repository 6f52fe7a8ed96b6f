"""A WaveGAN's waveforms and derivatives on excerpts, against the whole ones."""

import numpy as np
import pytest
import tensorflow as tf
import tf1_wavegan
from test_wavegan import VARIANTS

from models.generator.excerpts import BLOCKS, EXCERPTS, RUN, excerpt_samples
from models.generator.generator import random_latent
from models.generator.loading import load_generator

FORMS = {name: shape for name, shape in VARIANTS.items() if "training" not in name and "re" != name[:2]}
FEW = 6  # directions


def asked(generator, n=3):
    """Latent vectors, smoothings, of which one is 0, directions, and excerpts: at the ends, overlapping, and others."""
    rng = np.random.default_rng(0)
    starts = rng.integers(0, BLOCKS - RUN + 1, (n, EXCERPTS))
    starts[0, :2], starts[1, :2] = (0, BLOCKS - RUN), (17, 18)
    directions = rng.normal(size=(n, FEW, generator.latent_dim)).astype(np.float32)
    smoothing = np.array([0.0, 0.1, 0.3], np.float32)
    return random_latent(generator, n, 1), smoothing, directions, tf.constant(starts, tf.int32)


def chosen(arrays, starts, generator):
    """Waveforms or tangents [n, …, samples * channels] at the samples of excerpts."""
    places = excerpt_samples(starts, generator.num_samples).numpy()
    arrays = np.asarray(arrays).reshape(*arrays.shape[:-1], generator.num_samples, generator.num_channels)
    parts = [array[..., where, :] for array, where in zip(arrays, places)]
    return np.stack([part.reshape(*part.shape[:-2], -1) for part in parts])


def rounding(values, terms=800):
    """What two orders of float32 sums may differ by: as tests/test_wavegan.py has it, sums of at most 800 products in
    each of five layers, whose errors are independent, relative to the largest value."""
    return 16 * np.sqrt(5 * terms) * np.finfo(np.float32).eps * np.abs(values).max()


@pytest.mark.parametrize("variant", FORMS.values(), ids=FORMS)
def test_excerpts_are_those_of_the_whole(tmp_path, variant):
    tf1_wavegan.write(tmp_path, **variant)
    generator = load_generator(tmp_path)
    *point, starts = asked(generator)
    whole, part = generator.jacobian(*point), generator.jacobian(*point, starts)
    size = EXCERPTS * RUN * generator.num_samples // BLOCKS * generator.num_channels
    assert part[0].shape == (3, size) and part[1].shape == (3, FEW, size)
    for all_of_it, excerpts in zip(whole[:2], part[:2]):
        expected = chosen(all_of_it, starts, generator)
        assert np.abs(expected - excerpts).max() < rounding(expected)


def test_averaged_excerpts_have_the_derivative_of_their_jacobian(tmp_path):
    tf1_wavegan.write(tmp_path, filter_taps=512)
    generator = load_generator(tmp_path)
    z, smoothing, directions, starts = asked(generator)
    waveforms, tangents, widths = generator.jacobian(z, smoothing, directions, starts)
    z = tf.constant(z)
    with tf.GradientTape() as tape:
        tape.watch(z)
        averaged = tf.reshape(generator.smoothed(z, smoothing, widths, starts), waveforms.shape)
        total = tf.reduce_sum(averaged * waveforms)
    assert np.abs(averaged - waveforms).max() < rounding(waveforms)
    along = np.einsum("nkl,nl->nk", directions, tape.gradient(total, z))
    terms = np.asarray(tangents, float) * np.asarray(waveforms, float)[:, None]
    assert np.abs(terms.sum(axis=2) - along).max() < rounding(np.sqrt((terms**2).sum(axis=2)))


def test_what_is_no_wavegan_has_no_excerpts(generator, tmp_path):
    tf1_wavegan.write(tmp_path)
    assert generator.has_excerpts and not load_generator(tmp_path, subpixel=False).has_excerpts
