"""Generators from strangers: what is refused, in one line, before anything of it is run or allocated."""

import json
import resource
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf1_wavegan
from tf1_graphs import LATENT, SAMPLES, dense, graph_def, write_meta, write_pb

from models.files.errors import CheckpointError
from models.generator.loading import load_generator

v1 = tf.compat.v1
HUGE = 2_500_000_000  # float32 numbers, 10 GB
KIBIBYTES_A_GIBIBYTE = 2**20  # ru_maxrss counts KiB


def refused(folder, words, most=KIBIBYTES_A_GIBIBYTE):
    """The folder's generator is refused in one line with these words, and loading never holds `most` KiB more than this
    process did before.
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match=words) as error:
        load_generator(folder)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < most


def after_writing(target):
    def build(z):
        with tf.control_dependencies([tf.raw_ops.WriteFile(filename=str(target), contents="written")]):
            return tf.identity(dense(z))

    return build


def with_a_file(z):
    return dense(z) + tf.strings.to_number(tf.io.read_file("/etc/hostname"))


def with_python(z):
    return tf.ensure_shape(tf.numpy_function(lambda a: a, [dense(z)], tf.float32), [None, SAMPLES])


def with_a_loop(z):
    return v1.while_loop(
        lambda x: tf.reduce_sum(x) < 1e30, lambda x: x, [dense(z)], shape_invariants=[tf.TensorShape([None, SAMPLES])]
    )


@pytest.mark.parametrize(
    "build, operation",
    [(with_a_file, "ReadFile|StringToNumber"), (with_python, "PyFunc"), (with_a_loop, "Exit|Merge|Switch"),
     (lambda z: dense(z) + tf.random.normal([SAMPLES]), "RandomStandardNormal")],
    ids=["ReadFile", "PyFunc", "loop", "random"],
)  # fmt: skip
@pytest.mark.parametrize("write", [write_pb, write_meta])
def test_only_pure_computation_is_let_through(tmp_path, build, operation, write):
    with v1.Graph().as_default():
        v1.disable_control_flow_v2()
        folder = write(tmp_path / "stranger", build)
        v1.enable_control_flow_v2()
    refused(folder, f"the operation ({operation})")


@pytest.mark.parametrize("write", [write_pb, write_meta])
def test_nothing_is_written_on_the_way(tmp_path, write):
    refused(write(tmp_path / "stranger", after_writing(tmp_path / "token")), "the operation WriteFile")
    assert not (tmp_path / "token").exists()


def test_functions_hide_nothing(tmp_path):
    """In a function of the graph's library, called by its name, by a call operation, or under the name of an operation
    that is allowed.
    """

    @tf.function(input_signature=[tf.TensorSpec([None, SAMPLES])])
    def hidden(x):
        return x + tf.strings.to_number(tf.io.read_file("/etc/hostname"))

    graph = graph_def(lambda z: hidden(dense(z)))
    refused(write_pb(tmp_path / "call", graph), "the operation (Stateful)?PartitionedCall")
    name = graph.library.function[0].signature.name
    call = next(node for node in graph.node if "Call" in node.op)
    call.op = name
    refused(write_pb(tmp_path / "by name", graph), f"the operation {name}")
    graph.library.function[0].signature.name = call.op = "Tanh"
    call.attr.clear()
    call.attr["T"].type = tf.float32.as_datatype_enum
    z = np.random.default_rng(0).uniform(-1, 1, (2, LATENT)).astype(np.float32)
    plain = load_generator(write_pb(tmp_path / "plain", lambda z: tf.tanh(dense(z))))
    assert np.array_equal(
        load_generator(write_pb(tmp_path / "shadowed", graph))(z), plain(z)
    )  # the library is left behind


@pytest.mark.parametrize(
    "build",
    [
        lambda z: dense(z) + tf.reduce_sum(tf.fill([HUGE], 0.1)),
        lambda z: dense(z) + tf.reduce_sum(tf.tile(tf.constant([0.1]), [HUGE])),
        lambda z: dense(z) + tf.reduce_sum(tf.broadcast_to(0.1, [HUGE])),
        lambda z: dense(z) + tf.reduce_sum(tf.pad(tf.constant([0.1]), [[0, HUGE]])),
        lambda z: dense(z) + tf.reduce_sum(tf.cast(tf.range(HUGE), tf.float32)),
        lambda z: dense(z) + tf.reduce_sum(tf.ones([100_000, 1]) * tf.ones([1, 100_000])),
        lambda z: dense(z) + tf.reduce_sum(tf.ones([100_000, 1]) @ tf.ones([1, 100_000])),
        lambda z: tf.reshape(
            v1.image.resize_nearest_neighbor(dense(z)[:, None, :, None], (1, HUGE // 100)), [-1, HUGE // 100]
        ),
    ],
    ids=["Fill", "Tile", "BroadcastTo", "Pad", "Range", "outer sum", "outer product", "Resize"],
)
def test_sizes_are_followed_before_anything_is_allocated(tmp_path, build):
    refused(write_pb(tmp_path / "stranger", build), "more than a generator|not known before|cannot be built")


def test_a_constant_is_as_large_as_it_says(tmp_path):
    graph = graph_def(lambda z: dense(z) + tf.reduce_sum(tf.constant([0.1], name="huge")))
    constant = next(node for node in graph.node if node.name == "huge").attr["value"].tensor
    constant.tensor_shape.dim[0].size = HUGE  # TensorFlow repeats the last number as often as it takes
    refused(write_pb(tmp_path / "stranger", graph), "huge has shape")


def test_what_is_no_function_of_the_latent_vector_alone(tmp_path):
    ones = np.ones(SAMPLES, np.float32)

    def normalised(z):
        return v1.nn.fused_batch_norm(dense(z)[:, None, None], ones, ones, is_training=True)[0][:, 0, 0]

    refused(write_pb(tmp_path / "batch", normalised), "normalises by the batch's own statistics")
    refused(
        write_pb(tmp_path / "constant", lambda z: 0 * z @ tf.ones([LATENT, SAMPLES])),
        "derivative by the latent vector is zero",
    )


def test_weights_that_are_not_finite(tmp_path):
    refused(write_pb(tmp_path / "p", lambda z: z @ tf.constant(np.full((LATENT, SAMPLES), np.nan, "f"))), "not finite")
    model = keras.Sequential([keras.Input((LATENT,)), keras.layers.Dense(SAMPLES)])
    model.set_weights([np.full((LATENT, SAMPLES), np.inf, "f"), np.zeros(SAMPLES, "f")])
    (tmp_path / "k").mkdir()
    model.save(tmp_path / "k" / "gan.keras")
    refused(tmp_path / "k", "not finite")
    tf1_wavegan.write(tmp_path / "m", width=1, bias=np.nan)
    refused(tmp_path / "m", "variable G/.* is not finite")


def rewritten(path, **parts):
    """A .keras file with some of its parts replaced, by name."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents.update({name.replace("__", "."): content for name, content in parts.items()})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


