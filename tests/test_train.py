"""train.py: killed and resumed it gives what an unbroken run gives; what it writes, and what it does without
recordings or with two devices.
"""

import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import soundfile
import tf1_wavegan
from conftest import ROOT
from run_script import run_script
from test_train_classifier import TWO_DEVICES

from common.runs import backup, begin_run, epochs_done
from common.view import Pairs
from models.classifier import build_classifier
from models.inverse_mapping import load_inverse_mapping
from models.saving import save_network
from models.wavegan import load_wavegan


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A tiny generator and classifier, and 40 recordings of tones in FSDD's layout."""
    folder = tmp_path_factory.mktemp("inputs")
    for name in ("checkpoint", "recordings"):
        (folder / name).mkdir()
    tf1_wavegan.write(folder / "checkpoint", latent_dim=8, width=2, seed=5)
    save_network(build_classifier(base_filters=2), folder / "classifier/classifier.keras")
    for digit in range(4):
        for take in range(5, 15):
            soundfile.write(
                folder / f"recordings/{digit}_anna_{take}.wav",
                0.3 * np.sin(np.arange(3000) * (0.1 + digit / 10) + take),
                8000,
            )
    return folder


def settings(inputs, folder, *more):
    return [
        f"--datasets={inputs / 'recordings'}", f"--checkpoint={inputs / 'checkpoint'}", f"--classifier_checkpoint={inputs / 'classifier'}",
        f"--inverse_mapping_checkpoint={folder / 'mapping'}", f"--logs={folder / 'logs'}", f"--waves={folder / 'waves'}",
        "--width=1", "--refinements=1", "--steps=3", "--batch_size=4", "--real_batch_size=2", "--epochs=3", *more,
    ]  # fmt: skip


def losses(output, epoch):
    """{name: value} as printed at the end of an epoch."""
    part = output.split(f"Epoch {epoch}/")[1].split("Epoch")[0]
    return {name: float(value) for name, value in re.findall(r"(\w+): ([-\d.e]+)", part[part.rindex("3/3") :])}


def test_killed_and_resumed_it_is_an_unbroken_run(inputs, tmp_path, monkeypatch, capsys):
    assert run_script("train.py", *settings(inputs, tmp_path / "whole")) == 0
    whole = capsys.readouterr().out

    own = Pairs.on_epoch_end

    def stop(self, epoch, logs=None):
        own(self, epoch, logs)
        if epoch == 1:
            raise KeyboardInterrupt  # before the second epoch's state is written

    with monkeypatch.context() as patched:
        patched.setattr(Pairs, "on_epoch_end", stop)
        assert run_script("train.py", *settings(inputs, tmp_path / "killed")) == 130
    assert "goes on after the last whole epoch" in capsys.readouterr().err
    keras.backend.clear_session()
    assert run_script("train.py", *settings(inputs, tmp_path / "killed")) == 0
    resumed = capsys.readouterr().out
    assert "Going on after epoch 1" in resumed and "Epoch 1/" not in resumed
    for epoch in (2, 3):
        expected, found = losses(whole, epoch), losses(resumed, epoch)
        assert {
            "loss",
            "latent",
            "real_perceptual",
            "val_latent",
            "val_synthesized_snr_db",
            "val_real_spectral",
        } <= set(expected)
        assert found == pytest.approx(expected, rel=1e-3, abs=2e-4)

    generator = load_wavegan(inputs / "checkpoint")
    mappings = [load_inverse_mapping(tmp_path / name / "mapping", generator) for name in ("whole", "killed")]
    clips = np.asarray(generator(np.zeros((1, 8), np.float32)))[..., 0]
    assert np.allclose(mappings[0](clips), mappings[1](clips), atol=1e-3)
    names = {
        f"{kind}_{i}_{part}.wav"
        for kind in ("real", "synthesized")
        for i in range(2)
        for part in ("original", "reconstruction")
    }
    assert {p.name for p in (tmp_path / "whole/waves").iterdir()} == {"1", "2", "3"}
    for epoch in (tmp_path / "whole/waves").iterdir():
        assert {p.name for p in epoch.iterdir()} == names
        assert all(soundfile.info(p).frames == 16384 for p in epoch.iterdir())
    assert list((tmp_path / "whole/logs").rglob("events*"))


def finished_epoch(folder):
    """As Keras leaves a state."""
    (folder / "training/training_metadata.json").write_text('{"epoch": 1, "batch": 0}')


