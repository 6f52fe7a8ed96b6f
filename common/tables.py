"""The figures of several methods as the paper's two tables: in words, in Markdown, as bars with error bars."""

import matplotlib

matplotlib.use("Agg")  # pictures go to files, never to a screen
from matplotlib import pyplot as plt

COLUMNS = {  # name: (words, format, only where latent vectors are known)
    "num_clips": ("clips", "d", False),
    "inception_score": ("inception score", ".2f", False),
    "mse": ("waveform MSE", ".4f", False),
    "snr_db": ("SNR, median, dB", ".1f", False),
    "ssim": ("SSIM", ".2f", False),
    "accuracy": ("heard as the digit", ".0%", False),
    "log_spectral_distance": ("log-spectral distance, dB", ".1f", False),
    "perceptual_loss": ("perceptual loss", ".3f", False),
    "identical": ("identical", ".0%", True),
    "latent_mse": ("latent MSE", ".2g", True),
    "latent_mae": ("latent MAE", ".2g", True),
    "exact": ("exact", ".0%", True),
    "iterations": ("iterations, median", ".0f", False),
    "seconds_per_clip": ("seconds a clip", ".3g", False),
}
DRAWN = ("inception_score", "accuracy", "log_spectral_distance", "perceptual_loss", "snr_db", "latent_mse")


def _cell(row, name):
    value = row.get(name)
    if value is None:
        return ""
    if name == "inception_score":
        return f"{value['mean']:.2f} ± {value['std']:.2f}"
    return f"{value:{COLUMNS[name][1]}}"


def in_words(row):
    """A row as lines to read in a shell."""
    kind = "synthesized" if row["synth"] else "real"
    names = {**COLUMNS, "identifiable": ("identifiable", ".1%", True), "condition_number": ("condition number, median", ".0f", True)}
    lines = [f"\n{row['method']} on {row['num_clips']} {kind} clips"]
    for name, (words, form, _) in names.items():
        if name in row and name != "num_clips":
            lines.append(f"  {words:28} {_cell(row, name) if name in COLUMNS else format(row[name], form)}")
    return "\n".join(lines)


def _kinds(rows):
    for synth, title in ((False, "Real clips"), (True, "Synthesized clips")):
        if part := [row for row in rows if row["synth"] == synth]:
            yield synth, title, part


def markdown(rows):
    """One table for real and one for synthesized clips; a column for each figure that some row has."""
    lines = []
    for synth, title, part in _kinds(rows):
        names = [name for name, (_, _, latent) in COLUMNS.items() if (synth or not latent) and any(name in row for row in part)]
        lines += [f"**{title}**", "", "| | " + " | ".join(COLUMNS[name][0] for name in names) + " |", "| --- " * (len(names) + 1) + "|"]
        lines += [f"| {row['method']} | " + " | ".join(_cell(row, name) for name in names) + " |" for row in part] + [""]
    return "\n".join(lines)


def draw(rows, file):
    """The main figures as bars into an open PNG file; the error bars are standard errors, of the inception score its standard deviation."""
    kinds = list(_kinds(rows))
    figure, axes = plt.subplots(len(kinds), len(DRAWN), figsize=(2.6 * len(DRAWN), 2.6 * len(kinds)), squeeze=False, layout="constrained")
    for line, (_, title, part) in zip(axes, kinds):
        for axis, name in zip(line, DRAWN):
            shown = [row for row in part if name in row]
            if not shown:
                axis.set_axis_off()
                continue
            values = [row[name]["mean"] if name == "inception_score" else row[name] for row in shown]
            errors = [row[name]["std"] if name == "inception_score" else 0 if name == "snr_db" else row["error"][name] for row in shown]
            places = range(len(shown))
            axis.bar(places, values, yerr=errors, color=[f"C{part.index(row)}" for row in shown], capsize=3)
            axis.set_xticks(places, [row["method"].replace(" latent vector", "") for row in shown], rotation=35, ha="right", fontsize=7)
            axis.set_title(COLUMNS[name][0], fontsize=9)
            axis.tick_params(axis="y", labelsize=7)
        line[0].set_ylabel(title)
    figure.savefig(file, format="png", dpi=100)
    plt.close(figure)
