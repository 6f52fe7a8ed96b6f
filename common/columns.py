"""The one list of what is said of a result. It makes recovery.csv, the rows of windows, the Parquet files of corpora,
the line that a user reads, and the table of columns in recipes/README.md; another column is another entry here.

    python common/columns.py     # prints that table
"""

import base64
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import common.networks  # noqa: F401  first, so that TensorFlow starts without its noise

import numpy as np

from common.files import printable
from common.verdicts import WORDS, channel_in_words
from common.verdicts import in_words as verdict_in_words
from models.audio.digits import DIGITS
from models.metrics.metrics import IDENTICAL_DB, log_spectral_distance
from models.recovery.attempts import SPENT
from models.recovery.verdict import OWN, SILENT


@dataclass(frozen=True)
class Column:
    """One column.

    type: str, int, float, or np.ndarray of float32. words: what it is. unit: of numbers, or "". form: of numbers in
    tables. of: how it is computed: common.closeness.Ended → a value for each of its results, or None where these have
    no such thing; None for what the script says. phrase: what a line says of a row that has it, a format string or a
    function of the row; None for nothing.
    """

    name: str
    type: type
    words: str
    unit: str = ""
    form: str = ""
    of: Callable | None = None
    phrase: str | Callable | None = None

    def text(self, value, exact=False):
        """A value as a cell of a table, "" for None and for what is not a number. exact: to the last bit."""
        if value is None or (self.type is float and not np.isfinite(value)):
            return ""
        if self.type is np.ndarray:
            content = io.BytesIO()
            np.save(content, value)
            return base64.b64encode(content.getvalue()).decode()
        if self.type is str:
            return printable(value)
        return format(self.type(value), "" if exact else self.form)

    def value(self, text):
        """What `text` made a cell of; None for "". Raises ValueError for a cell that is damaged."""
        if text == "" or self.type is str:
            return text or None
        if self.type is np.ndarray:
            return np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False)
        return self.type(text)


def _answers(name):
    return lambda ended: [getattr(answer, name) for answer in ended.answers]


def _distances(ended):
    return log_spectral_distance(*ended.heard) if ended.heard else None


def _deviations(ended):
    """At a local minimum, whose remainder follows the sound, nothing says how sure a coordinate is."""
    sure = [True] * len(ended.answers) if ended.made_by is None else [key in OWN for key in ended.made_by]
    return [
        np.sqrt(np.mean(one.z_std**2)) if known and one.z_std is not None else None
        for known, one in zip(sure, ended.answers)
    ]


def _digits(ended):
    return None if ended.predicted is None else [DIGITS[digit] for digit in ended.predicted.argmax(axis=1)]


def _probabilities(ended):
    return None if ended.predicted is None else ended.predicted.max(axis=1)


def _channels(ended):
    """What was done to each sound that the generator made, in words."""
    return [channel_in_words(answer) or None for answer in ended.answers]


def _made(row):
    return verdict_in_words(row["made_by"], row.get("channel", ""))


def _stopped(row):
    return row["why"] if row["why"] == SPENT else ""


def _determined(row):
    count, latent_dim = row["determined"], row.get("unknowns", 0)
    return f"the clip determines {count} of {latent_dim} coordinates" if count < latent_dim else ""


def _next_best(row):
    return f"{row['margin_db']:.1f} dB before {row['runner_up']}" if row.get("runner_up") else ""


def _predicted(row):
    return f"sounds like {row['predicted_digit']}" + (f" ({row['probability']:.0%})" if "probability" in row else "")


def _stuck(row):
    stuck = row["at_bound"]
    return (
        f"{stuck} coordinate{'s' * (stuck > 1)} at the bounds, --facts=bounds=2 or more allows others" if stuck else ""
    )


