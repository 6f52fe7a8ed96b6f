"""Sub-pixel convolutions against TensorFlow's strided ones."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.generator.subpixel import (
    NearestConv1D,
    StridedConv1D,
    blocked_conv,
    blocked_kernel,
    decimating_kernel,
    nearest_kernel,
    strided_conv,
    subpixel_conv,
    transposed_kernel,
)

SHAPES = [(25, 4, 16), (25, 2, 16), (24, 4, 8), (3, 4, 8), (4, 4, 8), (25, 1, 8), (9, 2, 8), (5, 3, 7)]


def rounding(terms, magnitudes):
    """How far two float32 sums of so many terms may differ: twice Higham's bound, from the sum of the magnitudes."""
    return 2 * terms * np.finfo(np.float32).eps * np.max(magnitudes)


@pytest.mark.parametrize("size, stride, length", SHAPES)
def test_equal_to_tensorflows_strided_convolutions(size, stride, length):
    rng = np.random.default_rng(size)
    low, high = (rng.normal(size=(2, n, 6)).astype(np.float32) for n in (length, length * stride))
    transposed, plain = (rng.normal(size=(size, *shape)).astype(np.float32) for shape in ((5, 6), (6, 5)))

    def transposed_convolution(x, kernel):
        return tf.nn.conv1d_transpose(x, kernel, [2, length * stride, 5], stride, "SAME")

    def behind_upsampling(x, kernel):
        return tf.nn.conv1d(np.repeat(x, stride, axis=1), kernel, 1, "SAME")

    def strided(x, kernel):
        return tf.nn.conv1d(x, kernel, stride, "SAME")

    for expected, found, x, kernel in (
        (transposed_convolution, lambda x, k: subpixel_conv(x, *transposed_kernel(k, stride), stride), low, transposed),
        (behind_upsampling, lambda x, k: subpixel_conv(x, *nearest_kernel(k, stride), stride), low, plain),
        (strided, lambda x, k: strided_conv(x, k, stride), high, plain),
    ):
        allowed = rounding(size * 6, expected(np.abs(x), np.abs(kernel)))
        assert np.abs(found(x, tf.constant(kernel)) - expected(x, kernel)).max() < allowed


@pytest.mark.parametrize("size, channels", [(512, 1), (512, 2), (31, 1), (1, 1)])
def test_blocks_of_samples_are_the_same_filter(size, channels):
    rng = np.random.default_rng(size)
    x, kernel = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 256, channels), (size, channels, 1)))
    found = subpixel_conv(tf.reshape(x, (2, 4, 64 * channels)), *blocked_kernel(kernel, 64), 1)
    allowed = rounding(size * channels, tf.nn.conv1d(np.abs(x), np.abs(kernel), 1, "SAME"))
    assert np.abs(tf.reshape(found, (2, 256, 1)) - tf.nn.conv1d(x, kernel, 1, "SAME")).max() < allowed


@pytest.mark.parametrize("size, factor", [(255, 2), (255, 1), (8, 4)])
def test_a_decimating_kernel_gives_every_nth_sample_of_the_filtered_waveform(size, factor):
    rng = np.random.default_rng(size)
    x, kernel = rng.normal(size=(2, 256, 1)).astype(np.float32), rng.normal(size=(size, 1, 1)).astype(np.float32)
    found = blocked_conv(tf.constant(x), *decimating_kernel(kernel, 64, factor), 64)
    expected = np.array([np.convolve(row[:, 0], kernel[::-1, 0, 0])[size // 2 :][:256:factor] for row in x])
    largest = np.max([np.convolve(np.abs(row[:, 0]), np.abs(kernel[:, 0, 0])).max() for row in x])
    assert found.shape == (2, 256 // factor, 1) and np.abs(found[..., 0] - expected).max() < rounding(size, largest)


@pytest.mark.parametrize("layer, length", [(NearestConv1D(3), 64), (StridedConv1D(3), 4)])
def test_layers_survive_saving(tmp_path, layer, length):
    inputs = keras.Input((16, 2))
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "layer.keras")
    x = np.random.default_rng(0).normal(size=(1, 16, 2)).astype(np.float32)
    again = keras.models.load_model(tmp_path / "layer.keras")
    assert again(x).shape == (1, length, 3) and np.allclose(again(x), model(x))
