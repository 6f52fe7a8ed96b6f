"""The inverse mapping: its objectives, what training changes and what not, loading, prediction and hybrid recovery. On
a tiny generator.
"""

from common.networks import open_inverse_mapping

import librosa
import numpy as np
import pytest
import tensorflow as tf
from reference_resnet import evaluate, random_arrays, write_checkpoint
from tiny_networks import untrained

from common.script import ScriptError
from common.state import archive_previous_weights
from models.files.errors import CheckpointError
from models.files.file_set import replaced_together
from models.files.saving import save_network
from models.generator.generator import random_latent
from models.generator.loading import load_generator
from models.networks.classifier import PerceptualLoss, build_classifier, tapped
from models.networks.inverse_mapping import (
    INVERSE_MAPPING_FILE,
    INVERSE_MAPPING_FILES,
    InverseMapping,
    load_inverse_mapping,
)
from models.recovery.starts import predict
from models.training.inverse_mapping import InverseMappingTraining

OLDER = ("latent_dim", "network", "width", "depth", "features", "refinements", "bounded", "generator_sha256")


@pytest.fixture(scope="module")
def recording():
    """Three clips of noise."""
    return np.random.default_rng(1).normal(0, 0.1, (3, 16384)).astype(np.float32)


def log_magnitude(waveform, frame, hop):
    padded = np.pad(waveform, (0, frame - hop))
    power = np.abs(librosa.stft(padded, n_fft=frame, hop_length=hop, window="hann", center=False)) ** 2 / frame
    return 0.25 * np.log(power + 1e-7)


def test_the_objective_is_what_a_hand_computes(generator, recording):
    mapping, classifier = untrained(generator), build_classifier(width=2)
    training = InverseMappingTraining(
        mapping, generator, PerceptualLoss(classifier), latent_weight=2.0, perceptual_weight=0.5, spectral_weight=0.25
    )
    z = random_latent(generator, 2, 3)
    loss, measured = training.objective(recording, z, everything=True)

    sound = generator(z)[..., 0].numpy()
    first = {"real": mapping.predictor(recording).numpy(), "synthesized": mapping.predictor(sound).numpy()}
    early = {kind: generator(np.clip(found, -1, 1))[..., 0].numpy() for kind, found in first.items()}
    clips = {"real": recording, "synthesized": sound}
    last = {kind: np.clip(first[kind], -1, 1) + mapping.refiner([clips[kind], early[kind]]).numpy() for kind in first}
    assert np.allclose(mapping(recording), np.clip(last["real"], -1, 1), atol=1e-5)
    again = {kind: generator(np.clip(last[kind], -1, 1))[..., 0].numpy() for kind in last}
    latent = [np.mean((found["synthesized"] - z) ** 2) for found in (first, last)]

    def perceptual(kind):
        heard = [tapped(classifier)(x) for x in (clips[kind], again[kind])]
        return np.mean([np.mean(np.abs(np.asarray(a) - np.asarray(b))) for a, b in zip(*heard)])

    def spectral(sounds):
        pairs = [
            (log_magnitude(a, *r), log_magnitude(b, *r))
            for r in ((256, 128), (1024, 256))
            for a, b in zip(recording, sounds)
        ]
        return np.mean([np.abs(a - b).mean() for a, b in pairs])

    expected = (
        2 * sum(latent)
        + 0.5 * (perceptual("real") + perceptual("synthesized"))
        + 0.25 * (spectral(early["real"]) + spectral(again["real"]))
    )
    assert float(loss) == pytest.approx(expected, rel=1e-4)
    assert float(measured["first_latent"]) == pytest.approx(latent[0], rel=1e-4) and float(
        measured["latent"]
    ) == pytest.approx(latent[1], rel=1e-4)
    snr = 10 * np.log10((recording**2).sum(axis=1) / ((recording - again["real"]) ** 2).sum(axis=1))
    assert float(measured["real_snr_db"]) == pytest.approx(snr.mean(), abs=1e-3)


def test_validation_counts_the_right_codes(weights):
    generator = load_generator(weights / "checkpoint", "code=onehot:2@end")
    training = InverseMappingTraining(untrained(generator), generator)
    training.compile("adam")
    z = random_latent(generator, 40, 3)
    shown = training.evaluate(tf.data.Dataset.from_tensors(z), verbose=0, return_dict=True)
    predicted = predict(generator(z)[..., 0], training.mapping)
    right = (predicted[:, -2:].argmax(axis=1) == z[:, -2:].argmax(axis=1)).mean()
    assert 0.2 < right < 0.8 and shown["code_accuracy"] == pytest.approx(right)


