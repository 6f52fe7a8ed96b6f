"""Trains a WaveGAN on a folder of recordings: datasets/ → checkpoint/ in WaveGAN's own format, logs/.

Killed at any time and started again, it goes on after the last whole epoch. Without that epoch's full state (it is large, and stays on one machine) it
goes on from the compact one beside the generator, progress.npz, with curve.csv, the losses and figures of all epochs so far. Of a data set with splits
(SC09, Speech Commands, FSDD) only the training and validation parts are used; of any other folder, every recording in it.
"""

datasets = "datasets/"  # folder of recordings
checkpoint = "checkpoint/"  # folder for infer.meta, model.ckpt.*, clip.json, progress.npz, curve.csv, and training/, the run's full state
logs = "logs/wavegan/"  # folder for TensorBoard: losses, sounds, spectrograms
width = 24  # d: the last but one layer has d channels, the first 16 d; the published model has 64
epochs = 500  # at most
steps = 200  # an epoch, after each of which state and generator are written
batch_size = 16  # clips a step, even; half of the samples are decoded from recordings, half from the prior
generator_rate = 0.0003  # learning rate of generator and encoder at the beginning
discriminator_rate = 0.00015  # learning rate of the discriminators at the beginning
half_life = 40000  # steps in which both learning rates halve; 0: they stay
peak = 0.9  # level of every clip, its largest absolute sample
shift = 800  # largest random displacement of a clip from the middle of the second, samples
lowpass = 0.0  # Hz, cut-off of a filter behind the generator, for recordings of a lower rate: 4000 for those of 8 kHz; 0: none
judged_every = 5  # epochs between two looks at the inception score and harmonicity of 1,000 samples; 0: none
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier that judges them; it has no part in the training
seed = 0  # of the order of the clips and their displacement

from common.settings import from_shell

settings = from_shell(globals())

import common.startup  # noqa: F401

import csv
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from common.files import written_whole
from common.recordings import find_recordings, writable_folder
from common.script import ScriptError, one_line_errors
from common.tensorboard import log_sounds
from common.training import STATE, backup, epochs_done, make_room
from datasets.layouts import Recording, find_dataset
from datasets.pipeline import decoded, displaced_batches
from models.audio import Preparation
from models.classifier import load_classifier
from models.metrics import harmonicity, inception_score
from models.recovery import generate, random_latent
from models.tf1_export import EXPORTED, export_wavegan
from models.wavegan_losses import UNLABELLED
from models.wavegan_state import packed, unpack
from models.wavegan_training import WaveGANTraining

PROGRESS, CURVE = "progress.npz", "curve.csv"
FULL_STATE = "latest.weights.h5"  # Keras's name
JUDGED = ("inception_score", "harmonicity", "least_digit")


class Rates(keras.callbacks.Callback):
    """Before each epoch: the learning rates of its step."""

    def on_epoch_begin(self, epoch, logs=None):
        factor = 0.5 ** (int(self.model.step) / half_life) if half_life else 1.0
        self.model.optimizer.learning_rate.assign(factor * generator_rate)
        self.model.discriminator_optimizer.learning_rate.assign(factor * discriminator_rate)


class Export(keras.callbacks.Callback):
    """After each epoch: the averaged generator as a WaveGAN checkpoint, the compact state, a row of the curve; sounds for TensorBoard."""

    def __init__(self, preparation, rows, classifier=None, samples=16, judged=1000):
        super().__init__()
        self.preparation, self.rows, self.classifier, self.samples, self.judged = preparation, rows, classifier, samples, judged
        self.writer = tf.summary.create_file_writer(str(Path(logs) / "samples"))
        self.hours = float(rows[-1]["hours"]) if rows else 0.0
        self.start = time.monotonic()

    def figures(self):
        """What the classifier and the autocorrelation say of samples, {name: value}."""
        samples = generate(self.model, random_latent(self.model, self.judged, seed))[..., 0]
        probabilities = self.classifier.predict(samples, 64, verbose=0)
        shares = np.bincount(probabilities.argmax(axis=1), minlength=10) / len(samples)
        return dict(zip(JUDGED, (inception_score(probabilities)[0], float(np.median(harmonicity(samples))), shares.min())))

    def on_epoch_end(self, epoch, logs=None):
        model, step = self.model, int(self.model.step)
        state = packed(model)
        figures = self.figures() if self.classifier and (epoch + 1) % judged_every == 0 else {}
        make_room(checkpoint, (*EXPORTED, "clip.json", PROGRESS, CURVE))
        self.preparation.write(Path(checkpoint) / "clip.json")
        export_wavegan(checkpoint, model.exported(), step)
        hours = self.hours + (time.monotonic() - self.start) / 3600
        values = {"step": step, "hours": hours, **dict.fromkeys(JUDGED, ""), **figures, **logs}
        self.rows.append({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in values.items()})
        with written_whole(Path(checkpoint) / CURVE, "w") as file:
            table = csv.DictWriter(file, self.rows[0])
            table.writeheader()
            table.writerows(self.rows)
        with written_whole(Path(checkpoint) / PROGRESS) as file:
            np.savez_compressed(file, **state)
        with self.writer.as_default(step=step):
            for name, value in figures.items():
                tf.summary.scalar(name, value)
        if figures:
            log_sounds(self.writer, "samples", np.asarray(model(random_latent(model, self.samples, seed)))[..., 0], step)


def read_curve(step):
    """The rows of the curve up to a step."""
    path = Path(checkpoint) / CURVE
    if not step or not path.exists():
        return []
    with open(path, newline="") as file:
        return [row for row in csv.DictReader(file) if int(row["step"]) <= step]


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
        clips, left, unreadable = decoded(recordings, preparation=preparation, tell=lambda done, total: bar.update(done - bar.n))
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
    first = epochs_done(checkpoint)
    progress = Path(checkpoint) / PROGRESS
    if not (Path(state.backup_dir) / FULL_STATE).exists() and progress.exists():
        unpack(model, np.load(progress))
        first = int(model.step) // steps
        (Path(checkpoint) / STATE / "exported").touch()  # the generator there is this run's own
        print(f"Going on from {progress}, {int(model.step)} steps old")
    try:
        classifier = load_classifier(classifier_checkpoint) if judged_every else None
    except FileNotFoundError as error:
        classifier = None
        print(f"Samples are not judged: {error}")
    export = Export(preparation, read_curve(first * steps), classifier)
    print(f"Training state is kept in {state.backup_dir}/; losses and sounds: tensorboard --logdir {logs}")
    try:
        model.fit(
            displaced_batches(clips, count, batch_size, shift, seed + first),
            initial_epoch=first,
            steps_per_epoch=steps,
            epochs=epochs,
            shuffle=False,  # the batches are shuffled already
            callbacks=[Rates(), export, state, keras.callbacks.TensorBoard(logs, write_graph=False)],
            verbose=2,
        )
    except tf.errors.InvalidArgumentError as error:
        if "Tensor had" not in str(error):
            raise
        raise ScriptError(f"the losses are no longer finite, after step {int(model.step)}; {checkpoint} holds the epoch before") from error
    print(f"{int(model.step)} steps done; the generator is in {checkpoint}. More: a larger --epochs. Listen: python generate.py")


if __name__ == "__main__":
    with one_line_errors(__file__, ValueError):
        main()
