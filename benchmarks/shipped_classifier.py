"""What a classifier hears of the test takes, as recorded, moved, louder and fainter, and how its perceptual loss
orders clips.

FSDD recordings; the test takes are never trained or selected on. Prints Markdown.
"""

datasets = "datasets/"  # folder of FSDD recordings, or one that holds such a folder
classifier_checkpoint = "classifier_checkpoint/"  # folder of the classifier
triples = (
    100  # clips compared with themselves, another take of the same digit and speaker, another digit of the same speaker
)
seed = 0  # of the choice of triples

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

if __name__ == "__main__":
    from_shell(globals())

import common.script  # noqa: F401
from common.script import one_line_errors

import numpy as np

from datasets.layouts import find_dataset
from models.audio import NUM_SAMPLES, SAMPLE_RATE, Preparation, read_clip
from models.classifier import TAPS, PerceptualLoss, load_classifier


def audible_length(clip):
    """Samples up to the last that is not fainter than a thousandth of the peak."""
    return int(np.flatnonzero(np.abs(clip) > 1e-3 * np.abs(clip).max())[-1]) + 1


def variants(recordings):
    """{name: clips [n, 16384]} of the same recordings: shifted by a part of the room that their speech leaves, scaled,
    centred.
    """
    clips = np.stack([read_clip(r.path) for r in recordings])
    found = {"as recorded": clips}
    for part in (0.25, 0.5, 1.0):
        moved = [np.roll(clip, int(part * (NUM_SAMPLES - audible_length(clip)))) for clip in clips]
        found[f"moved by {part:.0%} of the room left in the second"] = np.stack(moved)
    for gain in (-15, 15):
        found[f"{gain:+d} dB"] = clips * 10 ** (gain / 20)
    found["centred, peak 0.9 (as a generator's clips are)"] = np.stack(
        [read_clip(r.path, preparation=Preparation(0.9, "center")) for r in recordings]
    )
    return found


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
    heard = [
        np.concatenate(parts)
        for parts in zip(*(perceptual_loss.activations(clips[i : i + 20]) for i in range(0, len(clips), 20)))
    ]
    first = [a[chosen[:, 0]] for a in heard]
    losses = []
    for column in range(3):
        parts = [
            perceptual_loss([a[i : i + 20] for a in first], clips[chosen[i : i + 20, column]])
            for i in range(0, len(chosen), 20)
        ]
        losses.append(np.concatenate(parts))
    return np.stack(losses, axis=1)


def main():
    _, folder, recordings = find_dataset(datasets)
    recordings = [r for r in recordings if r.split == "test"]
    if not recordings or not recordings[0].speaker:
        raise ValueError(f"{folder}: no FSDD test takes (0 to 4) there")
    classifier = load_classifier(classifier_checkpoint)
    digits = np.array([r.digit for r in recordings])
    prepared = variants(recordings)
    print(
        f"{len(recordings)} test clips, {len(prepared['as recorded'][0]) / SAMPLE_RATE:.0f} s each\n\n| test clips | heard rightly |\n|---|---|"
    )
    for name, clips in prepared.items():
        heard = classifier.predict(clips, 60, verbose=0).argmax(axis=1)
        print(f"| {name} | {np.mean(heard == digits):.2%} ({np.sum(heard == digits)} of {len(digits)}) |")
    chosen = chosen_triples(recordings, triples, seed)
    print(
        f"\n| perceptual loss, mean of {len(chosen)} triples | identical | same digit and speaker, other take | other digit | in this order |"
    )
    print("|---|---|---|---|---|")
    for taps in TAPS:
        losses = triple_losses(PerceptualLoss(classifier, taps), prepared["as recorded"], chosen)
        ordered = np.mean((losses[:, 0] < losses[:, 1]) & (losses[:, 1] < losses[:, 2]))
        print(f"| {taps} | {' | '.join(f'{value:.4g}' for value in losses.mean(axis=0))} | {ordered:.0%} of triples |")


if __name__ == "__main__":
    with one_line_errors(__file__, ValueError):
        main()
