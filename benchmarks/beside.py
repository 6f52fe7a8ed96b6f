"""How fast recovery is, beside an earlier version of this project in another folder: the same recordings, in turns.

Each of the two recovers them with its own latent_vector_recovery.py, and what is compared is the processor time of
that process, with TensorFlow on one thread, so that other work on the machine counts for little. What a run with a
single recording takes, most of which is starting and compiling, is subtracted from both. Prints a Markdown table.
"""

other = ""  # the other version's folder, as `git worktree add FOLDER REVISION` makes one
rows = ""  # which, with semicolons between them; "": all
num_clips = 8  # recordings of each row [2 to 1000]
datasets = "datasets/"  # folders with recordings, separated by commas; their test parts are used
seed = 2  # of latent vectors, damages and the choice of recordings [0 to 2,147,483,646]
card = ""  # Markdown file to write the table into as well, between its marks; "" for none

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from common.settings import from_shell

from_shell(globals())

import os
import shutil
import subprocess
import tempfile

import common.networks  # noqa: F401

import keras
import numpy as np

from benchmarks.damage import damaged
from common.script import ScriptError, one_line_errors
from common.view import write_figures
from datasets.layouts import find_datasets
from models.files.errors import CheckpointError
from models.generator.generator import generate, random_latent
from models.generator.loading import load_generator
from models.generator.tf1_export import export_wavegan, wavegan_variables
from models.metrics.metrics import EXACT, latent_mse
from models.training.wavegan.networks import build_generator

STREAM = 20_143  # separates these latent vectors from every other use of a seed
HYBRID, FROM_ZERO = ("--gradient",), ("--gradient", "--inverse_mapping=False")
TOGETHER = "gain, offset, shift and 16 bits"
WIDE = 64  # of the published generator
ROWS = {  # {name: (damage of own clips, "" for recordings; width of random weights, 0 for those in checkpoint/; how)}
    "own clips, hybrid": ("none", 0, HYBRID),
    "own clips, from zero": ("none", 0, FROM_ZERO),
    f"{TOGETHER}, hybrid": (TOGETHER, 0, HYBRID),
    f"{TOGETHER}, from zero": (TOGETHER, 0, FROM_ZERO),
    "recordings, are they its own?": ("", 0, ("--made_here",)),
    "recordings, by ear": ("", 0, HYBRID),
    "width 64, from zero": ("none", WIDE, FROM_ZERO),
}
ONE_THREAD = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")


def processor_time(folder, files, output, arguments):
    """Recovers the recordings in `files` with the version in `folder` → seconds of processor time, and the peak of its
    memory in GiB."""
    command = [sys.executable, "latent_vector_recovery.py", f"--files={files}", f"--output={output}", *arguments]
    with tempfile.TemporaryFile() as said:
        run = subprocess.Popen(command, cwd=folder, env=os.environ | ONE_THREAD, stdout=said, stderr=said)
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
        if run.returncode:
            said.seek(0)
            raise ScriptError(f"{folder}: {said.read().decode(errors='replace').strip().splitlines()[-1]}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20


def recordings(place, damage, generator):
    """Writes the row's recordings into `place` → their latent vectors {name: array}, empty where none are known."""
    place.mkdir()
    if not damage:
        paths = [r.path for r in find_datasets(datasets)[1] if r.split == "test"]
        for i in np.random.default_rng([STREAM, seed]).permutation(len(paths))[:num_clips]:
            shutil.copy(paths[i], place)
        return {}
    true = random_latent(generator, num_clips, [STREAM, seed])
    for i, wave in enumerate(generate(generator, true)[..., 0]):
        damaged(wave, generator.sample_rate, damage, np.random.default_rng([STREAM, seed, i]), place / f"{i:04d}")
    return {f"{i:04d}": z for i, z in enumerate(true)}


def measured(folder, files, place, arguments, true):
    """→ seconds of processor time a recording beyond the first, peak memory in GiB, and how many came back exactly."""
    one = place / "one"
    one.mkdir()
    shutil.copy(min(files.iterdir()), one)
    alone, _ = processor_time(folder, one, place / "first", arguments)
    output = place / "all"
    spent, peak = processor_time(folder, files, output, arguments)
    exact = sum(latent_mse(z[None], np.load(output / f"{name}.npy")[None])[0] < EXACT for name, z in true.items())
    return (spent - alone) / (num_clips - 1), peak, exact


def row(name, place):
    """A line of the table."""
    damage, width, how = ROWS[name]
    checkpoint = ROOT / "checkpoint"
    if width:
        keras.utils.set_random_seed(seed)
        checkpoint = place / "checkpoint"
        export_wavegan(checkpoint, wavegan_variables(build_generator(width)))
    arguments = [*how, f"--checkpoint={checkpoint}"]
    true = recordings(place / "files", damage, load_generator(checkpoint))
    both = []
    for version, folder in (("other", Path(other).resolve()), ("here", ROOT)):
        (place / version).mkdir()
        both.append(measured(folder, place / "files", place / version, arguments, true))
    (before, peak_before, exact_before), (after, peak, exact) = both
    cells = [name, f"{before:.2f}", f"{after:.2f}", f"{after / before:.2f}"]
    cells += [f"{exact_before} and {exact} of {num_clips}" if true else "", f"{peak_before:.1f} and {peak:.1f}"]
    return "| " + " | ".join(cells) + " |"


def main():
    if not (Path(other) / "latent_vector_recovery.py").exists():
        raise ScriptError(f"other={other}: no version of this project; `git worktree add FOLDER REVISION` makes one")
    if unknown := [name for name in rows.split(";") if name and name not in ROWS]:
        raise ScriptError(f"rows are among {'; '.join(ROWS)}, not {'; '.join(unknown)}")
    lines = ["| recordings | other, s a clip | here, s a clip | ratio | exact | peak memory, GiB |", "| --- " * 6 + "|"]
    print("\n".join(lines), flush=True)
    for name in rows.split(";") if rows else ROWS:
        with tempfile.TemporaryDirectory() as folder:
            lines.append(row(name, Path(folder)))
        print(lines[-1], flush=True)
    if card:
        write_figures(card, "beside", "\n".join(lines))


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError):
        main()
