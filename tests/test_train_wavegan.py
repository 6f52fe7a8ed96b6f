"""train_wavegan.py: trained for a few steps on tiny recordings, killed, resumed, loaded, generated from."""

import csv
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from conftest import ROOT
from run_script import run_eagerly, run_script
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from models.generator.loading import load_generator

STEPS = 2  # an epoch


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    """A run on 20 recordings of rising tones."""
    folder = tmp_path_factory.mktemp("wavegan")
    (folder / "recordings").mkdir()
    for i in range(20):
        rising = 0.2 * np.sin(np.cumsum(np.linspace(0.1, 0.2 + i / 100, 4000)))
        soundfile.write(folder / "recordings" / f"{i}.wav", rising, 8000)
    return {
        "datasets": folder / "recordings",
        "checkpoint": folder / "checkpoint",
        "logs": folder / "logs",
        "width": 2,
        "steps": STEPS,
        "batch_size": 4,
        "lowpass": 4000,
        "judged_every": 0,
    }


def as_arguments(arguments, **changed):
    return [f"--{name}={value}" for name, value in {**arguments, **changed}.items()]


def steps_in(checkpoint):
    """The step of the generator, and those of the rows of the curve."""
    with open(checkpoint / "curve.csv", newline="") as file:
        rows = [int(row["step"]) for row in csv.DictReader(file)]
    return int(tf.train.load_variable(str(checkpoint / "model.ckpt"), "global_step")), rows


def kill_after_epochs(number, arguments):
    """Starts the script, and kills it as soon as it says that it begins the epoch after `number`."""
    command = [sys.executable, "-u", "train_wavegan.py", *as_arguments(arguments, epochs=1000)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        printed = []
        for line in run.stdout:
            printed.append(line)
            if line.startswith(f"Epoch {number + 1}/"):
                break
        run.kill()
    assert printed[-1].startswith("Epoch"), "".join(printed)


@pytest.mark.slow
def test_killed_resumed_and_continued_from_the_compact_state(arguments, capsys):
    checkpoint = arguments["checkpoint"]
    checkpoint.mkdir()
    (checkpoint / "infer.meta").write_text("another")
    kill_after_epochs(2, arguments)
    assert (checkpoint / "previous" / "infer.meta").read_text() == "another"
    reached, rows = steps_in(checkpoint)
    assert reached >= 2 * STEPS and rows[:2] == [STEPS, 2 * STEPS]
    done = reached // STEPS
    assert run_script("train_wavegan.py", *as_arguments(arguments, epochs=done + 1)) == 0
    expected = [STEPS * (i + 1) for i in range(done + 1)]
    assert steps_in(checkpoint) == (expected[-1], expected)
    shutil.rmtree(checkpoint / "training")
    capsys.readouterr()
    changed = {"epochs": done + 2, "judged_every": done + 2}
    assert run_script("train_wavegan.py", *as_arguments(arguments, **changed)) == 0
    assert re.search(rf"Going on from .*, {expected[-1]} steps old", capsys.readouterr().out)
    expected.append(expected[-1] + STEPS)
    assert steps_in(checkpoint) == (expected[-1], expected)
    with open(checkpoint / "curve.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["harmonicity"] != "" for row in rows] == [False] * (done + 1) + [True]
    assert (np.diff([float(row["hours"]) for row in rows]) > 0).all()
    log = EventAccumulator(str(arguments["logs"] / "samples"), {"tensors": 0})
    log.Reload()
    assert [event.step for event in log.Tensors("inception_score")] == [expected[-1]]


@pytest.fixture
def trained(arguments):
    """A run of one epoch at least."""
    if not (arguments["checkpoint"] / "curve.csv").exists():
        assert run_eagerly("train_wavegan.py", *as_arguments(arguments, epochs=1)) == 0
    return arguments


def test_the_generator_is_loaded_and_generated_from(trained, tmp_path):
    folder = ["--checkpoint", trained["checkpoint"]]
    assert run_script("generate.py", "=".join(map(str, folder)), f"--output={tmp_path}", "--num_samples=2") == 0
    generator = load_generator(trained["checkpoint"])
    assert "nearest-neighbour upsampling" in generator.description
    wave, rate = soundfile.read(tmp_path / "1.wav", dtype="float32")
    z = np.load(tmp_path / "1.npy")[None]
    rounding = 6 * np.sqrt(25 * 32) * np.finfo(np.float32).eps  # of six sums of that many terms, before the low-pass
    assert rate == 16384 and np.abs(wave - generator(z)[0, :, 0]).max() < rounding
    assert np.abs(load_generator(trained["checkpoint"], subpixel=False)(z)[0, :, 0] - wave).max() < rounding
    assert (generator.preparation.peak, generator.preparation.position) == (0.9, "center")
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))  # no jump from end to beginning
    assert spectrum[4400:].max() < 1e-3 * spectrum.max()  # Hz, for a clip of one second


def test_losses_that_are_not_finite_end_it_and_replace_nothing(trained, monkeypatch, capsys):
    checkpoint = trained["checkpoint"]
    steps = steps_in(checkpoint)[0]
    before = {path: path.read_bytes() for path in checkpoint.rglob("*") if path.is_file() and path.suffix != ".json"}
    arguments = as_arguments(trained, epochs=steps // STEPS + 1)
    with monkeypatch.context() as patched:
        patched.setattr("models.training.wavegan.training.LEAST_RMS", np.nan)
        assert run_eagerly("train_wavegan.py", *arguments) == 1
    error = capsys.readouterr().err
    assert "a loss is no longer finite" in error and error.count("\n") == 1
    progress = checkpoint / "progress.npz"
    arrays = dict(np.load(progress))
    np.savez(progress, **(arrays | {"encoder/0": np.full_like(arrays["encoder/0"], np.nan)}))
    shutil.rmtree(checkpoint / "training")
    assert run_script("train_wavegan.py", *arguments) == 1
    error = capsys.readouterr().err
    assert "progress.npz: not the state of a training run, or not finite" in error and error.count("\n") == 1
    progress.write_bytes(before[progress][:-100])
    assert run_script("train_wavegan.py", *arguments) == 1
    error = capsys.readouterr().err
    assert "progress.npz: damaged" in error and error.count("\n") == 1
    progress.write_bytes(before[progress])
    assert {path: path.read_bytes() for path in before if path.parent == checkpoint} == {
        path: content for path, content in before.items() if path.parent == checkpoint
    }


@pytest.mark.slow
def test_a_fresh_run_takes_nothing_from_the_one_before(trained):
    checkpoint = trained["checkpoint"]
    _, rows = steps_in(checkpoint)
    assert run_script("train_wavegan.py", *as_arguments(trained, epochs=1, fresh=True)) == 0
    assert steps_in(checkpoint) == (STEPS, [STEPS])
    assert [row for row in steps_in(checkpoint / "previous")[1]] == rows


def test_without_recordings_it_says_so(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    arguments = [f"--datasets={tmp_path / 'empty'}", f"--checkpoint={tmp_path / 'c'}"]
    assert run_script("train_wavegan.py", *arguments) == 1
    assert "empty: no recordings there" in capsys.readouterr().err
