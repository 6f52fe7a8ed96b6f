"""What each operation of an ONNX graph is in TensorFlow's operations, for one clip: its first axis is 1 throughout.

ONNX has channels first; TensorFlow's convolutions on a CPU have them last. A value is kept in both orders where an
operation makes both, and what nothing takes is left out of the graph afterwards. Transposed convolutions of waveforms
are made in sub-pixel form (models/generator/subpixel.py). What is known without a latent vector, shapes for the most
part, is worked out at once, as long as it cannot become larger than what it is made of.
"""

import numpy as np
import onnx
import tensorflow as tf

from models.files.errors import CheckpointError
from models.generator.readers.allow_list import SMALL
from models.generator.subpixel import transposed_kernel

MOST_RESIZED = 2**22  # samples along one axis, resized or padded
MOST_GROUPS = 64  # of a convolution
MOST_DILATED = 4096  # samples from one tap of a kernel to the next


class Building:
    """The graph so far. values: {name: an array if it is known, else a tensor}; it begins with weights and inputs."""

    def __init__(self, values):
        self.values, self.channels_last = values, {}

    def add(self, node):
        """Adds the outputs of one node. Raises CheckpointError, in one phrase, for one that is not supported."""
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        inputs = [self.values[name] if name else None for name in node.input]
        call = _Call(self, node, attributes, inputs)
        result = OPERATIONS[node.op_type](call, *inputs)
        results = result if isinstance(result, list) else [result]
        for name, value in zip(node.output, results):
            self.values[name] = value


class _Call:
    """One node: its attributes, and access to the other order of its inputs' axes."""

    def __init__(self, building, node, attributes, inputs):
        self.building, self.node, self.attributes, self.inputs = building, node, attributes, inputs

    def __getitem__(self, name):
        return self.attributes[name]

    def get(self, name, default=None):
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def refuse(self, what):
        raise CheckpointError(f"{self.node.op_type} ({self.node.output[0]}): {what} is not supported")

    def last(self, i=0):
        """Input i [1, channels, …] with its channels last."""
        kept = self.building.channels_last.get(self.node.input[i])
        return kept if kept is not None else tf.transpose(self.inputs[i], _to_last(_rank(self.inputs[i])))

    def from_last(self, x):
        """A result [1, …, channels] as ONNX has it; both are kept."""
        self.building.channels_last[self.node.output[0]] = x
        return tf.transpose(x, _to_first(x.shape.rank))

    def known(self, i, default=None):
        """Input i as a NumPy array; `default` where there is none."""
        if i >= len(self.inputs) or self.inputs[i] is None:
            return default
        if not isinstance(self.inputs[i], np.ndarray):
            self.refuse(f"an input {self.node.input[i]} that depends on the latent vector")
        return self.inputs[i]


def _rank(x):
    return x.ndim if isinstance(x, np.ndarray) else x.shape.rank


def _to_last(rank):
    return [0, *range(2, rank), 1]


def _to_first(rank):
    return [0, rank - 1, *range(1, rank - 1)]


def _arrays(*values):
    return all(isinstance(value, np.ndarray) for value in values)


def _elementwise(function):
    """A function of one tensor, applied in both orders of its axes."""

    def operation(call, x):
        if isinstance(x, np.ndarray):
            x = tf.constant(x)
        elif call.node.input[0] in call.building.channels_last:
            return call.from_last(function(call, call.last()))
        return function(call, x)

    return operation


def _arithmetic(of_arrays, of_tensors):
    def operation(_, a, b):
        if _arrays(a, b):
            largest = np.prod(np.broadcast_shapes(a.shape, b.shape), dtype=object)
            if largest <= max(a.size, b.size, SMALL):
                return np.asarray(of_arrays(a, b)).astype(a.dtype)
        return of_tensors(a, b)

    return operation


def _quotient(a, b):
    return np.trunc(a / b) if a.dtype.kind in "iu" else a / b


def _gemm(call, a, b, c=None):
    a = tf.transpose(a) if call.get("transA", 0) else a
    b = tf.transpose(b) if call.get("transB", 0) and not _arrays(b) else b.T if call.get("transB", 0) else b
    alpha, beta = call.get("alpha", 1.0), call.get("beta", 1.0)
    product = tf.matmul(a, b * np.float32(alpha) if alpha != 1 else b)
    return product if c is None else product + (c * np.float32(beta) if beta != 1 else c)


