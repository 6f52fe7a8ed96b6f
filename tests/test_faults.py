"""A few of the kills of benchmarks/faults.py, full disks, and a few damaged files of benchmarks/fuzz.py."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT


def benchmark(name, *arguments):
    run = subprocess.run([sys.executable, f"benchmarks/{name}", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    return run.stdout


@pytest.mark.parametrize("script, kills", [("train_judge.py", 2), ("latent_vector_recovery.py", 1)])
def test_kills_and_full_disks_cost_nothing(tmp_path, script, kills):
    printed = benchmark(
        "faults.py", f"--only={script}", f"--kills={kills}", "--limits=1000", f"--folder={tmp_path / 'f'}"
    )
    operations, killed, full, losses = map(
        int, re.search(r"`\S+` \| (\d+) \| (\d+) \| (\d+) \| (\d+)", printed).groups()
    )
    assert operations > 10 and killed == kills and full == 1 and losses == 0


def test_damage_ends_in_a_result_or_one_line(tmp_path):
    printed = benchmark(
        "fuzz.py", "--audio=60", "--checkpoints=9", "--odd=24", "--runs=2", f"--folder={tmp_path / 'f'}"
    )
    rows = re.findall(r"\| (\d+) \| (\d+) \| (\d+) \| (\d+) \|", printed)
    assert [int(row[0]) for row in rows] == [60, 9, 24, 2]
    assert all(int(count) == int(result) + int(refused) and wrong == "0" for count, result, refused, wrong in rows)
