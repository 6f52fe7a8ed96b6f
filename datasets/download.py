"""Downloads a file and unpacks an archive that a stranger may have made; each arrives whole or leaves nothing."""

import gzip
import os
import shutil
import tarfile
import zlib

import pooch
import requests
from tqdm import tqdm

from common.lock import hold
from models.files.errors import first_line
from models.files.writing import UMASK

AT_ONCE = 1 << 20  # bytes; contents are read in smaller pieces, so whatever asks for more is a header that is too long
MOST_FILES = 200_000  # in an archive
BYTES = {"unit": "B", "unit_scale": True, "unit_divisor": 1024, "disable": None}  # of a progress bar
DAMAGED = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError)
WEB_PAGE = (b"<!doctype", b"<html")


def _words(error):
    """The cause of a failed request in words; that of requests itself names its own classes."""
    if isinstance(error, requests.HTTPError):
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "the server does not answer in time"
    if isinstance(error, (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        return "no connection to the server, or it was cut; is there a network?"
    return first_line(error)


def download(address, path, sha256=None, timeout=30.0):
    """Downloads `address`, http or https, to `path`, unless the file with this SHA-256 (None: any) is there already.

    timeout: seconds without a byte after which the connection is lost.
    Raises ConnectionError, ValueError for another SHA-256 or a web page, OSError for a disk that does not take it, each
    in one line; nothing of the file remains then.
    """

    def get(url, file, _):
        with tqdm(desc=path.name, total=1, **BYTES) as bar:
            headers = {"Accept-Encoding": "identity"}  # an archive stays compressed
            pooch.HTTPDownloader(bar, AT_ONCE, timeout=timeout, headers=headers)(url, file, None)
        with open(file, "rb") as begun:
            if begun.read(100).lstrip().lower().startswith(WEB_PAGE):
                raise ValueError(f"{url}: the server answers with a web page")

    path.parent.mkdir(parents=True, exist_ok=True)
    hold(path.parent)
    for stale in path.parent.glob("tmp*"):  # of a killed run
        stale.unlink()
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(address, sha256, fname=path.name, path=path.parent, downloader=get)
    except requests.RequestException as error:
        raise ConnectionError(f"{address}: {_words(error)}") from None
    except OSError as error:  # a full disk names no file
        raise OSError(error.errno, error.strerror or first_line(error), error.filename or str(path)) from error
    path.chmod(0o666 & ~UMASK)


class _Bounded(gzip.GzipFile):
    """Decompresses no more than `most` bytes in all, and never much at once."""

    def __init__(self, file, most):
        super().__init__(fileobj=file)
        self.most = most

    def read(self, size=-1):
        if not 0 <= size <= AT_ONCE:
            raise ValueError(f"a header of {size:,} bytes")
        data = super().read(size)
        self.check(0)
        return data

    def check(self, more):
        """Raises ValueError if `more` bytes would be too many."""
        if self.tell() + more > self.most:
            raise ValueError(f"it unpacks to more than the {self.most:,} bytes allowed")


def unpack(archive, folder, most_bytes):
    """Unpacks the .tar.gz `archive` into the new folder `folder`, which appears whole or not at all.

    Files and folders are unpacked, links and devices are not. An archive that holds one folder and nothing else gives
    the contents of that folder. Meanwhile they lie in FOLDER.unpacking beside the archive, on the same disk.
    most_bytes: the most that it may unpack to, headers counted; a small archive can fill neither disk nor memory.
    Raises ValueError, in one line, for an archive that is damaged, too large or leads out of the folder; OSError for a
    full disk.
    """
    staging = archive.with_name(f"{folder.name}.unpacking")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with (
            open(archive, "rb") as file,
            tqdm.wrapattr(file, "read", archive.stat().st_size, desc="unpacking", **BYTES) as counted,
            _Bounded(counted, most_bytes) as stream,
            tarfile.open(fileobj=stream, mode="r:") as tar,
        ):
            for count, member in enumerate(tar, 1):
                stream.check(member.size)
                if count > MOST_FILES:
                    raise ValueError(f"it holds more than the {MOST_FILES:,} files allowed")
                if member.isreg() or member.isdir():
                    tar.extract(member, staging, set_attrs=False, filter="data")
            while stream.read(AT_ONCE):  # to the checksum at its end
                pass
        if not any(path.is_file() for path in staging.rglob("*")):
            raise ValueError("there are no files in it")
        inside = list(staging.iterdir())
        os.rename(inside[0] if len(inside) == 1 and inside[0].is_dir() else staging, folder)
    except DAMAGED as error:
        raise ValueError(f"{archive} cannot be unpacked: {first_line(error)}") from error
    except OSError as error:
        raise OSError(error.errno, error.strerror or first_line(error), error.filename or str(folder)) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
