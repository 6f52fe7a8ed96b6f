"""The layers among the operations of an ONNX graph: convolutions, normalisation, resizing, padding, recurrent layers,
overlapping sums and the Fourier transform, in TensorFlow's operations.

ONNX has channels first; TensorFlow's convolutions on a CPU have them last. A value is kept in both orders where an
operation makes both, and what nothing takes is left out of the graph afterwards. Transposed convolutions of waveforms
are made in sub-pixel form (models/generator/subpixel.py).
"""

import numpy as np
import tensorflow as tf

from models.generator.subpixel import transposed_kernel

MOST_RESIZED = 2**22  # samples along one axis, resized or padded
MOST_GROUPS = 64  # of a convolution
MOST_DILATED = 4096  # samples from one tap of a kernel to the next
MOST_KERNEL = 2**27  # elements of a kernel, with zeros between its taps
MOST_STEPS = 256  # of a recurrent layer, each of them operations of its own
MOST_MATRIX = 2**24  # elements of the matrix of a Fourier transform, or places that numbers are taken from


def shape_of(x):
    """Sizes of a value, without the axis of the clips."""
    return [int(size) for size in (x.shape[1:] if tf.is_tensor(x) else x.shape)]


def of_one_rank(*values):
    """Values of which tensors of fewer axes have as many as the others, so that they broadcast."""
    rank = max(len(shape_of(x)) for x in values)
    return [
        tf.reshape(x, [-1] + [1] * (rank - len(shape_of(x))) + shape_of(x))
        if tf.is_tensor(x) and len(shape_of(x)) < rank
        else x
        for x in values
    ]


def to_last(rank):
    """The order of axes that puts channels, the second of them, last."""
    return [0, *range(2, rank), 1]


def to_first(rank):
    """The order of axes that puts the last one second."""
    return [0, rank - 1, *range(1, rank - 1)]


def _geometry(call, x, kernel):
    """Of a convolution: kernel sizes, strides, dilations, paddings in front and behind, each by spatial axis."""
    count = len(kernel) - 2
    if count not in (1, 2) or len(shape_of(x)) != len(kernel):
        call.refuse(f"{count} axes besides the channels")
    sizes = list(kernel[2:])
    strides, dilations = (list(call.get(name, [1] * count)) for name in ("strides", "dilations"))
    pads = list(call.get("pads", [0] * 2 * count))
    if min(strides + dilations) < 1 or min(pads) < 0 or len(pads) != 2 * count:
        call.refuse("this stride, dilation or padding")
    if np.prod(dilations, dtype=object) > MOST_DILATED or max(strides) > MOST_DILATED:
        call.refuse(f"a dilation of {dilations} or a stride of {strides}")
    if np.prod([*kernel, *dilations], dtype=object) > MOST_KERNEL:
        call.refuse("a kernel of this size")
    if not 0 < call.get("group", 1) <= MOST_GROUPS:
        call.refuse(f"{call.get('group')} groups")
    call.building.grow(4 * call.get("group", 1))
    return sizes, strides, dilations, pads[:count], pads[count:]


def _grouped(call, x, kernel, bias, one):
    """A convolution group by group: one(x, kernel of a group) → channels last; then the bias."""
    groups = call.get("group", 1)
    axis = 1 if tf.is_tensor(kernel) else 0
    kernels = np.split(kernel, groups, axis=0) if axis == 0 else tf.split(kernel, groups, axis=1)
    parts = tf.split(x, groups, axis=-1) if groups > 1 else [x]
    results = [one(part, kernel) for part, kernel in zip(parts, kernels)]
    result = tf.concat(results, axis=-1) if groups > 1 else results[0]
    return call.from_last(result if bias is None else result + bias)


