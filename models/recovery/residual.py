"""What least-squares recovery minimises, problem by problem: the difference of the waveforms and, if wanted, of their
compressed STFT magnitudes.

The first is what an exact answer needs; for a real recording, which no latent vector repeats sample by sample, the
second finds a sound that is alike where the phases cannot be. Near an exact answer the second only disturbs:
compression makes the smallest magnitudes, where there is hardly any sound, count and bend the most. So a problem whose
waveform has come close goes on with the waveform alone.
"""

import numpy as np
import tensorflow as tf

from models.recovery.mismatch import mismatch

# Relative squared error of a waveform, 20 dB, below which an exact answer is near and the spectral part has done its
# work
CLOSE = 0.01
JACOBIANS_AT_ONCE = 4  # clips, to bound the memory


class Residual:
    """Least-squares problems for targets [n, num_samples, num_channels] under a generator, as
    `levenberg_marquardt.minimise` takes them.

    spectral: weight of the spectral part in [0, 1]; 0 is waveforms only, 1 is magnitudes only. Both parts are scaled to
    the target's own energy, so the objective is half the weighted mean of the two relative squared errors. A problem
    that `settle` finds within 20 dB of its waveform is one of waveforms only from then on (not with spectral 1).
    """

    def __init__(self, generator, targets, spectral=0.0):
        self.functions = mismatch(generator)
        self.originals = self.functions.originals(targets)
        spectral = spectral if self.functions.has_spectrum else 0.0
        self.weights = np.full(len(targets), spectral, np.float32)  # of the spectral part, [n]
        self._normals, self._widths = [], []  # of the last Jacobians, arrays [n, …]

    def _known(self, index):
        """The originals of the targets `index` [m], without magnitudes where none of them needs those."""
        needed = self.originals if self.weights[index].any() else self.originals[:2]
        return [tf.gather(tensor, index) for tensor in needed]

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
        close = (errors[0] < CLOSE) & (self.weights[index] < 1)
        self.weights[index[close]] = 0
        return self._objectives(errors, index)

    def _errors(self, z, index):
        errors = self.functions.errors(tf.constant(z, tf.float32), self._known(index))
        return [error.numpy().astype(np.float64) for error in errors]

    def _objectives(self, errors, index):
        return 0.5 * sum(share * error for share, error in zip(self._shares(index), errors))

    def linearise(self, z, index, smoothing):
        """Takes a new Jacobian at z [m, k] for the targets `index` [m], averaged over latent noise of the standard
        deviation `smoothing` [m], which `normals` and `gradients` go by from then on.
        """
        for i in range(0, len(z), JACOBIANS_AT_ONCE):
            part = index[i : i + JACOBIANS_AT_ONCE]
            near, noise = (tf.constant(a[i : i + JACOBIANS_AT_ONCE], tf.float32) for a in (z, smoothing))
            normals, widths = self.functions.linearised(near, self._known(part), noise)
            self._keep(self._normals, part, normals)
            self._keep(self._widths, part, widths)

    def _keep(self, kept, index, arrays):
        """Puts arrays [m, …] into the rows `index` of those kept, a list of [n, …]."""
        for position, array in enumerate(arrays):
            if position == len(kept):
                kept.append(np.zeros((len(self.weights), *array.shape[1:]), array.dtype.as_numpy_dtype))
            kept[position][index] = array

    def normals(self, index):
        """The normal matrices JᵀJ [m, k, k] of the targets `index` [m] at their last Jacobians, float64."""
        parts = zip(self._normals, self._shares(index))
        return sum(share[:, None, None].astype(np.float64) * kept[index] for kept, share in parts)

    def gradients(self, z, index, smoothing):
        """z [m, k] → gradients Jᵀr [m, k] of the targets `index` [m], float64, averaged over latent noise of the
        standard deviation `smoothing` [m], as wide in the generator's inside as at their last Jacobians.
        """
        z, smoothing = (tf.constant(a, tf.float32) for a in (z, smoothing))
        widths = [tf.constant(kept[index]) for kept in self._widths]
        shares = [tf.constant(share, tf.float32) for share in self._shares(index)]
        found = self.functions.gradient(z, self._known(index), smoothing, widths, shares)
        return found.numpy().astype(np.float64)
