"""Are a generator's own clips found wherever they lie in a long recording, and is none invented?

One recording has clips at random places in speech and silence, the other is a preview as WaveGAN writes it: clip after
clip with half a second of silence between them. Both are files of 16 bits. Prints a Markdown table.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

num_clips = 30  # at random places [1 to 10,000]
seconds = 600.0  # of that recording; half of it is speech [10 to 100,000]
num_previewed = 32  # of the preview; 0: none [0 to 1,000]
datasets = "datasets/"  # folders with recordings, separated by commas; their test parts are the speech
seed = 0  # of latent vectors, places and speech [0 to 2,147,483,646]
card = ""  # model card to write the table into as well; "" for none

# Weights
checkpoint = "checkpoint/"  # folder with the generator
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts

from common.settings import from_shell

from_shell(globals())

import functools
import tempfile
import time

from common.networks import open_generator, open_inverse_mapping

import numpy as np
import soundfile

from common.script import one_line_errors
from common.view import markdown, show_figures
from datasets.layouts import find_datasets
from models.audio.windows import samples_of
from models.files.errors import CheckpointError
from models.generator.generator import generate, random_latent
from models.metrics.metrics import EXACT, latent_mse
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.finding import find
from models.recovery.recover import recovered_clips

STREAM = 20_161  # separates what is drawn here from every other use of a seed
PAUSE = 0.5  # seconds between a preview's clips
PLACED = 1.0  # samples, up to which a clip was found where it lies
HEADS = ["recording", "seconds of it", "clips", "found", "exact", "invented", "seconds, processor"]


def scattered(generator):
    """Samples of speech and silence in turns of ten seconds, with clips in them; where these begin, latent vectors."""
    rng, rate, length = np.random.default_rng([STREAM, seed]), generator.sample_rate, generator.num_samples
    samples = np.zeros(int(seconds * rate), np.float32)
    paths = [r.path for r in find_datasets(datasets)[1] if r.split == "test"]
    at = 0
    for i in rng.permutation(len(paths)):
        spoken = next(samples_of(paths[i], 1, rate))[: len(samples) - at, 0]
        samples[at : at + len(spoken)] = spoken
        at += len(spoken)
        if at // (10 * rate) % 2:
            at += 10 * rate
        if at >= len(samples):
            break
    slots = np.sort(rng.choice(int(len(samples) / (1.2 * length)), num_clips, replace=False))
    starts = (slots * 1.2 * length).astype(int) + rng.integers(0, int(0.2 * length), num_clips)
    true = random_latent(generator, num_clips, [STREAM, seed, 1])
    for start, wave in zip(starts, generate(generator, true)[..., 0]):
        samples[start : start + length] = wave
    return samples, starts, true


def previewed(generator):
    true = random_latent(generator, num_previewed, [STREAM, seed, 2])
    step = generator.num_samples + int(PAUSE * generator.sample_rate)
    samples = np.zeros(num_previewed * step, np.float32)
    for i, wave in enumerate(generate(generator, true)[..., 0]):
        samples[i * step : i * step + generator.num_samples] = wave
    return samples, np.arange(num_previewed) * step, true


def measured(name, made, generator, solve):
    """A line of the table for samples, where clips begin in them, and their latent vectors."""
    samples, starts, true = made
    begin, found = time.process_time(), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.wav"
        soundfile.write(path, samples / max(1.0, np.abs(samples).max()), generator.sample_rate, subtype="PCM_16")
        for one in find(samples_of(path, 1, generator.sample_rate), generator, solve):
            found.append(one)
            print(f"{name}: {one.start / generator.sample_rate:.2f} s, {one.snr_db:.0f} dB", flush=True)
    places = np.array([one.start for one in found]).reshape(-1, 1)
    near = np.abs(places - starts) < PLACED  # [found, clips]
    exact = sum(latent_mse(true[c][None], found[f].answer.z[None])[0] < EXACT for f, c in np.argwhere(near))
    counts = f"{near.any(axis=0).sum()} of {len(starts)}", f"{exact} of {len(starts)}", f"{(~near.any(axis=1)).sum()}"
    length = len(samples) / generator.sample_rate
    return [name, f"{length:.0f}", str(len(starts)), *counts, f"{time.process_time() - begin:.0f}"]


def main():
    generator = open_generator(checkpoint)
    mapping = open_inverse_mapping(inverse_mapping_checkpoint, generator)
    options = {"inverse_mapping": mapping, "solver": LevenbergMarquardt(), "only_exact": True}
    solve, rows = functools.partial(recovered_clips, generator=generator, **options), []
    if num_previewed:
        rows.append(measured("preview", previewed(generator), generator, solve))
    rows.append(measured("random places in speech and silence", scattered(generator), generator, solve))
    print()
    weights = {"generator": generator.sha256, "inverse_mapping": mapping.sha256}
    show_figures(card, "finding", markdown(HEADS, rows), **weights)


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError, ValueError, FileNotFoundError):
        main()
