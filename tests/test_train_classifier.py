"""The classifier's training script: killed, resumed on two devices, repeated with its seed; what it refuses."""

import re

import keras
import numpy as np
import pytest
import soundfile
from run_script import run_killed, run_on_two_devices, run_script, scalars

from common.state import Best, Saved, epochs_done
from models.networks.classifier import load_classifier

SCRIPT = "train_sc09_classifier.py"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Digits said as tones, one frequency a digit, in FSDD's layout: 80 to train on, 20 to validate, 10 to test."""
    folder = tmp_path_factory.mktemp("recordings")
    noise = np.random.default_rng(0)
    for digit in range(10):
        for take in (0, *range(5, 15)):
            tone = 0.3 * np.sin(2 * np.pi * (300 + 300 * digit) * np.arange(3000) / 8000) + noise.normal(0, 0.01, 3000)
            soundfile.write(folder / f"{digit}_anna_{take}.wav", tone, 8000, subtype="PCM_16")
    return folder


def settings(recordings, folder, *more):
    own = (f"--datasets={recordings}", f"--classifier_checkpoint={folder}/weights", f"--logs={folder}/logs")
    return [
        SCRIPT,
        *own,
        "--width=2",
        "--batch_size=10",
        "--learning_rate=0.01",
        "--xla=False",
        "--schedule=constant",
        *more,
    ]


def epoch_losses(folder):
    """{epoch: training loss} that a run logged."""
    return scalars(folder / "logs/train")["epoch_loss"]


@pytest.mark.slow
def test_killed_in_mid_epoch_and_resumed_on_two_devices(recordings, tmp_path):
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "classifier.keras").write_bytes(b"what was there before")
    printed = run_killed(*settings(recordings, tmp_path, "--epochs=2"), after_epochs=1)
    best = Best(weights, None).best
    assert (weights / "previous/classifier.keras").read_bytes() == b"what was there before"
    assert "are now in" in printed and epochs_done(weights) == 1 and best["epoch"] == 1
    exported = (weights / "classifier.keras").read_bytes()
    load_classifier(weights)

    printed = run_on_two_devices(*settings(recordings, tmp_path, "--epochs=2"))
    assert list(epoch_losses(tmp_path)) == [0, 1] and "Epoch 1/" not in printed
    assert "on 2 device(s)" in printed and "are now in" not in printed
    better = Best(weights, None).best
    assert better["epoch"] in (1, 2) and better["value"] >= best["value"]
    assert ((weights / "classifier.keras").read_bytes() == exported) == (better == best)
    assert (tmp_path / "logs/confusion.png").stat().st_size > 1000
    accuracy = float(re.search(r"test accuracy of the best epoch: ([\d.]+)%", printed)[1])
    assert len(list((tmp_path / "logs/mistakes").glob("*_predicted_*.wav"))) == round(10 * (1 - accuracy / 100))


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_keeps_the_last_whole_epoch(recordings, tmp_path, monkeypatch, capsys):
    def stop(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(Saved, "on_epoch_begin", stop)
    assert run_script(*settings(recordings, tmp_path, "--epochs=2")) == 130
    assert "goes on after the last whole epoch" in capsys.readouterr().err
    assert epochs_done(tmp_path / "weights") == 1 and list(epoch_losses(tmp_path)) == [0]
    load_classifier(tmp_path / "weights")


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run(recordings, tmp_path):
    loss = {}
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        assert run_script(*settings(recordings, tmp_path / name, "--epochs=1", f"--seed={seed}")) == 0
        loss[name] = epoch_losses(tmp_path / name)[0]
    assert abs(loss["same"] - loss["one"]) < 0.05 * abs(loss["other"] - loss["one"])  # sums in another order


def test_what_is_missing_is_said_in_one_line(tmp_path, capsys):
    for setting, message in (
        (f"--datasets={tmp_path}", "no SC09, Speech Commands or FSDD recordings"),
        ("--devices=GPU:7", "GPU:7 not there"),
    ):
        assert run_script(SCRIPT, f"--classifier_checkpoint={tmp_path}/weights", setting) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert not (tmp_path / "weights").exists()


def test_the_best_epoch_is_kept_across_restarts_and_patience_ends_a_run(tmp_path):
    exports, model = [], keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")

    def epochs(first, accuracies, loss=1.0):
        """Of a run that is started again → whether it is to end."""
        (tmp_path / "training").mkdir(exist_ok=True)
        saved = Saved(tmp_path, (), Best(tmp_path, lambda model, place: exports.append(place), patience=2))
        saved.set_model(model)
        saved.on_train_begin()
        model.stop_training = False
        for epoch, accuracy in enumerate(accuracies, first):
            saved.on_epoch_end(epoch, {"val_accuracy": accuracy, "val_loss": loss})
        return model.stop_training

    epochs(0, [0.5, 0.9])
    assert len(exports) == 2
    assert not epochs(2, [0.8]) and len(exports) == 2  # after a restart
    assert epochs(3, [0.9]) and len(exports) == 2
    assert not epochs(4, [0.9], loss=0.5) and len(exports) == 3  # as accurate, but surer
