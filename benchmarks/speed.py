"""How fast this is, beside a plain way of doing the same: one table, under ten minutes.

The plain way does as the paper's scripts do: the frozen graph, one clip at a time, operations run one by one. Both
have the same networks, of random weights, on which speed does not depend, and take turns; each figure is the median of
the turns.
"""

widths = "16,64"  # d of the generators, comma-separated; the published one has 64
network_width = 64  # filters of the classifier's and the inverse mapping's first layer [1 to 64]
turns = 5  # of the two ways; the medians are compared [1 to 1000]
corpora = ""  # numbers of clips whose prediction and metrics are timed too, comma-separated; make bench-full gives some
seed = 0  # of the weights and the latent vectors [0 to 2,147,483,646]
card = ""  # Markdown file to write the table into as well, between its marks; "" for none

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

from_shell(globals())

import os
import platform
import resource
import subprocess
import tempfile
import time

import common.networks  # noqa: F401

import keras
import numpy as np
import tensorflow as tf

from common.view import write_figures
from models.generator.excerpts import BLOCKS, EXCERPTS, RUN
from models.generator.generator import generate, random_latent
from models.generator.loading import load_generator
from models.generator.tf1_export import export_wavegan, wavegan_variables
from models.metrics.metrics import log_spectral_distance, snr_db, ssim, waveform_mse
from models.networks.classifier import PerceptualLoss, build_classifier
from models.networks.inverse_mapping import InverseMapping
from models.recovery.starts import predict
from models.training.wavegan.networks import build_generator

LARGE = 2048  # rows of the matrix product that is the yardstick
FEW = 4  # clips that the plain way of predicting and judging is timed with

lines = []  # of the table, as they were printed


def seconds(function, *arguments):
    begin = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begin


def paired(plain, ours, *arguments):
    """Median seconds of two functions of the same arguments that take turns, and the median of the turns' ratios; the
    first turn, which compiles, does not count."""
    plain(*arguments), ours(*arguments)
    times = np.array([[seconds(plain, *arguments), seconds(ours, *arguments)] for _ in range(turns)])
    return (*np.median(times, axis=0), np.median(times[:, 0] / times[:, 1]))


def processor():
    """The name of the processor, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def matrix_rate():
    """Floating-point operations a second of a large float32 matrix product."""
    a = tf.random.normal((LARGE, LARGE))
    (a @ a).numpy()
    return 2 * LARGE**3 / np.median([seconds(lambda: (a @ a).numpy()) for _ in range(turns)])


def operations(width):
    """Floating-point operations of a clip in the sub-pixel form: seven taps a layer."""
    sizes = [(16, 16, 8), (64, 8, 4), (256, 4, 2), (1024, 2, 1), (4096, 1, 1 / width)]
    return 2 * sum(length * 7 * width * before * 4 * width * after for length, before, after in sizes)


def generators(width):
    """A WaveGAN of random weights as (frozen graph, sub-pixel convolutions)."""
    keras.utils.set_random_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        export_wavegan(folder, wavegan_variables(build_generator(width)))
        return [load_generator(folder, subpixel=subpixel) for subpixel in (False, True)]


def gradient_of(generator):
    @tf.function(reduce_retracing=True)
    def function(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            total = tf.reduce_sum(generator(z) ** 2)
        return tape.gradient(total, z)

    return lambda z: function(z).numpy()


def plain_metrics(generator, mapping, loss, clips):
    """Prediction and metrics, clip after clip."""
    for clip in clips:
        wave = generator(mapping(clip[None])).numpy()[..., 0]
        pair = clip[None], wave
        waveform_mse(*pair), snr_db(*pair), ssim(*pair), log_spectral_distance(*pair), loss(*pair)


def batched_metrics(generator, mapping, loss, clips, size=50):
    """The same in batches."""
    waves = generate(generator, predict(clips, mapping))[..., 0]
    for i in range(0, len(clips), size):
        pair = clips[i : i + size], waves[i : i + size]
        waveform_mse(*pair), snr_db(*pair), ssim(*pair), log_spectral_distance(*pair), loss(*pair)


def say(line):
    """Prints a line of the table, and keeps it for the card."""
    print(line, flush=True)
    lines.append(line)


def row(name, plain, ours, ratio, note=""):
    shown = [f"{1000 * one:.3g} ms" if one else "" for one in (plain, ours)]
    say(f"| {name} | {shown[0]} | {shown[1]} | {ratio and f'{ratio:.2f}'} | {note} |")


def of_generator(width, frozen, ours, rate):
    for batch in (1, 16, 64):
        ratio = paired(lambda z: frozen(z).numpy(), lambda z: ours(z).numpy(), random_latent(ours, batch, seed))
        share = operations(width) * batch / ratio[1] / rate
        row(f"width {width}: generator, {batch} clips", *ratio, f"{share:.0%} of the matrix rate")
    both = [gradient_of(generator) for generator in (frozen, ours)]
    for batch in (1, 16, 64):
        ratio = paired(*both, tf.constant(random_latent(ours, batch, seed)))
        row(f"width {width}: value and gradient, {batch} clips", *ratio)


def of_jacobian(width, ours):
    z, noise = random_latent(ours, 1, seed), np.full(1, 0.1)
    starts = tf.constant(np.random.default_rng(seed).integers(0, BLOCKS - RUN + 1, (1, EXCERPTS)), tf.int32)

    def tangents(excerpts=None):
        return ours.jacobian(z, noise, None, excerpts)[1].numpy()

    row(f"width {width}: Jacobian, whole and of {EXCERPTS} excerpts", *paired(tangents, lambda: tangents(starts)))


def of_metrics(width, frozen, ours, mapping, loss):
    for count in (16, *(int(size) for size in corpora.split(",") if size)):
        clips = generate(ours, random_latent(ours, count, seed + 3))[..., 0]
        before, after, _ = paired(
            lambda several: plain_metrics(frozen, mapping, loss, several[:FEW]),
            lambda several: batched_metrics(ours, mapping, loss, several),
            clips,
        )
        before, after = before / FEW, after / count
        memory = f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB"
        row(f"width {width}: prediction and metrics, per clip of {count}", before, after, before / after, memory)


def of_start():
    """generate.py beside a script that only imports TensorFlow."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(__file__).parents[1] / "generate.py"
        commands = ["-c", "import tensorflow"], [str(script), "--num_samples=1", f"--output={folder}/waves"]
        both = [lambda c=c: subprocess.run([sys.executable, *c], check=True, capture_output=True) for c in commands]
        row("start: generate.py --num_samples=1, beside importing TensorFlow", *paired(*both))


def main():
    rate = matrix_rate()
    cores = f"{os.cpu_count()} cores"
    say(f"{processor()}, {cores}, TensorFlow {tf.__version__}; a float32 matrix product: {rate / 1e9:.0f} GFLOP/s\n")
    say("| what | plain | here | ratio | |\n| --- | --- | --- | --- | --- |")
    loss = PerceptualLoss(build_classifier(width=network_width))
    mapping = InverseMapping(network="resnet", width=network_width, features="real")
    for width in (int(one) for one in widths.split(",")):
        frozen, ours = generators(width)
        of_generator(width, frozen, ours, rate)
        of_jacobian(width, ours)
        of_metrics(width, frozen, ours, mapping, loss)
    of_start()
    if card:
        write_figures(card, "speed", "\n".join(lines))


if __name__ == "__main__":
    main()
