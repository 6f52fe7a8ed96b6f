"""Compares the classifier's features on speakers that it was not trained on: leave one speaker out, on FSDD recordings.

Each speaker in turn is kept out of training. Counted are the clips recognised of the five speakers trained on
(their validation takes) and of the one left out (all but the test takes, which no choice may rest on), after the last
epoch. Prints a Markdown table. Results are kept in `results`, so that a run that was stopped goes on.
"""

datasets = "datasets/"  # folder of FSDD recordings, or one that holds such a folder
results = "logs/unseen_speakers.json"  # what has been measured already
features = "real,complex,log"  # the representations to compare
augmented = "True"  # with augmentation (True), without (False), or "True,False" for both
width = 8  # filters of the ResNet-18's first stage [1 to 1024]
epochs = 8  # of each training run [1 to 10,000]
batch_size = 32  # clips a step [1 to 65,536]
learning_rate = 0.002  # Adam's, falling to nothing along a cosine [0 to 10]
seed = 0  # of the weights, the order of the clips and the augmentation [0 to 2,147,483,647]

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

from_shell(globals())

import common.networks  # noqa: F401

import keras
import numpy as np

from common.script import one_line_errors
from datasets.augmentation import Augmentation
from datasets.layouts import find_dataset
from datasets.pipeline import decoded, evaluation_batches, training_batches
from models.files.writing import written_whole
from models.networks.classifier import build_classifier


def measure(network, initial, clips, speaker, augment):
    """Trains on all speakers but one → shares of clips recognised: of those speakers, of the one left out."""
    network.set_weights(initial)
    for variable in network.optimizer.variables:
        variable.assign(np.zeros(variable.shape))
    seen = [r for r in clips if r.speaker != speaker]
    training, used, _ = decoded([r for r in seen if r.split == "train"])
    batches = training_batches(training, len(used), batch_size, seed, Augmentation() if augment else None)
    network.fit(batches, epochs=epochs, verbose=2, shuffle=False)
    shares = []
    for judged in ([r for r in seen if r.split == "valid"], [r for r in clips if r.speaker == speaker]):
        shares.append(network.evaluate(evaluation_batches(decoded(judged)[0], 50), verbose=0)[1])
    return shares


def main():
    path = Path(results)
    done = json.loads(path.read_text()) if path.exists() else {}
    layout, folder, recordings = find_dataset(datasets)
    if layout != "FSDD":
        raise ValueError(f"{folder}: {layout} recordings, where this comparison needs FSDD's speakers")
    clips = [r for r in recordings if r.split != "test"]
    speakers = sorted({r.speaker for r in clips})
    setting = f"{width} filters, {epochs} epochs, batch {batch_size}, rate {learning_rate}, seed {seed}"
    table = [
        f"| features | augmented | speakers trained on | {' | '.join(speakers)} | mean, unseen |",
        "|---" * (len(speakers) + 4) + "|",
    ]
    for kind in features.split(","):
        keras.utils.set_random_seed(seed)
        network = build_classifier(width=width, features=kind)
        steps = epochs * (sum(r.split == "train" for r in clips) * (len(speakers) - 1) // len(speakers) // batch_size)
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
        network.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        network.optimizer.build(network.trainable_variables)
        initial = network.get_weights()
        for augment in (a.strip() == "True" for a in augmented.split(",")):
            shares = []
            for speaker in speakers:
                key = f"{kind}, {'augmented' if augment else 'as recorded'}, without {speaker}, {setting}"
                if key not in done:
                    print(key, flush=True)
                    done[key] = measure(network, initial, clips, speaker, augment)
                    print([f"{share:.1%}" for share in done[key]], flush=True)
                    with written_whole(path, "w") as file:
                        json.dump(done, file, indent=1)
                shares.append(done[key])
            seen, unseen = np.transpose(shares)
            cells = [
                kind,
                "yes" if augment else "no",
                f"{seen.mean():.1%}",
                *(f"{u:.1%}" for u in unseen),
                f"**{unseen.mean():.1%}**",
            ]
            table.append(f"| {' | '.join(cells)} |")
    print(f"ResNet-18 of {setting}\n\n" + "\n".join(table))


if __name__ == "__main__":
    with one_line_errors(__file__, ValueError):
        main()
