"""Convolutions along one axis with a third of the multiplications, for many signals at once.

The outputs of a block are products in the frequency domain (overlap-save). A product of two complex numbers takes three
of real ones, so a block of N samples takes about 1.5 N products of matrices [signals, in] by [in, out], where the
convolution itself takes its number of taps for each output: for 7 taps, 32 products in place of 112 for 16 outputs.
There and back it goes by matrices of constants, as in Winograd's minimal filtering (Lavin and Gray, arXiv 1509.09308),
of which this is the form whose rounding does not grow with the size of a block.
"""

import functools
import weakref
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.generator.subpixel import phase_taps, transposed_kernel

LARGEST = 64  # samples of a block, at most
MOVING = 16  # multiplications that take as long as to write and read one number of those in between
SLOWER = 2  # times as long as another takes a multiplication there and back, whose matrices are narrow
GAIN = 1.3  # by which it has to be less work to be worth its while
MOST = 2**27  # numbers of the points of all kernels of a graph, half a GiB


class Plan(NamedTuple):
    """How a convolution of `taps` is done: blocks of `size` samples, of each of which size - taps + 1 are its outputs.

    analysis [points, size] is applied to a block, filtering [points, taps] to the kernel, synthesis [outputs, points]
    to their products.
    """

    analysis: np.ndarray
    filtering: np.ndarray
    synthesis: np.ndarray

    outputs = property(lambda self: len(self.synthesis))
    points = property(lambda self: len(self.analysis))


