"""The frozen generator: a WaveGAN checkpoint, a frozen graph or a Keras model in, a differentiable function z → waveform out.

A recognised WaveGAN runs as sub-pixel convolutions (models/subpixel.py), several times faster on a CPU than TensorFlow's transposed convolutions;
what is not recognised runs as the graph that was given.
"""

import hashlib
import re
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from models.audio import PUBLISHED, Preparation
from models.errors import CheckpointError
from models.generator import Generator
from models.subpixel import blocked_conv, blocked_kernel, nearest_kernel, subpixel_conv, transposed_kernel
from models.tf1_graph import as_function, checkpoint_prefix, freeze, read_graph_def

BATCH_NORM_EPSILON = 1e-3  # WaveGAN's tf.layers.batch_normalization
FILTER_BLOCK = 64  # samples at once in the post-processing filter
TOLERANCE = 1e-5  # between the graph's output and the sub-pixel form's, by absolute sample
TRIALS = 3  # latent vectors that are compared at loading


class SubpixelWaveGAN(Generator):
    """A WaveGAN generator from its variables {name: array}: dense, ReLU, then one sub-pixel convolution a layer, tanh, perhaps a filter.

    Batch normalisation is folded into the kernels. Raises KeyError or ValueError for variables that are no WaveGAN's.
    """

    def __init__(self, variables, num_samples, sha256, preparation=PUBLISHED):
        variables = {name.removeprefix("G/"): value for name, value in variables.items()}
        layers = sorted({int(m[1]) for name in variables if (m := re.match(r"upconv_(\d+)/", name))})
        self._dense = [tf.constant(a) for a in _dense(variables)]
        strides = [4] * len(layers)
        if 16 * 4 ** len(layers) == 2 * num_samples:
            strides[-1] = 2  # version 2's 32,768 samples
        self._convolutions = [_convolution(variables, i, stride) for i, stride in zip(layers, strides)]
        taps = variables.get("pp_filt/conv1d/kernel")
        self._filter = None if taps is None else blocked_kernel(taps, FILTER_BLOCK)
        nearest = "upconv_0/conv1d/kernel" in variables
        parts = {
            "batch normalisation": "z_project/batch_normalization/gamma" in variables,
            "a post-processing filter": taps is not None,
            "nearest-neighbour upsampling": nearest,
        }
        extras = " and ".join(part for part, there in parts.items() if there)
        width = variables[f"upconv_0/{'conv1d' if nearest else 'conv2d_transpose'}/bias"].size // (8 if len(layers) == 5 else 16)
        description = f"WaveGAN of width {width}{extras and ' with ' + extras}, as sub-pixel convolutions"
        super().__init__(self._run, self._dense[0].shape[0], description, sha256, preparation)

    def first_layer(self, z):
        """z [n, latent_dim] → what the first layer makes of it, after its ReLU: [n, 16, 16d]."""
        return tf.nn.relu(tf.reshape(z @ self._dense[0] + self._dense[1], (-1, 16, self._dense[0].shape[1] // 16)))

    def _run(self, z):
        return self.from_first_layer(self.first_layer(z))

    def from_first_layer(self, x):
        """x [n, 16, 16d], of `first_layer` or near it → waveforms [n, num_samples, num_channels]."""
        for kernel, padding, bias, stride in self._convolutions[:-1]:
            x = tf.nn.relu(subpixel_conv(x, kernel, padding, stride) + bias)  # [n, 64, 8d], [n, 256, 4d], [n, 1024, 2d], [n, 4096, d]
        kernel, padding, bias, stride = self._convolutions[-1]
        return self._filtered(tf.tanh(subpixel_conv(x, kernel, padding, stride) + bias))  # [n, num_samples, channels]

    def _filtered(self, x):
        return x if self._filter is None else blocked_conv(x, *self._filter, FILTER_BLOCK)

    def jacobian(self, z, smoothing):
        """As `Generator.jacobian`; layer by layer, so that the waveform itself is computed once a latent vector and not once a tangent.

        A ReLU network is a plane in each of countless small cells, and its derivative holds in one cell only. For steps that cross many cells the
        derivative of the mean over z + smoothing * noise is the better guide. To first order a unit's input is then normal, with the deviation
        smoothing * |its tangents|, and the unit is on with the probability that this input is positive: that replaces on or off.
        """
        z = tf.convert_to_tensor(z, tf.float32)
        smoothing = tf.cast(smoothing, tf.float32)[:, None, None]
        n, k = tf.shape(z)[0], self.latent_dim

        def onto_tangents(tangents, factor):
            """tangents [n k, length, c] times factor [n, length, c]."""
            return tf.reshape(tf.reshape(tangents, (n, k, *tangents.shape[1:])) * factor[:, None], tf.shape(tangents))

        def probability_on(x, tangents):
            """x [n, length, c] and its tangents → the share of the noise for which x is positive."""
            deviation = smoothing * tf.norm(tf.reshape(tangents, (n, k, *tangents.shape[1:])), axis=1)
            return tf.where(deviation > 0, 0.5 * (1 + tf.math.erf(x / (np.sqrt(2) * deviation + 1e-20))), tf.cast(x > 0, tf.float32))

        kernel, bias = self._dense
        x = tf.reshape(z @ kernel + bias, (n, 16, kernel.shape[1] // 16))
        t = tf.tile(tf.reshape(kernel, (k, 16, kernel.shape[1] // 16)), [n, 1, 1])
        for kernel, padding, bias, stride in self._convolutions:
            t = onto_tangents(t, probability_on(x, t))
            x = subpixel_conv(tf.nn.relu(x), kernel, padding, stride) + bias
            t = subpixel_conv(t, kernel, padding, stride)
        x = tf.tanh(x)
        t = self._filtered(onto_tangents(t, 1 - x**2))
        size = self.num_samples * self.num_channels
        return tf.reshape(self._filtered(x), (n, size)), tf.reshape(t, (n, k, size))


def _normalisation(variables, scope):
    """Batch normalisation of the moving statistics as (scale, shift), by channel; 1 and 0 where there is none."""
    if f"{scope}/batch_normalization/gamma" not in variables:
        return np.float32(1), np.float32(0)
    gamma, beta, mean, variance = (variables[f"{scope}/batch_normalization/{n}"] for n in ("gamma", "beta", "moving_mean", "moving_variance"))
    scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
    return scale, beta - mean * scale


def _dense(variables):
    kernel, bias = variables["z_project/dense/kernel"], variables["z_project/dense/bias"]
    scale, shift = _normalisation(variables, "z_project")  # over the channels after the reshape to [16, channels]
    scale, shift = (np.tile(a, 16) if np.ndim(a) else a for a in (scale, shift))
    return kernel * scale, bias * scale + shift


def _convolution(variables, i, stride):
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
    return kernel, padding, tf.constant(bias * scale + shift), stride


def fingerprint(variables):
    """SHA-256 of {name: array}: names, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(variables):
        digest.update(f"{name} {variables[name].shape} ".encode() + np.ascontiguousarray(variables[name]).tobytes())
    return digest.hexdigest()


def _recognised(graph_generator, variables):
    """The sub-pixel form of a graph if its variables are a WaveGAN's and its output is the graph's, else None."""
    try:
        fast = SubpixelWaveGAN(variables, graph_generator.num_samples, graph_generator.sha256, graph_generator.preparation)
    except (KeyError, ValueError, IndexError, tf.errors.InvalidArgumentError):
        return None
    z = np.random.default_rng(0).uniform(-1, 1, (TRIALS, graph_generator.latent_dim)).astype(np.float32)
    ours, theirs = fast(z).numpy(), graph_generator(z).numpy()
    return fast if ours.shape == theirs.shape and np.abs(ours - theirs).max() <= TOLERANCE * max(1.0, np.abs(theirs).max()) else None


def load_wavegan(folder, *, subpixel=True):
    """Loads the one generator in `folder`: infer.meta with model.ckpt.* (WaveGAN's names; also a training run's folder), a .pb, or a .keras file.

    subpixel: False keeps the frozen graph even of a WaveGAN that is recognised.
    Returns a Generator. Raises CheckpointError, in one line, for a folder without a generator, with several, or with half of one.
    """
    folder = Path(folder)
    metas = [p for p in (folder / "infer.meta", folder / "infer" / "infer.meta") if p.exists()][:1]
    found = metas + sorted(folder.glob("*.pb")) + sorted(folder.glob("*.keras"))
    if not found:
        if list(folder.glob("model.ckpt*.index")):
            raise CheckpointError(f"{folder}/infer.meta: not there, only half of the generator is; README.md says where to get it")
        raise CheckpointError(f"{folder}: no generator there (infer.meta and model.ckpt.*, a .pb or a .keras file); README.md says where to get one")
    if len(found) > 1:
        raise CheckpointError(f"{folder}: several generators there ({', '.join(p.name for p in found)}); leave one")
    path = found[0]
    try:
        preparation = Preparation.read(folder / "clip.json")
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    if path.suffix == ".keras":
        return _load_keras(path, preparation)
    graph, variables = freeze(path, checkpoint_prefix(folder)) if metas else (read_graph_def(path), {})
    function, latent_dim = as_function(graph, path)
    sha256 = fingerprint(variables or {path.name: np.frombuffer(path.read_bytes(), np.uint8)})
    generator = Generator(function, latent_dim, f"frozen graph {path.name}", sha256, preparation)
    return (_recognised(generator, variables) if subpixel and variables else None) or generator


def _load_keras(path, preparation):
    try:
        model = keras.models.load_model(path, compile=False)
    except (ValueError, OSError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path}: not a Keras model that loads ({str(error).splitlines()[0]})") from error
    shape = model.input_shape
    if not (isinstance(shape, tuple) and len(shape) == 2 and shape[1]):
        raise CheckpointError(f"{path}: its input has shape {shape}; a generator takes latent vectors [n, latent_dim]")
    sha256 = fingerprint({f"{i} {v.path}": v.numpy() for i, v in enumerate(model.variables)})
    return Generator(lambda z: model(z, training=False), shape[1], f"Keras model {path.name}", sha256, preparation)
