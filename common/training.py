"""What the training scripts share: where a run's state lives, how it resumes, and what becomes of the weights that were there before."""

import json
import os
import shutil
from pathlib import Path

import keras

STATE = "training"  # the run's own state, below the folder of the exported weights
PREVIOUS = "previous"  # the weights that a run found there


def backup(folder, save_freq="epoch"):
    """Keras's callback that continues a killed run: weights, optimizers, epoch, in `folder`/training, with the state before as a spare.

    It keeps the state when training ends, so that a later run with more epochs goes on from there.
    """
    state = Path(folder) / STATE
    state.mkdir(parents=True, exist_ok=True)
    return keras.callbacks.BackupAndRestore(str(state), save_freq, double_checkpoint=True, delete_checkpoint=False)


def epochs_done(folder):
    """Epochs that the run in `folder` has behind it, 0 before its first."""
    path = Path(folder) / STATE / "training_metadata.json"
    return json.loads(path.read_text())["epoch"] if path.exists() else 0


def run_of(folder, what):
    """Ties the run in `folder` to `what` it is a run for, such as a generator's SHA-256: the state of a run for another one makes way."""
    state, previous = Path(folder) / STATE, Path(folder) / PREVIOUS / STATE
    if state.exists() and (not (state / "of").exists() or (state / "of").read_text() != what):
        shutil.rmtree(previous, ignore_errors=True)
        previous.parent.mkdir(exist_ok=True)
        os.replace(state, previous)
        print(f"The run in {folder} was for another generator and begins anew; its state is now {previous}/")
    state.mkdir(parents=True, exist_ok=True)
    (state / "of").write_text(what)


def make_room(folder, names):
    """Before a run's first export: moves the weights `names` that `folder` already holds to `folder`/previous and says so.

    Later exports of the same run, resumed or not, replace its own weights.
    """
    folder = Path(folder)
    mark = folder / STATE / "exported"
    if mark.exists():
        return
    found = [folder / name for name in names if (folder / name).exists()]
    if found:
        (folder / PREVIOUS).mkdir(exist_ok=True)
        for path in found:
            os.replace(path, folder / PREVIOUS / path.name)
        print(f"The weights that were in {folder}/ are now in {folder / PREVIOUS}/")
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
