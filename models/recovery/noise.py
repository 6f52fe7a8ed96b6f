"""What remains of a clip where something else sounds in it: coloured noise, hum, music, a voice for a part of it.

Where that is loud the clip says little of its latent vector, so it counts for less there: what remains, in parts of
time and frequency, is divided by how large it is around (Whittle's likelihood, of a spectrum that changes with time).
The parts are those of a modified discrete cosine transform, which is orthonormal, so noise of one power stays that.
"""

import numpy as np
import scipy.fft
import scipy.ndimage

HOP = 512  # samples from one part of time to the next; each takes twice as many
AROUND = 5, 5  # parts of time and frequency whose powers are averaged
EVEN = 0.2  # by which the mean of the logarithm is below that of the mean of noise that counts as even: 0.04 of white
FAINTEST = 1e-12  # power of a part relative to the loudest, below which it counts no more: rounding of float32


def lapped(waves):
    """The transform of waves [..., samples]: [..., parts of time, HOP frequencies]."""
    parts = -(-waves.shape[-1] // HOP) + 1
    behind = parts * HOP - waves.shape[-1]
    padded = np.pad(waves, [(0, 0)] * (waves.ndim - 1) + [(HOP, behind)])
    blocks = padded.reshape(*waves.shape[:-1], parts + 1, HOP)
    rising, falling = _window(waves.dtype)
    first, second = blocks[..., :-1, :] * rising, blocks[..., 1:, :] * falling
    half = HOP // 2
    early, late = first[..., :half], first[..., half:]
    left, right = second[..., :half], second[..., half:]
    folded = np.concatenate([-left[..., ::-1] - right, early - late[..., ::-1]], axis=-1)
    return scipy.fft.dct(folded, type=4, norm="ortho")


def unlapped(parts, samples):
    """The inverse of `lapped`, which is its transpose: [..., parts of time, HOP] → waves [..., samples]."""
    folded, half = scipy.fft.dct(parts, type=4, norm="ortho"), HOP // 2
    top, bottom = folded[..., :half], folded[..., half:]
    rising, falling = _window(parts.dtype)
    first = np.concatenate([bottom, -bottom[..., ::-1]], axis=-1) * rising
    second = np.concatenate([-top[..., ::-1], -top], axis=-1) * falling
    blocks = np.zeros((*parts.shape[:-2], parts.shape[-2] + 1, HOP), parts.dtype)
    blocks[..., :-1, :] += first
    blocks[..., 1:, :] += second
    return blocks.reshape(*parts.shape[:-2], -1)[..., HOP : HOP + samples]


def _window(dtype):
    window = np.sin(np.pi * (np.arange(2 * HOP) + 0.5) / (2 * HOP)).astype(dtype)
    return window[:HOP], window[HOP:]


class Noise:
    """How loud something beside a sound is, by parts of time and frequency, as far as what remains of a clip tells.

    remains [samples, channels]: what a latent vector leaves of a clip, 0 where that is not known. level: the logarithm
    of its power, the mean over all parts; of two latent vectors the one that leaves less of it is the likelier one.
    uneven: whether that power is another in some parts than in others. share: of a part's loudness in dB, by which it
    counts for less.
    """

    def __init__(self, remains, share=1.0):
        self.samples, self.channels = remains.shape
        power = lapped(np.asarray(remains, np.float64).T) ** 2  # [channels, parts of time, HOP]
        around = scipy.ndimage.uniform_filter(power, (0, *AROUND), mode="nearest")
        around = np.maximum(around, FAINTEST * around.max() + np.finfo(np.float64).tiny)
        self.level = float(np.log(around).mean())
        self.uneven = bool(self.level < np.log(power.mean()) - EVEN)
        self.weights = (np.exp(self.level) / around) ** (share / 2)

    def weighed(self, waves):
        """Waves [..., samples · channels] with each part as it counts, [..., parts]; linear, of the waves' type."""
        parts = lapped(np.moveaxis(waves.reshape(*waves.shape[:-1], self.samples, self.channels), -1, -2))
        return (parts * self.weights.astype(waves.dtype)).reshape(*waves.shape[:-1], -1)

    def transposed(self, parts):
        """The transpose of `weighed`."""
        parts = parts.reshape(*parts.shape[:-1], *self.weights.shape) * self.weights.astype(parts.dtype)
        return np.moveaxis(unlapped(parts, self.samples), -2, -1).reshape(*parts.shape[:-3], -1)
