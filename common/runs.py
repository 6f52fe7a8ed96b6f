"""Training runs: where a run's state lives, how it resumes, what settings it belongs to, its best epoch, devices."""

import contextlib
import json
import math
import os
import shutil
from pathlib import Path

import h5py
import keras
import tensorflow as tf

from models.writing import written_whole

STATE = "training"  # folder of the run's own state, below that of the exported weights
PREVIOUS = "previous"  # folder of the weights that a run found there
SETTINGS = "settings.json"  # in the state: what the run belongs to
METADATA = "training_metadata.json"  # in the state: Keras's own, the epoch
# settings that may differ between a run's start and its going on
MAY_DIFFER = {"epochs", "patience", "devices", "xla", "fresh", "recipe", "datasets", "logs", "waves"}
MAY_DIFFER |= {"judged_every"} | {f"{name}checkpoint" for name in ("", "classifier_", "inverse_mapping_", "judge_")}


def _whole(weights, metadata):
    """True if a state's two files are there and can be read."""
    try:
        json.loads(metadata.read_text())["epoch"]
        with h5py.File(weights, "r") as file:
            return len(file) > 0
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return False


def _mended(state):
    """Puts the spare in the place of a state that was cut short, and says so."""
    latest, metadata = state / "latest.weights.h5", state / METADATA
    spares = [path.with_name(f"{path.name}.bkp") for path in (latest, metadata)]
    if not (latest.exists() or metadata.exists()) or _whole(latest, metadata):
        return
    if _whole(*spares):
        for spare, path in zip(spares, (latest, metadata)):
            os.replace(spare, path)
        print(f"{latest} was cut short; the run goes on from the state of the epoch before")
        return
    for path in (latest, metadata):
        if path.exists():
            os.replace(path, path.with_name(f"{path.name}.damaged"))
    print(f"{latest} was cut short and there is no spare; the run begins anew")


def backup(folder):
    """Keras's callback that continues a killed run: weights, optimizers, epoch, in `folder`/training, a spare beside
    it.

    It keeps the state when training ends, so that a later run with more epochs goes on from there.
    """
    state = Path(folder) / STATE
    state.mkdir(parents=True, exist_ok=True)
    _mended(state)
    return keras.callbacks.BackupAndRestore(str(state), double_checkpoint=True, delete_checkpoint=False)


def epochs_done(folder):
    """Epochs that the run in `folder` has behind it, 0 before its first."""
    path = Path(folder) / STATE / METADATA
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return json.loads(path.read_text())["epoch"]
    return 0


def _set_aside(folder):
    """Moves the run's state to `folder`/previous/training → where it is now."""
    state, previous = Path(folder) / STATE, Path(folder) / PREVIOUS / STATE
    shutil.rmtree(previous, ignore_errors=True)
    previous.parent.mkdir(parents=True, exist_ok=True)
    os.replace(state, previous)
    return previous


def begin_run(folder, settings, *, generator="", fresh=False):
    """Ties the run in `folder` to its settings, before it begins or resumes.

    settings: {name: value}; those in MAY_DIFFER do not count. generator: SHA-256 of the generator it is for: the state
    of a run for another one makes way. fresh: the state that is there makes way in any case. Raises ValueError, in one
    line that names the settings that differ, for a run that was begun with others.
    """
    state = Path(folder) / STATE
    wanted = {name: value for name, value in settings.items() if name not in MAY_DIFFER}
    mark = state / SETTINGS
    before = None
    with contextlib.suppress(OSError, ValueError):
        before = json.loads(mark.read_text())
    begun = epochs_done(folder) > 0
    if begun and fresh:
        print(f"The run begins anew; the state that was there is now in {_set_aside(folder)}/")
    elif begun and before and before["generator"] != generator:
        print(f"The run in {folder} was for another generator and begins anew; its state is now {_set_aside(folder)}/")
    elif begun and before and before["settings"] != wanted:
        theirs = before["settings"]
        names = [name for name in wanted | theirs if wanted.get(name) != theirs.get(name)]
        differ = ", ".join(f"{name} was {theirs.get(name)!r} and is {wanted.get(name)!r}" for name in names)
        raise ValueError(
            f"{state}: the run there was begun with other settings ({differ}); give those to go on with it, "
            f"or --fresh to begin anew, which moves its state to {PREVIOUS}/"
        )
    state.mkdir(parents=True, exist_ok=True)
    with written_whole(mark, "w") as file:
        json.dump({"generator": generator, "settings": wanted}, file, indent=2)


