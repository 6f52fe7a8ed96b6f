"""Latent vectors as people keep them: .npy, .npz, .csv, and a pickle such as WaveGAN's preview/z.pkl."""

import csv
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np

ENDINGS = (".npy", ".npz", ".csv", ".pkl")
FIRST = "z0"  # the column of a latent vector's first coordinate in a table whose columns have names
MOST = 100_000  # coordinates of a latent vector
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def _refused(path, why):
    return ValueError(f"{os.fsencode(path).decode('utf-8', 'backslashreplace')}: {why}")


def _numbers(file, fits):
    """The array in an open .npy file, if it holds numbers and fits(its shape); its header is checked before the rest is
    read. Raises ValueError for anything else."""
    start = file.tell()
    shape, _, dtype = HEADERS[np.lib.format.read_magic(file)](file)
    if dtype.kind not in "fiu":
        raise ValueError("it holds no numbers")
    if not fits(shape):
        raise ValueError("it has the shape " + " x ".join(map(str, shape)))
    file.seek(start)
    return np.lib.format.read_array(file, allow_pickle=False)


def _npy(path, fits):
    with open(path, "rb") as file:
        return _numbers(file, fits)


def _npz(path, fits):
    """The only array in the archive, or that named z."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        name = names[0] if len(names) == 1 else "z.npy"
        if name not in names:
            raise ValueError(f"it holds {len(names)} arrays and none of them is named z")
        with archive.open(name) as file:
            return _numbers(file, fits)


def _csv(path, fits):
    """Numbers in rows, split at commas, semicolons, tabs or spaces. With a heading that has z0, z1, … these columns;
    with another heading every column that has a name."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        lines = [line for line in file.read().splitlines() if line.strip()]
    separator = next((sign for sign in ",;\t" if lines and sign in lines[0]), None)
    rows = list(csv.reader(lines, delimiter=separator)) if separator else [line.split() for line in lines]
    heading = [name.strip() for name in rows[0]]
    chosen, first = range(len(heading)), 1
    if not all(map(_is_number, heading)):
        chosen = [i for i, name in enumerate(heading) if name]
        if FIRST in heading:
            chosen = [heading.index(f"z{i}") for i in range(len(heading)) if f"z{i}" in heading]
        rows, first = rows[1:], 2
    table = []
    for number, row in enumerate(rows, first):
        if len(row) != len(heading):
            raise ValueError(f"row {number} has {len(row)} cells, row 1 has {len(heading)}")
        wrong = next((row[i] for i in chosen if not _is_number(row[i])), None)
        if wrong is not None:
            raise ValueError(f"row {number} has {wrong[:20]!r} where a number belongs")
        table.append([float(row[i]) for i in chosen])
    array = np.array(table, np.float64).reshape(len(table), len(chosen))
    if not fits(array.shape):
        raise ValueError(f"it has {len(table)} rows of {len(chosen)} numbers")
    return array


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


class _Type:
    """Stands for numpy.dtype in a pickle: its name and its byte order."""

    def __init__(self, name, *_):
        self.name, self.order = name, "="

    def __setstate__(self, state):
        self.order = state[1]

    def dtype(self):
        return np.dtype(self.name).newbyteorder("=" if self.order == "|" else self.order)


class _Array:
    """Stands for numpy.ndarray in a pickle."""

    def __setstate__(self, state):
        _, self.shape, self.type, self.fortran, self.content = state

    def array(self):
        content = self.content.encode("latin1") if isinstance(self.content, str) else bytes(self.content)
        dtype = self.type.dtype()
        if dtype.kind not in "fiu":
            raise ValueError("it holds no numbers")
        return np.frombuffer(content, dtype).reshape(self.shape, order="F" if self.fortran else "C")


def _from_buffer(content, dtype, shape, order):
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", content))
    return array


