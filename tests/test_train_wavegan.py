"""train_wavegan.py: trained for a few steps on tiny recordings, killed, resumed, loaded, generated from."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from conftest import ROOT
from run_script import run_script
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from models.wavegan import load_wavegan


@pytest.fixture
def clips(tmp_path):
    """50 recordings of rising tones."""
    folder = tmp_path / "recordings" / "a"
    folder.mkdir(parents=True)
    for i in range(50):
        soundfile.write(folder / f"{i}.wav", 0.2 * np.sin(np.cumsum(np.linspace(0.1, 0.2 + i / 100, 4000))), 8000)
    return folder.parent


def test_killed_resumed_loaded_and_generated_from(tmp_path, clips, capsys):
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "infer.meta").write_text("shipped")
    arguments = [
        f"--datasets={clips}",
        f"--checkpoint={checkpoint}",
        f"--logs={tmp_path / 'logs'}",
        "--width=1",
        "--steps=2",
        "--batch_size=4",
        "--judged_every=0",
    ]
    run = subprocess.Popen([sys.executable, "train_wavegan.py", *arguments, "--epochs=1000"], cwd=ROOT, stdout=subprocess.DEVNULL)
    metadata = checkpoint / "training" / "training_metadata.json"
    try:
        deadline = time.monotonic() + 240
        while not ((checkpoint / "model.ckpt.index").exists() and metadata.exists()):
            assert run.poll() is None and time.monotonic() < deadline, "it ended, or never wrote a checkpoint"
            time.sleep(0.2)
    finally:
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
    assert (checkpoint / "previous" / "infer.meta").read_text() == "shipped"
    before = int(load_step(checkpoint))
    assert before >= 2
    done = int("".join(c for c in metadata.read_text().split("epoch")[1] if c.isdigit()))
    assert run_script("train_wavegan.py", *arguments, f"--epochs={done + 3}") == 0
    printed = capsys.readouterr().out
    assert f"Epoch {done + 3}/{done + 3}" in printed and "Epoch 1/" not in printed
    assert load_step(checkpoint) > before
    reached = load_step(checkpoint)
    shutil.rmtree(checkpoint / "training")
    assert run_script("train_wavegan.py", *arguments, "--epochs=1", "--warm_start", "--judged_every=1") == 0
    assert f"{reached} steps old" in capsys.readouterr().out and load_step(checkpoint) == reached + 2
    assert run_script("generate.py", f"--checkpoint={checkpoint}", f"--output={tmp_path / 'waves'}", "--num_samples=2") == 0
    generator = load_wavegan(checkpoint)
    wave, rate = soundfile.read(tmp_path / "waves" / "1.wav", dtype="float32")
    assert rate == 16384 and np.abs(wave - generator(np.load(tmp_path / "waves" / "1.npy")[None])[0, :, 0]).max() < 1e-6
    assert generator.preparation.peak == 0.9 and generator.preparation.position == "center"
    log = EventAccumulator(str(tmp_path / "logs/samples"), {"tensors": 0})
    log.Reload()
    assert [event.step for event in log.Tensors("inception_score")] == [reached + 2]


def load_step(checkpoint):
    import tensorflow as tf

    return tf.train.load_variable(str(checkpoint / "model.ckpt"), "global_step")


def test_without_recordings_it_says_so(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run_script("train_wavegan.py", f"--datasets={tmp_path / 'empty'}", f"--checkpoint={tmp_path / 'c'}") == 1
    assert "empty: no recordings there" in capsys.readouterr().err
