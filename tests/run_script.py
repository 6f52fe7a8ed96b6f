"""Runs a script of the project in this process, as the shell would, or in one of its own that is killed."""

import os
import runpy
import signal
import subprocess
import sys

import numpy as np
import tensorflow as tf
from conftest import ROOT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

KILLED = """
import os, runpy, signal, sys
import common.networks
import common.state
after_epochs = int(sys.argv[1])
del sys.argv[:2]
def on_train_batch_end(self, batch, logs=None):
    if common.state.epochs_done(self.folder) == after_epochs:
        os.kill(os.getpid(), signal.SIGKILL)
common.state.Saved.on_train_batch_end = on_train_batch_end
runpy.run_path(sys.argv[0], run_name="__main__")
"""
LOADED = """
import runpy, sys
packages = sys.argv[1].split(",")
del sys.argv[:2]
runpy.run_path(sys.argv[0], run_name="__main__")
print(",".join(name for name in packages if name in sys.modules))
"""
TWO_DEVICES = """
import runpy, sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_script(name, *arguments):
    """→ the exit status of `python name arguments…`; what it prints goes to pytest's capture. Of arguments for one
    setting the last is given."""
    before = sys.argv
    sys.argv = [name, *{str(one).partition("=")[0]: str(one) for one in arguments}.values()]
    try:
        runpy.run_path(str(ROOT / name), run_name="__main__")
    except SystemExit as end:
        return end.code or 0
    finally:
        sys.argv = before
    return 0


def run_eagerly(name, *arguments):
    """The same of a training script, without graphs: tracing one takes longer than a few steps."""
    tf.config.run_functions_eagerly(True)
    try:
        return run_script(name, *arguments)
    finally:
        tf.config.run_functions_eagerly(False)


def _in_a_process(code, *arguments):
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)


def run_killed(name, *arguments, after_epochs=1):
    """Runs a training script that kills itself in the first step after so many epochs → what it printed."""
    run = _in_a_process(KILLED, after_epochs, name, *arguments)
    assert run.returncode == -signal.SIGKILL, run.stderr
    return run.stdout


def loaded_by(packages, name, *arguments):
    """Those of the packages that a script has imported when it is done."""
    run = _in_a_process(LOADED, ",".join(packages), name, *arguments)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()[-1].split(",")


def run_on_two_devices(name, *arguments):
    """Runs a training script with the CPU as two devices → what it printed."""
    run = _in_a_process(TWO_DEVICES, name, *arguments, "--devices=CPU:0,CPU:1")
    assert run.returncode == 0, run.stderr
    return run.stdout


def scalars(logs):
    """{name: {step: value}} of TensorBoard's scalars in a folder; of a step that was done twice the later."""
    events = EventAccumulator(str(logs), {"tensors": 0})
    events.Reload()
    series = {}
    for name in events.Tags()["tensors"]:
        values = {event.step: make_ndarray(event.tensor_proto) for event in events.Tensors(name)}
        if all(np.ndim(value) == 0 and value.dtype.kind == "f" for value in values.values()):
            series[name] = {step: float(value) for step, value in values.items()}
    return series
