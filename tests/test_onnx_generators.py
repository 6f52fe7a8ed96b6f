"""Generators from ONNX files, against onnxruntime, and ONNX files that are none."""

import numpy as np
import onnx
import onnx_generators
import pytest
import tensorflow as tf
from onnx import TensorProto, helper

from models.files.errors import CheckpointError
from models.generator.generator import random_latent
from models.generator.inlining import inlined
from models.generator.jacobian.graph_walk import GraphWalk
from models.generator.loading import load_generator
from models.generator.readers.onnx import read_onnx
from models.generator.readers.tf1 import as_function
from models.metrics.metrics import EXACT, latent_mse
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.recover import recover

FILE = "generator.onnx"
VARIANTS = {
    "transposed convolutions, opset 11": {"opset": 11},
    "transposed convolutions and batch normalisation, opset 13": {"norm": True, "opset": 13, "batch": "n"},
    "nearest-neighbour and a filter, opset 17": {"upsample": "nearest", "taps": 64},
    "nearest-neighbour to computed sizes, opset 12": {"upsample": "shaped", "opset": 12},
    "linear and batch normalisation, opset 18": {"upsample": "linear", "norm": True, "opset": 18, "layers": 3},
    "a label that is looked up, opset 21": {"label": "number", "opset": 21, "layers": 4},
    "a one-hot label, opset 15": {"label": "one-hot", "opset": 15, "norm": True, "layers": 4},
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_sounds_as_onnxruntime_makes_them(tmp_path, variant):
    """As far from float64 as 16 times what rounding to float32 does to this graph, whatever the order of its sums."""
    onnx_generators.write(tmp_path / FILE, **variant)
    generator = load_generator(tmp_path)
    assert generator.takes_label == ("label" in variant)
    generator = generator.with_label(2) if generator.takes_label else generator
    assert generator.smooths
    z = random_latent(generator, 3, 0)
    expected = onnx_generators.run(tmp_path / FILE, z, 2).reshape(3, -1, 1)
    exact = GraphWalk(inlined(generator.function)).compiled(tf.float64)(z).numpy().reshape(3, -1, 1)
    sound = generator(z).numpy()
    rounding = np.abs(sound - exact).max()
    assert rounding < 1e-4 and np.abs(expected - exact).max() < 16 * rounding


@pytest.mark.parametrize(
    "variant",
    [{}, {"upsample": "nearest"}, {"norm": True}, {"label": "one-hot"}],
    ids=["transposed", "nearest", "normalised", "label"],
)
def test_latent_vectors_of_16_bit_clips_are_recovered(tmp_path, variant):
    onnx_generators.write(tmp_path / FILE, width=3, layers=4, **variant)
    generator = load_generator(tmp_path)
    generator = generator.with_label(1) if generator.takes_label else generator
    true = random_latent(generator, 4, 1)
    clips = np.round(onnx_generators.run(tmp_path / FILE, true, 1).reshape(4, -1, 1) * 32767) / 32767
    result = recover(clips.astype(np.float32), generator, solver=LevenbergMarquardt(60, 3))
    assert (latent_mse(true, result.z) < EXACT).all()


LAYERS = {
    "stride 2, odd crops": ("ConvTranspose", [4, 3, 7], {"strides": [2], "pads": [2, 4]}),
    "longer than its inputs reach": ("ConvTranspose", [4, 3, 3], {"strides": [4], "output_padding": [3]}),
    "groups and dilations, transposed": ("ConvTranspose", [4, 2, 5], {"strides": [3], "dilations": [2], "group": 2}),
    "same, transposed": ("ConvTranspose", [4, 3, 5], {"strides": [4], "auto_pad": "SAME_LOWER"}),
    "groups and dilations": ("Conv", [6, 2, 3], {"dilations": [3], "group": 2, "pads": [1, 4]}),
    "same, stride": ("Conv", [3, 4, 5], {"strides": [3], "auto_pad": "SAME_UPPER"}),
    "picture": ("ConvTranspose", [4, 3, 3, 4], {"strides": [2, 3], "pads": [1, 1, 0, 2], "output_padding": [1, 0]}),
    "flat picture": ("ConvTranspose", [4, 3, 1, 9], {"strides": [1, 4], "pads": [0, 3, 0, 2]}),
}


@pytest.mark.parametrize("operation, shape, attributes", LAYERS.values(), ids=LAYERS)
def test_convolutions_are_onnx_s(tmp_path, operation, shape, attributes):
    net = onnx_generators.Network(17, 1)
    x = net.add("Reshape", "z", net.numbers(-1, 4, 1, 2) if len(shape) == 4 else net.numbers(-1, 4, 2))
    if operation == "Conv":
        x = net.add("Pad", x, net.numbers(0, 0, 6, 0, 0, 6), mode="edge")
    x = net.add(operation, x, net.random(*shape, scale=0.3), net.random(3 if operation != "Conv" else shape[0], scale=1)
                if attributes.get("group", 1) == 1 else "", **attributes)  # fmt: skip
    x = net.add("Flatten", x)
    net.write(tmp_path / FILE, x, [("z", TensorProto.FLOAT, [onnx_generators.LATENT])], 1, rank=2)
    graph, _ = read_onnx(tmp_path / FILE)
    z = np.random.default_rng(0).uniform(-1, 1, (1, onnx_generators.LATENT)).astype("f")
    expected = onnx_generators.run(tmp_path / FILE, z)
    few = 64 * np.finfo(np.float32).eps  # sums of at most 50 products below 1
    assert np.abs(as_function(graph, FILE)(tf.constant(z)) - expected).max() < few


def _resized(mode, coordinates, nearest="floor", scale=2.5, sizes=None):
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates, "nearest_mode": nearest}

    def layer(net, x):
        none = net.weight(np.zeros(0, "f")) if net.opset < 13 else ""  # an input without a value
        if sizes:
            return net.add("Resize", x, none, none, net.numbers(*sizes), **attributes)
        return net.add("Resize", x, none, net.weight(np.array([1, 1, scale], "f")), **attributes)

    return layer


