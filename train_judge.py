"""Trains the judge, the second digit classifier, which says which digit each reconstruction in the tables is:
datasets/ → judge_checkpoint/.

Only FSDD's training takes are trained on and only its validation takes choose the epoch (or the same splits of SC09 or
Speech Commands).
"""

# What it is trained on, and where the result goes
datasets = "datasets/"  # folder of FSDD, SC09 or Speech Commands recordings, or one that holds such a folder
judge_checkpoint = "judge_checkpoint/"  # folder: judge.keras, the best epoch; training/, the run's state
logs = "logs/judge/"  # folder for TensorBoard
without = ""  # a speaker who is not trained on but judged at the end: what it makes of a voice that it never met
fresh = False  # begin anew; the state of the run that was there moves to previous/

# Network
width = 48  # filters of its first layer [1 to 1024]

# Augmentation
warp = 0.25  # largest change of the frequency axis, as a fraction [0 to 1]
pace = 0.35  # largest change of the duration, as a fraction [0 to 1]
equalizer = 5.0  # standard deviation of a random frequency response, dB [0 to 100]
noise = 5.0  # the least signal-to-noise ratio, dB [0 to 60]
room = 0.8  # the longest reverberation time, seconds [0.06 to 10]

# Training
epochs = 60  # at most [1 to 1,000,000]
batch_size = 48  # clips a step [1 to 65,536]
learning_rate = 0.003  # Adam's, falling to a hundredth of it along a cosine over all epochs [0 to 10]
seed = 1013  # of the weights, the order of the clips and the augmentation; not the classifier's [0 to 2,147,483,647]

from common.settings import from_shell

settings = from_shell(globals())

import sys

import common.networks  # noqa: F401

import keras
import numpy as np
import tensorflow as tf

from common.files import writable_folder
from common.memory import check_step
from common.runs import StopAtNaN, begin_run
from common.script import one_line_errors
from common.state import Best, Saved
from datasets.layouts import find_dataset
from datasets.pipeline import evaluation_batches
from datasets.reading import read_clips
from datasets.spectrogram_augmentation import SpectrogramAugmentation, augmented_log_mel
from models.files.saving import save_network
from models.networks.judge import JUDGE_FILE, build_judge, load_judge, power_spectrogram, probabilities


def read(recordings, name):
    """Waveforms [n, 16384] and digits [n] of recordings."""
    clips, _ = read_clips(recordings, name, wanted_in=datasets)
    return (np.concatenate(parts) for parts in zip(*evaluation_batches(clips, 64).as_numpy_iterator()))


def batches(waveforms, digits, how):
    """Augmented batches (log-mel spectrograms [n, 64, 40, 1], digits [n]), in a new order each epoch."""
    power = np.concatenate([np.asarray(power_spectrogram(waveforms[i : i + 64])) for i in range(0, len(waveforms), 64)])
    clips = tf.data.Dataset.from_tensor_slices((power, digits)).shuffle(len(power), seed=seed)
    seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)
    clips = tf.data.Dataset.zip(clips.batch(batch_size, drop_remainder=len(power) >= batch_size), seeds)
    return clips.map(lambda clip, fresh: (augmented_log_mel(clip[0], fresh, how), clip[1]), 2).prefetch(4)


def main():
    layout, folder, recordings = find_dataset(datasets)
    training = [r for r in recordings if r.split == "train" and r.speaker != (without or None)]
    validation = [r for r in recordings if r.split == "valid" and r.speaker != (without or None)]
    print(f"{folder}: {layout}, {len(training)} recordings to train on, {len(validation)} to choose the epoch by")
    waveforms, spoken = read(validation, "valid")
    train = batches(*read(training, "train"), SpectrogramAugmentation(warp, pace, equalizer, noise, room))
    for place in (judge_checkpoint, logs):
        writable_folder(place)
    done = begin_run(judge_checkpoint, settings, fresh=fresh)
    keras.utils.set_random_seed(seed)
    judge = build_judge(width)
    front = judge.get_layer("log_mel")
    body = keras.Model(front.output, judge.output)  # what is behind the log-mel spectrograms
    rate = keras.optimizers.schedules.CosineDecay(
        learning_rate, epochs * max(1, len(training) // batch_size), alpha=0.01
    )
    body.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
    )
    check_step(min(batch_size, len(training)), body)
    print(f"Judge: {judge.count_params():,} weights")

    def export(_, place):
        save_network(judge, place / JUDGE_FILE)

    pictures = np.concatenate([np.asarray(front(waveforms[i : i + 64])) for i in range(0, len(waveforms), 64)])
    body.fit(
        train,
        validation_data=(pictures, spoken),
        initial_epoch=done,
        epochs=epochs,
        verbose=1 if sys.stdout.isatty() else 2,
        shuffle=False,  # the batches already are
        callbacks=[
            StopAtNaN(),
            keras.callbacks.TensorBoard(logs, write_graph=False),
            Saved(judge_checkpoint, (JUDGE_FILE,), Best(judge_checkpoint, export)),
        ],
    )
    best = load_judge(judge_checkpoint)
    part = [r for r in recordings if r.split == "test" and r.speaker != (without or None)]
    if part:
        waveforms, digits = read(part, "test")
        print(f"test accuracy: {np.mean(probabilities(best, waveforms).argmax(axis=1) == digits):.2%} of {len(digits)}")
    if without:
        waveforms, digits = read([r for r in recordings if r.speaker == without and r.split != "test"], "judge")
        right = np.mean(probabilities(best, waveforms).argmax(axis=1) == digits)
        print(f"accuracy on {without}, never trained on: {right:.2%} of {len(digits)}")


if __name__ == "__main__":
    with one_line_errors(
        __file__, ValueError, interrupted="stopped; started again, it goes on after the last whole epoch"
    ):
        main()
