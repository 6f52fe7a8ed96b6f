"""Generators in SavedModels, which are read as data, and files of which the loader only says what they are."""

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from tf1_graphs import LATENT, dense, write_pb

from models.files.errors import CheckpointError
from models.generator.generator import random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, latent_mse
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.recover import recover

layers = keras.layers
LABELS = 4


def network(label=False):
    """A Keras generator of 128 samples: two layers of the same name inside, batch normalisation, a transposed
    convolution."""
    inputs = [keras.Input((LATENT,), name="noise")]
    x = inputs[0]
    if label:
        inputs.append(keras.Input((1,), name="word", dtype="int32"))
        x = layers.Concatenate()([x, layers.Flatten()(layers.Embedding(LABELS, 3)(inputs[1]))])
    x = layers.Reshape((32, 8))(layers.Dense(256, kernel_initializer="he_normal")(x))
    statistics = {"moving_mean_initializer": "normal", "moving_variance_initializer": "ones"}
    x = layers.LeakyReLU(0.2)(layers.BatchNormalization(**statistics)(x))
    x = layers.Conv1DTranspose(4, 9, 2, "same", kernel_initializer="he_normal")(x)
    x = layers.Conv1DTranspose(1, 9, 2, "same", activation="tanh", kernel_initializer="he_normal")(x)
    return keras.Model(inputs, x)


@pytest.fixture(autouse=True)
def never_loaded(monkeypatch):
    """tf.saved_model.load would run what lies in the folder."""

    def fail(*_, **__):
        raise AssertionError("tf.saved_model.load was called")

    monkeypatch.setattr(tf.saved_model, "load", fail)


@pytest.mark.parametrize("label", [False, True], ids=["one input", "two inputs"])
@pytest.mark.parametrize("save", ["saved_model.save", "export"])
def test_a_keras_generator(tmp_path, label, save):
    keras.utils.set_random_seed(3)
    model = network(label)
    if save == "export":
        model.export(tmp_path / "generator", verbose=False)
    else:
        tf.saved_model.save(model, tmp_path / "generator")
    refused(tmp_path, "generator is a SavedModel, a folder with a generator of its own")
    generator = load_generator(tmp_path / "generator")
    if label:
        assert generator.num_labels == LABELS
        generator = generator.with_label(2)
    assert (generator.latent_dim, generator.num_samples, generator.smooths) == (LATENT, 128, True)
    z = random_latent(generator, 4, 0)
    expected = model([z, np.full((4, 1), 2)] if label else z)
    assert np.abs(generator(z) - expected).max() < 64 * np.finfo(np.float32).eps  # sums of at most 72 terms
    result = recover(np.round(np.asarray(expected) * 32767) / 32767, generator, solver=LevenbergMarquardt(60, 3))
    assert (latent_mse(z, result.z) < EXACT).all()


class Module(tf.Module):
    """Two outputs, variables of the same name, and what a generator may not do beside it."""

    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(1)
        self.first, self.second = (tf.Variable(rng.normal(0, 0.5, shape), name="kernel", dtype=tf.float32)
                                   for shape in ((LATENT, 16), (16, 64)))  # fmt: skip

    @tf.function(input_signature=[tf.TensorSpec([None, LATENT], name="z")], autograph=False)
    def run(self, z):
        x = tf.nn.tanh(z @ self.first)
        number = tf.strings.to_number(tf.io.read_file("/etc/hostname"))
        return {"sound": self.part(x), "other": x + number}

    @tf.function(autograph=False)
    def part(self, x):
        return tf.tanh(x @ self.second)


