"""Files that belong together, replaced as one: a reader finds the old set or the new one, whole.

The new files are written into a folder of their own, FOLDER/.next.partial. Its renaming to FOLDER/.next is the one
moment at which they become valid: from then on readers take the set from there, while its files are put in the place
of the old ones under the names that people see. A process that is killed on the way leaves the old set, or the new one
in .next, which the next writer puts in place.
"""

import contextlib
import errno
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from models.files.errors import first_line
from models.files.writing import written_whole

NEXT = ".next"  # folder of a set that is valid and not yet in place
WRITING = ".next.partial"  # folder of a set that is being written
DONE = ".next.done"  # folder of a set that is in place, on its way out
LEAVING = ".leaving.json"  # in a set: names of the old set that go
TRIES = 5  # to read a set that is replaced at the same time


def share(source, target):
    """Gives the file `source` a second name `target`, without copying where the disk can do that; replaces nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a disk without hard links
        with open(source, "rb") as whole, written_whole(target) as file:
            shutil.copyfileobj(whole, file)


def check_room(path, size):
    """Raises OSError, naming `path`, where the disk does not take `size` bytes more; for writers that crash there."""
    beside = path.with_name(f".{path.name}.room")
    beside.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(beside, "wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, max(1, size))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        beside.unlink(missing_ok=True)


def _sync(path):
    """Returns when a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # not every system can do it with folders
            raise
    finally:
        os.close(handle)


def _files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != LEAVING)


def _put(path, target):
    """Makes the file `path` of a set known under the name `target` too, in the place of what is there."""
    if target.exists() and target.samefile(path):
        return
    beside = target.with_name(f".{target.name}.partial")
    beside.unlink(missing_ok=True)
    share(path, beside)
    os.replace(beside, target)


def finish(folder):
    """Puts a set in place that is valid already, and sweeps what a killed process was writing."""
    folder = Path(folder)
    shutil.rmtree(folder / WRITING, ignore_errors=True)
    shutil.rmtree(folder / DONE, ignore_errors=True)
    new = folder / NEXT
    if not new.is_dir():
        return
    for path in _files(new):
        _put(path, folder / path.relative_to(new))
    for name in json.loads((new / LEAVING).read_text()):
        (folder / name).unlink(missing_ok=True)
    _sync(folder)
    os.replace(new, folder / DONE)
    shutil.rmtree(folder / DONE, ignore_errors=True)


def _renamed(error, writing, folder):
    """An OSError that names the file as people know it, not as it is called while it is written."""
    named = Path(error.filename) if isinstance(error.filename, str) else writing
    named = folder / named.relative_to(writing) if named.is_relative_to(writing) else named
    words = error.strerror or first_line(error)
    return type(error)(error.errno or errno.EIO, words, str(named))


@contextmanager
def replaced_together(folder, leaving=()):
    """An empty folder to write files into; when the block ends they replace those of their names in `folder`, as one.

    leaving: names in `folder` that go with the old set, a list that the block may still add to. An error in the block
    leaves `folder` as it was; OSError names the file below `folder` that could not be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    finish(folder)
    writing = folder / WRITING
    try:
        writing.mkdir()
        yield writing
        for path in folder.iterdir():  # what stays as it is belongs to the new set too
            if path.is_file() and path.name[0] != "." and path.name not in leaving:
                if not (writing / path.name).exists():
                    share(path, writing / path.name)
        written = _files(writing)
        for path in written:
            _sync(path)
        new = {str(path.relative_to(writing)) for path in written}
        (writing / LEAVING).write_text(json.dumps([name for name in leaving if name not in new]))
        _sync(writing / LEAVING)
        for inside in {path.parent for path in written} | {writing}:
            _sync(inside)
        os.replace(writing, folder / NEXT)  # from here on the new set counts
        _sync(folder)
    except OSError as error:
        shutil.rmtree(writing, ignore_errors=True)
        raise _renamed(error, writing, folder) from error
    except BaseException:
        shutil.rmtree(writing, ignore_errors=True)
        raise
    finish(folder)


def _valid(folder):
    """Where the valid set of `folder` lies: there, or in .next, its own or that of the folder above."""
    for new in (folder / NEXT, folder.absolute().parent / NEXT / folder.absolute().name):
        if new.is_dir():
            return new
    return folder


def _stamp(folder):
    """What differs when a file in `folder` was replaced."""
    stamps = {}
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):
            about = path.stat()
            stamps[path.name] = about.st_ino, about.st_size, about.st_mtime_ns
    return stamps


def read_together(folder, read):
    """What `read(place)` returns, where `place` holds the valid set of `folder`; again if it was replaced meanwhile."""
    folder = Path(folder)
    for last in range(1, TRIES + 1):
        place = _valid(folder)
        before = _stamp(place)
        try:
            result, error = read(place), None
        except Exception as raised:  # of files that were replaced while they were read, anything
            result, error = None, raised
        if last == TRIES or (place == _valid(folder) and before == _stamp(place)):
            if error:
                raise error
            return result
