"""The parts of WaveGAN training, each against an independent computation, and one small model that learns."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from scipy.stats import wasserstein_distance

from models.training.wavegan import augmentation as diff_augmentation
from models.training.wavegan.discriminators import correlogram, period_network, space_to_depth
from models.training.wavegan.fused_adam import FusedAdam
from models.training.wavegan.losses import (
    RAMP_STEPS,
    UNLABELLED,
    at_step,
    digit_loss,
    feature_distance,
    logistic_loss,
    quiet_loss,
    sorted_distance,
)
from models.training.wavegan.state import packed, unpack
from models.training.wavegan.training import WaveGANTraining

EPSILON = np.finfo(np.float32).eps


@pytest.fixture(scope="module")
def model():
    """A tiny model after three steps on one batch of rising tones, the batch, and the losses of each step."""
    keras.utils.set_random_seed(0)
    model = WaveGANTraining(width=1, filters=1, lowpass=4000.0)
    model.compile(3e-3, 3e-3)
    model.build((None, model.latent_dim))
    time = np.arange(16384) / 16384
    envelope = np.where(np.abs(time - 0.5) < 0.2, 0.5, 0)
    clips = np.stack([envelope * np.sin(2 * np.pi * (200 + 100 * i) * time) for i in range(4)]).astype(np.float32)
    batch = tf.constant(clips), tf.constant([0, 1, 2, UNLABELLED])
    # Tracing a graph takes longer than these steps.
    terms = [model.train_step(batch) for _ in range(3)]
    return model, batch, terms


def test_fused_adam_is_adam_to_rounding():
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(5, 7)).astype(np.float32), rng.normal(size=(10, 5, 7)).astype(np.float32)
    results = []
    for optimizer in (FusedAdam(0.01, 0.5, 0.9), keras.optimizers.Adam(0.01, 0.5, 0.9)):
        variable = keras.Variable(start)
        optimizer.build([variable])
        for gradient in gradients:
            optimizer.apply([tf.constant(gradient)], [variable])
        results.append(variable.numpy())
    steps = len(gradients)
    assert np.abs(results[0] - results[1]).max() <= 32 * steps * EPSILON * max(1, np.abs(start).max())
    assert np.abs(results[0] - start).max() > 0.01  # and it did move


def test_augmentation_changes_a_share_of_the_clips_alike_and_keeps_the_gradient():
    waveform = tf.constant(np.random.default_rng(0).normal(size=(256, 512)).astype(np.float32))
    changes = diff_augmentation.draw(256, 512, keras.random.SeedGenerator(0))
    with tf.GradientTape() as tape:
        tape.watch(waveform)
        changed = diff_augmentation.augmented(waveform, changes)
        total = tf.reduce_sum(changed**2)
    assert np.array_equal(changed, diff_augmentation.augmented(waveform, changes))
    same = np.abs(changed - waveform).max(axis=1) < 1e-4
    # Gain, polarity, shift, band and span each leave half of the clips alone: one in 32 is left alone by all five.
    assert 0 < same.mean() < 0.15
    energy = (changed.numpy() ** 2).sum(axis=1) / (waveform.numpy() ** 2).sum(axis=1)
    assert energy.max() <= 10 ** (2 * diff_augmentation.GAIN_DB / 20) * 1.001 and energy.min() > 0.2
    gradient = tape.gradient(total, waveform).numpy()
    assert np.isfinite(gradient).all() and (np.abs(gradient).max(axis=1) > 0).all()


def test_a_neutral_augmentation_is_the_identity():
    waveform = np.random.default_rng(1).normal(size=(3, 512)).astype(np.float32)
    ones = np.ones((3, 257), np.float32)
    unchanged = diff_augmentation.augmented(waveform, (ones, 0 * ones, np.ones((3, 512), np.float32)))
    assert np.abs(unchanged - waveform).max() < 100 * EPSILON * np.abs(waveform).max()


@pytest.mark.parametrize("period", [1, 3, 7])
def test_a_period_discriminator_sees_samples_that_lie_a_period_apart_together(period):
    network = period_network(8192, period, 2, "D")
    waveform = np.random.default_rng(0).normal(size=(1, 8192)).astype(np.float32)
    changed = waveform.copy()
    changed[0, 100 * period] += 1  # in the first of the rows
    before, after = (network(x)[0].numpy().reshape(period, -1) for x in (waveform, changed))
    assert np.array_equal(before[1:], after[1:]) and not np.array_equal(before[0], after[0])


def test_the_correlogram_is_the_autocorrelation_of_each_frame():
    """Against np.correlate of the windowed frames, and on sounds whose period is known."""
    rng, frame, hop, lags = np.random.default_rng(0), 64, 16, (2, 24)
    time = np.arange(256)
    noise = rng.normal(size=256)
    waveforms = np.stack([noise, np.sin(2 * np.pi * time / 8), np.zeros(256)]).astype(np.float32)
    periodicity = np.asarray(correlogram(waveforms, frame, hop, lags))[..., 0]
    window = np.hanning(frame + 1)[:-1]

    def circular(x, lag):
        return np.dot(x, np.roll(x, -lag))

    for start in (0, 5):
        x = window * noise[hop * start : hop * start + frame]
        least = 1e-6 * frame  # LEAST_POWER is a mean, these are sums
        expected = [circular(x, k) / (circular(x, 0) + least) for k in range(*lags)]
        expected *= circular(window, 0) / np.array([circular(window, k) for k in range(*lags)])
        assert np.abs(periodicity[0, start] - expected).max() < 1e-4
    tone = periodicity[1, 3]
    assert tone[8 - lags[0]] == pytest.approx(1, abs=0.02) and tone[4 - lags[0]] == pytest.approx(-1, abs=0.02)
    assert not periodicity[2].any()


def test_blocks_become_channels_and_nothing_else_changes():
    x = np.arange(2 * 5 * 9 * 3, dtype=np.float32).reshape(2, 5, 9, 3)
    blocks = np.asarray(space_to_depth(x, 2, 4))
    assert blocks.shape == (2, 2, 2, 24)
    for row, column in np.ndindex(2, 2):
        block = x[:, 2 * row : 2 * row + 2, 4 * column : 4 * column + 4]
        assert np.array_equal(blocks[:, row, column], block.reshape(2, -1))


def test_losses_against_their_definitions():
    rng = np.random.default_rng(0)
    logits = [rng.normal(size=(4, places)).astype(np.float32) for places in (1, 9)]
    expected = np.mean([np.log1p(np.exp(-x)).mean() for x in logits])
    assert float(logistic_loss(logits, real=True)) == pytest.approx(expected, rel=1e-5)
    expected = np.mean([np.log1p(np.exp(x)).mean() for x in logits])
    assert float(logistic_loss(logits, real=False)) == pytest.approx(expected, rel=1e-5)
    uniform = np.full((10, 10), np.log(0.1), np.float32)
    digits = np.arange(10)
    assert float(digit_loss(uniform, digits)) == pytest.approx(np.log(10), rel=1e-5)
    assert float(digit_loss(uniform, np.full(10, UNLABELLED))) == 0
    assert float(quiet_loss(ops.array([0.04, 1.0]), 0.04)) == 0
    assert float(quiet_loss(ops.array([0.02]), 0.04)) == pytest.approx(np.log(2), rel=1e-5)
    x, y = rng.normal(size=(2, 5, 6)).astype(np.float32)
    assert float(sorted_distance(x, y)) == pytest.approx(wasserstein_distance(x.ravel(), y.ravel()), rel=1e-5)


def test_feature_distance_is_relative_to_the_recordings_activations():
    rng = np.random.default_rng(0)
    real, fake = ([rng.normal(size=(4, *shape)).astype(np.float32) for shape in ((5, 3), (2, 2, 6))] for _ in range(2))
    expected = np.mean([np.abs(a - b).mean() / np.abs(a).mean() for a, b in zip(real, fake)])
    assert float(feature_distance(real, fake)) == pytest.approx(expected, rel=1e-4)
    assert float(feature_distance(real, real)) == 0


def test_the_judgement_of_a_digit_is_its_own(model):
    """Each digit shifts the spectrogram discriminators' logits by an output of its own, an unknown one by none."""
    model, (clips, _), _ = model
    views = model.discriminators.views(model.filtered(clips[..., None]))
    outputs = np.asarray(model.networks[0](views[0])[0])
    for digit in (UNLABELLED, 3):
        logits = np.asarray(model.discriminators(views, tf.fill(4, digit)).logits[0])[:, 0]
        expected = outputs[:, 0] + (0 if digit == UNLABELLED else outputs[:, 11 + digit])
        assert np.abs(logits - expected).max() <= 8 * EPSILON * np.abs(outputs).max()


