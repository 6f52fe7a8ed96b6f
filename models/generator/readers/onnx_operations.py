"""What each operation of an ONNX graph is in TensorFlow's operations, where it depends on the latent vector.

A rule takes a models.generator.readers.onnx_building.Call and the node's inputs, arrays or tensors [n, …] whose first
axis is the clips; axes are counted as ONNX does, without it. What each does is said in the ONNX operator reference.
"""

import numpy as np
import onnx
import tensorflow as tf

from models.generator.readers.onnx_layers import LAYERS, MOST_MATRIX, of_one_rank, shape_of


def _elementwise(function):
    """A function of tensors number by number, computed in both orders of their axes where they are kept in both."""

    def operation(call, *_):
        values = call.all_last()
        return call.from_last(function(*values)) if values else function(*call.aligned())

    return operation


def _with_attributes(function):
    """As `_elementwise`, of one tensor and the call."""

    def operation(call, x, *_):
        if call.node.input[0] in call.building.channels_last:
            return call.from_last(function(call, call.last()))
        return function(call, call.tensor(0))

    return operation


def _folding(function):
    """An operation of any number of inputs, by one of two."""

    def one_by_one(*values):
        total = values[0]
        for value in values[1:]:
            total = function(total, value)
        return total

    return _elementwise(one_by_one)


def _power(x, exponent):
    if not tf.is_tensor(exponent) and exponent.size == 1:
        plain = {2.0: tf.square, 1.0: tf.identity, 0.5: tf.sqrt, -0.5: tf.math.rsqrt, -1.0: tf.math.reciprocal}
        if float(exponent.reshape(())) in plain and tf.is_tensor(x):
            return plain[float(exponent.reshape(()))](x)
        if tf.is_tensor(x) and float(exponent.reshape(())) == 3.0:
            return tf.square(x) * x
    return tf.pow(x, tf.cast(exponent, x.dtype))


def _quotient(a, b):
    return tf.divide(a, b) if tf.as_dtype(a.dtype).is_floating else tf.truncatediv(a, b)


def _chosen(condition, a, b):
    """tf.where of operands that are as large as the result, as forward mode wants them."""
    shape = np.broadcast_shapes(*(shape_of(x) for x in (condition, a, b)))
    whole = [x if not tf.is_tensor(x) or shape_of(x) == list(shape) else x + np.zeros(shape, x.dtype.as_numpy_dtype)
             for x in (a, b)]  # fmt: skip
    return tf.where(condition, *whole)


def _elu(alpha, gamma):
    def operation(call, x):
        scale, share = call.get("gamma", gamma), call.get("alpha", alpha)
        x = tf.nn.elu(x) if share == 1 else tf.nn.relu(x) + share * (tf.exp(tf.minimum(x, 0.0)) - 1)
        return x if scale == 1 else scale * x

    return operation


def _clip(call, x):
    low, high = call.known(1), call.known(2)
    x = x if low is None else tf.maximum(x, low)
    return x if high is None else tf.minimum(x, high)


def _product(call, a, b):
    if len(shape_of(b)) == 1:
        column = b[..., None] if tf.is_tensor(b) else b[:, None]
        return tf.squeeze(_matmul(a if len(shape_of(a)) > 1 else a[..., None, :], column), -1)
    if len(shape_of(a)) == 1:
        return tf.squeeze(_matmul(a[..., None, :], b), -2)
    return _matmul(a, b)


def _matmul(a, b):
    if not tf.is_tensor(b) and b.ndim == 2:  # one product, not one for each clip
        return tf.reshape(tf.reshape(a, [-1, b.shape[0]]) @ b, [-1, *shape_of(a)[:-1], b.shape[1]])
    return tf.matmul(*of_one_rank(a, b))


def _gemm(call, a, b, c=None):
    a, b = (
        x if not call.get(name, 0) else tf.transpose(x, [0, 2, 1]) if tf.is_tensor(x) else x.T
        for x, name in ((a, "transA"), (b, "transB"))
    )
    product = _matmul(a, b)
    product = product if call.get("alpha", 1.0) == 1 else product * np.float32(call["alpha"])
    return product if c is None else product + (c if call.get("beta", 1.0) == 1 else c * np.float32(call["beta"]))


def _einsum(call, *values):
    equation = call["equation"].decode().replace(" ", "")
    clip = next(letter for letter in "abcdefghijklmnopqrstuvwxyzABC" if letter not in equation)
    terms, arrow, result = equation.partition("->")
    if not arrow:
        letters = terms.replace(",", "").replace(".", "")
        result = "..." * ("..." in terms) + "".join(sorted(x for x in set(letters) if letters.count(x) == 1))
    terms = [clip + term if tf.is_tensor(x) else term for term, x in zip(terms.split(","), values)]
    return tf.einsum(f"{','.join(terms)}->{clip}{result}", *values)


