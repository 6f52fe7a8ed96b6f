"""Operations of ONNX files as today's exporters write them, each against onnxruntime, and what is worked out at
loading.
"""

import numpy as np
import onnx
import onnx_generators
import pytest
import tensorflow as tf
from onnx import TensorProto, helper

from models.files.errors import CheckpointError
from models.generator.generator import random_latent
from models.generator.jacobian import forward_mode
from models.generator.loading import load_generator
from models.generator.readers import onnx_building
from models.generator.readers.onnx import read_onnx
from models.generator.readers.tf1 import as_function

FILE = "generator.onnx"
FLOAT = TensorProto.FLOAT


def one(number, kind=np.float32):
    return np.array(number, kind)


def weight_norm(net, x):
    kernel = net.random(4, 4, 3, scale=1.0)
    length = net.add("ReduceL2", kernel, net.numbers(1, 2), keepdims=1)
    kernel = net.add("Mul", net.add("Div", kernel, length), net.random(4, 1, 1, scale=1.0))
    return net.add("Conv", x, kernel, pads=[1, 1])


def spectral_norm(net, x):
    """The kernel by its largest singular value, u W v of vectors that are kept."""
    kernel = net.random(4, 4, 3, scale=1.0)
    matrix = net.add("Reshape", kernel, net.numbers(4, -1))
    sigma = net.add("MatMul", net.random(4, scale=1.0), net.add("MatMul", matrix, net.random(12, scale=1.0)))
    return net.add("Conv", x, net.add("Div", kernel, sigma), pads=[1, 1])


