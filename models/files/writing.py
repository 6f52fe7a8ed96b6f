"""Writing files whole: under another name first, then moved into place, so that nothing is ever half-written."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path, mode="wb"):
    """An open file that becomes `path` when the block ends without an error, and leaves no trace when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".partial")
    try:
        with os.fdopen(handle, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except OSError as error:
        Path(partial).unlink(missing_ok=True)
        if error.filename in (None, partial):  # a full disk names no file
            raise type(error)(error.errno, error.strerror or str(error), str(path)) from error
        raise
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
