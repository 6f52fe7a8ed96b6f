"""Trains the spoken digit classifier, whose activations the perceptual loss compares: recordings of digits →
classifier_checkpoint/, logs/. With --recipe=judge the second one, which says which digit each reconstruction in the
tables is → judge_checkpoint/.

Each data set's training part is trained on, and the validation parts choose the epoch; no test part takes part. Killed
at any time and started again, it goes on after the last whole epoch.
"""

# What it is trained on, and where the result goes
recipe = "ours"  # what is not given as in the paper ("published"), or for the judge ["ours", "published", "judge"]
datasets = "datasets/"  # folders of SC09, Speech Commands or FSDD recordings, with commas between them
balanced = True  # draw the digits evenly, and the data sets evenly within a digit
classifier_checkpoint = "classifier_checkpoint/"  # folder: the best epoch's .keras file; training/, the run's state
logs = "logs/classifier/"  # folder for TensorBoard, the confusion matrix and the mistakes to listen to
without = ""  # a speaker who is not trained on but judged at the end: what it makes of a voice that it never met
fresh = False  # begin anew; the state of the run that was there moves to previous/

# Network
features = "log"  # its view of a clip; "real" is the paper's, "mel" the judge's ["real", "complex", "log", "mel"]
depth = 18  # layers of the ResNet; the judge has a network of its own [18, 34, 50, 101, 152]
width = 16  # filters of its first stage; the paper's has 64 [1 to 1024]

# Augmentation
augmented = True  # vary the recordings as speakers, rooms and microphones do; for "log" and "mel" features
warp = 0.2  # largest change of pitch and formants, as a fraction [0 to 1]
pace = 0.27  # largest change of the duration, as a fraction [0 to 1]
equalizer = 4.0  # standard deviation of a random frequency response, dB [0 to 100]
noise = 6.0  # the least signal-to-noise ratio, dB (the greatest is 60) [0 to 60]
room = 0.6  # longest reverberation time of half the clips, seconds [0.06 to 10]
narrow = 0.3  # share of the clips that lose what is above or below a random frequency [0 to 1]
mask_seconds = 0.1  # longest silenced stretch, seconds [0 to 1]
mask_bands = 0.12  # widest silenced band, as a share of all frequencies [0 to 1]

# Training
epochs = 20  # at most [1 to 1,000,000]
patience = 0  # stop after so many epochs without a better one; 0: never [0 to 1,000,000]
batch_size = 32  # clips a step, over all devices together [1 to 65,536]
learning_rate = 0.002  # Adam's [0 to 10]
smoothing = 0.1  # of the labels: share of each digit's certainty that all digits share [0 to 1]
schedule = "cosine"  # "cosine": falling to a hundredth over all epochs ["cosine", "constant"]
xla = True  # compile the network with XLA: a minute at the start, faster steps after
devices = ""  # for example "GPU:0,GPU:1"; by default every GPU there is
seed = 0  # of the weights, the order of the clips and the augmentation [0 to 2,147,483,647]

PUBLISHED = {
    "features": "real",
    "width": 64,
    "balanced": False,
    "augmented": False,
    "epochs": 60,
    "batch_size": 64,
    "learning_rate": 0.001,
    "smoothing": 0.0,
    "schedule": "constant",
}  # paper section 3.3 and the authors' script

JUDGE = {
    "features": "mel",
    "classifier_checkpoint": "judge_checkpoint/",
    "logs": "logs/judge/",
    "width": 64,
    "warp": 0.25,
    "pace": 0.35,
    "equalizer": 5.0,
    "noise": 5.0,
    "room": 0.8,
    "narrow": 0.2,
    "mask_seconds": 0.125,
    "mask_bands": 0.15,
    "epochs": 14,
    "learning_rate": 0.003,
    "xla": False,
    "seed": 1013,  # not the classifier's: the two share no random number
}

from common.settings import from_shell

settings = from_shell(globals(), recipes={"published": PUBLISHED, "judge": JUDGE})

import sys
from pathlib import Path

import common.networks  # noqa: F401

