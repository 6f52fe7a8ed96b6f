"""Puts the files of a generator into a checkpoint folder; the one that is there makes way and is never overwritten."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from models.writing import written_whole

PREVIOUS = "previous"  # below the checkpoint folder: what was there before
# a graph or network, its variables, how its clips were prepared, the networks that it was trained with
GENERATOR_FILES = (
    "infer.meta",
    "*.pb",
    "*.keras",
    "model.ckpt*",
    "checkpoint",
    "clip.json",
    "progress.npz",
    "curve.csv",
)


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _free_folder(folder, names):
    """`folder`, or the first of `folder`/2, `folder`/3, … that holds nothing of these names."""
    for candidate in (folder, *(folder / str(i) for i in range(2, 100))):
        if not any((candidate / name).exists() for name in names):
            return candidate
    raise FileExistsError(f"{folder}: holds too many generators; remove some")


def move_aside(folder, keep=()):
    """Moves the generator that `folder` holds, with what belongs to it, to `folder`/previous; `keep`: names that stay.

    Where that folder already holds one, to `folder`/previous/2 and so on. Returns the folder it is in now, None if
    there was none.
    """
    folder = Path(folder)
    matching = {path for pattern in GENERATOR_FILES for path in folder.glob(pattern)}
    found = sorted(path for path in matching if path.is_file() and path.name not in keep)
    if not found:
        return None
    previous = _free_folder(folder / PREVIOUS, [path.name for path in found])
    previous.mkdir(parents=True, exist_ok=True)
    # the graph first: what an interruption leaves is then refused as half a generator, not taken for a whole one
    for path in sorted(found, key=lambda path: path.name != "infer.meta"):
        os.replace(path, previous / path.name)
    return previous


def place(files, folder):
    """Copies `files`, in their order, into `folder`, after what another generator left there has made way.

    Interrupted and called again with the same files, it goes on. Returns the folder that the old generator is in now,
    None if there was none.
    """
    files = [Path(file) for file in files]
    folder = Path(folder)
    here = [file for file in files if (folder / file.name).exists()]
    there = {file.name for file in here if _sha256(folder / file.name) == _sha256(file)}
    previous = move_aside(folder, keep=there)
    for file in files:
        if file.name not in there:
            with open(file, "rb") as source, written_whole(folder / file.name) as target:
                shutil.copyfileobj(source, target)
    return previous


def remember(downloads, path):
    """Writes to `path` which files, a list of Downloaded, were placed."""
    with written_whole(path, "w") as file:
        json.dump({found.path.name: found.sha256 for found in downloads}, file, indent=2)


def is_placed(folder, path):
    """True if `folder` still holds every file that `remember` wrote to `path`, unchanged."""
    try:
        placed = json.loads(Path(path).read_text())
        return bool(placed) and all(_sha256(Path(folder) / name) == sha256 for name, sha256 in placed.items())
    except (FileNotFoundError, ValueError):
        return False
