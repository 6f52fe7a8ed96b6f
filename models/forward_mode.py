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

import numpy as np
import tensorflow as tf

from models.forward_pass import ForwardPass
from models.forward_rules import (
    AVERAGED,
    BILINEAR,
    COMPARISONS,
    ELEMENTWISE,
    JOINTLY_LINEAR,
    KINKED,
    LINEAR,
    PARTIAL,
    SHAPES,
)
from models.graph_walk import BATCH_NORMALISATION, GraphWalk, UnknownOperation, normalisation_factor, parameters

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(7)  # of the normal distribution
WEIGHTS = WEIGHTS / WEIGHTS.sum()


class ForwardMode:
    """The derivative of a tf.ConcreteFunction z [n, latent_dim] → [n, …]. Raises UnknownOperation if one of its
    operations has no rule here.
    """

    def __init__(self, function):
        self.walk = GraphWalk(function, fast=True)
        self._active, self._varying, self._valued = {self.walk.input.name}, {self.walk.input.name}, set()
        for op in self.walk.operations:
            self._classify(op)
        if self.walk.output.name not in self._active:
            raise UnknownOperation("the output has no derivative by the latent vector")

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

    def _rule(self, op):
        """The method that differentiates an operation by those inputs of its that are active, or None."""
        active = [i for i, tensor in enumerate(op.inputs) if tensor.name in self._active]
        if op.type in LINEAR and set(active) <= set(LINEAR[op.type]):
            return self._linear
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
        if op.type in KINKED:
            return self._kinked
        return self._partial if op.type in PARTIAL else None

    def compiled(self):
        """A tf.function of z [n, latent_dim], smoothing [n] and directions [k, latent_dim] → the output [n, …] and its
        derivatives [n k, …].

        The derivatives are those along k directions of z, clip after clip. smoothing: the standard deviation of the
        latent noise over which both, the output and the derivatives, are averaged; 0 averages nothing.
        """
        specs = [
            tf.TensorSpec(shape, tf.float32)
            for shape in ([None, self.walk.input.shape[1]], [None], [None, self.walk.input.shape[1]])
        ]

        def run(z, smoothing, directions):
            return ForwardPass(self, z, smoothing, directions).result()

        return tf.function(run, autograph=False, input_signature=specs)

    # Each rule returns the tangents of the outputs; those of nonlinear functions set the mean of the output as well.

    def _linear(self, op, at):
        inputs = [at.tangent_or_structure(tensor) for tensor in op.inputs]
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
            value = at.tangent_or_structure(tensor)
            inputs.append(value if tensor.name in self._active or not value.dtype.is_floating else tf.zeros_like(value))
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
        y, slope = _with_slope(op, x)
        if op.type in AVERAGED:
            deviation = at.deviation(x, t)
            there = [
                _with_slope(op, x + node * deviation) for node in NODES
            ]  # differences, so that without noise nothing is rounded
            y += tf.add_n([weight * (value - y) for weight, (value, _) in zip(WEIGHTS, there)])
            slope += tf.add_n([weight * (other - slope) for weight, (_, other) in zip(WEIGHTS, there)])
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


def _with_slope(op, x):
    """A function of one number at x → its values and its derivative, by TensorFlow."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = getattr(tf.raw_ops, op.type)(**parameters(op, [x]))
    return y, tape.gradient(y, x, unconnected_gradients=tf.UnconnectedGradients.ZERO)
