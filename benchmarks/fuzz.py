"""Feeds damaged recordings, damaged checkpoints and odd settings to what reads them, and counts how each ends.

Each has to end in a result (finite samples, a network with finite weights, a value that is allowed) or in an error of
one line that names the file or the setting. Whatever else happens (another exception, several lines, NaN, a crash of
the process) is printed, with the number that makes it again, and gives exit status 1.
"""

audio = 2000  # damaged recordings [0 to 1,000,000]
checkpoints = 500  # damaged checkpoints and training states [0 to 1,000,000]
odd = 500  # odd settings, as the scripts read them [0 to 1,000,000]
runs = 50  # runs of a script with an odd setting [0 to 1,000,000]
seed = 0  # of the damage [0 to 4,294,967,295]
folder = "waves/fuzz/"  # folder for the files; what is there from an earlier run is removed

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from common.settings import from_shell

from_shell(globals())

import json
import shutil
import time
from collections import Counter

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras  # noqa: F401
import librosa  # noqa: F401
import numpy as np

from benchmarks.fuzz_cases import AUDIO, RUNS, SETTINGS, make_audio
from benchmarks.fuzz_checkpoints import CHECKPOINTS, make_checkpoints
from benchmarks.killing import in_a_fork
from common.script import ScriptError, one_line_errors

AT_ONCE = 100  # cases a process: a crash costs no more of them
MOST_SHOWN = 30
RESULT, REFUSED, WRONG = "result", "one-line error", "anything else"


def outcome(case, kind, number, place):
    """How one case ends, and what to say of it if that is wrong. case: (rng, folder) → calls what reads."""
    rng = np.random.default_rng([seed, kind, number])
    try:
        wrong = case(rng, place)
        return (WRONG, wrong) if wrong else (RESULT, "")
    except SystemExit as end:
        return (REFUSED, "") if end.code == 2 else (WRONG, f"exit status {end.code}")
    except (ValueError, OSError) as error:
        text = str(error)
        good = str(place) in text and "\n" not in text
        return (REFUSED, "") if good else (WRONG, f"{type(error).__name__}: {text!r}")
    except Exception as error:
        return WRONG, f"{type(error).__name__}: {error}"


def some(kind, cases, numbers, place, found):
    """Runs cases in this process and appends {"number", "outcome", "words"} of each to the file `found`."""
    with open(found, "a", buffering=1) as file:
        for number in numbers:
            name = list(cases)[number % len(cases)]
            how, words = outcome(cases[name], kind, number, place)
            file.write(json.dumps({"number": number, "case": name, "outcome": how, "words": words}) + "\n")


def counted(title, kind, cases, count, place):
    """A row of the table, and what went wrong."""
    place.mkdir(parents=True, exist_ok=True)
    found, log = place.with_suffix(".jsonl"), place.with_suffix(".log")
    first, lines = 0, []
    while first < count:
        numbers = range(first, min(first + AT_ONCE, count))
        status = in_a_fork(lambda numbers=numbers: some(kind, cases, numbers, place, found), log)
        lines = [json.loads(line) for line in found.read_text().splitlines()] if found.exists() else []
        if status:  # a crash: the case that it came to
            name = list(cases)[len(lines) % len(cases)]
            crash = {"number": len(lines), "case": name, "outcome": WRONG, "words": f"crash, status {status}"}
            lines.append(crash)
            with open(found, "a") as file:
                file.write(json.dumps(crash) + "\n")
        first = len(lines)
        print(f"{title}: {first} of {count}", file=sys.stderr, flush=True)
    of = Counter(line["outcome"] for line in lines)
    wrong = [f"{title} {x['number']} ({x['case']}): {x['words']}" for x in lines if x["outcome"] == WRONG]
    return f"| {title} | {count} | {of[RESULT]} | {of[REFUSED]} | {of[WRONG]} |", wrong


def main():
    shutil.rmtree(folder, ignore_errors=True)
    place = Path(folder).resolve()
    place.mkdir(parents=True)
    for make in (make_audio, make_checkpoints):
        if in_a_fork(lambda make=make: make(place / "whole"), place / "inputs.log"):
            raise ScriptError(f"the inputs cannot be made: {(place / 'inputs.err').read_text()[-500:]}")
    begin, wrong = time.monotonic(), []
    parts = (("damaged recordings", AUDIO, audio), ("damaged checkpoints", CHECKPOINTS, checkpoints))
    parts += (("odd settings", SETTINGS, odd), ("runs with an odd setting", RUNS, runs))
    lines = []
    for kind, (title, cases, count) in enumerate(parts):
        line, bad = counted(title, kind, cases, count, place / title.replace(" ", "_"))
        lines.append(line)
        wrong += bad
    print(f"| what | cases | {RESULT} | {REFUSED} | {WRONG} |\n| --- | --- | --- | --- | --- |")
    print("\n".join(lines))
    print(f"\nSeed {seed}, {time.monotonic() - begin:.0f} s.")
    if wrong:
        print("\n".join(wrong[:MOST_SHOWN]))
        raise ScriptError(f"{len(wrong)} cases end in neither a result nor a one-line error")


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
