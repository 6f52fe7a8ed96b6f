"""One job of many: which recordings are its part, and how the parts' results become one folder's."""

import json
import os
import re
from pathlib import Path

from common.recovering import RecoveryTable

FOLDER = re.compile(r"part-(\d+)-of-(\d+)")
TABLES = {"recovery.csv", "recovery.json", "recovery_previous.csv", "recovery_damaged.csv", "index.html"}


def parse_shard(shard):
    """ "3/16" → (3, 16). Raises ValueError, in one line, for anything else, and for a part that is not there."""
    found = re.fullmatch(r"(\d+)/(\d+)", shard)
    part, parts = (int(number) for number in found.groups()) if found else (0, 0)
    if not 1 <= part <= parts:
        raise ValueError(f"shard is which part of how many, such as 3/16, not {shard!r}")
    return part, parts


def part_of(paths, shard):
    """Every `parts`-th of the paths, from the `part`-th on: the parts are disjoint, and together they are all."""
    part, parts = parse_shard(shard)
    return paths[part - 1 :: parts]


def part_folder(output, shard):
    """The folder in `output` for the results of one part."""
    part, parts = parse_shard(shard)
    return Path(output) / f"part-{part:0{len(str(parts))}d}-of-{parts}"


def merge(output):
    """Moves the results of all parts in `output` into it, with one table → how many rows it has, which parts lack.

    Stopped and called again, it goes on. Raises ValueError, in one line, where there are no parts, where they were made
    with other settings than each other, or while one of them is being written.
    """
    folders = sorted(path for path in Path(output).iterdir() if FOLDER.fullmatch(path.name))
    if not folders:
        raise ValueError(f"{output}: no parts there")
    settings = [json.loads((folder / "recovery.json").read_text()) for folder in folders]
    if other := [folder for folder, made_with in zip(folders, settings) if made_with != settings[0]]:
        raise ValueError(f"{other[0]}: made with other settings than {folders[0]}")
    everything = RecoveryTable(output, settings[0])
    for folder in folders:
        part = RecoveryTable(folder, settings[0])
        for path in sorted(folder.iterdir()):
            if path.name not in TABLES and not path.name.startswith("."):
                os.replace(path, everything.folder / path.name)
        everything.add_all(part.rows)
        part.close()
    everything.close()
    for folder in folders:
        for name in TABLES:
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
    parts = {tuple(map(int, FOLDER.fullmatch(folder.name).groups())) for folder in folders}
    count = max(of for _, of in parts)
    return len(everything.rows), sorted(set(range(1, count + 1)) - {part for part, _ in parts})
