"""What a classifier got wrong: its confusion matrix as a picture, and the misheard clips to listen to."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

from common.files import written_whole
from models.audio import SAMPLE_RATE, write_wav


def confusion_matrix(spoken, heard, classes):
    """spoken, heard: int [n]. Returns counts [classes, classes], a row for each class spoken."""
    matrix = np.zeros((classes, classes), int)
    np.add.at(matrix, (spoken, heard), 1)
    return matrix


def _picture(matrix, names, path):
    figure, axes = plt.subplots(figsize=(6, 6), layout="constrained")
    axes.imshow(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="heard", ylabel="spoken", xticks=range(len(names)), yticks=range(len(names)))
    axes.set_xticklabels(names, rotation=45)
    axes.set_yticklabels(names)
    for row, column in np.argwhere(matrix):
        colour = "white" if 2 * matrix[row, column] > matrix[row].sum() else "black"
        axes.text(column, row, matrix[row, column], ha="center", va="center", color=colour)
    with written_whole(path) as file:
        figure.savefig(file, format="png", dpi=100)
    plt.close(figure)


def write_report(waveforms, spoken, heard, names, labels, folder, most=50):
    """Writes `folder`/confusion.png and, for up to `most` misheard clips, `folder`/mistakes/{spoken}_heard_as_{heard}_{name}.wav.

    waveforms: float [n, samples]. spoken, heard: int [n]. names: of the n clips. labels: of the classes.
    The picture and the sounds go into TensorBoard too. Mistakes of an earlier run are removed.
    """
    folder = Path(folder)
    _picture(confusion_matrix(spoken, heard, len(labels)), labels, folder / "confusion.png")
    for old in (folder / "mistakes").glob("*_heard_as_*.wav"):
        old.unlink()
    with tf.summary.create_file_writer(str(folder)).as_default():
        picture = tf.io.decode_png((folder / "confusion.png").read_bytes(), channels=3)
        tf.summary.image("confusion", picture[None], step=0)
        for i in np.flatnonzero(spoken != heard)[:most]:
            name = f"{labels[spoken[i]]}_heard_as_{labels[heard[i]]}_{names[i]}"
            with written_whole(folder / "mistakes" / f"{name}.wav") as file:
                write_wav(file, waveforms[i])
            tf.summary.audio(name, np.clip(waveforms[i], -1, 1)[None, :, None], SAMPLE_RATE, step=0)
