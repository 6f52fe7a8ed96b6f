"""Runs every command line that README and the model cards contain, in a copy of the project: as it stands there, with
smaller settings behind it where it would take longer than a minute.

Recordings are the examples' own, under FSDD's names; what is downloaded comes from a server on this machine. Scripts
that read weights run two at once, those that replace them one after the other. Prints each command with its seconds;
exit status 1 if one fails.
"""

import functools
import http.server
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SPEAKERS = ("george", "jackson", "lucas", "theo", "yweweler")
TAKES = (2, 3, 5, 6, 7)  # two test takes, a validation take, two to train on
FEW = "--epochs=1 --width=1"
SMALLER = {  # what is added to a command, by script; {server} is the address of the server
    "train.py": f"{FEW} --datasets=datasets/fsdd --steps=1 --batch_size=2 --real_batch_size=2",
    "train_wavegan.py": f"{FEW} --datasets=datasets/fsdd --steps=1 --batch_size=2 --judged_every=0 --fresh",
    "train_sc09_classifier.py": f"{FEW} --datasets=datasets/fsdd --xla=False",
    "adapt_wavegan.py": "--files=datasets/fsdd --num_recordings=2 --steps=1",
    "calculate_metrics.py": "--datasets=datasets/fsdd --num_clips=2 --max_iter=2 --restarts=0 --splits=1",
    "datasets/fetch.py": "--address={server}",
    "benchmarks/generator_quality.py": "--num_samples=20 --num_jacobians=1 --datasets=datasets/fsdd",
    "benchmarks/codes.py": "--num_clips=1 --rows=ciwGAN",
    "benchmarks/generators.py": "--options=published --widths=16 --num_clips=1 --max_iter=1",
    "benchmarks/shipped_classifier.py": "--datasets=datasets/fsdd --triples=10",
    "benchmarks/faults.py": "--scripts=generate.py --kills=1",
    "benchmarks/formats.py": "--card=",
    "benchmarks/keras_builds.py": "--card= --builds=three --num_clips=1 --seed=5",
    "benchmarks/finding.py": "--card= --num_clips=1 --seconds=10 --num_previewed=1 --datasets=datasets/fsdd",
    "benchmarks/growth.py": "--card= --output= --counts=1 --widths=4 --lengths= --num_clips=1",
    "benchmarks/speed.py": "--card= --widths=2 --network_width=1 --turns=1",
    "benchmarks/own_clips.py": "--other= --datasets=datasets/fsdd --num_clips=1 --num_others=1 --damages=none",
    "benchmarks/verdicts.py": "--card= --datasets=datasets/fsdd --num_sounds=1 --kinds=own",
    "benchmarks/side_by_side.py": "--tables=one=waves/metrics/,other=waves/metrics/",
}
ELSEWHERE = (  # what needs Ray, whose tests run it, other software, or an earlier version beside this one
    "recover_corpus.py",
    "benchmarks/exporters.py",
    "benchmarks/beside.py",
)
REPLACING = ("train.py", "train_sc09_classifier.py", "datasets/fetch.py")  # weights that others read
SHOWING = ("benchmarks/side_by_side.py",)  # what others wrote
AFTER = {"latent_vector_recovery.py": "generate.py"}
AT_ONCE = 2  # commands, each of one thread
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}


def documented():
    """The command lines of README and the cards, and a plain one of each script that has none.

    Of those that differ only in their recordings, in widths, in another generator or in where figures go, the longest.
    """
    commands = []
    for file in (ROOT / "README.md", *sorted(ROOT.glob("*/README.md"))):
        text = file.read_text(encoding="utf-8").replace("\\\n", " ")
        commands += re.findall(r"python (?!-)([\w/]+\.py(?:\s+--[-\w./=,]+)*)", text)
    commands = sorted((" ".join(command.split()) for command in commands), key=len)
    work = {
        " ".join(re.sub(r"--(cards?|datasets|other|num_clips|widths)=\S+", "", command).split()): command
        for command in commands
    }
    named = {command.split()[0] for command in commands}
    commands = [*work.values(), *(path.name for path in sorted(ROOT.glob("*.py")) if path.name not in named)]
    return [command for command in commands if command.split()[0] not in ELSEWHERE]


