"""Recovers many recordings in one process and shows its memory and its open files on the way; meanwhile a second run is
started into the same folder, and at the end every recording has one row and its files.
"""

number = 2000  # recordings [200 to 1,000,000]
gradient = False  # optimise as well as predict: seconds a recording
seed = 0  # of the recordings [0 to 4,294,967,295]
folder = "waves/many_clips/"  # folder for recordings and results; what is there from an earlier run is removed

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from common.settings import from_shell

from_shell(globals())

import csv
import os
import resource
import runpy
import shutil
import subprocess

import common.networks  # noqa: F401

import numpy as np
import soundfile

from common.recovering import RecoveryTable
from common.script import ScriptError, one_line_errors

LINES = 10  # of the table
SCRIPT = ROOT / "latent_vector_recovery.py"


def write_recordings(place):
    """Rising tones of random length, pitch, level and rate."""
    place.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for i in range(number):
        count, rate = int(rng.integers(2000, 20_000)), int(rng.choice([8000, 16_000, 16_384, 44_100]))
        rising = np.sin(np.cumsum(np.linspace(0.05, rng.uniform(0.1, 0.6), count)))
        soundfile.write(place / f"{i:06}.wav", rng.uniform(0.01, 0.9) * rising, rate)


def memory():
    """MiB that this process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


class Watched:
    """Looks at the process after every so many rows, and starts the second run in the middle."""

    def __init__(self, command):
        self.command, self.count, self.rows, self.second = command, 0, [], None
        self.add = RecoveryTable.add

    def after(self, table, path, values):
        self.add(table, path, values)
        self.count += 1
        if self.count == number // 2:
            self.second = subprocess.run(self.command, capture_output=True, text=True)
        if self.count % (number // LINES) == 0:
            self.rows.append((self.count, memory(), len(os.listdir("/proc/self/fd"))))


def main():
    shutil.rmtree(folder, ignore_errors=True)
    place = Path(folder).resolve()
    write_recordings(place / "recordings")
    arguments = [f"--files={place / 'recordings'}", f"--output={place / 'results'}"]
    arguments += ["--gradient"] if gradient else []
    watched = Watched([sys.executable, str(SCRIPT), *arguments])
    RecoveryTable.add = lambda table, path, values: watched.after(table, path, values)
    sys.argv = [SCRIPT.name, *arguments]
    with open(place / "printed.log", "w") as printed:
        before, sys.stdout = sys.stdout, printed
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as end:
            if end.code:
                raise ScriptError(f"{SCRIPT.name} ends with {end.code}") from None
        finally:
            sys.stdout = before
    print("| recordings | memory, MiB | open files |\n| --- | --- | --- |")
    print("\n".join(f"| {count} | {held:.0f} | {files} |" for count, held, files in watched.rows))
    with open(place / "results/recovery.csv", newline="") as file:
        rows = [row["name"] for row in csv.DictReader(file)]
    files = {ending: len(list((place / "results").glob(f"*{ending}"))) for ending in (".npy", "_reconstruction.wav")}
    said = watched.second.stderr.strip().splitlines()[-1:]
    print(f"\nThe second run into the folder ended with {watched.second.returncode}: {' '.join(said)}")
    print(f"{len(rows)} rows, {len(set(rows))} names, {files}")
    if not len(rows) == len(set(rows)) == files[".npy"] == files["_reconstruction.wav"] == number:
        raise ScriptError(f"{place / 'results'}: not every recording is there once")


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
