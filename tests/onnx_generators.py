"""Writes generators as PyTorch exports them to ONNX, with onnx.helper alone, and runs them with onnxruntime.

Layers are channels first; transposed convolutions have kernel 25, stride 4, padding 11 and output padding 1.
"""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

LATENT = 8
LABELS = 4


class Network:
    """A list of nodes and weights that grows."""

    def __init__(self, opset, seed):
        self.opset, self.rng, self.nodes, self.weights, self.count = opset, np.random.default_rng(seed), [], [], 0

    def weight(self, array):
        self.weights.append(onnx.numpy_helper.from_array(np.asarray(array, order="C"), f"w{len(self.weights)}"))
        return self.weights[-1].name

    def random(self, *shape, scale):
        return self.weight(self.rng.normal(0, scale, shape).astype(np.float32))

    def numbers(self, *values):
        return self.weight(np.array(values, np.int64))

    def add(self, operation, *inputs, **attributes):
        self.count += 1
        self.nodes.append(helper.make_node(operation, list(inputs), [f"t{self.count}"], **attributes))
        return f"t{self.count}"

    def axes(self, operation, x, *axes):
        """Squeeze or Unsqueeze, whose axes are an attribute until opset 12."""
        if self.opset < 13:
            return self.add(operation, x, axes=list(axes))
        return self.add(operation, x, self.numbers(*axes))

    def normalised(self, x, channels):
        scale, variance = (self.weight(self.rng.uniform(0.5, 1.5, channels).astype("f")) for _ in range(2))
        shift, mean = (self.random(channels, scale=0.3) for _ in range(2))
        return self.add("BatchNormalization", x, scale, shift, mean, variance, epsilon=1e-5)

    def write(self, path, output, inputs, batch, rank=3):
        values = [helper.make_tensor_value_info(name, kind, [batch, *shape]) for name, kind, shape in inputs]
        self.nodes.append(helper.make_node("Identity", [output], ["waveform"]))
        result = helper.make_tensor_value_info("waveform", TensorProto.FLOAT, [batch, *[None] * (rank - 1)])
        graph = helper.make_graph(self.nodes, "main_graph", values, [result], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        if not any(node.domain for node in model.graph.node):  # one of its own is added behind
            onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())


def write(path, *, upsample="transposed", norm=False, label="", opset=17, width=2, layers=5, batch=1, taps=0, seed=0):
    """A generator of 16 * 4 ** layers samples in `path`.

    upsample: "transposed", "nearest", "linear" or "shaped", nearest to sizes worked out from shapes as old exports do.
    label: "", "number", looked up in a table that multiplies z, or "one-hot", joined to z. batch: 1, or the name of
    an axis. taps: of a filter behind the tanh, padded beforehand.
    """
    net = Network(opset, seed)
    inputs, x, size = [("z", TensorProto.FLOAT, [LATENT])], "z", LATENT
    if label == "number":
        inputs.append(("label", TensorProto.INT64, []))
        x = net.add("Mul", x, net.add("Gather", net.random(LABELS, LATENT, scale=1.0), "label", axis=0))
    elif label == "one-hot":
        inputs.append(("label", TensorProto.FLOAT, [LABELS]))
        x, size = net.add("Concat", x, "label", axis=1), LATENT + LABELS
    channels = width * 2 ** (layers - 1)
    dense = net.random(16 * channels, size, scale=size**-0.5)
    x = net.add("Gemm", x, dense, net.random(16 * channels, scale=0.05), transB=1)
    x = net.add("Reshape", x, net.numbers(-1, channels, 16))
    for i in range(layers):
        if norm:
            x = net.normalised(x, channels)
        x = net.add("Relu", x) if i % 2 == 0 else net.add("LeakyRelu", x, alpha=0.2)
        out = 1 if i == layers - 1 else channels // 2
        bias = net.random(out, scale=0.05)
        if upsample == "transposed":
            kernel = net.random(channels, out, 25, scale=np.sqrt(8 / (25 * channels)))
            x = net.add("ConvTranspose", x, kernel, bias, strides=[4], pads=[11, 11], output_padding=[1])
        else:
            x = _longer(net, x, upsample)
            kernel = net.random(out, channels, 25, scale=np.sqrt(2 / (25 * channels)))
            x = net.add(
                "Pad", x, net.numbers(0, 0, 12, 0, 0, 12), mode="reflect" if upsample == "linear" else "constant"
            )
            x = net.add("Conv", x, kernel, bias)
        channels = out
    x = net.add("Tanh", x)
    if taps:
        x = net.add("Pad", x, net.numbers(0, 0, (taps - 1) // 2, 0, 0, taps // 2), mode="constant")
        x = net.add("Conv", x, net.random(1, 1, taps, scale=taps**-0.5))
    net.write(path, x, inputs, batch)


def _longer(net, x, upsample):
    """Four times as many samples."""
    none = net.weight(np.zeros(0, "f")) if net.opset < 13 else ""  # an input that is not there
    if upsample == "linear":
        return net.add("Resize", x, none, net.weight(np.array([1, 1, 4], "f")), mode="linear")
    nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    if upsample == "nearest":
        return net.add("Resize", x, none, net.weight(np.array([1, 1, 4], "f")), **nearest)
    length = net.add("Gather", net.add("Shape", x), net.weight(np.array(2)), axis=0)
    longer = net.add("Cast", net.add("Mul", length, net.weight(np.array(4))), to=TensorProto.INT64)
    fixed = net.add("Slice", net.add("Shape", x), net.numbers(0), net.numbers(2), net.numbers(0))
    sizes = net.add("Concat", fixed, net.axes("Unsqueeze", longer, 0), axis=0)
    return net.add("Resize", x, none, none, sizes, **nearest)


def run(path, z, label=None):
    """What onnxruntime makes of latent vectors [n, LATENT], one after the other, and of the number of a label."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    waveforms = []
    for one in z:
        fed = {"z": one[None]}
        for extra in session.get_inputs()[1:]:
            one_hot = np.eye(LABELS, dtype=np.float32)[[label]]
            fed[extra.name] = np.array([label]) if "int" in extra.type else one_hot
        waveforms.append(session.run(None, fed)[0])
    return np.concatenate(waveforms)
