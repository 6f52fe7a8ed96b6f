"""Files of the scripts: finds recordings, names and writes results whole, writes tables of latent vectors."""

import contextlib
import csv
import errno
import hashlib
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile

from common.script import complain, one_line
from models.audio.clip import read_clip, write_wav
from models.audio.decoding import AUDIO_EXTENSIONS, AudioError
from models.files.writing import written_whole

ABANDONED = 3600  # seconds without a change, after which no run is still writing a partial file
MOST_NAMED = 5  # files, or kinds of them, that one line names
LONGEST_NAME = 200  # bytes of a result's name, so that what is added to it still fits a file name of 255


def find_recordings(files, below=False):
    """The recordings that `files`, a folder or one file, names, in order; below: also in the folders below it.

    Only audio extensions are looked at; a line says what else lies there. Raises FileNotFoundError, in one line, where
    there are none.
    """
    path = Path(files)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"{files}: no such file or folder; it should hold recordings")
    inside = sorted(p for p in path.glob("**/*" if below else "*") if p.name[0] != ".")
    recordings = [p for p in inside if p.suffix.lower() in AUDIO_EXTENSIONS and p.is_file()]
    others = not_taken(inside, recordings, below)
    if not recordings:
        raise FileNotFoundError(f"{path}: no recordings there ({', '.join(sorted(AUDIO_EXTENSIONS))}){others}")
    if others:
        print(f"{printable(path)}: {len(recordings)} recordings{others}")
    return recordings


def printable(path):
    """A path as one line of text that can be printed and written, whatever bytes and control signs its name has."""
    return one_line(os.fsencode(path).decode("utf-8", "backslashreplace"))


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
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".partial") as file:
            file.write(b"\0")
    except OSError as error:  # which names a hidden file, or none
        raise type(error)(error.errno, error.strerror, str(folder)) from error
    return folder


def readable_clip(path, script, **options):
    """A recording as a clip, or None, with a line in the name of `script` that says what is wrong with it. options:
    of models.audio.clip.read_clip."""
    try:
        return read_clip(path, **options)
    except (AudioError, OSError) as error:
        complain(script, f"left out: {error}")
        return None


def not_taken(inside, recordings, below):
    """What lies in a folder and is no recording, as the end of a line, or "": by name where it is little. Latent
    vectors beside their recordings, and folders that are searched as well, are left out."""
    known = {*recordings, *(path.with_suffix(".npy") for path in recordings)}
    others = [path for path in inside if path not in known and not (below and path.is_dir())]
    kinds = Counter(path.suffix.lower() or "without an ending" for path in others)
    names = [printable(path.name) + " (no file)" * (not path.is_file()) for path in others]
    if len(names) > MOST_NAMED:
        names = [f"{count} {kind}" for kind, count in kinds.most_common(MOST_NAMED)] + ["…"] * (len(kinds) > MOST_NAMED)
    return f"; {len(others)} more there not taken: {', '.join(names)}" if others else ""


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


def full_disk(path):
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@contextlib.contextmanager
def full_disk_named(path):
    """A context in which what soundfile says of a full disk is an OSError that names `path`."""
    try:
        yield
    except (soundfile.LibsndfileError, AssertionError) as error:  # the latter of fewer samples than it was given
        raise full_disk(path) from error


class Wave(soundfile.SoundFile):
    """A WAV of 32-bit floats that is being written into an open file, in place of `path`."""

    def __init__(self, path, file, sample_rate, num_channels):
        self.path, shape = path, (sample_rate, num_channels)
        with full_disk_named(path):
            super().__init__(file.fileno(), "w", *shape, "FLOAT", format="WAV", closefd=False)

    def write(self, samples):
        with full_disk_named(self.path):
            super().write(samples)


@contextlib.contextmanager
def open_wave(path, count, sample_rate, num_channels):
    """A Wave that becomes `path`, whole, when `count` samples are in it. Raises OSError, which names `path`, where it
    cannot be written."""
    with written_whole(path) as file:
        with Wave(path, file, sample_rate, num_channels) as wave:
            yield wave
        if os.fstat(file.fileno()).st_size < 4 * count * num_channels:  # libsndfile keeps some of it to itself
            raise full_disk(path)


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
