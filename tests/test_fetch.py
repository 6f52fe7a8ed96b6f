"""datasets/fetch.py and what it is made of, against a server on the loopback address."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from loopback import serving
from run_script import run_script
from test_unpack import tar_gz

from datasets import download as downloading
from datasets.download import DownloadError, Remote, download
from datasets.layouts import find_dataset
from datasets.partial import Partial
from datasets.placing import is_placed, place, remember
from datasets.sources import SOURCES

CONTENT = np.random.default_rng(0).bytes(300_000)
NOW = (0.0, 0.0)  # two more tries, without a pause


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def remote(server, **known):
    return Remote(f"{server.address}/file", "file", **known)


def interrupt_after(size):
    """A progress function that is interrupted, as by Ctrl-C, once so many bytes are here."""

    def progress(done, total):
        if done >= size:
            raise KeyboardInterrupt

    return progress


def interrupted(server, folder, size=100_000):
    """Begins a download and interrupts it. Returns how much of it is kept."""
    with pytest.raises(KeyboardInterrupt):
        download(remote(server), folder, interrupt_after(size))
    assert not (folder / "file").exists()
    kept = (folder / "file.partial").read_bytes()
    assert size <= len(kept) < len(CONTENT) and CONTENT.startswith(kept)
    return len(kept)


def is_whole(folder, content=CONTENT):
    """True if the file is there, and nothing else."""
    return (folder / "file").read_bytes() == content and [path.name for path in folder.iterdir()] == ["file"]


@pytest.mark.parametrize("length", [True, False], ids=["length", "chunks"])
def test_a_file_arrives_whole_and_is_not_asked_for_again(tmp_path, length):
    seen = []
    with serving(files={"/file": CONTENT}, length=length) as server:
        known = remote(server, size=len(CONTENT), sha256=sha256(CONTENT))
        found = download(known, tmp_path, lambda done, total: seen.append((done, total)))
        assert is_whole(tmp_path) and (found.size, found.sha256) == (len(CONTENT), sha256(CONTENT))
        assert download(known, tmp_path) == found
        assert server.asked == [("/file", None)]
    assert seen[0][0] == 0 and seen[-1] == (len(CONTENT), len(CONTENT)) and seen == sorted(seen)


def test_a_size_that_nobody_knows_stays_unknown(tmp_path):
    totals = set()
    with serving(files={"/file": CONTENT}, length=False) as server:
        download(remote(server), tmp_path, lambda done, total: totals.add(total))
    assert is_whole(tmp_path) and totals == {None}


@pytest.mark.parametrize("length", [True, False], ids=["length", "chunks"])
def test_a_cut_connection_is_taken_up_where_it_ended(tmp_path, length):
    with serving(files={"/file": CONTENT}, cut=120_000, length=length) as server:
        download(remote(server), tmp_path, pauses=NOW)
        assert server.asked == [("/file", None), ("/file", "bytes=120000-"), ("/file", "bytes=240000-")]
    assert is_whole(tmp_path)


DATE = "Mon, 01 Jan 2024 00:00:00 GMT"
VALIDATORS = {"tag": {}, "date": {"tagged": False, "date": DATE}, "none": {"tagged": False}, "weak tag": {"weak": True}}


@pytest.mark.parametrize("validator", VALIDATORS.values(), ids=VALIDATORS)
def test_an_interrupted_download_is_resumed(tmp_path, validator):
    seen = []
    with serving(files={"/file": CONTENT}, **validator) as server:
        kept = interrupted(server, tmp_path)
        download(remote(server), tmp_path, lambda done, total: seen.append(done))
        assert server.asked == [("/file", None), ("/file", f"bytes={kept}-")]
    assert is_whole(tmp_path) and seen[0] == kept


def test_a_server_that_answers_with_another_part_is_asked_for_everything(tmp_path):
    with serving(files={"/file": CONTENT}, elsewhere=1000) as server:
        interrupted(server, tmp_path)
        download(remote(server), tmp_path)
        assert [wanted is None for _, wanted in server.asked] == [True, False, True]
    assert is_whole(tmp_path)


def test_what_a_server_sends_behind_the_end_is_not_taken(tmp_path):
    with serving(files={"/file": CONTENT}, more=bytes(1000)) as server:
        download(remote(server), tmp_path)
    assert is_whole(tmp_path)


def test_a_server_without_ranges_sends_everything_again(tmp_path):
    with serving(files={"/file": CONTENT}, ranges=False) as server:
        interrupted(server, tmp_path)
        download(remote(server), tmp_path)
    assert is_whole(tmp_path)


@pytest.mark.parametrize("length", [len(CONTENT), len(CONTENT) + 1000, 50_000], ids=["same size", "longer", "shorter"])
@pytest.mark.parametrize("server_knows", [True, False], ids=["validator", "no validator"])
def test_a_file_that_changed_in_between_is_never_mixed(tmp_path, length, server_knows):
    changed = np.random.default_rng(1).bytes(length)
    with serving(files={"/file": CONTENT}, if_range=server_knows, tagged=server_knows) as server:
        interrupted(server, tmp_path)
        server.files["/file"] = changed
        if length == len(CONTENT) and not server_knows:  # nothing tells the two apart but the SHA-256
            with pytest.raises(DownloadError, match="SHA-256"):
                download(remote(server, sha256=sha256(changed)), tmp_path)
        download(remote(server, sha256=sha256(changed)), tmp_path)
    assert is_whole(tmp_path, changed)


def test_the_beginning_of_another_address_is_not_used(tmp_path):
    with serving(files={"/file": CONTENT, "/other": CONTENT[::-1]}, tagged=False) as server:
        interrupted(server, tmp_path)
        download(Remote(f"{server.address}/other", "file"), tmp_path)
    assert is_whole(tmp_path, CONTENT[::-1])


def test_a_finished_but_unchecked_download_needs_no_server(tmp_path):
    with serving(files={"/file": CONTENT}) as server, pytest.raises(KeyboardInterrupt):
        download(remote(server), tmp_path, interrupt_after(len(CONTENT)))
    download(remote(server), tmp_path)  # which has ended
    assert is_whole(tmp_path)


@pytest.mark.parametrize(
    "known, words",
    [
        ({"sha256": "0" * 64}, f"its SHA-256 is {sha256(CONTENT)}, {'0' * 64} expected; it is deleted"),
        ({"size": 7}, "300,000 bytes on the server, 7 expected"),
    ],
    ids=["hash", "size"],
)
def test_another_file_than_expected_is_not_kept(tmp_path, known, words):
    with serving(files={"/file": CONTENT}) as server:
        for _ in range(2):
            with pytest.raises(DownloadError) as error:
                download(remote(server, **known), tmp_path)
            assert words in str(error.value) and "\n" not in str(error.value)
            assert not (tmp_path / "file").exists()
            assert not (tmp_path / "file.partial").exists() or not (tmp_path / "file.partial").stat().st_size
        assert len(server.asked) == 2


def test_a_finished_file_is_checked_too(tmp_path):
    (tmp_path / "file").write_bytes(b"something else")
    with pytest.raises(DownloadError, match="SHA-256.*it is deleted"):
        download(Remote("http://127.0.0.1:9/file", "file", sha256=sha256(CONTENT)), tmp_path)
    assert not (tmp_path / "file").exists()


def test_a_connection_that_never_gets_further_is_given_up_and_its_beginning_kept(tmp_path):
    with serving(files={"/file": CONTENT}, ranges=False, cut=10_000) as server:
        with pytest.raises(DownloadError, match="ended after 10,000 of 300,000 bytes; 10,000 bytes are kept"):
            download(remote(server), tmp_path, pauses=NOW)
        assert len(server.asked) == 1 + len(NOW)
        server.cut, server.ranges = None, True
        download(remote(server), tmp_path)
        assert server.asked[-1] == ("/file", "bytes=10000-")
    assert is_whole(tmp_path)


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_no_network_is_said_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(DownloadError, match="refused") as refused:
        download(Remote(f"http://127.0.0.1:{closed_port()}/file", "file"), tmp_path)

    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(DownloadError, match="its host is not found; is there a network") as unfound:
        download(Remote("http://host.invalid/file", "file"), tmp_path)
    assert all("\n" not in str(error.value) for error in (refused, unfound))


def test_a_server_that_falls_silent_is_lost_after_the_timeout(tmp_path):
    with serving(files={"/file": CONTENT}, cut=5000, stall=threading.Event()) as server:
        with pytest.raises(DownloadError, match="does not answer in time"):
            download(remote(server), tmp_path, timeout=0.2, pauses=())


@pytest.mark.parametrize(
    "behaviour, words",
    [
        ({"status": 404}, "the server answers 404 Not Found"),
        ({"status": 503}, "the server answers 503 Service Unavailable"),
        ({"headers": {"Content-Type": "text/html; charset=utf-8"}}, "the server answers with a web page"),
        ({"status": 302, "headers": {"Location": "file:///etc/hostname"}}, "302"),
        ({"status": 302, "headers": {"Location": "ftp://127.0.0.1/file"}}, "unknown url type"),
    ],
    ids=["missing", "overloaded", "web page", "redirected to a file", "redirected to ftp"],
)
def test_what_is_no_file_is_refused(tmp_path, behaviour, words):
    with serving(files={"/file": CONTENT}, **behaviour) as server:
        with pytest.raises(DownloadError, match=words) as error:
            download(remote(server), tmp_path)
        assert "\n" not in str(error.value) and not (tmp_path / "file").exists()


@pytest.mark.parametrize("address", ["file:///etc/hostname", "data:,x", "nowhere"])
def test_only_web_addresses(tmp_path, address):
    with pytest.raises(DownloadError, match="not an http or https address"):
        download(Remote(address, "file"), tmp_path)


@pytest.mark.parametrize("length", [True, False], ids=["length", "chunks"])
def test_a_file_that_is_too_long_is_refused(tmp_path, length):
    with serving(files={"/file": CONTENT}, length=length) as server:
        with pytest.raises(DownloadError, match="200,000 (bytes )?allowed"):
            download(remote(server, at_most=200_000), tmp_path)
    assert (tmp_path / "file.partial").stat().st_size <= 200_000


def test_a_file_that_does_not_fit_on_the_disk_is_not_begun(tmp_path, monkeypatch):
    usage = downloading.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda path: usage)
    with (
        serving(files={"/file": CONTENT}) as server,
        pytest.raises(DownloadError, match="300,000 bytes are to come.* 1,000"),
    ):
        download(remote(server), tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, the device that is always full")
def test_a_full_disk_is_said_in_one_line(tmp_path):
    (tmp_path / "file.partial").symlink_to("/dev/full")
    with serving(files={"/file": CONTENT}) as server, pytest.raises(DownloadError, match="No space left on device"):
        download(remote(server), tmp_path)


def test_two_downloads_of_one_file_do_not_mix(tmp_path):
    pytest.importorskip("fcntl", reason="no file locks on this system")
    with serving(files={"/file": CONTENT}) as server:
        with (
            Partial(tmp_path / "file", server.address),
            pytest.raises(DownloadError, match="another download of it is running"),
        ):
            download(remote(server), tmp_path)
        download(remote(server), tmp_path)
    assert is_whole(tmp_path)


# placing a generator

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
    left, move = iter(range(moves)), os.replace

    def interrupted_replace(source, target):
        if next(left, None) is None:
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


def test_a_placed_generator_is_recognised_until_it_changes(tmp_path):
    mark = tmp_path / "mark.json"
    assert not is_placed(tmp_path, mark)
    with serving(files={"/file": CONTENT}) as server:
        remember([download(remote(server), tmp_path)], mark)
    assert is_placed(tmp_path, mark)
    (tmp_path / "file").write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    assert not is_placed(tmp_path, mark)


# the script


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
        assert "size unknown, SHA-256 unknown" in printed.out and sha256(archive) in printed.out
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
    assert "2,428,923,189 expected" in capsys.readouterr().err and not (tmp_path / "datasets/speech_commands").exists()


def test_a_folder_in_the_way_is_left_as_it_is(tmp_path, capsys):
    write(tmp_path / "datasets/fsdd", {"my_notes.txt": b""})
    with serving() as server:
        assert fetch(tmp_path, server, "fsdd") == 1 and not server.asked
    assert "move it away" in capsys.readouterr().err and contents(tmp_path / "datasets/fsdd") == {"my_notes.txt": b""}


@pytest.mark.parametrize("content, words", [(b"no archive", "damaged"), (tar_gz({"../out.wav": b""}), "leads out")])
def test_a_bad_archive_leaves_nothing(tmp_path, capsys, content, words):
    with serving(files={"/sc09.tar.gz": content}) as server:
        assert fetch(tmp_path, server, "sc09") == 1
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error and error.count("\n") == 1
    assert [path for path in (tmp_path / "datasets").rglob("*") if path.name != ".downloads"] == []


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
        asked = len(server.asked)
        assert fetch(tmp_path, server, "wavegan") == 0 and len(server.asked) == asked
        assert "already" in capsys.readouterr().out
        write(tmp_path / "checkpoint", SHIPPED)
        assert fetch(tmp_path, server, "wavegan") == 0 and contents(tmp_path / "checkpoint") == GENERATOR
        assert contents(tmp_path / "checkpoint/previous/2") == SHIPPED


def listening_to_ctrl_c():
    """A shell that starts something in the background makes it ignore Ctrl-C, and so do all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_leaves_a_beginning_that_the_next_start_goes_on_from(tmp_path):
    path, names = RECORDINGS["sc09"]
    archive = tar_gz({name: np.random.default_rng(0).bytes(50_000) for name in names})
    command = [sys.executable, str(ROOT / "datasets/fetch.py"), "--what=sc09", f"--datasets={tmp_path}"]
    with serving(files={path: archive}, cut=40_000, stall=threading.Event()) as server:
        command.append(f"--address={server.address}")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        script = subprocess.Popen(command, preexec_fn=listening_to_ctrl_c, **pipes)
        partial = tmp_path / ".downloads/sc09.tar.gz.partial"
        while script.poll() is None and not (partial.exists() and partial.stat().st_size == 40_000):
            time.sleep(0.01)
        script.send_signal(signal.SIGINT)
        error = script.communicate()[1]
        assert (
            script.returncode == 128 + signal.SIGINT and "run it again to go on" in error and "Traceback" not in error
        )
        assert json.loads(partial.with_name(f"{partial.name}.json").read_text())["total"] == len(archive)
        server.stall.set()
        server.cut = server.stall = None
        assert subprocess.run(command, capture_output=True).returncode == 0
        assert server.asked == [(path, None), (path, "bytes=40000-")]
    assert len(find_dataset(tmp_path / "sc09")[2]) == len(names)
