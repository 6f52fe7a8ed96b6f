"""Recovers latent vectors of many kinds of generators, from zero, and prints how many are exact: every option of
WaveGAN, builds that are none, and every kind of file in which people keep a generator.

The generators have random weights, so each is a new one and nothing was trained for any of them. Exact means a latent
MSE below 1e-4. Results are kept in `results`, so that a run that was stopped goes on. Prints Markdown tables. Rows of
ONNX need onnxruntime (requirements-dev.txt), whose sound is the reference.
"""

widths = "16,32,64"  # of WaveGAN's generator, comma-separated
options = ""  # names of rows or parts of names, such as ONNX, separated by semicolons; by default all
num_clips = 4  # latent vectors a WaveGAN, or a kind of file [1 to 10,000]
num_wide = 1  # latent vectors a WaveGAN of width 32 or more [1 to 10,000]
num_others = 20  # latent vectors a generator that is no WaveGAN [1 to 10,000]
max_iter = 200  # iterations of Levenberg–Marquardt at most, a start [1 to 1,000,000]
restarts = 8  # further tries at most [0 to 1000]
seed = 0  # of the weights; that of the latent vectors is the next [0 to 2,147,483,646]
exported = ""  # folder that benchmarks/exporters.py wrote: generators of other software with its sound of them
results = "logs/generators.json"  # what has been measured already
card = ""  # model card to write the tables into, between its marks; "" for none

import functools
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

from_shell(globals())

import common.networks  # noqa: F401

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from common.script import one_line_errors
from common.view import write_figures
from models.files.errors import CheckpointError
from models.files.writing import written_whole
from models.generator.generator import random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, condition_number, latent_mse
from models.recovery.exact import LevenbergMarquardt
from models.recovery.recover import recover
from tests import tf1_wavegan

LATENT = 100
WIDE = 32  # a width from which on fewer latent vectors are recovered
LABEL, LABELS = 2, 4  # the label of each clip, of as many, where a generator takes one
FULL_SCALE = 2**15 - 1  # of a 16-bit clip
WAVEGANS = {  # WaveGAN's own options, as its training script names them
    "as published": {},
    "batch normalisation": {"batch_norm": True},
    "filter of 512 taps": {"filter_taps": 512},
    "nearest-neighbour": {"upsample": "nn"},
    "nearest-neighbour and batch normalisation": {"upsample": "nn", "batch_norm": True},
    "nearest-neighbour and filter": {"upsample": "nn", "filter_taps": 512},
    "kernel of 24, 50 dimensions": {"kernel": 24, "latent_dim": 50},
    "2 channels": {"channels": 2},
    "32,768 samples": {"length": 32768},
    "65,536 samples": {"length": 65536},
}


def deep_convolutional(label=False):
    """A DCGAN-like Keras model of its own making: transposed convolutions, batch normalisation with statistics of its
    own, ReLU. label: whether a label's embedding is joined to the latent vector.
    """
    x = inputs = keras.Input((LATENT,), name="noise")
    if label:
        word = keras.Input((1,), name="word", dtype="int32")
        x = layers.Concatenate()([x, layers.Flatten()(layers.Embedding(LABELS, 8)(word))])
        inputs = [inputs, word]
    x = layers.Reshape((16, 128))(layers.Dense(16 * 128, use_bias=False, kernel_initializer="he_normal")(x))
    for filters in (128, 64, 32, 16):
        statistics = {
            "moving_mean_initializer": keras.initializers.RandomNormal(0, 0.3, seed=filters),
            "moving_variance_initializer": keras.initializers.RandomUniform(0.5, 1.5, seed=filters),
        }
        x = layers.ReLU()(layers.BatchNormalization(**statistics)(x))
        x = layers.Conv1DTranspose(filters, 25, 4, "same", use_bias=False, kernel_initializer=_scaled(4))(x)
    x = layers.Conv1DTranspose(1, 25, 4, "same", activation="tanh", kernel_initializer=_scaled(4))(layers.ReLU()(x))
    return keras.Model(inputs, x)


def resized():
    """A Keras model of linear resizing, plain convolutions and leaky ReLU."""
    inputs = keras.Input((LATENT,))
    x = layers.Reshape((1, 64, 64))(layers.Dense(64 * 64, kernel_initializer="he_normal")(inputs))
    for filters in (64, 32, 16, 8):
        x = layers.UpSampling2D((1, 4), interpolation="bilinear")(layers.LeakyReLU(0.2)(x))
        x = layers.Conv2D(filters, (1, 9), padding="same", kernel_initializer="he_normal")(x)
    x = layers.Conv2D(1, (1, 9), padding="same", activation="tanh", kernel_initializer="he_normal")(
        layers.LeakyReLU(0.2)(x)
    )
    return keras.Model(inputs, layers.Reshape((16384, 1))(x))


def _scaled(stride):
    """He's initial values for a transposed convolution, of whose taps one in `stride` meets an input."""
    return keras.initializers.VarianceScaling(2.0 * stride, "fan_out")