def _reduced(function):
    """A mean, a sum or the like over axes, an attribute or an input."""

    def operation(call, x, *_):
        axes = _axes(call)
        if not axes and call.get("noop_with_empty_axes", 0):
            return x
        axes = [_axis(axis, x) for axis in (axes or range(len(shape_of(x))))]
        return function(x, axes, keepdims=bool(call.get("keepdims", 1)))

    return operation


def _axis(axis, x, more=0):
    """An axis as ONNX counts it → as the tensor [n, …] has it. more: axes that the result has beyond it."""
    rank = len(shape_of(x)) + more
    return int(axis) % rank + 1


def _axes(call):
    """Axes as older opsets have them, an attribute, or newer ones, an input."""
    axes = call.get("axes", call.known(1))
    return None if axes is None else [int(axis) for axis in axes]


def _softmax(function):
    def operation(call, x):
        if call.opset >= 13:
            return function(x, axis=_axis(call.get("axis", -1), x))
        axis = _axis(call.get("axis", 1), x) - 1  # of an older opset: over all axes from this one on
        rows = tf.reshape(x, [-1, *shape_of(x)[:axis], int(np.prod(shape_of(x)[axis:]))])
        return tf.reshape(function(rows), [-1, *shape_of(x)])

    return operation


def _reshaped(call, x, *_):
    """Reshape, Flatten, Squeeze and Unsqueeze: the standard's own, of as many zeros, says the shape."""
    given = [call.known(i) for i in range(1, len(call.inputs))]
    batch, sizes = call.building.batch, shape_of(x)
    if call.node.op_type == "Reshape" and given[0][:1] == [batch] and batch > 1:
        given = [np.array([1, *given[0][1:]])]  # a shape that was written down for as many clips as the file is for
    zeros = np.zeros(sizes, np.int8)
    return tf.reshape(x, [-1, *call.building.reference(call.node, [zeros, *given], call.opset).shape])


def _transpose(call, x):
    order = call.get("perm", list(range(len(shape_of(x))))[::-1])
    return tf.transpose(x, [0, *(axis + 1 for axis in order)])


def _concat(call, *values):
    values = [call.tensor(i) for i in range(len(values))]
    return tf.concat(values, _axis(call["axis"], values[0]))


def _gather(call, x, indices):
    axis = call.get("axis", 0)
    if not tf.is_tensor(indices):
        axis = _axis(axis, x)
        return tf.gather(x, np.where(indices < 0, indices + int(x.shape[axis]), indices), axis=axis)  # -1 is the last
    if not tf.is_tensor(x):
        rows = tf.gather(np.moveaxis(x, axis, 0), indices)  # [n, …, what is looked up]
        axis, count = axis % x.ndim, len(shape_of(indices))
        order = [*range(count, count + axis), *range(count), *range(count + axis, count + x.ndim - 1)]
        return tf.transpose(rows, [0, *(i + 1 for i in order)]) if axis else rows
    return tf.gather(x, indices, axis=_axis(axis, x), batch_dims=1)


def _slice(call, x, *_):
    starts, ends = call.known(1), call.known(2)
    axes, steps = call.known(3, np.arange(len(starts))), call.known(4, np.ones(len(starts), int))
    wanted = [slice(None)] * x.shape.rank
    for start, end, axis, step in zip(starts.tolist(), ends.tolist(), axes.tolist(), steps.tolist()):
        axis = _axis(axis, x)
        first, stop, step = slice(start, end, step).indices(int(x.shape[axis]))
        wanted[axis] = slice(first, None if stop < 0 else stop, step)
    return x[tuple(wanted)]


