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

import math
import re
import tempfile
import time

from common.networks import clip_of, open_generator, open_inverse_mapping

import numpy as np

from benchmarks.damage import DAMAGES, damaged
from common.closeness import Ended
from common.columns import UNFINISHED
from common.files import writable_folder
from common.lock import hold
from common.recovering import recovered, unfinished
from common.script import one_line_errors
from common.store import Store, depends_on
from common.view import write_figures
from datasets.layouts import find_datasets
from models.audio.clip import prepare
from models.audio.windows import samples_of
from models.files.errors import CheckpointError
from models.generator.generator import generate, random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, latent_mse
from models.recovery import verdict
from models.recovery.attempts import LevenbergMarquardt

FOUND = 0.01  # latent MSE up to which a latent vector is found
STREAM = 20_118  # separates these latent vectors from every other use of a seed
OWN, RECORDINGS, OTHER = "own", "recordings", "another generator"
COLUMNS = (
    "| damage | method | exact | found | named its own | SNR, dB | deviation of z | error of z | area, recordings "
    "| area, generator | Jacobians | s | longest, s | s, recordings |"
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


def measured(waves, damage, method, kind, source, generator, mapping, until):
    """What becomes of waveforms after a damage, as far as it is known by the time `until` → a common.store.Store, by
    their numbers. source: where they are from. mapping: the inverse mapping, or None."""
    how = {"generator": generator, "inverse_mapping": mapping if method == "hybrid" else None}
    how |= {"solver": LevenbergMarquardt(), "only_exact": True}
    signs = re.sub(r"(?<!\w)-", "minus ", damage.replace("+", "plus "))
    name = re.sub(r"\W+", "_", f"{signs} {method} {kind}")
    settings = depends_on(damage=damage, seed=seed, source=source, **how)
    store = Store(results, name, UNFINISHED, settings, by="number", exact=True)

    def load(number):
        rng = np.random.default_rng([STREAM, seed, number])
        with tempfile.TemporaryDirectory() as folder:
            path = damaged(waves[number], generator.sample_rate, damage, rng, Path(folder) / "sound")
            return prepare(path, **clip_of(generator))

    for number in [number for number in range(len(waves)) if number not in store]:
        if time.monotonic() > until:
            break
        for numbers, clips, answers, seconds in recovered([number], load, 1, **how):  # the seconds are its own
            store.add([unfinished(*one, seconds) for one in zip(numbers, answers, Ended(answers, clips).rows())])
    return store


def row(damage, method, kinds, true):
    """A line of the table. kinds: {kind: the rows of its sounds}. true: latent vectors of the own clips."""
    own = kinds[OWN]
    errors = [latent_mse(true[i][None], one["z"][None])[0] for i, one in own.items()]

    def of(kind, name):
        return [one[name] for one in kinds.get(kind, {}).values() if name in one]

    counts = sum(error < EXACT for error in errors), sum(error <= FOUND for error in errors)
    counts = (*counts, sum(key in verdict.OWN for key in of(OWN, "made_by")))
    cells = [damage, method, *(f"{count} of {len(own)}" for count in counts), f"{np.median(of(OWN, 'snr_db')):.0f}"]
    deviations = of(OWN, "z_std")
    cells.append(f"{np.median(deviations):.1g}" if deviations else "")
    cells.append(f"{np.median(np.sqrt(errors)):.1g}")
    for kind in (RECORDINGS, OTHER):
        known = bool(kinds.get(kind))
        cells.append(f"{area_under_roc(of(OWN, 'explained'), of(kind, 'explained')):.3f}" if known else "")
    seconds = [f"{np.mean(of(kind, 'seconds')):.1f}" if kinds.get(kind) else "" for kind in (OWN, RECORDINGS)]
    seconds.insert(1, f"{max(of(OWN, 'seconds')):.0f}")
    return "| " + " | ".join([*cells, f"{np.median(of(OWN, 'iterations')):.0f}", *seconds]) + " |"


def main():
    unknown = [name for name in damages.split(";") if name and name not in DAMAGES]
    if unknown:
        raise ValueError(f"damages are among {'; '.join(DAMAGES)}, not {'; '.join(unknown)}")
    begin = time.monotonic()
    generator = open_generator(checkpoint)
    mapping = open_inverse_mapping(inverse_mapping_checkpoint, generator) if "hybrid" in methods else None
    hold(writable_folder(results))
    until = begin + 60 * minutes if minutes else math.inf
    kinds, lines = sounds(generator), [COLUMNS, "|---" * (COLUMNS.count("|") - 1) + "|"]
    print("\n".join(lines), flush=True)
    for damage in damages.split(";") if damages else DAMAGES:
        for method in methods.split(","):
            known = {}
            for kind, (waves, _, source) in kinds.items():
                if kind == OWN or method == methods.split(",")[0]:
                    store = measured(waves, damage, method, kind, source, generator, mapping, until)
                    known[kind] = {number: store[number] for number in range(len(waves)) if number in store}
            if known[OWN]:
                lines.append(row(damage, method, known, kinds[OWN][1]))
                print(lines[-1], flush=True)
    if card:
        weights = {"inverse_mapping": mapping.sha256} if mapping else {}
        write_figures(card, "own_clips", "\n".join(lines), generator=generator.sha256, **weights)


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError):
        main()