def _kernel(rng, *shape, taps):
    return tf.constant(rng.normal(0, np.sqrt(2 / taps), shape).astype(np.float32))


def frozen_graph():
    """A GraphDef of nobody's names: fused batch normalisation, a leaky ReLU written as a maximum, transposed
    convolutions, [n, 1, samples].
    """
    rng = np.random.default_rng(seed)
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None, LATENT], "z") @ _kernel(rng, LATENT, 16 * 128, taps=LATENT)
        x, channels = tf.reshape(x, [-1, 1, 16, 128]), 128
        for filters in (64, 64, 32, 16, 1):
            scale, variance = (tf.constant(rng.uniform(0.5, 1.5, channels).astype(np.float32)) for _ in range(2))
            offset, mean = (tf.constant(rng.normal(0, 0.3, channels).astype(np.float32)) for _ in range(2))
            x = tf.compat.v1.nn.fused_batch_norm(x, scale, offset, mean, variance, is_training=False)[0]
            x = tf.maximum(x, 0.2 * x)
            shape = [tf.shape(x)[0], 1, 4 * int(x.shape[2]), filters]
            x = tf.nn.conv2d_transpose(
                x, _kernel(rng, 1, 25, filters, channels, taps=25 * channels / 4), shape, [1, 1, 4, 1]
            )
            channels = filters
        tf.identity(tf.tanh(x)[..., 0], name="G_z")
    return graph.as_graph_def()


OTHERS = {
    "`.keras`: transposed convolutions, batch normalisation": deep_convolutional,
    "`.keras`: linear resizing, leaky ReLU": resized,
    "`.pb`: fused batch normalisation, leaky ReLU": frozen_graph,
}


def training_checkpoint(folder, count, **options):
    """A training run's checkpoint without any graph → latent vectors, the session's sound, no label."""
    z, waveforms = tf1_wavegan.write(folder, training_run=True, width=4, seed=seed, trials=count, **options)
    (folder / "infer/infer.meta").unlink()
    return z, waveforms, None


def onnx_file(folder, count, **options):
    """An ONNX file of PyTorch's layers, 8 dimensions and 4,096 samples → latent vectors, onnxruntime's sound, a label
    where it takes one."""
    from tests import onnx_generators

    path, label = folder / "generator.onnx", LABEL if "label" in options else None
    onnx_generators.write(path, width=3, layers=4, seed=seed, **options)
    z = np.random.default_rng(seed + 1).uniform(-1, 1, (count, onnx_generators.LATENT)).astype(np.float32)
    return z, onnx_generators.run(path, z, label).reshape(count, -1, 1), label


def saved_model(folder, count, label=None):
    """A SavedModel of a Keras generator, `deep_convolutional` → latent vectors, Keras's sound, the label."""
    keras.utils.set_random_seed(seed)
    model = deep_convolutional(label is not None)
    tf.saved_model.save(model, folder)
    z = np.random.default_rng(seed + 1).uniform(-1, 1, (count, LATENT)).astype(np.float32)
    return z, model(z if label is None else [z, np.full((count, 1), label)]).numpy(), label


def kept(folder, count, place):
    """A generator that other software wrote, from benchmarks/exporters.py."""
    shutil.copytree(place, folder, dirs_exist_ok=True)
    right = np.load(folder / "right.npz")
    return right["z"][:count], right["sound"][:count], int(right["label"]) if right["label"] >= 0 else None


def of_others():
    """{name of a row: what makes it}, of the folder `exported`."""
    if not exported:
        return {}
    places = sorted(path.parent for path in Path(exported).glob("*/right.npz"))
    named = {f"{place.name} ({np.load(place / 'right.npz')['software']})": place for place in places}
    return {name: functools.partial(kept, place=place) for name, place in named.items()}


FILES = {
    "training checkpoint, plain": training_checkpoint,
    "training checkpoint, filter of 512 taps": functools.partial(training_checkpoint, filter_taps=512),
    "training checkpoint, batch normalisation": functools.partial(training_checkpoint, batch_norm=True),
    "training checkpoint, nearest-neighbour": functools.partial(training_checkpoint, upsample="nn"),
    "training checkpoint, 32,768 samples": functools.partial(training_checkpoint, length=32768),
    "training checkpoint, stereo": functools.partial(training_checkpoint, channels=2),
    "ONNX, transposed convolutions, opset 11": functools.partial(onnx_file, opset=11),
    "ONNX, batch normalisation, opset 13": functools.partial(onnx_file, norm=True, opset=13),
    "ONNX, one-hot label, opset 15": functools.partial(onnx_file, label="one-hot", opset=15),
    "ONNX, nearest-neighbour and convolution, opset 18": functools.partial(onnx_file, upsample="nearest", opset=18),
    "ONNX, label that is looked up, opset 21": functools.partial(onnx_file, label="number", opset=21),
    "SavedModel of Keras, one input": saved_model,
    "SavedModel of Keras, two inputs": functools.partial(saved_model, label=LABEL),
    **of_others(),
}