def _split(call, x, *_):
    axis = _axis(call.get("axis", 0), x)
    sizes, count = call.get("split", call.known(1)), len(call.node.output)
    if sizes is None:
        part = -(-int(x.shape[axis]) // count)
        sizes = [part] * (count - 1) + [int(x.shape[axis]) - part * (count - 1)]
    return list(tf.split(x, [int(size) for size in sizes], axis))


def _moved(call, x, *_):
    """An operation that only lays numbers elsewhere: the standard's own, of their places."""
    places = np.arange(int(np.prod(shape_of(x))), dtype=np.int64).reshape(shape_of(x))
    places = call.building.reference(
        call.node, [places, *(call.known(i) for i in range(1, len(call.inputs)))], call.opset
    )
    return tf.gather(tf.reshape(x, [-1, int(np.prod(shape_of(x)))]), places, axis=1)


def _scattered(call, x, *_):
    """x with updates in some places, in place of what is there or added to it."""
    sizes, targets = [int(np.prod(shape_of(call.inputs[i]), dtype=object)) for i in (0, 2)], _targets(call, x)
    if targets.size != sizes[1]:
        call.refuse("updates of this shape")
    x, updates = (tf.reshape(call.tensor(i), [-1, size]) for i, size in zip((0, 2), sizes))
    if (reduction := call.get("reduction", "none")) == "none":
        places = np.arange(sizes[0])
        places[targets] = sizes[0] + np.arange(sizes[1])
        return tf.reshape(tf.gather(tf.concat([x, updates], axis=1), places, axis=1), [-1, *shape_of(call.inputs[0])])
    if reduction != "add":
        call.refuse(f"the reduction {reduction}")
    counts, order = np.bincount(targets, minlength=sizes[0]), np.argsort(targets, kind="stable")
    if sizes[0] * int(counts.max()) > MOST_MATRIX:
        call.refuse("a sum of this size")
    places = np.full([sizes[0], counts.max()], sizes[1])  # the last one is a zero
    places[targets[order], np.arange(sizes[1]) - np.repeat(np.cumsum(counts) - counts, counts)] = order
    parts = tf.gather(tf.pad(updates, [(0, 0), (0, 1)]), places.reshape(-1), axis=1)
    total = x + tf.reduce_sum(tf.reshape(parts, [-1, *places.shape]), axis=2)
    return tf.reshape(total, [-1, *shape_of(call.inputs[0])])


def _targets(call, x):
    """Where in x, laid flat, each number of the updates goes."""
    sizes, indices = shape_of(x), call.known(1)
    if call.node.op_type == "ScatterND":
        count = indices.shape[-1]
        sizes = [*sizes[:count], int(np.prod(sizes[count:], dtype=object))]
        coordinates = [*np.moveaxis(indices[..., None, :], -1, 0), np.arange(sizes[-1])]
    else:
        coordinates = list(np.ogrid[tuple(map(slice, indices.shape))])
        coordinates[call.get("axis", 0) % len(sizes)] = indices
    if np.prod(np.broadcast_shapes(*(places.shape for places in coordinates)), dtype=object) > MOST_MATRIX:
        call.refuse("so many places")
    coordinates = [np.where(places < 0, places + size, places) for places, size in zip(coordinates, sizes)]
    return np.ravel_multi_index(coordinates, sizes).reshape(-1)


def _triangle(call, x, *_):
    ones = np.ones(shape_of(x)[-2:], np.float32)
    offset = int(call.known(1, np.array(0)).reshape(()))
    return x * (np.triu if call.get("upper", 1) else np.tril)(ones, offset).astype(x.dtype.as_numpy_dtype)


def _summed_up(call, x, axis):
    flags = {"exclusive": bool(call.get("exclusive", 0)), "reverse": bool(call.get("reverse", 0))}
    return tf.cumsum(x, _axis(call.known(1).reshape(()), x), **flags)


def computed_in(dtype):
    """The precision in which numbers of a type are computed here: float32 where a file has half of it."""
    return tf.float32 if dtype in (tf.float16, tf.bfloat16) else dtype


def _cast(call, x, *like):
    if like:
        dtype = computed_in(like[0].dtype if tf.is_tensor(like[0]) else tf.as_dtype(like[0].dtype))
    else:
        dtype = computed_in(tf.as_dtype(onnx.helper.tensor_dtype_to_np_dtype(call["to"])))
    return tf.cast(x, dtype) if tf.is_tensor(x) else x.astype(dtype.as_numpy_dtype)


def _one_hot(call, indices, *_):
    depth, (off, on) = int(call.known(1).reshape(())), call.known(2)
    axis = call.get("axis", -1)
    axis = _axis(axis, indices, 1) if axis >= 0 else axis
    return tf.one_hot(tf.cast(indices, tf.int64), depth, on, off, axis)


def _kept(call, x, *_):
    if call.node.input[0] in call.building.channels_last:
        call.building.channels_last[call.node.output[0]] = call.building.channels_last[call.node.input[0]]
    return x


def _shape(call, x):
    return np.array(shape_of(x), np.int64)[call.get("start", 0) : call.get("end")]


def _constant(call):
    if call.node.output[0] in call.building.values:
        return call.building.values[call.node.output[0]]  # a tensor, which has been read and checked
    for name, dtype in (("value_float", "f"), ("value_floats", "f"), ("value_int", "i8"), ("value_ints", "i8")):
        if name in call.attributes:
            return np.array(call[name], dtype)
    if "value" in call.attributes and call["value"].data_location != onnx.TensorProto.EXTERNAL:
        return single(onnx.numpy_helper.to_array(call["value"]))
    return call.refuse("a value of this kind")


def single(array):
    """An array in the precision in which it is computed here."""
    return array.astype(computed_in(tf.as_dtype(array.dtype)).as_numpy_dtype)


def _filled(call, shape):
    tensor = call.attributes.get("value")
    if tensor is not None and tensor.data_location == onnx.TensorProto.EXTERNAL:
        call.refuse("a value in another file")
    value = single(np.zeros(1, "f") if tensor is None else onnx.numpy_helper.to_array(tensor))
    wanted = [int(n) for n in call.known(0)]
    if value.size != 1 or any(n < 0 for n in wanted):
        call.refuse("this value or shape")
    call.building.count(value.itemsize * int(np.prod(wanted, dtype=object)), call.node)
    return np.full(wanted, value.reshape(()))


OPERATIONS = {
    "Add": _elementwise(tf.add),
    "Sub": _elementwise(tf.subtract),
    "Mul": _elementwise(tf.multiply),
    "Div": _elementwise(_quotient),
    "Pow": _elementwise(_power),
    "Sum": _folding(tf.add),
    "Mean": lambda call, *values: _folding(tf.add)(call) / np.float32(len(values)),
    "Max": _folding(tf.maximum),
    "Min": _folding(tf.minimum),
    "Gemm": _gemm,
    "MatMul": _product,
    "Einsum": _einsum,
    "Relu": _elementwise(tf.nn.relu),
    "LeakyRelu": _with_attributes(lambda call, x: tf.nn.leaky_relu(x, call.get("alpha", 0.01))),
    "PRelu": _elementwise(lambda x, slope: tf.nn.relu(x) - slope * tf.nn.relu(-x)),
    "Elu": _with_attributes(_elu(1.0, 1.0)),
    "Selu": _with_attributes(_elu(1.67326319217681884765625, 1.05070102214813232421875)),
    "Clip": _with_attributes(_clip),
    "Softmax": _softmax(tf.nn.softmax),
    "ReduceMean": _reduced(tf.reduce_mean),
    "ReduceSum": _reduced(tf.reduce_sum),
    "ReduceMax": _reduced(tf.reduce_max),
    "ReduceMin": _reduced(tf.reduce_min),
    "ReduceProd": _reduced(tf.reduce_prod),
    "Where": lambda call, *_: _chosen(*call.aligned()),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshaped),
    "Transpose": _transpose,
    "Concat": _concat,
    "Gather": _gather,
    "Slice": _slice,
    "Split": _split,
    **dict.fromkeys("GatherND GatherElements DepthToSpace SpaceToDepth Expand Tile".split(), _moved),
    **dict.fromkeys(("ScatterND", "ScatterElements"), _scattered),
    "Trilu": _triangle,
    "CumSum": _summed_up,
    "OneHot": _one_hot,
    "Cast": _cast,
    "CastLike": _cast,
    "Shape": _shape,
    "Size": lambda call, x: np.array(int(np.prod(shape_of(x), dtype=object))),
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "Identity": _kept,
    "Dropout": _kept,
    **{
        name: _elementwise(function)
        for name, function in {
            "Abs": tf.abs, "And": tf.logical_and, "Atan": tf.atan, "Ceil": tf.math.ceil, "Cos": tf.cos,
            "Cosh": tf.cosh, "Equal": tf.equal, "Erf": tf.math.erf, "Exp": tf.exp, "Floor": tf.floor,
            "Greater": tf.greater, "GreaterOrEqual": tf.greater_equal, "IsInf": tf.math.is_inf,
            "IsNaN": tf.math.is_nan, "Less": tf.less, "LessOrEqual": tf.less_equal, "Log": tf.math.log,
            "Neg": tf.negative, "Not": tf.logical_not, "Or": tf.logical_or, "Reciprocal": tf.math.reciprocal,
            "Round": tf.round, "Sigmoid": tf.sigmoid, "Sign": tf.sign, "Sin": tf.sin, "Sinh": tf.sinh,
            "Softplus": tf.nn.softplus, "Sqrt": tf.sqrt, "Tan": tf.tan, "Tanh": tf.tanh,
        }.items()
    },
    **LAYERS,
}  # fmt: skip
