"""Generators of every build: derivatives that are right or refused, outputs that are waveforms, latent vectors that are
found.
"""

import keras
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf
import tf1_wavegan
from tf1_graphs import LATENT, dense, write_pb

from models import forward_rules
from models.audio import SAMPLE_RATE
from models.errors import CheckpointError
from models.generator import Generator, random_latent
from models.metrics import EXACT, condition_number, latent_mse
from models.recovery import recover
from models.residual import Residual
from models.wavegan import load_wavegan

v1, layers = tf.compat.v1, keras.layers
RNG = np.random.default_rng(3)
VECTORS = [RNG.uniform(0.5, 1.5, 8).astype("f") for _ in range(4)]
KERNEL = RNG.normal(0, 0.4, (1, 9, 8, 8)).astype("f")
LAST = RNG.normal(0, 0.3, (1, 9, 8, 1)).astype("f")


def picture(z):
    """z [n, LATENT] → [n, 1, 64, 8]."""
    return tf.reshape(dense(z), [-1, 1, 64, 8])


def sound(x):
    """[n, 1, length, 8] → [n, length, 1], behind two convolutions."""
    x = tf.nn.leaky_relu(tf.nn.conv2d(x, KERNEL, 1, "SAME"), 0.2)
    return tf.tanh(tf.nn.conv2d(x, LAST, 1, "SAME"))[:, 0]


def normalised(operation):
    def build(z):
        arguments = {
            "scale": VECTORS[0],
            "offset": VECTORS[1],
            "mean": VECTORS[2],
            "variance": VECTORS[3],
            "is_training": False,
        }
        return sound(getattr(tf.raw_ops, operation)(x=picture(z), **arguments).y)

    return build


def resized(method):
    return lambda z: sound(method(picture(z), (1, 256)))


def attention(z):
    """Operations that the forward mode here does not know, so TensorFlow's own takes over."""
    return dense(z) * tf.reduce_sum(tf.nn.softmax(picture(z)) * VECTORS[0], axis=[1, 2, 3])[:, None]


BUILDS = {
    "FusedBatchNorm": (normalised("FusedBatchNorm"), True),
    "FusedBatchNormV2": (normalised("FusedBatchNormV2"), True),
    "FusedBatchNormV3": (normalised("FusedBatchNormV3"), True),
    "bilinear": (resized(v1.image.resize_bilinear), True),
    "bicubic": (resized(v1.image.resize_bicubic), True),
    "nearest": (resized(v1.image.resize_nearest_neighbor), True),
    "leaky ReLU as a maximum": (lambda z: sound(tf.maximum(picture(z), 0.2 * picture(z))), True),
    "chosen by sign": (lambda z: sound(tf.where(picture(z) > 0, picture(z), 0.3 * picture(z))), True),
    "products and quotients": (lambda z: sound(picture(z) * picture(z) / (2 + tf.square(picture(z)))), True),
    "attention": (attention, False),
}


def gradient(generator, z, weights):
    with tf.GradientTape() as tape:
        z = tf.constant(z)
        tape.watch(z)
        total = tf.reduce_sum(generator(z) * weights)
    return tape.gradient(total, z).numpy()


@pytest.mark.parametrize("build, smooths", BUILDS.values(), ids=BUILDS)
def test_forward_mode_is_reverse_mode(tmp_path, build, smooths):
    generator = load_wavegan(write_pb(tmp_path, build))
    z = random_latent(generator, 3, 1)
    weights = np.random.default_rng(0).normal(size=(3, generator.num_samples, 1)).astype("f")
    waveforms, jacobian, _ = generator.jacobian(z, np.zeros(3))
    terms = np.asarray(jacobian, float) * weights.reshape(3, 1, -1)
    # Each of the terms carries the roundings of a tangent, a sum of at most 72 products in each of three layers.
    allowed = (
        8
        * np.sqrt(72 * 3)
        * np.finfo(np.float32).eps
        * (np.sqrt((terms**2).sum(axis=2)).max() + np.abs(terms.sum(axis=2)).max())
    )
    assert np.abs(terms.sum(axis=2) - gradient(generator, z, weights)).max() < allowed
    assert generator.smooths == smooths
    assert (
        np.array_equal(waveforms, np.asarray(generator(z)).reshape(3, -1))
        or np.abs(waveforms - np.asarray(generator(z))[..., 0]).max() < allowed
    )