@pytest.mark.parametrize("separate", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_training_changes_the_mapping_and_neither_generator_nor_classifier(generator, recording, separate):
    mapping, classifier = (
        untrained(generator, network="resnet", width=2, refinements=0),
        build_classifier(width=2),
    )
    training = InverseMappingTraining(mapping, generator, PerceptualLoss(classifier), separate_updates=separate)
    training.compile("adam", run_eagerly=not separate)  # tracing takes longer than two steps
    z = random_latent(generator, 4, 1)
    before = (
        [w.copy() for w in mapping.get_weights()],
        [w.copy() for w in classifier.get_weights()],
        generator(z).numpy(),
    )
    history = training.fit(_batches(recording, z), steps_per_epoch=2, verbose=0, shuffle=False)
    assert all(np.array_equal(a, b) for a, b in zip(before[1], classifier.get_weights())), "batch statistics included"
    assert np.array_equal(before[2], generator(z).numpy())
    assert sum(not np.array_equal(a, b) for a, b in zip(before[0], mapping.get_weights())) > 100
    assert {"loss", "latent", "real_perceptual", "synthesized_perceptual"} <= set(history.history)


def _batches(recording, z):
    return tf.data.Dataset.from_tensors((recording, z)).repeat()


def test_a_gradient_of_the_perceptual_loss_reaches_the_network_through_generator_and_classifier(generator, recording):
    mapping = untrained(generator, refinements=0)
    training = InverseMappingTraining(mapping, generator, PerceptualLoss(build_classifier(width=2)))
    with tf.GradientTape() as tape:
        loss, _ = training.objective(0.1 * recording, None, training=True)
    gradients = tape.gradient(loss, mapping.trainable_variables)
    assert all(np.abs(np.asarray(g)).max() > 0 for g in gradients)


def test_saved_and_loaded_it_predicts_the_same_and_knows_its_generator(weights, generator, recording):
    mapping, loaded = untrained(generator), load_inverse_mapping(weights / "mapping", generator)
    assert np.abs(predict(recording, mapping) - predict(recording, loaded)).max() < 0.02  # 16-bit kernels
    alone = load_inverse_mapping(weights / "mapping")
    assert alone(recording).shape == (3, 8) and not np.allclose(alone(recording), loaded(recording)), (
        "not refined without its generator"
    )
    with pytest.raises(CheckpointError) as error:
        load_inverse_mapping(weights / "mapping", load_generator(weights / "other"))
    message = str(error.value)
    assert generator.sha256[:12] in message and load_generator(weights / "other").sha256[:12] in message
    assert "\n" not in message
    with pytest.raises(ScriptError) as error:
        open_inverse_mapping(weights / "mapping", load_generator(weights / "other"))
    assert message in str(error.value) and "python train.py trains one" in str(error.value)
    assert "--gradient --inverse_mapping=False" in str(error.value)


def test_with_a_spectrogram_branch_it_is_saved_whole_and_without_one_as_before(generator, recording, tmp_path):
    mapping = untrained(generator, spectrogram=True)
    mapping.set_weights([w.astype(np.float16).astype(np.float32) for w in mapping.get_weights()])  # as on disk
    save_network(mapping, tmp_path / INVERSE_MAPPING_FILE)
    loaded = load_inverse_mapping(tmp_path, generator)
    assert all(np.array_equal(a, b) for a, b in zip(mapping.get_weights(), loaded.get_weights(), strict=True))
    assert loaded.get_config() == mapping.get_config()
    older = {name: value for name, value in untrained(generator).get_config().items() if name in OLDER}
    assert InverseMapping.from_config(older).count_params() < mapping.count_params()


def test_other_files_are_refused_in_one_line(weights, tmp_path):
    for content, words in (
        (None, "no inverse mapping there"),
        (b"", "not a readable"),
        ("classifier", "not an inverse mapping"),
    ):
        if content is not None:
            source = weights / "classifier/classifier.keras"
            (tmp_path / "inverse_mapping.keras").write_bytes(
                source.read_bytes() if content == "classifier" else content
            )
        with pytest.raises(CheckpointError, match=words) as error:
            load_inverse_mapping(tmp_path)
        assert "\n" not in str(error.value)
    for wrong in (
        {"network": "mlp"},
        {"network": "resnet", "refinements": 1},
        {"network": "resnet", "spectrogram": True},
    ):
        with pytest.raises(ValueError):
            InverseMapping(8, **wrong)


def test_the_authors_weights_are_loaded_by_name_and_come_first(weights, tmp_path, recording):
    arrays = random_arrays(outputs=100)
    write_checkpoint(arrays, tmp_path / "authors/generated_and_real_training.ckpt")
    trained = (weights / "mapping" / INVERSE_MAPPING_FILE).read_bytes()
    (tmp_path / "authors" / INVERSE_MAPPING_FILE).write_bytes(trained)
    expected = evaluate(arrays, recording)[0]
    mapping = load_inverse_mapping(tmp_path / "authors")
    assert mapping.generator_sha256 == ""
    assert np.abs(mapping(recording) - expected).max() < 1e-3 * max(1, np.abs(expected).max())
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / INVERSE_MAPPING_FILE).write_bytes(trained)
    assert load_inverse_mapping(tmp_path / "ours").generator_sha256, "not the ones in a folder beside it"


def test_a_training_run_moves_the_authors_weights_aside(weights, tmp_path):
    write_checkpoint(random_arrays(outputs=100), tmp_path / "generated_and_real_training.ckpt")
    leaving = []
    with replaced_together(tmp_path, leaving) as place:
        (place / INVERSE_MAPPING_FILE).write_bytes((weights / "mapping" / INVERSE_MAPPING_FILE).read_bytes())
        leaving += archive_previous_weights(tmp_path, place, INVERSE_MAPPING_FILES)
    assert load_inverse_mapping(tmp_path).generator_sha256, "the newest training wins"
    assert len(list((tmp_path / "previous").glob("generated_and_real_training.ckpt.*"))) == 2