class _OnlyArrays(pickle.Unpickler):
    """Reads NumPy's arrays out of a pickle as data, by the stand-ins above: nothing that it names is called."""

    STAND_INS = {
        "dtype": _Type,
        "ndarray": _Array,
        "_reconstruct": lambda *_: _Array(),
        "_frombuffer": _from_buffer,
    }

    def find_class(self, module, name):
        if module.split(".")[0] == "numpy" and name in self.STAND_INS:
            return self.STAND_INS[name]
        if (module, name) == ("_codecs", "encode"):  # Python 3's way to write bytes that Python 2 can read
            return lambda text, _: text.encode("latin1")
        raise ValueError(f"it names {module}.{name}, which is no array; nothing in it was run")


def _pkl(path, fits):
    with open(path, "rb") as file:
        content = _OnlyArrays(file, encoding="latin1").load()  # Python 2's strings are bytes
    parts = content if isinstance(content, (list, tuple)) else [content]
    if not parts or not all(isinstance(part, _Array) for part in parts):
        raise ValueError("it holds no NumPy arrays")
    arrays = [part.array() for part in parts]
    array = arrays[0] if len(arrays) == 1 else np.stack(arrays)
    if not fits(array.shape):
        raise ValueError("it has the shape " + " x ".join(map(str, array.shape)))
    return array


READERS = dict(zip(ENDINGS, (_npy, _npz, _csv, _pkl)))


def _without_ones(shape):
    return [n for n in shape if n != 1]


def read_array(path, shape):
    """The numbers in a .npy file of a known shape → float32 of that shape; shapes that differ by ones are the same.

    Raises ValueError, in one line, for a file that holds anything else.
    """
    try:
        array = _npy(path, lambda size: _without_ones(size) == _without_ones(shape))
    except Exception as error:  # NumPy raises whatever a damaged header leads to
        wanted = " x ".join(map(str, shape))
        raise _refused(path, f"no array of {wanted} numbers, as this generator takes it") from error
    return _finite(path, array).reshape(shape)


def _finite(path, array):
    array = np.asarray(array, np.float32)
    if not np.isfinite(array).all():
        raise _refused(path, "NaN or infinite numbers in it")
    return array


def read_latents(path, latent_dim):
    """The latent vectors in a file, one or many → float32 [n, latent_dim].

    A row of a .csv is a latent vector; so is a column where it has only one. Of an .npz with several arrays the one
    named z counts. Of a pickle only NumPy's arrays are read, and nothing in it is run. Raises ValueError, in one line,
    for a file that holds anything else.
    """

    def fits(shape):
        sizes = _without_ones(shape)
        if latent_dim == 1:
            return len(sizes) <= 1 and 0 not in sizes
        return sizes == [latent_dim] or (len(sizes) == 2 and sizes[1] == latent_dim and sizes[0] > 0)

    try:
        array = READERS.get(Path(path).suffix.lower(), _npy)(path, fits)
    except FileNotFoundError:
        raise
    except Exception as error:  # NumPy, zipfile and pickle raise whatever the damage leads to
        why = str(error) if isinstance(error, ValueError) and len(str(error).splitlines()) == 1 else "damaged"
        wanted = f"no latent vectors of {latent_dim} numbers, as this generator takes them"
        raise _refused(path, f"{wanted} ({why})") from error
    return _finite(path, array).reshape(-1, latent_dim)


def latent_beside(recording):
    """The file beside a recording, of the same name, that holds its latent vector, or None. A table counts only if its
    columns are named z0, z1, …: other tables lie beside recordings too."""
    for ending in ENDINGS:
        path = Path(recording).with_suffix(ending)
        if path.exists() and (ending != ".csv" or _names_coordinates(path)):
            return path
    return None


def _names_coordinates(path):
    with open(path, "rb") as file:
        names = file.readline(1 << 16).decode("utf-8", "replace").replace('"', "").strip()
    return FIRST in names.replace(";", ",").replace("\t", ",").split(",")


def known_latent(recording, latent_dim):
    """The true latent vector [1, latent_dim] of a recording if it lies beside it (`latent_beside`), else None.

    Raises ValueError, in one line, for a file that holds anything else.
    """
    path = latent_beside(recording)
    if path is None:
        return None
    z = read_latents(path, latent_dim)
    if len(z) != 1:
        raise _refused(path, f"{len(z)} latent vectors where one belongs")
    return z
