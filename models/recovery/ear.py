"""Gradient descent on what is heard, for many clips side by side: the perceptual loss, and how far the spectra are
apart.

No latent vector repeats a real recording sample by sample, so least squares on the waveform have nothing to find there.
What can be matched is what is heard: the perceptual loss (paper section 3.3) keeps the word, the log-spectral distance
the colour of the sound. `Descent` does not ask what it descends in: `render` turns its parameters into waveforms, be
they latent vectors or the output of the generator's first layer.
"""

import numpy as np
import tensorflow as tf

from models.audio.clip import spectrogram
from models.audio.second import Second
from models.metrics.metrics import DYNAMIC_RANGE_DB

LOG_SPECTRAL_WEIGHT = 0.3  # of the log-spectral distance, in units of 10 dB, against the perceptual loss
STEPS = 100  # of Adam
RATE = 0.1  # of Adam at the first step, falling to nothing along a cosine
AT_ONCE = 32  # clips, to bound the memory
INSIDE = 0.97  # of the bounds; latent coordinates further out begin here, where tanh still has a slope
MOMENTUM, DECAY, EPSILON = 0.9, 0.999, 1e-8  # Adam's


def _magnitudes(waveforms):
    """Waveforms [n, samples, channels] → power of the STFT [n, channels * frames, bins], and 1e-20, so that its
    logarithm is finite."""
    n, samples = tf.shape(waveforms)[0], waveforms.shape[1]
    real, imaginary = spectrogram(tf.reshape(tf.transpose(waveforms, (0, 2, 1)), (-1, samples)))
    return tf.reshape(real**2 + imaginary**2 + 1e-20, (n, -1, real.shape[-1]))


class Objective:
    """How differently two clips sound: the perceptual loss plus `log_spectral_weight` times the log-spectral distance
    in units of 10 dB.

    The distance is that of models.metrics.metrics, except that its floor, 80 dB below the original's loudest bin, is
    added where the metric cuts: that has a derivative everywhere. perceptual_loss:
    models.networks.classifier.PerceptualLoss, or None; it hears one channel of 16,384 samples.
    """

    def __init__(self, perceptual_loss=None, log_spectral_weight=LOG_SPECTRAL_WEIGHT, second=None):
        self.perceptual_loss, self.log_spectral_weight = perceptual_loss, log_spectral_weight
        self.second = second or Second()

    def originals(self, waveforms):
        """Waveforms [n, samples, channels] → all that the objective has to know of them, a list of tensors [n, …]."""
        waveforms = tf.convert_to_tensor(waveforms, tf.float32)
        power = _magnitudes(waveforms)
        floor = tf.reduce_max(power, axis=(1, 2), keepdims=True) * 10 ** (-DYNAMIC_RANGE_DB / 10)
        audible = tf.cast(tf.reduce_any(power > floor, axis=2), tf.float32)
        audible /= tf.maximum(tf.reduce_sum(audible, axis=1, keepdims=True), 1.0)
        begin = self.second.begin(waveforms)
        activations = []
        if self.perceptual_loss:
            activations = self.perceptual_loss.activations(self.second(waveforms, begin))
        return [tf.math.log(power + floor), floor, audible, begin, *activations]

    def __call__(self, originals, waveforms):
        """originals: of n clips. waveforms: [n, samples, channels]. Returns [n]."""
        level, floor, audible, begin, *activations = originals
        difference = (10 / np.log(10.0)) * (tf.math.log(_magnitudes(waveforms) + floor) - level)  # dB
        frames = tf.sqrt(tf.reduce_mean(difference**2, axis=2) + 1e-6)  # [n, channels * frames]
        total = self.log_spectral_weight * tf.reduce_sum(audible * frames, axis=1) / 10
        if not self.perceptual_loss:
            return total
        return total + self.perceptual_loss(activations, self.second(waveforms, begin))


class Descent:
    """Minimises an Objective over parameters [n, …] by Adam, each clip by itself, compiled once for any number of
    clips.

    render: parameters → waveforms [n, samples, channels], differentiable. project: what brings parameters back where
    they are allowed after a step.
    """

    def __init__(self, objective, render, project=tf.identity):
        self.objective, self.render, self.project = objective, render, project

    @tf.function(reduce_retracing=True, autograph=False)
    def _values(self, parameters, originals):
        return self.objective(originals, self.render(parameters))

    @tf.function(reduce_retracing=True, autograph=False)
    def _step(self, state, originals, step, rate):
        """state: parameters, Adam's two moments, the best parameters and their objectives → the state one step on."""
        parameters, first, second, best, least = state
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            values = self.objective(originals, self.render(parameters))
        gradient = tape.gradient(values, parameters)
        better = values < least
        best = tf.where(
            tf.reshape(better, tf.concat([tf.shape(better), tf.ones(len(parameters.shape) - 1, tf.int32)], 0)),
            parameters,
            best,
        )
        first = MOMENTUM * first + (1 - MOMENTUM) * gradient
        second = DECAY * second + (1 - DECAY) * gradient**2
        size = tf.sqrt(second / (1 - DECAY**step)) + EPSILON
        moved = self.project(parameters - rate * first / (1 - MOMENTUM**step) / size)
        return moved, first, second, best, tf.minimum(values, least)

    def values(self, parameters, originals):
        """Parameters [n, …] and the originals of n clips → objectives, float32 [n]."""
        return self._values(tf.convert_to_tensor(parameters, tf.float32), originals).numpy()

    def run(self, parameters, originals, steps=STEPS, rate=RATE):
        """→ the best parameters met on the way, float32 [n, …], and their objectives [n]; never worse than those begun
        with."""
        parameters = tf.convert_to_tensor(parameters, tf.float32)
        nothing = tf.zeros_like(parameters)
        state = parameters, nothing, nothing, parameters, tf.fill(tf.shape(parameters)[:1], np.float32(np.inf))
        for step in range(steps):
            now = rate * 0.5 * (1 + np.cos(np.pi * step / steps))
            state = self._step(state, originals, tf.constant(step + 1.0), tf.constant(now, tf.float32))
        last, _, _, best, least = (tensor.numpy() for tensor in state)
        values = self.values(last, originals)
        better = values < least
        best[better], least[better] = last[better], values[better]
        return best, least


def take(originals, index):
    """The originals of the clips `index` [m]."""
    return [tf.gather(tensor, index) for tensor in originals]


def inside(u, bounds):
    """The latent vectors bounds · tanh(u / bounds) that unbounded numbers u stand for: u itself without bounds."""
    return bounds * tf.tanh(u / bounds) if np.isfinite(bounds) else u


def unbounded(z, bounds):
    """Latent vectors [n, latent_dim] → the u of `inside`; those near a bound begin where tanh still has a slope."""
    if np.isfinite(bounds):
        z = bounds * np.arctanh(np.clip(z / bounds, -INSIDE, INSIDE))
    return z.astype(np.float32)


def latent_descent(generator, objective):
    """A Descent whose parameters u [n, latent_dim] stand for latent vectors inside the generator's bounds."""
    return Descent(objective, lambda u: generator(inside(u, generator.bounds)))
