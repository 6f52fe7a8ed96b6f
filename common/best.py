"""Keeping the best epoch of a training run, and stopping when it does not get better, across kills and restarts.

Keras's own callbacks for these two keep what they know in memory only: after a restart the first epoch would count as the best so far.
"""

import json
from pathlib import Path

import keras

from common.files import written_whole
from common.training import STATE


class KeepBest(keras.callbacks.Callback):
    """Calls `export(model)` after every epoch that is the best so far, and stops after `patience` epochs without one.

    folder: of the exported weights; what is known of the best epoch is in `folder`/training/best.json.
    metric: of the epoch's logs, the greater the better; equal values are told apart by the smaller val_loss.
    patience: in epochs; 0 never stops.
    """

    def __init__(self, folder, export, metric="val_accuracy", patience=0):
        super().__init__()
        self.path = Path(folder) / STATE / "best.json"
        self.export, self.metric, self.patience = export, metric, patience
        self.best = json.loads(self.path.read_text()) if self.path.exists() else None

    def on_epoch_end(self, epoch, logs=None):
        now = {"epoch": epoch + 1, "value": float(logs[self.metric]), "loss": float(logs["val_loss"])}
        if self.best is None or (now["value"], -now["loss"]) > (self.best["value"], -self.best["loss"]):
            self.export(self.model)
            self.best = now
            with written_whole(self.path, "w") as file:
                json.dump(now, file)
        elif self.patience and now["epoch"] - self.best["epoch"] >= self.patience:
            self.model.stop_training = True
