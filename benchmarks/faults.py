"""Kills every script that runs long, at chosen moments, and looks whether anything is lost.

Each script runs on tiny inputs of its own, over a result that an earlier run has left. It is killed before the K-th
operation on its files (benchmarks/killing.py), with what is not on the disk yet cut in half. Then its folder has to
load, as the old set or the new one; the same command has to complete; and what is there at the end has to be what an
unbroken run leaves, with no stray file. The first moments are those around the first rename that makes a set of files
valid (the first export, the first state), the others are drawn at random.

Then each runs on full disks, which take files up to some size only: that has to end in one line that names a file,
with the folder as it was or whole, and the same command has to complete once there is room.
"""

kills = 50  # in all, shared among the scripts [1 to 100,000]
limits = "1000,20000,200000"  # bytes that a file may have on the full disks, comma-separated
only = ""  # names of scripts, comma-separated, such as "train.py,datasets/fetch.py"; "": all
seed = 0  # of the moments [0 to 4,294,967,295]
folder = "waves/faults/"  # folder for the runs; what is there from an earlier one is removed

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from common.settings import from_shell

from_shell(globals())

import os
import resource
import shutil
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras  # noqa: F401
import librosa  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import numpy as np

from benchmarks.fault_scenarios import SCENARIOS, make_inputs, serving
from benchmarks.killing import KILLED, in_a_fork, run_script
from common.script import ScriptError, one_line_errors

STRAY = (".next", ".next.partial", ".next.done")


class Loss(Exception):
    """Something that a kill has cost; the message says what."""


def run(scenario, place, log, kill_at=None, prepare=lambda: None):
    where = {"root": place, "inputs": place.parent / "inputs", "address": os.environ["FAULTS_ADDRESS"]}
    arguments = [text.format(**where) for text in scenario.arguments]
    return run_script(ROOT / scenario.script, arguments, place, log, kill_at, prepare)


def begun(scenario, place):
    """A folder in which an earlier run has left its result."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(Path(folder) / "inputs" / "old", place)


def strays(place):
    """Files and folders that only a run in progress may have."""
    found = [path for path in place.rglob("*") if path.name in STRAY or path.name.endswith(".partial")]
    return sorted(str(path.relative_to(place)) for path in found)


def ended(log):
    lines = log.with_suffix(".err").read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no word of why"


def checked(work, log, words):
    if in_a_fork(work, log):
        raise Loss(f"{words}: {ended(log)}")


def complete(scenario, place, logs, whole):
    """Runs the same command again, which has to leave what an unbroken run leaves."""
    status, _ = run(scenario, place, logs / "again.log")
    if status:
        raise Loss(f"the next run ends with {status}: {ended(logs / 'again.log')}")
    checked(lambda: scenario.load(place), logs / "load.log", "does not load at the end")
    found = scenario.facts(place)
    if different := [name for name in whole if found.get(name) != whole[name]]:
        raise Loss(f"{different[0]} is {found.get(different[0])}, unbroken {whole[different[0]]}")
    if left := strays(place):
        raise Loss(f"{left[0]} is left over")


def killed_once(scenario, place, logs, moment, whole):
    """Kills one run before its operation `moment` and completes it → whether it came to that operation."""
    begun(scenario, place)
    status, operations = run(scenario, place, logs / "killed.log", moment)
    if status not in (0, KILLED):
        raise Loss(f"ends with {status}: {ended(logs / 'killed.log')}")
    checked(lambda: scenario.load(place), logs / "load.log", f"{operations[-1]}: does not load")
    try:
        complete(scenario, place, logs, whole)
    except Loss as loss:
        raise Loss(f"{operations[-1]}: {loss}") from loss
    return status == KILLED


def on_a_full_disk(scenario, place, logs, limit, whole):
    """Runs into a limit of so many bytes a file, and completes without it → whether it came to the limit."""
    begun(scenario, place)
    status, _ = run(
        scenario, place, logs / "full.log", prepare=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    said = (logs / "full.err").read_text(errors="replace").splitlines()
    if status not in (0, 1):
        raise Loss(f"ends with {status}: {said[-1:]}")
    if status and (len(said) != 1 or str(place) not in said[0]):
        raise Loss(f"does not say in one line which file: {said[-3:]}")
    checked(lambda: scenario.load(place), logs / "load.log", "does not load")
    if left := [name for name in strays(place) if ".downloads" not in name]:
        raise Loss(f"{left[0]} is left over")
    if status:
        complete(scenario, place, logs, whole)
    return status == 1


def moments(operations, count, rng):
    """Numbers of operations: the two around the first switch of a set, then random ones, all different."""
    switches = [i for i, line in enumerate(operations, 1) if line.startswith("rename") and line.endswith("/.next")]
    switch = switches[0] if switches else None
    first = [switch, switch + 1] if switch else []
    others = [int(i) for i in rng.permutation(len(operations)) + 1 if i not in first]
    return [*first, *others][:count]


def measure(scenario, count, rng):
    """A row of the table for one script, and the losses."""
    place, logs = Path(folder).resolve() / scenario.name, Path(folder).resolve() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    begun(scenario, place)
    status, operations = run(scenario, place, logs / "whole.log")
    if status:
        raise ScriptError(f"{scenario.script}: the unbroken run ends with {status}: {ended(logs / 'whole.log')}")
    whole = scenario.facts(place)
    killed, losses = 0, []
    for moment in moments(operations, count, rng):
        try:
            killed += killed_once(scenario, place, logs, moment, whole)
        except Loss as loss:
            losses.append(f"{scenario.script}, before operation {moment} of {len(operations)}, {loss}")
            print(losses[-1], file=sys.stderr, flush=True)
    full = 0
    for limit in (int(text) for text in limits.split(",") if text):
        try:
            full += on_a_full_disk(scenario, place, logs, limit, whole)
        except Loss as loss:
            losses.append(f"{scenario.script}, {limit} bytes a file: {loss}")
            print(losses[-1], file=sys.stderr, flush=True)
    return f"| `{scenario.script}` | {len(operations)} | {killed} | {full} | {len(losses)} |", losses


def main():
    chosen = [s for s in SCENARIOS if not only or s.script in only.split(",")]
    if not chosen:
        raise ScriptError(f"only is {only!r}; the scripts are {', '.join(s.script for s in SCENARIOS)}")
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).parent.mkdir(parents=True, exist_ok=True)
    begin, lines, losses = time.monotonic(), [], []
    if in_a_fork(lambda: make_inputs(Path(folder).resolve() / "inputs"), Path(folder).with_suffix(".log")):
        raise ScriptError(f"the inputs cannot be made: {ended(Path(folder).with_suffix('.log'))}")
    with serving(Path(folder).resolve() / "inputs") as address:
        os.environ["FAULTS_ADDRESS"] = address
        for i, scenario in enumerate(chosen):
            count = kills // len(chosen) + (i < kills % len(chosen))
            line, lost = measure(scenario, count, np.random.default_rng([seed, i]))
            lines.append(line)
            losses += lost
            print(line, file=sys.stderr, flush=True)
    print("| script | operations on files | kills | full disks | losses |\n| --- | --- | --- | --- | --- |")
    print("\n".join(lines))
    print(f"\nSeed {seed}, {time.monotonic() - begin:.0f} s.")
    if losses:
        raise ScriptError(f"{len(losses)} kills cost something, the first: {losses[0]}")


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
