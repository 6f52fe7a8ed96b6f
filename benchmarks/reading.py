"""Clips a second of one epoch of reading: the tf.data pipeline, which keeps what it decoded, against decoding and
resampling anew each epoch.

The other side is a plain Python generator that reads and resamples each file with librosa whenever it comes up, as the
published scripts do. Both run in this process, in turn; the ratio of the medians is what counts, not the figures. With
rounds = 0 only the first pass and its memory.
"""

datasets = "datasets/"  # folder of recordings in any of the three layouts
number = 600  # clips an epoch; recordings are used several times if there are fewer
batch_size = 64  # clips a batch
rounds = 3  # epochs of each, in turn

import resource
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

from_shell(globals())

import common.networks  # noqa: F401

import librosa
import numpy as np
import tensorflow as tf

from common.script import one_line_errors
from datasets.augmentation import Augmentation
from datasets.layouts import find_dataset
from datasets.pipeline import decoded, training_batches
from models.audio.clip import NUM_SAMPLES, PUBLISHED_GAIN, SAMPLE_RATE


def plain(recordings):
    """The published way: one file after the other, read, scaled, resampled and padded at every epoch."""
    for recording in recordings:
        samples, _ = librosa.load(recording.path, sr=SAMPLE_RATE)
        samples = (PUBLISHED_GAIN * samples)[:NUM_SAMPLES]
        yield np.pad(samples, (0, NUM_SAMPLES - len(samples))), recording.digit


def rate(batches):
    """Clips a second of one pass over `batches`."""
    start = time.perf_counter()
    count = sum(len(digits) for _, digits in batches)
    return count / (time.perf_counter() - start)


def main():
    layout, folder, recordings = find_dataset(datasets)
    recordings = [r for r in recordings if r.split == "train"]
    recordings = (recordings * (number // len(recordings) + 1))[:number]
    kinds = (tf.TensorSpec((NUM_SAMPLES,), tf.float32), tf.TensorSpec((), tf.int32))
    start = time.perf_counter()
    clips, used, _ = decoded(recordings)
    first = len(used) / (time.perf_counter() - start)
    ways = {
        "plain generator": tf.data.Dataset.from_generator(lambda: plain(recordings), output_signature=kinds)
        .batch(batch_size)
        .prefetch(1),
        "pipeline": training_batches(clips, len(used), batch_size, 0),
        "pipeline with augmentation": training_batches(clips, len(used), batch_size, 0, Augmentation()),
    }
    for batches in ways.values() if rounds else ():
        next(iter(batches))  # tracing and lazy imports are not reading
    rates = {name: [] for name in ways}
    for _ in range(rounds):
        for name, batches in ways.items():
            rates[name].append(rate(batches))
    print(
        f"{len(recordings)} {layout} clips from {folder}; "
        f"the pipeline's first pass, decoding everything: {first:.0f} clips/s"
    )
    print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB\n")
    if not rounds:
        return
    print("| one epoch of reading | clips/s, median | ratio |\n|---|---|---|")
    slowest = statistics.median(rates["plain generator"])
    for name, values in rates.items():
        print(f"| {name} | {statistics.median(values):,.0f} | {statistics.median(values) / slowest:.1f} |")


if __name__ == "__main__":
    with one_line_errors(__file__, ValueError):
        main()