COLUMNS = (
    Column("file", str, "the recording"),
    Column("number", int, "the clip or window, counted from 0"),
    Column("start", float, "where the window or the clip begins in its recording", "s", ".3f"),
    Column("end", float, "where the clip that was found ends there", "s", ".3f"),
    Column("name", str, "what its results are called"),
    Column("method", str, "inverse_mapping, gradient or hybrid, with _layer where the first layer was free"),
    Column("solver", str, "what optimised the latent vector"),
    Column("form", str, "whether the recording was recovered as it is or prepared"),
    Column("why", str, "which attempt found the answer, or why it ended", of=_answers("why"), phrase=_stopped),
    Column("iterations", int, "steps of the solver, over all its attempts", of=_answers("iterations")),
    Column("objective", float, "what the solver minimised, of its answer", form=".6g", of=_answers("objective")),
    Column("label", str, "the best label", of=_answers("label"), phrase="label {label}"),
    Column("code", str, "the best code", of=_answers("code"), phrase="code {code}"),
    Column("runner_up", str, "the next best label or code", of=_answers("runner_up")),
    Column("margin_db", float, "how far the best is before it", "dB", ".2f", _answers("margin_db"), _next_best),
    Column("without_code_db", float, "how much better numbers that are no valid code explain it", "dB", ".2f",
           _answers("without_code_db"), "no valid code explains it: {without_code_db:.1f} dB better without"),
    Column("snr_db", float, "SNR", "dB", ".2f", _answers("snr_db"), "SNR {snr_db:.1f} dB"),
    Column("log_spectral_distance", float, "log-spectral distance", "dB", ".2f", _distances,
           "log-spectral distance {log_spectral_distance:.1f} dB"),
    Column("perceptual_loss", float, "perceptual loss", "", ".4f", lambda ended: ended.perceptual_loss,
           "perceptual loss {perceptual_loss:.3f}"),
    Column("predicted_digit", str, "the digit that the judge hears", of=_digits, phrase=_predicted),
    Column("probability", float, "what the judge gives that digit", form=".2f", of=_probabilities),
    Column("explained", float, "share that a latent vector explains", "", ".4f", _answers("explained"),
           "{explained:.1%} explained by this generator"),
    Column("made_by", str, "who made the sound, as far as what is left tells", of=lambda ended: ended.made_by,
           phrase=_made),
    Column("closest", str, "which of several generators explains the most of it"),
    Column("next", str, "which of them is the next best"),
    Column("closer_db", float, "how far the closest is before it", "dB", ".2f",
           phrase="closest to {closest}, {closer_db:.1f} dB before {next}"),
    Column("channel", str, "what was done to the sound beside its level, offset and position", of=_channels),
    Column("gain", float, "what the sound was multiplied by", form=".4g", of=_answers("gain")),
    Column("offset", float, "what was added to it", form=".3g", of=_answers("offset")),
    Column("shift", float, "how much later the sound lies", "samples", ".2f", _answers("shift")),
    Column("speed", float, "how many times longer the sound lasts", form=".6g", of=_answers("speed")),
    Column("z_std", float, "standard deviation of a coordinate, RMS", "", ".2g", _deviations,
           "coordinates ±{z_std:.1g}"),
    Column("determined", int, "directions of the latent vector that the clip determines", of=_answers("determined"),
           phrase=_determined),
    Column("unknowns", int, "coordinates of the latent vector", of=lambda ended: [a.z.size for a in ended.answers]),
    Column("at_bound", int, "coordinates at their bounds", of=_answers("at_bound"), phrase=_stuck),
    Column("seconds", float, "time since results before it were there", "s", ".2f"),
    Column("size", int, "of the recording", "bytes"),
    Column("sha256", str, "of the recording"),
    Column("error", str, "why there is no result"),
    Column("z", np.ndarray, "the latent vector"),
    Column("begun_from", np.ndarray, "the latent vector that the solver began from"),
    Column("layer", np.ndarray, "the first layer's output, where that was free"),
    Column("filter", np.ndarray, "what the sound went through, its tap at 0 the 97th"),
    Column("levels", np.ndarray, "what its samples were multiplied by before, where that changes with time"),
    Column("reconstruction", np.ndarray, "the sound, at the recording's own level and position"),
)  # fmt: skip

