"""Forward-mode differentiation of a generator, exact or averaged over latent noise, by one rule for each operation.

TensorFlow's own forward mode is silently zero in some operations (batch normalisation, bilinear resizing) and knows no
averaging, so here each operation between the latent vector and the waveform has its rule. Most are linear, and are
applied to the tangents as they are to the values.

A ReLU network is a plane in each of countless small cells, and its derivative holds in one cell only. For steps that
cross many cells the best plane is that through the mean of the waveform over z + smoothing * noise, with the mean
derivative (statistical linearisation; Stein's lemma makes it the least-squares fit). To first order a unit's input is
then normal, with the deviation smoothing * |its tangents|: a ReLU is on with the probability that this input is
positive, and its mean output follows in closed form; smooth functions are averaged by Gauss-Hermite quadrature.
"""

import tensorflow as tf

from models.generator.jacobian.fast_convolution import fast_convolutions
from models.generator.jacobian.graph_walk import BATCH_NORMALISATION, GraphWalk, UnknownOperation, normalisation_factor
from models.generator.jacobian.rules import (
    AVERAGED,
    BILINEAR,
    COMPARISONS,
    ELEMENTWISE,
    JOINTLY_LINEAR,
    KINKED,
    LINEAR,
    PARTIAL,
    SHAPES,
    averaged,
    positive_part,
    scaled,
)

MOST_AVERAGED = 100  # smooth functions that are averaged; a recurrent layer has a few in each of its steps


