"""Puts the files of a generator into a checkpoint folder; the one that is there makes way and is never overwritten."""

import json
from pathlib import Path

from models.files.file_set import finish, replaced_together, share
from models.files.hashing import content_hash
from models.files.writing import written_whole

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


def _free_folder(folder, names):
    """`folder`, or the first of `folder`/2, `folder`/3, … that holds nothing of these names."""
    for candidate in (folder, *(folder / str(i) for i in range(2, 100))):
        if not any((candidate / name).exists() for name in names):
            return candidate
    raise FileExistsError(f"{folder}: holds too many generators; remove some")


def place(files, folder):
    """Puts `files` into `folder` in the place of the generator that it holds, with all that belongs to that
    one; the switch is one step (models/files/file_set.py). Without `files` the generator there only makes way.

    The old one is then in `folder`/previous, or, where that holds one already, in `folder`/previous/2 and so on.
    Returns that folder, None if nothing was there, or the same files.
    """
    folder = Path(folder)
    finish(folder)
    files = [Path(file) for file in files]
    here = {file.name for file in files if (folder / file.name).exists()}
    same = {file.name for file in files if file.name in here and content_hash(folder / file.name) == content_hash(file)}
    matching = {path for pattern in GENERATOR_FILES for path in folder.glob(pattern)}
    old = sorted(path for path in matching if path.is_file() and path.name not in same)
    previous = _free_folder(folder / PREVIOUS, [path.name for path in old]) if old else None
    with replaced_together(folder, [path.name for path in old]) as new:
        for path in old:
            share(path, new / previous.relative_to(folder) / path.name)
        for file in files:
            if file.name not in same:
                share(file, new / file.name)
    return previous


def remember(downloads, path):
    """Writes to `path` which files, a list of Downloaded, were placed."""
    with written_whole(path, "w") as file:
        json.dump({found.path.name: found.sha256 for found in downloads}, file, indent=2)


def is_placed(folder, path):
    """True if `folder` still holds every file that `remember` wrote to `path`, unchanged."""
    try:
        placed = json.loads(Path(path).read_text())
        return bool(placed) and all(content_hash(Path(folder) / name) == sha256 for name, sha256 in placed.items())
    except (FileNotFoundError, ValueError):
        return False
