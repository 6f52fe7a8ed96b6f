"""Running a TensorFlow function operation by operation: in another precision, for another number of clips, or with a
derivative beside each value.

What TensorFlow runs as a whole is here a list of operations that other code may look at, which is what
models/generator/jacobian/forward_mode.py needs.
"""

import functools
import inspect

import tensorflow as tf

from models.generator.inlining import inlined
from models.generator.subpixel import subpixel_conv, transposed_kernel

BATCH_NORMALISATION = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
RENAMED = {("Squeeze", "squeeze_dims"): "axis"}  # attributes that tf.raw_ops calls otherwise than the graph


class UnknownOperation(ValueError):
    """An operation that cannot be run or differentiated one by one; the message names it."""


@functools.cache
def _accepted(kind):
    """The names of what tf.raw_ops takes for a kind of operation, in their order."""
    return list(inspect.signature(getattr(tf.raw_ops, kind)).parameters)


def parameters(op, inputs):
    """An operation's arguments for tf.raw_ops: its inputs in their order, as lists where it takes lists, and its
    attributes by name.
    """
    accepted = _accepted(op.type)
    arguments, position, counts = {}, 0, set()
    for name, argument in zip(
        accepted, op.op_def.input_arg
    ):  # tf.raw_ops has other names for some, but in the same order
        listed = argument.number_attr or argument.type_list_attr
        if listed:
            size = op.get_attr(listed)
            size = size if argument.number_attr else len(size)
            arguments[name] = list(inputs[position : position + size])
            position += size
            counts.add(listed)
        else:
            arguments[name] = inputs[position]
            position += 1
    for attribute in op.op_def.attr:
        name = RENAMED.get((op.type, attribute.name), attribute.name)
        if name in accepted:
            arguments[name] = op.get_attr(attribute.name)
        elif attribute.name not in counts and attribute.type not in ("type", "list(type)"):
            raise UnknownOperation(
                f"the operation {op.type} ({op.name}) has an attribute {attribute.name} that is not known here"
            )
    return arguments


def normalisation_factor(op, scale, variance, rank):
    """What an operation of batch normalisation, with given statistics, multiplies its input of `rank` axes by, laid
    along the channels.
    """
    factor = scale * tf.math.rsqrt(variance + tf.cast(op.get_attr("epsilon"), variance.dtype))
    return along_channels(op, factor, rank)


def along_channels(op, values, rank):
    """values [channels] → a shape that broadcasts along the channels of the operation's input."""
    if op.get_attr("data_format").startswith(b"NC"):
        return tf.reshape(values, [-1] + [1] * (rank - 2))
    return values