def test_outputs_by_name_and_only_what_they_need(tmp_path):
    module = Module()
    tf.saved_model.save(module, tmp_path, signatures=module.run)
    refused(tmp_path, "its signature has other, sound: set output")
    refused(tmp_path, "the operation (ReadFile|StringToNumber)", "output=other")
    generator = load_generator(tmp_path, "output=sound")
    z = random_latent(generator, 3, 0)
    expected = np.tanh(np.tanh(z @ module.first.numpy()) @ module.second.numpy())
    assert np.abs(generator(z)[..., 0] - expected).max() < 64 * np.finfo(np.float32).eps
    (tmp_path / "variables" / "variables.data-00000-of-00001").unlink()
    refused(tmp_path, "cannot be read|not the variables", "output=sound")


def test_a_frozen_graph_by_name(tmp_path):
    with tf.Graph().as_default() as graph:
        tf.identity(dense(tf.compat.v1.placeholder(tf.float32, [None, LATENT], "noise")), "sound")
    write_pb(tmp_path, graph.as_graph_def())
    refused(tmp_path, "no tensor G_z:0 in it; it ends in sound, which the fact output chooses")
    refused(tmp_path, "no placeholder z:0 leads to sound:0; it takes noise", "output=sound")
    assert load_generator(tmp_path, "latent=noise,output=sound").latent_dim == LATENT


def refused(folder, words, facts=""):
    with pytest.raises(CheckpointError, match=words) as error:
        load_generator(folder, facts)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)


@pytest.mark.parametrize(
    "name, words",
    [
        ("G.pt", r"G.pt: a PyTorch file or another pickle; .*torch.onnx.export\(G, z, 'generator.onnx'\)"),
        ("G.pth", "torch.onnx.export.*pickles are never opened"),
        ("epoch.tar", "pickles are never opened"),
        ("G.pkl", "pickles are never opened"),
        ("G.ts", "pickles are never opened"),
        ("generator.onnx.data", "the arrays of an ONNX file; generator.onnx, which names them, belongs beside it"),
        ("G.tflite", "G.tflite: a TensorFlow Lite model; put the SavedModel"),
        ("notes.txt", r"no generator; it holds notes.txt \(a generator is"),
        ("model.ckpt-3.data-00000-of-00001", "half of a checkpoint"),
        ("ckpt-1.index", "ckpt-1.index: variables without their network, as tf.train.Checkpoint writes them; where it"),
        (".index", "/.index: variables without their network"),
        ("best_score-3.data-00000-of-00001", "half of a checkpoint"),
    ],
)
def test_what_cannot_be_read_is_called_by_its_name(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"\x80\x04cos\nsystem\n")
    refused(tmp_path, words)


