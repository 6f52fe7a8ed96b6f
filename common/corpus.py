"""What recovery of a corpus is made of: a process's share of it, and the Parquet files of what is done."""

import hashlib
import json
import time
from pathlib import Path

from common.networks import clip_of, open_generator, open_inverse_mapping, open_judge, open_perceptual_loss

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from common.closeness import Closeness
from common.recovering import code_of, recovered
from common.solvers import coded
from models.audio.clip import AudioError, prepare
from models.files.hashing import content_hash
from models.files.writing import written_whole
from models.recovery.perceptual import Perceptual

SCHEMA = pa.schema(
    [("file", pa.string()), ("size", pa.int64()), ("z", pa.list_(pa.float32()))]
    + [(name, pa.float32()) for name in ("snr_db", "log_spectral_distance", "perceptual_loss", "probability")]
    + [("label", pa.string()), ("code", pa.string()), ("runner_up", pa.string()), ("margin_db", pa.float32())]
    + [
        ("predicted_digit", pa.string()),
        ("at_bound", pa.int32()),
        ("iterations", pa.int32()),
        ("objective", pa.float32()),
    ]
    + [("seconds", pa.float32()), ("error", pa.string()), ("reconstruction", pa.list_(pa.float32()))]
)  # one row a recording; error is null where there is none, all but file and size where there is one; label, code,
# runner_up and margin_db where the generator has such
ROWS_A_FILE = 512  # rows that a Parquet file has, where time allows
FLUSH_SECONDS = 30.0  # after which the rows that are there are written all the same


def weights_hash(folder):
    """SHA-256 of the files in a folder of weights, its card left out; "" for a folder that is not there."""
    paths = sorted(path for path in Path(folder).glob("*") if path.is_file() and path.suffix != ".md")
    content = "".join(f"{path.name} {content_hash(path)}\n" for path in paths)
    return hashlib.sha256(content.encode()).hexdigest() if content else ""


class Recoverer:
    """One process's part: holds the networks, turns batches of paths into rows of SCHEMA.

    stated: what the user sets of the generator, options of open_generator. waves: also the reconstructions,
    each at its recording's own level and position, channels interleaved. hold_code, code_scale: the settings.
    """

    def __init__(self, predict, gradient, seed, waves, stated, checkpoint, hold_code="", code_scale="1", **folders):
        self.waves = waves
        self.generator = open_generator(checkpoint, **stated, any_label=gradient)
        mapping = folders["inverse_mapping_checkpoint"]
        self.mapping = open_inverse_mapping(mapping, self.generator) if predict else None
        loss = open_perceptual_loss(folders["classifier_checkpoint"])
        self.closeness = Closeness(self.generator, loss, open_judge(folders["judge_checkpoint"]))
        self.solver = coded(Perceptual(loss) if gradient else None, self.generator.codes, hold_code, code_scale)
        self.seed = seed

    def __call__(self, batch):
        """batch: {"item": [[path, …]]}, one list → a table of SCHEMA, in the list's order."""
        return pa.Table.from_pylist(self.rows(batch["item"][0]), SCHEMA)

    def rows(self, paths):
        """{column: value} of each path."""
        begin, rows, clips = time.perf_counter(), {}, {}
        for path in map(str, paths):
            try:
                rows[path] = {"file": path, "size": Path(path).stat().st_size}
                clips[path] = prepare(path, **clip_of(self.generator))
            except (AudioError, OSError, ValueError) as error:
                rows[path] = {"file": path, "size": -1} | rows.get(path, {}) | {"error": str(error)}
        if clips:
            options = {"inverse_mapping": self.mapping, "solver": self.solver, "seed": self.seed}
            recovery, forms = recovered(list(clips.values()), self.generator, **options)
            measured = self.closeness.of([clip.samples for clip in forms], recovery)
            seconds = (time.perf_counter() - begin) / len(clips)
            for i, (path, clip) in enumerate(zip(clips, forms)):
                rows[path] |= self._row(clip, recovery, i, measured[i]) | {"seconds": seconds}
        return list(rows.values())

    def _row(self, clip, recovery, i, measured):
        if not (np.isfinite(recovery.z[i]).all() and np.isfinite(recovery.waveforms[i]).all()):
            return {"error": "no finite latent vector was found"}
        measured = {name: None if value == "" else value for name, value in measured.items()}  # silence has none
        row = measured | {"z": recovery.z[i], "iterations": recovery.iterations[i], "objective": recovery.objective[i]}
        row |= code_of(recovery, i)
        return row | ({"reconstruction": clip.undo(recovery.matched[i]).ravel()} if self.waves else {})


def _write(path, rows):
    with written_whole(path) as file:
        pq.write_table(rows, file)


class CorpusTable:
    """The Parquet files in a folder, a row a recording, each file written whole.

    settings: what the rows depend on. Raises ValueError, in one line, where rows of other settings are there.
    """

    def __init__(self, folder, settings):
        self.folder, self._waiting, self._since = Path(folder), [], time.monotonic()
        made_with, parts = self.folder / "corpus.json", sorted(self.folder.glob("part-*.parquet"))
        if parts and made_with.exists() and json.loads(made_with.read_text()) != settings:
            raise ValueError(f"{folder}: the rows there were made with other settings; give another output")
        with written_whole(made_with, "w") as file:
            json.dump(settings, file, indent=2)
        self._done = {}  # {recording: [(its size, the file with its row), …]}
        for path in parts:
            columns = pq.read_table(path, columns=["file", "size"]).to_pydict()
            for file, size in zip(columns["file"], columns["size"]):
                self._done.setdefault(file, []).append((size, path))

    def is_done(self, path):
        """True if a recording has a row and is as large as it was then."""
        size = path.stat().st_size if path.exists() else -1
        return any(size == known for known, _ in self._done.get(str(path.absolute()), ()))

    def add(self, rows):
        """Adds a table of SCHEMA; it is in a file after `flush`, after enough rows, or after a while."""
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) >= ROWS_A_FILE or time.monotonic() - self._since > FLUSH_SECONDS:
            self.flush()

    def flush(self):
        """Writes what waits, then takes earlier rows of the same recordings out of their files."""
        if self._waiting:
            rows = pa.concat_tables(self._waiting).cast(SCHEMA)
            files = rows["file"].to_pylist()
            name = hashlib.sha256("\n".join(files).encode()).hexdigest()[:16]
            path = self.folder / f"part-{name}.parquet"
            _write(path, rows)
            for old in {old for file in files for _, old in self._done.pop(file, ())} - {path}:
                kept = pq.read_table(old)
                _write(old, kept.filter(pc.invert(pc.is_in(kept["file"], rows["file"]))))
        self._waiting, self._since = [], time.monotonic()
