"""A WaveGAN from its training checkpoint alone (`model.ckpt-N.index` and `.data-*`), without any graph: the shapes of
its variables say what it is, but for the length where seven layers make 32,768 or 65,536 samples.

The discriminator, ciwGAN's Q network and the optimizer's slots lie in the same file and are ignored.
"""

import re

import numpy as np
import tensorflow as tf

from models.files.errors import CheckpointError, first_line
from models.generator.layers import DENSE, DENSE_BIAS, FILTER, upconvolutions
from models.generator.readers.allow_list import MOST_BYTES, MOST_BYTES_A_CLIP, MOST_LATENT, check_declared
from models.generator.readers.arguments import ARGUMENTS, whole_number
from models.generator.readers.tf1 import DAMAGE

LENGTHS = {5: (16384,), 6: (32768, 65536)}  # samples, by the number of convolutions
ROWS = 16  # time steps after the dense layer
STRIDE = 4  # of every convolution but, where 32,768 samples come out, the last
NORMALISATION = ("gamma", "beta", "moving_mean", "moving_variance")
SLOTS = re.compile(r"/(Adam|RMSProp|Momentum|Adagrad|ExponentialMovingAverage)(_\d+)?$")
MOST_NAMED = 3  # variables that a message lists
MOST_TAPS = 2**14  # of a kernel or the filter


def read_wavegan(prefix, folder, num_samples=0):
    """The checkpoint `prefix` in `folder` → {variable name: array} of its generator, and the number of samples.

    num_samples: of its clips; 0: what the layers or args.txt in `folder` say. Raises CheckpointError, in one line, for
    a checkpoint without a WaveGAN's generator, and for a length that is not decided or cannot be.
    """
    try:
        reader = tf.train.load_checkpoint(prefix)
        shapes = reader.get_variable_to_shape_map()
        types = reader.get_variable_to_dtype_map()
    except DAMAGE as error:
        raise CheckpointError(f"{prefix}: not a readable checkpoint ({first_line(error)})") from error
    held = sorted(shapes)
    shapes = {name: shape for name, shape in shapes.items() if name.startswith("G/") and not SLOTS.search(name)}
    if not shapes:
        raise CheckpointError(
            f"{prefix}: a checkpoint of {', '.join(held[:MOST_NAMED])} …, without a WaveGAN's generator (G/z_project/…)"
        )
    count = _check_shapes(prefix, shapes)
    length = _length(prefix, folder, count, num_samples)
    total, variables = 0, {}
    for name, shape in shapes.items():
        total += check_declared(name, shape, types[name], prefix)
        if total > MOST_BYTES:
            raise CheckpointError(f"{prefix}: more than {MOST_BYTES >> 20} MiB of variables; no generator has")
        try:
            variables[name] = reader.get_tensor(name)
        except DAMAGE as error:
            raise CheckpointError(
                f"{prefix}: variable {name} cannot be read, the data file is cut or damaged"
            ) from error
        if variables[name].dtype.kind != "f" or not np.isfinite(variables[name]).all():
            raise CheckpointError(f"{prefix}: variable {name} is not finite")
    return variables, length


def _check_shapes(prefix, shapes):
    """The number of convolutions of a WaveGAN of variables {name: shape}. Raises CheckpointError where they are not one
    WaveGAN's, or where a clip would take more memory than a generator may."""
    layers = sorted({int(m[1]) for name in shapes if (m := re.match(r"G/upconv_(\d{1,3})/", name))})
    if layers != list(range(len(layers))) or len(layers) not in LENGTHS:
        raise CheckpointError(f"{prefix}: its generator has {len(layers)} layers upconv_…; a WaveGAN has 5 or 6")
    dense = shapes.get(DENSE, [])
    if len(dense) != 2 or not 0 < dense[0] <= MOST_LATENT or dense[1] % ROWS or not dense[1]:
        raise CheckpointError(f"{prefix}: {DENSE} has shape {dense}; a WaveGAN's is [k, 256 d]")
    channels = dense[1] // ROWS
    expected = {DENSE: dense, DENSE_BIAS: [dense[1]]}
    expected |= _normalisation(shapes, "G/z_project", channels)
    for i, layer in enumerate(upconvolutions(shapes)):
        nearest, kernel = layer.nearest, shapes.get(layer.kernel, [])
        if len(kernel) != (3 if nearest else 4) or not 0 < kernel[-3] <= MOST_TAPS:
            raise CheckpointError(f"{prefix}: {layer.kernel} has shape {kernel}, which is not a WaveGAN's")
        out = kernel[-1] if nearest else kernel[-2]
        expected[layer.kernel] = [kernel[0], channels, out] if nearest else [1, kernel[1], out, channels]
        expected[layer.bias] = [out]
        expected |= _normalisation(shapes, layer.scope, out)
        channels = out
        if ROWS * STRIDE ** (i + 1) * out * tf.float32.size > MOST_BYTES_A_CLIP:
            raise CheckpointError(f"{prefix}: {layer.kernel} has shape {kernel}, more than a generator may take")
    if FILTER in shapes:
        expected[FILTER] = [min([MOST_TAPS, *shapes[FILTER][:1]]), channels, 1]
    for name in sorted(expected | shapes):
        if shapes.get(name) != expected.get(name):
            described = f"has shape {shapes[name]}" if name in shapes else "is missing"
            wanted = f", where a WaveGAN has {expected[name]}" if name in expected else ", which a WaveGAN has not"
            raise CheckpointError(f"{prefix}: variable {name} {described}{wanted}")
    return len(layers)


def _normalisation(shapes, scope, channels):
    names = [f"{scope}/batch_normalization/{name}" for name in NORMALISATION]
    return dict.fromkeys(names, [channels]) if any(name in shapes for name in names) else {}


def _length(prefix, folder, count, num_samples):
    """Samples of a clip, for `count` convolutions. Raises CheckpointError where nothing decides it."""
    possible = LENGTHS[count]
    declared = whole_number(folder, "data_slice_len")
    said = " or ".join(f"{length:,}" for length in possible)
    for length, where in ((num_samples, "num_samples"), (declared, f"{folder / ARGUMENTS}: data_slice_len")):
        if length and length not in possible:
            raise CheckpointError(f"{where} is {length:,}; the {count} layers of {prefix} make {said} samples")
    if num_samples or declared:
        return num_samples or declared
    if len(possible) > 1:
        raise CheckpointError(
            f"{prefix}: its layers make {said} samples, and no {ARGUMENTS} beside it says which: set num_samples"
        )
    return possible[0]
