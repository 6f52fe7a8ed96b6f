"""The frozen generator: a WaveGAN checkpoint, a frozen graph or a Keras model in, a differentiable function z →
waveform out.

A recognised WaveGAN runs as sub-pixel convolutions (models/generator/subpixel.py), several times faster on a CPU than
TensorFlow's transposed convolutions; what is not recognised runs as the graph that was given.
"""

import json
import re

import numpy as np
import tensorflow as tf

from models.audio.preparation import USUAL_RATE, Preparation
from models.files.errors import CheckpointError, first_line
from models.files.file_set import read_together
from models.files.hashing import fingerprint
from models.generator.generator import Generator
from models.generator.jacobian.graph_walk import GraphWalk
from models.generator.readers.arguments import ARGUMENTS, trained_rate
from models.generator.readers.keras import load_keras
from models.generator.readers.tf1 import DAMAGE, as_function, checkpoint_prefix, freeze, read_graph_def
from models.generator.subpixel import blocked_conv, blocked_kernel, nearest_kernel, subpixel_conv, transposed_kernel

BATCH_NORM_EPSILON = 1e-3  # WaveGAN's tf.layers.batch_normalization
FILTER_BLOCK = 64  # samples at once in the post-processing filter
SAME = float(
    np.sqrt(np.finfo(np.float64).eps)
)  # largest difference, relative to the largest sample, of one function in two forms in float64
TRIALS = 3  # latent vectors that are compared at loading


