"""Models of Keras 2, in `.h5` and `.keras`, written here as it writes them, against the same layers of Keras 3."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from models.files.errors import CheckpointError
from models.generator.loading import load_generator

LATENT = 6
RNG = np.random.default_rng(0)
USUAL = {"trainable": True, "dtype": "float32"}
ZEROS = {"module": "keras.initializers", "class_name": "Zeros", "config": {}, "registered_name": None}


def layer(kind, *shapes, **config):
    """(kind, configuration, arrays) of one layer."""
    arrays = [np.abs(RNG.normal(0, 0.4, shape)).astype("f") + 0.01 for shape in shapes[3:]]
    return kind, USUAL | config, [RNG.normal(0, 0.4, shape).astype("f") for shape in shapes[:3]] + arrays


def stack():
    """A Sequential model's layers: what most small audio GANs are made of."""
    convolution = {"kernel_size": [9], "strides": [4], "padding": "same", "data_format": "channels_last", "groups": 1,
                   "output_padding": None, "dilation_rate": [1], "kernel_initializer": ZEROS}  # fmt: skip
    normal = {"axis": [2], "momentum": 0.99, "epsilon": 1e-3, "center": True, "scale": True}
    return [
        layer("Dense", (LATENT, 64), (64,), units=64, activation="linear", use_bias=True, kernel_regularizer=None),
        layer("Reshape", target_shape=[16, 4]),
        layer("BatchNormalization", (4,), (4,), (4,), (4,), **normal),
        layer("LeakyReLU", alpha=0.3),
        layer("Conv1DTranspose", (9, 3, 4), filters=3, activation="relu", use_bias=False, **convolution),
        layer("Conv1DTranspose", (9, 1, 3), (1,), filters=1, activation="tanh", use_bias=True, **convolution),
    ]


def described(layers):
    """The configuration as Keras 2 writes it."""
    counts, entries = {}, [
        {"class_name": "InputLayer", "config": {"batch_input_shape": [None, LATENT], "dtype": "float32",
                                                "sparse": False, "ragged": False, "name": "input_1"}}
    ]  # fmt: skip
    for kind, config, _ in layers:
        counts[kind] = counts.get(kind, -1) + 1
        entries.append({"class_name": kind, "config": config | {"name": f"{kind.lower()}_{counts[kind]}"}})
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": entries}}


def write_h5(path, layers, configuration=None):
    configuration = configuration or described(layers)
    with h5py.File(path, "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(configuration), "2.15.0"
        weights = file.create_group("model_weights")
        for entry, (_, _, arrays) in zip(configuration["config"]["layers"][1:], layers):
            group = weights.create_group(entry["config"]["name"])
            names = [f"{entry['config']['name']}/{i}:0" for i in range(len(arrays))]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, array in zip(names, arrays):
                group[name] = array


def write_keras(path, layers):
    counts, buffer = {}, io.BytesIO()
    snake = {"Dense": "dense", "Reshape": "reshape", "BatchNormalization": "batch_normalization",
             "LeakyReLU": "leaky_re_lu", "Conv1DTranspose": "conv1d_transpose"}  # fmt: skip
    with h5py.File(buffer, "w") as file:
        for kind, _, arrays in layers:
            counts[kind] = counts.get(kind, -1) + 1
            name = snake[kind] + (f"_{counts[kind]}" if counts[kind] else "")
            file.create_group(f"_layer_checkpoint_dependencies/{name}/vars")
            for i, array in enumerate(arrays):
                file[f"_layer_checkpoint_dependencies/{name}/vars/{i}"] = array
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        archive.writestr("config.json", json.dumps(described(layers)))
        archive.writestr("model.weights.h5", buffer.getvalue())


def expected(layers, z):
    """What the same layers of Keras 3 make."""
    model = keras.Sequential([
        keras.Input((LATENT,)), keras.layers.Dense(64), keras.layers.Reshape((16, 4)),
        keras.layers.BatchNormalization(), keras.layers.LeakyReLU(0.3),
        keras.layers.Conv1DTranspose(3, 9, 4, "same", activation="relu", use_bias=False),
        keras.layers.Conv1DTranspose(1, 9, 4, "same", activation="tanh"),
    ])  # fmt: skip
    model.set_weights([array for _, _, arrays in layers for array in arrays])
    return model(z).numpy()


@pytest.mark.filterwarnings("error:Argument")  # of Keras, about names of Keras 2
@pytest.mark.parametrize("name, write", [("G.h5", write_h5), ("G.keras", write_keras)])
def test_it_is_read_as_data(tmp_path, name, write):
    layers = stack()
    write(tmp_path / name, layers)
    generator = load_generator(tmp_path)
    z = np.random.default_rng(1).uniform(-1, 1, (2, LATENT)).astype("f")
    assert generator.smooths and np.abs(generator(z) - expected(layers, z)).max() < 256 * np.finfo(np.float32).eps


def refused(folder, words):
    with pytest.raises(CheckpointError, match=words) as error:
        load_generator(folder)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)


def test_what_keras_3_would_do_otherwise_is_refused_by_name(tmp_path):
    def changed(i, kind=None, **config):
        layers = stack()
        layers[i] = (kind or layers[i][0], layers[i][1] | config, layers[i][2])
        write_h5(tmp_path / "G.h5", layers)
        return tmp_path

    refused(
        changed(4, groups=2), r"its layer conv1dtranspose_0 \(Conv1DTranspose\) has groups 2, which Keras 3 does not"
    )
    refused(changed(3, "Lambda", function=["4wEAAAAA", None, None]), "its layer Lambda is none of Keras's own, or runs")
    refused(changed(3, "TFOpLambda", function="math.tanh"), "its layer TFOpLambda is none of Keras's own")
    refused(changed(3, "os.system"), "its layer os.system is none")
    refused(changed(5, kernel_size=[7]), "its arrays of the layer conv1dtranspose_1 are not of the shapes that it has")
    refused(changed(0, units=2**31), "too much for a generator|cannot be read here|not of the shapes")


def test_weights_alone_and_arrays_elsewhere(tmp_path):
    write_h5(tmp_path / "G.h5", stack())
    with h5py.File(tmp_path / "G.h5", "a") as file:
        del file.attrs["model_config"]
    refused(tmp_path, "weights without their network; where it was made, model.save writes both")
    write_h5(tmp_path / "G.h5", stack())
    with h5py.File(tmp_path / "G.h5", "a") as file:
        del file["model_weights/dense_0/dense_0/0:0"]
        file["model_weights/dense_0/dense_0/0:0"] = h5py.ExternalLink("other.h5", "x")
    refused(tmp_path, "lies elsewhere")
    (tmp_path / "G.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    refused(tmp_path, "its weights are damaged")
