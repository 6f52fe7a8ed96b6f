"""datasets/fetch.py: archives and generators put in their places, against a server on the loopback address."""

import hashlib
import os
import signal

import numpy as np
import pytest
from loopback import serving
from run_script import run_script
from test_download import tar_gz

from datasets.layouts import find_dataset
from datasets.placing import place
from datasets.sources import SOURCES

GENERATOR = {"infer.meta": b"graph", "model.ckpt.index": b"index", "model.ckpt.data-00000-of-00001": b"variables"}
SHIPPED = {name: b"shipped " + name.encode() for name in (*GENERATOR, "clip.json", "progress.npz")}


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_generator_makes_way_and_none_is_overwritten(tmp_path):
    write(tmp_path / "checkpoint", SHIPPED | {"README.md": b"card"})
    new, newer = write(tmp_path / "new", GENERATOR), write(tmp_path / "newer", dict.fromkeys(GENERATOR, b"newer"))
    assert place(new, tmp_path / "checkpoint") == tmp_path / "checkpoint/previous"
    assert contents(tmp_path / "checkpoint") == GENERATOR | {"README.md": b"card"}
    assert place(newer, tmp_path / "checkpoint") == tmp_path / "checkpoint/previous/2"
    assert (
        contents(tmp_path / "checkpoint/previous") == SHIPPED
        and contents(tmp_path / "checkpoint/previous/2") == GENERATOR
    )
    assert place(newer, tmp_path / "checkpoint") is None


def test_generators_of_other_kinds_make_way(tmp_path):
    write(
        tmp_path,
        {"generator.keras": b"", "graph.pb": b"", "checkpoint": b"", "model.ckpt-7.index": b"", "notes.txt": b""},
    )
    place([], tmp_path)
    assert set(contents(tmp_path)) == {"notes.txt"} and len(contents(tmp_path / "previous")) == 4


@pytest.mark.parametrize("moves", range(len(SHIPPED) + len(GENERATOR)))
def test_placing_goes_on_after_an_interruption(tmp_path, monkeypatch, moves):
    write(tmp_path / "checkpoint", SHIPPED)
    new = write(tmp_path / "new", GENERATOR)
    moves_left, move = iter(range(moves)), os.replace

    def interrupted_replace(source, target):
        if next(moves_left, None) is None:
            raise KeyboardInterrupt
        move(source, target)

    monkeypatch.setattr(os, "replace", interrupted_replace)
    with pytest.raises(KeyboardInterrupt):
        place(new, tmp_path / "checkpoint")
    monkeypatch.undo()
    place(new, tmp_path / "checkpoint")
    assert contents(tmp_path / "checkpoint") == GENERATOR
    kept = {path.name: path.read_bytes() for path in (tmp_path / "checkpoint/previous").rglob("*") if path.is_file()}
    assert kept == SHIPPED


def fetch(tmp_path, server, what, *arguments):
    folders = (f"--datasets={tmp_path}/datasets", f"--checkpoint={tmp_path}/checkpoint")
    return run_script("datasets/fetch.py", f"--what={what}", f"--address={server.address}/", *folders, *arguments)


RECORDINGS = {
    "fsdd": (
        "/v1.0.10.tar.gz",
        [f"top/recordings/{digit}_theo_{take}.wav" for digit in range(10) for take in (0, 5, 6)],
    ),
    "sc09": ("/sc09.tar.gz", [f"sc09/{split}/Zero_{i}.wav" for i, split in enumerate(("train", "valid", "test"))]),
    "speech_commands": ("/speech_commands_v0.02.tar.gz", ["./zero/a_nohash_0.wav", "./cat/b_nohash_0.wav"]),
}


@pytest.mark.parametrize("what", ["fsdd", "sc09"])
def test_recordings_are_fetched_once_and_recognised(tmp_path, capsys, what):
    path, names = RECORDINGS[what]
    archive = tar_gz(dict.fromkeys(names, b"sound"))
    with serving(files={path: archive}) as server:
        assert fetch(tmp_path, server, what) == 0
        printed = capsys.readouterr()
        assert f"SHA-256 {hashlib.sha256(archive).hexdigest()} (none is published" in printed.out
        assert f"{SOURCES[what].recordings:,} recordings of digits were expected, {len(names)} are there" in printed.err
        layout, folder, recordings = find_dataset(tmp_path / "datasets")
        assert layout == SOURCES[what].layout and folder.is_relative_to(tmp_path / "datasets" / what)
        assert len(recordings) == len(names)
        assert not list((tmp_path / "datasets/.downloads").iterdir())
        assert fetch(tmp_path, server, what) == 0
        assert "is there already" in capsys.readouterr().out and len(server.asked) == 1