@pytest.fixture
def keras_file(tmp_path):
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((LATENT,)), layers.Dense(64), layers.Reshape((64, 1)), layers.UpSampling1D(8), layers.Flatten()]
    )
    (tmp_path / "k").mkdir()
    model.save(tmp_path / "k" / "gan.keras")
    return tmp_path / "k" / "gan.keras"


def test_a_keras_file_is_measured_before_it_is_built(keras_file, tmp_path):
    configuration = json.loads(zipfile.ZipFile(keras_file).read("config.json"))
    original = keras_file.read_bytes()
    for layer, setting, value in ((1, "units", HUGE), (3, "size", HUGE)):
        changed = json.loads(json.dumps(configuration))
        changed["config"]["layers"][layer]["config"][setting] = value
        changed["config"].pop("build_input_shape", None)
        rewritten(keras_file, config__json=json.dumps(changed))
        refused(keras_file.parent, "too much for a generator|not a Keras model that loads")
        keras_file.write_bytes(original)
    with h5py.File(tmp_path / "large.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", (HUGE,), "f4", chunks=(1024,))  # declared, never written
    rewritten(keras_file, model__weights__h5=(tmp_path / "large.h5").read_bytes())
    refused(keras_file.parent, "arrays are larger")
    (tmp_path / "secret").write_bytes(b"\0" * 4096)
    with h5py.File(tmp_path / "outside.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", (1024,), "f4", external=[(str(tmp_path / "secret"), 0, 4096)])
    rewritten(keras_file, model__weights__h5=(tmp_path / "outside.h5").read_bytes())
    refused(keras_file.parent, "lies in another file")


def test_a_zip_bomb_code_and_keras_2(keras_file):
    original = keras_file.read_bytes()
    with zipfile.ZipFile(keras_file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", "{}")
        with archive.open("model.weights.h5", "w") as file:
            for _ in range(600):
                file.write(bytes(2**20))
    refused(keras_file.parent, "unpacked it is larger")
    model = keras.Sequential([keras.Input((LATENT,)), keras.layers.Lambda(lambda x: x)])
    model.save(keras_file)
    refused(keras_file.parent, "not a Keras model that loads")
    keras_file.write_bytes(original)
    rewritten(
        keras_file,
        metadata__json='{"keras_version": "2.15.0"}',
        config__json='{"class_name": "Functional", "config": {}}',
    )
    refused(keras_file.parent, "of Keras 2.15.0, which cannot be read here .* call tf.saved_model.save")
    keras_file.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    refused(keras_file.parent, "its weights are damaged")
