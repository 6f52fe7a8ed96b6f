"""Recovers latent vectors of WaveGAN generators with every option that it has, from zero: how many are exact.

The generators have random weights, so each is a new one and nothing was trained for any of them. Exact means a latent
MSE below 1e-4. Results are kept in `results`, so that a run that was stopped goes on. Prints a Markdown table, and
another of what other software wrote. Other builds are checked by the tests.
"""

widths = "16,32,64"  # of WaveGAN's generator, comma-separated
options = ""  # names of rows or parts of names, such as filter, separated by semicolons; by default all
num_clips = 4  # latent vectors a WaveGAN [1 to 10,000]
num_wide = 1  # latent vectors a WaveGAN of width 32 or more [1 to 10,000]
max_iter = 200  # iterations of Levenberg–Marquardt at most, a start [1 to 1,000,000]
restarts = 8  # further tries at most [0 to 1000]
seed = 0  # of the weights; that of the latent vectors is the next [0 to 2,147,483,646]
exported = ""  # folder that benchmarks/exporters.py wrote: generators of other software with its sound of them
results = "logs/generators.json"  # what has been measured already
card = ""  # model card to write the tables into, between their marks; "" for none

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

FULL_SCALE = 32767  # of 16 bits
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


def of_others():
    """{name of a row: folder}, of what benchmarks/exporters.py wrote into `exported`."""
    return {path.parent.name: path.parent for path in sorted(Path(exported).glob("*/right.npz"))} if exported else {}


def wavegan(name, width, count):
    """A generator of WaveGAN's options, written to a folder as its makers would and loaded from there → it, latent
    vectors, and its sound of them."""
    with tempfile.TemporaryDirectory() as folder:
        tf1_wavegan.write(Path(folder), width=width, seed=seed, trials=1, **WAVEGANS[name])
        generator = load_generator(folder)
    true = random_latent(generator, count, seed + 1)
    return generator, true, generator(true).numpy()


def of_other_software(place, count):
    """The same of a generator in a folder of benchmarks/exporters.py, its own software's sound in 16 bits, and a row's
    beginning: the `software`, and the RMS of the `difference` of our sound from theirs, as a share of its RMS."""
    right = np.load(place / "right.npz")
    row = {"software": str(right["software"])}
    try:
        generator = load_generator(place)
    except CheckpointError as error:
        return None, None, None, row | {"refused": str(error).replace(f"{place}/", "")}
    true, sound = right["z"][:count], right["sound"][:count]
    difference = np.ravel(generator(true)) - np.ravel(sound)
    row["difference"] = float(np.linalg.norm(difference) / np.linalg.norm(np.ravel(sound)))
    return generator, true, (np.round(sound * FULL_SCALE) / FULL_SCALE).astype(np.float32), row


def measure(name, width, count):
    """A row: how many of `count` latent vectors come back exactly, and what it took."""
    place, row = of_others().get(name), {}
    if place is None:
        generator, true, clips = wavegan(name, width, count)
    else:
        generator, true, clips, row = of_other_software(place, count)
        if generator is None:
            return row
    begin = time.perf_counter()
    solution = recover(clips, generator, solver=LevenbergMarquardt(max_iter, restarts), seed=seed + 2)
    return row | {
        "form": generator.description,
        "condition": float(np.median(condition_number(generator, true[:2]))),
        "exact": int((latent_mse(true, solution.z) < EXACT).sum()),
        "clips": len(true),
        "iterations": float(np.median(solution.iterations)),
        "snr_db": float(solution.snr_db.min()),
        "seconds": (time.perf_counter() - begin) / len(true),
    }


def table(rows):
    """rows: {name: what `measure` returned} of WaveGANs → Markdown."""
    heads = ["WaveGAN", "condition", "exact", "iterations, median", "lowest SNR in dB", "seconds a clip"]
    cells = [
        [name, f"{row['condition']:.0f}", f"{row['exact']} of {row['clips']}", f"{row['iterations']:.0f}",
         f"{row['snr_db']:.0f}", f"{row['seconds']:.1f}"]
        for name, row in rows.items()
    ]  # fmt: skip
    return markdown(heads, cells)


def table_of_others(rows):
    """The same of other software's generators."""
    heads = ["what", "written by", "difference from its own sound", "exact", "lowest SNR in dB"]
    cells = [
        [name, row["software"], f"{row['difference']:.1e}", f"{row['exact']} of {row['clips']}",
         f"{row['snr_db']:.0f}"]
        if "refused" not in row
        else [name, row["software"], f"refused: {row['refused']}", "", ""]
        for name, row in rows.items()
    ]  # fmt: skip
    return markdown(heads, cells)


def measured(name, width, count, done, path):
    """The row of a generator, from an earlier run if it is there, with a line that says it."""
    label = f"{name}, width {width}" if width else name
    key = f"{label}, {count} clips, {max_iter} iterations, {restarts} restarts, seed {seed}"
    if key not in done:
        done[key] = measure(name, width, count)
        with written_whole(path, "w") as file:
            json.dump(done, file, indent=1)
    row = done[key]
    words = f"refused, {row['refused']}" if "refused" in row else f"{row['exact']} of {count} exact ({row['form']})"
    print(f"{label}: {words}", flush=True)
    return label, row


def main():
    path, names = Path(results), [*WAVEGANS, *of_others()]
    done = json.loads(path.read_text()) if path.exists() else {}
    parts = options.split(";") if options else [""]
    if unknown := [part for part in parts if not any(part in name for name in names)]:
        raise ValueError(f"options: {unknown[0]} is in no name of a row; the names are {'; '.join(names)}")
    wanted = [name for name in names if any(part in name for part in parts)]
    sizes = [int(width) for width in widths.split(",") if width]
    jobs = [(name, width, num_clips if width < WIDE else num_wide) for width in sizes for name in WAVEGANS]
    others = [(name, 0, num_clips) for name in of_others()]
    for marks, of, some in (("builds", table, jobs), ("exports", table_of_others, others)):
        if rows := dict(measured(*job, done, path) for job in some if job[0] in wanted):
            print()
            show_figures(card, marks, of(rows))


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError, ValueError):
        main()
