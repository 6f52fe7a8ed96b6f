"""Generators of every build: derivatives that are right or refused, outputs that are waveforms, latent vectors that are
found.
"""

import keras
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf
from tf1_graphs import LATENT, VECTORS, dense, picture, sound, write_pb

from models.audio.clip import SAMPLE_RATE
from models.files.errors import CheckpointError
from models.generator.generator import Generator, random_latent
from models.generator.jacobian import rules as forward_rules
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, condition_number, latent_mse
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.recover import recover
from models.recovery.residual import Residual

v1, layers = tf.compat.v1, keras.layers


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
    """Weights by softmax."""
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
    "attention": (attention, True),
    "beside what has no derivative": (lambda z: sound(tf.concat([picture(z), tf.round(picture(z))], 2)), True),
    "chosen by what has no derivative": (
        lambda z: sound(picture(z)) + tf.gather(dense(z), tf.argmax(dense(z), 1), batch_dims=1)[:, None, None],
        False,
    ),
}


def gradient(generator, z, weights):
    with tf.GradientTape() as tape:
        z = tf.constant(z)
        tape.watch(z)
        total = tf.reduce_sum(generator(z) * weights)
    return tape.gradient(total, z).numpy()


@pytest.mark.parametrize("build, smooths", BUILDS.values(), ids=BUILDS)
def test_forward_mode_is_reverse_mode(tmp_path, build, smooths):
    generator = load_generator(write_pb(tmp_path, build))
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
    generator = load_generator(write_pb(tmp_path, build))
    true = random_latent(generator, 3, 2)
    conditions = condition_number(generator, true)
    assert np.isfinite(conditions).all()
    found = recover(generator(true), generator, solver=LevenbergMarquardt(60, 3))
    assert (latent_mse(true, found.z)[conditions < 100] < EXACT).all()


def test_exact_is_exact_whatever_the_spectrum(generator):
    """Behind a low-pass filter most magnitudes are nearly zero, where compression bends them most."""
    taps = scipy.signal.firwin(255, 1000, fs=SAMPLE_RATE).astype(np.float32)[:, None, None]
    wavegan = generator.function
    generator = Generator(lambda z: tf.nn.conv1d(wavegan(z), taps, 1, "SAME"), 8, "", "")
    true = random_latent(generator, 4, 3)
    start = np.clip(true + 0.05, -1, 1)
    found = recover(generator(true), generator, solver=LevenbergMarquardt(restarts=0), start=start)
    assert (found.snr_db > 100).all()


def test_a_problem_that_is_close_goes_on_with_the_waveform_alone(tmp_path):
    generator = load_generator(write_pb(tmp_path, BUILDS["nearest"][0]))
    true = random_latent(generator, 2, 3)
    problem = Residual(generator, generator(true), 0.5)
    z = np.stack([true[0] + 1e-3, -true[1]])
    index, none, along = np.arange(2), np.zeros(2), np.tile(np.eye(generator.latent_dim), (2, 1, 1))
    objectives = problem.settle(z, index)
    assert problem.weights.tolist() == [0.0, 0.5]
    alone = Residual(generator, generator(true), 0.0)
    assert objectives[0] == alone.evaluate(z, index)[0] and objectives[1] != alone.evaluate(z, index)[1]
    assert np.array_equal(objectives, problem.evaluate(z, index))
    for either in (problem, alone):
        either.linearise(z, index, none, along)
    gradients = problem.gradients(z, index)
    close = np.abs(gradients - alone.gradients(z, index)).max(axis=1)
    assert close[0] <= 1e-5 * np.abs(gradients[0]).max() < close[1]


def test_the_mean_over_noise_is_that_of_samples(tmp_path):
    """Mean waveform and mean Jacobian against 2,000 draws, whose own spread over halves is the yardstick; far closer
    than without averaging.
    """
    generator = load_generator(write_pb(tmp_path, BUILDS["nearest"][0]))
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
        load_generator(folder)
    monkeypatch.delitem(forward_rules.KINKED, "LeakyRelu")
    with pytest.raises(CheckpointError, match="forward and reverse mode find derivatives that differ by 100.00%"):
        load_generator(folder)
    monkeypatch.undo()
    load_generator(folder)


def test_modes_may_differ_at_one_latent_vector_where_a_unit_is_at_its_kink(tmp_path):
    generator = load_generator(write_pb(tmp_path, BUILDS["nearest"][0]))

    def wrong(*latent_vectors):
        def differentiated(z, deviation, directions):
            output, tangents, others = generator._differentiated(z, deviation, directions)
            changed = tangents.numpy().reshape(len(z), -1)  # those of one latent vector after those of another
            changed[list(latent_vectors)] *= 1.01
            return output, changed.reshape(tangents.shape), others

        return differentiated

    generator._check_derivative(wrong(0), generator._function)
    with pytest.raises(CheckpointError, match="differ by 0.5"):  # one per cent of half of what they are compared with
        generator._check_derivative(wrong(0, 1), generator._function)


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
            load_generator(tmp_path)
        assert "\n" not in str(error.value)
        return
    generator = load_generator(tmp_path)
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
        load_generator(write_pb(tmp_path, lambda z: tf.cast(dense(z) * 32767, tf.int16)))
