"""Is what the generator made told from what it did not make, whatever happened to the sound? Areas under the ROC curve.

Each kind of sound goes through the same damage, so that no score can go by the damage. The recordings are kept for
tests: neither the generator nor the calibration has seen them. Finished rows are kept, so a stopped run goes on.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

# What is told apart
datasets = "datasets/"  # folder with FSDD or another data set; its test part is used
files = "Audio_Examples/real/"  # folder of recordings of another voice
other = ""  # folder with another generator, whose samples are none of ours; "": none
num_clips = 40  # of each kind at most [2 to 100,000]
damages = ""  # with semicolons between them, as models/audio/damage.py names them; "": all
seed = 2  # of the latent vectors, the choice of recordings and the damages [0 to 4,294,967,295]
batch_size = 32  # clips at once [1 to 1024]
results = "waves/provenance/"  # folder of what is measured so far
card = ""  # model card to write the table into as well

# Weights
checkpoint = "checkpoint/"  # folder with the generator and its calibration
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts

from common.settings import from_shell

settings = from_shell(globals())

import hashlib
import json

from common.networks import open_generator, open_inverse_mapping

import numpy as np

from common.files import find_recordings
from common.provenance import Provenance
from common.script import one_line_errors
from common.view import write_figures
from datasets.layouts import find_datasets
from models.audio.damage import DAMAGES, damaged
from models.audio.windows import beginning_of
from models.files.errors import CheckpointError
from models.files.writing import written_whole
from models.generator.generator import generate, random_latent
from models.generator.wavegan import load_wavegan
from models.recovery.provenance import area_under_roc

STREAM = 20_118  # separates these latent vectors from every other use of a seed
MADE = "this generator"
PLACES = {"results", "card", "batch_size", "damages"}  # settings that change no score


def chosen(paths, rng):
    return [paths[i] for i in sorted(rng.permutation(len(paths))[:num_clips])]


def sounds(generator):
    """{kind: [waveform, …]}: what the generator made, and what it did not."""
    rng = np.random.default_rng([STREAM, seed])
    made = generate(generator, random_latent(generator, num_clips, [STREAM, seed, 0]))[..., 0]
    kinds = {MADE: made}
    held_out = [r.path for r in find_datasets(datasets)[1] if r.split == "test"]
    for kind, paths in (("held-out recordings", held_out), ("another voice", find_recordings(files))):
        kinds[kind] = [beginning_of(path) for path in chosen(paths, rng)]
    if other:
        another = load_wavegan(other)
        kinds["another generator"] = generate(another, random_latent(another, num_clips, [STREAM, seed, 1]))[..., 0]
    return kinds


def scores(waves, damage, provenance):
    """Scores of waveforms after a damage."""
    segments = [damaged(wave, damage, np.random.default_rng([STREAM, seed, i])) for i, wave in enumerate(waves)]
    parts = [provenance.of_segments(segments[i : i + batch_size]) for i in range(0, len(segments), batch_size)]
    return [float(score) for part in parts for score in part]


def row(name, found):
    """A line of the table: the area under the ROC curve against each kind, and against all of them."""
    others = [kind for kind in found if kind != MADE]
    areas = [area_under_roc(found[MADE], found[kind]) for kind in others]
    areas.append(area_under_roc(found[MADE], np.concatenate([found[kind] for kind in others])))
    means = [f"{np.median(found[kind]):.2f}" for kind in found]
    return f"| {name} | " + " | ".join([*(f"{area:.3f}" for area in areas), ", ".join(means)]) + " |"


def main():
    generator = open_generator(checkpoint)
    mapping = open_inverse_mapping(inverse_mapping_checkpoint, generator)
    prediction = mapping.sha256
    provenance = Provenance(checkpoint, generator, mapping, (generator.sha256, prediction))
    made_of = {name: value for name, value in settings.items() if name not in PLACES}
    made_of |= {"calibration": provenance.calibration.__dict__}
    key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]
    path = Path(results) / f"scores_{key}.json"
    done = json.loads(path.read_text()) if path.exists() else {}
    kinds = sounds(generator)
    counts = ", ".join(f"{len(waves)} of {kind}" for kind, waves in kinds.items())
    heading = [f"against {kind}" for kind in kinds if kind != MADE]
    lines = ["| damage | " + " | ".join([*heading, "against all", "median scores"]) + " |"]
    lines.append("|---" * (len(heading) + 3) + "|")
    print(f"Area under the ROC curve; {counts}\n\n" + "\n".join(lines), flush=True)
    for damage in damages.split(";") if damages else DAMAGES:
        for kind, waves in kinds.items():
            if f"{damage}: {kind}" not in done:
                done[f"{damage}: {kind}"] = scores(waves, damage, provenance)
                with written_whole(path, "w") as file:
                    json.dump(done, file)
        lines.append(row(damage, {kind: done[f"{damage}: {kind}"] for kind in kinds}))
        print(lines[-1], flush=True)
    if card:
        table = f"{counts}; median scores in that order.\n\n" + "\n".join(lines)
        write_figures(card, "provenance", table, generator=generator.sha256, inverse_mapping=prediction)


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError):
        main()
