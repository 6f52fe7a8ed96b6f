"""The training script: killed, resumed on two devices, repeated with its seed; what it writes and refuses."""

import json
import os
import re
import runpy
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from conftest import ROOT

from common.runs import KeepBest
from models.classifier import load_classifier

SCRIPT = "train_sc09_classifier.py"
TWO_DEVICES = """
import sys, tensorflow as tf
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import runpy
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


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
    return [SCRIPT, *own, "--width=2", "--batch_size=10", "--learning_rate=0.01", "--xla=False", *more]


def run_here(arguments, monkeypatch):
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(ROOT / SCRIPT), run_name="__main__")


def losses(output):
    """{epoch: training loss} of what was printed."""
    return {
        int(epoch): float(loss) for epoch, loss in re.findall(r"Epoch (\d+)/.*?- loss: ([\d.]+)", output, re.DOTALL)
    }


def test_killed_in_mid_epoch_resumed_on_two_devices_and_repeated(recordings, tmp_path, monkeypatch, capsys):
    weights, state = tmp_path / "weights", tmp_path / "weights/training"
    weights.mkdir()
    (weights / "classifier.keras").write_bytes(b"what was there before")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "CUDA_VISIBLE_DEVICES": ""}
    with open(tmp_path / "first", "w") as output:
        arguments = [sys.executable, *settings(recordings, tmp_path, "--epochs=200")]
        killed = subprocess.Popen(arguments, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env=environment)
        while not (state / "training_metadata.json").exists() and killed.poll() is None:
            time.sleep(0.02)
        killed.kill()
        killed.wait()
    first = (tmp_path / "first").read_text()
    done = json.loads((state / "training_metadata.json").read_text())["epoch"]
    best = json.loads((state / "best.json").read_text())
    assert (weights / "previous/classifier.keras").read_bytes() == b"what was there before" and "are now in" in first
    exported = (weights / "classifier.keras").read_bytes()
    load_classifier(weights)

    arguments = [
        sys.executable,
        "-c",
        TWO_DEVICES,
        *settings(recordings, tmp_path, f"--epochs={done + 1}", "--devices=CPU:0,CPU:1"),
    ]
    resumed = subprocess.run(
        arguments, cwd=ROOT, capture_output=True, text=True, env={**environment, "PYTHONPATH": str(ROOT)}
    )
    assert resumed.returncode == 0, resumed.stderr
    assert list(losses(resumed.stdout)) == [done + 1]
    assert "on 2 device(s)" in resumed.stdout and "are now in" not in resumed.stdout
    better = json.loads((state / "best.json").read_text())
    assert better["epoch"] in (best["epoch"], done + 1) and better["value"] >= best["value"]
    assert ((weights / "classifier.keras").read_bytes() == exported) == (better == best)
    assert list((tmp_path / "logs/train").glob("events*")) and (tmp_path / "logs/confusion.png").stat().st_size > 1000
    accuracy = float(re.search(r"test accuracy of the best epoch: ([\d.]+)%", resumed.stdout)[1])
    assert len(list((tmp_path / "logs/mistakes").glob("*_predicted_*.wav"))) == round(10 * (1 - accuracy / 100))

    def stop(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(KeepBest, "on_epoch_begin", stop)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        run_here(settings(recordings, tmp_path / "again", "--epochs=200"), monkeypatch)
    printed = capsys.readouterr()
    assert stopped.value.code == 130 and "goes on after the last whole epoch" in printed.err
    assert losses(printed.out)[1] == losses(first)[1]


def test_what_is_missing_is_said_in_one_line(tmp_path, monkeypatch, capsys):
    for setting, message in (
        (f"--datasets={tmp_path}", "no SC09, Speech Commands or FSDD recordings"),
        ("--devices=GPU:7", "GPU:7 not there"),
    ):
        with pytest.raises(SystemExit) as refused:
            run_here([SCRIPT, f"--classifier_checkpoint={tmp_path}/weights", setting], monkeypatch)
        error = capsys.readouterr().err
        assert refused.value.code == 1 and message in error and error.count("\n") == 1
    assert not (tmp_path / "weights").exists()


def test_the_best_epoch_is_kept_across_restarts_and_patience_ends_a_run(tmp_path):
    exports = []

    class Model:
        stop_training = False

    def epochs(first, accuracies, loss=1.0):
        keep = KeepBest(tmp_path, exports.append, patience=2)
        keep.set_model(Model())
        for epoch, accuracy in enumerate(accuracies, first):
            keep.on_epoch_end(epoch, {"val_accuracy": accuracy, "val_loss": loss})
        return keep

    epochs(0, [0.5, 0.9])
    assert len(exports) == 2
    keep = epochs(2, [0.8])  # after a restart
    assert len(exports) == 2 and not keep.model.stop_training
    assert epochs(3, [0.9]).model.stop_training and len(exports) == 2
    assert not epochs(4, [0.9], loss=0.5).model.stop_training and len(exports) == 3  # as accurate, but surer
