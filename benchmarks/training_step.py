"""How long a training step of the generator takes, in this version of the project and in others, measured in turn.

Each version runs in a process of its own, several times, so that what else the machine does falls on all alike.
Processor time adds up all cores; it is what stays comparable on a machine that is busy. Prints Markdown.
"""

versions = "this=."  # NAME=FOLDER of versions of the project, comma-separated; the first is the yardstick
width = 16  # of the generator [1 to 256]
batch_size = 16  # clips a step [2 to 65,536]
lowpass = 4000.0  # Hz, cut-off of the filter behind the generator; 0: none [0 to 8192]
steps = 16  # timed steps a round, the interval of the R1 penalty, so that it is in them once [1 to 10,000]
rounds = 2  # times that each version is measured [1 to 1000]

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

if __name__ == "__main__":
    from_shell(globals())

import json
import os
import subprocess

import numpy as np

from common.script import ScriptError, one_line_errors

MEASURED = """
import json, sys, time
import numpy as np
import tensorflow as tf
sys.path.insert(0, sys.argv[1])
width, batch_size, lowpass, steps = json.loads(sys.argv[2])
from models.training.wavegan.training import WaveGANTraining
model = WaveGANTraining(width, lowpass=lowpass)
model.compile()
model.build((None, model.latent_dim))
rng = np.random.default_rng(0)
clips = tf.constant(rng.normal(0, 0.1, (batch_size, 16384)).astype(np.float32))
digits = tf.constant(rng.integers(0, 10, batch_size).astype(np.int32))
step = tf.function(model.train_step)
for _ in range(2):
    step((clips, digits))
wall, processor = [], time.process_time()
for _ in range(steps):
    begin = time.perf_counter()
    {name: value.numpy() for name, value in step((clips, digits)).items()}
    wall.append(time.perf_counter() - begin)
print(json.dumps({"wall": float(np.median(wall)), "processor": (time.process_time() - processor) / steps}))
"""


def measure(folder):
    """Seconds a step in the version of the project in `folder`: {"wall": median, "processor": mean}."""
    parameters = json.dumps([width, batch_size, lowpass, steps])
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", MEASURED, str(Path(folder).resolve()), parameters]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise ScriptError(f"{folder}: {(done.stderr.strip() or 'it failed').splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    folders = dict(version.rpartition("=")[::2] for version in versions.split(","))
    found = {name: [] for name in folders}
    for _ in range(rounds):
        for name, folder in folders.items():
            found[name].append(measure(folder))
    seconds = {
        name: {what: np.median([one[what] for one in several]) for what in ("processor", "wall")}
        for name, several in found.items()
    }
    yardstick = next(iter(seconds.values()))["processor"]
    print(f"Width {width}, {batch_size} clips, {rounds} rounds of {steps} steps\n")
    print("| version | processor time a step | ratio | wall time |\n| --- | --- | --- | --- |")
    for name, time in seconds.items():
        ratio = time["processor"] / yardstick
        print(f"| {name} | {time['processor']:.3f} s | {ratio:.2f} | {time['wall']:.3f} s |")


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
