"""What lies in a folder that holds no generator which can be read, and what to do with it; nothing of it is opened but
the table of contents of a zip file, and the first line of a text.
"""

import zipfile

from models.generator.readers.keras2 import SAVED

PYTORCH = (
    "where it was made, torch.onnx.export(G, z, 'generator.onnx') writes what can be read; pickles are never opened"
)
KINDS = {
    **dict.fromkeys(
        (".pt", ".pth", ".tar", ".pkl", ".pickle", ".ckpt", ".ts"), ("a PyTorch file or another pickle", PYTORCH)
    ),
    ".safetensors": ("weights without their network", PYTORCH),
    ".data": ("the arrays of an ONNX file", "generator.onnx, which names them, belongs beside it"),
    ".tflite": ("a TensorFlow Lite model", "put the SavedModel that it was converted from in its place"),
}
MOST_NAMES = 5  # of files that a message lists
POINTER = b"version https://git-lfs.github.com/spec/"  # what Git LFS leaves where a file was not fetched


def what_lies_in(folder):
    """One line on a folder without a generator: what it holds instead."""
    everything = sorted(folder.glob("*")) if folder.is_dir() else []
    paths = [path for path in everything if path.name[0] != "."]
    for path in paths:
        if path.suffix.lower() in KINDS and path.is_file():
            kind, instead = KINDS[path.suffix.lower()]
            return f"{path}: {'a TorchScript file' if _is_torchscript(path) else kind}; {instead}"
    if inside := [path for path in paths if (path / "saved_model.pb").exists()]:
        return f"{folder}: no generator; {inside[0]} is a SavedModel, a folder with a generator of its own"
    if weights := [path for path in everything if path.name.endswith(".index")]:
        return f"{weights[0]}: variables without their network, as tf.train.Checkpoint writes them; {SAVED}"
    parts = [path.name for path in paths if path.name.startswith(("model.ckpt", "best_score"))]
    if parts:
        return (
            f"{folder}: half of a checkpoint ({_listed(parts)}); model.ckpt-N.index and "
            "model.ckpt-N.data-00000-of-00001 belong together"
        )
    holds = f"it holds {_listed([path.name for path in paths])}" if paths else "it is empty"
    holds = holds if folder.is_dir() else "there is no such folder"
    return (
        f"{folder}: no generator; {holds} (a generator is model.ckpt-N.*, or a .pb, .onnx, .keras, .h5 or SavedModel)"
    )


def is_pointer(path):
    """True for the text that Git LFS leaves in a file's place."""
    with open(path, "rb") as file:
        return file.read(len(POINTER)) == POINTER


def _listed(names):
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _is_torchscript(path):
    """True for a zip file with code in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return False