import keras
import numpy as np
import tensorflow as tf

from common.files import writable_folder
from common.lock import hold
from common.memory import check_step
from common.runs import Logs, StopAtNaN, begin_run, training_strategy
from common.script import ScriptError, one_line_errors
from common.state import Best, Saved
from common.view import pyplot, save_figure
from datasets.augmentation import LINEAR, MEL, SpectrogramAugmentation
from datasets.layouts import SPLITS, counts, find_datasets
from datasets.pipeline import evaluation_batches, training_batches
from datasets.reading import read_clips
from models.audio.clip import SAMPLE_RATE, write_wav
from models.audio.digits import DIGITS
from models.audio.precision import fast_products
from models.files.saving import save_network
from models.files.writing import written_whole
from models.networks.classifier import (
    CLASSIFIER_FILE,
    CLASSIFIER_FILES,
    build_classifier,
    load_classifier,
    smoothed_crossentropy,
)
from models.networks.judge import JUDGE_FILE, build_judge, load_judge

MOST_MISTAKES = 50  # written to listen to
JUDGING = features == "mel"
FILE, FILES = (JUDGE_FILE, (JUDGE_FILE,)) if JUDGING else (CLASSIFIER_FILE, CLASSIFIER_FILES)


def rate(count):
    """The learning rate, or its schedule over `count` steps."""
    cosine = keras.optimizers.schedules.CosineDecay(learning_rate, count, alpha=0.01)
    return cosine if schedule == "cosine" else learning_rate


def read_splits(recordings):
    """{split: (clips, recordings)} of data sets that have training and validation recordings; the speaker `without`, if
    there is one, is a part of its own."""
    others = [r for r in recordings if not without or r.speaker != without]
    parts = {}
    for split in SPLITS:
        part = [r for r in others if r.split == split]
        parts[split] = read_clips(part, split, wanted_in="" if split == "test" else datasets)
    if without:
        left_out = [r for r in recordings if r.speaker == without and r.split != "test"]
        parts[without] = read_clips(left_out, without, wanted_in=datasets)
    return parts


