"""The generator tuned to one voice (pivotal tuning: Roich et al., arXiv 2106.05744).

The latent vector of each recording stays as recovery returned it, and the generator's weights are moved until the sound
there is the recording's. A second term keeps what the generator makes of other latent vectors as it was.
"""

import keras
import numpy as np
import tensorflow as tf

from models.generator.generator import draw_latent
from models.generator.layers import DENSE, DENSE_BIAS, FILTER, upconvolutions
from models.generator.subpixel import nearest_kernel, subpixel_conv, transposed_kernel
from models.recovery.ear import Objective

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
        x = z @ v[DENSE] + v[DENSE_BIAS]
        x = tf.nn.relu(tf.reshape(x, (-1, 16, x.shape[1] // 16)))
        for layer in upconvolutions(v):
            kernel = v[layer.kernel] if layer.nearest else v[layer.kernel][0]
            kernel, padding = (nearest_kernel if layer.nearest else transposed_kernel)(kernel, layer.stride)
            x = getattr(tf.nn, layer.activation)(subpixel_conv(x, kernel, padding, layer.stride) + v[layer.bias])
        if not self.fixed:
            return x
        taps = self.fixed[FILTER].shape[0]
        before = (taps - 1) // 2
        return tf.nn.conv1d(tf.pad(x, [[0, 0], [before, taps - 1 - before], [0, 0]]), self.fixed[FILTER], 1, "VALID")

    def variables(self):
        return {name: value.numpy() for name, value in (self.trained | self.fixed).items()}


def adaptable(variables):
    """True for the variables of a generator that can be tuned: 16,384 samples, one channel, no batch normalisation."""
    layers = upconvolutions(variables)
    whole = {DENSE, DENSE_BIAS, *(name for layer in layers for name in (layer.kernel, layer.bias))} <= variables.keys()
    normalised = any("batch_norm" in name for name in variables)
    return whole and not normalised and len(layers) == LAYERS and variables[layers[-1].bias].shape == (1,)


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
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
    adam = keras.optimizers.Adam(rate, epsilon=1e-8)
    adam.build(weights)

    @tf.function(autograph=False)
    def step(z, clips, others):
        originals, was = closeness.originals(clips), before(others)
        reference = kept.originals(was)
        with tf.GradientTape() as tape:
            losses = closeness(originals, tuned(z))
            now = tuned(others)
            drift = tf.reduce_sum((now - was) ** 2, axis=(1, 2)) / tf.reduce_sum(was**2, axis=(1, 2))
            total = tf.reduce_mean(losses) + keeping_weight * tf.reduce_mean(kept(reference, now) + drift)
        adam.apply(tape.gradient(total, weights), weights)
        return tf.reduce_mean(losses)

    rng = np.random.default_rng([STREAM, seed])
    order = np.zeros(0, int)
    for done in range(steps):
        while len(order) < min(BATCH, len(targets)):
            order = np.concatenate([order, rng.permutation(len(targets))])
        chosen, order = order[:BATCH], order[BATCH:]
        others = draw_latent(rng, (OTHERS, z.shape[1]), prior)
        loss = step(tf.constant(z[chosen], tf.float32), tf.constant(targets[chosen]), tf.constant(others))
        if report:
            report(done + 1, float(loss))
    return tuned.variables()