class ForwardMode:
    """The derivative of a tf.ConcreteFunction z [n, latent_dim] → [n, …] by z. Raises UnknownOperation if one of its
    operations has no rule here. It may take others besides z, [n, …] each, which say where its output is wanted.
    """

    def __init__(self, function):
        self.walk = GraphWalk(function, fast=True)
        self._active, self._valued = {self.walk.input.name}, set()
        self._varying = {tensor.name for tensor in (self.walk.input, *self.walk.others)}
        for op in self.walk.operations:
            self._classify(op)
        if self.walk.output.name not in self._active:
            raise UnknownOperation("the output has no derivative by the latent vector")
        smooth = [op for op in self.walk.operations if op.type in AVERAGED and op.outputs[0].name in self._active]
        self._smooth = AVERAGED if len(smooth) <= MOST_AVERAGED else frozenset()

        self._fast = fast_convolutions(self.walk, [op for op in self.walk.operations if self._convolves(op)])

    def _convolves(self, op):
        """Whether an operation is a convolution of what has a derivative with a kernel that is the same for all."""
        kinds = "Conv2D", "Conv2DBackpropInput"
        return op.type in kinds and self.is_active(op.outputs[0].name) and op.inputs[1].name not in self._varying

    def _classify(self, op):
        """Sorts an operation's outputs: active, with a derivative by z; varying, dependent on z or on n; valued, on z
        but without derivative.
        """
        names, inputs = {tensor.name for tensor in op.outputs}, {tensor.name for tensor in op.inputs}
        if not inputs & self._varying:
            return
        self._varying |= names
        if op.type in SHAPES or not inputs & (self._active | self._valued):
            return
        if op.type in COMPARISONS or not inputs & self._active:
            self._valued |= names
            return
        rule = self._rule(op)
        if rule is None:
            raise UnknownOperation(f"forward mode has no rule for the operation {op.type} ({op.name})")
        outputs = op.outputs[:1] if rule == self._normalisation else op.outputs  # its others are statistics
        try:
            for tensor in (*outputs, *(t for t in op.inputs if t.name in self._active)):
                self.walk.sizes(tensor)
        except ValueError as error:
            raise UnknownOperation(str(error)) from error
        self._active |= {tensor.name for tensor in outputs}

    def is_active(self, name):
        """True for the name of a tensor that has a derivative by z."""
        return name in self._active

    def averages(self, op):
        """True for an operation whose output is averaged over the noise around its inputs."""
        return self.is_active(op.outputs[0].name) and (op.type in self._smooth or op.type in KINKED)

    def _rule(self, op):
        """The method that differentiates an operation by those inputs of its that are active, or None."""
        active = [i for i, tensor in enumerate(op.inputs) if tensor.name in self._active]
        if op.type in LINEAR and set(active) <= set(LINEAR[op.type]):
            return None if any(tensor.name in self._valued for tensor in op.inputs) else self._linear
        if op.type == "PadV2" and active == [0]:
            return self._padded
        if op.type in JOINTLY_LINEAR:
            return self._jointly_linear
        if op.type in BILINEAR and len(op.inputs) == 2:
            return self._bilinear
        if op.type in ELEMENTWISE:
            return self._elementwise
        if op.type in BATCH_NORMALISATION and active == [0] and not op.get_attr("is_training"):
            return self._normalisation
        if op.type in ("Select", "SelectV2") and 0 not in active:
            return self._selected
        if op.type == "Softmax":
            return self._softmax
        if op.type in KINKED:
            return self._kinked
        return self._partial if op.type in PARTIAL else None

    def compiled(self):
        """A tf.function of z [n, latent_dim], smoothing [n], directions [n, k, latent_dim] and the function's other
        inputs → the output [n, …], its derivatives [n k, …], and the widths, a list of arrays [n, m, …], for
        models.generator.jacobian.smoothed.

        The derivatives are those along each clip's k directions, clip after clip. Both, the output and the
        derivatives, are averaged over the latent noise smoothing * the sum of the directions, each times a standard
        normal number of its own; 0 averages nothing. A width is the deviation of a nonlinear operation's input for a
        smoothing of 1.
        """
        latent_dim = self.walk.input.shape[1]
        specs = [tf.TensorSpec(shape, tf.float32) for shape in ([None, latent_dim], [None], [None, None, latent_dim])]
        specs += [tf.TensorSpec(other.shape, other.dtype) for other in self.walk.others]

        return tf.function(self.run, autograph=False, input_signature=specs)

    def run(self, z, smoothing, directions, *others):
        """What `compiled` returns, one operation after the other: slower, and at once."""
        return _Pass(self, z, smoothing, directions, others).result()

    # Each rule returns the tangents of the outputs; those of nonlinear functions set the mean of the output as well.

    def _linear(self, op, at):
        inputs = [at.tangent_or_structure(tensor) for tensor in op.inputs]
        if op.name in self._fast:
            return [self._fast[op.name](inputs[LINEAR[op.type][0]])]
        return at.apply(op, inputs)

    def _padded(self, op, at):
        t, paddings = at.tangents[op.inputs[0].name], at.structure(op.inputs[1])
        return [tf.pad(t, paddings)]

    def _jointly_linear(self, op, at):
        active = [tensor for tensor in op.inputs if tensor.name in self._active]
        if (
            op.type in ("Add", "AddV2", "Sub", "BiasAdd")
            and len(active) == 1
            and self.walk.sizes(active[0]) == self.walk.sizes(op.outputs[0])
        ):
            t = at.tangents[active[0].name]
            return [-t if op.type == "Sub" and active[0] is op.inputs[1] else t]
        inputs = []
        for tensor in op.inputs:
            is_active = tensor.name in self._active
            value = at.tangents[tensor.name] if is_active else at.repeated(tensor)
            inputs.append(value if is_active or not value.dtype.is_floating else tf.zeros_like(value))
        return at.apply(op, inputs)

    def _bilinear(self, op, at):
        total = []
        for i in range(2):
            if op.inputs[i].name in self._active:
                inputs = [at.tangents[t.name] if j == i else at.repeated(t) for j, t in enumerate(op.inputs)]
                total += at.apply(op, inputs)
        return [tf.add_n(total)]

    def _elementwise(self, op, at):
        x, t = at.means[op.inputs[0].name], at.tangents[op.inputs[0].name]
        y, slope = averaged(op, x, at.deviation(x, t) if op.type in self._smooth else None)
        at.means[op.outputs[0].name] = y
        return [at.onto(t, slope)]

    def _normalisation(self, op, at):
        _, scale, _, _, variance = (at.means.get(tensor.name) for tensor in op.inputs)
        t = at.tangents[op.inputs[0].name]
        return [t * normalisation_factor(op, scale, variance, t.shape.rank)]

    def _selected(self, op, at):
        condition = tf.cast(at.means[op.inputs[0].name], tf.float32)
        total = []
        for tensor, share in zip(op.inputs[1:], (condition, 1 - condition)):
            if tensor.name in self._active:
                total.append(at.onto(at.tangents[tensor.name], share))
        return [tf.add_n(total)]

    def _softmax(self, op, at):
        y = at.means[op.outputs[0].name]
        product = at.onto(at.tangents[op.inputs[0].name], y)
        return [product - at.onto(tf.reduce_sum(product, axis=-1, keepdims=True), y)]

    def _partial(self, op, at):
        """By the partial derivatives of an operation of two numbers."""
        slopes = PARTIAL[op.type](*(at.means[tensor.name] for tensor in op.inputs))
        return [self._weighted(op, slopes, at)]

    def _kinked(self, op, at):
        values, tangents = (
            [at.means[tensor.name] for tensor in op.inputs],
            [at.tangents.get(tensor.name) for tensor in op.inputs],
        )
        at.means[op.outputs[0].name], slopes = KINKED[op.type](op, at, values, tangents)
        return [self._weighted(op, slopes, at)]

    def _weighted(self, op, slopes, at):
        return tf.add_n(
            [at.onto(at.tangents[t.name], slope) for t, slope in zip(op.inputs, slopes) if t.name in at.tangents]
        )


