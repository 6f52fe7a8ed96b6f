"""Training runs: what settings a run belongs to, how it ends at NaN, what it logs, on which devices it runs."""

import math
from pathlib import Path

import keras
import tensorflow as tf

from common.lock import hold
from common.state import PREVIOUS, STATE, epochs_done, known_of, mend, set_aside
from models.files.file_set import finish

# settings that may differ between a run's start and its going on
MAY_DIFFER = {"epochs", "patience", "devices", "xla", "fresh", "recipe", "datasets", "logs", "waves"}
MAY_DIFFER |= {"judged_every"} | {f"{name}checkpoint" for name in ("", "classifier_", "inverse_mapping_", "judge_")}


def begin_run(folder, settings, *, generator="", fresh=False):
    """Ties a run in `folder` to its settings, before it begins or goes on → what its state is to know, `known` of
    common.state.Saved: "epoch", the epochs that it has behind it, "generator" and "settings".

    settings: {name: value}; those in MAY_DIFFER do not count. generator: SHA-256 of the generator it is for: the state
    of a run for another one makes way. fresh: the state that is there makes way in any case. What a killed run left is
    put in order first. Raises ValueError, in one line: for a run that was begun with other settings, which it names,
    and for a folder in which another run is writing.
    """
    (Path(folder) / STATE).mkdir(parents=True, exist_ok=True)
    hold(folder)
    finish(folder)
    mend(Path(folder))
    wanted = {name: value for name, value in settings.items() if name not in MAY_DIFFER}
    before = known_of(folder)
    if before and fresh:
        print(f"The run begins anew; the state that was there is now in {set_aside(folder)}/")
    elif before and before.get("generator", generator) != generator:
        print(f"The run in {folder} was for another generator and begins anew; its state is now {set_aside(folder)}/")
    elif (theirs := before.get("settings", wanted)) != wanted:
        names = [name for name in wanted | theirs if wanted.get(name) != theirs.get(name)]
        differ = ", ".join(f"{name} was {theirs.get(name)!r} and is {wanted.get(name)!r}" for name in names)
        raise ValueError(
            f"{Path(folder) / STATE}: the run there was begun with other settings ({differ}); give those to go on with "
            f"it, or --fresh to begin anew, which moves its state to {PREVIOUS}/"
        )
    return {"epoch": epochs_done(folder), "generator": generator, "settings": wanted}


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
