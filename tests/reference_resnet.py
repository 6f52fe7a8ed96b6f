"""The authors' ResNet evaluated plainly, tf.nn and NumPy on a dictionary of arrays: what models/networks/resnet.py
must agree with.
"""

import numpy as np
import tensorflow as tf

BASIC = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
BOTTLENECK = {50: (3, 4, 6, 3)}


def random_arrays(depth=18, filters=64, outputs=10, seed=0):
    """Arrays by the authors' names, scaled so that activations keep their order of magnitude."""
    rng = np.random.default_rng(seed)
    arrays = {}

    def conv(name, size, inputs, filters):
        arrays[f"{name}/kernel"] = rng.normal(0, (2 / (size * size * inputs)) ** 0.5, (size, size, inputs, filters))
        arrays[f"{name}/bias"] = rng.normal(0, 0.1, filters)
        return filters

    def norm(name, filters, variance=1.0):
        arrays[f"{name}/gamma"] = rng.uniform(0.5, 1, filters)
        arrays[f"{name}/beta"] = rng.normal(0, 0.1, filters)
        arrays[f"{name}/moving_mean"] = rng.normal(0, 0.1, filters)
        arrays[f"{name}/moving_variance"] = variance * rng.uniform(0.5, 2, filters)

    x = conv("conv1", 7, 3, filters)
    norm("bn1", x, 10.0)
    for stage in range(4):
        width = filters * 2**stage
        for block in range((BASIC | BOTTLENECK)[depth][stage]):
            path = f"layer{stage + 1}/layer_with_weights-{block}"
            shapes = [(3, width), (3, width)] if depth in BASIC else [(1, width), (3, width), (1, 4 * width)]
            inputs = x
            for i, (size, out) in enumerate(shapes, 1):
                x = conv(f"{path}/conv{i}", size, x, out)
                norm(f"{path}/bn{i}", x)
            if depth in BOTTLENECK or (stage > 0 and block == 0):
                conv(f"{path}/downsample/layer_with_weights-0", 1, inputs, x)
                norm(f"{path}/downsample/layer_with_weights-1", x)
    arrays["fc/kernel"], arrays["fc/bias"] = rng.normal(0, x**-0.5, (x, outputs)), rng.normal(0, 0.1, outputs)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def write_checkpoint(arrays, prefix):
    """A TensorFlow 2 object checkpoint with the authors' names, with a save counter beside them."""
    root = tf.Module()
    root.save_counter = tf.Variable(1, dtype=tf.int64)
    nodes = {"": root}
    for name, array in arrays.items():
        *path, field = name.split("/")
        for i in range(len(path)):
            here = "/".join(path[: i + 1])
            if here not in nodes:
                nodes[here] = tf.Module()
                setattr(nodes["/".join(path[:i])], path[i], nodes[here])
        setattr(nodes["/".join(path)], field, tf.Variable(array))
    tf.train.Checkpoint(root=root).write(str(prefix))


def real_features(waveform):
    """waveform [n, 16384] → the real part of the STFT three times, [n, 128, 129, 3]."""
    padded = np.pad(waveform, [[0, 0], [0, 128]])
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    frames = np.stack([padded[:, 128 * i : 128 * i + 256] * window for i in range(128)], axis=1)
    return np.repeat(np.fft.rfft(frames).real[..., None], 3, axis=-1).astype(np.float32)


def evaluate(arrays, waveform, depth=18, relu=tf.nn.relu):
    """→ logits and a dictionary of activations: conv1, bn1, pool1 and one for each residual block, in order.

    relu: after the first batch normalisation; the authors' taps have none there.
    """

    def conv(name, x, stride=1, padding="SAME"):
        return tf.nn.conv2d(x, arrays[f"{name}/kernel"], stride, padding) + arrays[f"{name}/bias"]

    def norm(name, x):
        gamma, beta, mean, variance = (
            arrays[f"{name}/{field}"] for field in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta

    taps = {"features": real_features(waveform)}
    taps["conv1"] = conv("conv1", taps["features"], 2)
    taps["bn1"] = norm("bn1", taps["conv1"])
    x = taps["pool1"] = tf.nn.max_pool2d(relu(taps["bn1"]), 3, 2, "SAME")
    for stage, blocks in enumerate((BASIC | BOTTLENECK)[depth]):
        for block in range(blocks):
            path = f"layer{stage + 1}/layer_with_weights-{block}"
            stride = 2 if stage > 0 and block == 0 else 1
            strides = (stride, 1) if depth in BASIC else (1, stride, 1)
            shortcut = x
            if f"{path}/downsample/layer_with_weights-0/kernel" in arrays:
                shortcut = conv(f"{path}/downsample/layer_with_weights-0", x, stride, "VALID")
                shortcut = norm(f"{path}/downsample/layer_with_weights-1", shortcut)
            for i, own in enumerate(strides, 1):
                x = norm(f"{path}/bn{i}", conv(f"{path}/conv{i}", x, own))
                x = tf.nn.relu(x) if i < len(strides) else x
            x = taps[f"layer{stage + 1}_block{block}"] = tf.nn.relu(x + shortcut)
    return tf.reduce_mean(x, axis=(1, 2)) @ arrays["fc/kernel"] + arrays["fc/bias"], taps
