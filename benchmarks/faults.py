"""Scripts that are killed: whether what is left is whole, and whether the next run ends as one that nothing disturbed.

At chosen operations on files a copy is kept of what a kill and a power cut together would leave there; the script then
goes on from each. Tiny random networks; training without graphs. Prints the rows of a Markdown table.
"""

# What is tried
scripts = ""  # those to try, with commas between them; "": all
kills = 8  # moments of each script at which it is killed, one of them inside a write [0 to 1000]
seed = 0  # of the moments [0 to 4,294,967,295]

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from common.settings import from_shell

from_shell(globals())

import contextlib
import csv
import io
import os
import shutil
import tempfile
import zipfile

import common.networks  # noqa: F401  first, so that TensorFlow starts without its noise

import numpy as np
import soundfile
from killing import Snapshots
from run_script import run_eagerly, run_script
from tiny_networks import write_weights

from common.script import one_line_errors

RECORDINGS, JUDGE = "{0}/recordings", "--judge_checkpoint={0}/judge"
NETWORKS = f"--checkpoint={{0}}/checkpoint --inverse_mapping_checkpoint={{0}}/mapping {JUDGE}"
NETWORKS += " --classifier_checkpoint={0}/classifier"
RECOVERED = f"--output={{1}} {NETWORKS} --batch_size=5"
TRAINED = f"--datasets={RECORDINGS} --logs={{1}}/logs --width=1 --epochs=2"
FEW = "--max_iter=1 --restarts=0 --budget=4"
COMMANDS = {  # {0}: the folder of inputs, {1}: that of results
    "generate.py": f"--num_samples=12 --checkpoint={{0}}/checkpoint {JUDGE} --output={{1}}",
    "latent_vector_recovery.py": f"--files={RECORDINGS} {RECOVERED} --report",
    "latent_vector_recovery.py --gradient": f"--files={RECORDINGS} {RECOVERED} --solver=levenberg_marquardt {FEW}",
    "latent_vector_recovery.py --hop=0.5": f"--files={{0}}/long.wav {RECOVERED}",
    "calculate_metrics.py": f"--datasets={RECORDINGS} --num_clips=3 --splits=1 --output={{1}} {NETWORKS}",
    "train.py": f"{TRAINED} --checkpoint={{0}}/checkpoint --classifier_checkpoint={{0}}/classifier --waves={{1}}/waves"
    " --inverse_mapping_checkpoint={1}/mapping --steps=2 --batch_size=2 --real_batch_size=2",
    "train_wavegan.py": f"{TRAINED} --checkpoint={{1}}/wavegan --steps=1 --batch_size=2 --judged_every=0",
    "train_sc09_classifier.py": f"{TRAINED} --classifier_checkpoint={{1}}/classifier --xla=False",
    "train_sc09_classifier.py --recipe=judge": f"{TRAINED} --classifier_checkpoint={{1}}/judge --xla=False",
    "adapt_wavegan.py": f"--files={RECORDINGS} --output={{1}}/adapted --num_recordings=4 --steps=2 "
    + NETWORKS.replace(JUDGE, ""),
}
TIMES = {"seconds", "seconds a clip"}  # columns and keys that no seed makes the same


def write_inputs(folder):
    write_weights(folder)
    (folder / "recordings").mkdir()
    for i in range(40):
        tone = 0.3 * np.sin(np.arange(3000) * (0.1 + i % 4 / 10) + i)
        soundfile.write(folder / f"recordings/{i % 4}_anna_{i // 4 + 3}.wav", tone, 8000)
    soundfile.write(folder / "long.wav", np.random.default_rng(0).normal(0, 0.1, 64000), 8000)


def content(path):
    """What a file says but for times; raises for one that is not whole."""
    if path.suffix == ".csv":
        with open(path, newline="") as file:
            return sorted(str([pair for pair in row.items() if pair[0] not in TIMES]) for row in csv.DictReader(file))
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as file:
            return [file.read(name) for name in file.namelist() if name != "metadata.json"]
    readers = {".npy": np.load, ".wav": lambda path: soundfile.read(path)[0]}
    if path.suffix in readers:
        return readers[path.suffix](path).tobytes()
    return "" if path.suffix in (".html", ".png") else path.read_bytes()


def contents(folder):
    """{name: `content`} of the files that a run has left for its user, but for logs."""
    paths = [path for path in folder.rglob("[!.]*") if path.is_file() and "tfevents" not in path.name]
    paths = {str(path.relative_to(folder)): path for path in paths if "/." not in str(path.relative_to(folder.parent))}
    return {name: content(path) for name, path in paths.items()}


def run(name, place, inputs, chosen=()):
    """One run of a script in this process → its operations in the folder `place`; snapshots of those chosen."""
    script, *words = f"{name} {COMMANDS[name].format(inputs, place)}".split()
    moments = Snapshots(place, place.with_suffix(".operations"))
    moments.chosen, said = chosen, io.StringIO()
    with moments.journal, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        if (run_eagerly if "train" in script else run_script)(script, *words):
            raise ValueError(said.getvalue()[-300:])
    return Path(moments.journal.name).read_text().splitlines()


def tried(name, inputs, place):
    """Goes on from what kills leave of a script's run → a row of the table, and what went wrong."""
    place.mkdir()
    operations, rng, wrong = run(name, place, inputs), np.random.default_rng(seed), []
    whole = contents(place)
    writes = [i for i, line in enumerate(operations, 1) if line.startswith("fsync")]
    moments = {int(rng.choice(writes))}
    while len(moments) < min(kills, len(operations)):
        moments.add(int(rng.integers(1, len(operations) + 1)))
    shutil.rmtree(place)
    place.mkdir()
    run(name, place, inputs, moments)
    again = contents(place)
    same = {path for path in whole if again[path] == whole[path]}
    for moment in sorted(moments):
        shutil.rmtree(place)
        os.rename(f"{place}.{moment}", place)
        try:
            contents(place)  # nothing is half there
            run(name, place, inputs)
            now = contents(place)
            if differ := set(now) ^ set(whole) or {path for path in same if now[path] != whole[path]}:
                raise ValueError(f"not as undisturbed: {sorted(differ)}")
        except Exception as error:
            wrong.append(f"{operations[moment - 1]}: {error}")
    shutil.rmtree(place)
    right = f"{len(moments) - len(wrong)} of {len(moments)}"
    return f"| `{name}` | {right} | {len(same)} of {len(whole)} | {len(operations)} |", wrong


def main():
    names = [name for name in COMMANDS if not scripts or name.split()[0] in scripts.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs"
        write_inputs(inputs)
        for name in names:
            row, wrong = tried(name, inputs, Path(folder) / "results")
            print("\n    ".join([row, *wrong]), flush=True)


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
