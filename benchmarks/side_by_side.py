"""Puts the tables of several runs of calculate_metrics.py side by side: a row for each method and run, same clips.

The runs judge the same clips where their data set, split, seed and number of clips are the same, which is checked.
"""

tables = "published=waves/published/published/,ours=waves/published/ours/"  # NAME=FOLDER of each run, comma-separated
output = "waves/side_by_side.md"  # file for the table, in Markdown
title = ""  # paragraph above the table; "": none

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

from_shell(globals())

import common.networks  # noqa: F401

from common.script import ScriptError, one_line_errors
from common.view import markdown_table
from models.files.writing import written_whole

SAME = ("seed", "split", "num_clips", "datasets")  # settings that decide which clips are judged
FLOORS = ("silence", "random latent vector")  # the same for every run


def read(folder):
    path = Path(folder) / "metrics.json"
    try:
        result = json.loads(path.read_text())
        return result["rows"], [result["settings"][name] for name in SAME], result["generator"]
    except (ValueError, KeyError) as error:
        raise ScriptError(f"{path}: not a table of figures; python calculate_metrics.py --table writes one") from error


def main():
    rows, clips = [], {}
    for run in tables.split(","):
        name, _, folder = run.partition("=")
        part, *clips[name] = read(folder)
        kept = [row for row in part if not rows or row["method"] not in FLOORS]
        rows += [row if row["method"] in FLOORS else row | {"method": f"{row['method']}, {name}"} for row in kept]
    if len({json.dumps(value) for value in clips.values()}) > 1:
        raise ScriptError(f"{tables}: these runs judged other clips ({', '.join(SAME)}, generator: {clips})")
    order = list(dict.fromkeys(row["method"].split(", ")[0] for row in rows))
    rows.sort(key=lambda row: order.index(row["method"].split(", ")[0]))
    table = (f"{title}\n\n" if title else "") + markdown_table(rows)
    with written_whole(output, "w") as file:
        file.write(table)
    print(f"{table}\nWritten to {output}")


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
