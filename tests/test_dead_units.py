"""Generators that end with a ReLU before their tanh, so that most of a sound is exactly 0."""

import keras
import numpy as np
import pytest

from models.generator.generator import generate, random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, latent_mse
from models.recovery.exact import LevenbergMarquardt
from models.recovery.recover import recover

LATENT_DIM = 12


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    """A small .keras generator whose last bias leaves only the tops of its waves."""
    layers, folder = keras.layers, tmp_path_factory.mktemp("checkpoint")
    keras.utils.set_random_seed(0)
    up = {"kernel_size": 25, "strides": 4, "padding": "same", "kernel_initializer": "he_normal"}
    bias = keras.initializers.Constant(-0.35)
    network = keras.Sequential(
        [
            keras.Input((LATENT_DIM,)),
            layers.Dense(256, activation="relu", kernel_initializer="he_normal"),
            layers.Reshape((16, 16)),
            layers.Conv1DTranspose(16, activation="relu", **up),
            layers.Conv1DTranspose(8, activation="relu", **up),
            layers.Conv1DTranspose(1, bias_initializer=bias, **up),
            layers.ReLU(),
            layers.Activation("tanh"),
        ]
    )
    network.save(folder / "generator.keras")
    return load_generator(folder)


def test_clips_of_which_most_is_zero_are_exact_though_a_start_at_zero_is_silent(generator):
    true = random_latent(generator, 4, 1)
    waves = generate(generator, true)
    assert not generate(generator, np.zeros((1, LATENT_DIM))).any()  # there no derivative says where to go
    assert ((waves == 0).mean(axis=(1, 2)) > 0.8).all() and waves.any(axis=(1, 2)).all()
    rounded = (np.round(waves * 32767) / 32767).astype(np.float32)
    recovery = recover(rounded, generator, solver=LevenbergMarquardt(give_up=True))
    assert (latent_mse(true, recovery.z) < EXACT).all() and (recovery.snr_db > 65).all()
