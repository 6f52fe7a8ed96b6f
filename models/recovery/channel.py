"""Least squares for a generator's sound that went through an unknown linear channel: the channel is eliminated.

The target is a sum of known operations on w(z) and a constant: of filters (models/recovery/filters.py and rooms.py), or
of small changes of level, speed and position (models/recovery/placing.py). Given z their coefficients are linear, so
the best ones are solved for at every z, and what is minimised over z alone is what no such channel explains: variable
projection (Golub and Pereyra 1973), with Kaufman's approximation of its Jacobian (1975), which is the sound's own
through the channel, off the columns of the operations.
"""

import numpy as np
import tensorflow as tf

from models.recovery.centre import centre, is_central
from models.recovery.filters import BestChannel
from models.recovery.mismatch import SILENCE
from models.recovery.rooms import Room

RIDGE = 1e-11  # of a channel's columns at an exact answer: its square root is below the rounding of 16 bits
AT_ONCE = 64  # waveforms


def _derivative(generator):
    """A compiled function: z [m, latent_dim], smoothing [m], widths and others [m, s] → the derivatives by z of the
    products of others with the averaged waveforms, [m, latent_dim]."""

    def function(z, smoothing, widths, others):
        with tf.GradientTape() as tape:
            tape.watch(z)
            waveform = tf.reshape(generator.smoothed(z, smoothing, widths), tf.shape(others))
            total = tf.reduce_sum(waveform * others)
        return tape.gradient(total, z)

    return generator.derived(("derivative",), lambda: tf.function(function, reduce_retracing=True))


def _averaged(generator):
    """The averaged waveforms, compiled: z [m, latent_dim], smoothing [m], widths → [m, samples, channels]."""
    return generator.derived(("averaged",), lambda: tf.function(generator.smoothed, reduce_retracing=True))


