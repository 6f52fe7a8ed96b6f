"""The classifier's files, its features, its taps, and the perceptual loss."""

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.audio.features import SpectrogramFeatures
from models.files.saving import save_network
from models.networks.classifier import PerceptualLoss, build_classifier, load_classifier, tapped


@pytest.fixture(scope="module")
def classifier():
    keras.utils.set_random_seed(0)
    return build_classifier(width=4, features="complex")


@pytest.fixture(scope="module")
def waveform():
    rng = np.random.default_rng(0)
    return (rng.normal(0, 0.1, (3, 16384)) * np.hanning(16384)).astype(np.float32)


def test_a_file_says_which_network_and_features_it_is(classifier, waveform, tmp_path):
    save_network(classifier, tmp_path / "classifier.keras")
    loaded = load_classifier(tmp_path)
    assert loaded.get_layer("features").kind == "complex" and {w.dtype for w in loaded.weights} == {"float32"}
    np.testing.assert_allclose(loaded(waveform), classifier(waveform), atol=2e-3)
    np.testing.assert_allclose(np.sum(loaded(waveform), axis=1), 1, atol=1e-5)
    with zipfile.ZipFile(tmp_path / "classifier.keras") as file:
        assert (
            file.getinfo("model.weights.h5").file_size < 3 * classifier.count_params() + 300_000
        )  # HDF5 names take their room


def test_keras_loads_it_in_safe_mode_without_custom_objects(classifier, waveform, tmp_path):
    save_network(classifier, tmp_path / "classifier.keras")
    loaded = keras.models.load_model(tmp_path / "classifier.keras", safe_mode=True)
    np.testing.assert_allclose(loaded(waveform), classifier(waveform), atol=2e-3)
    assert not loaded.compiled


def test_weights_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path):
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    network.layers[0].kernel.assign(np.full((2, 2), 1e6))
    with pytest.raises(ValueError, match="too large for 16 bits"):
        save_network(network, tmp_path / "network.keras")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"not a zip", None])
def test_missing_and_damaged_files_in_one_line(content, tmp_path):
    if content is not None:
        (tmp_path / "classifier.keras").write_bytes(content)
    with pytest.raises((FileNotFoundError, ValueError), match="no classifier there|not a readable classifier") as error:
        load_classifier(tmp_path)
    assert "classifier.keras" in str(error.value) and "\n" not in str(error.value)


def test_another_network_is_not_taken_for_a_classifier(tmp_path):
    network = keras.Sequential([keras.Input((16384,)), keras.layers.Dense(3)])
    save_network(network, tmp_path / "classifier.keras")
    with pytest.raises(ValueError, match="another network"):
        load_classifier(tmp_path)


def test_real_features_are_the_published_ones(waveform):
    from reference_resnet import real_features

    np.testing.assert_allclose(SpectrogramFeatures("real")(waveform), real_features(waveform), atol=1e-4)


@pytest.mark.parametrize("kind, channels", [("complex", 3), ("log", 1)])
def test_other_features_do_not_hear_the_level_and_stand_silence(kind, channels, waveform):
    features = SpectrogramFeatures(kind)
    seen = features(waveform)
    assert seen.shape == (3, 128, 129, channels) and np.abs(seen).max() <= 6.001
    np.testing.assert_allclose(features(waveform * 0.01), seen, atol=2e-3)
    silence = tf.zeros((1, 16384))
    with tf.GradientTape() as tape:
        tape.watch(silence)
        total = tf.reduce_sum(features(silence))
    assert np.isfinite(total) and np.isfinite(tape.gradient(total, silence)).all()


def test_log_features_are_decibels_below_the_loudest_bin():
    seconds = np.arange(16384) / 16384
    tones = np.where(seconds < 0.5, 1.0, 0.1) * np.sin(2 * np.pi * 1024 * seconds)  # the second half 20 dB lower
    seen = SpectrogramFeatures("log")(tones[None].astype(np.float32)).numpy()[0, :, 16, 0]
    assert seen[30] == pytest.approx(6, abs=0.01) and seen[100] == pytest.approx(4, abs=0.01)


def test_unknown_choices_name_the_known_ones(classifier):
    with pytest.raises(ValueError, match="real, complex, log"):
        build_classifier(features="mel")
    with pytest.raises(ValueError, match="18, 34, 50, 101, 152"):
        build_classifier(depth=20)
    with pytest.raises(ValueError, match="blocks, published, stage2"):
        tapped(classifier, "all")


@pytest.mark.parametrize("taps", ["blocks", "published"])
def test_perceptual_loss_is_zero_at_itself_and_its_gradient_reaches_the_waveform(taps, classifier, waveform):
    perceptual_loss = PerceptualLoss(classifier, taps)
    weights = [w.copy() for w in classifier.get_weights()]
    activations = perceptual_loss.activations(waveform)
    assert len(activations) == (8 if taps == "blocks" else 6)
    np.testing.assert_array_equal(perceptual_loss(waveform, waveform), np.zeros(3))
    other = tf.Variable(waveform[::-1].copy())
    with tf.GradientTape() as tape:
        loss = perceptual_loss(activations, other)  # [3]
    gradient = tape.gradient(loss, other)
    np.testing.assert_allclose(loss, perceptual_loss(waveform, other), rtol=1e-6)
    assert loss[0] > 0 and loss[2] > 0 and np.isfinite(gradient).all()
    size = np.abs(gradient).max(axis=1)
    assert size[0] > 0 and size[2] > 0
    step = 1e-3 / np.linalg.norm(gradient[0])
    lower = perceptual_loss(waveform[:1], other[:1] - step * gradient[:1])
    assert lower[0] < loss[0]  # downhill
    assert all(np.array_equal(a, b) for a, b in zip(weights, classifier.get_weights()))  # batch statistics too


def test_one_original_against_many_reconstructions(classifier, waveform):
    perceptual_loss = PerceptualLoss(classifier)
    together = perceptual_loss(perceptual_loss.activations(waveform[:1]), waveform)
    one_by_one = [perceptual_loss(waveform[:1], waveform[i : i + 1])[0] for i in range(3)]
    np.testing.assert_allclose(together, one_by_one, rtol=1e-4, atol=1e-6)
