"""Tunes the generator to one voice or one microphone: recordings + checkpoint/ → adapted/, again a WaveGAN checkpoint.

Each recording's latent vector is recovered first and then kept; the generator's weights are tuned until it sounds like
the recording, while other samples keep their sound. Of a data set with splits the test part takes no part.
Then: python latent_vector_recovery.py --checkpoint=adapted/checkpoint/
--inverse_mapping_checkpoint=adapted/inverse_mapping_checkpoint/
"""

# What it is tuned to, and where the result goes
files = "datasets/"  # folder of recordings, of one voice or one microphone
speaker = ""  # of a data set that names its speakers, the one to take
num_recordings = 120  # at most, chosen at random [1 to 100,000]
output = "adapted/"  # folder for checkpoint/ and inverse_mapping_checkpoint/

# Tuning
steps = 1500  # of 16 recordings and 8 other samples each [1 to 1,000,000]
keeping_weight = 0.5  # of what keeps other samples as they were [0 to 1000]
seed = 0  # of the choice of recordings and their order [0 to 2,147,483,647]

# Weights
checkpoint = "checkpoint/"  # folder with the generator to begin with
facts = ""  # in place of what clip.json says: sample_rate=22050,code=onehot:10, … (checkpoint/README.md)
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier, for the perceptual loss

from common.settings import from_shell

from_shell(globals())

from pathlib import Path

from common.networks import open_generator, open_inverse_mapping, open_perceptual_loss

import numpy as np
from tqdm import tqdm

from common.files import find_recordings, readable_clip, writable_folder
from common.lock import hold
from common.recovering import recovered
from common.script import ScriptError, one_line_errors
from datasets.layouts import find_datasets
from models.files.file_set import replaced_together
from models.files.hashing import fingerprint
from models.files.saving import save_network
from models.generator.loading import load_generator
from models.generator.readers.tf1 import checkpoint_prefix
from models.generator.readers.training_checkpoint import read_wavegan
from models.generator.tf1_export import export_wavegan
from models.networks.inverse_mapping import INVERSE_MAPPING_FILE, InverseMapping
from models.recovery.perceptual import Perceptual
from models.training.adaptation import adapt, adaptable

AT_ONCE = 32  # recordings whose latent vectors are looked for side by side


def chosen_paths():
    """The recordings to tune to: those of a data set that are not its test part, or any in the folder."""
    try:
        folder, recordings = find_datasets(files)
        paths = [r.path for r in recordings if r.split != "test" and speaker in ("", r.speaker)]
    except FileNotFoundError:
        folder, paths = files, find_recordings(files)
    if not paths:
        raise ScriptError(f"{folder}: no recordings of the speaker {speaker!r} there to tune to")
    order = np.random.default_rng(seed).permutation(len(paths))
    return [paths[i] for i in order[:num_recordings]]


def main():
    folder = writable_folder(output)
    hold(folder)
    generator = open_generator(checkpoint, facts)
    variables, _ = read_wavegan(checkpoint_prefix(checkpoint), Path(checkpoint))
    if not adaptable(variables):
        raise ScriptError(f"{checkpoint}: only a WaveGAN of one second, kernel 25 and no batch normalisation is tuned")
    mapping = open_inverse_mapping(inverse_mapping_checkpoint, generator)
    perceptual_loss = open_perceptual_loss(classifier_checkpoint)
    paths = chosen_paths()
    options = {"inverse_mapping": mapping, "solver": Perceptual(perceptual_loss), "seed": seed}
    clips, latents = [], []

    def load(path):
        return readable_clip(path, __file__, preparation=generator.preparation)

    for _, read, answers, _ in recovered(
        paths, load, AT_ONCE, generator=generator, description="latent vectors", **options
    ):
        clips.extend(clip.samples for clip in read)
        latents.extend(answer.z for answer in answers)
    if not clips:
        raise ScriptError(f"{files}: none of the recordings there can be read")
    with tqdm(total=steps, desc="tuning", unit="step", disable=None) as bar:

        def tell(done, loss):
            bar.update(1)
            bar.set_postfix(loss=f"{loss:.3f}")

        tuned = adapt(
            variables, np.stack(clips), np.stack(latents), prior=generator.prior,
            perceptual_loss=perceptual_loss, keeping_weight=keeping_weight, steps=steps, seed=seed, report=tell,
        )  # fmt: skip
    with replaced_together(folder) as place:
        export_wavegan(place / "checkpoint", tuned)
        generator.facts.write(place / "checkpoint" / "clip.json", fingerprint(tuned))
        adapted = load_generator(place / "checkpoint")
        same = mapping.get_config() | {"generator_sha256": adapted.sha256}
        same = InverseMapping.from_config(same)  # where other samples keep their sound, its predictions hold
        same.set_weights(mapping.get_weights())
        save_network(same, place / "inverse_mapping_checkpoint" / INVERSE_MAPPING_FILE)
    print(f"Tuned to {len(clips)} recordings; {folder}/ has a generator and an inverse mapping for the other scripts")


if __name__ == "__main__":
    with one_line_errors(__file__, interrupted="stopped; nothing was written"):
        main()
