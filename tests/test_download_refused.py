"""Downloads that end in a line: another file, a server or disk that fails; against a server on the loopback address."""

import socket
import threading
from pathlib import Path

import pytest
from downloads import CONTENT, NOW, interrupt_after, is_whole, remote, sha256
from loopback import serving

from datasets import download as downloading
from datasets.download import DownloadError, Remote, download
from datasets.partial import Partial


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
