"""A run's state and its weights: kept after each epoch, replaced as one, mended after damage, the best epoch.

Keras's BackupAndRestore and ModelCheckpoint (3.15, tried) do less: a kill between the weights and their metadata trains
an epoch twice, metadata that are cut short end the next start, the best value is forgotten at a restart, so that a
worse epoch replaces the best one, and exported files are overwritten in place.
"""

import contextlib
import errno
import json
import os
import shutil
from pathlib import Path

import h5py
import keras
import numpy as np

from models.files.errors import first_line
from models.files.file_set import check_room, replaced_together, share
from models.files.writing import written_whole

STATE = "training"  # folder of the run's own state, below that of the exported weights
PREVIOUS = "previous"  # folder for the weights of the run before
METADATA = "training_metadata.json"  # in the state: the epoch
STATE_FILES = ("latest.weights.h5", METADATA)
SPARE = ".bkp"  # ending of the state of the epoch before
HDF5_BYTES = 2**16  # that an HDF5 file needs beside its arrays, more or less
EXPORTED = "exported"  # in the state: the weights in the folder are this run's own


def _whole(weights, metadata):
    """True if a state's two files are there and can be read to the end, and every number in them is finite."""
    finite = []

    def look(name, item):
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            finite.append(np.isfinite(item[()]).all())

    try:
        json.loads(metadata.read_text())["epoch"]
        with h5py.File(weights, "r") as file:
            file.visititems(look)
        return bool(finite) and all(finite)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return False


def mend(folder):
    """Puts the spare in the place of a state that was cut short, and says so."""
    state = folder / STATE
    latest, metadata = (state / name for name in STATE_FILES)
    spares = [path.with_name(f"{path.name}{SPARE}") for path in (latest, metadata)]
    if not (latest.exists() or metadata.exists()) or _whole(latest, metadata):
        return
    if _whole(*spares):
        with replaced_together(folder) as place:
            for spare, name in zip(spares, STATE_FILES):
                share(spare, place / STATE / name)
        print(f"{latest} was cut short; the run goes on from the state of the epoch before")
        return
    for path in (latest, metadata):
        if path.exists():
            os.replace(path, path.with_name(f"{path.name}.damaged"))
    print(f"{latest} was cut short and there is no spare; the run begins anew")


def epochs_done(folder):
    """Epochs that the run in `folder` has behind it, 0 before its first."""
    path = Path(folder) / STATE / METADATA
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return json.loads(path.read_text())["epoch"]
    return 0


def set_aside(folder):
    """Moves the run's state to `folder`/previous/training → where it is now."""
    state, previous = Path(folder) / STATE, Path(folder) / PREVIOUS / STATE
    shutil.rmtree(previous, ignore_errors=True)
    previous.parent.mkdir(parents=True, exist_ok=True)
    os.replace(state, previous)
    return previous


def archive_previous_weights(folder, place, names):
    """Moves another run's weights to previous/ before the first export.

    folder: of the weights. place: the folder of the set that is about to replace them (models/files/file_set.py).
    names: of the files that weights in `folder` can have. Later exports of the same run replace its own.
    Returns the names that leave `folder`.
    """
    folder = Path(folder)
    if (folder / STATE / EXPORTED).exists() or not any((place / name).exists() for name in names):
        return []
    (place / STATE).mkdir(exist_ok=True)
    (place / STATE / EXPORTED).touch()
    previous = [name for name in names if (folder / name).exists()]
    if not previous:
        return []
    for name in previous:
        share(folder / name, place / PREVIOUS / name)
    print(f"The weights that were in {folder}/ are now in {folder / PREVIOUS}/")
    return [*previous, *(f"{PREVIOUS}/{name}" for name in names if name not in previous)]


def _bytes(model):
    """Of a model's weights and its optimizer's, with what HDF5 needs beside them."""
    variables = [*model.variables, *model.optimizer.variables]
    return HDF5_BYTES + sum(int(np.prod(v.shape)) * np.dtype(v.dtype).itemsize for v in variables)


class Saved(keras.callbacks.Callback):
    """After each epoch: the run's weights and the state that it goes on from, replaced as one
    (models/files/file_set.py).

    folder: of the weights; the state is in `folder`/training, with that of the epoch before as a spare, and stays when
    training ends, so that a later run with more epochs goes on. names: of the files that weights in `folder` can have;
    another run's move to `folder`/previous. writers: called as write(model, place, epoch, logs), each puts its files of
    the epoch into the folder `place`. It is the last of the callbacks, so that a state is never ahead of what else was
    made of its epoch.
    """

    def __init__(self, folder, names, *writers):
        super().__init__()
        self.folder, self.names, self.writers = Path(folder), names, writers

    def on_train_begin(self, logs=None):
        path = self.folder / STATE / STATE_FILES[0]
        if not path.exists():
            return
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        try:
            self.model.load_weights(path)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            cause = first_line(error)
            raise ValueError(f"{path}: not the state of this run ({cause}); --fresh begins anew") from error

    def on_epoch_end(self, epoch, logs=None):
        leaving = []
        with replaced_together(self.folder, leaving) as place:
            (place / STATE).mkdir()
            for write in self.writers:
                write(self.model, place, epoch, logs)
            leaving += archive_previous_weights(self.folder, place, self.names)
            for name in STATE_FILES:
                if (self.folder / STATE / name).exists():
                    share(self.folder / STATE / name, place / STATE / f"{name}{SPARE}")
            weights, metadata = (place / STATE / name for name in STATE_FILES)
            check_room(weights, _bytes(self.model))
            try:
                self.model.save_weights(weights)
            except OSError as error:  # HDF5 says so in many lines
                code = error.errno or errno.EIO
                raise OSError(code, os.strerror(code), str(weights)) from error
            with written_whole(metadata, "w") as file:
                json.dump({"epoch": epoch + 1}, file)


class Best:
    """Writes the weights of every epoch that is the best so far, and stops after `patience` epochs without one.

    A writer for `Saved`. What the best epoch was is in `folder`/training/best.json, so that a restart knows it. The
    best epoch has the greatest val_accuracy; equal ones are told apart by the smaller val_loss. export(model, place):
    writes the weights into the folder `place`. patience: in epochs; 0 never stops.
    """

    def __init__(self, folder, export, patience=0):
        self.path = Path(folder) / STATE / "best.json"
        self.export = export
        self.patience = patience
        self.best = None
        with contextlib.suppress(OSError, ValueError):
            self.best = json.loads(self.path.read_text())

    def __call__(self, model, place, epoch, logs):
        now = {"epoch": epoch + 1, "value": float(logs["val_accuracy"]), "loss": float(logs["val_loss"])}
        if self.best is None or (now["value"], -now["loss"]) > (self.best["value"], -self.best["loss"]):
            self.export(model, place)
            self.best = now
            with written_whole(place / STATE / self.path.name, "w") as file:
                json.dump(now, file)
        elif self.patience and now["epoch"] - self.best["epoch"] >= self.patience:
            model.stop_training = True
