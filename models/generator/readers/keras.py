"""A Keras model as a generator, from a `.keras` file that may come from a stranger.

Such a file is a zip of a configuration and an HDF5 file of arrays. Keras refuses code in it (its safe mode); what it
does not look at is size, so the model is first built as a description only, in a graph that allocates nothing, and
measured.
"""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import tensorflow as tf

from models.files.errors import CheckpointError, first_line
from models.files.hashing import fingerprint
from models.generator.generator import Generator
from models.generator.labelled import LabelInput, LabelledGenerator
from models.generator.readers.allow_list import MOST_BYTES, MOST_BYTES_A_CLIP, MOST_LATENT

PARTS = ("metadata.json", "config.json", "model.weights.h5")
FLOAT_BYTES = 4
KERAS_2 = "where it was made, call tf.saved_model.save(model, 'generator') and put that folder in its place"


def _contents(path):
    """{name: bytes} of the three parts of a `.keras` file. Raises CheckpointError for any other file, and for parts
    that are too large.
    """
    with open(path, "rb") as file:
        if file.read(4) == b"\x89HDF":
            raise CheckpointError(f"{path}: an HDF5 file, as Keras 2 writes it; {KERAS_2}")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
            if missing := [name for name in PARTS if name not in sizes]:
                raise CheckpointError(f"{path}: not a Keras model, there is no {missing[0]} in it")
            if sum(sizes[name] for name in PARTS) > MOST_BYTES:
                raise CheckpointError(f"{path}: unpacked it is larger than {MOST_BYTES >> 20} MiB; no generator is")
            return {name: archive.read(name) for name in PARTS}
    except CheckpointError:
        raise
    except Exception as error:
        # A damaged zip file raises BadZipFile, zlib.error, EOFError, NotImplementedError, and more.
        raise CheckpointError(f"{path}: not a Keras model, or damaged ({first_line(error)})") from error


def _check_arrays(content, path):
    """Raises CheckpointError if the HDF5 file holds arrays that are too large once they are read, or that lie in other
    files.
    """
    total = 0

    def check(name, item):
        nonlocal total
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise CheckpointError(f"{path}: its array {name} lies in another file")
            total += item.nbytes
            if total > MOST_BYTES:
                raise CheckpointError(f"{path}: its arrays are larger than {MOST_BYTES >> 20} MiB; no generator's are")

    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            file.visititems(check)
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"{path}: its weights are damaged ({first_line(error)})") from error


def _layers(model):
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def _check_sizes(configuration, path):
    """Builds the model as a description and raises CheckpointError if its variables, or one layer's output for one
    clip, are too large.
    """
    with tf.Graph().as_default():
        model = keras.models.model_from_json(configuration)
        weights = sum(FLOAT_BYTES * int(np.prod(variable.shape, dtype=object)) for variable in model.variables)
        outputs = [
            tensor
            for layer in _layers(model)
            if getattr(layer, "_inbound_nodes", None)
            for tensor in keras.tree.flatten(layer.output)
        ]
        largest = max(
            (FLOAT_BYTES * int(np.prod([size or 1 for size in tensor.shape], dtype=object)) for tensor in outputs),
            default=0,
        )
    if weights > MOST_BYTES or largest > MOST_BYTES_A_CLIP:
        raise CheckpointError(
            f"{path}: {weights >> 20} MiB of weights, {largest >> 20} MiB in one layer: too much for a generator"
        )


def _loaded(path):
    """The Keras model in a file, checked before it is built. Raises CheckpointError."""
    contents = _contents(path)
    _check_arrays(contents["model.weights.h5"], path)
    version = ""
    try:
        version = str(json.loads(contents["metadata.json"]).get("keras_version"))
        _check_sizes(contents["config.json"].decode(), path)
        return keras.models.load_model(path, compile=False)
    except CheckpointError:
        raise
    except Exception as error:  # whatever a stranger's configuration makes Keras raise
        if version.startswith("2."):
            why = f"written by Keras {version}, which Keras {keras.__version__} cannot load"
            raise CheckpointError(f"{path}: {why}; {KERAS_2}") from error
        raise CheckpointError(f"{path}: not a Keras model that loads ({first_line(error)})") from error


def load_keras(path, preparation, input_name="", output_name=""):
    """The Generator of a `.keras` file, or the LabelledGenerator of one with two inputs. Raises CheckpointError, in one
    line, for a file that is damaged, of Keras 2, too large, or no generator, and for any output_name.

    input_name: of two inputs, the latent vector; by default the one of floating-point numbers that is longer.
    """
    if output_name:
        raise CheckpointError(f"{path}: a Keras model's only output is taken, without its name")
    model = _loaded(path)
    latent, label = _inputs(model, path, input_name)
    arrays = {f"{i} {v.path}": v.numpy() for i, v in enumerate(model.variables)}
    if wrong := [name for name, array in arrays.items() if array.dtype.kind == "f" and not np.isfinite(array).all()]:
        raise CheckpointError(f"{path}: its weights {wrong[0].partition(' ')[2]} are not finite")
    latent_dim, known = latent.shape[1], (f"Keras model {path.name}", fingerprint(arrays), preparation)
    try:
        if label is None:
            return Generator(lambda z: model(z, training=False), latent_dim, *known)
        second = LabelInput(label.name, tuple(label.shape[1:]), tf.as_dtype(label.dtype))
        order = [model.inputs.index(tensor) for tensor in (latent, label)]

        def function(*inputs):
            return model([inputs[i] for i in order], training=False)  # a pair's order is its own inverse

        return LabelledGenerator(function, latent_dim, second, *known)
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"{path}: its model does not run on latent vectors [n, {latent_dim}] ({first_line(error)})"
        ) from error


def _inputs(model, path, input_name):
    """The latent vector and the label, or None, among a model's inputs."""
    inputs = sorted(model.inputs, key=lambda tensor: (tensor.dtype.startswith("float"), tensor.shape[1:]))[::-1]
    if len(inputs) == 2 and input_name:
        inputs = sorted(inputs, key=lambda tensor: tensor.name != input_name)
    shown = ", ".join(f"{tensor.name} {tuple(tensor.shape)}" for tensor in model.inputs)
    if input_name and input_name not in [tensor.name for tensor in inputs]:
        raise CheckpointError(f"{path}: no input is called {input_name}; there is {shown}")
    latent = inputs[0]
    if len(inputs) > 2 or len(latent.shape) != 2 or not latent.shape[1] or latent.shape[1] > MOST_LATENT:
        raise CheckpointError(
            f"{path}: its input is {shown}; a generator takes latent vectors [n, latent_dim], and a label at most"
        )
    if (
        len(inputs) == 2
        and not input_name
        and inputs[0].shape == inputs[1].shape
        and inputs[0].dtype == inputs[1].dtype
    ):
        raise CheckpointError(f"{path}: its inputs are {shown}: set latent to the name of the latent vector")
    return latent, inputs[1] if len(inputs) == 2 else None
