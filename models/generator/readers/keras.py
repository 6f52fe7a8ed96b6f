"""A Keras model as a generator, from a `.keras` or `.h5` file that may come from a stranger.

Such a file is a zip of a configuration and an HDF5 file of arrays. Keras refuses code in it (its safe mode); what it
does not look at is size, so the model is first built as a description only, in a graph that allocates nothing, and
measured.
"""

import io
import json
import tempfile
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf

from models.files.errors import CheckpointError, first_line
from models.files.hashing import fingerprint
from models.generator.generator import Generator
from models.generator.inputs import Input, told_apart
from models.generator.labelled import LabelInput, LabelledGenerator
from models.generator.readers.allow_list import MOST_BYTES, MOST_BYTES_A_CLIP
from models.generator.readers.keras2 import SAVED, configuration_of, converted, fill

PARTS = ("metadata.json", "config.json", "model.weights.h5")
FLOAT_BYTES = 4


def _contents(path):
    """{name: bytes} of the three parts of a `.keras` file. Raises CheckpointError for any other file, and for parts
    that are too large.
    """
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


def _check_arrays(file, path):
    """Raises CheckpointError if an HDF5 file, open or as bytes, holds arrays that are too large once they are read, or
    that lie in other files.
    """
    total = 0

    def elsewhere(name, link):
        return None if isinstance(link, h5py.HardLink) else name  # h5py loses an error that is raised here

    def check(name, item):
        nonlocal total
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise CheckpointError(f"{path}: its array {name} lies in another file")
            total += item.nbytes
            if total > MOST_BYTES:
                raise CheckpointError(f"{path}: its arrays are larger than {MOST_BYTES >> 20} MiB; no generator's are")

    try:
        with h5py.File(file, "r") as opened:
            if name := opened.visititems_links(elsewhere):
                raise CheckpointError(f"{path}: its array {name} lies elsewhere")
            opened.visititems(check)
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
    with open(path, "rb") as file:
        contents = None if file.read(4) == b"\x89HDF" else _contents(path)
    if contents is None and path.stat().st_size > MOST_BYTES:
        raise CheckpointError(f"{path}: larger than {MOST_BYTES >> 20} MiB; no generator is")
    arrays = path if contents is None else io.BytesIO(contents["model.weights.h5"])
    _check_arrays(arrays, path)
    version = ""
    try:
        with h5py.File(arrays, "r") as file:
            configuration = json.loads(contents["config.json"]) if contents else configuration_of(file, path)
            version = str(json.loads(contents["metadata.json"]).get("keras_version") if contents else "2")
            if not version.startswith("2"):
                return _of_keras_3(configuration, contents["model.weights.h5"], path)
            described = _for_any_number(converted(configuration, path))
            _check_sizes(json.dumps(described), path)
            model = keras.models.model_from_json(json.dumps(described))
            fill(model, configuration, file, path)
            return model
    except CheckpointError:
        raise
    except Exception as error:  # whatever a stranger's configuration makes Keras raise
        if version.startswith("2"):
            why = f"of Keras {version}, which cannot be read here ({first_line(error)})"
            raise CheckpointError(f"{path}: {why}; {SAVED}") from error
        raise CheckpointError(f"{path}: not a Keras model that loads ({first_line(error)})") from error


def _of_keras_3(configuration, content, path):
    configuration = json.dumps(_for_any_number(configuration))
    _check_sizes(configuration, path)
    model = keras.models.model_from_json(configuration)
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "model.weights.h5").write_bytes(content)
        model.load_weights(Path(place) / "model.weights.h5")
    return model


def _for_any_number(item):
    """A configuration whose inputs are for any number of clips, whatever number they are for."""
    if isinstance(item, dict):
        shape = item.get("batch_shape") if isinstance(item.get("batch_shape"), list) else None
        return {key: [None, *shape[1:]] if shape and key == "batch_shape" else _for_any_number(value)
                for key, value in item.items()}  # fmt: skip
    return [_for_any_number(value) for value in item] if isinstance(item, list) else item


def load_keras(path, preparation, latent="", output="", inputs=None):
    """The Generator of a `.keras` file, or the LabelledGenerator of one with two inputs. Raises CheckpointError, in one
    line, for a file that is damaged, too large, or no generator, and for any output.

    latent: the latent vector, of several inputs. inputs: what the others are (models/generator/inputs.py).
    """
    if output:
        raise CheckpointError(f"{path}: a Keras model's only output is taken, without its name")
    model = _loaded(path)
    takes = [Input(t.name, tuple(t.shape[1:]), tf.as_dtype(t.dtype), t.shape[0]) for t in model.inputs]
    roles = told_apart(takes, latent, inputs)
    arrays = {f"{i} {v.path}": v.numpy() for i, v in enumerate(model.variables)}
    if wrong := [name for name, array in arrays.items() if array.dtype.kind == "f" and not np.isfinite(array).all()]:
        raise CheckpointError(f"{path}: its weights {wrong[0].partition(' ')[2]} are not finite")
    known = (f"Keras model {path.name}", fingerprint(arrays), preparation)
    try:

        def function(*values):
            return model(list(values) if len(values) > 1 else values[0], training=False)

        function = roles.joined(function, [item.name for item in takes])
        if roles.label is None:
            generator = Generator(function, roles.latent_dim, *known)
        else:
            label = LabelInput(roles.label.name, roles.label.sizes, roles.label.dtype)
            generator = LabelledGenerator(function, roles.latent_dim, label, *known)
        generator.__dict__["model"] = model  # keeps its variables alive
        return generator
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"{path}: its model does not run on latent vectors [n, {roles.latent_dim}] ({first_line(error)})"
        ) from error