SMALL = {
    "linear, half pixels": _resized("linear", "half_pixel"),
    "linear, PyTorch's half pixels": _resized("linear", "pytorch_half_pixel", scale=4),
    "linear, corners aligned": _resized("linear", "align_corners", sizes=(1, 2, 11)),
    "linear, asymmetric": _resized("linear", "asymmetric"),
    "nearest, rounded down": _resized("nearest", "half_pixel", "round_prefer_floor"),
    "nearest, rounded up": _resized("nearest", "half_pixel", "round_prefer_ceil"),
    "nearest, ceiling": _resized("nearest", "asymmetric", "ceil"),
    "padding that cuts off": lambda net, x: net.add("Pad", x, net.numbers(0, 0, -1, 0, 0, 3)),
    "padding of a value": lambda net, x: net.add("Pad", x, net.numbers(0, 0, 1, 0, 0, 3), net.weight(np.float32(2.5))),
    "backwards": lambda net, x: net.add(
        "Slice", x, net.numbers(-1), net.numbers(-(2**63) + 1), net.numbers(2), net.numbers(-1)
    ),
    "to the end": lambda net, x: net.add("Slice", x, net.numbers(1), net.numbers(2**63 - 1), net.numbers(-1)),
    "negative indices": lambda net, x: net.add("Gather", x, net.numbers(-1, 0, 2), axis=2),
    "product of matrices": lambda net, x: net.add("MatMul", x, net.random(4, 5, scale=1.0)),
    "axes in and out": lambda net, x: net.axes("Squeeze", net.axes("Unsqueeze", x, -1, 1), -1, 1),
    "a constant of a shape": lambda net, x: net.add("Add", x, net.add("ConstantOfShape", net.add("Shape", x))),
    "double precision in between": lambda net, x: net.add("Cast", net.add("Cast", x, to=11), to=1),
    "slopes by channel": lambda net, x: net.add("PRelu", x, net.random(2, 1, scale=1.0)),
}


