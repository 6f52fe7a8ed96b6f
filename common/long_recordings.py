"""Recordings of any length: the latent vectors of their windows, kept batch by batch, then one reconstruction."""

import csv
import errno
import glob
import hashlib
import json
import os
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

from common.networks import clip_of

import numpy as np
import soundfile
from tqdm import tqdm

from common.closeness import as_text
from common.files import write_array
from common.recovering import OF_CODES, code_of, recover_into, waveforms_of
from models.audio.windows import OverlapAdd, duration_of, window_count, windows
from models.files.hashing import content_hash
from models.files.writing import written_whole
from models.generator.generator import BATCH
from models.metrics.metrics import snr_db
from models.recovery.recover import Recovery

COLUMNS = (
    "start",
    "log_spectral_distance",
    "perceptual_loss",
    "predicted_digit",
    "probability",
    "at_bound",
    "explained",
    "snr_db",
    "code",
    "runner_up",
    "margin_db",
)
UNFINISHED = "rows"  # ending of the file that holds what is recovered so far


def hop_in_samples(hop, generator):
    """A hop in seconds → samples. Raises ValueError for one that is longer than the generator's clips or no sample."""
    samples = round(hop * generator.sample_rate)
    if not 1 <= samples <= generator.num_samples:
        longest = generator.num_samples / generator.sample_rate
        raise ValueError(f"hop is {hop:g} s; this generator's clips take up to {longest:g}")
    return samples


class LongRecording:
    """One recording, cut into windows of the generator's length.

    path: of the recording. name: of its results in `folder`. hop: in samples. depends_on: what else its latent vectors
    depend on, anything JSON can hold; what an interrupted run wrote counts only if that and the recording are the same,
    and never if `fresh`.
    Raises models.audio.clip.AudioError for what cannot be read.
    """

    def __init__(self, path, name, folder, generator, hop, prepared, depends_on, fresh=False):
        self.path, self.name, self.folder, self.generator = path, name, Path(folder), generator
        self.hop, self.prepared = hop, prepared
        self.duration = duration_of(path, generator.sample_rate)  # samples
        self.count = window_count(self.duration, generator.num_samples, hop)
        made_of = json.dumps([depends_on, hop, prepared, content_hash(path)], sort_keys=True)
        key = hashlib.sha256(made_of.encode()).hexdigest()[:12]
        self._unfinished = self.folder / f"{name}.{key}.{UNFINISHED}"
        if fresh:
            self._unfinished.unlink(missing_ok=True)

    def windows(self):
        """Its windows, models.audio.clip.Clip, in order."""
        return windows(self.path, self.count, self.hop, prepared=self.prepared, **clip_of(self.generator))

    def recover(self, batch_size, **method):
        """Recovers the windows batch by batch, and goes on where an earlier run stopped.

        batch_size: windows at once. method: the networks, the solver and its seed, as of
        common.recovering.recovered_batches.
        → rows of the windows, as of common.recovering.recover_into; they stay in a file, whatever their number.
        """
        clips = enumerate(self.windows())
        rows = recover_into(
            self._unfinished,
            self.count,
            lambda number: next(clip for i, clip in clips if i == number).samples,
            batch_size,
            description=str(self.path),
            unit="window",
            **method,
        )
        if not all(np.isfinite(rows[name]).all() for name in {"z", "layer"} & set(rows.dtype.names)):
            self._unfinished.unlink()
            raise ValueError(f"{self.path}: no finite latent vector was found for some of its windows")
        return rows

    def put_together(self, recovered, measure, with_original=False):
        """Writes {name}_reconstruction.wav, {name}.npy and {name}.csv, a row a window.

        recovered: of `recover`. measure: function of clips, a list, and a Recovery → their rows' columns.
        with_original: also {name}_original.wav, what was recovered. → the rows, {column: value} of each window.
        """
        generator, rows = self.generator, []
        shape = generator.num_samples, generator.num_channels, self.hop
        adders = {kind: OverlapAdd(*shape) for kind in ["reconstruction"] + ["original"] * with_original}
        with ExitStack() as stack:
            waves = {kind: stack.enter_context(self._wave(kind)) for kind in adders}
            table = csv.DictWriter(
                stack.enter_context(written_whole(self.folder / f"{self.name}.csv", "w")),
                *(COLUMNS, "", "ignore"), lineterminator="\n",
            )  # fmt: skip
            table.writeheader()
            clips = iter(tqdm(self.windows(), "put together", self.count, unit="window", disable=None, leave=False))
            while batch := list(islice(clips, BATCH)):
                part = slice(len(rows), len(rows) + len(batch))
                recovery = self._recovery(batch, recovered[part])
                for clip, waveform in zip(batch, recovery.waveforms):
                    for kind, adder in adders.items():
                        waves[kind].write(adder.add(clip, waveform if kind == "reconstruction" else clip.samples))
                for i, row in enumerate(measure([clip.samples for clip in batch], recovery)):
                    start = {"start": len(rows) * self.hop / self.generator.sample_rate}
                    rows.append(start | row | code_of(recovery, i))
                table.writerows(map(as_text, rows[part]))
            for kind, adder in adders.items():
                waves[kind].write(adder.rest())
        write_array(self.folder / f"{self.name}.npy", recovered["z"])
        layer = recovered["layer"] if "layer" in recovered.dtype.names else None
        write_array(self.folder / f"{self.name}.layer.npy", layer)
        write_array(self.folder / f"{self.name}_std.npy", None)
        if not with_original:  # an earlier run's
            (self.folder / f"{self.name}_original.wav").unlink(missing_ok=True)
        for path in self.folder.glob(f"{glob.escape(self.name)}.*.{UNFINISHED}"):
            path.unlink()
        return rows

    def _recovery(self, clips, rows):
        """The models.recovery.recover.Recovery of some windows, from their rows."""
        waveforms = waveforms_of(rows, self.generator)
        snr = snr_db(np.stack([clip.samples.reshape(waveforms[0].shape) for clip in clips]), waveforms)
        unknown, explained = np.full(len(clips), np.nan), rows["explained"]
        sounds = {"waveforms": waveforms, "matched": waveforms, "snr_db": snr}
        codes = {name: rows[name] for name in OF_CODES if name in rows.dtype.names and rows["code"].any()}
        return Recovery(rows["z"], unknown, unknown, explained=explained, **codes, **sounds)

    @contextmanager
    def _wave(self, kind):
        """An open {name}_{kind}.wav that takes samples [n, num_channels] and keeps those of the recording's length."""
        path = self.folder / f"{self.name}_{kind}.wav"
        with written_whole(path) as file:
            options = {
                "samplerate": self.generator.sample_rate,
                "channels": self.generator.num_channels,
                "closefd": False,
            }
            with soundfile.SoundFile(file.fileno(), "w", subtype="FLOAT", format="WAV", **options) as wave:
                yield _UpTo(wave, self.duration)
            if os.fstat(file.fileno()).st_size < 4 * self.duration * self.generator.num_channels:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))  # libsndfile keeps it to itself


class _UpTo:
    """Writes the first `count` of all samples that it takes."""

    def __init__(self, wave, count):
        self.wave, self.remaining = wave, count

    def write(self, samples):
        self.wave.write(samples[: self.remaining])
        self.remaining -= len(samples[: self.remaining])
