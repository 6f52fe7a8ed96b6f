"""Trains a WaveGAN on a folder of recordings: datasets/ → checkpoint/ in WaveGAN's own format, logs/.

Killed at any time and started again, it goes on after the last whole epoch. Where that epoch's full state is not there
(it is large), it goes on from the compact state beside the generator, progress.npz, with
curve.csv, the losses and figures of all epochs so far. Of a data set with splits (SC09, Speech Commands, FSDD) only the
training and validation parts are used; of any other folder, every recording in it.
"""

# What it is trained on, and where the result goes
datasets = "datasets/"  # folder of recordings
checkpoint = "checkpoint/"  # folder for generator, compact state and curve, and training/, the run's full state
logs = "logs/wavegan/"  # folder for TensorBoard: losses, sounds, spectrograms
fresh = False  # begin anew; the state of the run that was there moves to previous/

# Generator
width = 24  # d: the last but one layer has d channels, the first 16 d; the published model has 64 [1 to 256]
lowpass = 0.0  # Hz, cut-off of a filter behind the generator: 4000 for recordings of 8 kHz; 0: none [0 to 8192]
peak = 0.9  # level of every clip, its largest absolute sample [0.001 to 1]
shift = 200  # largest random displacement of a clip from the middle of the second, samples [0 to 8192]

# Training
epochs = 500  # at most [1 to 1,000,000]
steps = 200  # an epoch, after each of which state and generator are written [1 to 1,000,000]
batch_size = 16  # clips a step, even; half are decoded recordings, half samples of the prior [2 to 65,536]
generator_rate = 0.0003  # learning rate of generator and encoder at the beginning [0 to 10]
discriminator_rate = 0.0003  # learning rate of the discriminators at the beginning [0 to 10]
half_life = 40000  # steps in which both learning rates halve; 0: they stay [0 to 1e9]
seed = 0  # of the first weights, the order of the clips and their displacement [0 to 2,147,483,647]

# Figures of samples on the way
judged_every = 5  # epochs between two looks at the figures of 1,000 samples; 0: none [0 to 1,000,000]
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier that judges; it takes no part in training

from common.settings import from_shell

settings = from_shell(globals())

import csv
import time
from pathlib import Path

import common.networks  # noqa: F401

import keras
import numpy as np
import tensorflow as tf

from common.files import find_recordings, writable_folder
from common.lock import hold
from common.memory import check_step
from common.runs import Logs, begin_run
from common.script import ScriptError, one_line_errors
from common.state import STATE, Saved
from common.view import log_sounds
from datasets.layouts import Recording, find_datasets
from datasets.pipeline import displaced_batches
from datasets.reading import read_clips
from models.audio.precision import fast_products
from models.files.hashing import fingerprint
from models.files.writing import written_whole
from models.generator.facts import Facts
from models.generator.generator import generate, random_latent
from models.generator.tf1_export import WAVEGAN_FILES, export_wavegan
from models.metrics.metrics import harmonicity, inception_score
from models.networks.classifier import load_classifier
from models.training.wavegan.losses import UNLABELLED
from models.training.wavegan.state import packed, read_state, unpack
from models.training.wavegan.training import WaveGANTraining

PROGRESS, CURVE = "progress.npz", "curve.csv"
SAMPLES = 16  # that TensorBoard plays and shows
JUDGED_SAMPLES = 1000
NOT_FINITE = "Tensor had"  # "… NaN values" or "… Inf values", TensorFlow's words
CLOCKS = {"hours": time.monotonic, "processor_hours": time.process_time}  # the second does not count other programs
FIGURES = ("inception_score", "harmonicity", "least_digit")


class Rates(keras.callbacks.Callback):
    """Before each epoch: the learning rates of its step."""

    def on_epoch_begin(self, epoch, logs=None):
        factor = 0.5 ** (int(self.model.step) / half_life) if half_life else 1.0
        self.model.optimizer.learning_rate.assign(factor * generator_rate)
        self.model.discriminator_optimizer.learning_rate.assign(factor * discriminator_rate)


class Curve(keras.callbacks.Callback):
    """Gathers the losses of an epoch; `write` adds their means and, every few epochs, the figures of samples, as a row
    to curve.csv, and logs the figures for TensorBoard.

    rows: of the epochs before this run was started again, whose hours count. classifier: judges the samples; None: no
    figures.
    """

    def __init__(self, rows, classifier):
        super().__init__()
        self.rows, self.classifier = rows, classifier
        self.before = {name: float(rows[-1].get(name) or 0) if rows else 0.0 for name in CLOCKS}
        self.start = {name: clock() for name, clock in CLOCKS.items()}
        self.writer = tf.summary.create_file_writer(str(Path(logs) / "samples"))

    def on_epoch_begin(self, epoch, logs=None):
        self.batches = []

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append({name: float(value) for name, value in logs.items()})

    def figures(self):
        """Inception score, median harmonicity and the share of the rarest digit of samples, {name: value}."""
        samples = generate(self.model, random_latent(self.model, JUDGED_SAMPLES, seed))[..., 0]
        probabilities = self.classifier.predict(samples, 64, verbose=0)
        score, _ = inception_score(probabilities)
        digits = np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1])
        return dict(zip(FIGURES, (score, float(np.median(harmonicity(samples))), digits.min() / len(samples))))

    def write(self, model, place, epoch, logs):
        step, due = int(model.step), judged_every and (epoch + 1) % judged_every == 0
        figures = self.figures() if due and self.classifier else {}
        hours = {name: self.before[name] + (clock() - self.start[name]) / 3600 for name, clock in CLOCKS.items()}
        losses = {name: float(np.mean([batch[name] for batch in self.batches])) for name in logs}
        values = {"step": step, **hours, **dict.fromkeys(FIGURES, ""), **figures, **losses}
        self.rows.append({name: f"{x:.6g}" if isinstance(x, float) else str(x) for name, x in values.items()})
        with written_whole(place / CURVE, "w") as file:
            columns = dict.fromkeys(name for row in self.rows for name in row)  # an older version may have had fewer
            table = csv.DictWriter(file, columns)
            table.writeheader()
            table.writerows(self.rows)
        with self.writer.as_default(step=step):
            for name, value in figures.items():
                tf.summary.scalar(name, value)
        if due:
            z = random_latent(model, SAMPLES, seed)
            log_sounds(self.writer, "samples", np.asarray(model(z))[..., 0], step)