def test_the_compact_state_brings_the_networks_back(model):
    model, _, _ = model
    state = packed(model)
    fresh = WaveGANTraining(width=1, filters=1, lowpass=4000.0)
    unpack(fresh, state)
    assert int(fresh.step) == int(model.step) == 3
    pairs = [(model.generator, fresh.generator), (model.generator, fresh.averaged), (model.encoder, fresh.encoder)]
    for old, new in [*pairs, *zip(model.networks, fresh.networks)]:
        for a, b in zip(old.get_weights(), new.get_weights()):
            assert np.abs(a - b).max() <= 2**-11 * np.abs(a).max() + 2**-25  # the rounding of 16 bits
    wider = WaveGANTraining(width=2, filters=1, lowpass=4000.0)
    with pytest.raises(ValueError, match="not the state of these networks"):
        unpack(wider, state)


def test_weights_that_are_not_finite_are_no_state(model):
    model, _, _ = model
    weight = model.encoder.weights[0]
    before = weight.numpy()
    weight.assign(np.full(before.shape, np.nan))
    with pytest.raises(ValueError, match="encoder/0"):
        packed(model)
    weight.assign(before)


def test_the_r1_gradients_are_those_of_the_penalty(model):
    """Against a difference quotient of the penalty along the gradient itself."""
    model, (clips, _), _ = model
    views = model.discriminators.views(model.filtered(clips[..., None]))
    variables = model.discriminators.trainable_variables

    def penalty():
        squares = []
        for i, view in enumerate(views):
            with tf.GradientTape() as tape:
                tape.watch(view)
                total = tf.reduce_sum(tf.reduce_mean(model.discriminators(views, digits).logits[i], axis=1))
            squares.append(tf.reduce_mean(tf.reduce_sum(tf.reshape(tape.gradient(total, view), (4, -1)) ** 2, axis=1)))
        return 0.5 * model.r1 * model.r1_interval * float(tf.reduce_mean(squares))

    digits = tf.constant([0, 1, 2, UNLABELLED])
    gradients = model.r1_gradients(views, digits)
    slope = float(sum(tf.reduce_sum(g**2) for g in gradients))
    # Changes the penalty by a ten-thousandth to either side, a hundred times what float32 rounds away, and so little
    # that hardly a leaky ReLU meets its kink on the way, where the penalty jumps.
    reach = 1e-4 * penalty() / slope
    values = []
    for sign in (1, -1):
        for variable, gradient in zip(variables, gradients):
            variable.assign_add(sign * reach * gradient)
        values.append(penalty())
        for variable, gradient in zip(variables, gradients):
            variable.assign_sub(sign * reach * gradient)
    assert (values[0] - values[1]) / (2 * reach) == pytest.approx(slope, rel=0.05)


