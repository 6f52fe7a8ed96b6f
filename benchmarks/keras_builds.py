"""Are clips of Keras generators of builds that nothing was tuned on found exactly, from zero?

Three builds have linear upsampling and leaky ReLU, and random weights that are drawn anew for each clip. The fourth
ends with a ReLU before its tanh and is trained on recordings for a few minutes, until most samples of its sounds are
exactly 0. Every clip goes through 16 bits. What is measured is kept, so that a stopped run goes on. Prints a Markdown
table.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

num_clips = 10  # of each build [1 to 10,000]
builds = ""  # parts of their names, separated by semicolons; "": all
datasets = "datasets/"  # folders with recordings, of which the training part trains the generator with dead units
epochs = 480  # of that training [1 to 10,000]
seed = 0  # of weights and latent vectors [0 to 2,147,483,646]
results = "waves/keras_builds/"  # folder for the trained generator and for what is measured so far
card = ""  # model card to write the table into as well; "" for none

from common.settings import from_shell

from_shell(globals())

import json
import time

import common.networks  # noqa: F401

import keras
import numpy as np

from common.files import writable_folder
from common.lock import hold
from common.script import one_line_errors
from common.view import markdown, show_figures
from datasets.layouts import find_datasets
from models.audio.clip import Clip, prepare
from models.files.errors import CheckpointError
from models.files.writing import written_whole
from models.generator.generator import generate, random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, condition_number, latent_mse
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.recover import recovered_clips
from models.recovery.remainder import remainder
from models.recovery.verdict import OWN, verdict

FULL_SCALE = 32767  # of 16 bits
RATE, SAMPLES, RECORDINGS = 16000, 16384, 64
STREAM = 20_160  # separates what is drawn here from every other use of a seed
IDENTICAL = 65  # dB, at least, of what is identical to the rounding of 16 bits
layers = keras.layers


def linear(latent_dim, begin, channels, times, kernel, normalised=False):
    """A network of random weights: as many linear upsamplings as there are channels after the first."""
    how = {"padding": "same", "kernel_initializer": "he_normal"}
    made = [layers.Dense(begin * channels[0], kernel_initializer="he_normal"), layers.Reshape((begin, 1, channels[0]))]
    for count in channels[1:]:
        made += [layers.LeakyReLU(0.2), layers.UpSampling2D((times, 1), interpolation="bilinear")]
        made += [layers.Conv2D(count, (kernel, 1), **how), *[layers.BatchNormalization()] * normalised]
    made += [layers.LeakyReLU(0.2), layers.Conv2D(1, (kernel, 1), activation="tanh", **how)]
    return keras.Sequential([keras.Input((latent_dim,)), *made, layers.Reshape((SAMPLES, 1))])


LINEAR = {
    "64 dimensions, three linear upsamplings by 8": lambda: linear(64, 32, (64, 32, 16, 8), 8, 25),
    "100 dimensions, five linear upsamplings by 4": lambda: linear(100, 16, (64, 64, 32, 32, 16, 16), 4, 15),
    "100 dimensions, linear, batch normalisation": lambda: linear(100, 32, (64, 48, 32, 24), 8, 25, True),
}
DEAD = "ReLU before tanh, trained"


def with_dead_units():
    """A generator with the ReLU that leaves most of a sound exactly 0."""
    how = {"kernel_initializer": "he_normal"}
    up = {"kernel_size": 25, "strides": 4, "padding": "same"} | how
    made = [layers.Dense(16 * 128, **how), layers.Reshape((16, 128)), layers.ReLU()]
    for count in (64, 32, 16, 8):
        made += [layers.Conv1DTranspose(count, **up), layers.ReLU()]
    made += [layers.Conv1DTranspose(1, **up), layers.ReLU(), layers.Activation("tanh")]
    return keras.Sequential([keras.Input((100,)), *made])


def trained(path):
    """Trains a generator with dead units on recordings, each from a latent vector of its own, saved at `path`."""
    recordings = [r.path for r in find_datasets(datasets)[1] if r.split == "train"]
    order = np.random.default_rng([STREAM, seed]).permutation(len(recordings))[:RECORDINGS]
    if not len(order):
        raise ValueError(f"datasets: no recordings for training in {datasets}")
    clips = [prepare(recordings[i], num_samples=SAMPLES).samples.reshape(-1, 1) for i in order]
    clips = np.stack(clips) / np.abs(clips).max(axis=1, keepdims=True)
    keras.utils.set_random_seed(seed)
    network = with_dead_units()
    network.compile(keras.optimizers.Adam(1e-3), "mse")
    z = np.random.default_rng([STREAM, seed, 1]).uniform(-1, 1, (len(clips), 100)).astype(np.float32)
    network.fit(z, clips, batch_size=16, epochs=epochs, verbose=0)
    network.save(path)


def generator_of(name, number):
    """The generator that clip `number` of a build is made by."""
    folder = writable_folder(Path(results) / ("dead" if name == DEAD else f"{list(LINEAR).index(name)}_{number}"))
    path = folder / "generator.keras"
    if not path.exists():
        if name == DEAD:
            trained(path)
        else:
            keras.utils.set_random_seed(1000 * seed + number)
            LINEAR[name]().save(path)
    return load_generator(folder, {"sample_rate": RATE})


def measured(name, number):
    """What becomes of one clip → {name: number}."""
    generator = generator_of(name, number)
    true = random_latent(generator, 1, [STREAM, seed, number])
    wave = (np.round(generate(generator, true)[0, :, 0] * FULL_SCALE) / FULL_SCALE).astype(np.float32)
    begin = time.process_time()
    options = {"solver": LevenbergMarquardt(), "only_exact": True}
    ((answer,), (form,)) = recovered_clips([Clip(wave, as_it_is=wave)], generator, **options)
    left = remainder(answer.matched, form.samples.reshape(answer.matched.shape), step=form.gain / FULL_SCALE)
    return {
        "seconds": time.process_time() - begin,
        "mse": float(latent_mse(true, answer.z[None])[0]),
        "snr_db": float(answer.snr_db),
        "own": verdict(answer.explained, left) in OWN,
        "zero": float((wave == 0).mean()),
        "determined": answer.determined,
        "condition": float(condition_number(generator, true)[0]),
        "iterations": int(answer.iterations),
        "why": answer.why,
    }


def row(name, clips):
    """A line of the table. clips: what `measured` said of each."""
    known = {key: [clip[key] for clip in clips] for key in clips[0]}
    counts = (np.array(known["mse"]) < EXACT, np.array(known["snr_db"]) >= IDENTICAL, known["own"])
    middle = {key: np.median(known[key]) for key in ("condition", "zero", "iterations", "seconds")}
    return [name, f"{middle['condition']:.0f}", f"{100 * middle['zero']:.0f} %",
            *(f"{np.sum(count)} of {len(clips)}" for count in counts),
            f"{middle['iterations']:.0f}", f"{middle['seconds']:.1f}", f"{max(known['seconds']):.0f}"]  # fmt: skip


def main():
    hold(writable_folder(results))
    path = Path(results) / f"measured_{seed}.json"
    done = json.loads(path.read_text()) if path.exists() else {}
    rows, names, parts = [], [*LINEAR, DEAD], builds.split(";")
    if unknown := [part for part in parts if not any(part in name for name in names)]:
        raise ValueError(f"builds: {unknown[0]} is in no name of a build; the names are {'; '.join(names)}")
    for name in [name for name in names if any(part in name for part in parts)]:
        for number in range(num_clips):
            key = f"{name} {number}"
            if key not in done:
                done[key] = measured(name, number)
                with written_whole(path, "w") as file:
                    json.dump(done, file, indent=1)
            print(key, json.dumps(done[key]), flush=True)
        rows.append(row(name, [done[f"{name} {number}"] for number in range(num_clips)]))
    heads = ["build", "condition", "exactly 0", "exact", "identical", "named its own", "Jacobians", "s", "longest, s"]
    print()
    show_figures(card, "keras_builds", markdown(heads, rows))


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError, ValueError):
        main()
