"""Downloads one file over HTTP, whole or not at all: resumed where it stopped, checked by size and SHA-256 if known.

What has arrived is kept (`datasets/partial.py`), and a later call asks for the rest (RFC 9110, sections 13.1.5 and 14).
A server that does not know ranges, or whose file has changed since, sends the whole file, and the download begins anew.
"""

import hashlib
import http.client
import re
import shutil
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from datasets.partial import DownloadError, Partial

CHUNK = 1 << 16  # bytes
GIB = 1 << 30  # bytes
PAUSES = (1.0, 5.0, 15.0)  # seconds before a lost connection is tried again; as many times without a new byte
HTTP_ONLY = (  # no handler for file:, data: or ftp:, so no redirection leads there
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPErrorProcessor,
    urllib.request.UnknownHandler,
)


class _Lost(Exception):
    """The connection failed, but another one may go on."""


class _Stale(Exception):
    """What has arrived does not belong to the file that the server has now."""


@dataclass(frozen=True)
class Remote:
    """A file on a server.

    address: http or https. name: what it is called here.
    size: bytes, and sha256: lower-case hexadecimal; None where they are not known.
    at_most: bytes; a longer file is refused.
    """

    address: str
    name: str
    size: int | None = None
    sha256: str | None = None
    at_most: int = GIB


@dataclass(frozen=True)
class Downloaded:
    """A finished file: its path, its size in bytes and its SHA-256 in hexadecimal."""

    path: Path
    size: int
    sha256: str


def _words(error):
    """The cause of a failed connection in words."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, socket.gaierror):
        return "its host is not found; is there a network?"
    if isinstance(reason, TimeoutError):
        return "the server does not answer in time"
    return str(getattr(reason, "strerror", None) or reason or type(error).__name__).splitlines()[0]


def _answer(remote, partial, timeout):
    """The server's answer to a request for the bytes that are missing. Raises _Lost and DownloadError."""
    if urllib.parse.urlsplit(remote.address).scheme not in ("http", "https"):
        raise DownloadError(f"{remote.address}: not an http or https address")
    request = urllib.request.Request(remote.address, headers={"Accept-Encoding": "identity", "User-Agent": "fetch.py"})
    if partial.size:
        request.add_header("Range", f"bytes={partial.size}-")
        if partial.validator:
            request.add_header("If-Range", partial.validator)
    opener = urllib.request.OpenerDirector()
    for handler in HTTP_ONLY:
        opener.add_handler(handler())
    try:
        return opener.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and partial.size:
                partial.begin(0)
                raise _Stale("the server has no more of this file") from error
            words = f"the server answers {error.code} {error.reason}"
            raise (_Lost(words) if error.code >= 500 else DownloadError(f"{remote.address}: {words}")) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Lost(_words(error)) from error


def _begin(remote, partial, answer):
    """Prepares `partial` for the bytes that an answer announces. Returns the size of the whole file, None if unknown.

    Raises _Stale if they do not continue what has arrived, DownloadError if they are not the file that was asked for.
    """
    if answer.headers.get_content_type() == "text/html":
        raise DownloadError(f"{remote.address}: the server answers with a web page")
    at = 0
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
        match = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
        at = int(match[1]) if match else -1
        if at != partial.size:
            partial.begin(0)
            raise _Stale("the server sends another part than was asked for")
    total = remote.size if answer.length is None else at + answer.length
    if at and partial.total is not None and total not in (None, partial.total):
        partial.begin(0)
        raise _Stale("the file on the server has changed")
    if remote.size is not None and total not in (None, remote.size):
        raise DownloadError(f"{remote.address}: {total:,} bytes on the server, {remote.size:,} expected")
    if total is not None and total > remote.at_most:
        raise DownloadError(f"{remote.address}: {total:,} bytes on the server, {remote.at_most:,} allowed")
    free = shutil.disk_usage(partial.path.parent).free
    if total is not None and total - at > free:
        raise DownloadError(f"{partial.path}: {total - at:,} bytes are to come, and the disk has room for {free:,}")
    tag = answer.headers.get("ETag", "")
    strong = tag if tag.startswith('"') else ""  # a weak entity tag does not promise the same bytes
    partial.begin(at, strong or answer.headers.get("Last-Modified", ""), total)
    return total


def _receive(remote, partial, progress, timeout):
    """One connection: appends what is missing. Raises _Lost where it ends too early, and what `_begin` raises."""
    if partial.size and partial.size == partial.total:
        return
    with _answer(remote, partial, timeout) as answer:
        total = _begin(remote, partial, answer)
        done = partial.size
        progress(done, total)
        while total is None or done < total:
            try:
                chunk = answer.read1(CHUNK if total is None else min(CHUNK, total - done))
            except (OSError, http.client.HTTPException) as error:
                raise _Lost(_words(error)) from error
            if not chunk:
                break
            done += len(chunk)
            if done > remote.at_most:
                raise DownloadError(f"{remote.address}: more than the {remote.at_most:,} bytes allowed")
            partial.append(chunk)
            progress(done, total)
        if total is not None and done < total:
            raise _Lost(f"the connection ended after {done:,} of {total:,} bytes")


def check(path, remote):
    """→ the Downloaded at `path`. Raises DownloadError if its size or SHA-256 is not what is known of `remote`."""
    size = path.stat().st_size
    if remote.size is not None and size != remote.size:
        raise DownloadError(f"{path.name}: {size:,} bytes, {remote.size:,} expected")
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if remote.sha256 is not None and sha256 != remote.sha256:
        raise DownloadError(f"{path.name}: its SHA-256 is {sha256}, {remote.sha256} expected")
    return Downloaded(path, size, sha256)


def download(remote, folder, progress=lambda done, total: None, *, timeout=30.0, pauses=PAUSES):
    """Downloads `remote` into `folder` and checks it; a finished file is checked and not asked for again.

    progress(done, total): called with the bytes that are here and the bytes there are, None where that is not known.
    timeout: seconds without a byte after which a connection is lost.
    pauses: seconds before each new try of a connection that had worked; as many tries without a new byte end it.
    Returns Downloaded. Raises DownloadError, in one line: no network, another file than expected, full disk, too many
    lost connections; OSError for a folder that cannot be written. Then, and when interrupted, what has arrived is kept
    for the next call; only a file of the wrong size or SHA-256 is deleted.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / remote.name
    if path.exists():
        path.with_name(f"{path.name}.partial.json").unlink(missing_ok=True)
        return _right_or_gone(path, remote, path.unlink)
    with Partial(path, remote.address) as partial:
        most, tries, stale = partial.size, 0, False
        while True:
            try:
                _receive(remote, partial, progress, timeout)
                break
            except _Stale as error:
                if stale:
                    raise DownloadError(f"{remote.address}: {error}") from error
                most, stale = 0, True
            except _Lost as error:
                if partial.size > most:
                    most, tries = partial.size, len(pauses)
                if not tries:
                    kept = f"; {partial.size:,} bytes are kept for the next start" if partial.size else ""
                    raise DownloadError(f"{remote.address}: {error}{kept}") from error
                time.sleep(pauses[-tries])
                tries -= 1
        found = _right_or_gone(partial.path, remote, partial.discard)
        partial.finish()
    return Downloaded(path, found.size, found.sha256)


def _right_or_gone(path, remote, discard):
    try:
        return check(path, remote)
    except DownloadError as error:
        discard()
        raise DownloadError(f"{error}; it is deleted") from error
