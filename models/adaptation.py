"""The generator tuned to one voice (pivotal tuning: Roich et al., arXiv 2106.05744).

The latent vector of each recording stays where recovery found it, and the generator's weights are moved until the sound
there is the recording's. A second term keeps what the generator makes of other latent vectors as it was.
"""

import numpy as np
import tensorflow as tf

from models.descent import Objective
from models.tf1_export import FILTER, set_wavegan_variables, wavegan_variables
from models.wavegan_networks import build_generator

SPECTRAL_WEIGHT = 1.0  # of the log-spectral distance in units of 10 dB, against the perceptual loss
KEEPING_WEIGHT = 0.5  # of the term that keeps other sounds
BATCH = 16  # recordings a step
OTHERS = 8  # random latent vectors a step
RATE = 1e-3  # of Adam at the first step, falling to nothing along a cosine
STREAM = 20_107  # separates its random numbers from every other use of a seed


class _Tuned:
    """A trainable generator from WaveGAN's variables, with its fixed post-processing filter: z [n, latent_dim] →
    waveforms [n, 16384, 1]."""

    def __init__(self, variables):
        kernel = variables["G/z_project/dense/kernel"]
        self.network = build_generator(kernel.shape[1] // 256, kernel.shape[0])
        set_wavegan_variables(self.network, variables)
        self.filter = None if FILTER not in variables else tf.constant(variables[FILTER])

    def __call__(self, z):
        waveform = self.network(z)
        if self.filter is None:
            return waveform
        taps = self.filter.shape[0]
        left = (taps - 1) // 2
        return tf.nn.conv1d(tf.pad(waveform, [[0, 0], [left, taps - 1 - left], [0, 0]]), self.filter, 1, "VALID")

    def variables(self):
        return wavegan_variables(self.network) | ({} if self.filter is None else {FILTER: self.filter.numpy()})


def adaptable(variables):
    """True for the variables of a generator that can be tuned: 16,384 samples, one channel, kernel 25, no batch
    normalisation."""
    kernels = [variables.get(f"G/upconv_{i}/conv2d_transpose/kernel") for i in range(5)]
    plain = all(kernel is not None and kernel.shape[:2] == (1, 25) for kernel in kernels)
    return (
        plain
        and kernels[-1].shape[2] == 1
        and not any("batch_norm" in name or "upconv_5" in name for name in variables)
    )


def adapt(
    variables,  # {WaveGAN's variable name: array}, of the generator to begin with; stays as it is
    targets,  # waveforms [n, 16384], prepared as the generator's training clips were
    z,  # latent vectors [n, latent_dim], where recovery found them
    *,
    perceptual_loss=None,  # models.classifier.PerceptualLoss
    spectral_weight=SPECTRAL_WEIGHT,
    keeping_weight=KEEPING_WEIGHT,
    steps=1500,  # of Adam, of 16 recordings and 8 other latent vectors each
    seed=0,  # of their order
    report=None,  # called with the number of steps done and the mean loss of the recordings in that step
):
    """→ the tuned variables {name: array}, for models.tf1_export.export_wavegan.

    Raises ValueError for a generator of another kind than models.wavegan_networks.build_generator makes.
    """
    if not adaptable(variables):
        raise ValueError(
            "only a WaveGAN of 16,384 samples, one channel, kernel 25 and no batch normalisation can be adapted"
        )
    targets = np.asarray(targets, np.float32).reshape(len(targets), -1, 1)
    tuned, before = _Tuned(variables), _Tuned(variables)
    heard, kept = Objective(perceptual_loss, spectral_weight), Objective(None, 1.0)
    first, second = ([tf.Variable(tf.zeros_like(v)) for v in tuned.network.trainable_variables] for _ in range(2))

    @tf.function
    def step(z, clips, others, count, rate):
        originals, was = heard.originals(clips), before(others)
        reference = kept.originals(was)
        with tf.GradientTape() as tape:
            losses = heard(originals, tuned(z))
            now = tuned(others)
            drift = tf.reduce_sum((now - was) ** 2, axis=(1, 2)) / tf.reduce_sum(was**2, axis=(1, 2))
            total = tf.reduce_mean(losses) + keeping_weight * tf.reduce_mean(kept(reference, now) + drift)
        gradients = tape.gradient(total, tuned.network.trainable_variables)
        for variable, gradient, m, v in zip(tuned.network.trainable_variables, gradients, first, second):
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
        others = rng.uniform(-1, 1, (OTHERS, z.shape[1])).astype(np.float32)
        rate = RATE * 0.5 * (1 + np.cos(np.pi * done / steps))
        arguments = tf.constant(z[chosen], tf.float32), tf.constant(targets[chosen]), tf.constant(others)
        loss = step(*arguments, tf.constant(done + 1.0), tf.constant(rate, tf.float32))
        if report:
            report(done + 1, float(loss))
    return tuned.variables()
