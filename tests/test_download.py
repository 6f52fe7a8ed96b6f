"""Downloads and archives, among them such as nobody honest would make: whole, or one line and nothing left."""

import gzip
import hashlib
import io
import tarfile
import threading

import numpy as np
import pytest
from loopback import serving

from datasets.download import MOST_FILES, download, unpack

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILES = {"train/a.wav": b"a", "test/b.wav": b"b" * 1000}


def test_a_file_arrives_whole_is_compared_and_not_asked_for_again(tmp_path):
    with serving(files={"/file": CONTENT}) as server:
        for _ in range(2):
            download(f"{server.address}/file", tmp_path / "new/name", SHA256)
        assert server.asked == ["/file"]
        (tmp_path / "new/tmp_of_a_killed_run").touch()
        (tmp_path / "new/name").write_bytes(b"another file")
        download(f"{server.address}/file", tmp_path / "new/name", SHA256)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["name"]
    assert (tmp_path / "new/name").read_bytes() == CONTENT and (tmp_path / "new/name").stat().st_mode & 0o777 == 0o644


SILENT = threading.Event()
REFUSED = {
    "missing": ({"files": {}}, "404 Not Found"),
    "overloaded": ({"status": 503}, "503 Service Unavailable"),
    "cut": ({"cut": 10_000}, "it was cut"),
    "silent": ({"cut": 10_000, "during": SILENT.wait}, "it was cut|not answer in time"),
    "web page": ({"files": {"/file": b"\n<!DOCTYPE html>"}}, "a web page"),
    "redirected to a file": ({"status": 302, "headers": {"Location": "file:///etc/hostname"}}, "file:"),
    "another hash": ({"files": {"/file": CONTENT[:-1]}}, f"expected {SHA256}"),
    "a file in the way": ({"folder": "not_a_folder/in"}, "Not a directory|File exists|not_a_folder"),
}