def _reshape(call, x, _):
    wanted = [int(n) for n in call.known(1)]
    sizes = [int(n) for n in x.shape]
    if not call.get("allowzero", 0):
        wanted = [sizes[i] if n == 0 else n for i, n in enumerate(wanted)]
    if wanted.count(-1) == 1:
        others = -int(np.prod(wanted, dtype=object))
        wanted[wanted.index(-1)] = int(np.prod(sizes, dtype=object)) // max(others, 1)
    return x.reshape(wanted) if _arrays(x) else tf.reshape(x, wanted)


def _flatten(call, x):
    axis = call.get("axis", 1) % (_rank(x) + 1)
    sizes = [int(np.prod(part, dtype=object)) for part in (x.shape[:axis], x.shape[axis:])]
    return x.reshape(sizes) if _arrays(x) else tf.reshape(x, sizes)


def _transpose(call, x):
    order = list(call.get("perm", list(range(_rank(x)))[::-1]))
    return x.transpose(order) if _arrays(x) else tf.transpose(x, order)


def _axes(call):
    """Axes of Squeeze and Unsqueeze, an attribute until opset 12, then an input."""
    axes = call.get("axes", call.known(1))
    return None if axes is None else [int(axis) for axis in axes]


def _squeeze(call, x, *_):
    axes = _axes(call)
    axes = [i for i, size in enumerate(x.shape) if size == 1 and i] if axes is None else axes
    return np.squeeze(x, tuple(axes)) if _arrays(x) else tf.squeeze(x, axes)


def _unsqueeze(call, x, *_):
    rank = _rank(x) + len(_axes(call))
    axes = sorted(axis % rank for axis in _axes(call))
    if _arrays(x):
        return np.expand_dims(x, tuple(axes))
    for axis in axes:
        x = tf.expand_dims(x, axis)
    return x


def _concat(call, *values):
    if _arrays(*values):
        return np.concatenate(values, call["axis"])
    return tf.concat(values, call["axis"])


def _gather(call, x, indices):
    axis = call.get("axis", 0)
    if _arrays(x, indices) and (x.ndim == 1 or indices.size <= x.shape[axis]):
        return np.asarray(np.take(x, indices, axis))
    if isinstance(indices, np.ndarray):
        indices = np.where(indices < 0, indices + int(x.shape[axis]), indices)  # -1 is the last one
    return tf.gather(x, indices, axis=axis)


def _slice(call, x, *_):
    starts, ends = call.known(1), call.known(2)
    axes, steps = call.known(3, np.arange(len(starts))), call.known(4, np.ones(len(starts), int))
    wanted = [slice(None)] * _rank(x)
    for start, end, axis, step in zip(starts.tolist(), ends.tolist(), axes.tolist(), steps.tolist()):
        first, stop, step = slice(start, end, step).indices(int(x.shape[axis]))
        wanted[axis] = slice(first, None if stop < 0 else stop, step)
    return x[tuple(wanted)]


