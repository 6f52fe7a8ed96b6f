"""Which files are recordings, and what their results are called."""

import tempfile
from collections import Counter
from pathlib import Path

from common.script import ScriptError
from models.audio import AUDIO_EXTENSIONS


def find_recordings(files, below=False):
    """The recordings that `files`, a folder or one file, names, in order; below: also in the folders below it.

    Only audio extensions are looked at. Raises ScriptError where there are none.
    """
    path = Path(files)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ScriptError(f"{files}: no such file or folder; --files names recordings")
    found = sorted(p for p in path.glob("**/*" if below else "*") if p.suffix.lower() in AUDIO_EXTENSIONS and p.is_file() and p.name[0] != ".")
    if not found:
        raise ScriptError(f"{files}: no recordings there ({', '.join(sorted(AUDIO_EXTENSIONS))})")
    return found


def result_names(paths):
    """{path: name of its results}: the stem, or the whole file name where two recordings share a stem."""
    stems = Counter(path.stem for path in paths)
    return {path: path.stem if stems[path.stem] == 1 else path.name for path in paths}


def writable_folder(output):
    """Makes the folder `output` and tries it. Raises OSError if nothing can be written there."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".partial") as file:
        file.write(b"\0")
    return folder
