"""Full float32 on any device, but where a network is trained.

TensorFlow multiplies in TF32 on a graphics card unless it is told not to: with 10 bits of mantissa
where float32 has 23, too few for the 100 dB at which exact recovery ends. Whatever computes with audio imports this.
"""

import contextlib

import tensorflow as tf

tf.config.experimental.enable_tensor_float_32_execution(False)


@contextlib.contextmanager
def fast_products():
    """A context in which products may be as coarse as the device likes: for training, which gains by it several times
    over and loses nothing. Nothing that is measured or recovered belongs in it."""
    tf.config.experimental.enable_tensor_float_32_execution(True)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(False)
