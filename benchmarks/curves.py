"""Draws one scalar of several training runs against time or steps, and prints where each run ended.

A run is a folder of TensorBoard's logs, or the curve.csv of a generator's training.
"""

runs = "logs/inverse_mapping/"  # folders of logs or CSV files, comma-separated; NAME=FOLDER to give one a name
scalar = "epoch_latent"  # the scalar; Keras calls those of an epoch epoch_{name}, a CSV file {name}
part = "validation"  # of the logs: "validation", "train" or "samples"
against = "minutes"  # or "steps"
logarithmic = True  # scale of the values
output = "waves/curves.png"  # file for the picture

import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

from_shell(globals())

import common.networks  # noqa: F401

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from common.plotting import pyplot
from common.script import ScriptError, one_line_errors
from models.files.writing import written_whole


def read_logs(folder):
    """Minutes since the run's first entry, steps, and values, of TensorBoard's logs."""
    logs = EventAccumulator(str(Path(folder) / part), {"tensors": 0})
    logs.Reload()
    there = logs.Tags()["tensors"]
    if scalar not in there:
        raise ScriptError(f"{folder}: no {scalar} in its {part} logs; there are {', '.join(there) or 'none'}")
    events = {event.step: event for event in logs.Tensors(scalar)}  # of a step done twice, after a kill, the later
    start = logs.FirstEventTimestamp()
    minutes = [(events[step].wall_time - start) / 60 for step in sorted(events)]
    return minutes, sorted(events), [float(make_ndarray(events[step].tensor_proto)) for step in sorted(events)]


def read_table(path):
    """Minutes of training, steps and values, of the rows of a CSV file that have one."""
    with open(path, newline="") as file:
        table = csv.DictReader(file)
        if scalar not in table.fieldnames:
            raise ScriptError(f"{path}: no column {scalar}; there are {', '.join(table.fieldnames)}")
        rows = [row for row in table if row[scalar]]
    if not rows:
        raise ScriptError(f"{path}: no value of {scalar} yet")
    columns = [[float(row[name]) for row in rows] for name in ("hours", "step", scalar)]
    return [60 * hours for hours in columns[0]], columns[1], columns[2]


def main():
    if against not in ("minutes", "steps"):
        raise ScriptError(f"against is 'minutes' or 'steps', not {against!r}")
    figure, axes = pyplot().subplots(figsize=(7, 4), layout="constrained")
    for run in runs.split(","):
        name, _, source = run.rpartition("=")
        minutes, steps, values = (read_table if source.endswith(".csv") else read_logs)(source)
        axes.plot(minutes if against == "minutes" else steps, values, marker=".", label=name or source)
        reached = f"{minutes[-1]:.1f} minutes, {steps[-1]:.0f} steps and {len(values)} entries"
        print(f"{name or source}: {scalar} {values[-1]:.4g} after {reached}")
    axes.set(xlabel=against, ylabel=scalar, yscale="log" if logarithmic else "linear")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    with written_whole(output) as file:
        figure.savefig(file, format="png", dpi=90)
    print(f"The curves are in {output}")


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
