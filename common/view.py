"""What a user sees: spectrograms, sounds in TensorBoard, the tables of figures, and figures in model cards."""

import io
import re
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from common.columns import COMPUTED, columns
from models.audio.clip import HOP_LENGTH, SAMPLE_RATE, spectrogram, write_wav
from models.audio.digits import DIGITS
from models.files.writing import written_whole
from models.generator.generator import by_channel

HASH = 16  # digits of a SHA-256 that model cards show
LEAST_HEARD = 0.1  # probability that a digit reaches somewhere, if its line is drawn
RANGE_DB = 80  # shown below the loudest magnitude
_WORDS = {column.name: column.words for column in columns(COMPUTED)}
COLUMNS = {  # name: (words, format, only where latent vectors are known)
    "dataset": ("data set", "s", False),
    "num_clips": ("clips", "d", False),
    "inception_score": ("inception score, judge", ".2f", False),
    "classifier_inception_score": ("inception score, classifier", ".2f", False),
    "mse": ("waveform MSE", ".4f", False),
    "snr_db": (f"{_WORDS['snr_db']}, median, dB", ".1f", False),
    "ssim": ("SSIM", ".2f", False),
    "accuracy": ("right digit, judge", ".0%", False),
    "classifier_accuracy": ("right digit, classifier", ".0%", False),
    "log_spectral_distance": (f"{_WORDS['log_spectral_distance']}, median, dB", ".1f", False),
    "log_spectral_distance_below_4_khz": (
        f"{_WORDS['log_spectral_distance']} below 4 kHz, median, dB",
        ".1f",
        False,
    ),
    "perceptual_loss": (_WORDS["perceptual_loss"], ".3f", False),
    "identical": ("identical", ".0%", True),
    "latent_mse": ("latent MSE", ".2g", True),
    "latent_mae_before": ("latent MAE before optimisation", ".2g", True),
    "latent_mae": ("latent MAE", ".2g", True),
    "exact": ("exact", ".0%", True),
    "code_accuracy": ("right code", ".0%", True),
    "iterations": ("iterations, median", ".0f", False),
    "seconds_per_clip": ("seconds a clip", ".3g", False),
}
MAIN = (
    "dataset",
    "num_clips",
    "accuracy",
    "log_spectral_distance",
    "log_spectral_distance_below_4_khz",
    "snr_db",
    "latent_mse",
    "exact",
    "seconds_per_clip",
)  # README's
DRAWN = ("inception_score", "accuracy", "log_spectral_distance", "perceptual_loss", "snr_db", "latent_mse")
IN_A_ROW = 8  # spectrograms of a figure
KEPT = 3  # epochs whose pairs are kept


def pyplot():
    """matplotlib.pyplot, imported where the first picture is drawn: a script that draws none does not wait for it. Its
    pictures go to files, never to a screen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def png_of(figure):
    """A figure as PNG in memory, bytes; it is closed."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=100)
    pyplot().close(figure)
    return png.getvalue()


def magnitudes_db(waveforms):
    """Magnitudes of the spectrograms of waveforms [n, num_samples] in dB, [n, frames, bins]."""
    return 20 * np.log10(np.hypot(*(np.asarray(part) for part in spectrogram(waveforms))) + 1e-6)


def spectrogram_figure(rows, sample_rate=SAMPLE_RATE):
    """Spectrograms of waveforms [n, num_samples] as a matplotlib figure, eight a row, all on one scale of decibels.

    rows: one array, or several that begin a new row each. sample_rate: in Hz.
    """
    rows = [rows] if isinstance(rows, np.ndarray) else list(rows)
    lines = [group[i : i + IN_A_ROW] for group in rows for i in range(0, len(group), IN_A_ROW)]
    size = (1.6 * IN_A_ROW, 1.5 * len(lines))
    figure, axes = pyplot().subplots(len(lines), IN_A_ROW, figsize=size, squeeze=False, layout="constrained")
    levels = [magnitudes_db(line) for line in lines]
    top = max(level.max() for level in levels)
    for axis in axes.flat:
        axis.set_axis_off()
    for row, level in zip(axes, levels):
        for axis, picture in zip(row, level):
            extent = (0, picture.shape[0] * HOP_LENGTH / sample_rate, 0, sample_rate / 2000)  # seconds, kHz
            shown = {"vmin": top - RANGE_DB, "vmax": top, "extent": extent, "cmap": "magma"}
            axis.imshow(picture.T, origin="lower", aspect="auto", **shown)
    return figure


