"""What recovery of a corpus is made of: a process's share of it, and the Parquet files of what is done."""

import hashlib
import time
from pathlib import Path

from common.networks import clip_of, open_generator, open_inverse_mapping, open_judge, open_perceptual_loss

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from common.closeness import Closeness
from common.columns import CORPUS, columns
from common.files import printable
from common.recovering import is_finite, recovered
from common.solvers import code_of
from common.store import Kept, depends_on
from models.audio.clip import AudioError, prepare
from models.files.hashing import content_hash
from models.files.writing import written_whole
from models.recovery.perceptual import Perceptual

TYPES = {str: pa.string(), int: pa.int64(), float: pa.float32(), np.ndarray: pa.list_(pa.float32())}
SCHEMA = pa.schema([(column.name, TYPES[column.type]) for column in columns(CORPUS)])  # a row a recording; null is ""
ROWS_A_FILE = 512  # rows that a Parquet file has, where time allows
FLUSH_SECONDS = 30.0  # after which the rows that are there are written all the same


class Recoverer:
    """One process's part: holds the networks, turns batches of paths into rows of SCHEMA.

    facts, hold_code, code_scale: the settings. waves: also the reconstructions, each at its recording's own level and
    position, channels interleaved. Its `settings` are what its rows depend on.
    """

    def __init__(self, predict, gradient, seed, waves, facts, checkpoint, hold_code="", code_scale="1", **folders):
        self.waves = waves
        self.generator = open_generator(checkpoint, facts, any_label=gradient)
        mapping = folders["inverse_mapping_checkpoint"]
        mapping = open_inverse_mapping(mapping, self.generator) if predict else None
        loss, judge = open_perceptual_loss(folders["classifier_checkpoint"]), open_judge(folders["judge_checkpoint"])
        self.closeness = Closeness(self.generator, loss, judge)
        self.method = {"generator": self.generator, "inverse_mapping": mapping, "seed": seed}
        self.method["solver"] = Perceptual(loss) if gradient else None
        self.method["code"] = code_of(self.generator.codes, hold_code, code_scale)
        self.settings = depends_on(**self.method, classifier=loss, judge=judge, waves=waves)

    def __call__(self, batch):
        """batch: {"item": [[path, …]]}, one list → a table of SCHEMA, in the list's order."""
        return pa.Table.from_pylist(self.rows(batch["item"][0]), SCHEMA)

    def rows(self, paths):
        """{column: value} of each path."""
        rows = {path: {"file": printable(path)} for path in map(str, paths)}

        def load(path):
            try:
                rows[path] |= {"size": Path(path).stat().st_size, "sha256": content_hash(path)}
                return prepare(path, **clip_of(self.generator))
            except (AudioError, OSError, ValueError) as error:
                rows[path] |= {"error": str(error)}

        for batch, clips, answers, seconds in recovered(list(rows), load, len(rows), **self.method):
            measured = self.closeness.of(clips, answers)
            for path, clip, answer, row in zip(batch, clips, answers, measured):
                rows[path] |= self._row(clip, answer, row | {"seconds": seconds})
        return list(rows.values())

    def _row(self, clip, answer, measured):
        if not is_finite(answer):
            return {"error": "no finite latent vector was found"}
        form = "as it is" if clip.samples is clip.as_it_is else "prepared"
        sound = clip.undo(answer.matched * np.float32(clip.has_sound)) if self.waves else None
        row = {"form": form, "z": answer.z, **measured}
        return row | ({"reconstruction": sound.ravel()} if self.waves else {})


def _write(path, rows):
    with written_whole(path) as file:
        pq.write_table(rows, file)


class CorpusTable(Kept):
    """The Parquet files in a folder, a row a recording, each file written whole.

    settings: what the rows depend on. Raises ValueError, in one line, where rows of other settings are there.
    """

    def __init__(self, folder, settings):
        super().__init__(folder, "corpus", settings)
        self._waiting, self._since, parts = [], time.monotonic(), sorted(self.folder.glob("part-*.parquet"))
        if parts and self.made_with() not in (None, self.settings):
            raise ValueError(f"{folder}: the rows there were made with other settings; give another output")
        self.write_settings()
        self._done = {}  # {recording: [(its size and hash, the file with its row), …]}
        for path in parts:
            known = [name for name in ("size", "sha256") if name in pq.read_schema(path).names]
            for row in pq.read_table(path, columns=["file", *known]).to_pylist():
                self._done.setdefault(row["file"], []).append((row.get("size"), row.get("sha256"), path))

    def is_done(self, path):
        """True if a recording has a row and is what it was then."""
        known = self._done.get(printable(path.absolute()), ())
        return any(self.is_as_it_was(path, *one) for *one, _ in known)

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
            for old in {old for file in files for *_, old in self._done.pop(file, ())} - {path}:
                kept = pq.read_table(old)
                _write(old, kept.filter(pc.invert(pc.is_in(kept["file"], rows["file"]))))
        self._waiting, self._since = [], time.monotonic()