def _split(call, x, *_):
    axis, sizes = call.get("axis", 0), call.get("split", call.known(1))
    count = len(call.node.output)
    if sizes is None:
        part = -(-int(x.shape[axis]) // count)
        sizes = [part] * (count - 1) + [int(x.shape[axis]) - part * (count - 1)]
    return list(tf.split(x, [int(size) for size in sizes], axis))


def _computed_in(dtype):
    """The precision in which numbers of a type are computed here: float32 where a file has half of it."""
    return tf.float32 if dtype in (tf.float16, tf.bfloat16) else dtype


def _cast(call, x):
    dtype = _computed_in(tf.as_dtype(onnx.helper.tensor_dtype_to_np_dtype(call["to"])))
    return x.astype(dtype.as_numpy_dtype) if _arrays(x) else tf.cast(x, dtype)


def _shape(call, x):
    return np.array(x.shape, np.int64)[call.get("start", 0) : call.get("end")]


def _constant(call):
    if call.node.output[0] in call.building.values:
        return call.building.values[call.node.output[0]]  # a tensor, which has been read and checked
    for name, dtype in (("value_float", "f"), ("value_floats", "f"), ("value_int", "i8"), ("value_ints", "i8")):
        if name in call.attributes:
            return np.array(call[name], dtype)
    return call.refuse("a value of this kind")


def _filled(call, shape):
    tensor = call.attributes.get("value")
    if tensor is not None and tensor.data_location == onnx.TensorProto.EXTERNAL:
        call.refuse("a value in another file")
    value = np.zeros(1, "f") if tensor is None else onnx.numpy_helper.to_array(tensor)
    value = value.astype(_computed_in(tf.as_dtype(value.dtype)).as_numpy_dtype)
    wanted = [int(n) for n in call.known(0)]
    if value.size != 1 or any(n < 0 for n in wanted):
        call.refuse("this value or shape")
    if np.prod(wanted, dtype=object) <= SMALL:
        return np.full(wanted, value.reshape(()))
    return tf.fill(np.array(wanted, np.int64), value.reshape(()))


def _expand(call, x, _):
    wanted = [int(n) for n in call.known(1)]
    shape = list(np.broadcast_shapes(tuple(x.shape), tuple(wanted)))
    if _arrays(x) and np.prod(shape, dtype=object) <= SMALL:
        return np.broadcast_to(x, shape)
    return tf.broadcast_to(x, shape)


def _normalised(call, x, scale, shift, mean, variance):
    if call.get("training_mode", 0):
        call.refuse("normalisation by the batch's own statistics")
    scale, shift, mean, variance = (call.known(i).astype(np.float64) for i in range(1, 5))
    factor = scale / np.sqrt(variance + call.get("epsilon", 1e-5))
    dtype = x.dtype.as_numpy_dtype
    return call.from_last(call.last() * factor.astype(dtype) + (shift - mean * factor).astype(dtype))


def _leaky(call, x):
    return tf.nn.leaky_relu(x, call.get("alpha", 0.01))


def _prelu(call, x, _):
    slope = call.known(1)
    return tf.nn.relu(x) - slope * tf.nn.relu(-x)


def _clip(call, x, *_):
    low, high = call.known(1), call.known(2)
    x = x if low is None else tf.maximum(x, low)
    return x if high is None else tf.minimum(x, high)


def _one_hot(call, indices, depth, values):
    depth, (off, on) = int(call.known(1).reshape(())), call.known(2)
    return tf.one_hot(tf.cast(indices, tf.int64), depth, on, off, call.get("axis", -1))


def _pad(call, x, *_):
    rank, pads = _rank(x), [int(n) for n in call.known(1)]
    axes = [int(axis) % rank for axis in call.known(3, np.arange(rank))]
    value = float(call.known(2, np.zeros(1)).reshape(()))
    before, after = [0] * rank, [0] * rank
    for axis, first, last in zip(axes, pads[: len(axes)], pads[len(axes) :]):
        before[axis], after[axis] = first, last
    x = _cropped(x, before, after)
    before, after = [max(n, 0) for n in before], [max(n, 0) for n in after]
    if call.get("mode", "constant") == "constant":
        return tf.pad(x, list(zip(before, after)), constant_values=value)
    for axis in range(rank):
        if before[axis] or after[axis]:
            if before[axis] + after[axis] > MOST_RESIZED:
                call.refuse(f"padding by {before[axis] + after[axis]}")
            indices = np.pad(np.arange(x.shape[axis]), (before[axis], after[axis]), call.get("mode"))
            x = tf.gather(x, indices, axis=axis)
    return x


def _cropped(x, before, after):
    """x without what negative paddings take away."""
    parts = [slice(max(-a, 0), int(n) - max(-b, 0)) for a, b, n in zip(before, after, x.shape)]
    return x[tuple(part if min(a, b) < 0 else slice(None) for part, a, b in zip(parts, before, after))]


def _geometry(call, x, kernel):
    """Of a convolution: kernel sizes, strides, dilations, paddings in front and behind, each by spatial axis."""
    count = kernel.ndim - 2
    if count not in (1, 2) or _rank(x) != kernel.ndim:
        call.refuse(f"{count} axes besides the channels")
    sizes = list(kernel.shape[2:])
    strides, dilations = (list(call.get(name, [1] * count)) for name in ("strides", "dilations"))
    pads = list(call.get("pads", [0] * 2 * count))
    if min(strides + dilations) < 1 or min(pads) < 0 or len(pads) != 2 * count:
        call.refuse("this stride, dilation or padding")
    return sizes, strides, dilations, pads[:count], pads[count:]


def _grouped(call, x, kernel, bias, one):
    """A convolution group by group: one(x, kernel of a group) → channels last; then the bias."""
    groups = call.get("group", 1)
    if not 0 < groups <= MOST_GROUPS:
        call.refuse(f"{groups} groups")
    kernels = np.split(kernel, groups, axis=0)
    parts = tf.split(x, groups, axis=-1) if groups > 1 else [x]
    results = [one(part, kernel) for part, kernel in zip(parts, kernels)]
    result = tf.concat(results, axis=-1) if groups > 1 else results[0]
    return call.from_last(result if bias is None else result + bias)


def _conv(call, x, *_):
    kernel, bias = call.known(1), call.known(2)  # [out, in, …]
    sizes, strides, dilations, before, after = _geometry(call, x, kernel)
    if (auto := call.get("auto_pad", "NOTSET")) not in ("NOTSET", "VALID"):
        for axis, length in enumerate(call.last().shape[1:-1]):
            total = (-(-length // strides[axis]) - 1) * strides[axis] + (sizes[axis] - 1) * dilations[axis] + 1 - length
            small, large = max(total, 0) // 2, max(total, 0) - max(total, 0) // 2
            before[axis], after[axis] = (small, large) if auto == "SAME_UPPER" else (large, small)
    x = call.last()
    if any(before + after):
        x = tf.pad(x, [(0, 0), *zip(before, after), (0, 0)])

    def one(x, kernel):
        kernel = np.moveaxis(kernel, (0, 1), (-1, -2))  # […, in, out]
        return tf.nn.convolution(x, kernel, strides=strides, padding="VALID")

    # TensorFlow's own dilation lays parts of a clip along the first axis, and goes with no stride.
    return _grouped(call, x, _dilated(call, kernel, dilations), bias, one)


def _conv_transpose(call, x, *_):
    kernel, bias = call.known(1), call.known(2)  # [in, out, …]
    sizes, strides, dilations, before, after = _geometry(call, x, kernel)
    lengths = [int(n) for n in x.shape[2:]]
    extra = list(call.get("output_padding", [0] * len(sizes)))
    whole = [(n - 1) * s + (k - 1) * d + 1 + e for n, s, k, d, e in zip(lengths, strides, sizes, dilations, extra)]
    wanted, auto = call.get("output_shape"), call.get("auto_pad", "NOTSET")
    if wanted is None and auto.startswith("SAME"):
        wanted = [n * s for n, s in zip(lengths, strides)]
    if wanted is not None:
        totals = [full - size for full, size in zip(whole, list(wanted)[-len(sizes) :])]
        small = [total // 2 for total in totals]
        large = [total - half for total, half in zip(totals, small)]
        before, after = (small, large) if auto == "SAME_UPPER" else (large, small)
    out = [full - a - b for full, a, b in zip(whole, before, after)]
    if min(out) < 1 or min(before) < 0:
        call.refuse("this padding")
    kernel = _dilated(call, kernel, dilations)

    def one(x, kernel):
        if len(sizes) == 1:
            return _upsampled(x, kernel, strides[0], before[0], out[0])
        if kernel.shape[2] == strides[0] == 1 and before[0] == 0 and out[0] == 1 == x.shape[1]:
            return _upsampled(x[:, 0], kernel[:, :, 0], strides[1], before[1], out[1])[:, None]
        return _upsampled_picture(x, kernel, strides, before, out)

    return _grouped(call, call.last(), kernel, bias, one)


def _dilated(call, kernel, dilations):
    """A kernel with zeros between its taps."""
    if np.prod(dilations, dtype=object) > MOST_DILATED:
        call.refuse(f"a dilation of {dilations}")
    for axis, dilation in enumerate(dilations):
        if dilation > 1:
            shape = list(kernel.shape)
            shape[2 + axis] = (shape[2 + axis] - 1) * dilation + 1
            wide = np.zeros(shape, kernel.dtype)
            wide[(slice(None),) * (2 + axis) + (slice(None, None, dilation),)] = kernel
            kernel = wide
    return kernel


def _upsampled(x, kernel, stride, before, length):
    """Transposed convolution of x [1, n, in] by [in, out, taps], of whose output `before` samples are cut off in front
    and `length` kept, in sub-pixel form.
    """
    with tf.init_scope():
        phases, padding = transposed_kernel(tf.constant(kernel.transpose(2, 1, 0)), stride, before)
        phases = phases.numpy()
    rows = max(int(x.shape[1]), -(-length // stride))  # behind the last input there are zeros
    x = tf.pad(x, [(0, 0), (padding[0], padding[1] + rows - int(x.shape[1])), (0, 0)])
    y = tf.nn.conv1d(x, phases, 1, "VALID")  # [1, rows, stride * out]
    y = tf.reshape(y, [1, rows * stride, kernel.shape[1]])
    return y if rows * stride == length else y[:, :length]


def _upsampled_picture(x, kernel, strides, before, out):
    """Transposed convolution of x [1, height, width, in] by [in, out, …]."""
    whole = [(int(n) - 1) * s + k for n, s, k in zip(x.shape[1:3], strides, kernel.shape[2:])]
    y = tf.nn.conv2d_transpose(x, kernel.transpose(2, 3, 1, 0), [1, *whole, kernel.shape[1]], strides, "VALID")
    y = tf.pad(y, [(0, 0), *((0, max(a + n - w, 0)) for a, n, w in zip(before, out, whole)), (0, 0)])
    return y[:, before[0] : before[0] + out[0], before[1] : before[1] + out[1]]


def _resize(call, x, *_):
    scales, sizes = call.known(2), call.known(3)
    axes = [axis % _rank(x) for axis in call.get("axes", range(_rank(x)))]
    mode, where = call.get("mode", "nearest"), call.get("coordinate_transformation_mode", "half_pixel")
    if mode not in ("nearest", "linear") or call.get("antialias", 0):
        call.refuse(f"the mode {mode}" if mode not in ("nearest", "linear") else "antialiasing")
    if call.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        call.refuse("keeping the aspect ratio")
    last = call.last() if _rank(x) > 2 else x
    for i, axis in enumerate(axes):
        length = int(x.shape[axis])
        if sizes is not None and sizes.size:
            wanted = int(sizes[i])
            scale = wanted / length
        else:
            scale = float(scales[i])
            wanted = int(np.floor(length * scale))
        if wanted == length:
            continue
        if axis < 2 or not 0 < wanted <= MOST_RESIZED:
            call.refuse(f"from {length} to {wanted} along axis {axis}")
        last = _resized(call, last, axis - 1, length, wanted, scale, mode, where)
    return call.from_last(last)


def _resized(call, x, axis, length, wanted, scale, mode, where):
    i = np.arange(wanted, dtype=np.float64)
    position = {
        "half_pixel": lambda: (i + 0.5) / scale - 0.5,
        "pytorch_half_pixel": lambda: (i + 0.5) / scale - 0.5 if wanted > 1 else 0 * i,
        "asymmetric": lambda: i / scale,
        "align_corners": lambda: i * (length - 1) / (wanted - 1) if wanted > 1 else 0 * i,
    }.get(where, lambda: call.refuse(f"the coordinates {where}"))()
    if mode == "nearest":
        rounding = {
            "round_prefer_floor": lambda p: np.ceil(p - 0.5),
            "round_prefer_ceil": lambda p: np.floor(p + 0.5),
            "floor": np.floor,
            "ceil": np.ceil,
        }[call.get("nearest_mode", "round_prefer_floor")]
        return tf.gather(x, np.clip(rounding(position), 0, length - 1).astype(np.int32), axis=axis)
    position = np.clip(position, 0, length - 1)
    low = np.floor(position).astype(np.int32)
    share = (position - low).astype(np.float32).reshape([-1] + [1] * (x.shape.rank - 1 - axis))
    high = np.minimum(low + 1, length - 1)
    return tf.gather(x, low, axis=axis) * (1 - share) + tf.gather(x, high, axis=axis) * share


def _kept(call, x, *_):
    if call.node.input[0] in call.building.channels_last:
        call.building.channels_last[call.node.output[0]] = call.building.channels_last[call.node.input[0]]
    return x


OPERATIONS = {
    "Add": _arithmetic(np.add, tf.add),
    "Sub": _arithmetic(np.subtract, tf.subtract),
    "Mul": _arithmetic(np.multiply, tf.multiply),
    "Div": _arithmetic(_quotient, tf.divide),
    "Gemm": _gemm,
    "MatMul": lambda _, a, b: tf.matmul(a, b),
    "Relu": _elementwise(lambda _, x: tf.nn.relu(x)),
    "LeakyRelu": _elementwise(_leaky),
    "Tanh": _elementwise(lambda _, x: tf.tanh(x)),
    "Sigmoid": _elementwise(lambda _, x: tf.sigmoid(x)),
    "Softplus": _elementwise(lambda _, x: tf.nn.softplus(x)),
    "Elu": _elementwise(lambda call, x: tf.nn.elu(x) if call.get("alpha", 1.0) == 1 else call.refuse("alpha")),
    "Sin": _elementwise(lambda _, x: tf.sin(x)),
    "Exp": _elementwise(lambda _, x: tf.exp(x)),
    "Sqrt": _elementwise(lambda _, x: tf.sqrt(x)),
    "Neg": _elementwise(lambda _, x: -x),
    "PRelu": _prelu,
    "Clip": _clip,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "BatchNormalization": _normalised,
    "Resize": _resize,
    "Pad": _pad,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Concat": _concat,
    "Gather": _gather,
    "Slice": _slice,
    "Split": _split,
    "Expand": _expand,
    "OneHot": _one_hot,
    "Cast": _cast,
    "Shape": _shape,
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "Identity": _kept,
    "Dropout": _kept,
}
