"""Writing files whole: under another name first, then moved into place, so that nothing is ever half-written."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

UMASK = os.umask(0o077)  # read once, since reading it changes it for all threads
os.umask(UMASK)


@contextmanager
def written_whole(path, mode="wb"):
    """An open file that becomes `path` when the block ends without an error, and leaves no trace when it does not.

    Raises OSError, which names `path`, where it cannot be written. Who may read it is what the umask says.
    """
    path, partial = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".partial")
        with os.fdopen(handle, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, 0o666 & ~UMASK)
        os.replace(partial, path)
    except BaseException as error:
        if partial:
            Path(partial).unlink(missing_ok=True)
        # A full disk names no file, a folder that is read-only the hidden one.
        if isinstance(error, OSError) and str(error.filename or ".partial").endswith(".partial"):
            raise type(error)(error.errno, error.strerror or str(error), str(path)) from error
        raise