def digits_figure(probabilities, along, what):
    """Probabilities of the digits [n, 10] along n steps as a matplotlib figure, a line for each digit that is heard.

    along: where the steps are [n], numbers of `what`."""
    figure, axis = pyplot().subplots(figsize=(7, 2.6), layout="constrained")
    for digit in np.flatnonzero(probabilities.max(axis=0) > LEAST_HEARD):
        axis.plot(along, probabilities[:, digit], marker="o", color=f"C{digit}", label=DIGITS[digit])
    axis.set(xlabel=what, ylabel="probability", ylim=(-0.03, 1.03))
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def save_figure(figure, path, dpi=90):
    """Writes a matplotlib figure as PNG, whole, and closes it."""
    with written_whole(path) as file:
        figure.savefig(file, format="png", dpi=dpi)
    pyplot().close(figure)


def log_sounds(writer, name, waveforms, step, sample_rate=SAMPLE_RATE):
    """Writes waveforms [n, num_samples] to a tf.summary writer: to listen to, and one picture of their spectrograms. Of
    several channels, [n, num_samples, num_channels], the mean."""
    waveforms = np.asarray(waveforms, np.float32)
    waveforms = waveforms if waveforms.ndim == 2 else waveforms.mean(axis=2)
    png = png_of(spectrogram_figure(waveforms, sample_rate=sample_rate))
    with writer.as_default(step=step):
        tf.summary.audio(name, np.clip(waveforms, -1, 1)[..., None], sample_rate, max_outputs=len(waveforms))
        tf.summary.image(f"{name}/spectrograms", tf.io.decode_png(png, 3)[None])
    writer.flush()


class Pairs(keras.callbacks.Callback):
    """After each epoch: originals and their reconstructions, to listen to in `folder` and in TensorBoard's `logs`.

    Writes `folder`/{epoch}/{kind}_{i}_{original,reconstruction}.wav and keeps the last KEPT epochs.
    originals: {kind: waveforms [n, num_samples], or with channels [n, num_samples, num_channels]}. The model has a
    `mapping` to latent vectors and a `generator`.
    """

    def __init__(self, originals, folder, logs, sample_rate=SAMPLE_RATE):
        super().__init__()
        self.originals = originals
        self.folder = Path(folder)
        self.sample_rate = sample_rate
        self.writer = tf.summary.create_file_writer(str(Path(logs) / "pairs"))

    def on_epoch_end(self, epoch, logs=None):
        for kind, clips in self.originals.items():
            again = by_channel(self.model.generator(self.model.mapping(clips)))
            for i, pair in enumerate(zip(clips, again)):
                for name, waveform in zip(("original", "reconstruction"), pair):
                    with written_whole(self.folder / str(epoch + 1) / f"{kind}_{i}_{name}.wav") as file:
                        write_wav(file, waveform, self.sample_rate)
            log_sounds(self.writer, kind, np.concatenate(list(zip(clips, again))), epoch + 1, self.sample_rate)
        kept = range(epoch + 2 - KEPT, epoch + 2)  # higher numbers are of an earlier run
        for old in [p for p in self.folder.iterdir() if p.name.isdigit() and int(p.name) not in kept]:
            for path in old.glob("*_*.wav"):
                path.unlink()
            if not any(old.iterdir()):
                old.rmdir()


