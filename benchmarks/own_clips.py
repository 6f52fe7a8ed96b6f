"""Do a generator's own clips come back exactly, whatever happened to them, and are they told from other sounds?

Every sound goes through the same damage and a file, and is read and recovered as latent_vector_recovery.py does it. Own
clips and damages are drawn at random. What is measured is kept, sound by sound, so that a stopped run goes on, and one
with more sounds measures only those that are new.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

# What is recovered
damages = ""  # with semicolons between them, as benchmarks/damage.py names them; "": all
num_clips = 20  # own clips of each damage [1 to 100,000]
num_others = 20  # recordings, and another generator's clips, of each damage; 0: no area under the curve [0 to 100,000]
datasets = "datasets/"  # folders with recordings, separated by commas; their test parts are used
other = ""  # folder with another generator, whose clips are none of ours; "": none
methods = "hybrid,gradient"  # from the prediction, and from zero
minutes = 0.0  # after which nothing new is begun, and rows have what is known; 0: no limit [0 to 100,000]
seed = 2  # of the latent vectors, the choice of recordings and the damages [0 to 4,294,967,295]
results = "waves/own_clips/"  # folder for what is measured so far
card = ""  # model card to write the table into as well

# Weights
checkpoint = "checkpoint/"  # folder with the generator
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts

from common.settings import from_shell

settings = from_shell(globals())

import hashlib
import json
import tempfile
import time

from common.networks import clip_of, open_generator, open_inverse_mapping

import numpy as np

from benchmarks.damage import DAMAGES, damaged
from common.files import writable_folder
from common.lock import hold
from common.recovering import recovered_batches
from common.script import one_line_errors
from common.view import write_figures
from datasets.layouts import find_datasets
from models.audio.clip import prepare
from models.audio.windows import samples_of
from models.files.errors import CheckpointError
from models.files.writing import written_whole
from models.generator.generator import generate, random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, latent_mse
from models.recovery.exact import LevenbergMarquardt
from models.recovery.solution import identity

STREAM = 20_118  # separates these latent vectors from every other use of a seed
BATCH = 10  # sounds at once, and kept at once
OWN, RECORDINGS, OTHER = "own", "recordings", "another generator"
COLUMNS = (
    "| damage | method | exact | SNR, dB | deviation of z | error of z, rms | area, recordings | area, generator "
    "| Jacobians | s | s, recordings |"
)


def area_under_roc(made, others):
    """Area under the ROC curve of scores [n] of what was made and [m] of what was not: the share of pairs in the right
    order, equal ones by half."""
    made, others = np.asarray(made)[:, None], np.asarray(others)[None]
    return float(np.mean((made > others) + 0.5 * (made == others)))


def sounds(generator):
    """{kind: (waveforms, a list of [n] at the generator's rate; latent vectors or None; where they are from)}."""
    true = random_latent(generator, num_clips, [STREAM, seed, 0])
    kinds = {OWN: (list(generate(generator, true)[..., 0]), true, "")}
    if num_others:
        paths = [r.path for r in find_datasets(datasets)[1] if r.split == "test"]
        chosen = np.random.default_rng([STREAM, seed]).permutation(len(paths))[:num_others]
        blocks = (next(samples_of(paths[i], 1, generator.sample_rate)) for i in chosen)
        kinds[RECORDINGS] = [block[: generator.num_samples, 0] for block in blocks], None, datasets
    if num_others and other:
        another = load_generator(other)
        waves = generate(another, random_latent(another, num_others, [STREAM, seed, 1]))[..., 0]
        kinds[OTHER] = list(waves), None, another.sha256
    return kinds


def measured(waves, true, first, damage, method, generator, mapping):
    """What becomes of a batch of waveforms after a damage → {column: list of numbers}. first: number of its first."""
    options = {"generator": generator, "inverse_mapping": mapping if method == "hybrid" else None}
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for i, wave in enumerate(waves, first):
            rng = np.random.default_rng([STREAM, seed, i])
            paths.append(damaged(wave, generator.sample_rate, damage, rng, Path(folder) / f"{i:04d}"))

        def load(path):
            return prepare(path, **clip_of(generator))

        solver = LevenbergMarquardt(give_up=True)
        ((_, _, recovery, seconds),) = recovered_batches(paths, load, len(paths), solver=solver, **options)
    columns = {
        "explained": recovery.explained,
        "seconds": np.full(len(paths), seconds),
        "iterations": recovery.iterations,
        "snr_db": recovery.snr_db,
        "deviation": np.median(recovery.z_std, axis=1),
        "latent_mse": latent_mse(true, recovery.z) if true is not None else np.full(len(paths), np.nan),
    }
    return {name: np.asarray(values, float).tolist() for name, values in columns.items()}


class Measurements:
    """What is measured so far, in a file: {what it depends on: {column: list, a number a sound}}.

    The solver's code is not among what it depends on: after a change of it the file is deleted by hand.
    """

    def __init__(self, path):
        self.path = path
        self.parts = json.loads(path.read_text()) if path.exists() else {}

    def add(self, key, columns):
        part = self.parts.setdefault(key, {name: [] for name in columns})
        for name, values in columns.items():
            part[name] += values
        with written_whole(self.path, "w") as file:
            json.dump(self.parts, file)

    def first(self, key, count):
        """The columns of the first `count` sounds, or of those that are known."""
        return {name: values[:count] for name, values in self.parts.get(key, {}).items()}


def row(damage, method, kinds):
    """A line of the table. kinds: {kind: what `measured` returned of all its sounds}."""
    own = kinds[OWN]
    exact = sum(error < EXACT for error in own["latent_mse"])
    cells = [damage, method, f"{exact} of {len(own['latent_mse'])}", f"{np.median(own['snr_db']):.0f}"]
    deviations = [value for value in own["deviation"] if np.isfinite(value)]
    cells.append(f"{np.median(deviations):.1g}" if deviations else "")
    errors = [error**0.5 for error in own["latent_mse"]]
    cells.append(f"{np.median(errors):.1g}")
    for kind in (RECORDINGS, OTHER):
        known = bool(kinds.get(kind))
        cells.append(f"{area_under_roc(own['explained'], kinds[kind]['explained']):.3f}" if known else "")
    seconds = [f"{np.mean(kinds[kind]['seconds']):.1f}" if kinds.get(kind) else "" for kind in (OWN, RECORDINGS)]
    return "| " + " | ".join([*cells, f"{np.median(own['iterations']):.0f}", *seconds]) + " |"


def main():
    unknown = [name for name in damages.split(";") if name and name not in DAMAGES]
    if unknown:
        raise ValueError(f"damages are among {'; '.join(DAMAGES)}, not {'; '.join(unknown)}")
    begin = time.monotonic()
    generator = open_generator(checkpoint)
    mapping = open_inverse_mapping(inverse_mapping_checkpoint, generator) if "hybrid" in methods else None
    hold(writable_folder(results))
    measurements = Measurements(Path(results) / "measured.json")
    kinds, lines = sounds(generator), [COLUMNS, "|---" * (COLUMNS.count("|") - 1) + "|"]
    print("\n".join(lines), flush=True)
    for damage in damages.split(";") if damages else DAMAGES:
        for method in methods.split(","):
            known = {}
            for kind, (waves, true, source) in kinds.items():
                if kind != OWN and method != methods.split(",")[0]:
                    continue
                predicts = identity(mapping) if method == "hybrid" else None
                depends_on = [identity(generator), identity(LevenbergMarquardt()), predicts, seed, source]
                digest = hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()[:12]
                key = f"{damage}: {method}: {kind}: {digest}"
                while (done := len(measurements.first(key, len(waves)).get("seconds", []))) < len(waves):
                    if minutes and time.monotonic() - begin > 60 * minutes:
                        break
                    batch = slice(done, min(done + BATCH, len(waves)))
                    part = None if true is None else true[batch]
                    measurements.add(key, measured(waves[batch], part, done, damage, method, generator, mapping))
                known[kind] = measurements.first(key, len(waves))
            if known[OWN]:
                lines.append(row(damage, method, known))
                print(lines[-1], flush=True)
    if card:
        weights = {"inverse_mapping": mapping.sha256} if mapping else {}
        write_figures(card, "own_clips", "\n".join(lines), generator=generator.sha256, **weights)


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError):
        main()
