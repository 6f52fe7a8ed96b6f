"""Generators as a device computes them that multiplies in TF32: the factors of each product rounded to 10 bits of
mantissa.
"""

from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from models.generator.generator import Generator
from models.generator.jacobian.graph_walk import GraphWalk, as_concrete

PRODUCTS = ("MatMul", "Conv2D")  # what is multiplied in TF32
DROPPED = 13  # of float32's 23 bits of mantissa


@tf.custom_gradient
def rounded(x):
    """x, float32, rounded to the nearest number of 10 bits of mantissa; its derivative is that of x."""
    bits = tf.bitcast(x, tf.int32) + (1 << (DROPPED - 1))
    return tf.bitcast(tf.bitwise.bitwise_and(bits, -(1 << DROPPED)), tf.float32), lambda upstream: upstream


@contextmanager
def coarse_products():
    """A context in which functions that run operation by operation are made with rounded factors."""
    apply = GraphWalk.apply

    def coarse(self, op, inputs, dtype=tf.float32):
        if op.type in PRODUCTS:
            inputs = [rounded(x) for x in inputs]
        return apply(self, op, inputs, dtype)

    GraphWalk.apply = coarse
    try:
        yield
    finally:
        GraphWalk.apply = apply


def in_tf32(generator):
    """The same generator with rounded factors in its waveforms and in its derivatives."""
    with coarse_products():
        # not checked, since what is rounded here has coarse derivatives too
        coarse = Generator(generator.function, generator.latent_dim, "", "", generator.preparation, False)
        walk = GraphWalk(as_concrete(generator.function, generator.latent_dim), fast=True)
        coarse.__dict__["_function"] = walk.compiled()  # a generator is a value to everybody else
        coarse.jacobian(np.zeros((1, generator.latent_dim)), np.zeros(1))  # made at its first use
    return coarse
