"""Files that belong together: killed at every operation, read while they are replaced, on a full disk."""

import os
import resource
import subprocess
import sys

import pytest
from conftest import ROOT
from killing import KILLED, Moments, in_a_fork

from models.files.file_set import finish, read_together, replaced_together
from models.files.writing import written_whole

OLD = {"index": "old", "data": "old", "card": "same", "training/state": "old", "other kind": "old"}
NEW = {"index": "new", "data": "new", "training/state": "new", "training/spare": "old", "previous/index": "old"}
LEAVING = ["other kind"]
AFTER = NEW | {"card": "same"}


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def weights(folder):
    """What a loader sees: the files at the top."""
    return read_together(
        folder, lambda place: {n: t for n, t in contents(place).items() if "/" not in n and n[0] != "."}
    )


def replace(folder):
    with replaced_together(folder, LEAVING) as place:
        write(place, NEW)


def killed_at(folder, moment):
    """→ whether replacing was killed before its operation `moment`."""

    def work():
        Moments(folder, folder.with_suffix(".operations"), moment)
        replace(folder)

    return in_a_fork(work, folder.with_suffix(".log")) == KILLED


def test_killed_at_any_moment_a_loader_finds_the_old_set_or_the_new_one(tmp_path):
    seen = []
    for moment in range(1, 1000):
        folder = tmp_path / str(moment)
        write(folder, OLD)
        killed = killed_at(folder, moment)
        seen.append(weights(folder))
        finish(folder)
        assert weights(folder) == seen[-1], "what was valid is valid"
        assert contents(folder) in (OLD, AFTER)
        replace(folder)
        assert contents(folder) == AFTER
        if not killed:
            break
    old, new = ({n: t for n, t in files.items() if "/" not in n} for files in (OLD, AFTER))
    changes = seen.index(new)
    assert 0 < changes < len(seen) - 1, "there are moments before the switch and after it"
    assert seen == [old] * changes + [new] * (len(seen) - changes)


def test_without_hard_links_files_are_copied(tmp_path, monkeypatch):
    def link(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    write(tmp_path, OLD)
    replace(tmp_path)
    assert contents(tmp_path) == AFTER


def test_a_set_that_is_replaced_while_it_is_read_is_read_again(tmp_path):
    write(tmp_path, OLD)
    calls = []

    def read(place):
        first = (place / "index").read_text()
        if not calls:
            replace(tmp_path)
        calls.append(place)
        return first, (place / "data").read_text()

    assert read_together(tmp_path, read) == ("new", "new") and len(calls) == 2


def test_an_error_leaves_all_as_it_was_and_names_the_file(tmp_path):
    write(tmp_path, OLD)
    with pytest.raises(RuntimeError), replaced_together(tmp_path) as place:
        write(place, NEW)
        raise RuntimeError
    assert contents(tmp_path) == OLD

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        try:
            with replaced_together(tmp_path) as place:
                with written_whole(place / "data", "w") as file:
                    file.write("much" * 100)
        except OSError as error:
            return 7 if str(error.filename) == str(tmp_path / "data") else 8
        return 9

    assert in_a_fork(full, tmp_path.with_suffix(".log")) == 7
    assert contents(tmp_path) == OLD


FULL = """
import resource, sys
import common.networks
import keras, numpy as np
from common.state import Saved
from models.files.file_set import replaced_together
from models.generator.tf1_export import export_wavegan, wavegan_variables
from models.training.wavegan.networks import build_generator

variables = wavegan_variables(build_generator(4, 8))
model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100)])
model.compile("adam", "mse")
x = np.ones((4, 100), np.float32)
model.fit(x, x, verbose=0)
for limit in (20_000, 1000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for what in ("state", "export"):
        folder = f"{sys.argv[1]}/{what}_{limit}"
        try:
            if what == "state":
                model.fit(x, x, verbose=0, callbacks=[Saved(folder, ())])
            else:
                with replaced_together(folder) as place:
                    export_wavegan(place, variables)
        except OSError as error:
            print(error.filename)
"""


@pytest.mark.slow
def test_libraries_that_crash_on_a_full_disk_are_kept_from_it(tmp_path):
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    names = ("state_20000/training/latest.weights.h5", "export_20000/model.ckpt.data-")
    names += ("state_1000/training/latest.weights.h5", "export_1000/model.ckpt.data-")
    said = run.stdout.splitlines()
    assert len(said) == 4 and all(line.startswith(str(tmp_path / name)) for line, name in zip(said, names))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
