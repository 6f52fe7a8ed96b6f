"""Scripts that are killed, interrupted or run out of disk: what is left, and whether the next run ends as one that
nothing disturbed. Tiny random networks; some seconds a run.
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

import csv
import hashlib
import json
import shutil
import subprocess
import tempfile
import zipfile

import common.networks  # noqa: F401  first, so that TensorFlow starts without its noise

import h5py
import numpy as np
import soundfile
from killing import KILLED
from tiny_networks import write_weights

from common.script import one_line_errors

NETWORKS = " ".join(
    f"--{name}checkpoint={{0}}/{folder}"
    for name, folder in {"": "checkpoint", "inverse_mapping_": "mapping", "classifier_": "classifier"}.items()
)
JUDGE, RECORDINGS = "--judge_checkpoint={0}/judge", "{0}/recordings"
TRAINED = f"--datasets={RECORDINGS} --logs={{1}}/logs --width=1 --epochs=2"
FEW = "--max_iter=1 --restarts=0"
COMMANDS = {  # {0}: the folder of inputs, {1}: that of results
    "generate.py": f"--num_samples=12 --checkpoint={{0}}/checkpoint {JUDGE} --output={{1}}",
    "latent_vector_recovery.py": f"--files={RECORDINGS} --output={{1}} {NETWORKS} {JUDGE} --batch_size=5 --report",
    "latent_vector_recovery.py --gradient": f"--files={RECORDINGS} --output={{1}} {NETWORKS} {JUDGE} {FEW} --budget=4"
    " --solver=levenberg_marquardt",
    "latent_vector_recovery.py --hop=0.5": f"--files={{0}}/long.wav --output={{1}} {NETWORKS} {JUDGE} --batch_size=5",
    "calculate_metrics.py": f"--datasets={RECORDINGS} --num_clips=3 --splits=1 --output={{1}} {NETWORKS} {JUDGE}",
    "train.py": f"{TRAINED} --checkpoint={{0}}/checkpoint --classifier_checkpoint={{0}}/classifier --waves={{1}}/waves"
    " --inverse_mapping_checkpoint={1}/mapping --steps=2 --batch_size=2 --real_batch_size=2",
    "train_wavegan.py": f"{TRAINED} --checkpoint={{1}}/wavegan --steps=1 --batch_size=2 --judged_every=0",
    "train_sc09_classifier.py": f"{TRAINED} --classifier_checkpoint={{1}}/classifier --xla=False",
    "adapt_wavegan.py": f"--files={RECORDINGS} --output={{1}}/adapted {NETWORKS} --num_recordings=4 --steps=2",
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
    """What a file says, without times: a SHA-256. Raises whatever a file that is not whole leads to."""
    if path.suffix == ".csv":
        with open(path, newline="") as file:
            rows = [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file, strict=True)]
        data = json.dumps(sorted(map(str, rows)))
    elif path.suffix == ".json":
        kept = {"object_pairs_hook": lambda pairs: {k: v for k, v in pairs if k not in TIMES}}
        data = json.dumps(json.loads(path.read_text(), **kept))
    elif path.suffix == ".h5":
        arrays = []
        with h5py.File(path) as file:
            file.visititems(lambda name, item: arrays.append(name) if isinstance(item, h5py.Dataset) else None)
            data = repr([(name, file[name][()].tobytes()) for name in sorted(arrays)])
    elif path.suffix == ".keras":
        with zipfile.ZipFile(path) as file:
            data = repr([file.read(name) for name in file.namelist() if name != "metadata.json"])
    else:
        data = path.read_bytes().hex()
    return hashlib.sha256(data.encode()).hexdigest()


def contents(folder):
    """{name: `content`} of what a run has left for its user; pages, pictures and logs are there or not."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and "tfevents" not in path.name]
    paths = [path for path in paths if not any(part[0] == "." for part in path.relative_to(folder).parts)]
    shown = {".html", ".png"}
    return {str(p.relative_to(folder)): "" if p.suffix in shown else content(p) for p in paths}


def run(name, place, inputs, last=0):
    """One run of a script → exit status, and what it said of errors. last: the operation that it is killed at."""
    script, *words = f"{name} {COMMANDS[name].format(inputs, place)}".split()
    killing = [ROOT / "tests/killing.py", place, place.with_suffix(".operations"), last, 0, ROOT / script, *words]
    ended = subprocess.run([sys.executable, *map(str, killing)], cwd=ROOT, capture_output=True, text=True, timeout=300)
    return ended.returncode, ended.stderr


def tried(name, inputs, place):
    """Kills a script at its moments and runs it again → what happened, as a row of the table."""
    wholes = []
    for _ in range(2):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        status, said = run(name, place, inputs)
        assert status == 0, said
        wholes.append(contents(place))
    operations = place.with_suffix(".operations").read_text().splitlines()
    same = wholes[0] == wholes[1]
    writes = [i for i, line in enumerate(operations, 1) if line.startswith("fsync")]
    rng = np.random.default_rng(seed)
    moments = [int(rng.choice(writes)), *map(int, rng.choice(len(operations), kills - 1) + 1)][:kills]
    good, wrong = 0, []
    for moment in moments:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        status, said = run(name, place, inputs, moment)
        try:
            assert status == KILLED, f"status {status}: {said}"
            contents(place)
            status, said = run(name, place, inputs)
            assert status == 0, said
            now = contents(place)
            assert set(now) == set(wholes[0]), f"files {set(now) ^ set(wholes[0])}"
            differ = [path for path in now if same and now[path] != wholes[0][path]]
            assert not differ, f"other contents: {differ}"
            good += 1
        except Exception as error:
            wrong.append(f"{operations[moment - 1]}: {str(error)[-400:]}")
    return [f"`{name}`", f"{good} of {len(moments)}", "to the bit" if same else "files", str(len(operations))], wrong


def main():
    names = [name for name in COMMANDS if not scripts or name.split()[0] in scripts.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs"
        write_inputs(inputs)
        for name in names:
            row, wrong = tried(name, inputs, Path(folder) / "results")
            print(f"| {' | '.join(row)} |", flush=True)
            for line in wrong:
                print(f"    {line}", flush=True)


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