@functools.cache
def plan(size, taps):
    """The Plan of blocks of `size` samples; float64."""
    angles = 2 * np.pi * np.outer(np.arange(size // 2 + 1), np.arange(size)) / size
    real, imaginary = np.cos(angles), -np.sin(angles)  # of the discrete Fourier transform
    share = np.full(len(real), 2 / size)
    alone = [0, size // 2] if size % 2 == 0 else [0]  # frequencies whose products are of real numbers
    share[alone] = 1 / size
    both = [i for i in range(len(real)) if i not in alone]
    analysis = [real[alone], (real + imaginary)[both], real[both], imaginary[both]]
    # a correlation, as networks call a convolution: the kernel's transform is conjugated
    of_real, of_imaginary = real[:, :taps], -imaginary[:, :taps]
    filtering = [of_real[alone], of_real[both], (of_imaginary - of_real)[both], (of_real + of_imaginary)[both]]
    back = (share[:, None] * real).T, (share[:, None] * imaginary).T  # [size, frequencies]
    # real part: first - third product; imaginary part: first + second (Gauss)
    synthesis = [back[0][:, alone], (back[0] + back[1])[:, both], back[1][:, both], -back[0][:, both]]
    outputs = size - taps + 1
    return Plan(np.concatenate(analysis), np.concatenate(filtering), np.concatenate(synthesis, axis=1)[:outputs])


@functools.cache
def best_plan(length, taps, channels, filters):
    """The Plan that does a convolution with `length` outputs with the least work, or None if none is worth it."""
    direct = length * (taps * channels * filters + MOVING * (channels + filters))

    def work(size):
        outputs = size - taps + 1
        points = 3 * ((size - 1) // 2) + (2 if size % 2 == 0 else 1)
        each = points * (channels * filters + SLOWER * (size * channels + outputs * filters))
        each += MOVING * (points + size) * (channels + filters)
        return -(-length // outputs) * each

    sizes = range(taps + 1, max(LARGEST, 2 * taps) + 1)
    size = min(sizes, key=work)
    return plan(size, taps) if GAIN * work(size) < direct else None


def points_of_kernel(kernel, chosen):
    """A kernel [taps, in, out] → [points, in, out] of a Plan."""
    points = tf.cast(chosen.filtering, kernel.dtype) @ tf.reshape(kernel, (kernel.shape[0], -1))
    return tf.reshape(points, (chosen.points, *kernel.shape[1:]))


def convolved(x, kernel, chosen):
    """x [n, length, in] and the points of a kernel, of a Plan → what its convolution without padding is, [n, length -
    taps + 1, out]."""
    size, channels, filters = chosen.analysis.shape[1], kernel.shape[1], kernel.shape[2]
    length = x.shape[1] - (size - chosen.outputs)
    blocks = -(-length // chosen.outputs)
    x = tf.transpose(x, (1, 0, 2))  # [length, n, in]
    n = tf.shape(x)[1]
    x = tf.pad(x, [[0, blocks * chosen.outputs - length], [0, 0], [0, 0]])
    if blocks > 1:
        x = tf.gather(x, np.arange(size)[:, None] + chosen.outputs * np.arange(blocks))  # [size, blocks, n, in]
    x = tf.cast(chosen.analysis, x.dtype) @ tf.reshape(x, (size, -1))
    x = tf.reshape(x, (chosen.points, -1, channels)) @ kernel  # [points, blocks n, out]
    x = tf.cast(chosen.synthesis, x.dtype) @ tf.reshape(x, (chosen.points, -1))
    x = tf.transpose(tf.reshape(x, (chosen.outputs, blocks, n, filters)), (2, 1, 0, 3))
    return tf.reshape(x, (n, blocks * chosen.outputs, filters))[:, :length]


_shared = weakref.WeakValueDictionary()  # points of kernels {(the variable's id, sizes and stride, points): tensor}


class FastConvolution:
    """A convolution of a models.generator.jacobian.graph_walk.GraphWalk whose kernel is constant, for tangents.

    Called on [n, 1, length, in], it returns what the operation itself does. `of` makes one. numbers: of its points,
    which are several times as many as the kernel has.
    """

    def __init__(self, walk, op, chosen, sizes, padding, stride):
        self._walk, self._op, self._plan, self._padding, self._stride = walk, op, chosen, padding, stride
        self.numbers = chosen.points * sizes[0] * sizes[1]

    @classmethod
    def of(cls, walk, op):
        """The fast form of an operation, or None where there is none, or it would not be faster."""
        if stride := walk.subpixel.get(op.name, 0):
            _, size, made, channels = op.inputs[1].shape
            taps, *sides = phase_taps(size, stride)
            taps, filters, padding = len(taps), stride * made, sides[::-1]
        elif _of_waveforms(op):
            _, taps, channels, filters = op.inputs[1].shape
            added = taps - 1 if op.get_attr("padding") == b"SAME" else 0
            stride, padding = 1, (added // 2, added - added // 2)
        else:
            return None
        chosen = best_plan(op.outputs[0].shape[2] // stride, taps, channels, filters)
        return chosen and cls(walk, op, chosen, (channels, filters), padding, stride)

    @functools.cached_property
    def _points(self):
        """The points of its kernel, one tensor for all graphs that capture the same variable."""
        root = self._op.inputs[1]
        while root.op.type in ("Identity", "ExpandDims", "Reshape", "ReadVariableOp"):
            root = root.op.inputs[0]
        if root.op.type != "Placeholder":
            return self._computed()
        shape = tuple(self._op.inputs[1].shape)
        key = id(self._walk.constant(root)), shape, self._stride, self._plan.points
        points = _shared.get(key)
        if points is None:
            points = _shared[key] = self._computed()
        return points

    def _computed(self):
        with tf.init_scope():
            kernel = tf.cast(self._walk.constant(self._op.inputs[1])[0], tf.float32)
            if self._op.name in self._walk.subpixel:
                kernel, _ = transposed_kernel(kernel, self._stride)
            return points_of_kernel(kernel, self._plan)

    def __call__(self, x):
        x = tf.pad(tf.squeeze(x, 1), [[0, 0], list(self._padding), [0, 0]])
        x = convolved(x, self._points, self._plan)
        return tf.reshape(x, (-1, 1, x.shape[1] * self._stride, x.shape[2] // self._stride))


def _of_waveforms(op):
    """Whether an operation is a convolution of [n, 1, length, in] along the length, without stride or dilation."""
    if op.type != "Conv2D" or op.get_attr("data_format") != b"NHWC" or op.get_attr("padding") == b"EXPLICIT":
        return False
    x, kernel = (tensor.shape for tensor in op.inputs)
    known = x.rank == 4 and None not in (*x[1:], *kernel) and x[1] == kernel[0] == 1 and x[3] == kernel[2]
    return known and op.get_attr("strides") == op.get_attr("dilations") == [1, 1, 1, 1]


def fast_convolutions(walk, chosen):
    """{name: FastConvolution} of those operations `chosen` of a walk that have one, from the first on, as long as their
    points are not too many."""
    found, numbers = {}, 0
    for op in chosen:
        fast = FastConvolution.of(walk, op)
        if fast is not None and numbers + fast.numbers <= MOST:
            found[op.name], numbers = fast, numbers + fast.numbers
    return found
