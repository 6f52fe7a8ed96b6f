"""Do a generator's own clips come back exactly, whatever happened to them, and are they told from other sounds?

Every sound goes through the same damage and a file, and is read and recovered as latent_vector_recovery.py does it. Own
clips and damages are drawn at random. Finished rows are kept, so a stopped run goes on.
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

from common.networks import clip_of, open_generator, open_inverse_mapping

import numpy as np

from benchmarks.damage import DAMAGES, damaged
from common.recovering import recovered_batches
from common.script import one_line_errors
from common.view import write_figures
from datasets.layouts import find_datasets
from models.audio.clip import prepare
from models.audio.windows import samples_of
from models.files.errors import CheckpointError
from models.files.writing import written_whole
from models.generator.generator import generate, random_latent
from models.generator.wavegan import load_wavegan
from models.metrics.metrics import EXACT, latent_mse
from models.recovery.exact import LevenbergMarquardt
from models.recovery.solution import identity

STREAM = 20_118  # separates these latent vectors from every other use of a seed
BATCH = 20  # clips at once
OWN, RECORDINGS, OTHER = "own", "recordings", "another generator"
COLUMNS = (
    "| damage | method | exact | SNR, median, dB | deviation of z, median | area, recordings | area, generator | s |"
)


def area_under_roc(made, others):
    """Area under the ROC curve of scores [n] of what was made and [m] of what was not: the share of pairs in the right
    order, equal ones by half."""
    made, others = np.asarray(made)[:, None], np.asarray(others)[None]
    return float(np.mean((made > others) + 0.5 * (made == others)))


def sounds(generator):
    """{kind: (waveforms, a list of [n] at the generator's rate; latent vectors or None)}."""
    true = random_latent(generator, num_clips, [STREAM, seed, 0])
    kinds = {OWN: (list(generate(generator, true)[..., 0]), true)}
    if num_others:
        paths = [r.path for r in find_datasets(datasets)[1] if r.split == "test"]
        chosen = np.random.default_rng([STREAM, seed]).permutation(len(paths))[:num_others]
        blocks = (next(samples_of(paths[i], 1, generator.sample_rate)) for i in chosen)
        kinds[RECORDINGS] = [block[: generator.num_samples, 0] for block in blocks], None
    if num_others and other:
        another = load_wavegan(other)
        kinds[OTHER] = list(generate(another, random_latent(another, num_others, [STREAM, seed, 1]))[..., 0]), None
    return kinds


def measured(waves, true, damage, method, generator, mapping):
    """What becomes of waveforms after a damage → {column: list of numbers}."""
    found = {"explained": [], "seconds": [], "snr_db": [], "deviation": [], "latent_mse": []}
    options = {"generator": generator, "inverse_mapping": mapping if method == "hybrid" else None}
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for i, wave in enumerate(waves):
            rng = np.random.default_rng([STREAM, seed, i])
            paths.append(damaged(wave, generator.sample_rate, damage, rng, Path(folder) / f"{i:04d}"))

        def load(path):
            return prepare(path, **clip_of(generator))

        solver = LevenbergMarquardt(give_up=True)
        for _, _, recovery, seconds in recovered_batches(paths, load, BATCH, solver=solver, **options):
            found["explained"] += recovery.explained.tolist()
            found["seconds"] += [seconds] * len(recovery.z)
            found["snr_db"] += recovery.snr_db.tolist()
            found["deviation"] += np.median(recovery.z_std, axis=1).tolist()
            if true is not None:
                part = true[len(found["latent_mse"]) :][: len(recovery.z)]
                found["latent_mse"] += latent_mse(part, recovery.z).tolist()
    return found


def row(damage, method, kinds):
    """A line of the table. kinds: {kind: what `measured` returned}."""
    own = kinds[OWN]
    exact = sum(error < EXACT for error in own["latent_mse"])
    cells = [damage, method, f"{exact} of {len(own['latent_mse'])}", f"{np.median(own['snr_db']):.0f}"]
    deviations = [value for value in own["deviation"] if np.isfinite(value)]
    cells.append(f"{np.median(deviations):.1g}" if deviations else "")
    for kind in (RECORDINGS, OTHER):
        known = kind in kinds
        cells.append(f"{area_under_roc(own['explained'], kinds[kind]['explained']):.3f}" if known else "")
    return "| " + " | ".join([*cells, f"{np.mean(own['seconds']):.1f}"]) + " |"


def main():
    unknown = [name for name in damages.split(";") if name and name not in DAMAGES]
    if unknown:
        raise ValueError(f"damages are among {'; '.join(DAMAGES)}, not {'; '.join(unknown)}")
    generator = open_generator(checkpoint)
    mapping = open_inverse_mapping(inverse_mapping_checkpoint, generator) if "hybrid" in methods else None
    depends_on = [num_clips, num_others, datasets, other, seed, identity(generator), identity(mapping)]
    key = hashlib.sha256(json.dumps([*depends_on, identity(LevenbergMarquardt())]).encode()).hexdigest()[:12]
    path = Path(results) / f"clips_{key}.json"
    done = json.loads(path.read_text()) if path.exists() else {}
    kinds, lines = sounds(generator), [COLUMNS, "|---" * (COLUMNS.count("|") - 1) + "|"]
    print("\n".join(lines), flush=True)
    for damage in damages.split(";") if damages else DAMAGES:
        for method in methods.split(","):
            part = done.setdefault(f"{damage}: {method}", {})
            for kind, (waves, true) in kinds.items():
                if kind not in part and (kind == OWN or method == methods.split(",")[0]):
                    part[kind] = measured(waves, true, damage, method, generator, mapping)
                    with written_whole(path, "w") as file:
                        json.dump(done, file)
            lines.append(row(damage, method, part))
            print(lines[-1], flush=True)
    if card:
        weights = {"inverse_mapping": mapping.sha256} if mapping else {}
        write_figures(card, "own_clips", "\n".join(lines), generator=generator.sha256, **weights)


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError):
        main()