def generator_of(name, width):
    """The generator of a row, written to a folder as its makers would and loaded from there."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        if name in WAVEGANS:
            tf1_wavegan.write(folder, width=width, seed=seed, trials=1, **WAVEGANS[name])
        else:
            keras.utils.set_random_seed(seed)
            made = OTHERS[name]()
            if isinstance(made, keras.Model):
                made.save(folder / "generator.keras")
            else:
                (folder / "generator.pb").write_bytes(made.SerializeToString())
        return load_generator(folder)


def measure(name, width, count):
    """One row: how many of `count` latent vectors come back exactly, and what it took."""
    if name in FILES:
        return measure_file(name, count)
    generator = generator_of(name, width)
    true = random_latent(generator, count, seed + 1)
    return recovered(generator, true, generator(true))


def measure_file(name, count):
    """As `measure`, of 16-bit clips of the sound that the generator's own software makes; `difference`: the RMS of
    the difference of our sound from it, as a share of its RMS.
    """
    with tempfile.TemporaryDirectory() as folder:
        true, waveforms, label = FILES[name](Path(folder), count)
        generator = load_generator(Path(folder))
        generator = generator if label is None else generator.with_label(label)
    difference = np.linalg.norm(np.ravel(generator(true) - waveforms)) / np.linalg.norm(np.ravel(waveforms))
    clips = (np.round(waveforms * FULL_SCALE) / FULL_SCALE).astype(np.float32)
    return recovered(generator, true, clips) | {"difference": float(difference)}


def recovered(generator, true, clips):
    """A row's figures, of clips [n, num_samples, num_channels] of latent vectors [n, latent_dim]."""
    begin = time.perf_counter()
    solution = recover(clips, generator, solver=LevenbergMarquardt(max_iter, restarts), seed=seed + 2)
    seconds = (time.perf_counter() - begin) / len(true)
    return {
        "form": generator.description,
        "condition": float(np.median(condition_number(generator, true[:2]))),
        "exact": int((latent_mse(true, solution.z) < EXACT).sum()),
        "clips": len(true),
        "iterations": float(np.median(solution.iterations)),
        "snr_db": float(solution.snr_db.min()),
        "seconds": seconds,
    }


def table(title, rows):
    with_difference = any("difference" in row for _, row in rows)
    heads = [title, "condition", "exact", "iterations, median", "lowest SNR in dB", "seconds a clip"]
    heads += ["difference from its own software's sound, RMS by RMS"] * with_difference
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, row in rows:
        if "refused" in row:
            lines.append(f"| {name} | refused: {row['refused']} " + "| " * (len(heads) - 2) + "|")
            continue
        cells = [f"{row['condition']:.0f}", f"{row['exact']} of {row['clips']}"]
        cells += [f"{row['iterations']:.0f}", f"{row['snr_db']:.0f}", f"{row['seconds']:.1f}"]
        cells += [f"{row['difference']:.1e}"] if with_difference else []
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    path = Path(results)
    done = json.loads(path.read_text()) if path.exists() else {}
    parts = options.split(";") if options else [""]
    names = [*WAVEGANS, *OTHERS, *FILES]
    if unknown := [part for part in parts if not any(part in name for name in names)]:
        raise ValueError(f"options: {unknown[0]} is in no name of a row; the names are {'; '.join(names)}")
    wanted = [name for name in names if any(part in name for part in parts)]
    jobs = [
        (name, width, num_clips if width < WIDE else num_wide)
        for width in (int(w) for w in widths.split(",") if w)
        for name in WAVEGANS
        if name in wanted
    ]
    jobs += [(name, 0, num_others) for name in OTHERS if name in wanted]
    jobs += [(name, 0, num_clips) for name in FILES if name in wanted]
    rows = {}
    for name, width, count in jobs:
        label = f"{name}, width {width}" if width else name
        key = f"{label}, {count} clips, {max_iter} iterations, {restarts} restarts, seed {seed}"
        if key not in done:
            try:
                done[key] = measure(name, width, count)
            except CheckpointError as error:
                if name not in of_others():
                    raise
                done[key] = {"refused": str(error).partition("/generator.")[2]}
            with written_whole(path, "w") as file:
                json.dump(done, file, indent=1)
        rows[label] = done[key]
        if "refused" in done[key]:
            print(f"{label}: refused, {done[key]['refused']}", flush=True)
            continue
        print(
            f"{label}: {done[key]['exact']} of {count} exact, {done[key]['seconds']:.1f} s each ({done[key]['form']})",
            flush=True,
        )
    tables = []
    for title, names in (
        ("WaveGAN", [row for row in rows if row not in (*OTHERS, *FILES)]),
        ("other generators", [row for row in rows if row in OTHERS]),
        ("put into `checkpoint/`, recovered from its 16-bit clips", [row for row in rows if row in FILES]),
    ):
        if names:
            tables.append(table(title, [(name, rows[name]) for name in names]))
    print("\n" + "\n\n".join(tables))
    if card:
        write_figures(card, "builds", "\n\n".join(tables))


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError, ValueError):
        main()