@pytest.mark.parametrize("opset", [11, 13, 21])
@pytest.mark.parametrize("layer", SMALL.values(), ids=SMALL)
def test_small_layers_are_onnx_s(tmp_path, layer, opset):
    net = onnx_generators.Network(opset, 1)
    x = net.add("Flatten", layer(net, net.add("Reshape", "z", net.numbers(-1, 2, 4))))
    net.write(tmp_path / FILE, x, [("z", TensorProto.FLOAT, [onnx_generators.LATENT])], 1, rank=2)
    graph, _ = read_onnx(tmp_path / FILE)
    z = np.random.default_rng(0).uniform(-1, 1, (1, onnx_generators.LATENT)).astype("f")
    expected = onnx_generators.run(tmp_path / FILE, z)
    sound = as_function(graph, FILE)(tf.constant(z))
    few = 32 * np.finfo(np.float32).eps  # sums of at most four products of a few units
    assert sound.shape == expected.shape and np.abs(sound - expected).max() < few


def dilated(net, x):
    x = net.add("Conv", x, net.random(4, 2, 3, scale=0.5), dilations=[3], pads=[3, 3])
    return net.add("Conv", x, net.random(4, 4, 3, scale=0.5), dilations=[2], strides=[2], pads=[2, 2])


def expanded(net, x):
    style = net.axes("Unsqueeze", net.add("Gemm", "z", net.random(8, 3, scale=0.5)), 2)
    style = net.add("Expand", style, net.numbers(1, 3, 32))
    return net.add("Concat", x, style, net.random(1, 1, 32, scale=1.0), axis=1)


def doubled(net, x):
    return net.add("Cast", net.add("Sin", net.add("Cast", x, to=TensorProto.DOUBLE)), to=TensorProto.FLOAT)


def halved(net, x):
    x = net.add("Cast", x, to=TensorProto.FLOAT16)
    half = net.weight(net.rng.normal(0, 0.5, (3, 2, 3)).astype(np.float16))
    return net.add("Cast", net.add("Conv", x, half, pads=[1, 1]), to=TensorProto.FLOAT)


@pytest.mark.parametrize("layer", [dilated, expanded, doubled, halved])
def test_what_was_exported_for_one_clip_is_a_generator_of_several(tmp_path, layer):
    net = onnx_generators.Network(17, 1)
    x = net.add("Reshape", net.add("Gemm", "z", net.random(8, 64, scale=0.5)), net.numbers(1, 2, 32))
    x = net.add("Flatten", layer(net, net.add("LeakyRelu", x, alpha=0.2)))
    net.write(tmp_path / FILE, x, [("z", TensorProto.FLOAT, [onnx_generators.LATENT])], 1, rank=2)
    generator = load_generator(tmp_path)  # which compares derivatives, and several clips with each by itself
    assert generator.smooths
    z = random_latent(generator, 3, 0)
    expected = onnx_generators.run(tmp_path / FILE, z)
    few = 16 * np.finfo(np.float16).eps if layer is halved else 128 * np.finfo(np.float32).eps  # sums of some products
    assert np.abs(generator(z).numpy().reshape(expected.shape) - expected).max() < few * np.abs(expected).max()


def refused(folder, words, facts=""):
    with pytest.raises(CheckpointError, match=words) as error:
        load_generator(folder, facts)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)


@pytest.fixture
def model(tmp_path):
    """A sound generator, to be spoiled and written again."""
    onnx_generators.write(tmp_path / FILE, layers=2)
    return onnx.load(tmp_path / FILE)


def rewritten(folder, model):
    (folder / FILE).write_bytes(model.SerializeToString())
    return folder


