"""Is it said rightly who made a sound? How often each phrase is wrong, for a generator's own sounds, sounds of its
relatives and of another generator, and recordings.

Relatives are the generator with noise on its weights, and another state of it where one is given. What is measured of
each sound is kept, a line a sound, so that a stopped run goes on, and the phrases can be formed anew without recovering
anything again.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

# What is judged
num_sounds = 200  # of each kind [1 to 100,000]
kinds = ""  # with semicolons between them, as the table names them; "": all
datasets = "datasets/"  # folders with recordings, separated by commas; their test parts are used
relative = ""  # folder with another state of the generator, such as adapted/checkpoint/; "": none
minutes = 0.0  # after which nothing new is begun; 0: no limit [0 to 100,000]
seed = 4  # of the latent vectors, the weights and the choice of recordings [0 to 4,294,967,295]
results = "waves/verdicts/"  # folder for what is measured so far
card = ""  # model card to write the table into as well

# Weights
checkpoint = "checkpoint/"  # folder with the generator, a WaveGAN
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts

from common.settings import from_shell

settings = from_shell(globals())

import json
import time
from dataclasses import asdict

from common.networks import clip_of, open_generator, open_inverse_mapping

import numpy as np

from common.files import writable_folder
from common.lock import hold
from common.script import one_line_errors
from common.view import write_figures
from datasets.layouts import find_datasets
from models.audio.clip import Clip, prepare
from models.files.errors import CheckpointError
from models.generator.generator import generate, random_latent
from models.generator.layers import SubpixelWaveGAN
from models.generator.loading import load_generator
from models.generator.readers.tf1 import checkpoint_prefix
from models.generator.readers.training_checkpoint import read_wavegan
from models.recovery import verdict as v
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.recover import recovered_clips
from models.recovery.remainder import Remainder, remainder

STREAM = 20_142  # separates what is drawn here from every other use of a seed
STEP = 1 / 32767  # of 16 bits
NOISES = {"own": None, "own, noise 40 dB": 40, "own, noise 20 dB": 20}
PERTURBED = {f"weights off by {percent} %": percent / 100 for percent in (0.1, 0.3, 1, 3)}
STATE, ANOTHER, RECORDINGS = "another state", "another generator", "recordings"
TOLD_APART_DB = 10  # by which a relative's sound differs more than rounding does, or it is not counted
KEYS = *v.OWN, v.UNSURE, v.OTHER


def rounded(wave):
    return np.round(np.clip(wave, -1, 1) / STEP).astype(np.float32) * np.float32(STEP)


def perturbed(variables, share, rng):
    """A WaveGAN's variables with normal noise on each, of `share` times its own deviation."""
    return {
        name: (a + share * np.std(a) * rng.normal(size=a.shape)).astype(np.float32) for name, a in variables.items()
    }


def sound(kind, number, generator, variables, length):
    """The clip [num_samples] of a kind, as it lies in a file of 16 bits; None where it counts for nothing."""
    rng = np.random.default_rng([STREAM, seed, number])
    z = random_latent(generator, 1, [STREAM, seed, number, 1])
    own = generate(generator, z)[0, :, 0]
    if kind in NOISES:
        level = NOISES[kind]
        noise = 0 if level is None else own.std() * 10 ** (-level / 20) * rng.normal(size=own.shape)
        return rounded(own + noise)
    if kind == STATE:
        other = generate(load_generator(relative), z)[0, :, 0]
    elif kind in PERTURBED:
        other = np.ravel(SubpixelWaveGAN(perturbed(variables, PERTURBED[kind], rng), length)(z))
    else:  # as large weights as the generator's, but in another order
        shuffled = {name: rng.permutation(np.ravel(a)).reshape(a.shape) for name, a in variables.items()}
        other = np.ravel(SubpixelWaveGAN(shuffled, length)(z))
        other = other * own.std() / max(other.std(), 1e-9)
    if kind != ANOTHER and np.mean((other - own) ** 2) < 10 ** (TOLD_APART_DB / 10) * STEP**2 / 12:
        return None
    return rounded(other)


def measured(clip, generator, mapping):
    """What is left of a clip, and how long it took → {name: number}."""
    begin, options = time.process_time(), {"solver": LevenbergMarquardt(), "only_exact": True}
    ((answer,), (form,)) = recovered_clips([clip], generator, inverse_mapping=mapping, **options)
    target = form.samples.reshape(answer.matched.shape)
    left = remainder(answer.matched, target, step=STEP * form.gain)
    numbers = {"explained": answer.explained, "snr_db": answer.snr_db, "seconds": time.process_time() - begin}
    return {name: float(value) for name, value in numbers.items()} | asdict(left)


def said(row):
    """The verdict on a sound of which only the samples are known, with nothing looked for beside them."""
    left = Remainder(**{name: row[name] for name in Remainder.__dataclass_fields__})
    return v.verdict(row["explained"], left)


def main():
    begin = time.monotonic()
    generator = open_generator(checkpoint)
    mapping = open_inverse_mapping(inverse_mapping_checkpoint, generator)
    variables, length = read_wavegan(checkpoint_prefix(checkpoint), Path(checkpoint))
    chosen = kinds.split(";") if kinds else [*NOISES, *PERTURBED, *[STATE] * bool(relative), ANOTHER, RECORDINGS]
    hold(writable_folder(results))
    path, known = Path(results) / "measured.jsonl", {}
    if path.exists():
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        known = {(row["kind"], row["number"], row["seed"], row["generator"]): row for row in rows}
    recordings = []
    if RECORDINGS in chosen:
        recordings = [r.path for r in find_datasets(datasets)[1] if r.split == "test"]
        order = np.random.default_rng([STREAM, seed]).permutation(len(recordings))
        recordings = [recordings[i] for i in order]
    with open(path, "a") as file:
        for number in range(num_sounds):  # of every kind a few, if the time is short
            for kind in chosen:
                key = kind, number, seed, generator.sha256
                late = minutes and time.monotonic() - begin > 60 * minutes
                if key in known or late or (kind == RECORDINGS and number >= len(recordings)):
                    continue
                if kind == RECORDINGS:
                    clip = prepare(recordings[number], **clip_of(generator))
                else:
                    wave = sound(kind, number, generator, variables, length)
                    if wave is None:
                        continue
                    clip = Clip(wave, as_it_is=wave)
                row = {"kind": kind, "number": number, "seed": seed, "generator": generator.sha256}
                known[key] = row | measured(clip, generator, mapping)
                file.write(json.dumps(known[key]) + "\n")
                file.flush()
    lines = ["| sounds | n | " + " | ".join(KEYS) + " | explained, median | s |", "|---" * (len(KEYS) + 4) + "|"]
    for kind in chosen:
        rows = [row for key, row in known.items() if key[0] == kind and key[2:] == (seed, generator.sha256)]
        if rows:
            verdicts = [said(row) for row in rows]
            medians = [np.median([row[name] for row in rows]) for name in ("explained", "seconds")]
            cells = [kind, len(rows), *(verdicts.count(key) for key in KEYS), f"{medians[0]:.4f}", f"{medians[1]:.1f}"]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    print("\n".join(lines))
    if card:
        write_figures(card, "verdicts", "\n".join(lines), generator=generator.sha256, inverse_mapping=mapping.sha256)


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError):
        main()
