"""What becomes of real recordings: how many of each method's reconstructions the judge hears as the digit that was
said, and how far their spectra are from the recordings'.

Two tables, of the test takes in `datasets` and of the ten digits of another voice in `files`. The judge
(models/networks/judge.py) takes part in no training and no recovery; beside it stands what the classifier behind the
perceptual loss hears. Rows with "layer" leave the range of the frozen generator. Prints Markdown.
"""

num_clips = 120  # test takes at most [1 to 1,000,000]
methods = "prediction,hybrid,gradient,layer"  # the rows, besides the recordings themselves and silence
speaker = ""  # only the test takes of this speaker, for a generator that was adapted to one
seed = 0  # of the choice of test takes, and of recovery [0 to 2,147,483,647]
batch_size = 40  # clips worked on side by side [1 to 65,536]
datasets = "datasets/"  # folder with recordings; without any, there is only the second table
files = "Audio_Examples/real/"  # folder of recordings that are named by their digits, 0.wav to 9.wav
checkpoint = "checkpoint/"  # folder with the generator
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier of the perceptual loss
judge_checkpoint = "judge_checkpoint/"  # folder with the judge
output = ""  # folder for each method's reconstructions of `files`, to listen to; "": none are written

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

from_shell(globals())

import time

from common.networks import open_generator, open_inverse_mapping

import numpy as np

from common.script import one_line_errors
from datasets.layouts import find_datasets
from models.audio.clip import AudioError, read_clip, write_wav
from models.files.errors import CheckpointError
from models.files.writing import written_whole
from models.metrics.metrics import harmonicity, log_spectral_distance
from models.networks.classifier import PerceptualLoss, load_classifier
from models.networks.judge import load_judge, probabilities
from models.recovery.layer import Layer
from models.recovery.perceptual import Perceptual
from models.recovery.recover import recover
from models.recovery.starts import predict

METHODS = ("prediction", "hybrid", "gradient", "layer")
HEADING = (
    "| | right digit | mean probability of it | right digit by the classifier | log-spectral distance, median, mean "
    "| perceptual loss |"
)


def test_takes(preparation):
    """Waveforms [n, 16384], digits [n] and words for the first table, or None where there are no recordings."""
    try:
        words, recordings = find_datasets(datasets)
    except FileNotFoundError as error:
        print(f"No test takes: {error}")
        return None
    test = [r for r in recordings if r.split == "test" and speaker in ("", r.speaker)]
    if not test:
        raise ValueError(f"{words}: no test takes there{speaker and ' of ' + speaker}")
    chosen = [test[i] for i in np.random.default_rng(seed).permutation(len(test))[:num_clips]]
    clips = np.stack([read_clip(r.path, preparation=preparation) for r in chosen])
    return clips, np.array([r.digit for r in chosen]), f"{words}, {len(chosen)} of {len(test)} test takes {speaker}"


def other_voice(preparation):
    """The same of `files`."""
    paths = sorted(p for p in Path(files).glob("[0-9].*"))
    if not paths:
        raise ValueError(f"{files}: no recordings there that are named by their digits")
    clips = np.stack([read_clip(path, preparation=preparation) for path in paths])
    return clips, np.array([int(path.stem) for path in paths]), f"{files}, {len(paths)} recordings"


def recovered(method, clips, networks, hybrid):
    """Reconstructions [n, 16384] and latent vectors of a method; the first layer's space begins at those of the
    hybrid."""
    generator, mapping, perceptual_loss = networks
    solver = {"prediction": None, "layer": Layer(perceptual_loss=perceptual_loss)}.get(
        method, Perceptual(perceptual_loss)
    )
    parts = []
    for i in range(0, len(clips), batch_size):
        part = clips[i : i + batch_size]
        start = hybrid[i : i + batch_size] if method == "layer" else predict(part, mapping)
        start = None if method == "gradient" else start
        parts.append(recover(part, generator, solver=solver, start=start, seed=seed))
    return np.concatenate([part.waveforms[..., 0] for part in parts]), np.concatenate([part.z for part in parts])


def row(name, clips, digits, waves, seconds, networks, judge, classifier):
    """A line of the table; what differs from clip to clip is a mean, where it does not say median."""
    predicted, own = probabilities(judge, waves), classifier.predict(waves, 64, verbose=0)
    distance = log_spectral_distance(clips, waves)
    perceptual = np.concatenate([networks[2](clips[i : i + 50], waves[i : i + 50]) for i in range(0, len(clips), 50)])
    cells = [
        f"{np.mean(predicted.argmax(axis=1) == digits):.1%}",
        f"{predicted[np.arange(len(digits)), digits].mean():.2f}",
    ]
    cells += [
        f"{np.mean(own.argmax(axis=1) == digits):.1%}",
        f"{np.median(distance):.2f}, {distance.mean():.2f}",
        f"{perceptual.mean():.3f}",
    ]
    cells.append(f"{np.mean(harmonicity(waves)):.2f}")
    return f"| {name} | " + " | ".join([*cells, f"{seconds:.2f}" if seconds else ""]) + " |"


def table(clips, digits, words, networks, judge, classifier, folder=None):
    print(f"\n{words}; {judge.count_params():,} weights judge\n")
    heading = HEADING + " harmonicity | seconds a clip |"
    print(heading + "\n" + "|---" * (heading.count("|") - 1) + "|")
    print(row("the recordings", clips, digits, clips, 0, networks, judge, classifier), flush=True)
    hybrid, spent = None, {}
    for method in [m for m in METHODS if m in methods.split(",") or (m == "hybrid" and "layer" in methods.split(","))]:
        begin = time.perf_counter()
        waves, z = recovered(method, clips, networks, hybrid)
        spent[method] = (time.perf_counter() - begin) / len(clips)
        hybrid = z if method == "hybrid" else hybrid
        seconds = spent[method] + (spent["hybrid"] if method == "layer" else 0)
        print(row(method, clips, digits, waves, seconds, networks, judge, classifier), flush=True)
        for wave, digit in zip(waves, digits) if folder else ():
            with written_whole(Path(folder) / method / f"{digit}.wav") as file:
                write_wav(file, wave, networks[0].sample_rate)


def main():
    if unknown := [m for m in methods.split(",") if m not in METHODS]:
        raise ValueError(f"methods are among {', '.join(METHODS)}, not {', '.join(unknown)}")
    generator, judge = open_generator(checkpoint), load_judge(judge_checkpoint)
    classifier = load_classifier(classifier_checkpoint)
    mapping = open_inverse_mapping(inverse_mapping_checkpoint, generator) if methods != "gradient" else None
    networks = generator, mapping, PerceptualLoss(classifier)
    warm_up = Perceptual(networks[2], steps=1)  # compiles, outside the times
    recover(np.full((1, generator.num_samples), 0.01, np.float32), generator, solver=warm_up, seed=seed)
    if found := test_takes(generator.preparation):
        table(*found, networks, judge, classifier)
    table(*other_voice(generator.preparation), networks, judge, classifier, output or None)


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError, AudioError, ValueError, FileNotFoundError):
        main()
