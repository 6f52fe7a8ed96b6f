"""The authors' weights: TensorFlow 2 object checkpoints of Keras 2, which Keras 3 does not load, read by the
names of their variables.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from models.files.errors import first_line
from models.networks.resnet import BLOCKS, block_names

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
NORM = ("gamma", "beta", "moving_mean", "moving_variance")
CONV = ("kernel", "bias")


def is_published(prefix):
    """True if a checkpoint with this prefix is there, such as classifier_checkpoint/model.ckpt: its .index file."""
    return Path(f"{prefix}.index").exists()


def _layer(names, layer, fields):
    return {f"{names}/{field}": getattr(layer, field) for field in fields}


def published_variables(network, depth=18):
    """The authors' name of each variable of a ResNet made by `models.networks.resnet.resnet`: {name: variable}, 122 of
    them for ResNet-18.
    """
    named = {}
    named |= _layer("conv1", network.get_layer("conv1"), CONV)
    named |= _layer("bn1", network.get_layer("bn1"), NORM)
    for name in block_names(depth):
        stage, index = name.split("_block")
        block, path = network.get_layer(name), f"{stage}/layer_with_weights-{index}"
        for i in range(1, block.depth + 1):
            named |= _layer(f"{path}/conv{i}", getattr(block, f"conv{i}"), CONV)
            named |= _layer(f"{path}/bn{i}", getattr(block, f"bn{i}"), NORM)
        if block.has_projection:
            named |= _layer(f"{path}/downsample/layer_with_weights-0", block.downsample_conv, CONV)
            named |= _layer(f"{path}/downsample/layer_with_weights-1", block.downsample_bn, NORM)
    return named | _layer("fc", network.get_layer("fc"), CONV)


def load_published_weights(network, prefix, depth=18):
    """Assigns the checkpoint's arrays to `network`, a ResNet made by `models.networks.resnet.resnet` with `real`
    features.

    prefix: path without .index and .data-…, for example classifier_checkpoint/model.ckpt. depth: of the network,
    18 as published. What else is in the checkpoint (save counter, optimizer slots) is ignored. Raises
    FileNotFoundError if its index or data file is not there, ValueError naming every missing or misshapen
    variable, for one that is not finite and for files that are no such checkpoint; then `network` is as it was.
    """
    if depth not in BLOCKS:
        raise ValueError(f"a ResNet has {', '.join(map(str, BLOCKS))} layers, not {depth!r}")
    folder = Path(prefix).parent
    for pattern in (f"{Path(prefix).name}.index", f"{Path(prefix).name}.data-*"):
        if not list(folder.glob(pattern)):
            raise FileNotFoundError(
                f"{folder / pattern}: not there; a checkpoint is an .index file and its .data file together"
            )
    wanted = published_variables(network, depth)
    try:
        checkpoint = tf.train.load_checkpoint(str(prefix))
        shapes = checkpoint.get_variable_to_shape_map()
        present = {name: shapes[name + SUFFIX] for name in wanted if name + SUFFIX in shapes}
    except (tf.errors.OpError, RuntimeError, ValueError, IndexError, KeyError) as error:
        raise ValueError(f"{prefix}: not a readable checkpoint ({first_line(error)})") from error
    wrong = [f"{name} is missing" for name in wanted if name not in present]
    wrong += [
        f"{name} is {list(shape)} where the network has {list(wanted[name].shape)}"
        for name, shape in present.items()
        if tuple(shape) != tuple(wanted[name].shape)
    ]
    if wrong:
        raise ValueError(f"{prefix}: not the weights of this ResNet-{depth}: {'; '.join(wrong)}")
    try:
        arrays = {name: checkpoint.get_tensor(name + SUFFIX) for name in present}  # no larger than the network's own
    except (tf.errors.OpError, RuntimeError, ValueError, IndexError) as error:  # IndexError: the data file ends early
        raise ValueError(f"{prefix}: not a readable checkpoint ({first_line(error)})") from error
    if unfit := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
        raise ValueError(f"{prefix}: {unfit[0]} is not finite")
    for name, array in arrays.items():
        wanted[name].assign(array)