class SubpixelWaveGAN:
    """A WaveGAN generator from its variables {name: array}: dense, ReLU, then one sub-pixel convolution a layer, tanh,
    perhaps a filter.

    Batch normalisation is folded into the kernels, in float64. description: what it is, for people. Called on z [n,
    latent_dim] of `dtype`, it returns waveforms [n, num_samples, num_channels]. Raises KeyError or ValueError for
    variables that are no WaveGAN's.
    """

    def __init__(self, variables, num_samples, dtype=tf.float32):
        variables = {name.removeprefix("G/"): np.asarray(value, np.float64) for name, value in variables.items()}
        layers = sorted({int(m[1]) for name in variables if (m := re.match(r"upconv_(\d+)/", name))})
        self._dense = [tf.constant(a, dtype) for a in _dense(variables)]
        strides = [4] * len(layers)
        if 16 * 4 ** len(layers) == 2 * num_samples:
            strides[-1] = 2  # version 2's 32,768 samples
        self._convolutions = [_convolution(variables, i, stride, dtype) for i, stride in zip(layers, strides)]
        taps = variables.get("pp_filt/conv1d/kernel")
        self._filter = None
        if taps is not None:
            kernel, padding = blocked_kernel(taps, FILTER_BLOCK)
            self._filter = tf.cast(kernel, dtype), padding
        nearest = "upconv_0/conv1d/kernel" in variables
        parts = {
            "batch normalisation": "z_project/batch_normalization/gamma" in variables,
            "a post-processing filter": taps is not None,
            "nearest-neighbour upsampling": nearest,
        }
        extras = " and ".join(part for part, there in parts.items() if there)
        width = variables[f"upconv_0/{'conv1d' if nearest else 'conv2d_transpose'}/bias"].size // (
            8 if len(layers) == 5 else 16
        )
        self.description = f"WaveGAN of width {width}{extras and ' with ' + extras}, as sub-pixel convolutions"

    def first_layer(self, z):
        """z [n, latent_dim] → what the first layer makes of it, after its ReLU: [n, 16, 16d]."""
        kernel, bias = self._dense
        return tf.nn.relu(tf.reshape(z @ kernel + bias, (-1, 16, kernel.shape[1] // 16)))

    def __call__(self, z):
        return self.from_first_layer(self.first_layer(z))

    def from_first_layer(self, x):
        """x [n, 16, 16d], of `first_layer` or near it → waveforms [n, num_samples, num_channels]."""
        for kernel, padding, bias, stride in self._convolutions[:-1]:
            x = tf.nn.relu(
                subpixel_conv(x, kernel, padding, stride) + bias
            )  # [n, 64, 8d], [n, 256, 4d], [n, 1024, 2d], [n, 4096, d]
        kernel, padding, bias, stride = self._convolutions[-1]
        x = tf.tanh(subpixel_conv(x, kernel, padding, stride) + bias)  # [n, num_samples, channels]
        return x if self._filter is None else blocked_conv(x, *self._filter, FILTER_BLOCK)


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
    kernel, bias = variables["z_project/dense/kernel"], variables["z_project/dense/bias"]
    scale, shift = _normalisation(variables, "z_project")  # over the channels after the reshape to [16, channels]
    scale, shift = (np.tile(a, 16) if np.ndim(a) else a for a in (scale, shift))
    return kernel * scale, bias * scale + shift


def _convolution(variables, i, stride, dtype):
    """Layer i as (sub-pixel kernel, padding, bias, stride)."""
    scale, shift = _normalisation(variables, f"upconv_{i}")
    nearest = f"upconv_{i}/conv1d/kernel" in variables
    scope = f"upconv_{i}/" + ("conv1d" if nearest else "conv2d_transpose")
    kernel, bias = variables[f"{scope}/kernel"], variables[f"{scope}/bias"]
    if nearest:
        kernel, padding = nearest_kernel(tf.constant(kernel * scale), stride)
    else:
        kernel = kernel[0] * (scale[:, None] if np.ndim(scale) else scale)  # [kernel, out, in]
        kernel, padding = transposed_kernel(tf.constant(kernel), stride)
    return tf.cast(kernel, dtype), padding, tf.constant(bias * scale + shift, dtype), stride


def recognised(function, variables):
    """The sub-pixel form of a tf.ConcreteFunction if `variables` {name: array} are a WaveGAN's and both are the same
    function, else None.

    The two are compared in float64, where the same function differs by rounding only and any other one differs by far
    more.
    """
    z = np.random.default_rng(0).uniform(-1, 1, (TRIALS, function.inputs[0].shape[1])).astype(np.float32)
    try:
        theirs = GraphWalk(function).compiled(tf.float64)(z).numpy()
        ours = SubpixelWaveGAN(variables, theirs.shape[1], tf.float64)(tf.constant(z, tf.float64)).numpy()
    except (KeyError, ValueError, IndexError, tf.errors.InvalidArgumentError):
        return None
    same = ours.shape == theirs.shape and np.abs(ours - theirs).max() <= SAME * np.abs(theirs).max()
    return SubpixelWaveGAN(variables, theirs.shape[1]) if same else None


def load_wavegan(folder, *, subpixel=True, differentiated=True):
    """Loads the one generator in `folder`: infer.meta with model.ckpt.* (WaveGAN's names; also a training run's
    folder), a .pb, or a .keras file.

    subpixel: False keeps the frozen graph even of a WaveGAN that is recognised. differentiated: False does not check
    the derivative of a recognised WaveGAN, for whoever wants its sounds only. Returns a Generator. Raises
    CheckpointError, in one line, for a folder without a generator, with several, or with half of one, and for one that
    cannot be used: damaged, not finite, no function of its latent vector alone, without a derivative, or doing more
    than to compute.
    """
    return read_together(folder, lambda place: _load(place, subpixel, differentiated))


def _load(folder, subpixel, differentiated):
    metas = [p for p in (folder / "infer.meta", folder / "infer" / "infer.meta") if p.exists()][:1]
    found = metas + sorted(folder.glob("*.pb")) + sorted(folder.glob("*.keras"))
    if not found:
        if list(folder.glob("model.ckpt*.index")):
            raise CheckpointError(f"{folder}/infer.meta: not there, only half of the generator is")
        raise CheckpointError(f"{folder}: no generator there (infer.meta and model.ckpt.*, a .pb or a .keras file)")
    if len(found) > 1:
        raise CheckpointError(f"{folder}: several generators there ({', '.join(p.name for p in found)})")
    path = found[0]
    try:
        rate = trained_rate(folder)
        preparation, belongs_to = Preparation.read(folder / "clip.json", rate or USUAL_RATE)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    try:
        if path.suffix == ".keras":
            generator = load_keras(path, preparation)
        else:
            generator = _load_graph(
                path, checkpoint_prefix(folder) if metas else None, subpixel, preparation, differentiated
            )
    except CheckpointError as error:
        raise CheckpointError(str(error) if str(folder) in str(error) else f"{path}: {error}") from error
    except DAMAGE as error:
        raise CheckpointError(f"{path}: damaged, what it describes cannot be run ({first_line(error)})") from error
    if belongs_to and belongs_to != generator.sha256:
        generator.preparation = Preparation(sample_rate=rate or USUAL_RATE)
        generator.warnings += (
            f"{folder / 'clip.json'} belongs to another generator and is ignored; clips are prepared as published",
        )
    elif rate and rate != generator.sample_rate:
        generator.warnings += (
            f"{folder / ARGUMENTS} says {rate:,} Hz, clip.json {generator.sample_rate:,}; clip.json counts",
        )
    generator.rate_is_known = bool(rate or belongs_to == generator.sha256 or _names_a_rate(folder / "clip.json"))
    return generator


def _names_a_rate(path):
    """True for a clip.json with a sample rate."""
    return path.exists() and "sample_rate" in json.loads(path.read_text())


def _load_graph(path, prefix, subpixel, preparation, differentiated):
    """A MetaGraph with its checkpoint, or a frozen graph where prefix is None."""
    graph, variables = freeze(path, prefix) if prefix else read_graph_def(path)
    function = as_function(graph, path)
    if (
        not prefix
    ):  # a WaveGAN's variables keep their names when they are frozen, and so does the generator its fingerprint
        variables = {name: value for name, value in variables.items() if name.startswith("G/")} or variables
    latent_dim, sha256 = function.inputs[0].shape[1], fingerprint(variables)
    fast = recognised(function, variables) if subpixel else None
    if fast:
        return Generator(fast, latent_dim, fast.description, sha256, preparation, differentiated)
    return Generator(function, latent_dim, f"frozen graph {path.name}", sha256, preparation)