def linear_upsampling(net, x):
    x = net.add("Transpose", x, perm=[2, 1, 0])
    low, high = (net.weight((np.arange(32)[:, None] // 2 + i).clip(0, 15)) for i in (0, 1))
    low, high = net.add("GatherND", x, low), net.add("GatherND", x, high)
    share = net.weight(np.tile(np.array([0.25, 0.75], "f"), 16)[:, None, None])
    return net.add("Transpose", net.add("Add", low, net.add("Mul", net.add("Sub", high, low), share)), perm=[2, 1, 0])


def snake(net, x):
    a = net.random(4, 1, scale=1.0)
    squared = net.add("Pow", net.add("Sin", net.add("Mul", x, a)), net.weight(one(2)))
    return net.add("Add", x, net.add("Mul", squared, net.add("Reciprocal", a)))


def pixel_norm(net, x):
    mean = net.add("ReduceMean", net.add("Pow", x, net.weight(one(2))), net.numbers(1))
    return net.add("Mul", x, net.add("Pow", net.add("Add", mean, net.weight(one(1e-3))), net.weight(one(-0.5))))


def modulated(net, x, operation="Conv", **attributes):
    """A style-based convolution: its kernel is scaled by z, then demodulated."""
    style = net.add("Reshape", net.add("MatMul", "z", net.random(8, 4, scale=0.5)), net.numbers(1, 1, 4, 1))
    kernel = net.add("Mul", net.random(1, 4, 4, 3, scale=1.0), style)
    power = net.add("ReduceSum", net.add("Mul", kernel, kernel), net.numbers(2, 3), keepdims=1)
    kernel = net.add("Div", kernel, net.add("Sqrt", net.add("Add", power, net.weight(one(1e-3)))))
    return net.add(operation, x, net.add("Reshape", kernel, net.numbers(4, 4, 3)), **attributes)


def attention(net, x):
    """Two heads over the 16 steps, as PyTorch writes it: the clips leave the first axis."""
    steps = net.add("Transpose", x, perm=[2, 0, 1])
    heads = []
    for _ in range(3):
        part = net.add("MatMul", steps, net.random(4, 4, scale=1.0))
        part = net.add("Reshape", part, net.numbers(16, 2, 2))
        heads.append(net.add("Transpose", part, perm=[1, 0, 2]))
    scores = net.add("MatMul", heads[0], net.add("Transpose", heads[1], perm=[0, 2, 1]))
    mixed = net.add("MatMul", net.add("Softmax", scores, axis=-1), heads[2])
    mixed = net.add("Reshape", net.add("Transpose", mixed, perm=[1, 0, 2]), net.numbers(16, 1, 4))
    return net.add("Transpose", mixed, perm=[1, 2, 0])


def brain_floats(net, x):
    kernel = net.weight(np.random.default_rng(3).normal(size=(4, 4, 3)).astype(tf.bfloat16.as_numpy_dtype))
    return net.add("Conv", x, net.add("Cast", kernel, to=FLOAT), pads=[1, 1])


def softplus(net, x):
    return net.add("Where", net.add("Greater", x, net.weight(one(0.5))), x, net.add("Softplus", x))


def crops(net, x):
    """How much is cut off is worked out from shapes at run time."""
    length = net.add("Gather", net.add("Shape", x), net.weight(np.array(2)))
    less = net.add("Max", net.add("Sub", length, net.weight(np.array(9))), net.weight(np.array(0)))
    half = net.add("Unsqueeze", net.add("Div", less, net.weight(np.array(2))), net.numbers(0))
    pads = net.add("Concat", net.numbers(0, 0), net.add("Neg", half), net.numbers(0, 0), net.add("Neg", half), axis=0)
    return net.add("Pad", x, pads)


def recurrent(operation, gates, **attributes):
    def layer(net, x):
        sides = 2 if attributes.get("direction") == "bidirectional" else 1
        x = net.add("Transpose", x, perm=[2, 0, 1])  # [16, 1, 4]
        weights = [net.random(sides, gates * 3, n, scale=0.7) for n in (4, 3)] + [
            net.random(sides, gates * 6, scale=0.5)
        ]
        y = net.add(operation, x, *weights, hidden_size=3, **attributes)
        return net.add("Transpose", net.add("Reshape", y, net.numbers(16, sides, 3, 1)), perm=[3, 1, 0, 2])

    return layer


def looked_up_by_product(net, x):
    return net.add("Einsum", x, net.random(4, 5, scale=1.0), equation="bct,cd->bdt")


def overlapped(net, x):
    frames = net.add("MatMul", net.random(8, 4, scale=1.0), x)  # 16 frames of 8 samples
    return net.add("Col2Im", frames, net.numbers(1, 36), net.numbers(1, 8), strides=[1, 2], pads=[0, 1, 0, 1])


def inverse_transform(net, x):
    x = net.add("Reshape", x, net.numbers(1, 2, 16, 2))
    return net.add("DFT", x, "", net.weight(np.array(2)), inverse=1)


def dilated_overlap(net, x):
    return net.add("Col2Im", x, net.numbers(1, 19), net.numbers(1, 4), dilations=[1, 1], strides=[1, 1])


def upsampled_as_tiles(net, x):
    x = net.add("Tile", net.add("Unsqueeze", x, net.numbers(3)), net.numbers(1, 1, 1, 3))
    return net.add("Reshape", x, net.numbers(0, 0, -1))


def scattered(net, x):
    places = net.weight(np.array([[0, 1], [0, 3]]))
    updates = net.add("Slice", x, net.numbers(0), net.numbers(2), net.numbers(1))
    return net.add("ScatterND", x, places, net.add("Squeeze", updates, net.numbers(0)))


def scattered_and_added(net, x):
    """Frames that overlap, added where each lies, as PyTorch's default exporter writes the inverse STFT."""
    places = net.weight((4 * np.arange(4)[:, None] + np.arange(16))[..., None] - 28)
    frames = net.add("Squeeze", x, net.numbers(0))
    summed = net.add("ScatterND", net.random(28, scale=1.0), places, frames, reduction="add")
    return net.add("Unsqueeze", summed, net.numbers(0))


def scattered_along(net, x):
    places = net.weight(np.array([[[3, 3, 1, 0, -1]]]))
    updates = net.add("Slice", x, net.numbers(0, 0), net.numbers(1, 5), net.numbers(1, 2))
    return net.add("ScatterElements", x, places, updates, axis=2, reduction="add")


def masked(net, x):
    square = net.add("MatMul", net.add("Transpose", x, perm=[0, 2, 1]), x)
    return net.add("Trilu", square, net.weight(np.array(1)), upper=0)


def chosen_by_two(net, x):
    return net.add("Min", net.add("Max", x, net.weight(one(-0.3))), net.weight(one(0.4)), net.add("Abs", x))


LAYERS = {
    "weight norm": weight_norm,
    "spectral norm": spectral_norm,
    "linear upsampling": linear_upsampling,
    "Snake": snake,
    "pixel norm": pixel_norm,
    "modulated": modulated,
    "modulated, dilated": lambda net, x: modulated(net, x, dilations=[2], strides=[3], pads=[2, 1]),
    "modulated, transposed": lambda net, x: modulated(net, x, "ConvTranspose", strides=[2], pads=[1, 0]),
    "attention": attention,
    "weights of bfloat16": brain_floats,
    "Softplus by choice": softplus,
    "crops at run time": crops,
    "LSTM": recurrent("LSTM", 4),
    "LSTM, both directions": recurrent("LSTM", 4, direction="bidirectional"),
    "GRU, PyTorch's": recurrent("GRU", 3, linear_before_reset=1),
    "GRU, backwards": recurrent("GRU", 3, direction="reverse"),
    "RNN": recurrent("RNN", 1),
    "Einsum": looked_up_by_product,
    "Col2Im": overlapped,
    "Col2Im, stride 1": dilated_overlap,
    "DFT": inverse_transform,
    "tiles": upsampled_as_tiles,
    "ScatterND": scattered,
    "ScatterND that adds": scattered_and_added,
    "ScatterElements that adds": scattered_along,
    "Trilu": masked,
    "Min, Max, Abs": chosen_by_two,
    "InstanceNormalization": lambda net, x: net.add(
        "InstanceNormalization", x, net.random(4, scale=1.0), net.random(4, scale=1.0)
    ),
    "GroupNormalization": lambda net, x: net.add(
        "GroupNormalization", x, net.random(4, scale=1.0), net.random(4, scale=1.0), num_groups=2
    ),
    "LayerNormalization": lambda net, x: net.add("LayerNormalization", x, net.random(16, scale=1.0)),
    "Gelu": lambda net, x: net.add("Gelu", x),
    "Gelu, tanh": lambda net, x: net.add("Gelu", x, approximate="tanh"),
    "HardSwish": lambda net, x: net.add("HardSwish", x),
    "HardSigmoid": lambda net, x: net.add("HardSigmoid", x, alpha=0.3),
    "Selu": lambda net, x: net.add("Selu", x),
    "Celu": lambda net, x: net.add("Celu", x, alpha=0.7),
    "Mish": lambda net, x: net.add("Mish", x),
    "Elu of another slope": lambda net, x: net.add("Elu", x, alpha=0.6),
    "ReduceL2": lambda net, x: net.add("Mul", x, net.add("ReduceL2", x, net.numbers(2))),
    "ReduceMax": lambda net, x: net.add("Sub", x, net.add("ReduceMax", x, net.numbers(2))),
    "CumSum": lambda net, x: net.add("CumSum", x, net.weight(np.array(-1)), reverse=1),
    "GatherElements": lambda net, x: net.add(
        "GatherElements", x, net.weight(np.arange(32).reshape(1, 2, 16) % 4), axis=1
    ),
    "DepthToSpace": lambda net, x: net.add(
        "DepthToSpace", net.add("Reshape", x, net.numbers(1, 4, 4, 4)), blocksize=2, mode="CRD"
    ),
    "several at once": lambda net, x: net.add("Sum", x, net.random(16, scale=1.0), net.add("Mean", x, x, x)),
    "product with a vector": lambda net, x: net.add("MatMul", x, net.random(16, scale=1.0)),
    "vector by a product": lambda net, x: net.add("MatMul", net.random(4, scale=1.0), x),
    "Gelu of a constant": lambda net, x: net.add("Add", x, net.add("Gelu", net.random(16, scale=1.0))),
}  # fmt: skip


def written(folder, layer, opset=20, inputs=(), batch=1, z=(onnx_generators.LATENT,)):
    """A file of one layer between products, of x [1, 4, 16]."""
    net = onnx_generators.Network(opset, 1)
    rows = net.add("Reshape", "z", net.numbers(-1, onnx_generators.LATENT)) if len(z) > 1 else "z"
    x = net.add("Reshape", net.add("Gemm", rows, net.random(8, 64, scale=0.5)), net.numbers(batch, 4, 16))
    x = net.add("Flatten", layer(net, x))
    net.write(folder / FILE, x, [("z", FLOAT, list(z)), *inputs], batch, rank=2)
    return folder


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_what_exporters_write_is_onnx_s(tmp_path, layer):
    graph, _ = read_onnx(written(tmp_path, layer, 21) / FILE)
    z = np.random.default_rng(0).uniform(-1, 1, (2, onnx_generators.LATENT)).astype("f")
    expected = onnx_generators.run(tmp_path / FILE, z)
    sound = as_function(graph, FILE)(tf.constant(z))
    few = 256 * np.finfo(np.float32).eps  # sums of at most 72 products, and what follows them
    assert sound.shape == expected.shape and np.abs(sound - expected).max() < few * max(np.abs(expected).max(), 1)


@pytest.mark.parametrize(
    "layer", [modulated, attention, linear_upsampling, recurrent("GRU", 3), overlapped, pixel_norm]
)
def test_each_has_a_derivative(tmp_path, layer):
    """Loading compares forward with reverse mode."""
    assert load_generator(written(tmp_path, layer)).smooths


@pytest.mark.parametrize("opset", [12, 23])
@pytest.mark.parametrize("name", ["InstanceNormalization", "Selu", "HardSigmoid", "Min, Max, Abs", "RNN"])
def test_older_and_newer_opsets(tmp_path, name, opset):
    if opset < 13 and name == "RNN":
        pytest.skip("Squeeze has its axes elsewhere")
    graph, _ = read_onnx(written(tmp_path, LAYERS[name], opset) / FILE)
    z = np.random.default_rng(0).uniform(-1, 1, (1, onnx_generators.LATENT)).astype("f")
    assert np.allclose(as_function(graph, FILE)(tf.constant(z)), onnx_generators.run(tmp_path / FILE, z), atol=1e-5)


def test_what_is_worked_out_at_loading_has_a_limit(tmp_path, monkeypatch):
    def refused(layer, words):
        with pytest.raises(CheckpointError, match=words) as error:
            read_onnx(written(tmp_path, layer) / FILE)
        assert "\n" not in str(error.value) and FILE in str(error.value)

    def large(net, x):
        return net.add("Add", x, net.add("ReduceSum", net.add("Expand", net.weight(one(1)), net.numbers(2**20, 2**8))))

    def product(net, x):
        a = net.add("Expand", net.weight(one(1)), net.numbers(2**12, 2**10))
        return net.add("Add", x, net.add("ReduceSum", net.add("MatMul", net.add("Transpose", a), a)))

    def python(net, x):
        a = net.add("Expand", net.weight(np.array(0)), net.numbers(2**21, 1))
        return net.add("Add", x, net.add("ReduceSum", net.add("GatherND", net.random(4, scale=1.0), a)))

    refused(large, "Expand .* makes more than a generator may take")
    refused(product, "MatMul .* takes more time than a generator may")
    refused(python, "GatherND .* takes more time")
    monkeypatch.setattr(onnx_building, "MOST_SECONDS", 0.0)
    refused(spectral_norm, "makes more than a generator may take")


def test_very_many_smooth_functions_are_not_averaged(tmp_path, monkeypatch):
    written(tmp_path, snake)
    for most, is_averaged in ((1, True), (0, False)):
        monkeypatch.setattr(forward_mode, "MOST_AVERAGED", most)
        generator = load_generator(tmp_path)
        z = random_latent(generator, 1, 0)
        alone, wide = (generator.jacobian(z, np.full(1, noise, "f")) for noise in (0.0, 0.5))
        assert np.allclose(alone[0], wide[0], atol=1e-5) != is_averaged
        sound = np.asarray(generator.smoothed(z, np.full(1, 0.5, "f"), wide[2])).reshape(1, -1)
        assert len(wide[2]) == is_averaged and np.allclose(sound, wide[0], atol=1e-5)


def test_random_numbers_and_loops_are_refused_by_what_they_do(tmp_path):
    def noisy(net, x):
        return net.add("Add", x, net.add("RandomNormalLike", x))

    with pytest.raises(
        CheckpointError, match="RandomNormalLike .* draws random numbers, so a latent vector has no sound"
    ):
        read_onnx(written(tmp_path, noisy) / FILE)


def test_functions_of_the_file_s_own(tmp_path):
    written(tmp_path, lambda net, x: net.add("Mul", x, net.weight(one(0.5))))
    model = onnx.load(tmp_path / FILE)
    call = next(node for node in model.graph.node if node.op_type == "Mul")
    call.op_type, call.domain = "Snake", "own"
    call.attribute.append(helper.make_attribute("power", 2.0))
    nodes = [
        helper.make_node("Sin", ["x"], ["s"]),
        helper.make_node("Constant", [], ["p"]),
        helper.make_node("Pow", ["s", "p"], ["q"]),
        helper.make_node("Mul", ["q", "a"], ["r"]),
        helper.make_node("Add", ["x", "r"], ["y"]),
    ]
    nodes[1].attribute.add(name="value_float", ref_attr_name="power", type=onnx.AttributeProto.FLOAT)
    opsets = [helper.make_opsetid("", 20)]
    model.functions.append(helper.make_function("own", "Snake", ["x", "a"], ["y"], nodes, opsets, ["power"]))
    model.opset_import.append(helper.make_opsetid("own", 1))
    onnx.save(model, tmp_path / FILE)
    z = np.random.default_rng(0).uniform(-1, 1, (1, onnx_generators.LATENT)).astype("f")
    sound = as_function(read_onnx(tmp_path / FILE)[0], FILE)(tf.constant(z))
    assert np.allclose(sound, onnx_generators.run(tmp_path / FILE, z), atol=1e-5)
    model.functions[0].node[0].op_type, model.functions[0].node[0].domain = "Snake", "own"  # calls itself
    onnx.save(model, tmp_path / FILE)
    with pytest.raises(CheckpointError, match="describes more than"):
        read_onnx(tmp_path / FILE)


@pytest.mark.parametrize("z", [(8, 1), (1, 8)])
def test_a_latent_vector_of_three_axes(tmp_path, z):
    generator = load_generator(written(tmp_path, snake, z=z))
    vectors = random_latent(generator, 2, 0)
    expected = onnx_generators.run(tmp_path / FILE, vectors.reshape(2, *z))
    assert np.allclose(generator(vectors).numpy().reshape(expected.shape), expected, atol=1e-5)


def test_a_latent_vector_in_half_precision(tmp_path):
    def converted(net, x):
        kernel = net.weight(np.full((4, 1, 8), 0.5, np.float16))
        summed = net.add("Conv", net.add("Reshape", "z", net.numbers(1, 1, 8)), kernel)
        return net.add("Add", x, net.add("Cast", summed, to=FLOAT))

    model = onnx.load(written(tmp_path, converted) / FILE)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    model.graph.node.insert(0, helper.make_node("Cast", ["z"], ["float z"], to=FLOAT))
    next(node for node in model.graph.node if node.op_type == "Gemm").input[0] = "float z"
    onnx.save(model, tmp_path / FILE)
    generator = load_generator(tmp_path)
    z = (random_latent(generator, 1, 0) * 64).round() / 64  # which half precision has, and their sum
    session = onnx_generators.onnxruntime.InferenceSession(str(tmp_path / FILE))
    expected = session.run(None, {"z": z.astype(np.float16)})[0]
    assert np.allclose(generator(z).numpy().reshape(expected.shape), expected, atol=1e-5)


def test_a_file_for_many_clips_at_once(tmp_path):
    generator = load_generator(written(tmp_path, snake, batch=16))
    z = random_latent(generator, 16, 0)
    expected = onnx_generators.onnxruntime.InferenceSession(str(tmp_path / FILE)).run(None, {"z": z})[0]
    assert np.allclose(generator(z).numpy().reshape(expected.shape), expected, atol=1e-5)
    with pytest.raises(CheckpointError, match="z is for 16 clips at once: export it for one"):
        read_onnx(
            written(tmp_path, lambda net, x: net.add("Add", x, net.random(16, 4, 16, scale=1.0)), batch=16) / FILE
        )


def test_inputs_are_told_apart_or_asked_for(tmp_path):
    def with_name(name):
        def layer(net, x):
            part = net.add("Gemm", name, net.random(3, 64, scale=0.5))
            return net.add("Add", x, net.add("Reshape", part, net.numbers(1, 4, 16)))

        return written(tmp_path, layer, inputs=[(name, FLOAT, [3])])

    z = np.random.default_rng(0).uniform(-1, 1, (1, 8)).astype("f")

    def right(name, other):
        fed = {"z": z, name: np.array([other], "f")}
        return onnx_generators.onnxruntime.InferenceSession(str(tmp_path / FILE)).run(None, fed)[0]

    def sound(generator, vector=z):
        return np.asarray(generator(vector)).reshape(1, -1)

    generator = load_generator(with_name("noise"))  # held at zero
    assert generator.latent_dim == 8 and np.allclose(sound(generator), right("noise", [0, 0, 0]), atol=1e-5)
    both = load_generator(tmp_path, {"inputs": {"noise": "recovered"}})
    assert both.latent_dim == 11
    fed = np.concatenate([z, [[0.1, -0.2, 0.3]]], axis=1).astype("f")
    assert np.allclose(sound(both, fed), right("noise", [0.1, -0.2, 0.3]), atol=1e-5)
    with pytest.raises(CheckpointError, match=r"its inputs are z \[n, 8\], mood \[n, 3\], and mood may be anything"):
        load_generator(with_name("mood"))
    held = load_generator(tmp_path, {"inputs": {"mood": [0.2, 0.5, -1]}})
    assert np.allclose(sound(held), right("mood", [0.2, 0.5, -1]), atol=1e-5)
    with pytest.raises(CheckpointError, match="inputs gives mood 2 numbers"):
        load_generator(tmp_path, {"inputs": {"mood": [0.2, 0.5]}})
    with pytest.raises(CheckpointError, match="inputs names moods"):
        load_generator(tmp_path, {"inputs": {"moods": "label"}})
    assert load_generator(with_name("label")).takes_label
    with pytest.raises(CheckpointError, match="set latent to the name of the latent vector"):
        load_generator(with_name("latent2"))
