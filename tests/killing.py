"""Ends a process at once at a chosen moment, as a kill and a power cut together do.

    python tests/killing.py FOLDER JOURNAL LAST LIMIT script arguments…

runs a script that ends before its operation number LAST (0: never), on a disk that takes files up to LIMIT bytes (0: of
any size). Moments are counted in operations on files below one folder: opening for writing, renaming, linking,
removing, making folders, and waiting for the disk (fsync). They depend on no clock, so the same moment comes again. At
the chosen one the process ends, and every file below that folder keeps only half of what no fsync has brought to the
disk.
"""

import os
import resource
import runpy
import shutil
import sys
import traceback
from pathlib import Path

KILLED = 99  # exit status
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
EVENTS = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}  # of Python's audit hooks


class Moments:
    """Counts the operations below the folder `root`, each written to the file `journal`; ends at number `last`."""

    def __init__(self, root, journal, last=None):
        self.root, self.last, self.count = os.path.abspath(root), last, 0
        self.journal = open(journal, "w", buffering=1, encoding="utf-8")
        self.safe = {}  # {inode: bytes that are on the disk}
        for path in self._files():
            self.safe[path.stat().st_ino] = path.stat().st_size
        self._fsync, os.fsync = os.fsync, self._synced
        sys.addaudithook(self._seen)

    def _files(self):
        return [path for path in Path(self.root).rglob("*") if path.is_file()]

    def _synced(self, handle):
        self._next("fsync", os.readlink(f"/proc/self/fd/{handle}"))
        self._fsync(handle)
        about = os.fstat(handle)
        self.safe[about.st_ino] = about.st_size

    def _seen(self, event, arguments):
        if event == "open":
            path, mode, flags = arguments
            writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else (flags or 0) & WRITING
            if writes:
                self._next("open", path)
        elif event in EVENTS:
            self._next(event.removeprefix("os."), arguments[1] if event in ("os.rename", "os.link") else arguments[0])

    def _next(self, what, path):
        if self.journal.closed or isinstance(path, int):
            return
        if not os.path.abspath(os.fsdecode(path)).startswith(self.root + os.sep):
            return
        self.count += 1
        self.journal.write(f"{what} {os.path.relpath(os.fsdecode(path), self.root)}\n")
        if self.count == self.last:
            self.journal.close()
            self._cut()
            os._exit(KILLED)

    def _cut(self):
        for path in self._files():
            about = path.stat()
            safe = min(self.safe.get(about.st_ino, 0), about.st_size)
            if safe < about.st_size:
                os.truncate(path, safe + (about.st_size - safe) // 2)


class Snapshots(Moments):
    """Keeps, at chosen operations of a run, a copy of what a kill and a power cut there would leave, beside the folder
    `root`: {root}.{operation}."""

    chosen = ()

    def _next(self, what, path):
        before = self.count
        super()._next(what, path)
        if self.count > before and self.count in self.chosen:
            sizes = {file: file.stat().st_size for file in self._files()}
            safe = {file: min(self.safe.get(file.stat().st_ino, 0), size) for file, size in sizes.items()}
            shutil.copytree(self.root, copy := Path(f"{self.root}.{self.count}"))
            for file, size in sizes.items():
                os.truncate(copy / file.relative_to(self.root), safe[file] + (size - safe[file]) // 2)


def in_a_fork(work, output):
    """Calls `work` in a fork → its exit status. What it prints goes to the file `output`, its errors to {name}.err."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    status = 1
    try:
        for stream, path in ((1, Path(output)), (2, Path(output).with_suffix(".err"))):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), stream)
        status = work() or 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    root, journal, last, limit, *sys.argv = sys.argv[1:]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    if int(limit):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    Moments(root, journal, int(last) or None)
    runpy.run_path(sys.argv[0], run_name="__main__")
