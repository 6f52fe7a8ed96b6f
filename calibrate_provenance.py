"""Did the generator make it? Calibrates that score on synthesized clips and recordings → provenance.json beside it.

Both kinds are damaged as sounds are on their way, each clip in one way. Recordings kept for tests take no part.
"""

# What it is calibrated on
datasets = "datasets/"  # folders of SC09, Speech Commands or FSDD recordings, with commas between them
num_clips = 39  # of each kind, three for each damage [13 to 100,000]
seed = 1  # of the latent vectors, the choice of recordings and the damages [0 to 4,294,967,295]
batch_size = 32  # clips at once [1 to 1024]

# Weights
checkpoint = "checkpoint/"  # folder with the generator; provenance.json goes there
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts

from common.settings import from_shell

from_shell(globals())

from common.networks import open_generator, open_inverse_mapping

import numpy as np
from tqdm import tqdm

from common.script import one_line_errors
from datasets.layouts import find_datasets
from models.audio.clip import AudioError
from models.audio.damage import DAMAGES, damaged
from models.audio.windows import beginning_of
from models.generator.generator import generate, random_latent
from models.recovery.provenance import PROVENANCE_FILE, area_under_roc, calibrate, evidence

STREAM = 20_117  # separates these latent vectors from every other use of a seed


def recordings(count, rng):
    """Waveforms of up to `count` recordings, none of them kept for tests."""
    _, found = find_datasets(datasets)
    found = [r for r in found if r.split != "test"]
    waves = []
    for i in rng.permutation(len(found)):
        try:
            waves.append(beginning_of(found[i].path))
        except AudioError:
            continue
        if len(waves) == count:
            break
    return waves


def measured(waves, networks, rng, description):
    """Evidence of waveforms, each damaged in one of all ways, in turn → [n, measures]."""
    ways = list(DAMAGES)
    segments = [damaged(wave, ways[i % len(ways)], rng) for i, wave in enumerate(waves)]
    parts = []
    for i in tqdm(range(0, len(segments), batch_size), description, unit="batch", disable=None):
        parts.append(evidence(segments[i : i + batch_size], *networks))
    return np.concatenate(parts)


def main():
    generator = open_generator(checkpoint)
    mapping = open_inverse_mapping(inverse_mapping_checkpoint, generator)
    prediction = mapping.sha256
    rng = np.random.default_rng([STREAM, seed])
    made = generate(generator, random_latent(generator, num_clips, [STREAM, seed]))[..., 0]
    others = recordings(num_clips, rng)
    found = [measured(w, (generator, mapping), rng, what) for w, what in ((made, "synthesized"), (others, "recorded"))]
    words = f"{len(made)} synthesized clips and {len(others)} recordings, damaged in {len(DAMAGES)} ways"
    calibration = calibrate(*found, generator.sha256, prediction, words)
    calibration.write(checkpoint)
    area = area_under_roc(*(calibration.score(part) for part in found))
    print(f"{checkpoint}{PROVENANCE_FILE}: calibrated on {words}; area under the ROC curve of these {area:.3f}")


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
