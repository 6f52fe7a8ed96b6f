"""The beginning of a file that is being downloaded, kept on disk so that a later call can go on from its end.

It is NAME.partial, with NAME.partial.json beside it: the address, the total size and the validator of the whole file.
"""

import json
import os
from contextlib import contextmanager

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None


class DownloadError(Exception):
    """A file that cannot be had; the message names it and the cause in one line."""


class Partial:
    """What has arrived of the file `target`, from `address`. Used as a context, it is locked against a second process.

    path: where it is kept. size: bytes. total: bytes of the whole file, None where that is not known. validator: the
    server's entity tag or date of that file, "" where it gave none.
    Entering the context raises DownloadError while another process holds it.
    """

    def __init__(self, target, address):
        self.target = target
        self.address = address
        self.path = target.with_name(f"{target.name}.partial")
        self._notes = target.with_name(f"{target.name}.partial.json")
        self.validator = ""
        self.total = None

    def __enter__(self):
        self._file = open(self.path, "ab", buffering=0)
        try:
            if fcntl:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read_notes()
        except BlockingIOError:
            self._file.close()
            raise DownloadError(f"{self.path}: another download of it is running") from None
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_):
        self._file.close()

    def _read_notes(self):
        try:
            notes = json.loads(self._notes.read_text())
            known = notes["address"] == self.address
            self.validator = str(notes["validator"])
            self.total = notes["total"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            known = False
        if not known:
            self.begin(0)

    @property
    def size(self):
        """Bytes that have arrived."""
        return os.fstat(self._file.fileno()).st_size

    def begin(self, at, validator="", total=None):
        """Forgets what lies behind byte `at`, and notes which file the bytes to come belong to."""
        if at < self.size:
            self._file.truncate(at)
        self.validator = validator
        self.total = total
        with self._full_disk_in_words():
            self._notes.write_text(json.dumps({"address": self.address, "validator": validator, "total": total}))

    def append(self, chunk):
        """Writes all of `chunk`. Raises DownloadError where the disk does not take it."""
        with self._full_disk_in_words():
            while chunk:
                chunk = chunk[self._file.write(chunk) :]

    @contextmanager
    def _full_disk_in_words(self):
        try:
            yield
        except OSError as error:
            cause = error.strerror or error
            raise DownloadError(f"{self.path}: {cause}; what has arrived is kept for the next start") from error

    def finish(self):
        """Becomes the target."""
        os.fsync(self._file.fileno())
        os.replace(self.path, self.target)
        self._notes.unlink(missing_ok=True)

    def discard(self):
        """Leaves nothing."""
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)
