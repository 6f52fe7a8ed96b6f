"""Results that are written as they come, each whole, so that a stopped run goes on; and what they depend on."""

import csv
import hashlib
import io
import json
import os
import sys
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np

from common.columns import columns
from common.files import printable, remove_partial_files
from models.files.hashing import content_hash
from models.files.writing import written_whole

csv.field_size_limit(sys.maxsize)  # of a cell that holds an array


def depends_on(**what):
    """What results depend on, as anything JSON can hold: settings, networks by the SHA-256 of their weights, arrays by
    that of their numbers, and solvers by their names and fields."""
    return {name: _identity(value) for name, value in what.items()}


def _identity(value):
    if is_dataclass(value):
        return {"name": type(value).__name__} | {f.name: _identity(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, np.ndarray):
        return [list(value.shape), hashlib.sha256(np.ascontiguousarray(value)).hexdigest()]
    if hasattr(value, "preparation"):  # a generator: latent vectors depend on what the user says of it, too
        return [value.sha256, value.num_samples, value.num_channels, _identity(value.preparation)]
    if hasattr(value, "sha256"):
        return [value.sha256, getattr(value, "taps", "")]
    return str(value) if isinstance(value, float) else value  # JSON has no number for inf


class Kept:
    """What is kept of recordings in a folder. {name}.json says what all of it depends on; whoever opens one holds the
    folder (common/lock.py).
    """

    def __init__(self, folder, name, settings):
        self.folder, self.name = Path(folder), name
        self.settings = json.loads(json.dumps(settings))  # as it comes back from the file
        self._facts = {}  # {recording: its columns size and sha256}
        remove_partial_files(self.folder)

    def made_with(self):
        """The settings of the earlier run, or None where they cannot be read."""
        with suppress(OSError, ValueError):
            return json.loads((self.folder / f"{self.name}.json").read_text())

    def write_settings(self):
        with written_whole(self.folder / f"{self.name}.json", "w") as file:
            json.dump(self.settings, file, indent=2)

    def recording(self, path):
        """The columns file, size and sha256 of a recording, which is read once for them. Raises OSError."""
        if path not in self._facts:
            self._facts[path] = {"size": path.stat().st_size, "sha256": content_hash(path)}
        return {"file": printable(path), **self._facts[path]}

    def is_as_it_was(self, path, size, sha256):
        """Whether a recording is what it was when its row, of this size and hash, was made."""
        with suppress(OSError):
            return path.stat().st_size == size and self.recording(path)["sha256"] == sha256
        return False


class Store(Kept):
    """Rows of results in {name}.csv, by the column `by`; of several that have the same there the last counts.

    names: of its columns (common/columns.py). settings: what all results depend on, of `depends_on`; a table that was
    made with others is moved to {name}_previous.csv, one that cannot be read to {name}_damaged.csv, each with a word.
    exact: numbers are kept to the last bit, where tables show fewer digits. A row is on the disk when `add`
    returns, and read from there, so that memory does not grow with arrays in it.
    """

    def __init__(self, folder, name, names, settings, by="file", exact=False):
        super().__init__(folder, name, settings)
        self.path, self.columns, self.by, self.exact = self.folder / f"{name}.csv", columns(names), by, exact
        self._key = next(column for column in self.columns if column.name == by)
        self._at = {}  # {key: where its row begins}
        self._header = []
        if self.path.exists():
            self._open()
        self.write_settings()
        self.write()

    def _open(self):
        aside = "previous"
        if self.made_with() == self.settings:
            try:
                self._index()
                return
            except (csv.Error, ValueError, OSError):
                aside = "damaged"
        self._at = {}
        moved = self.path.with_name(f"{self.name}_{aside}.csv")
        os.replace(self.path, moved)
        why = "was made with other settings" if aside == "previous" else "cannot be read"
        print(f"{self.path} {why}; it is now {moved}")

    def _index(self):
        """Finds the rows of the file; one that was cut short is none. Raises ValueError for what is no such table."""
        whole = lines = 0
        with open(self.path, "rb") as file:
            self._header = _cells(file.readline())
            place = self._header.index(self.by)
            while line := file.readline():
                cells, lines = _cells(line), lines + 1
                if len(cells) == len(self._header) and line.endswith(b"\n"):
                    self._at[self._key.value(cells[place])] = file.tell() - len(line)
                    whole += 1
        if lines and not whole:
            raise ValueError("no whole row")

    def _text(self, key):
        with open(self.path, "rb") as file:
            file.seek(self._at[key])
            return dict(zip(self._header, _cells(file.readline())))

    def __contains__(self, key):
        return key in self._at

    def __iter__(self):
        return iter(self._at)

    def __len__(self):
        return len(self._at)

    def __getitem__(self, key):
        """The row {column: value} of a key, without the columns that it has no value for."""
        text = self._text(key)
        values = {column.name: column.value(text.get(column.name, "")) for column in self.columns}
        return {name: value for name, value in values.items() if value is not None}

    def rows(self, keys=None):
        """The rows of `keys`, by default of all, one after another."""
        return (self[key] for key in list(self if keys is None else keys))

    def add(self, rows):
        """Adds rows {column: value}, or puts them in the place of earlier ones."""
        size, lines = self.path.stat().st_size, []
        for row in rows:
            self._at[row[self.by]] = size + sum(map(len, lines))
            lines.append(table_line(column.text(row.get(column.name), self.exact) for column in self.columns))
        data = b"".join(lines)
        try:
            with open(self.path, "ab", buffering=0) as file:
                while data:
                    data = data[file.write(data) :]
                os.fsync(file.fileno())
        except OSError as error:  # a full disk names no file
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def forget(self, keys):
        """Takes rows out of the table; on the disk they stay until `write`."""
        for key in keys:
            self._at.pop(key, None)

    def write(self):
        """Writes the table anew, whole, with one row for each key."""
        header, at = [column.name for column in self.columns], {}
        with written_whole(self.path) as file:
            file.write(table_line(header))
            for key in self._at:
                text = self._text(key)
                at[key] = file.tell()
                file.write(table_line(text.get(name, "") for name in header))
        self._at, self._header = at, header

    def remove(self):
        """Removes the table and what lies beside it, when its rows have become results."""
        for ending in (".csv", ".json", "_previous.csv", "_damaged.csv"):
            (self.folder / f"{self.name}{ending}").unlink(missing_ok=True)


def _cells(line):
    """A line of bytes as cells. Raises ValueError or csv.Error for what is no line of a table."""
    return next(csv.reader([line.decode("utf-8")], strict=True), [])


def table_line(cells):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8")
