#!/bin/sh
# TensorFlow's forward mode takes what was resized bilinearly for independent of what it was made from.
#
# tensorflow 2.21.0, keras 3.15.1, numpy 2.4.6, Python 3.11 to 3.13. Generators that upsample linearly before a
# convolution are common, and a Jacobian of 100 columns and 16,384 rows is forward mode's work.
#
# Expected: tf.autodiff.ForwardAccumulator gives the product of the Jacobian and a direction that reverse mode gives, or
#           says that an operation has no forward derivative, as it does for nearest-neighbour and bicubic resizing.
# Seen:     of tf.image.resize(…, "bilinear"), and of the Keras layer UpSampling2D, it gives None, which is its word for
#           "does not depend on it" and becomes zeros with unconnected_gradients="zero". Reverse mode is right.
# What helps: to compare J d, times any other vector, with what reverse mode gives of that, or to write the resizing as
#           a convolution.
#
# Exits with 0 while this is so, and with 1 once it has changed.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet tensorflow==2.21.0 keras==3.15.1 numpy==2.4.6
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES= "$place/env/bin/python" - <<'END'
import keras
import numpy as np
import tensorflow as tf

assert (tf.__version__, keras.__version__) == ("2.21.0", "3.15.1")
rng = np.random.default_rng(0)
x, direction = (tf.constant(rng.normal(size=(1, 8, 1, 3)).astype(np.float32)) for _ in range(2))
layer = keras.layers.UpSampling2D((2, 1), interpolation="bilinear")


def forward(function):
    """J d by forward mode, or what it raises."""
    try:
        with tf.autodiff.ForwardAccumulator(x, direction) as accumulator:
            y = function(x)
        return accumulator.jvp(y)
    except LookupError as error:
        return str(error)


def reverse(function, v):
    """v J d by reverse mode."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(function(x) * v)
    return float(tf.reduce_sum(tape.gradient(total, x) * direction))


ways = {
    "tf.image.resize, bilinear": lambda x: tf.image.resize(x, (16, 1), "bilinear"),
    "UpSampling2D, bilinear": layer,
    "tf.image.resize, nearest": lambda x: tf.image.resize(x, (16, 1), "nearest"),
    "tf.nn.leaky_relu": tf.nn.leaky_relu,
}
found = {name: forward(function) for name, function in ways.items()}
for name, function in ways.items():
    got, v = found[name], tf.constant(rng.normal(size=function(x).shape).astype(np.float32))
    shown = f"{float(tf.reduce_sum(got * v)):.4f}" if tf.is_tensor(got) else got
    print(f"{name}: v J d is {shown} by forward mode, {reverse(function, v):.4f} by reverse mode")
silent = found["tf.image.resize, bilinear"] is None and found["UpSampling2D, bilinear"] is None
stated, right = isinstance(found["tf.image.resize, nearest"], str), tf.is_tensor(found["tf.nn.leaky_relu"])
raise SystemExit(0 if silent and stated and right else 1)
END