def test_a_run_for_another_generator_makes_way(tmp_path, capsys):
    for sha256 in ("one", "one", "two"):
        begin_run(tmp_path, {"width": 1}, generator=sha256)
        finished_epoch(tmp_path)
        (tmp_path / "training" / sha256).touch()
        printed = capsys.readouterr().out
        assert ("begins anew" in printed) == (sha256 == "two")
    assert not (tmp_path / "training/one").exists() and (tmp_path / "previous/training/one").exists()


def test_a_run_belongs_to_its_settings(tmp_path, capsys):
    begin_run(tmp_path, {"perceptual_weight": 1.0, "epochs": 2})
    finished_epoch(tmp_path)
    begin_run(tmp_path, {"perceptual_weight": 1.0, "epochs": 5})
    with pytest.raises(ValueError, match="perceptual_weight was 1.0 and is 2.0") as refused:
        begin_run(tmp_path, {"perceptual_weight": 2.0, "epochs": 5})
    assert "--fresh" in str(refused.value) and "\n" not in str(refused.value)
    begin_run(tmp_path, {"perceptual_weight": 2.0, "epochs": 5}, fresh=True)
    assert (tmp_path / "previous/training/training_metadata.json").exists() and epochs_done(tmp_path) == 0
    assert "begins anew" in capsys.readouterr().out


def test_a_state_cut_short_gives_way_to_its_spare(tmp_path, capsys):
    state = tmp_path / "training"
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    x = np.ones((4, 1), np.float32)
    model.fit(x, x, epochs=2, verbose=0, callbacks=[backup(tmp_path)])
    weights = (state / "latest.weights.h5").read_bytes()
    (state / "latest.weights.h5").write_bytes(weights[: len(weights) // 2])
    (state / "training_metadata.json").write_text("")
    backup(tmp_path)
    assert "the state of the epoch before" in capsys.readouterr().out and epochs_done(tmp_path) == 1
    (state / "latest.weights.h5").write_bytes(b"")
    backup(tmp_path)
    assert "begins anew" in capsys.readouterr().out and epochs_done(tmp_path) == 0


def test_the_papers_objective_on_two_devices_without_recordings(inputs, tmp_path):
    more = ["--recipe=published", "--network=waveform", "--refinements=0", "--epochs=2"]
    more += [f"--datasets={tmp_path}", "--devices=CPU:0,CPU:1"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-c", TWO_DEVICES, "train.py", *settings(inputs, tmp_path, *more)]
    run = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    assert "Recipe published: " in run.stdout and "perceptual_synthesized=True" in run.stdout
    assert "on 2 device(s)" in run.stdout and "synthesized clips only" in run.stdout
    assert "synthesized_perceptual" in losses(run.stdout, 1)
    assert load_inverse_mapping(tmp_path / "mapping").settings["refinements"] == 0


def test_mixed_precision_trains_and_what_it_saves_is_float32(inputs, tmp_path):
    try:
        assert run_script("train.py", *settings(inputs, tmp_path, "--mixed_precision=mixed_float16", "--epochs=1")) == 0
    finally:
        keras.mixed_precision.set_global_policy("float32")
    mapping = load_inverse_mapping(tmp_path / "mapping", load_wavegan(inputs / "checkpoint"))
    assert mapping.predictor.layers[2].compute_dtype == "float32"
    assert np.isfinite(mapping(np.zeros((1, 16384), np.float32))).all()


def test_a_resnet_needs_no_other_setting(inputs, tmp_path, capsys):
    arguments = [a for a in settings(inputs, tmp_path, "--network=resnet", "--epochs=1") if "refinements" not in a]
    assert run_script("train.py", *arguments) == 0
    mapping = load_inverse_mapping(tmp_path / "mapping", load_wavegan(inputs / "checkpoint"))
    assert mapping.settings["network"] == "resnet" and mapping.settings["refinements"] == 0


@pytest.mark.parametrize(
    "wrong, status", [("--network=mlp", 2), ("--schedule=linear", 2), ("--steps=-1", 2), ("--devices=GPU:7", 1)]
)
def test_wrong_settings_are_one_line(inputs, tmp_path, capsys, wrong, status):
    assert run_script("train.py", *settings(inputs, tmp_path, wrong)) == status
    error = capsys.readouterr().err
    assert error.startswith("train.py: ") and error.count("\n") == 1
