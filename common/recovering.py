"""Recovering many clips: in batches, under a progress bar, with a table of what is done, so that a run can go on."""

import contextlib
import csv
import hashlib
import json
import os
import time
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from common.closeness import as_text
from common.files import printable, remove_partial_files, result_names
from common.lock import locked
from models.audio.clip import Clip
from models.files.file_set import check_room
from models.files.hashing import content_hash
from models.files.writing import written_whole
from models.generator.generator import generate
from models.recovery.labels import recover_clips_and_labels
from models.recovery.layer import Layer, generate_from_layer
from models.recovery.placement import as_recorded
from models.recovery.recover import recover_clips
from models.recovery.solution import identity

COLUMNS = tuple(
    "file name method solver form iterations objective label code runner_up margin_db snr_db log_spectral_distance "
    "perceptual_loss predicted_digit probability explained gain offset shift z_std at_bound seconds size sha256".split()
)
AS_RECORDED = {"gain": 1, "offset": 0, "shift": 0, "explained": np.nan}  # of a Solution, with what None stands for
OF_CODES = {"code": "", "runner_up": "", "margin_db": np.nan}  # likewise, of a generator with codes


def _mover(bar, size):
    """Moves the bar on as the clips of a batch are done; a restart that takes some up again does not move it back."""
    before = bar.n
    return lambda active: bar.update(max(before + size - active, bar.n) - bar.n)


def recovered(clips, generator, *, inverse_mapping=None, **options):
    """models.audio.clip.Clips → their models.recovery.recover.Recovery and the Clips in the form recovered, for a
    generator whose label, if it takes one, is set or not. options: as of `models.recovery.recover.recover_clips`."""
    if generator.takes_label:  # a network that predicts belongs to one label
        return recover_clips_and_labels(clips, generator, **options)
    return recover_clips(clips, generator, inverse_mapping=inverse_mapping, **options)


def code_of(recovery, i):
    """The columns of a recording's code and label, where it has them."""
    names = [name for name in ("label", "code") if getattr(recovery, name) is not None]
    return {name: getattr(recovery, name)[i] for name in (*names, "runner_up", "margin_db") if names}


def recovered_batches(
    items, load, batch_size, *, generator, inverse_mapping=None, solver=None, seed=0, description=None, unit="clip",
    done=0,
):  # fmt: skip
    """Recovers the clips of `items` batch by batch, under a progress bar.

    load: item → models.audio.clip.Clip, or waveform [num_samples] or [num_samples, num_channels], or None for one to
    leave out. inverse_mapping, solver, seed: of `models.recovery.recover.recover_clips`. done: clips that an earlier
    run has done, for the bar.
    Yields (items, Clips in the form recovered, models.recovery.recover.Recovery, seconds a clip) of each batch that has
    a clip.
    """
    with tqdm(total=len(items) + done, initial=done, desc=description, unit=unit, disable=None) as bar:
        for first in range(0, len(items), batch_size):
            loaded = [(item, load(item)) for item in items[first : first + batch_size]]
            good = [(item, clip) for item, clip in loaded if clip is not None]
            bar.update(len(loaded) - len(good))
            if not good:
                continue
            move, begin = _mover(bar, len(good)), time.perf_counter()
            chosen, clips = zip(*good)
            clips = [clip if isinstance(clip, Clip) else Clip(clip) for clip in clips]
            options = {"inverse_mapping": inverse_mapping, "solver": solver, "seed": seed, "report": move}
            recovery, clips = recovered(clips, generator, **options)
            move(0)
            yield list(chosen), clips, recovery, (time.perf_counter() - begin) / len(good)


def _row_type(generator, solver):
    """The NumPy type of a clip's row in the files of `recover_into`."""
    latent = np.float32, (generator.latent_dim,)
    columns = [("z", *latent), ("start", *latent), ("iterations", np.float32), ("seconds", np.float32)]
    columns += [(name, np.float64) for name in AS_RECORDED]
    if codes := getattr(generator, "codes", None):
        columns += [(name, f"U{2 * codes.size}") for name in ("code", "runner_up")] + [("margin_db", np.float64)]
    if isinstance(solver, Layer):
        columns.append(("layer", np.float32, generator.first_layer(np.zeros((1, generator.latent_dim))).shape[1:]))
    return np.dtype(columns)


def recover_into(path, count, load, batch_size, *, description, unit="clip", **method):
    """Recovers `count` clips batch by batch into the file `path` → its rows, mapped from the disk.

    A row has the fields z and start [latent_dim], iterations, seconds, gain, offset, shift and explained, in the first
    layer's space layer, and of a generator with codes code, runner_up and margin_db; start is NaN without a prediction
    or a random start, explained without least squares on the waveform. Each batch is on the disk before the next
    begins; a run that was killed goes on behind the last whole row. load: number of a clip → clip. description, unit:
    for the progress bar. method: the networks, the solver and its seed, as of `recovered_batches`.
    """
    row_type = _row_type(method["generator"], method.get("solver"))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        done = os.fstat(file.fileno()).st_size // row_type.itemsize
        file.truncate(done * row_type.itemsize)  # without a row that was cut short
        if done:
            print(f"{description}: {done} of {count} {unit}s are done already; delete {path} to do them again")
        shown = {"description": description, "unit": unit, "done": done}
        for batch, _, recovery, seconds in recovered_batches(range(done, count), load, batch_size, **shown, **method):
            rows = np.empty(len(batch), row_type)
            for name in row_type.names:
                value = seconds if name == "seconds" else getattr(recovery, name)
                rows[name] = (AS_RECORDED | OF_CODES).get(name) if value is None else value
            check_room(path, rows.nbytes)
            file.write(rows)
            file.flush()
            os.fsync(file.fileno())
    return np.memmap(path, row_type, "r", shape=(count,))