def make_room(folder, names):
    """Before a run's first export: moves the weights `names` that `folder` already holds to `folder`/previous, and
    says so.

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


class KeepBest(keras.callbacks.Callback):
    """Calls `export(model)` after every epoch that is the best so far, and stops after `patience` epochs without one.

    Keras's own callbacks for these two keep what they know in memory only: after a restart the first epoch would count
    as the best so far. Here it is in `folder`/training/best.json. The best epoch has the greatest val_accuracy; equal
    ones are told apart by the smaller val_loss. folder: of the exported weights. patience: in epochs; 0 never stops.
    """

    def __init__(self, folder, export, patience=0):
        super().__init__()
        self.path = Path(folder) / STATE / "best.json"
        self.export = export
        self.patience = patience
        self.best = None
        with contextlib.suppress(OSError, ValueError):
            self.best = json.loads(self.path.read_text())

    def on_epoch_end(self, epoch, logs=None):
        now = {"epoch": epoch + 1, "value": float(logs["val_accuracy"]), "loss": float(logs["val_loss"])}
        if self.best is None or (now["value"], -now["loss"]) > (self.best["value"], -self.best["loss"]):
            self.export(self.model)
            self.best = now
            with written_whole(self.path, "w") as file:
                json.dump(now, file)
        elif self.patience and now["epoch"] - self.best["epoch"] >= self.patience:
            self.model.stop_training = True


class StopAtNaN(keras.callbacks.Callback):
    """Ends a run at the first step whose loss is not finite, before its epoch is exported. Raises ValueError, in one
    line.
    """

    def on_train_batch_end(self, batch, logs=None):
        wrong = [name for name, value in (logs or {}).items() if not math.isfinite(value)]
        if wrong:
            raise ValueError(
                f"step {batch + 1} of this epoch: {', '.join(wrong)} is not finite; the last whole epoch is kept. "
                "A smaller learning rate may help"
            )


class Logs(keras.callbacks.TensorBoard):
    """Losses for TensorBoard, by epoch and, as `step/{name}`, every `every` steps; on disk after each epoch.

    Keras's own update_freq is not used: it silences every other summary that is written during training.
    """

    def __init__(self, folder, every=10):
        super().__init__(folder, write_graph=False)
        self.every = every

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        step = int(tf.convert_to_tensor(self.model.optimizer.iterations))
        if step % self.every == 0:
            with self._train_writer.as_default(step=step):
                for name, value in (logs or {}).items():
                    tf.summary.scalar(f"step/{name}", value)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        for writer in self._writers.values():
            writer.flush()


def training_strategy(devices=""):
    """A tf.distribute strategy. devices: names such as "GPU:0,GPU:2", or "" for every GPU there is.

    With one device, or none but the CPU, TensorFlow's default strategy. Raises ValueError for a device that is not
    there.
    """
    present = [d.name.removeprefix("/device:") for d in tf.config.list_logical_devices()]
    names = [name.strip() for name in devices.split(",") if name.strip()]
    names = names or [d for d in present if d.startswith("GPU")]
    if missing := [name for name in names if name not in present]:
        raise ValueError(f"devices: {', '.join(missing)} not there; there are {', '.join(present)}")
    return tf.distribute.MirroredStrategy(names) if len(names) > 1 else tf.distribute.get_strategy()
