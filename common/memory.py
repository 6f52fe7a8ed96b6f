"""How much memory a run will take, said before it is taken."""

import contextlib
import math
import re
from pathlib import Path

import keras

from common.script import ScriptError

GIB = 2**30  # bytes


def available():
    """Bytes of memory that are free or can be made so; None where the system does not say (only Linux does)."""
    try:
        line = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return 1024 * int(line[1]) if line else None


def check_memory(size, what):
    """Raises ScriptError, in one line, where `size` bytes are more than are available. what: the thing that takes
    them, which begins the message."""
    free = available()
    if free is not None and size > free:
        raise ScriptError(f"{what} would take {size / GIB:.1f} GiB of memory, and {free / GIB:.1f} GiB are available")


def _activations(model):
    """How many numbers the layers of a built model return for one clip, those of models within it included."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            total += _activations(layer)
            continue
        with contextlib.suppress(AttributeError, ValueError):  # never called, or more than once
            total += sum(math.prod(x.shape[1:]) for x in keras.tree.flatten(layer.output))
    return total


def check_step(batch_size, *models, name="batch_size"):
    """As check_memory, of a training step of `batch_size` clips: what the layers of Keras models return, and as much
    for the derivatives. It takes more than that; this is what can be known before. name: of the setting."""
    size = 2 * 4 * batch_size * sum(_activations(model) for model in models)
    check_memory(size, f"{name}={batch_size:,}: a step")