@pytest.mark.parametrize(
    "build",
    [normalised("FusedBatchNormV3"), resized(v1.image.resize_bilinear), resized(v1.image.resize_bicubic), attention],
)
def test_each_is_recovered_exactly(tmp_path, build):
    generator = load_wavegan(write_pb(tmp_path, build))
    true = random_latent(generator, 3, 2)
    conditions = condition_number(generator, true)
    assert np.isfinite(conditions).all()
    found = recover(generator(true), generator, solver="levenberg_marquardt", max_iter=60, restarts=3)
    assert (latent_mse(true, found.z)[conditions < 100] < EXACT).all()


def test_exact_is_exact_whatever_the_spectrum(tmp_path):
    """Behind a low-pass filter most magnitudes are nearly zero, where compression bends them most."""
    tf1_wavegan.write(tmp_path, latent_dim=8, width=2, seed=5)
    taps = scipy.signal.firwin(255, 1000, fs=SAMPLE_RATE).astype(np.float32)[:, None, None]
    wavegan = load_wavegan(tmp_path).function
    generator = Generator(lambda z: tf.nn.conv1d(wavegan(z), taps, 1, "SAME"), 8, "", "")
    true = random_latent(generator, 4, 3)
    start = np.clip(true + 0.05, -1, 1)
    found = recover(generator(true), generator, solver="levenberg_marquardt", start=start, restarts=0, spectral=0.5)
    assert (found.snr_db > 100).all()


def test_a_problem_that_is_close_goes_on_with_the_waveform_alone(tmp_path):
    generator = load_wavegan(write_pb(tmp_path, BUILDS["nearest"][0]))
    true = random_latent(generator, 2, 3)
    problem = Residual(generator, generator(true), 0.5)
    z = np.stack([true[0] + 1e-3, -true[1]])
    index, none = np.arange(2), np.zeros(2)
    objectives = problem.settle(z, index)
    assert problem.weights.tolist() == [0.0, 0.5]
    alone = Residual(generator, generator(true), 0.0)
    assert objectives[0] == alone.evaluate(z, index)[0] and objectives[1] != alone.evaluate(z, index)[1]
    assert np.array_equal(objectives, problem.evaluate(z, index))
    for either in (problem, alone):
        either.linearise(z, index, none)
    gradients = problem.gradients(z, index, none)
    close = np.abs(gradients - alone.gradients(z, index, none)).max(axis=1)
    assert close[0] <= 1e-5 * np.abs(gradients[0]).max() < close[1]


def test_the_mean_over_noise_is_that_of_samples(tmp_path):
    """Mean waveform and mean Jacobian against 2,000 draws, whose own spread over halves is the yardstick; far closer
    than without averaging.
    """
    generator = load_wavegan(write_pb(tmp_path, BUILDS["nearest"][0]))
    z, deviation = np.full((1, LATENT), 0.1, np.float32), 0.3
    noise = np.random.default_rng(0).normal(0, deviation, (1000, LATENT)).astype(np.float32)
    draws = z + np.concatenate([noise, -noise])
    parts = [generator.jacobian(draws[i : i + 50], np.zeros(50))[:2] for i in range(0, 2000, 50)]
    sampled = [np.mean([np.mean(part, axis=0) for part in column], axis=0) for column in zip(*parts)]
    smooth = [a.numpy()[0] for a in generator.jacobian(z, np.full(1, deviation))[:2]]
    plain = [a.numpy()[0] for a in generator.jacobian(z, np.zeros(1))[:2]]
    for averaged, without, expected in zip(smooth, plain, sampled):
        assert np.linalg.norm(averaged - expected) < 0.5 * np.linalg.norm(without - expected)