class _Pass:
    """One differentiation: the means over the noise around z [n, …], and the mean tangents [n k, …]."""

    def __init__(self, mode, z, smoothing, directions, others):
        self.mode, self.k = mode, tf.shape(directions)[1]
        self.smoothing = smoothing
        name = mode.walk.input.name
        self.means, self.tangents = {name: z}, {name: tf.reshape(directions, (-1, directions.shape[2]))}
        self.counts = tf.stack([tf.shape(z)[0], self.k])
        self._structure = {}  # what depends on the number of clips, and what besides z they have, for n k of them
        for tensor, value in zip(mode.walk.others, others):
            self.means[tensor.name], self._structure[tensor.name] = value, tf.repeat(value, self.k, axis=0)
        self.widths = []

    def result(self):
        for op in self.mode.walk.operations:
            self.mode.walk.step(op, self.means)  # right for linear operations; the rules of others replace it
            names = {tensor.name for tensor in op.outputs}
            if names & self.mode._active and op is not self.mode.walk.input.op:
                for tensor, t in zip(op.outputs, self.mode._rule(op)(op, self)):
                    t.set_shape([None, *self.mode.walk.sizes(tensor)])
                    self.tangents[tensor.name] = t
            elif op.inputs and names & self.mode._varying and not names & (self.mode._valued | self.mode._active):
                inputs = [self.tangent_or_structure(tensor) for tensor in op.inputs]
                for tensor, value in zip(op.outputs, self.apply(op, inputs)):
                    self._structure[tensor.name] = value
        output = self.mode.walk.output.name
        return self.means[output], self.tangents[output], self.widths

    def apply(self, op, inputs):
        return self.mode.walk.apply(op, inputs)

    def structure(self, tensor):
        """The value of a tensor without derivative, for n k clips."""
        if tensor.name in self.mode._valued:
            raise UnknownOperation(f"forward mode cannot pass {tensor.op.type} ({tensor.op.name}) on")
        return self._structure.get(tensor.name, self.means.get(tensor.name))

    def tangent_or_structure(self, tensor):
        return self.tangents[tensor.name] if tensor.name in self.tangents else self.structure(tensor)

    def repeated(self, tensor):
        """A tensor's value for n k clips."""
        value = self.means[tensor.name]
        return (
            tf.repeat(value, self.k, axis=0)
            if tensor.name in self.mode._active | self.mode._valued
            else self.structure(tensor)
        )

    def onto(self, tangents, factor):
        """tangents [n k m, …] times a factor [n m, …] of the values, or one that is the same for all clips."""
        if not factor.shape.rank or factor.shape[0] == 1 or factor.shape.rank != tangents.shape.rank:
            return tangents * factor
        return _times(tangents, factor, self.counts)

    def deviation(self, x, tangents):
        """Standard deviation of x [n m, …] over the noise, to first order, from its tangents."""
        self.widths.append(_width(tangents, self.counts))  # [n, m, …]
        return scaled(self.widths[-1], self.smoothing, x)

    def positive_part(self, x, tangents):
        mean, probability, width = _positive_part(x, tangents, self.smoothing, self.counts)
        self.widths.append(width)
        return mean, probability


# Functions of their own, traced once for tensors of one shape: a graph of hundreds of layers is built much faster so.


def _by_clip(tensor, *counts):
    """[n k m, …] → [n, k, m, …]; an operation may have laid m parts of a clip along the first axis."""
    return tf.reshape(tensor, tf.stack([*counts, -1, *tensor.shape[1:]]))


def _width(tangents, counts):
    return tf.sqrt(tf.reduce_sum(tf.square(_by_clip(tangents, counts[0], counts[1])), axis=1))


@tf.function(autograph=False)
def _times(tangents, factor, counts):
    """tangents [n k m, …] times a factor [n m, …]. counts: n and k."""
    product = _by_clip(tangents, counts[0], counts[1]) * _by_clip(factor, counts[0], 1)
    return tf.reshape(product, [-1, *product.shape[3:]])


@tf.function(autograph=False)
def _positive_part(x, tangents, smoothing, counts):
    """positive_part of x [n m, …] by its tangents, and its width. counts: n and k."""
    width = _width(tangents, counts)
    return *positive_part(x, scaled(width, smoothing, x)), width