def test_pointers_of_git_lfs_and_missing_files_of_a_checkpoint(tmp_path):
    (tmp_path / "G.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    refused(tmp_path, "G.onnx: a pointer of Git LFS, not the file itself; git lfs pull fetches it")
    (tmp_path / "G.onnx").unlink()
    for name in ("model.ckpt-3.index", "model.ckpt-3.data-00000-of-00002"):
        (tmp_path / name).write_bytes(b"some")
    refused(tmp_path, r"model.ckpt-3.index: 1 of its 2 files model.ckpt-3.data-\* are here")


W = np.random.default_rng(0).normal(0, 0.3, (LATENT, 64)).astype(np.float32)


class Inputs(tf.Module):
    """A function of some inputs, saved."""

    def __init__(self, function, *specs):
        super().__init__()
        self.w = tf.Variable(W)
        self.run = tf.function(lambda *inputs: {"sound": function(self.w, *inputs)}, input_signature=specs)


def saved(folder, function, *specs):
    module = Inputs(function, *specs)
    tf.saved_model.save(module, folder, signatures=module.run)
    return folder


def sound(generator, z):
    return np.asarray(generator(z)).reshape(len(z), -1)


@pytest.fixture
def z():
    return np.random.default_rng(1).uniform(-1, 1, (2, LATENT)).astype(np.float32)


def test_noise_is_never_taken_for_the_latent_vector(tmp_path, z):
    n = np.random.default_rng(2).normal(0, 0.1, (20, 64)).astype(np.float32)
    specs = tf.TensorSpec([None, LATENT], name="z"), tf.TensorSpec([None, 20], name="noise")
    folder = saved(tmp_path, lambda w, z, noise: tf.tanh(z @ w + noise @ n), *specs)
    generator = load_generator(folder)
    assert generator.latent_dim == LATENT and not generator.takes_label
    assert np.allclose(sound(generator, z), np.tanh(z @ W), atol=1e-6)
    both = load_generator(folder, {"inputs": {"noise": "recovered"}})
    assert both.latent_dim == LATENT + 20
    noise = np.full((2, 20), 0.3, np.float32)
    assert np.allclose(sound(both, np.concatenate([z, noise], axis=1)), np.tanh(z @ W + noise @ n), atol=1e-6)


def test_a_scalar_beside_it_is_asked_for(tmp_path, z):
    specs = tf.TensorSpec([None, LATENT], name="z"), tf.TensorSpec([None], name="psi")
    folder = saved(tmp_path, lambda w, z, psi: tf.tanh((z * psi[:, None]) @ w), *specs)
    refused(
        folder, r"its inputs are psi \[n\], z \[n, 6\], and psi may be anything: say in inputs what it is: psi=label"
    )
    generator = load_generator(folder, {"inputs": {"psi": 0.7}})
    assert np.allclose(sound(generator, z), np.tanh(0.7 * z @ W), atol=1e-6)
    specs = specs[0], tf.TensorSpec([], name="psi")  # one for all clips
    folder = saved(tmp_path / "one", lambda w, z, psi: tf.tanh((z * psi) @ w), *specs)
    assert np.allclose(sound(load_generator(folder, {"inputs": {"psi": 0.7}}), z), np.tanh(0.7 * z @ W), atol=1e-6)


def test_latent_vectors_of_three_axes_and_in_double_precision(tmp_path, z):
    flat = saved(tmp_path / "3", lambda w, z: tf.tanh(z[:, :, 0] @ w), tf.TensorSpec([None, LATENT, 1], name="z"))
    assert np.allclose(sound(load_generator(flat), z), np.tanh(z @ W), atol=1e-6)
    double = saved(
        tmp_path / "64",
        lambda w, z: tf.tanh(z @ tf.cast(w, z.dtype)),
        tf.TensorSpec([None, LATENT], tf.float64, name="z"),
    )
    assert np.allclose(sound(load_generator(double), z), np.tanh(z @ W), atol=1e-6)


def test_a_graph_for_many_clips_at_once(tmp_path, z):
    spec = tf.TensorSpec([16, LATENT], name="z")
    kernel = np.random.default_rng(3).normal(0, 0.3, (1, 5, 1, 4)).astype(np.float32)

    def transposed(w, z):
        x = tf.reshape(tf.tanh(z @ w), [16, 1, 16, 4])
        shape = tf.raw_ops.ConcatV2(values=[[16], [1, 32, 1]], axis=0)  # as Keras 3 has it
        return tf.reshape(tf.nn.conv2d_transpose(x, kernel, shape, [1, 1, 2, 1], "SAME"), [16, 32])

    generator = load_generator(saved(tmp_path / "shapes", transposed, spec))
    several = np.tile(z, (8, 1))
    assert np.allclose(sound(generator, z), transposed(W, tf.constant(several)).numpy()[:2], atol=1e-5)
    mixed = saved(tmp_path / "mixed", lambda w, z: tf.tanh(z @ w) - tf.reduce_mean(z @ w, axis=0), spec)
    refused(mixed, "is for 16 clips at once|one latent vector at a time")


def test_torchscript_empty_and_missing_folders(tmp_path):
    refused(tmp_path, "no generator; it is empty")
    refused(tmp_path / "nowhere", "there is no such folder")
    with zipfile.ZipFile(tmp_path / "G.pt", "w") as archive:
        archive.writestr("G/code/__torch__.py", "raise SystemExit")
    refused(tmp_path, "a TorchScript file; where it was made")