def _conv(call, x, kernel, *_):
    sizes, strides, dilations, before, after = _geometry(call, x, shape_of(kernel))  # [out, in, …]
    if (auto := call.get("auto_pad", "NOTSET")) not in ("NOTSET", "VALID"):
        for axis, length in enumerate(shape_of(x)[2:]):
            total = (-(-length // strides[axis]) - 1) * strides[axis] + (sizes[axis] - 1) * dilations[axis] + 1 - length
            small, large = max(total, 0) // 2, max(total, 0) - max(total, 0) // 2
            before[axis], after[axis] = (small, large) if auto == "SAME_UPPER" else (large, small)
    x = call.last()
    if any(before + after):
        x = tf.pad(x, [(0, 0), *zip(before, after), (0, 0)])

    def one(x, kernel):
        if tf.is_tensor(kernel):
            return _convolved(call, x, kernel, strides, dilations)
        # TensorFlow's own dilation lays parts of a clip along the first axis, and goes with no stride.
        kernel = np.moveaxis(_dilated(kernel, dilations), (0, 1), (-1, -2))  # […, in, out]
        return tf.nn.convolution(x, kernel, strides=strides, padding="VALID")

    return _grouped(call, x, kernel, call.known(2), one)


def _convolved(call, x, kernel, strides, dilations):
    """A convolution of x [n, …, in] with a kernel of each clip's own [n, out, in, …], as modulated ones are."""
    lengths, taps, (out, channels) = x.shape[1:-1], kernel.shape[3:], kernel.shape[1:3]
    places = np.zeros([1] * 2 * len(taps), np.int64)
    for axis, (length, size, stride, dilation) in enumerate(zip(lengths, taps, strides, dilations)):
        count = (int(length) - (size - 1) * dilation - 1) // stride + 1
        along = stride * np.arange(count)[:, None] + dilation * np.arange(size)  # [out positions, taps]
        shape = [1] * 2 * len(taps)
        shape[axis], shape[axis + len(taps)] = along.shape
        places = places * int(length) + along.reshape(shape)
    if places.size * channels > MOST_MATRIX:
        call.refuse("a kernel that depends on the latent vector, of this size")
    results = places.shape[: len(taps)]
    patches = tf.gather(tf.reshape(x, [-1, int(np.prod(lengths)), channels]), places.reshape(-1), axis=1)
    patches = tf.reshape(patches, [-1, int(np.prod(results)), int(np.prod(taps)) * channels])
    kernel = tf.reshape(tf.transpose(kernel, [0, *range(3, kernel.shape.rank), 2, 1]), [-1, patches.shape[2], out])
    return tf.reshape(tf.matmul(patches, kernel), [-1, *results, out])


def _conv_transpose(call, x, kernel, *_):
    sizes, strides, dilations, before, after = _geometry(call, x, shape_of(kernel))  # [in, out, …]
    lengths, extra = shape_of(x)[2:], list(call.get("output_padding", [0] * len(sizes)))
    whole = [(n - 1) * s + (k - 1) * d + 1 + e for n, s, k, d, e in zip(lengths, strides, sizes, dilations, extra)]
    wanted, auto = call.get("output_shape"), call.get("auto_pad", "NOTSET")
    if wanted is None and auto.startswith("SAME"):
        wanted = [n * s for n, s in zip(lengths, strides)]
    if wanted is not None:
        totals = [full - size for full, size in zip(whole, list(wanted)[-len(sizes) :])]
        small = [total // 2 for total in totals]
        large = [total - half for total, half in zip(totals, small)]
        before, after = (small, large) if auto == "SAME_UPPER" else (large, small)
    out = [full - a - b for full, a, b in zip(whole, before, after)]
    if min(out) < 1 or min(before) < 0:
        call.refuse("this padding")

    def one(x, kernel):
        if tf.is_tensor(kernel):
            channels, features = kernel.shape[1:3]
            spread = tf.matmul(tf.reshape(x, [-1, int(np.prod(lengths)), channels]),
                               tf.reshape(kernel, [-1, channels, features * int(np.prod(sizes))]))  # fmt: skip
            spread = tf.reshape(spread, [-1, int(np.prod(lengths)), features, int(np.prod(sizes))])
            summed = _overlapped(
                call, tf.transpose(spread, [0, 2, 3, 1]), lengths, sizes, strides, dilations, before, out
            )
            return tf.transpose(summed, to_last(summed.shape.rank))
        kernel = _dilated(kernel, dilations)
        if len(sizes) == 1:
            return _upsampled(x, kernel, strides[0], before[0], out[0])
        if kernel.shape[2] == strides[0] == 1 and before[0] == 0 and out[0] == 1 == x.shape[1]:
            return _upsampled(x[:, 0], kernel[:, :, 0], strides[1], before[1], out[1])[:, None]
        return _upsampled_picture(x, kernel, strides, before, out)

    return _grouped(call, call.last(), kernel, call.known(2), one)


def _dilated(kernel, dilations):
    """A kernel with zeros between its taps."""
    for axis, dilation in enumerate(dilations):
        if dilation > 1:
            shape = list(kernel.shape)
            shape[2 + axis] = (shape[2 + axis] - 1) * dilation + 1
            wide = np.zeros(shape, kernel.dtype)
            wide[(slice(None),) * (2 + axis) + (slice(None, None, dilation),)] = kernel
            kernel = wide
    return kernel


def _upsampled(x, kernel, stride, before, length):
    """Transposed convolution of x [n, length, in] by [in, out, taps], of whose output `before` samples are cut off in
    front and `length` kept, in sub-pixel form.
    """
    with tf.init_scope():
        phases, padding = transposed_kernel(tf.constant(kernel.transpose(2, 1, 0)), stride, before)
        phases = phases.numpy()
    rows = max(int(x.shape[1]), -(-length // stride))  # behind the last input there are zeros
    x = tf.pad(x, [(0, 0), (padding[0], padding[1] + rows - int(x.shape[1])), (0, 0)])
    y = tf.nn.conv1d(x, phases, 1, "VALID")  # [n, rows, stride * out]
    y = tf.reshape(y, [-1, rows * stride, kernel.shape[1]])
    return y if rows * stride == length else y[:, :length]


def _upsampled_picture(x, kernel, strides, before, out):
    """Transposed convolution of x [n, height, width, in] by [in, out, …]."""
    whole = [(int(n) - 1) * s + k for n, s, k in zip(x.shape[1:3], strides, kernel.shape[2:])]
    shape = tf.stack([tf.shape(x)[0], *whole, kernel.shape[1]])
    y = tf.nn.conv2d_transpose(x, kernel.transpose(2, 3, 1, 0), shape, strides, "VALID")
    y = tf.ensure_shape(y, [None, *whole, kernel.shape[1]])
    y = tf.pad(y, [(0, 0), *((0, max(a + n - w, 0)) for a, n, w in zip(before, out, whole)), (0, 0)])
    return y[:, before[0] : before[0] + out[0], before[1] : before[1] + out[1]]


def _overlapped(call, x, lengths, sizes, strides, dilations, before, out):
    """Sum of blocks that overlap: x [n, channels, taps, blocks] → [n, channels, *out]. What an output takes is
    gathered, so that the sum is one over an axis.
    """
    counts = [-(-k // s) if d == 1 else k for k, s, d in zip(sizes, strides, dilations)]
    if np.prod([*out, *counts], dtype=object) > MOST_MATRIX or max(strides) > MOST_DILATED:
        call.refuse("a sum of this size")
    taps, blocks, reached = np.int64(0), np.int64(0), np.bool_(True)
    for axis, (n, k, s, d, a, size) in enumerate(zip(lengths, sizes, strides, dilations, before, out)):
        tap, block, found = _contributions(n, k, s, d, a, size)  # each [size, counts]
        shape = [1] * 2 * len(out)
        shape[axis], shape[axis + len(out)] = tap.shape
        tap, block, found = (array.reshape(shape) for array in (tap, block, found))
        taps, blocks, reached = taps * k + tap, blocks * n + block, reached & found
    total = int(np.prod(sizes)) * int(np.prod(lengths))
    places = np.where(reached, taps * int(np.prod(lengths)) + blocks, total)  # the last one is a zero
    x = tf.pad(tf.reshape(x, [-1, x.shape[1], total]), [(0, 0), (0, 0), (0, 1)])
    parts = tf.gather(x, places.reshape(int(np.prod(out)), -1), axis=2)  # [n, channels, out positions, counts]
    return tf.reshape(tf.reduce_sum(parts, axis=3), [-1, x.shape[1], *out])


def _contributions(blocks, taps, stride, dilation, before, size):
    """Along one axis: of which tap of which block an output is the sum, and whether there is one: [size, most]."""
    position = np.arange(size)[:, None] + before
    tap = np.arange(taps)[None]
    if dilation == 1:  # every stride-th tap, from the one that meets this position
        tap = position % stride + stride * np.arange(-(-taps // stride))
        block = (position - tap) // stride
        return tap, np.clip(block, 0, blocks - 1), (tap < taps) & (block >= 0) & (block < blocks)
    block, rest = np.divmod(position - tap * dilation, stride)
    found = (rest == 0) & (block >= 0) & (block < blocks)
    order = np.argsort(~found, axis=1, kind="stable")[:, : max(int(found.sum(axis=1).max()), 1)]
    tap, block, found = (np.take_along_axis(np.broadcast_to(a, found.shape), order, 1) for a in (tap, block, found))
    return tap, np.where(found, block, 0), found


def _col2im(call, x, *_):
    out, block = ([int(n) for n in call.known(i)] for i in (1, 2))
    count = len(block)
    strides, dilations = (list(call.get(name, [1] * count)) for name in ("strides", "dilations"))
    pads = list(call.get("pads", [0] * 2 * count))
    if min(out + block + strides + dilations) < 1 or min(pads) < 0 or np.prod(out, dtype=object) > MOST_MATRIX:
        call.refuse("this size, stride, dilation or padding")
    whole = [size + pads[i] + pads[count + i] for i, size in enumerate(out)]
    lengths = [(w - (k - 1) * d - 1) // s + 1 for w, k, d, s in zip(whole, block, dilations, strides)]
    clips, channels = shape_of(x)[0], shape_of(x)[1] // int(np.prod(block))
    x = tf.reshape(x, [-1, channels, int(np.prod(block)), shape_of(x)[2]])
    return tf.reshape(
        _overlapped(call, x, lengths, block, strides, dilations, pads[:count], out), [-1, clips, channels, *out]
    )


def _dft(call, x, *_):
    rank = len(shape_of(x))
    axis = int(call.known(2, np.array(call.get("axis", -2 if call.opset >= 20 else 1))).reshape(())) % rank
    inverse, onesided = bool(call.get("inverse", 0)), bool(call.get("onesided", 0))
    given, parts = shape_of(x)[axis], shape_of(x)[-1]
    known = call.known(1)
    length = int(known.reshape(())) if known is not None else 2 * (given - 1) if inverse and onesided else given
    if axis == rank - 1 or parts not in (1, 2) or not 0 < length or 4 * given * max(given, length) > MOST_MATRIX:
        call.refuse("a transform of this size")
    basis = np.concatenate([np.eye(given), 1j * np.eye(given)][:parts])  # [parts, given] flattened, given
    if inverse and onesided:
        result = np.fft.irfft(basis, length)[..., None]
    else:
        result = np.fft.ifft(basis, length) if inverse else np.fft.fft(basis, length)
        result = result[:, : length // 2 + 1] if onesided else result
        result = np.stack([result.real, result.imag], axis=-1)  # [parts given, frequencies, 2]
    order = [0, *(i + 1 for i in range(rank) if i not in (axis, rank - 1)), rank, axis + 1]
    rows = tf.reshape(tf.transpose(x, order), [-1, parts * given])  # [n …, parts given]
    rows = rows @ result.reshape(parts * given, -1).astype(x.dtype.as_numpy_dtype)
    others = [shape_of(x)[i] for i in range(rank) if i not in (axis, rank - 1)]
    rows = tf.reshape(rows, [-1, *others, *result.shape[1:]])
    back = list(range(1, rank - 1))
    back.insert(axis, rank - 1)
    return tf.transpose(rows, [0, *back, rank])


def _resize(call, x, *_):
    scales, sizes = call.known(2), call.known(3)
    rank = len(shape_of(x))
    axes = [axis % rank for axis in call.get("axes", range(rank))]
    mode, where = call.get("mode", "nearest"), call.get("coordinate_transformation_mode", "half_pixel")
    if mode not in ("nearest", "linear") or call.get("antialias", 0):
        call.refuse(f"the mode {mode}" if mode not in ("nearest", "linear") else "antialiasing")
    if call.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        call.refuse("keeping the aspect ratio")
    last = call.last() if rank > 2 else x
    for i, axis in enumerate(axes):
        length = shape_of(x)[axis]
        if sizes is not None and sizes.size:
            wanted = int(sizes[i])
            scale = wanted / length
        else:
            scale = float(scales[i])
            wanted = int(np.floor(length * scale))
        if wanted == length:
            continue
        if axis < 2 or not 0 < wanted <= MOST_RESIZED:
            call.refuse(f"from {length} to {wanted} along axis {axis}")
        last = _resized(call, last, axis - 1, length, wanted, scale, mode, where)
    return call.from_last(last) if rank > 2 else last


def _resized(call, x, axis, length, wanted, scale, mode, where):
    i = np.arange(wanted, dtype=np.float64)
    position = {
        "half_pixel": lambda: (i + 0.5) / scale - 0.5,
        "pytorch_half_pixel": lambda: (i + 0.5) / scale - 0.5 if wanted > 1 else 0 * i,
        "tf_half_pixel_for_nn": lambda: (i + 0.5) / scale,
        "asymmetric": lambda: i / scale,
        "align_corners": lambda: i * (length - 1) / (wanted - 1) if wanted > 1 else 0 * i,
    }.get(where, lambda: call.refuse(f"the coordinates {where}"))()
    if mode == "nearest":
        rounding = {
            "round_prefer_floor": lambda p: np.ceil(p - 0.5),
            "round_prefer_ceil": lambda p: np.floor(p + 0.5),
            "floor": np.floor,
            "ceil": np.ceil,
        }[call.get("nearest_mode", "round_prefer_floor")]
        return tf.gather(x, np.clip(rounding(position), 0, length - 1).astype(np.int32), axis=axis)
    position = np.clip(position, 0, length - 1)
    low = np.floor(position).astype(np.int32)
    share = (position - low).astype(np.float32).reshape([-1] + [1] * (x.shape.rank - 1 - axis))
    high = np.minimum(low + 1, length - 1)
    return tf.gather(x, low, axis=axis) * (1 - share) + tf.gather(x, high, axis=axis) * share


def _pad(call, x, *_):
    rank = len(shape_of(x))
    pads = [int(n) for n in call.known(1)]
    axes = [int(axis) % rank for axis in call.known(3, np.arange(rank))]
    value = float(call.known(2, np.zeros(1)).reshape(()))
    before, after, mode = [0] * rank, [0] * rank, call.get("mode", "constant")
    for axis, first, last in zip(axes, pads[: len(axes)], pads[len(axes) :]):
        before[axis], after[axis] = first, last
    parts = [slice(max(-a, 0), n - max(-b, 0)) for a, b, n in zip(before, after, shape_of(x))]
    x = x[(slice(None), *(part if min(a, b) < 0 else slice(None) for part, a, b in zip(parts, before, after)))]
    before, after = [max(n, 0) for n in before], [max(n, 0) for n in after]
    if mode == "constant":
        return tf.pad(x, [(0, 0), *zip(before, after)], constant_values=value) if any(before + after) else x
    for axis in range(rank):
        if before[axis] or after[axis]:
            if before[axis] + after[axis] > MOST_RESIZED:
                call.refuse(f"padding by {before[axis] + after[axis]}")
            indices = np.pad(np.arange(x.shape[axis + 1]), (before[axis], after[axis]), mode)
            x = tf.gather(x, indices, axis=axis + 1)
    return x


def _batch_normalised(call, x, *_):
    if call.get("training_mode", 0):
        call.refuse("normalisation by the batch's own statistics")
    scale, shift, mean, variance = (call.known(i).astype(np.float64) for i in range(1, 5))
    factor = scale / np.sqrt(variance + call.get("epsilon", 1e-5))
    dtype = x.dtype.as_numpy_dtype
    return call.from_last(call.last() * factor.astype(dtype) + (shift - mean * factor).astype(dtype))


def _instance_normalised(call, x, *_):
    x = call.last()  # [n, …, channels]
    axes = list(range(1, x.shape.rank - 1))
    x = x - tf.reduce_mean(x, axes, keepdims=True)
    factor = tf.math.rsqrt(tf.reduce_mean(tf.square(x), axes, keepdims=True) + call.get("epsilon", 1e-5))
    return call.from_last(x * factor * call.known(1) + call.known(2))


def _lstm(call, gates, recurrent, bias, h, c):
    gates, size = gates + tf.matmul(h, recurrent) + bias, h.shape[-1]
    i, o, f = tf.split(tf.sigmoid(gates[:, : 3 * size]), 3, axis=-1)
    c = f * c + i * tf.tanh(gates[:, 3 * size :])
    return o * tf.tanh(c), c


def _gru(call, gates, recurrent, bias, h, c):
    size = h.shape[-1]
    z, r = tf.split(
        tf.sigmoid(gates[..., : 2 * size] + tf.matmul(h, recurrent[:, : 2 * size]) + bias[: 2 * size]), 2, -1
    )
    if call.get("linear_before_reset", 0):
        new = r * (tf.matmul(h, recurrent[:, 2 * size :]) + bias[2 * size :])
    else:
        new = tf.matmul(r * h, recurrent[:, 2 * size :]) + bias[2 * size :]
    new = tf.tanh(gates[..., 2 * size :] + new)
    return new + z * (h - new), c


def _rnn(call, gates, recurrent, bias, h, c):
    return tf.tanh(gates + tf.matmul(h, recurrent) + bias), c


def _recurrent(step, activations):
    def operation(call, x, *_):
        kernels, recurrents = call.known(1), call.known(2)  # [directions, gates size, …]
        directions, size, layout = len(kernels), recurrents.shape[2], call.get("layout", 0)
        x = tf.transpose(x, [0, 2, 1, 3]) if layout else x  # [n, steps, clips of ONNX, in]
        steps, clips = shape_of(x)[:2]
        given = [a.decode() for a in call.get("activations", [])] or activations * directions
        lengths = call.known(4)
        if (
            given != activations * directions
            or call.get("clip")
            or call.get("input_forget", 0)
            or call.known(7) is not None
        ):
            call.refuse("this activation, clip or peephole")
        if steps > MOST_STEPS or (lengths is not None and (lengths != steps).any()):
            call.refuse(f"{steps} steps" if steps > MOST_STEPS else "a sequence shorter than the others")
        call.building.grow(16 * steps * directions)
        biases = call.known(3, np.zeros((directions, 2 * kernels.shape[1]), np.float32))
        sides, last_h, last_c = [], [], []
        for side in range(directions):
            h, c = (_initial(call, i, side, layout, [clips, size], directions) for i in (5, 6))
            own, other = np.split(biases[side], 2)
            gates = tf.reshape(
                tf.reshape(x, [-1, shape_of(x)[2]]) @ kernels[side].T + own, [-1, steps, clips, len(own)]
            )
            outputs, backwards = [None] * steps, side == 1 or call.get("direction", "forward") == "reverse"
            for t in range(steps)[:: -1 if backwards else 1]:
                h, c = step(call, tf.reshape(gates[:, t], [-1, len(own)]), recurrents[side].T, other, h, c)
                outputs[t] = tf.reshape(h, [-1, clips, size])
            sides.append(tf.stack(outputs, axis=1))
            last_h, last_c = (
                [*kept, tf.reshape(value, [-1, clips, size])] for kept, value in ((last_h, h), (last_c, c))
            )
        y = tf.stack(sides, axis=3 if layout else 2)  # [n, steps, directions, clips, size]
        y = tf.transpose(y, [0, 2, 1, 3, 4]) if layout else y
        return [y, *(tf.stack(last, axis=2 if layout else 1) for last in (last_h, last_c))]

    return operation


def _initial(call, i, side, layout, shape, directions):
    """The first state [n, size] of one direction of a recurrent layer."""
    if not call.has(i):
        call.inputs += [None] * (i + 1 - len(call.inputs))
        call.inputs[i] = np.zeros([shape[0], directions, shape[1]] if layout else [directions, *shape], np.float32)
    x = call.tensor(i)
    return tf.reshape(x[:, :, side] if layout else x[:, side], [-1, shape[1]])


LAYERS = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Col2Im": _col2im,
    "DFT": _dft,
    "BatchNormalization": _batch_normalised,
    "InstanceNormalization": _instance_normalised,
    "Resize": _resize,
    "Pad": _pad,
    "LSTM": _recurrent(_lstm, ["Sigmoid", "Tanh", "Tanh"]),
    "GRU": _recurrent(_gru, ["Sigmoid", "Tanh"]),
    "RNN": _recurrent(_rnn, ["Tanh"]),
}
