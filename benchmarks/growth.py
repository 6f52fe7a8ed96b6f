"""How the cost of recovery grows: with the number of clips, with the generator's width, and with its samples.

More and more clips are the shipped generator's, and begin at predictions. Wider generators and longer sounds are of
random weights and WaveGAN's shape, and begin at zero. What counts is processor time, TensorFlow on one thread, without
the compiling of the first clip. Prints a Markdown table, and draws it on logarithmic axes, as what each takes beside
the first of its row.
"""

counts = "1,3,10,30"  # clips of the shipped generator
widths = "8,16,32,64"  # of generators of 16,384 samples
lengths = "16384,32768,65536"  # samples of generators of width 16
num_clips = 2  # recovered of each width and length [1 to 100]
seed = 2  # of weights and latent vectors [0 to 2,147,483,646]
output = "benchmarks/growth.png"  # the picture; "" for none
card = ""  # Markdown file to write the table into as well, between its marks; "" for none

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ |= dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")
from common.settings import from_shell

from_shell(globals())

import tempfile
import time

import common.networks  # noqa: F401
from common.networks import open_generator, open_inverse_mapping

import numpy as np

from common.script import one_line_errors
from common.view import pyplot, save_figure, write_figures
from models.files.errors import CheckpointError
from models.generator.generator import generate, random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, latent_mse
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.recover import recover
from models.recovery.starts import predict
from tests import tf1_wavegan

STREAM = 20_151  # separates these latent vectors from every other use of a seed


def wavegan(width, num_samples):
    """A generator of random weights and WaveGAN's shape, written as its makers would."""
    with tempfile.TemporaryDirectory() as folder:
        tf1_wavegan.write(Path(folder), width=width, length=num_samples, seed=seed, trials=1)
        return load_generator(folder)


def measured(generator, count, inverse_mapping=None):
    """→ seconds of processor time that `count` clips of a generator take, and how many came back exactly."""
    true = random_latent(generator, count + 1, [STREAM, seed])
    targets = generate(generator, true)

    def recovered(some):
        start = None if inverse_mapping is None else predict(some, inverse_mapping)
        return recover(some, generator, solver=LevenbergMarquardt(), start=start, only_exact=True, seed=seed)

    recovered(targets[:1])  # compiles
    begin = time.process_time()
    answers = recovered(targets[1:])
    return time.process_time() - begin, int((latent_mse(true[1:], answers.z) < EXACT).sum())


def draw(rows):
    """rows {what grows: [(number, seconds), …]} as one picture."""
    figure, axes = pyplot().subplots(figsize=(6, 4), layout="constrained")
    for name, points in rows.items():
        numbers, seconds = np.transpose(points)
        axes.loglog(numbers / numbers[0], seconds / seconds[0], marker="o", label=f"{name}, from {numbers[0]:,.0f}")
    ends = np.array([1, max(points[-1][0] / points[0][0] for points in rows.values())])
    axes.loglog(ends, ends, color="0.7", linestyle="--", label="in proportion")
    axes.set(xlabel="times as many", ylabel="times the processor time")
    axes.legend()
    save_figure(figure, output)


def main():
    kinds = {"clips": counts, "width": widths, "samples": lengths}
    lines = ["| what | processor time, s | s a clip | exact |", "| --- " * 4 + "|"]
    print("\n".join(lines), flush=True)
    rows = {}
    for kind, numbers in kinds.items():
        rows[kind] = []
        for number in map(int, numbers.split(",") if numbers else ()):
            if kind == "clips":
                generator = open_generator("checkpoint/", "")
                found = measured(generator, number, open_inverse_mapping("inverse_mapping_checkpoint/", generator))
            else:
                found = measured(wavegan(number, 16384) if kind == "width" else wavegan(16, number), num_clips)
            many = number if kind == "clips" else num_clips
            rows[kind].append((number, found[0]))
            lines.append(f"| {kind}: {number:,} | {found[0]:.1f} | {found[0] / many:.1f} | {found[1]} of {many} |")
            print(lines[-1], flush=True)
    rows = {kind: points for kind, points in rows.items() if points}
    if output and rows:
        draw(rows)
    if card:
        write_figures(card, "growth", "\n".join(lines))


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError):
        main()
