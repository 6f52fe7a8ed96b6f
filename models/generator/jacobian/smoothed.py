"""The generator averaged over latent noise at the price of a forward pass, with its derivative at that of a gradient.

Forward mode (models/generator/jacobian/forward_mode.py) carries a tangent for each latent coordinate to know how wide
the noise is at each nonlinear operation. Those widths change far less from step to step than the waveform does. So
they are kept from the last Jacobian, and between two Jacobians the averaged waveform is a function that reverse mode
differentiates at once.
"""

import tensorflow as tf

from models.generator.jacobian.rules import KINKED, averaged, positive_part, scaled


class Smoothed:
    """The mean output over normal latent noise, for the widths that `ForwardMode.compiled` returned.

    mode: models.generator.jacobian.forward_mode.ForwardMode. Called on z [n, latent_dim], smoothing [n] and widths, a
    list of arrays [n, m, …], and on the function's inputs besides z, it returns the mean output [n, …], whose
    derivative by z is the mean derivative.
    """

    def __init__(self, mode):
        self.mode = mode

    def __call__(self, z, smoothing, widths, *others):
        return _Averaging(self.mode, z, smoothing, widths, others).result()


class _Averaging:
    """One pass: the means of what depends on z, operation by operation."""

    def __init__(self, mode, z, smoothing, widths, others):
        self.mode, self.smoothing, self._widths = mode, smoothing, iter(widths)
        self.means = dict(zip((tensor.name for tensor in (mode.walk.input, *mode.walk.others)), (z, *others)))

    def result(self):
        walk = self.mode.walk
        for op in walk.operations:
            walk.step(op, self.means)  # right for linear operations and what is not averaged
            if op.outputs and self.mode.averages(op):
                self.means[op.outputs[0].name] = self._mean(op)
        return self.means[walk.output.name]

    def _mean(self, op):
        values = [self.means[tensor.name] for tensor in op.inputs]
        if op.type not in KINKED:
            return averaged(op, values[0], scaled(next(self._widths), self.smoothing, values[0]))[0]
        moving = [x if self.mode.is_active(tensor.name) else None for x, tensor in zip(values, op.inputs)]
        return KINKED[op.type](op, self, values, moving)[0]

    def positive_part(self, x, _):
        return _positive_part(x, scaled(next(self._widths), self.smoothing, x))


@tf.custom_gradient
def _positive_part(x, deviation):
    """As positive_part; the derivative of the mean is the probability, which reverse mode needs no second pass for."""
    mean, probability = positive_part(x, deviation)
    return (mean, probability), lambda of_mean, of_probability: (of_mean * probability, None)
