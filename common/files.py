"""Files of the scripts: finds recordings, names and writes results whole, writes tables of latent vectors."""

import contextlib
import csv
import hashlib
import os
import re
import tempfile
import time
from pathlib import Path

import numpy as np

from common.script import complain
from models.audio.clip import AUDIO_EXTENSIONS, AudioError, read_clip, write_wav
from models.files.writing import written_whole

ABANDONED = 3600  # seconds without a change, after which no run is still writing a partial file
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # signs that end lines or steer a terminal
LONGEST_NAME = 200  # bytes of a result's name, so that what is added to it still fits a file name of 255


def find_recordings(files, below=False):
    """The recordings that `files`, a folder or one file, names, in order; below: also in the folders below it.

    Only audio extensions are looked at. Raises FileNotFoundError, in one line, where there are none.
    """
    path = Path(files)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"{files}: no such file or folder; it should hold recordings")
    inside = path.glob("**/*" if below else "*")
    recordings = sorted(p for p in inside if p.suffix.lower() in AUDIO_EXTENSIONS and p.is_file() and p.name[0] != ".")
    if not recordings:
        raise FileNotFoundError(f"{files}: no recordings there ({', '.join(sorted(AUDIO_EXTENSIONS))})")
    return recordings


def printable(path):
    """A path as one line of text that can be printed and written, whatever bytes and control signs its name has."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return CONTROL.sub(lambda sign: sign[0].encode("unicode_escape").decode(), text)


def result_names(paths, taken=()):
    """{path: name of its results}, all different, whatever the letters' case.

    A recording's stem; its whole file name where the stem is another's; with a hash of its path where that is another's
    too, where it is very long, or where it is no text. taken: names that belong to other recordings already.
    """
    used, names = {name.casefold() for name in taken}, {}
    stems = [path.stem.casefold() for path in paths]
    for path in paths:
        mark = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:12]
        stem, name = printable(path.stem), printable(path.name)
        short = os.fsencode(name)[: LONGEST_NAME - 20].decode("utf-8", "ignore")
        candidates = [stem] if stems.count(path.stem.casefold()) == 1 else []
        candidates = [c for c in (*candidates, name) if len(os.fsencode(c)) <= LONGEST_NAME and "\\" not in c]
        candidates.append(f"{short}_{mark}".replace("\\", "-"))
        names[path] = next(c for c in candidates if c.casefold() not in used or c == candidates[-1])
        used.add(names[path].casefold())
    return names


def remove_partial_files(folder, age=0):
    """Removes what killed runs were writing in a folder, as far as it has not changed for `age` seconds; 0, all of it,
    is for whoever holds the folder's lock."""
    for path in Path(folder).glob(".*.partial"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime >= age:
                path.unlink()


def writable_folder(output):
    """Makes the folder `output` and writes a file into it for a moment, without what a killed run was writing there.
    Raises OSError if that cannot be done.
    """
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    remove_partial_files(folder, ABANDONED)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".partial") as file:
        file.write(b"\0")
    return folder


def readable_clip(path, script, **options):
    """A recording as a clip, or None, with a line in the name of `script` that says what is wrong with it. options:
    of models.audio.clip.read_clip."""
    try:
        return read_clip(path, **options)
    except (AudioError, OSError) as error:
        complain(script, f"left out: {error}")
        return None


def write_array(path, array):
    """Writes an array as .npy, whole. None: there is none, and that of an earlier run goes."""
    if array is None:
        Path(path).unlink(missing_ok=True)
        return
    with written_whole(path) as file:
        np.save(file, array)


def write_clip(folder, name, waveform, sample_rate, z=None):
    """Writes {name}.wav at a rate in Hz, and {name}.npy where there is a latent vector z, each whole → the path of the
    first.
    """
    path = Path(folder) / f"{name}.wav"
    with written_whole(path) as file:
        write_wav(file, waveform, sample_rate)
    if z is not None:
        write_array(path.with_name(f"{name}.npy"), z)
    return path


def write_latents(path, rows):
    """Writes latent vectors as a table, whole: {columns before the numbers} and z0, z1, …, for R or pandas.

    rows: a list of ({column: value}, latent vector [latent_dim]); numbers are written so that float32 comes back as it
    was.
    """
    with written_whole(path, "w") as file:
        table = csv.writer(file, lineterminator="\n")
        if rows:
            table.writerow([*rows[0][0], *(f"z{i}" for i in range(len(rows[0][1])))])
        table.writerows([*columns.values(), *map(str, np.asarray(z, np.float32))] for columns, z in rows)