def in_turns(commands):
    """Lists of commands to be done one list after the other: [[commands of one script, …], …], the lists in one turn
    side by side.

    Of the commands that write the same figures, the table comes last: it is what others read.
    """
    scripts = {}
    for command in commands:
        script = command.split()[0]
        scripts.setdefault(AFTER.get(script, script), []).append(command)
    for group in scripts.values():
        group.sort(key=lambda command: (command.split()[0] in AFTER, "--table" in command))
    reading = [group for script, group in scripts.items() if script not in REPLACING + SHOWING]
    replacing = [command for script in REPLACING for command in scripts.get(script, [])]
    return [reading, [replacing], [scripts[script] for script in SHOWING if script in scripts]]


def copy_project(folder):
    """A copy of the project with recordings in datasets/fsdd/."""
    written = shutil.ignore_patterns(".git", ".venv", "waves", "logs", "previous", "*cache*")

    def left_out(place, names):
        """What runs have written; a folder `training` holds a run's state below weights, and is code elsewhere."""
        state = {"training"} if Path(place).name.endswith("checkpoint") else set()
        return written(place, names) | state & set(names)

    shutil.copytree(ROOT, folder, ignore=left_out)
    shutil.rmtree(folder / "datasets/fsdd", ignore_errors=True)
    (folder / "datasets/fsdd").mkdir()
    sources = [folder / "Audio_Examples/real", *sorted((folder / "Audio_Examples/recovered/real").iterdir())]
    for speaker, source in zip(SPEAKERS, sources):
        for digit in range(10):
            for take in TAKES:
                shutil.copy(source / f"{digit}.wav", folder / f"datasets/fsdd/{digit}_{speaker}_{take}.wav")


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serve(folder, project):
    """Starts a server that has the shipped generator under the published one's names, and SC09 of ten recordings."""
    folder.mkdir()
    names = {"infer.meta": "sc09_infer.meta"}
    names |= {f"model.ckpt.{end}": f"sc09.ckpt.{end}" for end in ("index", "data-00000-of-00001")}
    for name, served in names.items():
        shutil.copy(project / "checkpoint" / name, folder / served)
    words = "Zero One Two Three Four Five Six Seven Eight Nine".split()
    with tarfile.open(folder / "sc09.tar.gz", "w:gz") as archive:
        for digit, word in enumerate(words):
            archive.add(project / f"Audio_Examples/real/{digit}.wav", f"sc09/train/{word}_a_0.wav")
    handler = functools.partial(Silent, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def filled_in(command, server):
    """A command as words, with the smaller settings, and with what it leaves to the reader."""
    script = command.split()[0]
    command = command.replace("--classifier_checkpoint=FOLDER", "--classifier_checkpoint=waves/judge/")
    command = command.replace("FOLDER_OR_FILE", "Audio_Examples/real/3.wav")
    if script == "train_wavegan.py":
        command += " --checkpoint=waves/wavegan/"
    return shlex.split(f"{command} {SMALLER.get(script, '')}".format(server=server))


def run(command, project, server):
    """Runs a command and says how it ended → whether it failed."""
    words, start = filled_in(command, server), time.monotonic()
    environment = os.environ | ONE_THREAD
    ended = subprocess.run([sys.executable, *words], cwd=project, capture_output=True, text=True, env=environment)
    said = f"\n{ended.stderr[-2000:]}" if ended.returncode else ""
    word = "fails" if ended.returncode else "runs"
    print(f"{time.monotonic() - start:6.1f} s  {word:5}  {' '.join(words)}{said}", flush=True)
    return ended.returncode != 0


def main():
    failed, begin = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        project = Path(folder) / "project"
        copy_project(project)
        server = serve(Path(folder) / "served", project)
        for turn in in_turns(documented()):
            failed += sum(pool.map(lambda group: sum(run(command, project, server) for command in group), turn))
    print(f"{failed} failed; {time.monotonic() - begin:.0f} s")
    return failed > 0


if __name__ == "__main__":
    raise SystemExit(main())