def test_arrays_in_another_file(tmp_path, model):
    expected = load_generator(tmp_path)
    tensor, content = model.graph.initializer[0], model.graph.initializer[0].raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL

    def lying_in(location, offset=0, length=None):
        length = len(content) if length is None else length
        del tensor.external_data[:]
        for key, value in (("location", location), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        return rewritten(tmp_path, model)

    refused(lying_in("weights.data"), "its arrays lie in weights.data, which has to be beside it")
    (tmp_path / "weights.data").write_bytes(bytes(16) + content)
    assert load_generator(lying_in("weights.data", 16)).sha256 == expected.sha256
    refused(lying_in("weights.data", 17), "cut short")
    refused(lying_in("weights.data", 0, 2**31), "claims 2147483648 bytes")
    outside = tmp_path.parent / f"{tmp_path.name}.data"
    outside.write_bytes(content)
    refused(lying_in(f"../{outside.name}"), "lies outside its folder")
    refused(lying_in(str(outside)), "lies outside its folder")
    (tmp_path / "link.data").symlink_to(outside)
    refused(lying_in("link.data"), "lies outside its folder")


def test_what_is_claimed_is_not_allocated(tmp_path, model):
    tensor = model.graph.initializer[0]
    kept = list(tensor.dims)
    tensor.dims[:] = [2**29, 1]
    refused(rewritten(tmp_path, model), "more than the 512 MiB that weights may have")
    tensor.dims[:] = [2**20, 1]
    refused(rewritten(tmp_path, model), "does not hold the 4194304 bytes it claims")
    tensor.dims[:] = kept
    zeros = onnx.numpy_helper.from_array(np.array([2**29], np.int64), "claimed")
    model.graph.initializer.append(zeros)
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["claimed"], ["zeros"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([3], np.int64), "third"))
    model.graph.node.insert(1, helper.make_node("Gather", ["zeros", "third"], ["again"]))
    last = model.graph.node[-1]
    model.graph.node.insert(len(model.graph.node) - 1, helper.make_node("Add", [last.input[0], "again"], ["sum"]))
    last.input[0] = "sum"
    refused(rewritten(tmp_path, model), "more than a generator may take")


def test_what_is_no_generator(tmp_path, model):
    def with_node(*arguments, **attributes):
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        changed.graph.node.insert(0, helper.make_node(*arguments, **attributes))
        changed.graph.node[-1].input[0] = arguments[2][0]
        return rewritten(tmp_path, changed)

    refused(with_node("Loop", ["", "", "z"], ["x"]), r"the operation Loop \(x\) is not one that a generator may use")
    refused(with_node("Relu", ["z"], ["x"], domain="strange"), r"the operation strange.Relu")
    refused(with_node("Relu", ["nothing"], ["x"]), "nothing is missing")
    refused(with_node("RandomNormalLike", ["z"], ["x"]), "RandomNormalLike")
    elsewhere = onnx.numpy_helper.from_array(np.ones(1, "f"))
    elsewhere.ClearField("raw_data")
    elsewhere.data_location = TensorProto.EXTERNAL
    elsewhere.external_data.add(key="location", value=FILE)
    refused(with_node("ConstantOfShape", ["z"], ["x"], value=elsewhere), "a value in another file is not supported")
    model.opset_import[0].version = 9
    refused(rewritten(tmp_path, model), "ONNX of opset 9; 11 to .* are read")
    (tmp_path / FILE).write_bytes(b"\x80\x02}q\x00.")
    refused(tmp_path, "not an ONNX file, or cut short")
    (tmp_path / FILE).write_bytes(b"")
    refused(tmp_path, "not an ONNX file, or cut short")


def test_a_classifier_is_no_generator(tmp_path):
    net = onnx_generators.Network(17, 0)
    x = net.add("Conv", "audio", net.random(4, 1, 9, scale=0.3))
    net.write(tmp_path / FILE, x, [("audio", TensorProto.FLOAT, [1, 16384])], 1)
    refused(tmp_path, r"its inputs are audio \[n, 1, 16384\]; a generator takes latent vectors")


def test_inputs_and_outputs_by_name(tmp_path):
    net = onnx_generators.Network(17, 0)
    x = net.add("Gemm", net.add("Concat", "a", "b", axis=1), net.random(16, 256, scale=0.2))
    inputs = [("a", TensorProto.FLOAT, [8]), ("b", TensorProto.FLOAT, [8])]
    net.write(tmp_path / FILE, x, inputs, 1, rank=2)
    refused(tmp_path, r"its inputs are a \[n, 8\], b \[n, 8\]: set latent")
    refused(tmp_path, "a may be anything: say in inputs what it is: a=label", "latent=b")
    assert load_generator(tmp_path, {"latent": "b", "inputs": {"a": "label"}}).label.name == "label"
    refused(tmp_path, "output is sound, the file has waveform", "output=sound,latent=b")
