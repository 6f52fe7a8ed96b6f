"""Parts of one job: disjoint, complete, and merged into what one run would have left."""

import csv
import json

import numpy as np
import pytest
import soundfile
import tf1_wavegan
from run_script import run_script

from common.files import write_array, write_clip
from common.recovering import RecoveryTable
from common.shards import merge, parse_shard, part_folder, part_of

SETTINGS = {"solver": "levenberg_marquardt"}


@pytest.mark.parametrize("count, parts", [(7, 3), (2, 5), (16, 16), (0, 2)])
def test_parts_are_disjoint_and_together_all(count, parts):
    found = [part_of(list(range(count)), f"{part}/{parts}") for part in range(1, parts + 1)]
    assert sorted(sum(found, [])) == list(range(count))
    assert max(map(len, found)) - min(map(len, found)) <= 1


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "a/b", "1/2/3", "-1/2"])
def test_a_part_that_is_not_there_is_one_line(shard):
    with pytest.raises(ValueError, match="such as 3/16") as refused:
        parse_shard(shard)
    assert "\n" not in str(refused.value)


def done(tmp_path, shard, paths, settings=SETTINGS):
    """Leaves what a run over part of the paths leaves."""
    folder = part_folder(tmp_path / "out", shard)
    folder.mkdir(parents=True)
    table = RecoveryTable(folder, settings)
    for path in part_of(paths, shard):
        write_clip(folder, f"{path.stem}_reconstruction", np.zeros(100))
        write_array(folder / f"{path.stem}.npy", np.zeros(8, np.float32))
        table.add(path, {"name": path.stem})
    table.close()


@pytest.fixture
def paths(tmp_path):
    found = [tmp_path / f"{name}.wav" for name in "abcde"]
    for path in found:
        soundfile.write(path, np.full(100, 0.1), 8000)
    return found


def test_merging_twice_or_after_a_stop_gives_one_table(paths, tmp_path, monkeypatch):
    for shard in ("1/3", "2/3", "3/3"):
        done(tmp_path, shard, paths)
    stopped = RecoveryTable.add_all
    monkeypatch.setattr(RecoveryTable, "add_all", lambda self, rows: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        merge(tmp_path / "out")
    monkeypatch.setattr(RecoveryTable, "add_all", stopped)
    assert merge(tmp_path / "out") == (5, [])
    table = RecoveryTable(tmp_path / "out", SETTINGS)
    assert all(table.is_done(path) for path in paths) and len(table.rows) == 5
    assert not list((tmp_path / "out").glob("part-*"))


def test_a_part_that_lacks_is_named_and_other_settings_are_refused(paths, tmp_path):
    done(tmp_path, "1/3", paths)
    done(tmp_path, "3/3", paths, {"solver": "l_bfgs_b"})
    with pytest.raises(ValueError, match="other settings"):
        merge(tmp_path / "out")
    (tmp_path / "out/part-3-of-3/recovery.json").write_text(json.dumps(SETTINGS))
    assert merge(tmp_path / "out") == (3, [2])


def test_two_jobs_and_a_merge_leave_what_one_run_leaves(paths, tmp_path, capsys):
    tf1_wavegan.write(tmp_path, latent_dim=8, width=2, seed=5)
    method = ("--gradient", "--inverse_mapping=False", "--solver=levenberg_marquardt", "--restarts=0", "--max_iter=1")

    def run(output, *more):
        where = f"--files={tmp_path}", f"--output={tmp_path / output}", f"--checkpoint={tmp_path}"
        return run_script("latent_vector_recovery.py", *where, *method, *more)

    assert run("out", "--shard=1/2") == run("out", "--shard=2/2") == 0
    assert run("out", "--merge") == 0 and "5 recordings" in capsys.readouterr().out
    assert run("out") == 0 and "5 of 5 recordings are done" in capsys.readouterr().out
    with open(tmp_path / "out/recovery.csv", newline="") as file:
        assert sorted(row["name"] for row in csv.DictReader(file)) == list("abcde")
