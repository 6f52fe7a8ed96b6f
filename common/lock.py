"""One run at a time in a folder: a lock that the system releases when the process ends, however it ends."""

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # only POSIX systems have such locks
    fcntl = None

_held = {}  # {folder: file descriptor}, of this process


def locked(folder):
    """A file descriptor whose being open keeps other runs out of `folder`; None where the system has no locks.

    Raises ValueError, in one line, where another run is writing there.
    """
    if fcntl is None:
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        message = "another run is writing there; wait for its end, or give another folder"
        raise ValueError(f"{folder}: {message}") from None
    return handle


def hold(folder):
    """Keeps other runs out of `folder` until this script ends. Raises ValueError as `locked`."""
    key = Path(folder).resolve()
    if key not in _held:
        _held[key] = locked(folder)


def release():
    """Releases every folder that this process holds."""
    while _held:
        handle = _held.popitem()[1]
        if handle is not None:
            os.close(handle)
