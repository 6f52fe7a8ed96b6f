"""How much memory a run will take, said before it is taken."""

import re
from pathlib import Path

from common.script import ScriptError

GIB = 2**30  # bytes


def available():
    """Bytes of memory that are free or can be made so; None where the system does not say (only Linux does)."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return 1024 * int(found[1]) if found else None


def check_memory(size, what):
    """Raises ScriptError, in one line, where `size` bytes are more than there are. what: that takes them."""
    there = available()
    if there is not None and size > there:
        raise ScriptError(f"{what} would take {size / GIB:.1f} GiB of memory, and {there / GIB:.1f} GiB are available")
