"""Originals and their reconstructions after each epoch of a training run: to listen to in a folder, and in TensorBoard with their spectrograms."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from common.files import written_whole
from common.tensorboard import log_sounds
from models.audio import write_wav


class Pairs(keras.callbacks.Callback):
    """After each epoch writes {kind}_{i}_original.wav and {kind}_{i}_reconstruction.wav into `folder`, and both into TensorBoard's `logs`.

    originals: {kind: waveforms [n, 16384]}. The model has a `mapping` to latent vectors and a `generator`.
    """

    def __init__(self, originals, folder, logs):
        super().__init__()
        self.originals, self.folder = originals, Path(folder)
        self.writer = tf.summary.create_file_writer(str(Path(logs) / "pairs"))

    def on_epoch_end(self, epoch, logs=None):
        for kind, clips in self.originals.items():
            again = np.asarray(self.model.generator(self.model.mapping(clips)))[..., 0]
            for i, pair in enumerate(zip(clips, again)):
                for name, waveform in zip(("original", "reconstruction"), pair):
                    with written_whole(self.folder / f"{kind}_{i}_{name}.wav") as file:
                        write_wav(file, waveform)
            log_sounds(self.writer, kind, np.concatenate(list(zip(clips, again))), epoch + 1)  # original, reconstruction, original, …
