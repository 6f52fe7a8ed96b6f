"""Draws one scalar of several training runs against time, from TensorBoard's own logs, and prints where each run
ended."""

runs = "logs/inverse_mapping/"  # folders of logs, comma-separated; NAME=FOLDER to give one a name
scalar = "epoch_latent"  # the scalar; Keras calls those of an epoch epoch_{name}
part = "validation"  # of the logs: "validation" or "train"; "samples" for train_wavegan.py's inception_score
logarithmic = True  # scale of the values
output = "waves/curves.png"  # file for the picture

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

from_shell(globals())


import matplotlib

matplotlib.use("Agg")  # pictures go to files, never to a screen
import common.networks  # noqa: F401

from matplotlib import pyplot as plt
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from common.script import ScriptError, one_line_errors
from models.writing import written_whole


def read(folder):
    """Minutes since the run's first entry, and values."""
    logs = EventAccumulator(str(Path(folder) / part), {"tensors": 0})
    logs.Reload()
    if scalar not in logs.Tags()["tensors"]:
        raise ScriptError(f"{folder}: no {scalar} in its {part} logs; there are {', '.join(logs.Tags()['tensors']) or 'none'}")
    events = {event.step: event for event in logs.Tensors(scalar)}  # of a step done twice, after a kill, the later
    start = logs.FirstEventTimestamp()
    times = [(events[step].wall_time - start) / 60 for step in sorted(events)]
    return times, [float(make_ndarray(events[step].tensor_proto)) for step in sorted(events)]


def main():
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for run in runs.split(","):
        name, _, folder = run.rpartition("=")
        minutes, values = read(folder)
        axes.plot(minutes, values, marker=".", label=name or folder)
        print(f"{name or folder}: {scalar} {values[-1]:.4g} after {minutes[-1]:.1f} minutes and {len(values)} entries")
    axes.set(xlabel="minutes", ylabel=f"{scalar}, {part}", yscale="log" if logarithmic else "linear")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    with written_whole(output) as file:
        figure.savefig(file, format="png", dpi=90)
    print(f"The curves are in {output}")


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