@pytest.mark.parametrize("behaviour, words", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_had_is_one_line_and_leaves_nothing(tmp_path, behaviour, words):
    (tmp_path / "not_a_folder").touch()
    folder = tmp_path / behaviour.pop("folder", "downloads")
    with serving(**({"files": {"/file": CONTENT}} | behaviour)) as server:
        with pytest.raises((OSError, ValueError), match=words) as error:
            download(f"{server.address}/file", folder / "file", SHA256, timeout=0.3)
        SILENT.set()
    assert "\n" not in str(error.value) and not any(path.is_file() for path in folder.rglob("*"))


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/file", "file:///etc/hostname", "ftp://127.0.0.1/x", "nowhere"])
def test_addresses_without_a_web_server_are_one_line(tmp_path, address):
    with pytest.raises(ConnectionError) as error:
        download(address, tmp_path / "file")
    assert "\n" not in str(error.value) and address in str(error.value) and not list(tmp_path.iterdir())


@pytest.fixture
def full_disk():
    """A disk that takes no file of more than 100,000 bytes."""
    resource = pytest.importorskip("resource", reason="this system cannot limit the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_does_not_take_a_file_is_one_line_that_names_it(tmp_path, full_disk):
    with serving(files={"/file": CONTENT}) as server, pytest.raises(OSError, match="File too large") as error:
        download(f"{server.address}/file", tmp_path / "file")
    assert error.value.filename == str(tmp_path / "file") and not list(tmp_path.iterdir())


def test_a_disk_that_does_not_take_an_archive_is_one_line(tmp_path, unpacked, full_disk):
    with pytest.raises(OSError, match="File too large") as error:
        unpacked(tar_gz({"zeros": bytes(200_000)}))
    assert "\n" not in str(error.value) and not (tmp_path / "work/set").exists()


def member(name, kind=tarfile.REGTYPE, link="", size=0, **more):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    for key, value in more.items():
        setattr(info, key, value)
    return info


def tar_gz(files, *others):
    """The bytes of a .tar.gz with `files`, {name: bytes}, after the TarInfos `others`."""
    result = io.BytesIO()
    with tarfile.open(fileobj=result, mode="w:gz") as tar:
        for info in others:
            tar.addfile(info, io.BytesIO(bytes(info.size)))
        for name, content in files.items():
            tar.addfile(member(name, size=len(content)), io.BytesIO(content))
    return result.getvalue()


@pytest.fixture
def unpacked(tmp_path):
    """Unpacks the bytes of an archive into work/set/ → {path below it: bytes}; nothing else may have been written."""

    def run(content, most_bytes=1 << 20):
        archive, folder = tmp_path / "work/.downloads/set.tar.gz", tmp_path / "work/set"
        archive.parent.mkdir(parents=True)
        archive.write_bytes(content)
        try:
            unpack(archive, folder, most_bytes)
        finally:
            inside = {path for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()}
            assert all(path == archive or path.is_relative_to(folder) for path in inside)
        return {str(path.relative_to(folder)): path.read_bytes() for path in inside - {archive}}

    return run


@pytest.mark.parametrize("top", ["", "./", "top/"])
def test_a_single_folder_gives_its_contents(unpacked, top):
    root = [member(top.rstrip("/"), tarfile.DIRTYPE, mode=0o755)] if top else []
    assert unpacked(tar_gz({top + name: content for name, content in FILES.items()}, *root)) == FILES


LINKS = [
    member("train/link.wav", tarfile.SYMTYPE, "a.wav"),
    member("up", tarfile.SYMTYPE, "../../out"),
    member("root", tarfile.SYMTYPE, "/"),
    member("hard", tarfile.LNKTYPE, "../set.tar.gz"),
    member("null", tarfile.CHRTYPE, devmajor=1, devminor=3),
    member("disk", tarfile.BLKTYPE, devmajor=8),
    member("pipe", tarfile.FIFOTYPE),
]


def test_links_and_devices_are_not_unpacked(unpacked):
    assert unpacked(tar_gz(FILES | {"up/c.wav": b"c"}, *LINKS)) == FILES | {"up/c.wav": b"c"}


def flipped(files):
    """An uncompressed .tar.gz with a wrong bit in a file, so that only the checksum tells."""
    stored = io.BytesIO()
    with gzip.GzipFile(fileobj=stored, mode="wb", compresslevel=0) as file:
        file.write(gzip.decompress(tar_gz(files)))
    content = bytearray(stored.getvalue())
    content[content.index(b"bbbbbbbb")] ^= 1
    return bytes(content)


BAD = {
    "up": (tar_gz({"../out": b"x"}), "outside"),
    "up from below": (tar_gz({"train/../../out": b"x"}), "outside"),
    "zeros": (tar_gz({"zeros": bytes(2 << 20)}), "more than the 1,048,576 bytes allowed"),
    "zeros behind the end": (tar_gz(FILES) + gzip.compress(bytes(2 << 20)), "more than the 1,048,576 bytes allowed"),
    "long header": (tar_gz(FILES, member("train/x" + "y" * (2 << 20))), "header of 2,097"),
    "nothing": (tar_gz({}), "no files in it"),
    "cut": (tar_gz(FILES)[:-30], "cannot be unpacked"),
    "no tar": (gzip.compress(b"no tar at all"), "cannot be unpacked"),
    "no gzip": (b"text", "cannot be unpacked"),
    "empty": (b"", "cannot be unpacked"),
    "flipped bit": (flipped(FILES), "CRC"),
}


@pytest.mark.parametrize("content, words", BAD.values(), ids=BAD)
def test_a_bad_archive_is_one_line_and_leaves_nothing(tmp_path, unpacked, content, words):
    with pytest.raises(ValueError, match=words) as error:
        unpacked(content)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500 and not (tmp_path / "work/set").exists()


def test_too_many_files_are_refused(unpacked, monkeypatch):
    monkeypatch.setattr("datasets.download.MOST_FILES", 8)
    assert MOST_FILES > 105_829  # of Speech Commands
    with pytest.raises(ValueError, match="more than the 8 files allowed"):
        unpacked(tar_gz({str(i): b"" for i in range(9)}))


def test_what_is_there_is_never_unpacked_over(tmp_path, unpacked):
    (tmp_path / "work/set").mkdir(parents=True)
    (tmp_path / "work/set/mine").touch()
    with pytest.raises(OSError):
        unpacked(tar_gz(FILES))
    assert [path.name for path in (tmp_path / "work/set").iterdir()] == ["mine"]
