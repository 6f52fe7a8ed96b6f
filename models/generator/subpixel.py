"""Strided convolutions of waveforms as ordinary convolutions of stride 1, several times faster on a CPU.

A transposed convolution with stride s, y[s i + t - cropped] += x[i] w[t], writes each of its s output phases from a few
neighbouring inputs only. So it is one convolution with s times as many output channels, whose phases are then laid side
by side (a sub-pixel, or polyphase, convolution; Shi et al., arXiv 1609.05158). For WaveGAN's kernel of 25 and stride of
4, 7 taps hold the 25. A strided convolution is the mirror image. The kernels keep WaveGAN's own shape, [kernel, out,
in] and [kernel, in, out], and are rearranged at run time.
"""

import keras
import numpy as np
from keras import ops


def phase_taps(kernel_size, stride, cropped=None):
    """Which tap of a kernel joins low-rate neighbour d with phase p: t = stride d + p + cropped.

    cropped: high-rate samples that are cut off in front; None: as TensorFlow's 'same' padding of a strided convolution.
    Returns indices [taps, stride] with `kernel_size` where there is no such tap, and the number of neighbours before
    and after.
    """
    cropped = max(kernel_size - stride, 0) // 2 if cropped is None else cropped
    before = cropped // stride + (cropped % stride > 0)
    after = max(kernel_size - 1 - cropped, 0) // stride
    neighbours = np.arange(-before, after + 1)
    taps = stride * neighbours[:, None] + np.arange(stride)[None] + cropped  # [taps, stride]
    return np.where((taps >= 0) & (taps < kernel_size), taps, kernel_size), before, after


def transposed_kernel(kernel, stride, cropped=None):
    """[kernel, out, in] of a transposed convolution → [taps, in, stride * out] and the padding (before, after) of its
    sub-pixel form.

    cropped: samples of its whole output that are cut off in front; None: TensorFlow's 'same'.
    """
    size, filters, channels = kernel.shape
    taps, before, after = phase_taps(size, stride, cropped)
    padded = ops.pad(kernel, [[0, 1], [0, 0], [0, 0]])  # the last one stands for a tap that is missing
    phases = ops.take(padded, np.ascontiguousarray(taps[::-1]), axis=0)  # [taps, stride, out, in]
    return ops.reshape(ops.transpose(phases, (0, 3, 1, 2)), (len(taps), channels, stride * filters)), (after, before)


def nearest_kernel(kernel, stride):
    """[kernel, in, out] of a 'same' convolution behind nearest-neighbour upsampling → its sub-pixel form, as
    `transposed_kernel`.
    """
    size, channels, filters = kernel.shape
    position = np.arange(stride)[None] + np.arange(size)[:, None] - (size - 1) // 2  # [kernel, stride], high-rate
    neighbour = position // stride  # low-rate
    before, after = -neighbour.min(), neighbour.max()
    choice = neighbour[None] == np.arange(-before, after + 1)[:, None, None]  # [taps, kernel, stride]
    choice = ops.cast(choice.transpose(0, 2, 1).reshape(-1, size), kernel.dtype)  # [taps * stride, kernel]
    phases = ops.reshape(choice @ ops.reshape(kernel, (size, -1)), (-1, stride, channels, filters))
    phases = ops.reshape(ops.transpose(phases, (0, 2, 1, 3)), (before + after + 1, channels, stride * filters))
    return phases, (before, after)


def subpixel_conv(x, kernel, padding, stride):
    """x [n, length, in], a kernel [taps, in, stride * out] and its padding → [n, stride * length, out]; with less
    padding than that of 'same' as many places less, times the stride."""
    filters = kernel.shape[2] // stride
    length = x.shape[1] + sum(int(side) for side in padding) - kernel.shape[0] + 1
    x = ops.pad(x, [[0, 0], list(padding), [0, 0]])
    return ops.reshape(ops.conv(x, kernel, padding="valid"), (-1, stride * length, filters))


def strided_conv(x, kernel, stride):
    """'Same' convolution of x [n, length, in] with a kernel [kernel, in, out] and a stride that divides the length →
    [n, length / stride, out].
    """
    length, channels = x.shape[1], x.shape[2]
    size, _, filters = kernel.shape
    taps, before, after = phase_taps(size, stride)
    padded = ops.pad(kernel, [[0, 1], [0, 0], [0, 0]])
    phases = ops.reshape(ops.take(padded, taps, axis=0), (len(taps), stride * channels, filters))
    x = ops.reshape(x, (-1, length // stride, stride * channels))  # space to depth
    return ops.conv(ops.pad(x, [[0, 0], [before, after], [0, 0]]), phases, padding="valid")


class _Strided(keras.layers.Layer):
    """What the two layers share: a kernel [kernel_size, in, filters], a bias, an optional initial kernel."""

    def __init__(self, filters, kernel_size=25, stride=4, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.stride = filters, kernel_size, stride
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        shape = (self.kernel_size, input_shape[-1], self.filters)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.kernel_initializer)
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    def get_config(self):
        own = {"filters": self.filters, "kernel_size": self.kernel_size, "stride": self.stride}
        return {
            **super().get_config(),
            **own,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@keras.saving.register_keras_serializable("latent_vector_recovery")
class NearestConv1D(_Strided):
    """WaveGAN's nearest-neighbour upsampling and convolution: [n, length, in] → [n, stride * length, filters]."""

    def call(self, x):
        return subpixel_conv(x, *nearest_kernel(self.kernel, self.stride), self.stride) + self.bias


@keras.saving.register_keras_serializable("latent_vector_recovery")
class StridedConv1D(_Strided):
    """WaveGAN's strided convolution: [n, length, in] → [n, length / stride, filters]."""

    def call(self, x):
        return strided_conv(x, self.kernel, self.stride) + self.bias


def blocked_kernel(kernel, block):
    """[taps, channels, filters] of a 'same' convolution of stride 1 → the same one over blocks of samples, for few
    channels and many taps.

    Returns a kernel [neighbours, block * channels, block * filters] and its padding, for x reshaped to [n, length /
    block, block * channels].
    """
    size, channels, filters = kernel.shape
    tap = np.arange(size) - (size - 1) // 2  # which input, relative to the output
    before, after = -((tap.min()) // block), (block - 1 + tap.max()) // block
    blocked = np.zeros((before + after + 1, block, channels, block, filters), kernel.dtype)
    for out in range(block):
        source = out + tap
        blocked[source // block + before, source % block, :, out] = kernel
    return ops.convert_to_tensor(blocked.reshape(len(blocked), block * channels, block * filters)), (
        int(before),
        int(after),
    )


def decimating_kernel(kernel, block, factor):
    """As `blocked_kernel`, for every `factor`-th sample of the convolution only.

    Returns a kernel [neighbours, block * channels, block / factor * filters] and its padding.
    """
    blocked, padding = blocked_kernel(kernel, block)
    phases = ops.reshape(blocked, (*blocked.shape[:2], block, kernel.shape[2]))[:, :, ::factor]
    return ops.reshape(phases, (*blocked.shape[:2], -1)), padding


def blocked_conv(x, kernel, padding, block):
    """The convolution of `blocked_kernel` or `decimating_kernel` with one filter: x [n, length, channels] → [n, length
    or length / factor, 1].

    block divides the length.
    """
    length, channels = x.shape[1], x.shape[2]
    out = subpixel_conv(ops.reshape(x, (-1, length // block, block * channels)), kernel, padding, 1)
    return ops.reshape(out, (-1, length // block * kernel.shape[2], 1))
