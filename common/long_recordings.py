"""Recordings of any length: the latent vectors of their windows, kept as they come, then one reconstruction."""

import csv
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

from common.networks import clip_of

import numpy as np
from tqdm import tqdm

from common.columns import ARRAYS, UNFINISHED, WINDOWS, columns
from common.files import open_wave, write_array
from common.recovering import is_finite, recovered, unfinished, waveforms_of
from common.store import Store
from models.audio.windows import OverlapAdd, duration_of, window_count, windows
from models.files.writing import written_whole
from models.generator.generator import BATCH


def hop_in_samples(hop, generator):
    """A hop in seconds → samples. Raises ValueError for one that is longer than the generator's clips or no sample."""
    samples = round(hop * generator.sample_rate)
    if not 1 <= samples <= generator.num_samples:
        longest = generator.num_samples / generator.sample_rate
        raise ValueError(f"hop is {hop:g} s; this generator's clips take up to {longest:g}")
    return samples


class LongRecording:
    """One recording, cut into windows of the generator's length.

    path: of the recording. name: of its results in `folder`. hop: in samples. prepared: as of
    models.audio.windows.windows. settings: what its latent vectors depend on, of common.store.depends_on; what an
    interrupted run wrote counts only if that is the same, and never if `fresh`. tell: as of
    models.audio.windows.duration_of.
    Raises models.audio.clip.AudioError for what cannot be read.
    """

    def __init__(self, path, name, folder, generator, hop, prepared, settings, fresh=False, tell=None):
        self.path, self.name, self.folder, self.generator = path, name, Path(folder), generator
        self.hop, self.prepared = hop, prepared
        self.duration = duration_of(path, generator.sample_rate, tell)  # samples
        self.count = window_count(self.duration, generator.num_samples, hop)
        self.store = Store(self.folder, f"{name}.unfinished", UNFINISHED, settings, by="number", exact=True)
        if fresh:
            self.store.forget(list(self.store))
            self.store.write()

    def windows(self):
        """Its windows, models.audio.clip.Clip, in order."""
        return windows(self.path, self.count, self.hop, prepared=self.prepared, **clip_of(self.generator))

    def recover(self, batch_size, measure, **method):
        """Recovers the windows that no earlier run has, each kept when it ends.

        batch_size: windows at once. measure: function of Clips, a list, and their answers → their computed columns.
        method: the networks, the solver and its seed, as of common.recovering.recovered. Raises ValueError for a window
        that has no finite answer.
        """
        clips, left = enumerate(self.windows()), [i for i in range(self.count) if i not in self.store]
        if done := len(self.store):
            print(f"{self.path}: {done} of {self.count} windows are done already; --overwrite does them again")

        def load(number):
            return next(clip for i, clip in clips if i == number).samples

        shown = {"description": str(self.path), "unit": "window", "done": done}
        for numbers, forms, answers, seconds in recovered(left, load, batch_size, **shown, **method):
            if not all(map(is_finite, answers)):
                self.store.remove()
                raise ValueError(f"{self.path}: no finite latent vector was found for some of its windows")
            rows = measure(forms, answers)
            starts = [{"start": number * self.hop / self.generator.sample_rate} for number in numbers]
            self.store.add([start | unfinished(*one, seconds) for start, *one in zip(starts, numbers, answers, rows)])

    def put_together(self, with_original=False):
        """Writes {name}_reconstruction.wav, {name}.npy and {name}.csv, a row a window, of what `recover` found.

        with_original: also {name}_original.wav, what was recovered. → the rows, {column: value} of each window.
        """
        rows, z, shape = [], [], (self.generator.num_samples, self.generator.num_channels, self.hop)
        adders = {kind: OverlapAdd(*shape) for kind in ["reconstruction"] + ["original"] * with_original}
        with ExitStack() as stack:
            waves = {kind: stack.enter_context(self._wave(kind)) for kind in adders}
            clips = iter(tqdm(self.windows(), "put together", self.count, unit="window", disable=None, leave=False))
            while batch := list(islice(clips, BATCH)):
                part = list(self.store.rows(range(len(rows), len(rows) + len(batch))))
                for clip, waveform in zip(batch, waveforms_of(part, self.generator)):
                    waveform *= np.float32(clip.has_sound)
                    for kind, adder in adders.items():
                        waves[kind].write(adder.add(clip, waveform if kind == "reconstruction" else clip.samples))
                z += [row["z"] for row in part]
                rows += [{name: value for name, value in row.items() if name not in ARRAYS} for row in part]
            for kind, adder in adders.items():
                waves[kind].write(adder.rest())
        self._write_table(rows)
        write_array(self.folder / f"{self.name}.npy", np.stack(z))
        self._write_layers()
        write_array(self.folder / f"{self.name}_std.npy", None)
        if not with_original:  # an earlier run's
            (self.folder / f"{self.name}_original.wav").unlink(missing_ok=True)
        self.store.remove()
        return rows

    def _write_table(self, rows):
        with written_whole(self.folder / f"{self.name}.csv", "w") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(column.name for column in columns(WINDOWS))
            table.writerows([column.text(row.get(column.name)) for column in columns(WINDOWS)] for row in rows)

    def _write_layers(self):
        """{name}.layer.npy [windows, …], one window after another, so that memory does not grow with their number."""
        path, first = self.folder / f"{self.name}.layer.npy", self.store[0].get("layer")
        if first is None:
            path.unlink(missing_ok=True)  # an earlier run's
            return
        with written_whole(path) as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (self.count, *first.shape)}
            np.lib.format.write_array_header_1_0(file, header)
            for row in self.store.rows(range(self.count)):
                file.write(row["layer"].astype("<f4").tobytes())

    @contextmanager
    def _wave(self, kind):
        """An open {name}_{kind}.wav that takes samples [n, num_channels] and keeps those of the recording's length."""
        path, shape = self.folder / f"{self.name}_{kind}.wav", (self.generator.sample_rate, self.generator.num_channels)
        with open_wave(path, self.duration, *shape) as wave:
            yield _UpTo(wave, self.duration)


class _UpTo:
    """Writes the first `count` of all samples that it takes."""

    def __init__(self, wave, count):
        self.wave, self.remaining = wave, count

    def write(self, samples):
        self.wave.write(samples[: self.remaining])
        self.remaining -= len(samples[: self.remaining])
