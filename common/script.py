"""How a script ends: errors that a user can mend are one line and exit status 1, an interruption says what is left."""

import os
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
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # signs that end lines or steer a terminal


class ScriptError(Exception):
    """Something a user can mend: what, which file, what to do, in one line."""


def one_line(text):
    """Text as one line that a terminal shows as it is, whatever is in it, such as the name of a file."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return CONTROL.sub(lambda sign: sign[0].encode("unicode_escape").decode(), text)


def complain(script, message):
    """One line on standard error, above a progress bar if there is one. script: its __file__."""
    tqdm.write(one_line(f"{Path(script).name}: {message}".replace("\n", " ")), file=sys.stderr)


def end_quietly(script):
    """Ctrl-C and SIGTERM end the script at once, with one line, as long as it only starts. script: its __file__."""
    line, shown = f"{Path(script).name}: stopped while starting; nothing was done\n".encode(), os.dup(2)

    def end(*_):
        os.write(shown, line)
        os._exit(EXIT_INTERRUPTED)  # an exception would come to light in whatever is being imported

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)


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
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminated)
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
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
