"""One pass of forward mode through a generator: values, averaged over latent noise, and their tangents."""

import numpy as np
import tensorflow as tf

from models.graph_walk import UnknownOperation


class ForwardPass:
    """One differentiation: the means over the noise around z [n, …], and the mean tangents [n k, …]."""

    def __init__(self, mode, z, smoothing, directions):
        self.mode, self.n, self.k = mode, tf.shape(z)[0], tf.shape(directions)[0]
        self.smoothing = smoothing
        name = mode.walk.input.name
        self.means, self.tangents = {name: z}, {name: tf.tile(directions, [self.n, 1])}
        self._structure = {}  # what depends on the number of clips, for n k of them

    def result(self):
        for op in self.mode.walk.operations:
            self.mode.walk.step(op, self.means)  # right for linear operations; the rules of others replace it
            names = {tensor.name for tensor in op.outputs}
            if names & self.mode._active and op is not self.mode.walk.input.op:
                for tensor, t in zip(op.outputs, self.mode._rule(op)(op, self)):
                    self.tangents[tensor.name] = tf.ensure_shape(t, [None, *self.mode.walk.sizes(tensor)])
            elif names & self.mode._varying and not names & (self.mode._valued | self.mode._active):
                inputs = [self.tangent_or_structure(tensor) for tensor in op.inputs]
                for tensor, value in zip(op.outputs, self.apply(op, inputs)):
                    self._structure[tensor.name] = value
        output = self.mode.walk.output.name
        return self.means[output], self.tangents[output]

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

    def _by_clip(self, tensor, k):
        """[n k m, …] → [n, k, m, …]; an operation may have laid m parts of a clip along the first axis."""
        return tf.reshape(tensor, tf.concat([[self.n, k, -1], tensor.shape[1:].as_list()], axis=0))

    def onto(self, tangents, factor):
        """tangents [n k m, …] times a factor [n m, …] of the values, or one that is the same for all clips."""
        if not factor.shape.rank or factor.shape[0] is not None or factor.shape.rank != tangents.shape.rank:
            return tangents * factor
        product = self._by_clip(tangents, self.k) * self._by_clip(factor, 1)
        return tf.reshape(product, [-1, *product.shape[3:]])

    def deviation(self, x, tangents):
        """Standard deviation of x [n m, …] over the noise, to first order, from its tangents."""
        size = tf.norm(self._by_clip(tangents, self.k), axis=1)  # [n, m, …]
        smoothing = tf.reshape(self.smoothing, [-1] + [1] * (size.shape.rank - 1))
        return tf.reshape(smoothing * size, tf.shape(x))

    def positive_part(self, x, tangents):
        """E max(x, 0) and the probability of x > 0, for normal x of mean x [n m, …]."""
        deviation = self.deviation(x, tangents)
        score = x / (deviation + 1e-20)
        probability = 0.5 * (1 + tf.math.erf(score / np.sqrt(2)))
        mean = x * probability + deviation * tf.exp(-0.5 * score**2) / np.sqrt(2 * np.pi)
        noisy = deviation > 0
        return tf.where(noisy, mean, tf.nn.relu(x)), tf.where(noisy, probability, tf.cast(x > 0, tf.float32))