def train(clips, strategy, run):
    """Trains, going on where the run is, as `begin_run` says; the best epoch is in classifier_checkpoint."""
    keras.utils.set_random_seed(seed)
    waveforms, recordings = clips["train"]
    with strategy.scope():
        network = build_judge(width) if JUDGING else build_classifier(depth=depth, width=width, features=features)
        front = network.get_layer("log_mel" if JUDGING else "features")
        body = keras.Model(front.output, network.output)  # what is behind the features
        steps = max(1, len(recordings) // batch_size)
        optimizer = keras.optimizers.Adam(rate(epochs * steps))
        loss = smoothed_crossentropy(smoothing)
        body.compile(optimizer, loss, metrics=["accuracy"], jit_compile="auto" if xla else False)
    check_step(batch_size, body)
    varied = (warp, pace, equalizer, noise, room, narrow, mask_seconds, mask_bands)
    view = MEL if JUDGING else LINEAR
    picture = SpectrogramAugmentation(view, *varied) if augmented else lambda waveform, seed: front(waveform)
    done = run["epoch"]
    batches = training_batches(waveforms, recordings, batch_size, seed, picture, balanced, skipped=done * steps)
    validation = evaluation_batches(clips["valid"][0], batch_size).map(lambda waveform, digit: (front(waveform), digit))

    def export(_, place):
        save_network(network, place / FILE)

    name = "Judge" if JUDGING else f"ResNet-{depth}"
    size = f"{name}, {network.count_params():,} weights, {features} features"
    print(f"{size}, on {strategy.num_replicas_in_sync} device(s)")
    with fast_products():
        body.fit(
            batches,
            validation_data=validation,
            initial_epoch=done,
            steps_per_epoch=steps,
            epochs=epochs,
            verbose=1 if sys.stdout.isatty() else 2,
            shuffle=False,  # the batches already are
            callbacks=[
                StopAtNaN(),
                Logs(logs),
                Saved(classifier_checkpoint, FILES, Best(classifier_checkpoint, export, patience), known=run),
            ],
        )


def confusion_matrix(spoken, predicted_digits, classes):
    """spoken, predicted_digits: int [n] → counts [classes, classes], a row for each class spoken."""
    matrix = np.zeros((classes, classes), int)
    np.add.at(matrix, (spoken, predicted_digits), 1)
    return matrix


def draw_confusion(matrix, names):
    """A confusion matrix as a matplotlib figure."""
    figure, axes = pyplot().subplots(figsize=(6, 6), layout="constrained")
    axes.imshow(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="spoken", xticks=range(len(names)), yticks=range(len(names)))
    axes.set_xticklabels(names, rotation=45)
    axes.set_yticklabels(names)
    for row, column in np.argwhere(matrix):
        colour = "white" if 2 * matrix[row, column] > matrix[row].sum() else "black"
        axes.text(column, row, matrix[row, column], ha="center", va="center", color=colour)
    return figure


def write_mistakes(waveforms, spoken, predicted_digits, names, folder):
    """The confusion matrix and the clips that were predicted wrongly, in `folder` and in TensorBoard.

    waveforms: float [n, samples]. spoken, predicted_digits: int [n]. names: of the n clips.
    """
    folder = Path(folder)
    matrix = confusion_matrix(spoken, predicted_digits, len(DIGITS))
    save_figure(draw_confusion(matrix, DIGITS), folder / "confusion.png")
    for old in (folder / "mistakes").glob("*_predicted_*.wav"):
        old.unlink()
    with tf.summary.create_file_writer(str(folder)).as_default():
        picture = tf.io.decode_png((folder / "confusion.png").read_bytes(), channels=3)
        tf.summary.image("confusion", picture[None], step=0)
        for i in np.flatnonzero(spoken != predicted_digits)[:MOST_MISTAKES]:
            name = f"{DIGITS[spoken[i]]}_predicted_{DIGITS[predicted_digits[i]]}_{names[i]}"
            with written_whole(folder / "mistakes" / f"{name}.wav") as file:
                write_wav(file, waveforms[i])
            tf.summary.audio(name, np.clip(waveforms[i], -1, 1)[None, :, None], SAMPLE_RATE, step=0)


def judged(network, clips, name):
    """Prints how often a network is right, of a part and of each data set in it → waveforms [n, 16384], the digits
    spoken and those that are predicted, int [n] each. clips: of `read_splits`."""
    waveforms, recordings = clips
    batches = evaluation_batches(waveforms, batch_size).as_numpy_iterator()
    waveforms, spoken = (np.concatenate(parts) for parts in zip(*batches))
    predicted_digits = network.predict(waveforms, batch_size, verbose=0).argmax(axis=1)
    right = predicted_digits == spoken
    print(f"{name} accuracy of the best epoch: {np.mean(right):.2%}")
    for dataset in dict.fromkeys(r.dataset for r in recordings):
        of_it = right[[r.dataset == dataset for r in recordings]]
        print(f"  {dataset}: {np.sum(of_it)} of {len(of_it)}")
    return waveforms, spoken, predicted_digits


def main():
    strategy = training_strategy(devices)
    if augmented and features not in ("log", "mel"):
        raise ScriptError(f'features are "{features}"; augmentation is for "log". --augmented=False does without')
    words, recordings = find_datasets(datasets)
    print(f"{words}:\n{counts(recordings)}")
    for place in (classifier_checkpoint, logs):
        hold(writable_folder(place))
    run = begin_run(classifier_checkpoint, settings, fresh=fresh)
    clips = read_splits(recordings)
    train(clips, strategy, run)
    best = (load_judge if JUDGING else load_classifier)(classifier_checkpoint)
    part = "test" if clips["test"][1] else "valid"
    write_mistakes(*judged(best, clips[part], part), [r.path.stem for r in clips[part][1]], logs)
    print(f"Confusion matrix and mistakes are in {logs}")
    if without:
        judged(best, clips[without], without)


if __name__ == "__main__":
    with one_line_errors(__file__, interrupted="stopped; started again, it goes on after the last whole epoch"):
        main()