def markdown(heads, rows):
    """A Markdown table. heads: its columns. rows: their cells."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def show_figures(card, name, figures, **weights):
    """Prints figures in Markdown and, where a card is named, writes them into it, as of `write_figures`."""
    print(figures)
    if card:
        write_figures(card, name, figures, **weights)


def write_figures(card, name, figures, **weights):
    """Writes Markdown into a model card between the marks `<!-- NAME -->` and `<!-- /NAME -->`, and says so.

    weights: {what: SHA-256} of what was measured, which goes above it, so that figures of other weights are found
    out; none for random weights. Raises ValueError, in one line, for a card without these marks.
    """
    text = Path(card).read_text(encoding="utf-8")
    marks = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
    if len(marks.findall(text)) != 1:
        raise ValueError(f"{card}: the marks <!-- {name} --> and <!-- /{name} --> do not stand in it once")
    of = ", ".join(f"{what.replace('_', ' ')} `{sha256[:HASH]}`" for what, sha256 in weights.items())
    content = f"Measured on {of} (SHA-256 of the weights).\n\n" if of else ""
    content += f"{figures.strip()}\n"
    with written_whole(card, "w") as file:
        file.write(marks.sub(lambda match: match[1] + content + match[2], text))
    print(f"Written into {card}")


def _cell(row, name):
    value = row.get(name)
    if value is None:
        return ""
    if isinstance(value, dict):
        return f"{value['mean']:.2f} ± {value['std']:.2f}"
    return f"{value:{COLUMNS[name][1]}}"


def in_words(row):
    """A row of figures as lines to read in a shell."""
    kind = "synthesized" if row["synth"] else row.get("dataset", "real")
    more = {
        "identifiable": ("identifiable", ".1%", True),
        "condition_number": ("condition number, median", ".0f", True),
    }
    lines = [f"\n{row['method']} on {row['num_clips']} {kind} clips"]
    for name, (words, form, _) in (COLUMNS | more).items():
        if name in row and name not in ("num_clips", "dataset"):
            lines.append(f"  {words:28} {_cell(row, name) if name in COLUMNS else format(row[name], form)}")
    return "\n".join(lines)


def _kinds(rows):
    for synth, title in ((False, "Real clips"), (True, "Synthesized clips")):
        if part := [row for row in rows if row["synth"] == synth]:
            yield synth, title, part


def markdown_table(rows, columns=tuple(COLUMNS)):
    """One Markdown table for real and one for synthesized clips; a column for each of `columns` that some row has."""
    lines = []
    for synth, title, part in _kinds(rows):
        names = [name for name in columns if synth or not COLUMNS[name][2]]
        names = [name for name in names if any(name in row for row in part)]
        cells = [[row["method"], *(_cell(row, name) for name in names)] for row in part]
        lines += [f"**{title}**", "", markdown(["", *(COLUMNS[name][0] for name in names)], cells), ""]
    return "\n".join(lines)


def draw_table(rows, path):
    """The main figures as bars, into a PNG file; error bars are standard errors, the inception score's its spread."""
    kinds = list(_kinds(rows))
    size = (2.6 * len(DRAWN), 2.6 * len(kinds))
    figure, axes = pyplot().subplots(len(kinds), len(DRAWN), figsize=size, squeeze=False, layout="constrained")
    for line, (_, title, part) in zip(axes, kinds):
        for axis, name in zip(line, DRAWN):
            _draw_bars(axis, name, part)
        line[0].set_ylabel(title)
    save_figure(figure, path, dpi=100)


def _draw_bars(axis, name, rows):
    shown = [row for row in rows if name in row]
    if not shown:
        axis.set_axis_off()
        return
    score = name.endswith("inception_score")
    values = [row[name]["mean"] if score else row[name] for row in shown]
    errors = [row[name]["std"] if score else row["error"].get(name, 0) for row in shown]
    colours = [f"C{rows.index(row)}" for row in shown]
    axis.bar(range(len(shown)), values, yerr=errors, color=colours, capsize=3)
    several = len({row.get("dataset") for row in shown}) > 1
    labels = [row["method"].replace(" latent vector", "") + (f", {row['dataset']}" if several else "") for row in shown]
    axis.set_xticks(range(len(shown)), labels, rotation=35, ha="right", fontsize=7)
    axis.set_title(COLUMNS[name][0], fontsize=9)
    axis.tick_params(axis="y", labelsize=7)