def test_a_derivative_that_two_modes_find_differently_is_refused(tmp_path, monkeypatch):
    """TensorFlow's forward mode is zero through batch normalisation; a rule that is wrong by a hundredth is noticed as
    well.
    """
    folder = write_pb(tmp_path, normalised("FusedBatchNormV3"))
    monkeypatch.setitem(
        forward_rules.KINKED,
        "LeakyRelu",
        lambda op, at, values, tangents: (values[0], (1.01 * tf.ones_like(values[0]),)),
    )
    with pytest.raises(CheckpointError, match="forward and reverse mode find derivatives that differ"):
        load_wavegan(folder)
    monkeypatch.delitem(forward_rules.KINKED, "LeakyRelu")
    with pytest.raises(CheckpointError, match="forward and reverse mode find derivatives that differ by 100%"):
        load_wavegan(folder)
    monkeypatch.undo()
    load_wavegan(folder)


def test_no_derivative_at_all_is_refused():
    with pytest.raises(
        CheckpointError, match="does not depend on the latent vector in any way that can be differentiated"
    ):
        Generator(lambda z: tf.round(dense(z)), LATENT, "", "")


@pytest.mark.parametrize(
    "shape, expected",
    [([512], (512, 1)), ([512, 1], (512, 1)), ([1, 512], (512, 1)), ([256, 2], (256, 2)), ([2, 256], (256, 2)),
     ([1, 512, 1], (512, 1)), ([16, 32], None), ([2, 8, 32], None), ([], None)],
)  # fmt: skip
def test_outputs_are_waveforms_whatever_the_order_of_their_axes(tmp_path, shape, expected):
    build = (lambda z: tf.reshape(dense(z), [-1, *shape])) if shape else (lambda z: tf.reduce_sum(dense(z), axis=1))
    write_pb(tmp_path, build)
    if expected is None:
        with pytest.raises(CheckpointError, match="a waveform is") as error:
            load_wavegan(tmp_path)
        assert "\n" not in str(error.value)
        return
    generator = load_wavegan(tmp_path)
    assert (generator.num_samples, generator.num_channels) == expected
    z = random_latent(generator, 2, 0)
    flat = np.asarray(dense(tf.constant(z)))
    laid = (
        flat.reshape(2, *expected)
        if shape[0] >= shape[-1] or len(shape) == 3
        else flat.reshape(2, *shape).transpose(0, 2, 1)
    )
    assert np.allclose(generator(z), laid, atol=1e-6) and generator.jacobian(z, np.zeros(2))[1].shape == (
        2,
        LATENT,
        512,
    )


def test_numbers_that_are_no_float32_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="its output is int16"):
        load_wavegan(write_pb(tmp_path, lambda z: tf.cast(dense(z) * 32767, tf.int16)))


def one_at_a_time(z):
    """As an exported graph is that knows nothing of batches."""
    x = tf.reshape(dense(z), [1, 1, 64, 8])
    x = tf.nn.conv2d_transpose(x, np.swapaxes(KERNEL, 2, 3), [1, 1, 256, 8], [1, 1, 4, 1], "SAME")
    return sound(x)


def test_a_graph_for_one_latent_vector_takes_several(tmp_path):
    one = load_wavegan(write_pb(tmp_path / "one", one_at_a_time, batch=1))

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
        load_wavegan(
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
    generator = load_wavegan(tmp_path)
    assert generator.smooths and generator.num_samples == 128
    true = random_latent(generator, 3, 2)
    conditions = condition_number(generator, true)
    found = recover(generator(true), generator, solver="levenberg_marquardt", max_iter=60, restarts=3, spectral=0.0)
    assert (latent_mse(true, found.z)[conditions < 100] < EXACT).all()


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
    assert load_wavegan(tmp_path).smooths  # loading compares the derivative with reverse mode


def test_a_condition_number_is_a_number_or_an_error(tmp_path):
    generator = load_wavegan(write_pb(tmp_path, dense))
    assert np.isfinite(condition_number(generator, random_latent(generator, 2, 0))).all()
    with pytest.raises(ValueError, match="condition"):
        condition_number(generator, np.full((1, LATENT), np.nan, np.float32))
    with pytest.raises(ValueError, match="condition"):
        condition_number(generator, np.full((1, LATENT), 1e30, np.float32))  # every tanh saturated
