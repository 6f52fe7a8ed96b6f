"""Sounds and spectrogram pictures for TensorBoard."""

import io

import matplotlib
import numpy as np
import tensorflow as tf

from models.audio import HOP_LENGTH, SAMPLE_RATE, spectrogram

matplotlib.use("Agg")  # pictures go to files, never to a screen
from matplotlib import pyplot as plt

RANGE_DB = 80  # shown below the loudest magnitude


def spectrogram_figure(rows, columns=8, titles=()):
    """Spectrograms of waveforms [n, num_samples] as a matplotlib figure, `columns` a row, all on one scale of decibels.

    rows: one array, or several that begin a new row each. titles: one for each waveform.
    """
    rows = [rows] if isinstance(rows, np.ndarray) else list(rows)
    lines = [group[i : i + columns] for group in rows for i in range(0, len(group), columns)]
    figure, axes = plt.subplots(len(lines), columns, figsize=(1.6 * columns, 1.5 * len(lines)), squeeze=False, layout="constrained")
    levels = [20 * np.log10(np.hypot(*(np.asarray(part) for part in spectrogram(line))) + 1e-6) for line in lines]
    top = max(level.max() for level in levels)
    for axis in axes.flat:
        axis.set_axis_off()
    count = 0
    for row, level in zip(axes, levels):
        for axis, picture in zip(row, level):
            extent = (0, picture.shape[0] * HOP_LENGTH / SAMPLE_RATE, 0, SAMPLE_RATE / 2000)  # seconds, kHz
            axis.imshow(picture.T, origin="lower", aspect="auto", vmin=top - RANGE_DB, vmax=top, extent=extent, cmap="magma")
            if count < len(titles):
                axis.set_title(titles[count], fontsize=7)
            count += 1
    return figure


def log_sounds(writer, name, waveforms, step):
    """Writes waveforms [n, num_samples] to a tf.summary writer: to listen to, and as one picture of their spectrograms."""
    waveforms = np.asarray(waveforms, np.float32)
    figure, png = spectrogram_figure(waveforms), io.BytesIO()
    figure.savefig(png, format="png", dpi=100)
    plt.close(figure)
    with writer.as_default(step=step):
        tf.summary.audio(name, np.clip(waveforms, -1, 1)[..., None], SAMPLE_RATE, max_outputs=len(waveforms))
        tf.summary.image(f"{name}/spectrograms", tf.io.decode_png(png.getvalue(), 3)[None])
    writer.flush()
