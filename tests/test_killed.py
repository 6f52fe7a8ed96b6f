"""A training run and a recovery that are killed at chosen moments, or meet a full disk, and are started again."""

import csv
import hashlib
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from conftest import ROOT
from killing import KILLED

from common.state import epochs_done
from models.files.saving import save_network
from models.networks.judge import build_judge, load_judge

STRAY = {".next", ".next.partial", ".next.done"}  # names that only a run in progress may leave behind


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, weights):
    """Tiny networks, 40 recordings of tones, and in old/ a judge that an earlier run has left."""
    folder = tmp_path_factory.mktemp("inputs")
    shutil.copytree(weights, folder, dirs_exist_ok=True)
    (folder / "recordings").mkdir()
    for i in range(40):
        tone = 0.3 * np.sin(np.arange(3000) * (0.1 + i % 4 / 10) + i)
        soundfile.write(folder / f"recordings/{i % 4}_anna_{i // 4 + 3}.wav", tone, 8000)
    save_network(build_judge(1), folder / "old/judge/judge.keras")
    return folder


def tree(place, folder):
    return sorted(str(path.relative_to(place)) for path in (place / folder).rglob("*") if path.is_file())


def check_judge(place):
    """The judge loads, whether it is the earlier one or a new one."""
    load_judge(place / "judge")


def judge_facts(place):
    """What every training run that completes leaves: files, epochs, and the earlier judge."""
    previous = (place / "judge/previous/judge.keras").read_bytes()
    return tree(place, "judge"), hashlib.sha256(previous).hexdigest(), epochs_done(place / "judge")


def check_results(place):
    """Every reconstruction and latent vector under its final name is whole."""
    for path in place.rglob("[!.]*.npy"):
        assert np.isfinite(np.load(path)).all(), path
    for path in place.rglob("[!.]*.wav"):
        assert soundfile.info(path).frames == 16384, path


def recovery_facts(place):
    """What every recovery that completes leaves: files, and a row for each recording."""
    with open(place / "waves/recovery.csv", newline="") as file:
        return tree(place, "waves"), sorted(row["name"] for row in csv.DictReader(file))


TRAINING = ("train_sc09_classifier.py", "--recipe=judge", "--datasets={0}/recordings",
            "--classifier_checkpoint={1}/judge", "--logs={1}/logs", "--width=1", "--epochs=2")  # fmt: skip
RECOVERY = ("latent_vector_recovery.py", "--files={0}/recordings", "--output={1}/waves", "--checkpoint={0}/checkpoint",
            "--inverse_mapping_checkpoint={0}/mapping", "--classifier_checkpoint={0}/classifier",
            "--judge_checkpoint={0}/judge", "--batch_size=10", "--report")  # fmt: skip


class Runs:
    """Runs of one script, each in a process of its own, over what an earlier run has left in the folder `place`."""

    def __init__(self, command, inputs, place):
        self.command = [text.format(inputs, place) for text in command]
        self.inputs, self.place, self.journal = inputs, place, place.with_suffix(".operations")

    def begin(self):
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.inputs / "old", self.place)

    def run(self, last=0, limit=0):
        """→ the exit status, and what the script said of errors."""
        script = [str(ROOT / "tests/killing.py"), str(self.place), str(self.journal), str(last), str(limit)]
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
        run = subprocess.run(
            [sys.executable, *script, *self.command], cwd=ROOT, capture_output=True, text=True, env=environment
        )
        return run.returncode, run.stderr

    def operations(self):
        return self.journal.read_text(encoding="utf-8").splitlines()


def moments(operations):
    """The two operations around the first switch to a new set of files, or in the middle where no set is switched."""
    switches = [i for i, line in enumerate(operations, 1) if line.startswith("rename") and line.endswith("/.next")]
    middle = switches[0] if switches else len(operations) // 2
    return middle, middle + 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "command, check, facts", [(TRAINING, check_judge, judge_facts), (RECOVERY, check_results, recovery_facts)],
    ids=["training", "recovery"],
)  # fmt: skip
def test_kills_and_full_disks_cost_nothing(inputs, tmp_path, command, check, facts):
    runs = Runs(command, inputs, tmp_path / "place")
    runs.begin()
    status, said = runs.run()
    assert status == 0, said
    whole, operations = facts(runs.place), runs.operations()
    interruptions = [{"last": moment} for moment in moments(operations)] + [{"limit": 1000}]
    for interruption in interruptions:
        runs.begin()
        status, said = runs.run(**interruption)
        check(runs.place)
        if "last" in interruption:
            assert status == KILLED, said
        else:
            assert status == 1 and said.count("\n") == 1 and str(runs.place) in said
        status, said = runs.run()
        assert status == 0, said
        check(runs.place)
        assert facts(runs.place) == whole
        assert not [p for p in runs.place.rglob("*") if p.name in STRAY or p.name.endswith(".partial")]
