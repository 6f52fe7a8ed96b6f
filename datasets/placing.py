"""Puts the files of a generator into a checkpoint folder; the one that is there makes way and is never overwritten."""

from pathlib import Path

from models.files.file_set import finish, replaced_together, share
from models.files.hashing import content_hash

PREVIOUS = "previous"  # below the checkpoint folder: what was there before
# a graph or network, its variables, how its clips were prepared, the networks that it was trained with
GENERATOR_FILES = (
    "infer.meta",
    "*.pb",
    "*.keras",
    "*.onnx",
    "*.onnx.data",
    "variables/variables.*",
    "model.ckpt*",
    "checkpoint",
    "clip.json",
    "args.txt",
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
    """Puts `files` into `folder` in the place of its generator, in one step (models/files/file_set.py).

    The old generator, with all that belongs to it, is then in `folder`/previous, or, where that holds one already, in
    `folder`/previous/2 and so on. Without `files` the old one only moves there.
    Returns that folder, None if `folder` held no generator, or the same files.
    """
    folder = Path(folder)
    finish(folder)
    files = [Path(file) for file in files]
    here = {file.name for file in files if (folder / file.name).exists()}
    same = {file.name for file in files if file.name in here and content_hash(folder / file.name) == content_hash(file)}
    matching = {path for pattern in GENERATOR_FILES for path in folder.glob(pattern)}
    old = sorted(str(path.relative_to(folder)) for path in matching if path.is_file() and path.name not in same)
    previous = _free_folder(folder / PREVIOUS, old) if old else None
    with replaced_together(folder, old) as new:
        for name in old:
            share(folder / name, new / previous.relative_to(folder) / name)
        for file in files:
            if file.name not in same:
                share(file, new / file.name)
    return previous
