"""Memory is estimated before it is taken."""

import keras
import numpy as np
import pytest
import scipy.io.wavfile
from run_script import run_script

from common import memory
from common.script import ScriptError


def test_more_than_there_is_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 10 * memory.GIB)
    memory.check_memory(10 * memory.GIB, "ten")
    with pytest.raises(
        ScriptError, match="eleven would take 11.0 GiB of memory, and 10.0 GiB are available"
    ) as refused:
        memory.check_memory(11 * memory.GIB, "eleven")
    assert "\n" not in str(refused.value)
    monkeypatch.setattr(memory, "available", lambda: None)
    memory.check_memory(2**60, "where the system does not say")


def test_the_metrics_script_asks_first(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(memory, "available", lambda: memory.GIB)
    assert run_script("calculate_metrics.py", f"--output={tmp_path}", "--synth", "--num_clips=100000") == 1
    error = capsys.readouterr().err
    assert "num_clips=100,000: clips and reconstructions would take" in error and error.count("\n") == 1


def test_a_training_step_is_estimated_by_what_its_layers_return(monkeypatch):
    inside = keras.Sequential([keras.Input((8,)), keras.layers.Dense(5), keras.layers.Dense(3)])
    inputs = keras.Input((4,))
    model = keras.Model(inputs, inside(keras.layers.Dense(8)(inputs)))
    numbers = 4 + 8 + 5 + 3  # the input and three dense layers
    monkeypatch.setattr(memory, "available", lambda: 2 * 4 * 10 * numbers)
    memory.check_step(10, model)
    with pytest.raises(ScriptError, match="batch_size=11: a step would take"):
        memory.check_step(11, model)


CHECKPOINTS = {
    "train_wavegan.py": "checkpoint",
    "train_sc09_classifier.py": "classifier_checkpoint",
    "train.py": "inverse_mapping_checkpoint",
}


@pytest.mark.parametrize("script", CHECKPOINTS)
def test_a_training_script_asks_before_its_first_step(script, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(memory, "available", lambda: 2**20)
    rng = np.random.default_rng(0)
    for name in (f"{digit}_nobody_{take}" for digit in range(10) for take in (0, 5, 13)):
        scipy.io.wavfile.write(tmp_path / f"{name}.wav", 8000, rng.normal(0, 0.1, 4000).astype(np.float32))
    places = [f"--{name}={tmp_path / name}/" for name in (CHECKPOINTS[script], "logs")]
    assert run_script(script, f"--datasets={tmp_path}", *places) == 1
    error = capsys.readouterr().err
    assert "a step would take" in error and "0.0 GiB are available" in error
