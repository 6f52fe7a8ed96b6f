"""How good a generator is: how its samples sound, what two classifiers that took no part in its training predict for
them, and the condition number of the generator's Jacobian.

Samples stand beside real clips of the test split, where there are any. The distance to the nearest training clip tells
copies. Prints Markdown, and draws samples above real clips.
"""

num_samples = 1000  # samples that are judged [2 to 100,000]
num_jacobians = 100  # samples whose Jacobian is taken, 0 for none [0 to 100,000]
faint = 0.02  # RMS below which a sample counts as faint [0 to 1]
seed = 0  # of the latent vectors [0 to 4,294,967,295]
checkpoint = "checkpoint/"  # folder of the generator
classifier_checkpoint = "classifier_checkpoint/"  # folder of the classifier
judge_checkpoint = "judge_checkpoint/"  # folder of the judge
datasets = "datasets/"  # folder of recordings; without any, there is nothing beside the samples
picture = "waves/generator.png"  # file for the picture
card = ""  # model card to write the figures into, between its marks; "" for none

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

if __name__ == "__main__":
    from_shell(globals())

import common.networks  # noqa: F401

import keras
import numpy as np

from common.script import one_line_errors
from common.view import markdown, show_figures, spectrogram_figure
from datasets.layouts import find_datasets
from datasets.reading import held_out_clips
from models.audio.clip import read_clip
from models.audio.digits import DIGITS
from models.files.errors import CheckpointError
from models.files.writing import written_whole
from models.generator.generator import generate, random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import (
    condition_number,
    energy_above,
    frechet_distance,
    harmonicity,
    inception_score,
    noise_floor,
)
from models.networks.classifier import load_classifier
from models.networks.judge import FEATURES, load_judge

BAND = 4000  # Hz; recordings of 8 kHz hold nothing above
BATCH = 64  # clips at once
SHOWN = 16  # clips in each half of the picture


def quartiles(values, digits):
    """The median, and in brackets the quartiles."""
    low, median, high = (f"{x:.{digits}f}" for x in np.quantile(values, (0.25, 0.5, 0.75)))
    return f"{median} ({low} to {high})"


def features(network, layer, clips):
    """The activations of a network's layer for clips [n, 16384] → [n, features]."""
    return keras.Model(network.input, network.get_layer(layer).output).predict(clips, BATCH, verbose=0)


def nearest(one, other):
    """Euclidean distance of each of the features [n, k] to the nearest of the others [m, k] → [n]."""
    squares = (one**2).sum(axis=1)[:, None] - 2 * one @ other.T + (other**2).sum(axis=1)
    return np.sqrt(np.maximum(squares, 0)).min(axis=1)


def sound_rows(clips):
    """{what: figure} of clips [n, 16384] that need no classifier."""
    rms = clips.std(axis=1)
    return {
        "harmonicity, median (quartiles)": quartiles(harmonicity(clips), 2),
        "noise floor, dB below the peak": quartiles(noise_floor(clips), 0),
        f"energy above {BAND / 1000:g} kHz, dB": quartiles(energy_above(clips, BAND), 0),
        "RMS": quartiles(rms, 3),
        f"fainter than RMS {faint:g}": f"{(rms < faint).mean():.1%}",
    }


def predicted_rows(name, probabilities, real_probabilities):
    """{what: figure} of the probabilities [n, 10] that the classifier `name` gives clips, beside those of real
    clips."""
    score, deviation = inception_score(probabilities)
    text = f"{score:.2f} ± {deviation:.2f}"
    if real_probabilities is not None and real_probabilities is not probabilities:
        text += f", {score / inception_score(real_probabilities)[0]:.2f} of real clips'"
    shares = np.bincount(probabilities.argmax(axis=1), minlength=len(DIGITS)) / len(probabilities)
    rarest, commonest = shares.argmin(), shares.argmax()
    span = f"{shares[rarest]:.1%} ({DIGITS[rarest]}) to {shares[commonest]:.1%} ({DIGITS[commonest]})"
    return {f"inception score by the {name}": text, f"share of a digit, by the {name}": span}


def training_clips(preparation):
    """The clips of the training split [n, 16384]."""
    paths = [r.path for r in find_datasets(datasets)[1] if r.split == "train"]
    return np.stack([read_clip(path, preparation=preparation) for path in paths])


def real_clips(preparation):
    """Clips of the test split [n, 16384], or None, with a line that says why."""
    try:
        return held_out_clips(datasets, preparation, seed=seed)[0]
    except FileNotFoundError as error:
        print(f"No real clips beside them: {error}", file=sys.stderr)
        return None


def judged(columns, networks, known):
    """{column: {what: figure}}. columns: {name: clips}; networks: {name: classifier}; known: training clips, or
    None."""
    predictions = {
        name: {column: network.predict(clips, BATCH, verbose=0) for column, clips in columns.items()}
        for name, network in networks.items()
    }
    rows = {column: sound_rows(clips) for column, clips in columns.items()}
    for column in columns:
        for name, predicted in predictions.items():
            rows[column] |= predicted_rows(name, predicted[column], predicted.get("real clips"))
    if known is not None:
        of_known = features(networks["judge"], FEATURES, known)
        for column, clips in columns.items():
            own = features(networks["judge"], FEATURES, clips)
            rows[column]["Fréchet distance to the training clips, judge's features"] = (
                f"{frechet_distance(own, of_known):.3f}"
            )
            rows[column]["nearest training clip, judge's features"] = quartiles(nearest(own, of_known), 2)
    return rows


def table(rows):
    """{column: {what: figure}} as Markdown; what a column does not have is left empty."""
    names = list(dict.fromkeys(name for figures in rows.values() for name in figures))
    return markdown(["", *rows], [[name, *(figures.get(name, "") for figures in rows.values())] for name in names])


def main():
    generator = load_generator(checkpoint)
    networks = {"classifier": load_classifier(classifier_checkpoint), "judge": load_judge(judge_checkpoint)}
    z = random_latent(generator, num_samples, seed)
    samples = generate(generator, z)[..., 0]
    real = real_clips(generator.preparation)
    columns = {"samples": samples} | ({} if real is None else {"real clips": real})
    rows = judged(columns, networks, None if real is None else training_clips(generator.preparation))
    if num_jacobians:
        conditions = condition_number(generator, z[:num_jacobians])
        spread = f"{quartiles(conditions, 0)}, at most {conditions.max():.0f}"
        rows["samples"][f"condition number of the Jacobian, {len(conditions)} samples"] = spread
    rows = {f"{len(columns[name])} {name}": figures for name, figures in rows.items()}
    print(f"{generator.description}\n")
    figure = spectrogram_figure([clips[:SHOWN] for clips in columns.values()])
    with written_whole(picture) as file:
        figure.savefig(file, format="png", dpi=80)
    print(f"\nThe first samples, and real clips below them: {picture}", file=sys.stderr)
    show_figures(card, "quality", table(rows), generator=generator.sha256)


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError):
        main()
