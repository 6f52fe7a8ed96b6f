"""Recovers latent vectors of WaveGAN generators with every option that it has, from zero: how many are exact.

The generators have random weights, so each is a new one and nothing was trained for any of them. Exact means a latent
MSE below 1e-4. Results are kept in `results`, so that a run that was stopped goes on. Prints a Markdown table. Other
builds are checked by the tests, and that every kind of file sounds as its own software plays it.
"""

widths = "16,32,64"  # of WaveGAN's generator, comma-separated
options = ""  # names of rows or parts of names, such as filter, separated by semicolons; by default all
num_clips = 4  # latent vectors a WaveGAN [1 to 10,000]
num_wide = 1  # latent vectors a WaveGAN of width 32 or more [1 to 10,000]
max_iter = 200  # iterations of Levenberg–Marquardt at most, a start [1 to 1,000,000]
restarts = 8  # further tries at most [0 to 1000]
seed = 0  # of the weights; that of the latent vectors is the next [0 to 2,147,483,646]
results = "logs/generators.json"  # what has been measured already
card = ""  # model card to write the table into, between its marks; "" for none

import itertools
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

from_shell(globals())

import common.networks  # noqa: F401

import numpy as np

from common.script import one_line_errors
from common.view import markdown, show_figures
from models.files.errors import CheckpointError
from models.files.writing import written_whole
from models.generator.generator import random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, condition_number, latent_mse
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.recover import recover
from tests import tf1_wavegan

WIDE = 32  # a width from which on fewer latent vectors are recovered
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


def generator_of(name, width):
    """The generator of a row, written to a folder as its makers would and loaded from there."""
    with tempfile.TemporaryDirectory() as folder:
        tf1_wavegan.write(Path(folder), width=width, seed=seed, trials=1, **WAVEGANS[name])
        return load_generator(folder)


def measure(name, width, count):
    """One row: how many of `count` latent vectors come back exactly, and what it took."""
    generator = generator_of(name, width)
    true = random_latent(generator, count, seed + 1)
    begin = time.perf_counter()
    solution = recover(generator(true), generator, solver=LevenbergMarquardt(max_iter, restarts), seed=seed + 2)
    seconds = (time.perf_counter() - begin) / count
    return {
        "form": generator.description,
        "condition": float(np.median(condition_number(generator, true[:2]))),
        "exact": int((latent_mse(true, solution.z) < EXACT).sum()),
        "clips": count,
        "iterations": float(np.median(solution.iterations)),
        "snr_db": float(solution.snr_db.min()),
        "seconds": seconds,
    }


def table(rows):
    """rows: {name: what `measure` returned} → Markdown."""
    heads = ["WaveGAN", "condition", "exact", "iterations, median", "lowest SNR in dB", "seconds a clip"]
    cells = []
    for name, row in rows.items():
        exact, iterations = f"{row['exact']} of {row['clips']}", f"{row['iterations']:.0f}"
        cells.append(
            [name, f"{row['condition']:.0f}", exact, iterations, f"{row['snr_db']:.0f}", f"{row['seconds']:.1f}"]
        )
    return markdown(heads, cells)


def main():
    path = Path(results)
    done = json.loads(path.read_text()) if path.exists() else {}
    parts = options.split(";") if options else [""]
    if unknown := [part for part in parts if not any(part in name for name in WAVEGANS)]:
        raise ValueError(f"options: {unknown[0]} is in no name of a row; the names are {'; '.join(WAVEGANS)}")
    wanted = [name for name in WAVEGANS if any(part in name for part in parts)]
    rows = {}
    for width, name in itertools.product((int(w) for w in widths.split(",")), wanted):
        label, count = f"{name}, width {width}", num_clips if width < WIDE else num_wide
        key = f"{label}, {count} clips, {max_iter} iterations, {restarts} restarts, seed {seed}"
        if key not in done:
            done[key] = measure(name, width, count)
            with written_whole(path, "w") as file:
                json.dump(done, file, indent=1)
        rows[label] = done[key]
        print(
            f"{label}: {done[key]['exact']} of {count} exact, {done[key]['seconds']:.1f} s each ({done[key]['form']})",
            flush=True,
        )
    print()
    show_figures(card, "builds", table(rows))


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError, ValueError):
        main()
