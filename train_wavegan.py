"""Trains a WaveGAN on a folder of recordings: datasets/ → checkpoint/ in WaveGAN's own format, logs/.

Killed at any time and started again, it goes on after the last whole epoch, which is a minute or two. Of a data set with splits (SC09, Speech
Commands, FSDD) only the training and validation parts are used; of any other folder, every recording in it.
"""

datasets = "datasets/"  # folder of recordings
checkpoint = "checkpoint/"  # folder for infer.meta, model.ckpt.* and clip.json, and training/, the run's own state
logs = "logs/wavegan/"  # folder for TensorBoard: losses, sounds, spectrograms
width = 16  # d: the last but one layer has d channels, the first 16 d; the published model has 64
epochs = 200  # at most
steps = 100  # an epoch, after each of which state and generator are written
batch_size = 16  # clips a step, even; half of the samples are decoded from recordings, half from the prior
generator_rate = 0.0003  # learning rate of generator and encoder
discriminator_rate = 0.00015  # learning rate of the discriminators
peak = 0.9  # level of every clip, its largest absolute sample
shift = 800  # largest random displacement of a clip from the middle of the second, samples
warm_start = False  # begin a new run from the generator in checkpoint/ and its companions.npz instead of from random weights
seed = 0  # of the order of the clips and their displacement

from common.settings import from_shell

settings = from_shell(globals())

import common.startup  # noqa: F401

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from common.files import written_whole
from common.recordings import find_recordings, writable_folder
from common.script import ScriptError, one_line_errors
from common.tensorboard import log_sounds
from common.training import backup, make_room
from datasets.layouts import Recording, find_dataset
from datasets.pipeline import decoded
from models.audio import Preparation
from models.recovery import random_latent
from models.tf1_export import EXPORTED, export_wavegan, wavegan_variables
from models.tf1_graph import checkpoint_prefix, freeze
from models.wavegan_training import WaveGANTraining

COMPANIONS = "companions.npz"  # encoder and discriminators


class Export(keras.callbacks.Callback):
    """After each epoch: the averaged generator as a WaveGAN checkpoint, and samples of it for TensorBoard."""

    def __init__(self, preparation, samples=16):
        super().__init__()
        self.preparation, self.samples = preparation, samples
        self.writer = tf.summary.create_file_writer(str(Path(logs) / "samples"))

    def on_epoch_end(self, epoch, logs=None):
        model = self.model
        make_room(checkpoint, (*EXPORTED, "clip.json", COMPANIONS))
        self.preparation.write(Path(checkpoint) / "clip.json")
        export_wavegan(checkpoint, wavegan_variables(model.averaged), int(model.step))
        with written_whole(Path(checkpoint) / COMPANIONS) as file:
            np.savez(file, **model.companions())
        log_sounds(self.writer, "samples", np.asarray(model(random_latent(model, self.samples, seed)))[..., 0], int(model.step))


def read_recordings(preparation):
    """The clips as a tf.data cache, and how many there are."""
    try:
        layout, folder, recordings = find_dataset(datasets)
        recordings = [r for r in recordings if r.split != "test"]
        print(f"{folder}: {layout}, {len(recordings)} recordings outside its test part")
    except FileNotFoundError:
        try:
            recordings = [Recording(path, 0, "", "train") for path in find_recordings(datasets, below=True)]
        except ScriptError as error:
            raise ScriptError(f"{datasets}: no recordings there; datasets/README.md says how to get some") from error
        print(f"{datasets}: {len(recordings)} recordings")
    with tqdm(total=len(recordings), unit="recording", disable=None) as bar:
        clips, left, unreadable = decoded(recordings, preparation=preparation, tell=lambda done, total: bar.update(done - bar.n))
    for reason in unreadable:
        print(f"left out: {reason}")
    return clips.map(lambda waveform, digit: waveform), len(left)


def batches(clips, count):
    """Endless batches [batch_size, 16384] of displaced clips in random order."""
    random = tf.random.Generator.from_seed(seed)

    def displaced(waveform):
        return tf.roll(tf.cast(waveform, tf.float32), random.uniform((), -shift, shift + 1, tf.int32), axis=0)

    return clips.shuffle(count, seed=seed).repeat().map(displaced).batch(batch_size, drop_remainder=True).prefetch(4)


def main():
    if batch_size < 2 or batch_size % 2:
        raise ScriptError(f"batch_size is {batch_size}; an even number from 2 on")
    for name in ("width", "epochs", "steps"):
        if settings[name] < 1:
            raise ScriptError(f"{name} is {settings[name]}; at least 1")
    preparation = Preparation(peak, "center", shift)
    writable_folder(checkpoint)
    clips, count = read_recordings(preparation)
    model = WaveGANTraining(width)
    model.compile(generator_rate, discriminator_rate)
    model.build((None, model.latent_dim))
    state = backup(checkpoint)
    if warm_start and not (Path(state.backup_dir) / "latest.weights.h5").exists():
        _, variables = freeze(Path(checkpoint) / "infer.meta", prefix := checkpoint_prefix(checkpoint))
        model.go_on_from(variables, np.load(Path(checkpoint) / COMPANIONS), tf.train.load_variable(prefix, "global_step"))
        print(f"Going on from the generator in {checkpoint}, {int(model.step)} steps old")
    print(f"Training state is kept in {state.backup_dir}/; losses and sounds: tensorboard --logdir {logs}")
    model.fit(
        batches(clips, count),
        steps_per_epoch=steps,
        epochs=epochs,
        shuffle=False,  # the batches are shuffled already
        callbacks=[state, Export(preparation), keras.callbacks.TensorBoard(logs, write_graph=False)],
    )
    print(f"{int(model.step)} steps done; the generator is in {checkpoint}/. More: a larger --epochs. Listen: python generate.py")


if __name__ == "__main__":
    with one_line_errors(__file__, ValueError):
        main()
