"""How good a generator is: what the classifier hears in its samples, how loud they are, and how well each latent
coordinate is heard.

Prints the inception score, the share of each digit, the share of faint samples and the median condition number of the
Jacobian, beside the inception score of real clips of the test split where there are any; how far samples and those
clips are from the nearest training clip, in the classifier's last features, which tells copies; and draws samples
beside real clips into waves/generator.png.
"""

num_samples = 1000  # samples that are judged
num_jacobians = 100  # samples whose Jacobian is taken, 0 for none
faint = 0.02  # RMS below which a sample counts as faint
seed = 0  # of the latent vectors
checkpoint = "checkpoint/"  # folder with the generator
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier
datasets = "datasets/"  # folder with recordings; without any, there is nothing beside the samples
output = "waves/generator.png"  # file for the picture

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

from_shell(globals())

import common.networks  # noqa: F401

import keras
import numpy as np
from tqdm import tqdm

from common.script import one_line_errors
from common.view import spectrogram_figure
from datasets.held_out import held_out_clips
from datasets.layouts import DIGITS, find_dataset
from models.audio import read_clip
from models.classifier import load_classifier
from models.errors import CheckpointError
from models.generator import generate, random_latent
from models.metrics import condition_number, inception_score
from models.wavegan import load_wavegan
from models.writing import written_whole


def heard(name, clips, classifier):
    probabilities = classifier.predict(clips, 64, verbose=0)
    mean, deviation = inception_score(probabilities)
    shares = np.bincount(probabilities.argmax(axis=1), minlength=10) / len(clips)
    print(f"{name}: {len(clips)} clips, inception score {mean:.2f} ± {deviation:.2f}")
    print("  heard as " + ", ".join(f"{digit} {share:.1%}" for digit, share in zip(DIGITS, shares)))


def nearest(clips, known, classifier):
    """Euclidean distance of each clip to the nearest of `known` in the features that the classifier's last layer sees →
    [n]."""
    network = keras.Model(classifier.input, classifier.get_layer("average_pool").output)
    a, b = (network.predict(waveforms, 64, verbose=0) for waveforms in (clips, known))  # [n, features], [m, features]
    return np.sqrt(np.maximum((a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1), 0)).min(axis=1)


def main():
    generator, classifier = load_wavegan(checkpoint), load_classifier(classifier_checkpoint)
    print(f"Generator: {generator.description}, from {checkpoint}")
    z = random_latent(generator, num_samples, seed)
    samples = generate(generator, z)[..., 0]
    heard("samples", samples, classifier)
    rms = samples.std(axis=1)
    print(f"  RMS {np.median(rms):.3f} in the median, {(rms < faint).mean():.1%} below {faint}")
    if num_jacobians:
        conditions = condition_number(generator, z[:num_jacobians])
        print(f"  condition number of the Jacobian {np.median(conditions):.0f} in the median, {conditions.max():.0f} at most, of {len(conditions)}")
    pictures = [samples[:16]]
    try:
        real, _, _ = held_out_clips(datasets, generator.preparation, seed=seed)
        heard("real clips of the test split", real, classifier)
        training = [r.path for r in find_dataset(datasets)[2] if r.split == "train"]
        training = np.stack([read_clip(path, preparation=generator.preparation) for path in tqdm(training, unit="recording", disable=None)])
        for name, clips in (("samples", samples), ("real clips of the test split", real)):
            near = nearest(clips, training, classifier)
            print(f"{name}: nearest training clip at {np.median(near):.2f} in the median, {near.min():.2f} at least")
        pictures.append(real[:16])
    except FileNotFoundError as error:
        print(f"No real clips beside them: {error}")
    figure = spectrogram_figure(pictures)
    with written_whole(output) as file:
        figure.savefig(file, format="png", dpi=80)
    print(f"The first samples, and real clips below them, are in {output}")


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError, FileNotFoundError, ValueError):
        main()