def export(model, place, facts):
    """Writes the averaged generator as a WaveGAN checkpoint, and the compact state, into the folder `place`.

    Raises ValueError for weights that are not finite.
    """
    state = packed(model)
    variables = model.exported()
    facts.write(place / "clip.json", fingerprint(variables))
    export_wavegan(place, variables, int(model.step))
    with written_whole(place / PROGRESS) as file:
        np.savez_compressed(file, **state)


def read_curve(step):
    """The rows of the curve up to a step."""
    path = Path(checkpoint) / CURVE
    if not step or not path.exists():
        return []
    try:
        with open(path, newline="") as file:
            return [row for row in csv.DictReader(file) if int(row["step"]) <= step]
    except (csv.Error, ValueError, KeyError, TypeError) as error:
        raise ScriptError(f"{path}: damaged, no table with a column step; without it the curve begins anew") from error


def go_on_from_progress(model):
    """Sets the model to the compact state, where that is all there is of a run → the epochs that it has behind it."""
    progress = Path(checkpoint) / PROGRESS
    if fresh or not progress.exists():
        return 0
    unpack(model, read_state(progress))
    print(f"Going on from {progress}, {int(model.step)} steps old")
    return int(model.step) // steps


def load_judging_classifier():
    """The classifier that judges samples, or None, with a line that says why."""
    try:
        return load_classifier(classifier_checkpoint) if judged_every else None
    except FileNotFoundError as error:
        print(f"Samples are not judged: {error}")
        return None


def read_recordings(preparation):
    """The clips as a tf.data cache, and the recordings that they are of."""
    try:
        words, recordings = find_datasets(datasets)
        recordings = [r for r in recordings if r.split != "test"]
        print(f"{words}: {len(recordings)} recordings outside the test parts")
    except FileNotFoundError:
        try:
            recordings = [Recording(path, UNLABELLED, "", "train") for path in find_recordings(datasets, below=True)]
        except FileNotFoundError as error:
            raise ScriptError(f"{datasets}: no recordings there; datasets/README.md says how to get some") from error
        print(f"{datasets}: {len(recordings)} recordings")
    return read_clips(recordings, "recordings", preparation=preparation)


def main():
    if batch_size % 2:
        raise ScriptError(f"batch_size is {batch_size}; an even number from 2 on")
    facts = Facts(peak, "center", shift)
    for place in (checkpoint, logs):
        hold(writable_folder(place))
    run = begin_run(checkpoint, settings, fresh=fresh)
    clips, recordings = read_recordings(facts)
    keras.utils.set_random_seed(seed)
    model = WaveGANTraining(width, lowpass=lowpass)
    model.compile(generator_rate, discriminator_rate)
    model.build((None, model.latent_dim))
    check_step(batch_size, model.generator, model.encoder, *model.networks)
    first = run["epoch"] or go_on_from_progress(model)
    curve = Curve(read_curve(first * steps), load_judging_classifier())
    names = (*WAVEGAN_FILES, "clip.json", PROGRESS, CURVE)
    writers = (lambda model, place, *_: export(model, place, facts), curve.write)
    saved = Saved(checkpoint, names, *writers, known=run, own=first > 0)
    print(f"Training state is kept in {Path(checkpoint) / STATE}/; losses and sounds: tensorboard --logdir {logs}")
    try:
        with fast_products():
            model.fit(
                displaced_batches(clips, recordings, batch_size, shift, seed, skipped=first * steps),
                initial_epoch=first,
                steps_per_epoch=steps,
                epochs=epochs,
                shuffle=False,  # the batches are shuffled already
                callbacks=[
                    Rates(),
                    curve,
                    saved,
                    Logs(logs),
                ],
                verbose=2,  # a line an epoch, which is what a log of hours needs
            )
    except tf.errors.InvalidArgumentError as error:
        if NOT_FINITE not in str(error):
            raise
        step = int(model.step)
        raise ScriptError(f"a loss is no longer finite after step {step}; {checkpoint} holds the last epoch") from error
    print(f"{int(model.step)} steps done; the generator is in {checkpoint}. More: a larger --epochs.")


if __name__ == "__main__":
    with one_line_errors(__file__, interrupted="stopped; started again, it goes on after the last whole epoch"):
        main()
