"""How a script ends: errors that a user can mend are one line and exit status 1, an interruption says what is left."""

import re
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from common import lock
from models.files.errors import first_line

EXIT_FAILED = 1
UNWRITABLE = re.compile("No space left|File too large|Disk quota|Permission denied|Read-only|Not a directory")
EXIT_INTERRUPTED = 128 + signal.SIGINT


class ScriptError(Exception):
    """Something a user can mend: what, which file, what to do, in one line."""


def complain(script, message):
    """One line on standard error, above a progress bar if there is one. script: its __file__."""
    text = f"{Path(script).name}: {message}".replace("\n", " ")
    tqdm.write(text.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)


def _of_a_file(error):
    """True for TensorFlow's own errors of a file that it cannot write; its words name the file."""
    tensorflow = sys.modules.get("tensorflow")
    return bool(tensorflow) and isinstance(error, tensorflow.errors.OpError) and UNWRITABLE.search(str(error))


def _terminated(*_):
    raise KeyboardInterrupt


@contextmanager
def one_line_errors(script, *expected, interrupted="stopped; run it again to go on"):
    """Turns ScriptError, OSError, ValueError and the `expected` exceptions into one line and exit status 1.

    Ctrl-C and SIGTERM end with the line `interrupted` and exit status 130. script: the script's __file__.
    """
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    except KeyboardInterrupt:
        complain(script, interrupted)
        raise SystemExit(EXIT_INTERRUPTED) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        complain(script, f"{where}{error.strerror or error}")
        raise SystemExit(EXIT_FAILED) from None
    except (ScriptError, ValueError, *expected) as error:
        complain(script, error)
        raise SystemExit(EXIT_FAILED) from None
    except Exception as error:
        if not _of_a_file(error):
            raise
        complain(script, first_line(error))
        raise SystemExit(EXIT_FAILED) from None
    finally:
        lock.release()
        signal.signal(signal.SIGTERM, before)