class Channelled:
    """Problems for targets [n, num_samples, num_channels] that are a generator's sound through a channel each, as
    `least_squares.minimise` takes them.

    basis: the operations that a channel is made of, models.recovery.filters.Basis, models.recovery.rooms.Room, or one
    of models.recovery.placing. present [n, num_samples · num_channels]: 0 for each sample that nothing is known of,
    else 1. noises: a models.recovery.noise.Noise of each, by which what remains is weighed, or None. The objective is
    half of what remains, relative to the target's energy about its mean, weighed in the same way. Coordinates behind
    those of a latent vector change nothing.
    """

    def __init__(self, generator, targets, basis, present=1.0, noises=None):
        self.generator, self.k = generator, generator.latent_dim
        self.basis = basis
        self.targets = np.asarray(targets, np.float64).reshape(len(targets), -1)
        self.present, self.noises = np.broadcast_to(present, self.targets.shape), noises
        self.ridge = np.full(len(targets), RIDGE)
        self.reweigh(np.ones((len(targets), 1)))
        self.smoothing = np.zeros(len(targets), np.float32)
        self._widths, self._normals = {}, {}
        self._fits, self._places, self._responses = {}, {}, {}  # of the last Jacobians or gradients

    def reweigh(self, weights):
        """Weights [n, blocks] of as many equal parts of the waveforms, relative to each other."""
        places = np.arange(self.targets.shape[1]) * weights.shape[1] // self.targets.shape[1]
        self.weights = self.present * weights[:, places]
        squared = self.weights**2
        means = (squared * self.targets).sum(axis=1) / np.maximum(squared.sum(axis=1), 1e-30)
        energies = [(self._weighed(one - means[i], i) ** 2).sum() for i, one in enumerate(self.targets)]
        self.weights = self.weights / np.sqrt(np.maximum(energies, SILENCE))[:, None]

    def _weighed(self, waves, i):
        """Waves [..., s], each sample as it counts in the target i."""
        waves = waves * self.weights[i]
        return waves if self.noises is None else self.noises[i].weighed(waves)

    def _transposed(self, weighed, i):
        """The transpose of `_weighed`."""
        weighed = weighed[: self.targets.shape[1]] if self.noises is None else self.noises[i].transposed(weighed)
        return self.weights[i] * weighed

    def fit(self, waveform, i):
        """The best channel from a waveform [samples, channels] to the target i → filters.BestChannel."""
        if isinstance(self.basis, Room):
            return self.basis.best(waveform, self.targets[i], self.weights[i])
        columns = self.basis.columns(waveform)
        return BestChannel(columns, self.targets[i], lambda waves: self._weighed(waves, i), self.ridge[i])

    def _fitted(self, waveforms, index):
        """The same, of waveforms [m, ...] and the targets `index` [m], one after another: each takes 15 MB."""
        waveforms = np.asarray(waveforms).reshape(len(index), self.generator.num_samples, -1)
        return (self.fit(waveform, i) for waveform, i in zip(waveforms, index))

    def _objectives(self, waveforms, index):
        return np.array([0.5 * fit.residual @ fit.residual for fit in self._fitted(waveforms, index)])

    def evaluate(self, z, index):
        """z [m, k] → objectives [m] of the targets `index` [m]."""
        return self._objectives(self.generator(z[:, : self.k].astype(np.float32)), index)

    settle = evaluate

    def unsettled(self, index):
        """False for each of the targets `index` [m]: nothing of them is settled on the way."""
        return np.zeros(len(index), bool)

    def linearise(self, z, index, smoothing, directions):
        """Takes new Jacobians, as models.recovery.residual.Residual does."""
        self.smoothing[index] = smoothing
        shape = self.generator.num_samples, -1
        for row, i in enumerate(index):
            one = slice(row, row + 1)
            near, along = z[one, : self.k].astype(np.float32), directions[one, :, : self.k]
            if is_central(self.generator, z[row], smoothing[row], directions[row]):
                waveform, tangents, widths = centre(self.generator).jacobian(along.shape[1])
            else:
                waveform, tangents, widths = self.generator.jacobian(near, smoothing[one], along)
            self._widths[i] = [np.asarray(part)[0] for part in widths]
            self._keep(i, z[row], self.fit(np.asarray(waveform)[0].reshape(shape), i))
            tangents = np.asarray(tangents)[0].reshape(tangents.shape[1], *shape)
            rows = self._fits[i].off(self._through(tangents, i))
            self._normals[i] = rows @ rows.T

    def _keep(self, i, z, fit):
        self._fits[i], self._places[i] = fit, z.copy()
        self._responses[i] = self.basis.response(fit.coefficients)

    def _through(self, waveforms, i):
        """Waveforms [m, samples, channels] through the channel kept of the target i, weighted, [m, s]."""
        through = self.basis.filtered(waveforms, self._responses[i]).reshape(len(waveforms), -1)
        return self._weighed(through, i)

    def normals(self, index):
        """The normal matrices [m, k, k] of the targets `index` [m] along the directions of their last Jacobians."""
        return np.stack([self._normals[i] for i in index])

    def quieten(self, index):
        """Leaves `gradients` and `averaged` of the targets `index` [m] without noise until their next Jacobians."""
        self.smoothing[index] = 0
        for i in index:
            self._places[i] = None

    def _averaged(self, z, index):
        """z [m, k] → arguments of the compiled functions."""
        widths = [np.stack(parts) for parts in zip(*(self._widths[i] for i in index))]
        noise = tf.constant(self.smoothing[index]), [tf.constant(part) for part in widths]
        return tf.constant(z[:, : self.k], tf.float32), *noise

    def gradients(self, z, index):
        """z [m, k] → gradients [m, k], float64, of what remains of the targets `index` [m] of waveforms averaged over
        the noise of the last Jacobians: exact, since a channel that is the best one changes that in second order only.
        The channels at z are kept for `averaged`.
        """
        arguments, others = self._averaged(z, index), []
        moved = [row for row, i in enumerate(index) if not np.array_equal(self._places[i], z[row])]
        if moved:
            waveforms = _averaged(self.generator)(*self._averaged(z[moved], index[moved]))
            for row, fit in zip(moved, self._fitted(waveforms, index[moved])):
                self._keep(index[row], z[row], fit)
        for i in index:
            residual = self._transposed(self._fits[i].residual, i).reshape(self.generator.num_samples, -1)
            others.append(-self.basis.correlated(residual, self._responses[i]).ravel())
        gradients = np.zeros(z.shape)
        others = tf.constant(np.stack(others), tf.float32)
        gradients[:, : self.k] = _derivative(self.generator)(*arguments, others).numpy()
        return gradients

    def averaged(self, z, index):
        """z [m, k] → objectives [m] of waveforms averaged over the noise of the last Jacobians, near where `gradients`
        were taken: to first order in how waveform and channel change, for which no other channel has to be solved for.
        """
        objectives = np.empty(len(z))
        for first in range(0, len(z), AT_ONCE):
            rows = slice(first, first + AT_ONCE)
            waveforms = np.asarray(_averaged(self.generator)(*self._averaged(z[rows], index[rows])))
            for i in np.unique(index[rows]):
                chosen = index[rows] == i
                through = self._through(waveforms[chosen], i)
                remains = self._fits[i].off(self._weighed(self.targets[i], i) - through)
                objectives[rows][chosen] = 0.5 * (remains**2).sum(axis=1)
        return objectives
