"""Trains the spoken digit classifier, in whose activations the perceptual loss is measured: datasets/ → classifier_checkpoint/, logs/.

Killed at any time and started again, it goes on after the last whole epoch.
"""

datasets = "datasets/"  # folder of SC09, Speech Commands or FSDD recordings; the first layout found in it or below (datasets/README.md)
classifier_checkpoint = "classifier_checkpoint/"  # folder: classifier.keras, the best epoch, and training/, the run's own state
logs = "logs/classifier/"  # folder for TensorBoard, the confusion matrix and the mistakes to listen to
features = "log"  # what the network sees: "real" (the paper's), "complex" or "log" (models/features.py)
depth = 18  # of the ResNet: 18, 34, 50, 101 or 152
base_filters = 64  # of its first stage; 64 is the paper's, 16 what comes with the project
epochs = 60  # at most
patience = 0  # stop after so many epochs without a better one; 0: never
batch_size = 64  # clips a step, over all devices together
learning_rate = 0.001  # Adam's, falling to a hundredth of it along a cosine over all epochs
shift = True  # augmentation: put the spoken part anywhere in the second
speed = 0.2  # augmentation: largest change of speed and pitch, as a fraction
gain = 20.0  # augmentation: largest gain and attenuation, dB
equalizer = 4.0  # augmentation: standard deviation of a random frequency response, dB
noise = 8.0  # augmentation: the least signal-to-noise ratio, dB (the greatest is 50); 0 for none
masks = 0.06  # augmentation: longest silenced stretch, seconds, and widest silenced band, 10,000 times as many Hz
seed = 0  # of the weights, the order of the clips and the augmentation
xla = True  # compile the network with XLA: a minute at the start, a sixth faster after (measured on a CPU)
devices = ""  # for example "GPU:0,GPU:1"; by default every GPU there is

from common.settings import from_shell

from_shell(globals())

import common.startup  # noqa: F401

import sys
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from common.best import KeepBest
from common.devices import training_strategy
from common.report import write_report
from common.script import one_line_errors
from common.training import backup, make_room
from datasets.augmentation import Augmentation
from datasets.layouts import DIGITS, SPLITS, counts, find_dataset
from datasets.pipeline import decoded, evaluation_batches, training_batches
from models.classifier import FILES, WEIGHTS, build_classifier, load_classifier
from models.saving import save_network


def export(network):
    make_room(classifier_checkpoint, FILES)
    save_network(network, Path(classifier_checkpoint) / WEIGHTS)


def main():
    strategy = training_strategy(devices)
    layout, folder, recordings = find_dataset(datasets)
    print(f"{layout} in {folder}:\n{counts(recordings)}")
    clips, names = {}, {}
    for split in SPLITS:
        part = [r for r in recordings if r.split == split]
        with tqdm(total=len(part), desc=f"reading {split}", unit="recording", disable=None) as bar:
            clips[split], read, unreadable = decoded(part, tell=lambda done, total, bar=bar: bar.update(done - bar.n))
        names[split] = [r.path.stem for r in read]
        for problem in unreadable:
            print(f"skipped {problem}")
        if not read and split != "test":
            raise ValueError(f"{folder}: no recordings in its {split} split; datasets/README.md says how they are divided")

    keras.utils.set_random_seed(seed)
    augmentation = Augmentation(shift, speed, gain, equalizer, noise, masks)
    batches = training_batches(clips["train"], len(names["train"]), batch_size, seed, augmentation)
    steps = epochs * max(1, len(names["train"]) // batch_size)
    with strategy.scope():
        network = build_classifier(depth=depth, base_filters=base_filters, features=features)
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=0.01)
        network.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile="auto" if xla else False)
    print(f"ResNet-{depth}, {network.count_params():,} weights, {features} features, on {strategy.num_replicas_in_sync} device(s)")
    network.fit(
        batches,
        validation_data=evaluation_batches(clips["valid"], batch_size),
        epochs=epochs,
        verbose=1 if sys.stdout.isatty() else 2,
        shuffle=False,  # the batches already are
        callbacks=[
            KeepBest(classifier_checkpoint, export, patience=patience),
            keras.callbacks.TensorBoard(logs, write_graph=False),
            backup(classifier_checkpoint),  # last, so that a state is never ahead of what was made of its epoch
        ],
    )

    best = load_classifier(classifier_checkpoint)
    judged = "test" if names["test"] else "valid"
    waveforms, spoken = (np.concatenate(parts) for parts in zip(*evaluation_batches(clips[judged], batch_size).as_numpy_iterator()))
    heard = best.predict(waveforms, batch_size, verbose=0).argmax(axis=1)
    write_report(waveforms, spoken, heard, names[judged], DIGITS, logs)
    print(f"{judged} accuracy of the best epoch: {np.mean(heard == spoken):.2%}; confusion matrix and mistakes in {logs}")


if __name__ == "__main__":
    with one_line_errors(__file__, ValueError, interrupted="stopped; started again, it goes on after the last whole epoch"):
        main()
