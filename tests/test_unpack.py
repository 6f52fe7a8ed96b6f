"""Unpacking archives, among them such as nobody honest would make."""

import gzip
import io
import tarfile

import pytest

from datasets.unpack import UnpackError, unpack

BOUNDS = {"most_bytes": 1 << 20, "most_files": 100}


def member(name, kind=tarfile.REGTYPE, link="", size=0, **more):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    info.size = size
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
    """Unpacks the bytes of an archive into work/set/. Returns {path below it: bytes}."""

    def run(content, **bounds):
        work = tmp_path / "work"
        (work / ".downloads").mkdir(parents=True, exist_ok=True)
        archive = work / ".downloads/set.tar.gz"
        archive.write_bytes(content)
        files = unpack(archive, work / "set", **(BOUNDS | bounds))
        found = {str(p.relative_to(work / "set")): p.read_bytes() for p in (work / "set").rglob("*") if p.is_file()}
        assert files == len(found)
        return found

    return run


def only_the_archive_is_left(tmp_path):
    return [path.name for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()] == ["set.tar.gz"]


FILES = {"train/a.wav": b"a", "test/b.wav": b"b" * 1000}


@pytest.mark.parametrize("top", ["", "./", "top/"])
def test_a_single_folder_gives_its_contents(unpacked, top):
    root = [member(top.rstrip("/"), tarfile.DIRTYPE, mode=0o755)] if top else []
    assert unpacked(tar_gz({top + name: content for name, content in FILES.items()}, *root)) == FILES


def test_progress_ends_at_the_whole(tmp_path):
    archive = tmp_path / "set.tar.gz"
    archive.write_bytes(tar_gz(FILES))
    seen = []
    unpack(archive, tmp_path / "set", lambda done, total: seen.append((done, total)), **BOUNDS)
    size = archive.stat().st_size
    assert seen[-1] == (size, size) and seen == sorted(seen)


def test_links_that_stay_inside_are_left_out(unpacked):
    links = member("train/link.wav", tarfile.SYMTYPE, "a.wav"), member("train/hard.wav", tarfile.LNKTYPE, "train/a.wav")
    folder = member("link", tarfile.SYMTYPE, "train")
    assert unpacked(tar_gz(FILES | {"link/c.wav": b"c"}, *links, folder)) == FILES | {"link/c.wav": b"c"}


def test_an_archive_with_a_global_header_as_github_makes_it(unpacked):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz", pax_headers={"comment": "0" * 40}) as tar:
        tar.addfile(member("top-1.0.10/", tarfile.DIRTYPE))
        tar.addfile(member("top-1.0.10/recordings/0_theo_0.wav", size=4), io.BytesIO(b"zero"))
    assert unpacked(content.getvalue()) == {"recordings/0_theo_0.wav": b"zero"}


HOSTILE = {
    "up": [member("../out")],
    "up from below": [member("train/../../out")],
    "absolute": [member("/out")],
    "link out": [member("train/link", tarfile.SYMTYPE, "../../out")],
    "absolute link": [member("link", tarfile.SYMTYPE, "/")],
    "hard link out": [member("hard", tarfile.LNKTYPE, "../set.tar.gz")],
    "through a link": [
        member("link", tarfile.SYMTYPE, "train"),
        member("link/up", tarfile.SYMTYPE, "../../out"),
        member("link/up/out", size=1),
    ],
    "device": [member("null", tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "disk": [member("disk", tarfile.BLKTYPE, devmajor=8)],
    "pipe": [member("pipe", tarfile.FIFOTYPE)],
    "sparse": [member("holes", size=1, pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "1000000"})],
    "long header": [member("train/x" + "y" * (2 << 20))],
}


@pytest.mark.parametrize("others", HOSTILE.values(), ids=HOSTILE)
def test_nothing_leaves_the_folder(tmp_path, unpacked, others):
    with pytest.raises(UnpackError, match="set.tar.gz: ") as error:
        unpacked(tar_gz(FILES, *others), most_bytes=1 << 30)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
    assert only_the_archive_is_left(tmp_path)


@pytest.mark.parametrize(
    "content, bounds, words",
    [
        (tar_gz({"zeros": bytes(2 << 20)}), {}, "more than the 1,048,576 bytes allowed"),
        (tar_gz({str(i): b"" for i in range(9)}), {"most_files": 8}, "more than the 8 files allowed"),
        (tar_gz(FILES) + gzip.compress(bytes(2 << 20)), {}, "more than the 1,048,576 bytes allowed"),
        (tar_gz({}), {}, "no files in it"),
        (tar_gz(FILES)[:-30], {}, "damaged"),
        (b"<html>", {}, "damaged"),
        (gzip.compress(b"no tar at all"), {}, "damaged"),
        (b"", {}, "damaged"),
    ],
    ids=["zeros", "files", "zeros behind the end", "nothing", "cut", "no gzip", "no tar", "empty"],
)
def test_a_bad_archive_is_one_line_and_leaves_nothing(tmp_path, unpacked, content, bounds, words):
    with pytest.raises(UnpackError, match=words) as error:
        unpacked(content, **bounds)
    assert "\n" not in str(error.value) and only_the_archive_is_left(tmp_path)


def test_an_interruption_leaves_only_the_archive(tmp_path):
    archive = tmp_path / "set.tar.gz"
    archive.write_bytes(tar_gz(FILES))

    def interrupted(done, total):
        assert list(tmp_path.glob("set.unpacking/*"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "set", interrupted, **BOUNDS)
    assert only_the_archive_is_left(tmp_path)


def test_a_flipped_bit_is_noticed(tmp_path, unpacked):
    stored = io.BytesIO()
    with gzip.GzipFile(fileobj=stored, mode="wb", compresslevel=0) as file:
        file.write(gzip.decompress(tar_gz(FILES)))
    content = bytearray(stored.getvalue())
    content[content.index(b"bbbbbbbb")] ^= 1  # inside a file, so that only the checksum tells
    with pytest.raises(UnpackError, match="damaged"):
        unpacked(bytes(content))
    assert only_the_archive_is_left(tmp_path)


def test_what_is_there_is_never_unpacked_over(tmp_path, unpacked):
    (tmp_path / "work/set").mkdir(parents=True)
    with pytest.raises(FileExistsError):
        unpacked(tar_gz(FILES))
    assert not list((tmp_path / "work/set").iterdir())
