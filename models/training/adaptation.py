"""The generator tuned to one voice (pivotal tuning: Roich et al., arXiv 2106.05744).

The latent vector of each recording stays as recovery returned it, and the generator's weights are moved until the sound
there is the recording's. A second term keeps what the generator makes of other latent vectors as it was.
"""

import numpy as np
import tensorflow as tf

from models.generator.generator import draw_latent
from models.generator.subpixel import nearest_kernel, subpixel_conv, transposed_kernel
from models.generator.tf1_export import DENSE, FILTER, STRIDE
from models.recovery.descent import Objective

SPECTRAL_WEIGHT = 1.0  # of the log-spectral distance in units of 10 dB, against the perceptual loss
KEEPING_WEIGHT = 0.5  # of the term that keeps other sounds
LAYERS = 5
BATCH = 16  # recordings a step
OTHERS = 8  # random latent vectors a step
RATE = 1e-3  # of Adam at the first step, falling to nothing along a cosine
STREAM = 20_107  # separates its random numbers from every other use of a seed


class _Tuned:
    """A trainable generator from WaveGAN's variables, its post-processing filter fixed: z [n, latent_dim] → waveforms
    [n, 16384, 1].
    """

    def __init__(self, variables):
        self.fixed = {name: tf.constant(value) for name, value in variables.items() if name == FILTER}
        self.trained = {name: tf.Variable(value) for name, value in variables.items() if name != FILTER}

    def __call__(self, z):
        v = self.trained
        x = z @ v[DENSE] + v["G/z_project/dense/bias"]
        x = tf.nn.relu(tf.reshape(x, (-1, 16, x.shape[1] // 16)))
        for i in range(LAYERS):
            kernel, bias, nearest = _layer(v, i)
            kernel, padding = nearest_kernel(kernel, STRIDE) if nearest else transposed_kernel(kernel[0], STRIDE)
            x = subpixel_conv(x, kernel, padding, STRIDE) + bias
            x = tf.tanh(x) if i == LAYERS - 1 else tf.nn.relu(x)
        if not self.fixed:
            return x
        taps = self.fixed[FILTER].shape[0]
        before = (taps - 1) // 2
        return tf.nn.conv1d(tf.pad(x, [[0, 0], [before, taps - 1 - before], [0, 0]]), self.fixed[FILTER], 1, "VALID")

    def variables(self):
        return {name: value.numpy() for name, value in (self.trained | self.fixed).items()}


def _layer(variables, i):
    """Kernel and bias of layer i, and whether it upsamples by nearest neighbours; None where it is of another kind."""
    for kind in ("conv1d", "conv2d_transpose"):
        scope = f"G/upconv_{i}/{kind}"
        if f"{scope}/kernel" in variables:
            return variables[f"{scope}/kernel"], variables[f"{scope}/bias"], kind == "conv1d"
    return None


def adaptable(variables):
    """True for the variables of a generator that can be tuned: 16,384 samples, one channel, no batch normalisation."""
    found = [_layer(variables, i) for i in range(LAYERS)]
    others = any("batch_norm" in name or f"upconv_{LAYERS}" in name for name in variables)
    return not others and DENSE in variables and None not in found and found[-1][1].shape == (1,)


def adapt(
    variables,  # {WaveGAN's variable name: array}, of the generator to begin with; stays as it is
    targets,  # waveforms [n, 16384], prepared as the generator's training clips were
    z,  # latent vectors [n, latent_dim] of these recordings, as recovery returned them
    *,
    prior="uniform",  # of the other latent vectors, "uniform" on [-1, 1] or "normal"
    perceptual_loss=None,  # models.networks.classifier.PerceptualLoss
    spectral_weight=SPECTRAL_WEIGHT,
    keeping_weight=KEEPING_WEIGHT,
    steps=1500,  # of Adam, of 16 recordings and 8 other latent vectors each
    seed=0,  # of their order
    report=None,  # called with the number of steps done and the mean loss of the recordings in that step
):
    """→ the tuned variables {name: array}, for models.generator.tf1_export.export_wavegan.

    Raises ValueError for a generator that is not adaptable.
    """
    if not adaptable(variables):
        raise ValueError("only a WaveGAN of 16,384 samples, one channel and no batch normalisation can be adapted")
    targets = np.asarray(targets, np.float32).reshape(len(targets), -1, 1)
    tuned, before = _Tuned(variables), _Tuned(variables)
    closeness, kept = Objective(perceptual_loss, spectral_weight), Objective(None, 1.0)
    weights = list(tuned.trained.values())
    first, second = ([tf.Variable(tf.zeros_like(v)) for v in weights] for _ in range(2))

    @tf.function(autograph=False)
    def step(z, clips, others, count, rate):
        originals, was = closeness.originals(clips), before(others)
        reference = kept.originals(was)
        with tf.GradientTape() as tape:
            losses = closeness(originals, tuned(z))
            now = tuned(others)
            drift = tf.reduce_sum((now - was) ** 2, axis=(1, 2)) / tf.reduce_sum(was**2, axis=(1, 2))
            total = tf.reduce_mean(losses) + keeping_weight * tf.reduce_mean(kept(reference, now) + drift)
        gradients = tape.gradient(total, weights)
        for variable, gradient, m, v in zip(weights, gradients, first, second):
            m.assign(0.9 * m + 0.1 * gradient)
            v.assign(0.999 * v + 0.001 * gradient**2)
            variable.assign_sub(rate * m / (1 - 0.9**count) / (tf.sqrt(v / (1 - 0.999**count)) + 1e-8))
        return tf.reduce_mean(losses)

    rng = np.random.default_rng([STREAM, seed])
    order = np.zeros(0, int)
    for done in range(steps):
        while len(order) < min(BATCH, len(targets)):
            order = np.concatenate([order, rng.permutation(len(targets))])
        chosen, order = order[:BATCH], order[BATCH:]
        others = draw_latent(rng, (OTHERS, z.shape[1]), prior)
        rate = RATE * 0.5 * (1 + np.cos(np.pi * done / steps))
        arguments = tf.constant(z[chosen], tf.float32), tf.constant(targets[chosen]), tf.constant(others)
        loss = step(*arguments, tf.constant(done + 1.0), tf.constant(rate, tf.float32))
        if report:
            report(done + 1, float(loss))
    return tuned.variables()
