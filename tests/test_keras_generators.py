"""Generators for one latent vector at a time, and Keras models, layer by layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tf1_graphs import KERNEL, LATENT, dense, picture, sound, write_pb

from models.files.errors import CheckpointError
from models.generator.generator import Generator, random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, condition_number, latent_mse
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.recover import recover

v1, layers = tf.compat.v1, keras.layers


def one_at_a_time(z):
    """As an exported graph is that knows nothing of batches."""
    x = tf.reshape(dense(z), [1, 1, 64, 8])
    x = tf.nn.conv2d_transpose(x, np.swapaxes(KERNEL, 2, 3), [1, 1, 256, 8], [1, 1, 4, 1], "SAME")
    return sound(x)


def test_a_graph_for_one_latent_vector_takes_several(tmp_path):
    one = load_generator(write_pb(tmp_path / "one", one_at_a_time, batch=1))

    def batched(z):
        return sound(
            tf.nn.conv2d_transpose(
                picture(z), np.swapaxes(KERNEL, 2, 3), [tf.shape(z)[0], 1, 256, 8], [1, 1, 4, 1], "SAME"
            )
        )

    several = Generator(batched, LATENT, "", "")
    z = random_latent(one, 5, 4)
    rounding = 8 * np.sqrt(72) * np.finfo(np.float32).eps
    assert np.abs(one(z) - several(z)).max() < rounding
    assert np.abs(one.jacobian(z, np.zeros(5))[1] - several.jacobian(z, np.zeros(5))[1]).max() < 8 * rounding
    with pytest.raises(CheckpointError, match="one latent vector at a time"):
        load_generator(
            write_pb(
                tmp_path / "mixed",
                lambda z: tf.reshape(tf.reshape(dense(z), [64, 8]) @ KERNEL[0, 0], [1, 512]),
                batch=1,
            )
        )


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
def test_a_keras_model_with_resizing_and_normalisation(tmp_path, interpolation):
    inputs = keras.Input((LATENT,))
    x = layers.LeakyReLU(0.2)(
        layers.BatchNormalization()(
            layers.Reshape((1, 32, 8))(layers.Dense(256, kernel_initializer="he_normal")(inputs))
        )
    )
    x = layers.UpSampling2D((1, 4), interpolation=interpolation)(x)
    x = layers.Conv2D(1, (1, 9), padding="same", activation="tanh")(x)
    model = keras.Model(inputs, layers.Reshape((128, 1))(x))
    model.save(tmp_path / "gan.keras")
    generator = load_generator(tmp_path)
    assert generator.smooths and generator.num_samples == 128
    true = random_latent(generator, 3, 2)
    conditions = condition_number(generator, true)
    recovery = recover(generator(true), generator, solver=LevenbergMarquardt(60, 3, 0.0))
    assert (latent_mse(true, recovery.z)[conditions < 100] < EXACT).all()
    for name in ("latent", "output"):
        with pytest.raises(CheckpointError) as error:
            load_generator(tmp_path, {name: "elsewhere"})
        assert "\n" not in str(error.value)


LAYERS = {
    "Conv1DTranspose": lambda: [layers.Conv1DTranspose(4, 9, 2, "same")],
    "Conv1D, dilated": lambda: [layers.Conv1D(4, 5, padding="same", dilation_rate=2)],
    "SeparableConv1D": lambda: [layers.SeparableConv1D(4, 5, padding="same")],
    "Conv2DTranspose": lambda: [layers.Reshape((8, 8, 4)), layers.Conv2DTranspose(4, 3, 2, "same")],
    "UpSampling1D": lambda: [layers.UpSampling1D(2)],
    "Cropping1D, ZeroPadding1D": lambda: [layers.Cropping1D(2), layers.ZeroPadding1D(3)],
    "AveragePooling1D": lambda: [layers.AveragePooling1D(2)],
    "LayerNormalization": lambda: [layers.LayerNormalization()],
    "Permute": lambda: [layers.Permute((2, 1))],
    "PReLU": lambda: [layers.PReLU(alpha_initializer=keras.initializers.Constant(0.3))],
    "ReLU6": lambda: [layers.ReLU(6.0)],
    "ELU, SELU": lambda: [layers.ELU(), layers.Activation("selu")],
    "softplus, sigmoid": lambda: [layers.Activation("softplus"), layers.Activation("sigmoid")],
    "Dropout": lambda: [layers.Dropout(0.5)],
    "a model": lambda: [keras.Sequential([keras.Input((64, 4)), layers.Conv1D(4, 3, activation="relu")])],
}


@pytest.mark.parametrize("made", LAYERS.values(), ids=LAYERS)
def test_layers_of_keras_have_a_derivative_that_averages(tmp_path, made):
    keras.utils.set_random_seed(1)
    stack = [layers.Dense(256), layers.Reshape((64, 4)), *made(), layers.Flatten(), layers.Dense(64, "tanh")]
    keras.Sequential([keras.Input((LATENT,)), *stack]).save(tmp_path / "gan.keras")
    assert load_generator(tmp_path).smooths  # loading compares the derivative with reverse mode


def test_mixed_precision_is_computed_in_float32(tmp_path):
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        stack = [layers.Dense(256, "relu"), layers.Dense(64, "tanh", dtype="float32")]
        model = keras.Sequential([keras.Input((LATENT,)), *stack])
        model.save(tmp_path / "gan.keras")
        z = random_latent(generator := load_generator(tmp_path), 3, 0)
        heard = np.asarray(model(z), np.float32)
    finally:
        keras.config.set_dtype_policy("float32")
    assert generator.smooths and generator(z).dtype == tf.float32
    assert np.abs(generator(z).numpy()[..., 0] - heard).max() < 16 * np.finfo(np.float16).eps


def test_a_condition_number_is_a_number_or_an_error(tmp_path):
    generator = load_generator(write_pb(tmp_path, dense))
    assert np.isfinite(condition_number(generator, random_latent(generator, 2, 0))).all()
    with pytest.raises(ValueError, match="condition"):
        condition_number(generator, np.full((1, LATENT), np.nan, np.float32))
    with pytest.raises(ValueError, match="condition"):
        condition_number(generator, np.full((1, LATENT), 1e30, np.float32))  # every tanh saturated


@pytest.mark.parametrize("shape", [(None, LATENT, 1), (16, LATENT)])
def test_latent_vectors_of_three_axes_and_a_fixed_number_of_clips(tmp_path, shape):
    keras.utils.set_random_seed(1)
    stack = [layers.Flatten(), layers.Dense(64), layers.Reshape((16, 4)), layers.Conv1DTranspose(1, 9, 4, "same")]
    model = keras.Sequential([keras.Input(batch_shape=shape), *stack])
    model.save(tmp_path / "gan.keras")
    generator = load_generator(tmp_path)
    z = random_latent(generator, 16, 0)
    assert np.allclose(generator(z), model(z.reshape(-1, *shape[1:])), atol=1e-5)


@pytest.mark.slow
def test_clips_of_linear_upsampling_are_exact_though_plain_descents_end_in_local_minima(tmp_path):
    """Three linear upsamplings by 8 and no biases: what is loud leads astray, and level and position say nothing."""
    keras.utils.set_random_seed(0)
    how = {"padding": "same", "kernel_initializer": "he_normal"}
    made = [layers.Dense(32 * 64, kernel_initializer="he_normal"), layers.Reshape((32, 1, 64))]
    for count in (32, 16, 8):
        made += [layers.LeakyReLU(0.2), layers.UpSampling2D((8, 1), interpolation="bilinear")]
        made += [layers.Conv2D(count, (25, 1), **how)]
    made += [layers.LeakyReLU(0.2), layers.Conv2D(1, (25, 1), activation="tanh", **how), layers.Reshape((16384, 1))]
    keras.Sequential([keras.Input((64,)), *made]).save(tmp_path / "generator.keras")
    generator = load_generator(tmp_path)
    true = random_latent(generator, 3, 1)
    clips = (np.round(generator(true).numpy() * 32767) / 32767).astype(np.float32)
    recovery = recover(clips, generator, solver=LevenbergMarquardt(), only_exact=True)
    assert (latent_mse(true, recovery.z) < EXACT).all()