_NAMES = tuple(column.name for column in COLUMNS)
COMPUTED = tuple(column.name for column in COLUMNS if column.of)
ARRAYS = tuple(column.name for column in COLUMNS if column.type is np.ndarray)
RECORDINGS = tuple(
    name for name in _NAMES if name not in ("number", "start", "end", "error", *ARRAYS)
)  # of recovery.csv
WINDOWS = ("start", *COMPUTED)  # of {name}.csv, of a long recording
FOUND = ("start", "end", *COMPUTED)  # of {name}.csv, of clips that were found in a recording
UNFINISHED = (
    "number",
    "start",
    *COMPUTED,
    "seconds",
    "z",
    "begun_from",
    "layer",
    "filter",
    "levels",
)  # of clips that are recovered so far
CORPUS = ("file", "form", *COMPUTED, "seconds", "size", "sha256", "error", "z", "reconstruction")
MEDIANS = ("snr_db", "log_spectral_distance", "perceptual_loss", "explained")  # that say something of many windows
MOST_DIGITS = 12  # of windows, that one line names
OF_ALTERNATIVES = ("label", "code", "margin_db", "without_code_db")  # phrases that begin a line


def columns(names):
    """The columns of these names, in the list's order."""
    return [column for column in COLUMNS if column.name in names]


def alternatives_in_words(row):
    """Which label and code a row has and how far before the next best, as a phrase to begin with, or ""."""
    said = _said(row, OF_ALTERNATIVES) if row.get("label") or row.get("code") else []
    return f"{', '.join(said)}; " if said else ""


def in_words(row, wrong=False):
    """How close a row's reconstruction is, as a phrase; the SNR says something of identical reconstructions only.

    wrong: the latent vector is known to be another one than the true one.
    """
    if "snr_db" not in row:
        return WORDS[SILENT]
    same = row["snr_db"] > IDENTICAL_DB
    of_another = ("log_spectral_distance", "perceptual_loss", "predicted_digit")
    idle = {*OF_ALTERNATIVES, *(of_another if same else ["snr_db"])}
    said = _said(row, [name for name in (*COMPUTED, "closer_db") if name not in idle])
    return ", ".join(["identical"] * bool(same and not wrong and not row.get("at_bound")) + said)


def _said(row, names):
    known = [column for column in columns(names) if column.phrase and row.get(column.name) is not None]
    said = [c.phrase.format(**row) if isinstance(c.phrase, str) else c.phrase(row) for c in known]
    return [words for words in said if words]


def medians(rows):
    """The median of each measure of many rows, as one row's columns."""
    known = {name: [row[name] for row in rows if row.get(name) is not None] for name in MEDIANS}
    return {name: float(np.median(values)) for name, values in known.items() if values}


def in_seconds(seconds):
    """A time in seconds, as text of two digits or of whole seconds."""
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def windows_in_words(rows):
    """How close the reconstructions of many windows are, and which digits the judge hears in the first, as a phrase."""
    if not any("snr_db" in row for row in rows):
        return WORDS[SILENT]
    digits = [row.get("predicted_digit", "silence") for row in rows[:MOST_DIGITS]] + ["…"] * (len(rows) > MOST_DIGITS)
    heard = f", sounds like {' '.join(digits)}" if any("predicted_digit" in row for row in rows) else ""
    return f"median {in_words(medians(rows))}{heard}"


def in_markdown():
    """The columns of recovery.csv as a Markdown table."""
    lines = ["| column | what | unit |", "| --- | --- | --- |"]
    return "\n".join(lines + [f"| `{c.name}` | {c.words} | {c.unit} |" for c in columns(RECORDINGS)])


if __name__ == "__main__":
    print(in_markdown())