def test_it_learns_to_reconstruct(model):
    model, _, terms = model
    assert float(terms[-1]["reconstruction"]) < 0.8 * float(terms[0]["reconstruction"])
    assert all(np.isfinite(float(value)) for values in terms for value in values.values())
    distance = max(np.abs(a - b).max() for a, b in zip(model.averaged.get_weights(), model.generator.get_weights()))
    assert 0 < distance < 1  # the average follows, at a distance


def test_what_is_a_pair_changes_between_two_steps():
    begin, end = RAMP_STEPS
    for step, expected in ((0, 1.0), (begin, 1.0), ((begin + end) // 2, 2.0), (end, 3.0), (10 * end, 3.0)):
        assert float(at_step((1.0, 3.0), step)) == pytest.approx(expected)
    assert at_step(0.5, begin) == 0.5


def test_samples_have_to_be_as_periodic_as_recordings_at_any_pitch(model):
    model, (clips, _), _ = model
    tones = model.filtered(clips[..., None]) + 1e-3  # of rising pitch, the last half as the prior's
    noise = 0.1 * np.random.default_rng(8).normal(size=tones.shape).astype(np.float32)
    same, other_pitch, hoarse = (float(model.sound_terms(tones, x)["voicing"]) for x in (tones, tones[::-1], noise))
    assert same < 1e-6 and other_pitch < 0.25 * hoarse
