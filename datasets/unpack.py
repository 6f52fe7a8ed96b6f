"""Unpacks a .tar.gz that a stranger may have made: nothing lands outside the folder, nor is larger than was allowed.

Only files and folders are unpacked. Links that stay inside are left out; an archive with a path or a link that leads
out, or with a device, is refused. The bytes that it unpacks to are counted while they are read, headers included, so
that a small archive can fill neither the disk nor the memory.
"""

import errno
import gzip
import os
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from models.files.errors import first_line

AT_ONCE = 1 << 20  # bytes; contents are read in smaller pieces, so whatever asks for more is a header that is too long
DAMAGED = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError)


class UnpackError(Exception):
    """An archive that is damaged, too large, or would write outside its folder; the message says which in one line."""


class _Bounded:
    """Reads a stream from front to back, no more than `most` bytes, and never much at once."""

    def __init__(self, stream, most):
        self.stream = stream
        self.most = most
        self.at = 0

    def read(self, size):
        if not 0 <= size <= AT_ONCE:
            raise UnpackError(f"a header of {size:,} bytes")
        data = self.stream.read(size)
        self.at += len(data)
        if self.at > self.most:
            raise UnpackError(f"unpacks to more than the {self.most:,} bytes allowed")
        return data

    def tell(self):
        return self.at

    def seek(self, to):
        if to < self.at:
            raise UnpackError("its members overlap")
        while self.at < to and self.read(min(to - self.at, AT_ONCE)):
            pass


def _wanted(member, folder):
    """True for a file or a folder, False for a link that stays inside. Raises UnpackError or FilterError for others."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise UnpackError(f"{member.name!r} leads out of the folder")
    tarfile.data_filter(member, str(folder))
    if member.size < 0 or member.issparse():
        raise UnpackError(f"{member.name!r} is no plain file")
    return member.isreg() or member.isdir()


def _extract(archive, folder, most_bytes, most_files, progress):
    files, whole = 0, archive.stat().st_size
    with open(archive, "rb") as raw, gzip.GzipFile(fileobj=raw) as stream:
        bounded = _Bounded(stream, most_bytes)
        with tarfile.open(fileobj=bounded, mode="r:") as tar:
            for count, member in enumerate(tar, 1):
                if count > most_files:
                    raise UnpackError(f"holds more than the {most_files:,} files allowed")
                if member.size > most_bytes - bounded.at:
                    raise UnpackError(f"unpacks to more than the {most_bytes:,} bytes allowed")
                if _wanted(member, folder):
                    tar.extract(member, folder, set_attrs=False, filter="data")
                    files += member.isreg()
                progress(raw.tell(), whole)
        while bounded.read(AT_ONCE):  # to the checksum at its end
            pass
        progress(whole, whole)
    return files


def unpack(archive, folder, progress=lambda done, total: None, *, most_bytes, most_files):
    """Unpacks the .tar.gz `archive` into the new folder `folder`, which appears whole or not at all.

    An archive that holds one folder and nothing else gives the contents of that folder. Meanwhile they lie in
    FOLDER.unpacking beside the archive, which has to be on the same disk as `folder`.
    progress(done, total): called with the bytes of the archive that are read and the bytes there are.
    most_bytes, most_files: the most that it may unpack to, headers and folders counted.
    Returns the number of files. Raises UnpackError, in one line; FileExistsError if `folder` is there already; OSError
    for a full disk.
    """
    archive, folder = Path(archive), Path(folder)
    if not hasattr(tarfile, "data_filter"):
        raise UnpackError("this Python cannot unpack safely; 3.11.4 or newer can")
    if folder.exists():
        raise FileExistsError(errno.EEXIST, "is there already", str(folder))
    staging = archive.with_name(f"{folder.name}.unpacking")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        files = _extract(archive, staging, most_bytes, most_files, progress)
        if not files:
            raise UnpackError("no files in it")
        inside = list(staging.iterdir())
        whole = inside[0] if len(inside) == 1 and inside[0].is_dir() else staging
        folder.parent.mkdir(parents=True, exist_ok=True)
        os.rename(whole, folder)
    except UnpackError as error:
        raise UnpackError(f"{archive.name}: {error}") from error
    except DAMAGED as error:
        cause = first_line(error)
        raise UnpackError(f"{archive.name}: damaged or unsafe ({cause})") from error
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), error.filename or str(folder)) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return files