class GraphWalk:
    """The operations that lead from the inputs of a tf.ConcreteFunction to its one output, in an order in which they
    can be run.

    input, output: the symbolic tensors of the latent vector and of the output. others: those of further inputs, which
    have no derivative. operations: the list. single: the graph was made for one latent vector at a
    time, [1, latent_dim]; here it runs for any number, where all that it does to the first axis is to keep it.
    precisions: those of its numbers that are not whole, a set of tf.DTypes.
    subpixel: {name of a transposed convolution of waveforms: its stride}, of those that run as sub-pixel convolutions,
    several times faster on a CPU; none unless `fast`.
    """

    def __init__(self, function, fast=False):
        self.input, *self.others = function.inputs[: len(function.inputs) - len(function.graph.captures)]
        self.output = function.outputs[0]
        self.single = self.input.shape[0] == 1
        self._captured = {inside.name: outside for outside, inside in function.graph.captures}
        self._function = function  # keeps its variables alive
        needed, waiting = set(), [self.output.op]
        while waiting:
            op = waiting.pop()
            if op.name not in needed:
                needed.add(op.name)
                waiting += [tensor.op for tensor in op.inputs]
        self.operations = [op for op in function.graph.get_operations() if op.name in needed]
        self.precisions = {t.dtype for op in self.operations for t in op.outputs if t.dtype.is_floating}
        self.subpixel = {op.name: _waveform_stride(op) for op in self.operations if fast and _waveform_stride(op)}
        with tf.init_scope():
            self._constants = {
                op.name: tf.constant(tf.make_ndarray(op.get_attr("value")))
                for op in self.operations
                if op.type == "Const"
            }

    def compiled(self, dtype=tf.float32):
        """A tf.function z [n, latent_dim] → the output, computed in `dtype` throughout, whatever the precision of the
        graph.
        """

        signature = [tf.TensorSpec([None, self.input.shape[1]], tf.float32)]
        return tf.function(lambda z: self.run(z, dtype), autograph=False, input_signature=signature)

    def run(self, z, dtype=tf.float32):
        """The output for latent vectors z [n, latent_dim], one operation after the other: as `compiled`, slower, and
        without the seconds in which a graph of hundreds of operations is made and optimised.
        """
        values = {self.input.name: tf.cast(z, dtype)}
        for op in self.operations:
            self.step(op, values, dtype)
        return values[self.output.name]

    def step(self, op, values, dtype=tf.float32):
        """Runs one operation on values {name: tensor} that hold its inputs, and adds its outputs to them."""
        if op.outputs and op.outputs[0].name in values:  # an input
            return
        for tensor, value in zip(op.outputs, self.apply(op, [values[tensor.name] for tensor in op.inputs], dtype)):
            values[tensor.name] = tf.cast(value, dtype) if value.dtype.is_floating else value

    def apply(self, op, inputs, dtype=tf.float32):
        """The outputs of one operation for these inputs."""
        if op.type == "Const":
            return [self._constants[op.name]]
        if op.type == "Placeholder":
            return [self._captured[op.outputs[0].name]]
        if op.type in BATCH_NORMALISATION and not op.get_attr("is_training"):
            x, scale, offset, mean, variance = inputs
            factor = normalisation_factor(op, scale, variance, x.shape.rank)
            return [
                x * factor + along_channels(op, offset, x.shape.rank) - along_channels(op, mean, x.shape.rank) * factor
            ]
        if self.single and op.type in ("Reshape", "BroadcastTo") and _keeps_first(op, 0):
            inputs = [inputs[0], tf.concat([tf.shape(inputs[0])[:1], op.outputs[0].shape[1:].as_list()], axis=0)]
        if self.single and op.type == "ConcatV2" and _keeps_first(op, *range(len(inputs) - 1)):
            inputs = [*_for_all(inputs[:-1]), inputs[-1]]
        if op.name in self.subpixel:
            x, stride = tf.squeeze(inputs[2], 1), self.subpixel[op.name]
            return [subpixel_conv(x, *transposed_kernel(inputs[1][0], stride), stride)[:, None]]
        if op.type == "Conv2DBackpropInput":
            inputs = [tf.concat([tf.shape(inputs[2])[:1], inputs[0][1:]], axis=0), *inputs[1:]]
        arguments = parameters(op, inputs)
        if op.type == "Cast" and arguments["DstT"].is_floating:
            arguments["DstT"] = dtype
        results = getattr(tf.raw_ops, op.type)(**arguments)
        return results if isinstance(results, (list, tuple)) else [results]

    def constant(self, tensor):
        """The value of a symbolic tensor that depends on no input, computed now."""
        with tf.init_scope():
            values = self.apply(tensor.op, [self.constant(one) for one in tensor.op.inputs])
        return values[tensor.value_index]

    def sizes(self, tensor):
        """A symbolic tensor's sizes beyond its first axis. Raises ValueError if they are not known, or the first axis
        is not that of the clips.
        """
        shape = tensor.shape
        if not shape.rank or not (shape[0] is None or self.single and shape[0] == 1) or None in shape[1:].as_list():
            raise ValueError(
                f"{tensor.name} has shape {shape}, where the first axis is to be the clips, the others known"
            )
        return shape[1:].as_list()


def _keeps_first(op, *positions):
    """Whether an operation's output and its inputs at these positions have a first axis of size 1, and, but for a
    Reshape, the same rank.
    """
    shapes = [op.outputs[0].shape, *(op.inputs[i].shape for i in positions)]
    alike = op.type == "Reshape" or len({shape.rank for shape in shapes}) == 1
    return alike and all(shape.rank and shape[0] == 1 for shape in shapes)


def _for_all(values):
    """Values to be laid side by side: those that are the same for all clips, [1, …], repeated for each."""
    counts = [tf.shape(value)[0] for value in values if value.shape[0] != 1]
    if not counts:
        return values
    return [
        tf.ensure_shape(tf.repeat(value, counts[0], axis=0), [None, *value.shape[1:]]) if value.shape[0] == 1 else value
        for value in values
    ]


def _waveform_stride(op):
    """The stride of a transposed convolution over [n, 1, length, channels] that is as long as its sub-pixel form, else
    0.
    """
    if op.type != "Conv2DBackpropInput" or op.get_attr("padding") != b"SAME" or op.get_attr("data_format") != b"NHWC":
        return 0
    _, kernel, low = (tensor.shape for tensor in op.inputs)
    high, (_, across, stride, _) = op.outputs[0].shape, op.get_attr("strides")
    known = low.rank == high.rank == 4 and None not in (*kernel, *low[1:], *high[1:])
    flat = known and low[1] == high[1] == kernel[0] == across == 1 and op.get_attr("dilations") == [1, 1, 1, 1]
    return stride if flat and high[2] == stride * low[2] else 0


def as_concrete(function, latent_dim, *others):
    """A function of latent vectors [n, latent_dim] as a tf.ConcreteFunction for any n, without calls of functions; one
    that is one already is returned as it is, but for its calls. others: tf.TensorSpecs of further inputs.
    """
    if not (hasattr(function, "graph") and hasattr(function, "captured_inputs")):
        signature = [tf.TensorSpec([None, latent_dim], tf.float32), *others]
        function = tf.function(function, input_signature=signature).get_concrete_function()
    return inlined(function)
