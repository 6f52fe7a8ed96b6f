"""A run's state and its weights: kept after each epoch, replaced as one, mended after damage, the best epoch.

Keras's BackupAndRestore and ModelCheckpoint (3.15, tried) do less: a kill between the weights and their metadata trains
an epoch twice, metadata that are cut short end the next start, the best value is forgotten at a restart, so that a
worse epoch replaces the best one, and exported files are overwritten in place.
"""

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

STATE = "training"  # folder of the run's own state, below that of the exported weights
PREVIOUS = "previous"  # folder for the weights of the run before
LATEST = "latest.weights.h5"  # in the state: weights, the optimizer's, and as an attribute what is known of the run
KNOWN = "run"  # that attribute, JSON: "epoch", "generator" and "settings" of `begin_run`, "best" of the class Best
DRAWN_IN_AN_EPOCH = 2**32  # random tensors that a layer draws in an epoch, at most
SPARE = f"{LATEST}.bkp"  # the state of the epoch before
HDF5_BYTES = 2**16  # that an HDF5 file needs beside its arrays, more or less


def _known(path, whole=False):
    """What the state in the file `path` knows of its run; {} for one that cannot be read. whole: also for one that
    cannot be read to its end, and for numbers in it that are not finite."""
    finite = []

    def look(name, item):
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            finite.append(np.isfinite(item[()]).all())

    try:
        with h5py.File(path, "r") as file:
            known = json.loads(file.attrs[KNOWN])
            if whole:
                file.visititems(look)
        return known if all(finite) and known["epoch"] else {}
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return {}


def mend(folder):
    """Puts the spare in the place of a state that was cut short, and says so."""
    latest, spare = (Path(folder) / STATE / name for name in (LATEST, SPARE))
    if not latest.exists() or _known(latest, whole=True):
        return
    if _known(spare, whole=True):
        with replaced_together(folder) as place:
            share(spare, place / STATE / LATEST)
        print(f"{latest} was cut short; the run goes on from the state of the epoch before")
        return
    os.replace(latest, latest.with_name(f"{LATEST}.damaged"))
    print(f"{latest} was cut short and there is no spare; the run begins anew")


def known_of(folder):
    """What the state in `folder` knows of its run, {} before its first epoch."""
    return _known(Path(folder) / STATE / LATEST)


def epochs_done(folder):
    """Epochs that the run in `folder` has behind it, 0 before its first."""
    return known_of(folder).get("epoch", 0)


def set_aside(folder):
    """Moves the run's state to `folder`/previous/training → where it is now."""
    state, previous = Path(folder) / STATE, Path(folder) / PREVIOUS / STATE
    shutil.rmtree(previous, ignore_errors=True)
    previous.parent.mkdir(parents=True, exist_ok=True)
    os.replace(state, previous)
    return previous


def archive_previous_weights(folder, place, names):
    """Moves another run's weights to previous/.

    folder: of the weights. place: the folder of the set that is about to replace them (models/files/file_set.py).
    names: of the files that weights in `folder` can have. Returns the names that leave `folder`.
    """
    folder = Path(folder)
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
    another run's move to `folder`/previous before the first ones of this run. writers: called as write(model, place,
    epoch, logs), each puts its files of the epoch into the folder `place` and returns what the state shall know beside
    the epoch, a dictionary, or None. known: of common.runs.begin_run. own: the weights that are there are this run's,
    though it has no state. It is the last of the callbacks, so that a state is never ahead of what else was made of its
    epoch.
    """

    def __init__(self, folder, names, *writers, known=None, own=False):
        super().__init__()
        self.folder, self.names, self.writers = Path(folder), names, writers
        self.known, self.own = known or {}, own

    def on_train_begin(self, logs=None):
        path = self.folder / STATE / LATEST
        if not path.exists():
            return
        self.own = True
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        try:
            self.model.load_weights(path)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            cause = first_line(error)
            raise ValueError(f"{path}: not the state of this run ({cause}); --fresh begins anew") from error

    def on_epoch_begin(self, epoch, logs=None):
        """Dropout draws in each epoch what it draws in a run that nothing has interrupted."""
        for variable in self.model.variables:
            if variable.path.endswith("seed_generator_state"):
                variable.assign([variable[0], epoch * DRAWN_IN_AN_EPOCH])

    def on_epoch_end(self, epoch, logs=None):
        leaving, known = [], self.known | {"epoch": epoch + 1}
        with replaced_together(self.folder, leaving) as place:
            state = place / STATE
            state.mkdir()
            for write in self.writers:
                known |= write(self.model, place, epoch, logs) or {}
            if not self.own and any((place / name).exists() for name in self.names):
                leaving += archive_previous_weights(self.folder, place, self.names)
                self.own = True
            if (self.folder / STATE / LATEST).exists():
                share(self.folder / STATE / LATEST, state / SPARE)
            check_room(state / LATEST, _bytes(self.model))
            try:
                self.model.save_weights(state / LATEST)
                with h5py.File(state / LATEST, "a") as file:
                    file.attrs[KNOWN] = json.dumps(known)
            except OSError as error:  # HDF5 says so in many lines
                code = error.errno or errno.EIO
                raise OSError(code, os.strerror(code), str(state / LATEST)) from error


class Best:
    """Writes the weights of every epoch that is the best so far, and stops after `patience` epochs without one.

    A writer for `Saved`, in whose state in `folder` it is kept what the best epoch was, so that a restart knows it. The
    best epoch has the greatest val_accuracy; equal ones are told apart by the smaller val_loss. export(model, place):
    writes the weights into the folder `place`. patience: in epochs; 0 never stops.
    """

    def __init__(self, folder, export, patience=0):
        self.export, self.patience = export, patience
        self.best = known_of(folder).get("best")

    def __call__(self, model, place, epoch, logs):
        now = {"epoch": epoch + 1, "value": float(logs["val_accuracy"]), "loss": float(logs["val_loss"])}
        if self.best is None or (now["value"], -now["loss"]) > (self.best["value"], -self.best["loss"]):
            self.export(model, place)
            self.best = now
        elif self.patience and now["epoch"] - self.best["epoch"] >= self.patience:
            model.stop_training = True
        return {"best": self.best}
