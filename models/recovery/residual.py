"""What least-squares recovery minimises, problem by problem: the difference of the waveforms and, if wanted, of their
compressed STFT magnitudes.

The first is what an exact answer needs; for a real recording, which no latent vector repeats sample by sample, the
second finds a sound that is alike where the phases cannot be. Near an exact answer the second only disturbs:
compression makes the smallest magnitudes, where there is hardly any sound, count and bend the most. So a problem whose
waveform has come close goes on with the waveform alone.
"""

import numpy as np
import tensorflow as tf

from models.generator.excerpts import EXCERPTS, cut
from models.recovery.centre import centre, is_central
from models.recovery.errors import CLOSE
from models.recovery.mismatch import BOUNDED, mismatch, relative

AVERAGED_AT_ONCE = 64  # waveforms


class Residual:
    """Least-squares problems for targets [n, num_samples, num_channels] under a generator, as
    `least_squares.minimise` takes them.

    spectral: weight of the spectral part in [0, 1]; 0 is waveforms only, 1 is magnitudes only. Both parts are scaled to
    the target's own energy, so the objective is half the weighted mean of the two relative squared errors. A problem
    that `settle` finds within 20 dB of its waveform is one of waveforms only from then on (not with spectral 1).
    present: [n, num_samples * num_channels], 0 for each sample of a waveform that nothing is known of, else 1.
    bounded: the same, True for each that was clipped, which the generator's has to reach or to exceed. Three more
    coordinates of z are gain, offset and delay (models/recovery/mismatch.py).

    excerpts: int32 [n, EXCERPTS], the blocks with which excerpts of the waveforms begin (models/generator/excerpts.py);
    Jacobians and whatever goes by them are of these alone, relative to their energy, and without a spectral part.
    `evaluate` and `settle` always take the whole. None: everything does.
    """

    def __init__(self, generator, targets, spectral=0.0, present=1.0, excerpts=None, bounded=False):
        self.generator, self.functions = generator, mismatch(generator)
        self.originals = self.functions.originals(targets)
        self.present, self.excerpts = np.broadcast_to(present, self.originals[0].shape), excerpts
        self.present = np.where(bounded, BOUNDED, self.present)
        self.reweigh(np.ones((len(targets), 1)))
        spectral = spectral if self.functions.has_spectrum else 0.0
        self.weights = np.full(len(targets), spectral, np.float32)  # of the spectral part, [n]
        self.smoothing = np.zeros(len(targets), np.float32)
        self._normals, self._widths = [], []  # of the last Jacobians, arrays [n, …]

    def reweigh(self, weights):
        """Weights [n, blocks] of as many equal parts of the waveforms, relative to each other; the objective remains
        relative to the target's energy, weighted in the same way.
        """
        flat = self.originals[0].numpy()
        places = np.arange(flat.shape[1]) * weights.shape[1] // flat.shape[1]
        weights = self.present * weights[:, places]
        self.originals[1] = tf.constant(relative(flat, weights))
        if self.excerpts is not None:
            flat, weights = (cut(array, self.excerpts, self.generator.num_samples) for array in (flat, weights))
            ends = weights.reshape(len(weights), EXCERPTS, -1, self.generator.num_channels)
            ends[:, :, [0, -1]] = 0  # whose derivative by time takes a neighbour that is not known
            self.excerpted = [tf.constant(flat), tf.constant(relative(flat, weights))]

    def _of(self, index, excerpted=False):
        """The originals of the targets `index` [m], without magnitudes where none of them needs those; excerpted: of
        what Jacobians are of."""
        needed = self.originals if self.weights[index].any() else self.originals[:2]
        if excerpted and self.excerpts is not None:
            needed = self.excerpted
        return [tf.gather(tensor, index) for tensor in needed]

    def _where(self, index):
        """The excerpts of the targets `index` [m], a list of one, or of none."""
        return [] if self.excerpts is None else [tf.constant(self.excerpts[index])]

    def _shares(self, index):
        """The weights of the parts, a list of one or two [m]."""
        spectral = self.weights[index]
        return [1 - spectral, spectral] if spectral.any() else [1 - spectral]

    def evaluate(self, z, index):
        """z [m, k] → objectives [m] of the targets `index` [m]."""
        return self._objectives(self._errors(z, index), index)

    def unsettled(self, index):
        """True for each of the targets `index` [m] whose objective `settle` may still change."""
        return (self.weights[index] > 0) & (self.weights[index] < 1)

    def settle(self, z, index):
        """z [m, k] → objectives [m] of the targets `index` [m], after those that are close have become problems of
        waveforms only.
        """
        errors = self._errors(z, index)
        close = (0.5 * errors[0] < CLOSE) & (self.weights[index] < 1)
        self.weights[index[close]] = 0
        return self._objectives(errors, index)

    def _errors(self, z, index):
        errors = self.functions.errors(tf.constant(z, tf.float32), self._of(index))
        return [error.numpy().astype(np.float64) for error in errors]

    def _objectives(self, errors, index):
        return 0.5 * sum(share * error for share, error in zip(self._shares(index), errors))

    def linearise(self, z, index, smoothing, directions):
        """Takes new Jacobians at z [m, k] for the targets `index` [m] along directions [m, k, k], averaged over latent
        noise of the deviation `smoothing` [m] along each; `normals`, `gradients` and `averaged` go by them.
        """
        self.smoothing[index] = smoothing
        for i in range(len(z)):  # one by one, since as many tangents as a latent vector has coordinates fill the memory
            one = index[i : i + 1]
            near, noise, along = (tf.constant(a[i : i + 1], tf.float32) for a in (z, smoothing, directions))
            if is_central(self.generator, z[i], smoothing[i], directions[i]):
                normals, widths = self._linearised_at_centre(near, one, along)
            else:
                normals, widths = self.functions.linearised(near, self._of(one, True), noise, along, *self._where(one))
            self._store(self._normals, one, normals)
            self._store(self._widths, one, widths)

    def _linearised_at_centre(self, near, one, along):
        """As Mismatch.linearised, from what the generator knows of its centre."""
        generator = self.generator
        flat, tangents, widths = centre(generator).jacobian(along.shape[1])
        if self.excerpts is not None:
            starts = self.excerpts[one]
            flat, tangents = (tf.constant(cut(a.numpy(), starts, generator.num_samples)) for a in (flat, tangents))
            widths = generator.excerpt_widths(widths, tf.constant(starts))
        return self.functions.normals(near, self._of(one, True), along, flat, tangents), widths

    def quieten(self, index):
        """Leaves `gradients` and `averaged` of the targets `index` [m] without noise until their next Jacobians."""
        self.smoothing[index] = 0

    def _store(self, stored, index, arrays):
        """Puts arrays [m, …] into the rows `index` of the stored ones, a list of [n, …]."""
        for position, array in enumerate(arrays):
            if position == len(stored):
                stored.append(np.zeros((len(self.weights), *array.shape[1:]), array.dtype.as_numpy_dtype))
            stored[position][index] = array

    def normals(self, index):
        """The normal matrices JᵀJ [m, k, k] of the targets `index` [m] along the directions of their last Jacobians,
        float64.
        """
        parts = zip(self._normals, self._shares(index))
        return sum(share[:, None, None].astype(np.float64) * normals[index] for normals, share in parts)

    def _noise(self, index):
        return tf.constant(self.smoothing[index]), [tf.constant(widths[index]) for widths in self._widths]

    def gradients(self, z, index):
        """z [m, k] → gradients [m, k] of `averaged` of the targets `index` [m], float64."""
        shares = [tf.constant(share, tf.float32) for share in self._shares(index)]
        arguments = *self._noise(index), shares, *self._where(index)
        gradients = self.functions.gradient(tf.constant(z, tf.float32), self._of(index, True), *arguments)
        return gradients.numpy().astype(np.float64)

    def averaged(self, z, index):
        """z [m, k] → objectives [m] of the targets `index` [m], of waveforms averaged over latent noise as wide, also
        in the generator's inside, as at their last Jacobians.
        """
        if self.excerpts is None and not self.smoothing[index].any():
            return self.evaluate(z, index)
        parts = []
        for i in range(0, len(z), AVERAGED_AT_ONCE):
            rows = index[i : i + AVERAGED_AT_ONCE]
            near = tf.constant(z[i : i + AVERAGED_AT_ONCE], tf.float32)
            errors = self.functions.averaged_errors(near, self._of(rows, True), *self._noise(rows), *self._where(rows))
            parts.append(self._objectives([error.numpy().astype(np.float64) for error in errors], rows))
        return np.concatenate(parts)