def recover_all(clips, name, folder, batch_size, **method):
    """Recovers clips [n, num_samples, num_channels] → rows, as `recover_into` has them.

    name: of the method, for the progress bar and the file. folder: for what is done so far, {name}_{key}.rows, where
    the key is a hash of the clips, the solver and the networks: another run with the same goes on from there.
    method: as of `recover_into`.
    """
    made_of = json.dumps({key: identity(value) for key, value in method.items()}, sort_keys=True).encode()
    made_of += str(_row_type(method["generator"], method.get("solver"))).encode()
    made_of += np.ascontiguousarray(clips).tobytes()
    path = Path(folder) / f"{name.replace(' ', '_')}_{hashlib.sha256(made_of).hexdigest()[:12]}.rows"
    return recover_into(path, len(clips), lambda i: clips[i], batch_size, description=name, **method)


def waveforms_of(rows, generator):
    """Waveforms [n, num_samples, num_channels] of what `recover_into` returned, at the level and position recovered."""
    has_layer = "layer" in rows.dtype.names
    waveforms = generate_from_layer(generator, rows["layer"]) if has_layer else generate(generator, rows["z"])
    return as_recorded(waveforms, rows.view(np.recarray))


class RecoveryTable:
    """recovery.csv in `folder`: a row a recording. Its rows are kept from an earlier run if that had the same settings.

    settings: what the results depend on. Rows made with others are moved to recovery_previous.csv, a damaged table to
    recovery_damaged.csv, each with a word. The folder is locked while the table is open, so that two runs never write
    into one. Raises ValueError, in one line, where another run holds it.
    """

    def __init__(self, folder, settings):
        self.folder = Path(folder)
        self.path = self.folder / "recovery.csv"
        self.settings = settings
        self._held = None
        self._held = locked(self.folder)
        self.rows = {}
        if self.path.exists():
            self._read()
        remove_partial_files(self.folder)
        with written_whole(self.folder / "recovery.json", "w") as file:
            json.dump(self.settings, file, indent=2)
        self.write()

    def write(self):
        """Writes the table anew, whole, with one row for each recording."""
        with written_whole(self.path, "w") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n", extrasaction="ignore")
            table.writeheader()
            table.writerows(self.rows.values())

    def close(self):
        """Releases the folder, so that another run may write into it."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def __del__(self):
        self.close()

    def _read(self):
        made_with = None
        with contextlib.suppress(OSError, ValueError):
            made_with = json.loads((self.folder / "recovery.json").read_text())
        aside = "previous"
        if made_with == self.settings:
            try:
                with open(self.path, newline="", encoding="utf-8") as file:
                    rows = list(csv.DictReader(file, strict=True))
                whole = [row for row in rows if set(row) == set(COLUMNS) and None not in row.values()]
                if rows and not whole:
                    raise ValueError("no whole row")
                self.rows = {row["file"]: row for row in whole}
                return
            except (csv.Error, ValueError, OSError):
                aside = "damaged"
        moved = self.path.with_name(f"recovery_{aside}.csv")
        os.replace(self.path, moved)
        why = "was made with other settings" if aside == "previous" else "cannot be read"
        print(f"{self.path} {why}; it is now {moved}")

    def names(self, paths):
        """{path: name of its results}, none of them another recording's in this folder."""
        known = {path: self.rows[key]["name"] for path in paths if (key := printable(path)) in self.rows}
        others = [path for path in paths if path not in known]
        return known | result_names(others, [row["name"] for row in self.rows.values()])

    def forget(self, paths):
        """Takes the rows of recordings that are done again out of the table; on the disk they stay until `write`."""
        for path in paths:
            self.rows.pop(printable(path), None)

    def is_done(self, path):
        """True if the recording `path` has a row, is what it was then, and its results are there and whole."""
        row = self.rows.get(printable(path))
        try:
            if row is None or int(row["size"]) != path.stat().st_size or row["sha256"] != content_hash(path):
                return False
            wave = soundfile.info(self.folder / f"{row['name']}_reconstruction.wav")
            arrays = [f"{row['name']}.npy"] + [f"{row['name']}.layer.npy"] * (self.settings.get("layer", False))
            sizes = [np.load(self.folder / name, allow_pickle=False).size for name in arrays]
            return wave.frames > 0 and (min(sizes) > 0 or self.settings.get("find", False))  # perhaps none was found
        except Exception:  # soundfile and NumPy raise whatever a damaged file leads to
            return False

    def add(self, path, values):
        """Adds or replaces the row of a recording, {column: value}, and writes it at once behind those that are there,
        of which the last counts, numbers as text."""
        row = {"file": printable(path), "size": path.stat().st_size, "sha256": content_hash(path)} | values
        row = dict.fromkeys(COLUMNS, "") | as_text(row)
        self.rows[row["file"]] = row
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
