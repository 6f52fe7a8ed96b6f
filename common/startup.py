"""Imports TensorFlow without its start-up noise. A script imports this first: `import common.startup  # noqa: F401`.

TensorFlow's C++ libraries write to the process's standard error before any log level is in force, so the descriptor itself is pointed
elsewhere while they load; if loading fails, what they wrote is shown.
"""

import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def _import_quietly():
    sys.stderr.flush()
    with tempfile.TemporaryFile() as noise:
        shown = os.dup(2)
        os.dup2(noise.fileno(), 2)
        try:
            import tensorflow as tf

            tf.constant(0.0)  # starts the runtime, which has words of its own
            import keras  # noqa: F401
        except BaseException:
            os.dup2(shown, 2)
            noise.seek(0)
            sys.stderr.write(noise.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)
    tf.get_logger().setLevel("ERROR")


_import_quietly()
