"""WaveGAN's generator from its variables, as sub-pixel convolutions (models/generator/subpixel.py), several times
faster on a CPU than TensorFlow's transposed convolutions.
"""

import re
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.generator.jacobian.graph_walk import GraphWalk
from models.generator.subpixel import blocked_conv, blocked_kernel, nearest_kernel, subpixel_conv, transposed_kernel

DENSE, DENSE_BIAS = "G/z_project/dense/kernel", "G/z_project/dense/bias"  # [latent_dim, 256 d], [256 d]
FILTER = "G/pp_filt/conv1d/kernel"  # WaveGAN's post-processing filter, [taps, channels, 1]
BATCH_NORM_EPSILON = 1e-3  # WaveGAN's tf.layers.batch_normalization
FILTER_BLOCK = 64  # samples at once in the post-processing filter
# The largest difference, relative to the largest sample, of one function in two forms in float64.
SAME = float(np.sqrt(np.finfo(np.float64).eps))
TRIALS = 3  # latent vectors that are compared at loading


class Upconvolution(NamedTuple):
    """One layer of a WaveGAN behind its first: what its variables are called, and what it does.

    kernel: [size, in, out] behind nearest-neighbour upsampling where `nearest`, else [1, size, out, in] of a transposed
    convolution. activation: "relu", or "tanh" of the last one.
    """

    scope: str
    kernel: str
    bias: str
    nearest: bool
    stride: int
    activation: str


def upconvolutions(names, num_samples=16384):
    """The Upconvolutions of a WaveGAN of these variables' names, in their order."""
    numbers = sorted({int(m[1]) for name in names if (m := re.match(r"G/upconv_(\d+)/", name))})
    strides = [4] * len(numbers)
    if 16 * 4 ** len(numbers) == 2 * num_samples:
        strides[-1] = 2  # version 2's 32,768 samples
    layers = []
    for i, stride in zip(numbers, strides):
        nearest = f"G/upconv_{i}/conv1d/kernel" in names
        scope = f"G/upconv_{i}/{'conv1d' if nearest else 'conv2d_transpose'}"
        activation = "tanh" if i == numbers[-1] else "relu"
        layers.append(Upconvolution(f"G/upconv_{i}", f"{scope}/kernel", f"{scope}/bias", nearest, stride, activation))
    return layers


class SubpixelWaveGAN:
    """A WaveGAN generator from its variables {name: array}: dense, ReLU, then one sub-pixel convolution a layer, tanh,
    perhaps a filter.

    Batch normalisation is folded into the kernels, in float64. description: what it is, for people. Called on z [n,
    latent_dim] of `dtype`, it returns waveforms [n, num_samples, num_channels]. Raises KeyError or ValueError for
    variables that are no WaveGAN's.
    """

    def __init__(self, variables, num_samples, dtype=tf.float32):
        variables = {name: np.asarray(value, np.float64) for name, value in variables.items()}
        layers = upconvolutions(variables, num_samples)
        self._dense = [tf.constant(a, dtype) for a in _dense(variables)]
        self.convolutions = [_convolution(variables, layer, dtype) for layer in layers]
        taps = variables.get(FILTER)
        self.filter = None
        if taps is not None:
            kernel, padding = blocked_kernel(taps, FILTER_BLOCK)
            self.filter = tf.cast(kernel, dtype), padding
        parts = {
            "batch normalisation": "G/z_project/batch_normalization/gamma" in variables,
            "a post-processing filter": taps is not None,
            "nearest-neighbour upsampling": layers[0].nearest,
        }
        extras = " and ".join(part for part, is_used in parts.items() if is_used)
        width = variables[layers[0].bias].size // (8 if len(layers) == 5 else 16)
        self.description = f"WaveGAN of width {width}{extras and ' with ' + extras}, as sub-pixel convolutions"

    def first_layer(self, z):
        """z [n, latent_dim] → what the first layer makes of it, after its ReLU: [n, 16, 16d]."""
        kernel, bias = self._dense
        return tf.nn.relu(tf.reshape(z @ kernel + bias, (-1, 16, kernel.shape[1] // 16)))

    def __call__(self, z):
        return self.from_first_layer(self.first_layer(z))

    def from_first_layer(self, x):
        """x [n, 16, 16d], of `first_layer` or near it → waveforms [n, num_samples, num_channels]."""
        for kernel, padding, bias, stride, activation in self.convolutions:
            # [n, 64, 8d], [n, 256, 4d], [n, 1024, 2d], [n, 4096, d], [n, num_samples, channels]
            x = activation(subpixel_conv(x, kernel, padding, stride) + bias)
        return x if self.filter is None else blocked_conv(x, *self.filter, FILTER_BLOCK)


def _normalisation(variables, scope):
    """Batch normalisation of the moving statistics as (scale, shift), by channel; 1 and 0 where there is none."""
    if f"{scope}/batch_normalization/gamma" not in variables:
        return 1.0, 0.0
    gamma, beta, mean, variance = (
        variables[f"{scope}/batch_normalization/{n}"] for n in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
    return scale, beta - mean * scale


def _dense(variables):
    kernel, bias = variables[DENSE], variables[DENSE_BIAS]
    scale, shift = _normalisation(variables, "G/z_project")  # over the channels after the reshape to [16, channels]
    scale, shift = (np.tile(a, 16) if np.ndim(a) else a for a in (scale, shift))
    return kernel * scale, bias * scale + shift


def _convolution(variables, layer, dtype):
    """A layer as (sub-pixel kernel, padding, bias, stride, activation)."""
    scale, shift = _normalisation(variables, layer.scope)
    kernel, bias = variables[layer.kernel], variables[layer.bias]
    if layer.nearest:
        kernel, padding = nearest_kernel(tf.constant(kernel * scale), layer.stride)
    else:
        kernel = kernel[0] * (scale[:, None] if np.ndim(scale) else scale)  # [kernel, out, in]
        kernel, padding = transposed_kernel(tf.constant(kernel), layer.stride)
    bias = tf.constant(bias * scale + shift, dtype)
    return tf.cast(kernel, dtype), padding, bias, layer.stride, getattr(tf.nn, layer.activation)


def recognised(function, variables):
    """The sub-pixel form of a tf.ConcreteFunction if `variables` {name: array} are a WaveGAN's and both are the same
    function, else None.

    The two are compared in float64, where the same function differs by rounding only and any other one differs by far
    more.
    """
    if DENSE not in variables:
        return None
    z = np.random.default_rng(0).uniform(-1, 1, (TRIALS, function.inputs[0].shape[1])).astype(np.float32)
    try:
        theirs = GraphWalk(function).compiled(tf.float64)(z).numpy()
        ours = SubpixelWaveGAN(variables, theirs.shape[1], tf.float64)(tf.constant(z, tf.float64)).numpy()
    except (KeyError, ValueError, IndexError, tf.errors.InvalidArgumentError):
        return None
    same = ours.shape == theirs.shape and np.abs(ours - theirs).max() <= SAME * np.abs(theirs).max()
    return SubpixelWaveGAN(variables, theirs.shape[1]) if same else None
