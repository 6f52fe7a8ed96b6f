"""What the classifier, or the judge, predicts for the test takes, as recorded, moved, louder and fainter; and how the
classifier's perceptual loss orders clips.

Of the test part of each data set, which is never trained or selected on. Prints Markdown.
"""

network = "classifier"  # the classifier, or the judge, which makes no perceptual loss ["classifier", "judge"]
datasets = "datasets/"  # folders of SC09, Speech Commands or FSDD recordings, with commas between them
elsewhere = "Audio_Examples/real/"  # folder of recordings {digit}.wav of another voice and microphone
classifier_checkpoint = "classifier_checkpoint/"  # folder of the classifier
judge_checkpoint = "judge_checkpoint/"  # folder of the judge
triples = 100  # FSDD clips compared with themselves, another take and another digit of their speaker [1 to 10,000]
seed = 0  # of the choice of triples [0 to 4,294,967,295]
card = ""  # model card to write the figures into, between its marks; "" for none

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

if __name__ == "__main__":
    from_shell(globals())

import common.networks  # noqa: F401

import numpy as np

from common.files import find_recordings
from common.script import one_line_errors
from common.view import markdown, show_figures
from datasets.layouts import find_datasets
from models.audio.clip import NUM_SAMPLES, read_clip
from models.audio.preparation import Preparation
from models.files.hashing import network_hash
from models.networks.classifier import TAPS, PerceptualLoss, load_classifier
from models.networks.judge import load_judge


def audible_length(clip):
    """Samples up to the last that is not fainter than a thousandth of the peak."""
    return int(np.flatnonzero(np.abs(clip) > 1e-3 * np.abs(clip).max())[-1]) + 1


def variants(recordings):
    """{name: clips [n, 16384]} of the same recordings: shifted by a part of the room that their speech leaves, scaled,
    centred.
    """
    clips = np.stack([read_clip(r.path) for r in recordings])
    changed = {"as recorded": clips}
    for part in (0.25, 0.5, 1.0):
        moved = [np.roll(clip, int(part * (NUM_SAMPLES - audible_length(clip)))) for clip in clips]
        changed[f"moved by {part:.0%} of the room left in the second"] = np.stack(moved)
    for gain in (-15, 15):
        changed[f"{gain:+d} dB"] = clips * 10 ** (gain / 20)
    changed["centred, peak 0.9 (as a generator's clips are)"] = np.stack(
        [read_clip(r.path, preparation=Preparation(0.9, "center")) for r in recordings]
    )
    return changed


def chosen_triples(recordings, count, seed):
    """Indices [count, 3]: a clip, another take of its digit and speaker, another digit of its speaker."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in rng.permutation(len(recordings))[:count]:
        clip = recordings[i]
        same = [j for j, r in enumerate(recordings) if j != i and (r.digit, r.speaker) == (clip.digit, clip.speaker)]
        other = [j for j, r in enumerate(recordings) if r.digit != clip.digit and r.speaker == clip.speaker]
        rows.append((i, rng.choice(same), rng.choice(other)))
    return np.array(rows)


def triple_losses(perceptual_loss, clips, chosen):
    """→ [count, 3]: the loss of each clip against itself, the other take, the other digit."""
    activations = [
        np.concatenate(parts)
        for parts in zip(*(perceptual_loss.activations(clips[i : i + 20]) for i in range(0, len(clips), 20)))
    ]
    first = [a[chosen[:, 0]] for a in activations]
    losses = []
    for column in range(3):
        parts = [
            perceptual_loss([a[i : i + 20] for a in first], clips[chosen[i : i + 20, column]])
            for i in range(0, len(chosen), 20)
        ]
        losses.append(np.concatenate(parts))
    return np.stack(losses, axis=1)


def accuracy_table(classifier, prepared, recordings, validation):
    """The share of right digits of each variant of each data set's test recordings, of the validation recordings, and
    of the recordings from elsewhere, as Markdown.

    prepared: {variant: clips}, of `recordings`. validation: recordings, which chose the epoch.
    """
    paths = [path for path in find_recordings(elsewhere) if path.stem.isdigit()]
    rows = []
    for dataset in dict.fromkeys(r.dataset for r in recordings):
        chosen = np.flatnonzero([r.dataset == dataset for r in recordings])
        spoken = [recordings[i].digit for i in chosen]
        rows += [(f"{dataset}, test part, {name}", clips[chosen], spoken) for name, clips in prepared.items()]
        part = [r for r in validation if r.dataset == dataset]
        if part:
            clips = np.stack([read_clip(r.path) for r in part])
            rows.append((f"{dataset}, validation part", clips, [r.digit for r in part]))
    other = np.stack([read_clip(path) for path in paths])
    rows.append(("another voice and microphone", other, [int(path.stem) for path in paths]))
    cells = []
    for name, clips, spoken in rows:
        right = np.sum(classifier.predict(clips, 60, verbose=0).argmax(axis=1) == spoken)
        cells.append([name, f"{right / len(spoken):.2%} ({right} of {len(spoken)})"])
    return markdown(["clips", "right digit"], cells)


def triples_table(classifier, clips, chosen):
    """The perceptual loss of triples, as Markdown."""
    heads = "perceptual loss, mean", "identical", "same digit and speaker, other take", "other digit", "in this order"
    cells = []
    for taps in TAPS:
        losses = triple_losses(PerceptualLoss(classifier, taps), clips, chosen)
        ordered = np.mean((losses[:, 0] < losses[:, 1]) & (losses[:, 1] < losses[:, 2]))
        means = (f"{value:.4g}" for value in losses.mean(axis=0))
        cells.append([taps, *means, f"{ordered:.0%} of {len(chosen)} triples"])
    return markdown(heads, cells)


def main():
    words, recordings = find_datasets(datasets)
    validation = [r for r in recordings if r.split == "valid"]
    recordings = [r for r in recordings if r.split == "test"]
    takes = [i for i, r in enumerate(recordings) if r.dataset == "FSDD"]
    if not takes:
        raise ValueError(f"{words}: no FSDD test takes (0 to 4) there")
    judging = network == "judge"
    classifier = load_judge(judge_checkpoint) if judging else load_classifier(classifier_checkpoint)
    prepared = variants(recordings)
    figures = accuracy_table(classifier, prepared, recordings, validation)
    if not judging:
        chosen = chosen_triples([recordings[i] for i in takes], triples, seed)
        figures += "\n\n" + triples_table(classifier, prepared["as recorded"][takes], chosen)
    show_figures(card, "accuracy", figures, **{network: network_hash(classifier)})


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
