"""Trains the judge, the second digit classifier, which says which digit each reconstruction in the tables is:
datasets/ → judge_checkpoint/.

Each data set's training part is trained on, and the validation parts choose the epoch; no test part takes part.
"""

# What it is trained on, and where the result goes
datasets = "datasets/"  # folders of FSDD, SC09 or Speech Commands recordings, with commas between them
balanced = True  # draw the digits evenly, and the data sets evenly within a digit
judge_checkpoint = "judge_checkpoint/"  # folder: judge.keras, the best epoch; training/, the run's state
logs = "logs/judge/"  # folder for TensorBoard
without = ""  # a speaker who is not trained on but judged at the end: what it makes of a voice that it never met
fresh = False  # begin anew; the state of the run that was there moves to previous/

# Network
width = 64  # filters of its first layer [1 to 1024]

# Augmentation
warp = 0.25  # largest change of the frequency axis, as a fraction [0 to 1]
pace = 0.35  # largest change of the duration, as a fraction [0 to 1]
equalizer = 5.0  # standard deviation of a random frequency response, dB [0 to 100]
noise = 5.0  # the least signal-to-noise ratio, dB [0 to 60]
room = 0.8  # longest reverberation time of half the clips, seconds [0.06 to 10]
narrow = 0.2  # share of the clips that lose what is above or below a random frequency [0 to 1]
mask_seconds = 0.125  # longest silenced stretch, seconds [0 to 1]
mask_bands = 0.15  # widest silenced band, as a share of all mel bands [0 to 1]

# Training
epochs = 14  # at most [1 to 1,000,000]
batch_size = 32  # clips a step [1 to 65,536]
learning_rate = 0.003  # Adam's, falling to a hundredth of it along a cosine over all epochs [0 to 10]
smoothing = 0.1  # of the labels: share of each digit's certainty that all digits share [0 to 1]
seed = 1013  # of the weights, the order of the clips and the augmentation; not the classifier's [0 to 2,147,483,647]

from common.settings import from_shell

settings = from_shell(globals())

import sys

import common.networks  # noqa: F401

import keras
import numpy as np

from common.files import writable_folder
from common.memory import check_step
from common.runs import StopAtNaN, begin_run
from common.script import one_line_errors
from common.state import Best, Saved
from datasets.layouts import find_datasets
from datasets.pipeline import evaluation_batches, training_batches
from datasets.reading import read_clips
from datasets.spectrogram_augmentation import MEL, SpectrogramAugmentation
from models.audio.precision import fast_products
from models.files.saving import save_network
from models.networks.classifier import smoothed_crossentropy
from models.networks.judge import JUDGE_FILE, build_judge, load_judge, probabilities


def read(recordings, name):
    """Waveforms [n, 16384] of recordings, and those of them that can be read."""
    clips, readable = read_clips(recordings, name, wanted_in=datasets)
    return np.concatenate([waveform for waveform, _ in evaluation_batches(clips, 64).as_numpy_iterator()]), readable


def print_accuracy(judge, recordings, name):
    """Prints the share of recordings whose digit the judge predicts, of each data set."""
    waveforms, readable = read(recordings, name)
    right = probabilities(judge, waveforms).argmax(axis=1) == [r.digit for r in readable]
    for dataset in dict.fromkeys(r.dataset for r in readable):
        of_it = right[[r.dataset == dataset for r in readable]]
        print(f"{name}, {dataset}: {np.mean(of_it):.2%}, {np.sum(of_it)} of {len(of_it)}")


def main():
    words, recordings = find_datasets(datasets)
    training = [r for r in recordings if r.split == "train" and r.speaker != (without or None)]
    validation = [r for r in recordings if r.split == "valid" and r.speaker != (without or None)]
    print(f"{words}: {len(training)} recordings to train on, {len(validation)} to choose the epoch by")
    waveforms, validation = read(validation, "valid")
    clips, training = read_clips(training, "train", wanted_in=datasets)
    varied = (warp, pace, equalizer, noise, room, narrow, mask_seconds, mask_bands)
    train = training_batches(clips, training, batch_size, seed, SpectrogramAugmentation(MEL, *varied), balanced)
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
    body.compile(keras.optimizers.Adam(rate), smoothed_crossentropy(smoothing), metrics=["accuracy"], jit_compile=False)
    check_step(min(batch_size, len(training)), body)
    print(f"Judge: {judge.count_params():,} weights")

    def export(_, place):
        save_network(judge, place / JUDGE_FILE)

    pictures = np.concatenate([np.asarray(front(waveforms[i : i + 64])) for i in range(0, len(waveforms), 64)])
    with fast_products():
        body.fit(
            train,
            validation_data=(pictures, np.array([r.digit for r in validation])),
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
    if part := [r for r in recordings if r.split == "test" and r.speaker != (without or None)]:
        print_accuracy(best, part, "test")
    if without:
        print_accuracy(best, [r for r in recordings if r.speaker == without and r.split != "test"], without)


if __name__ == "__main__":
    with one_line_errors(
        __file__, ValueError, interrupted="stopped; started again, it goes on after the last whole epoch"
    ):
        main()
