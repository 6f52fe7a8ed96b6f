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
lowpass = 0.0  # Hz, cut-off of a filter behind the generator, for recordings of a lower rate: 4000 for those of 8 kHz; 0: none
judged_every = 5  # epochs between two looks at the inception score of 1,000 samples, for TensorBoard; 0: none
classifier_checkpoint = (
    "classifier_checkpoint/"  # folder with the classifier that judges them; it has no part in the training
)
warm_start = (
    False  # begin a new run from the generator in checkpoint/ and its companions.npz instead of from random weights
)
seed = 0  # of the order of the clips and their displacement

from common.settings import from_shell

settings = from_shell(globals())

from pathlib import Path

import common.networks  # noqa: F401

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from common.files import find_recordings, writable_folder
from common.runs import backup, make_room
from common.script import ScriptError, one_line_errors
from common.view import log_sounds
from datasets.layouts import Recording, find_dataset
from datasets.pipeline import decoded, displaced_batches
from models.audio import Preparation
from models.classifier import load_classifier
from models.generator import generate, random_latent
from models.metrics import inception_score
from models.saving import written_whole
from models.tf1_export import EXPORTED, export_wavegan
from models.tf1_graph import checkpoint_prefix, freeze
from models.wavegan_training import UNLABELLED, WaveGANTraining

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
        export_wavegan(checkpoint, model.exported(), int(model.step))
        with written_whole(Path(checkpoint) / COMPANIONS) as file:
            np.savez(file, **model.companions())
        log_sounds(
            self.writer, "samples", np.asarray(model(random_latent(model, self.samples, seed)))[..., 0], int(model.step)
        )


class Judged(keras.callbacks.Callback):
    """Every few epochs the inception score of samples, for TensorBoard."""

    def __init__(self, classifier, writer, samples=1000):
        super().__init__()
        self.classifier, self.writer, self.samples = classifier, writer, samples

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % judged_every:
            return
        z = random_latent(self.model, self.samples, seed)
        mean, _ = inception_score(self.classifier.predict(generate(self.model, z)[..., 0], 64, verbose=0))
        with self.writer.as_default(step=int(self.model.step)):
            tf.summary.scalar("inception_score", mean)


def read_recordings(preparation):
    """The clips as a tf.data cache, and how many there are."""
    try:
        layout, folder, recordings = find_dataset(datasets)
        recordings = [r for r in recordings if r.split != "test"]
        print(f"{folder}: {layout}, {len(recordings)} recordings outside its test part")
    except FileNotFoundError:
        try:
            recordings = [Recording(path, UNLABELLED, "", "train") for path in find_recordings(datasets, below=True)]
        except ScriptError as error:
            raise ScriptError(f"{datasets}: no recordings there; datasets/README.md says how to get some") from error
        print(f"{datasets}: {len(recordings)} recordings")
    with tqdm(total=len(recordings), unit="recording", disable=None) as bar:
        clips, left, unreadable = decoded(
            recordings, preparation=preparation, tell=lambda done, total: bar.update(done - bar.n)
        )
    for reason in unreadable:
        print(f"left out: {reason}")
    return clips, len(left)


def main():
    if batch_size < 2 or batch_size % 2:
        raise ScriptError(f"batch_size is {batch_size}; an even number from 2 on")
    for name in ("width", "epochs", "steps"):
        if settings[name] < 1:
            raise ScriptError(f"{name} is {settings[name]}; at least 1")
    preparation = Preparation(peak, "center", shift)
    writable_folder(checkpoint)
    clips, count = read_recordings(preparation)
    model = WaveGANTraining(width, lowpass=lowpass)
    model.compile(generator_rate, discriminator_rate)
    model.build((None, model.latent_dim))
    state = backup(checkpoint)
    if warm_start and not (Path(state.backup_dir) / "latest.weights.h5").exists():
        _, variables = freeze(Path(checkpoint) / "infer.meta", prefix := checkpoint_prefix(checkpoint))
        model.go_on_from(
            variables, np.load(Path(checkpoint) / COMPANIONS), tf.train.load_variable(prefix, "global_step")
        )
        print(f"Going on from the generator in {checkpoint}, {int(model.step)} steps old")
    callbacks = [state, export := Export(preparation), keras.callbacks.TensorBoard(logs, write_graph=False)]
    if judged_every:
        try:
            callbacks.append(Judged(load_classifier(classifier_checkpoint), export.writer))
        except FileNotFoundError as error:
            print(f"Samples are not judged: {error}")
    print(f"Training state is kept in {state.backup_dir}/; losses and sounds: tensorboard --logdir {logs}")
    model.fit(
        displaced_batches(clips, count, batch_size, shift, seed),
        steps_per_epoch=steps,
        epochs=epochs,
        shuffle=False,  # the batches are shuffled already
        callbacks=callbacks,
    )
    print(
        f"{int(model.step)} steps done; the generator is in {checkpoint}/. More: a larger --epochs. Listen: python generate.py"
    )


if __name__ == "__main__":
    with one_line_errors(__file__, ValueError):
        main()