def test_a_kept_archive_is_not_downloaded_again(tmp_path, capsys):
    path, names = RECORDINGS["fsdd"]
    with serving(files={path: tar_gz(dict.fromkeys(names, b"sound"))}) as server:
        assert fetch(tmp_path, server, "fsdd", "--keep_archive") == 0
        (tmp_path / "datasets/fsdd").rename(tmp_path / "elsewhere")
        assert fetch(tmp_path, server, "fsdd", "--keep_archive") == 0
        assert len(server.asked) == 1 and (tmp_path / "datasets/fsdd").is_dir()


def test_the_wrong_archive_is_one_line_and_status_1(tmp_path, capsys):
    path, names = RECORDINGS["speech_commands"]
    with serving(files={path: tar_gz(dict.fromkeys(names, b"sound"))}) as server:
        assert fetch(tmp_path, server, "speech_commands") == 1
    assert SOURCES["speech_commands"].sha256 in capsys.readouterr().err
    assert not (tmp_path / "datasets/speech_commands").exists()


def test_a_folder_in_the_way_is_left_as_it_is(tmp_path, capsys):
    write(tmp_path / "datasets/fsdd", {"my_notes.txt": b""})
    with serving() as server:
        assert fetch(tmp_path, server, "fsdd") == 1 and not server.asked
    assert "move it away" in capsys.readouterr().err and contents(tmp_path / "datasets/fsdd") == {"my_notes.txt": b""}


@pytest.mark.parametrize("what", ["", "mnist"])
def test_what_there_is_to_fetch_is_said(capsys, what):
    assert run_script("datasets/fetch.py", f"--what={what}") != 0
    error = capsys.readouterr().err
    assert all(name in error for name in SOURCES) and error.count("\n") == 1


def test_the_published_generator_takes_the_place_of_the_shipped_one(tmp_path, capsys):
    write(tmp_path / "checkpoint", SHIPPED)
    published = {
        "/sc09_infer.meta": b"graph",
        "/sc09.ckpt.index": b"index",
        "/sc09.ckpt.data-00000-of-00001": b"variables",
    }
    with serving(files={name: published[name] for name in list(published)[:2]}) as server:
        assert fetch(tmp_path, server, "wavegan") == 1
        assert contents(tmp_path / "checkpoint") == SHIPPED, (
            "the shipped generator stays until all of the new one is here"
        )
        server.files = published
        assert fetch(tmp_path, server, "wavegan") == 0
        assert contents(tmp_path / "checkpoint") == GENERATOR and contents(tmp_path / "checkpoint/previous") == SHIPPED
        assert fetch(tmp_path, server, "wavegan") == 0 and "/2" not in capsys.readouterr().out
        write(tmp_path / "checkpoint", SHIPPED)
        assert fetch(tmp_path, server, "wavegan") == 0 and contents(tmp_path / "checkpoint") == GENERATOR
        assert contents(tmp_path / "checkpoint/previous/2") == SHIPPED


def test_ctrl_c_leaves_nothing_and_says_so(tmp_path, capsys):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    path, names = RECORDINGS["sc09"]
    archive = tar_gz({name: np.random.default_rng(0).bytes(50_000) for name in names})
    with serving(files={path: archive}, cut=40_000, during=lambda: os.kill(os.getpid(), signal.SIGINT)) as server:
        try:
            assert fetch(tmp_path, server, "sc09") == 128 + signal.SIGINT
        finally:
            signal.signal(signal.SIGINT, before)
    error = capsys.readouterr().err
    assert "nothing is kept" in error and error.count("\n") == 1
    assert contents(tmp_path / "datasets/.downloads") == {}


def test_an_archive_that_was_there_before_is_never_deleted(tmp_path, capsys):
    write(tmp_path / "datasets/.downloads", {"sc09.tar.gz": tar_gz({"sc09/train/Zero_0.wav": b"sound"})[:-30]})
    with serving() as server:
        assert fetch(tmp_path, server, "sc09") == 1 and not server.asked
    assert "curl -C -" in capsys.readouterr().err and (tmp_path / "datasets/.downloads/sc09.tar.gz").exists()
