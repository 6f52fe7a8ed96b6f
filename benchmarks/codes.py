"""Which code a clip has, and the rest of its latent vector: clips of tiny random generators whose latent vectors hold a
code, as 16-bit samples and with noise. Prints a Markdown table.

The error is how far the answer's sound is from the clip before rounding and noise.
"""

num_clips = 20  # a row; half as many where a scale or a label is looked for [1 to 10,000]
width = 4  # of the generators, which have WaveGAN's architecture and random weights [1 to 64]
rows = ""  # names of rows, separated by semicolons; by default all
seed = 0  # of the weights, the latent vectors and the noise [0 to 2,147,483,646]

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

from_shell(globals())

import common.networks  # noqa: F401

import numpy as np
import tensorflow as tf

from common.script import one_line_errors
from common.view import markdown
from models.audio.clip import Clip
from models.generator.generator import generate, random_latent
from models.generator.labelled import LabelInput, LabelledGenerator
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, latent_mse, snr_db
from models.recovery.alternatives import Code
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.recover import recovered_clips
from tests import tf1_wavegan

LABEL = "label"  # in place of a layout: the generator has a second input
LAYOUTS = {"ciwGAN": "onehot:10", "fiwGAN": "bits:3", "noise first, two one-hots": "onehot:2,onehot:3@end"}
NOISE = {"": None, ", 20 dB": 20, ", 10 dB": 10}
ROWS = {  # {name: (layout, SNR in dB or None, what the codes are multiplied by)}
    **{name + noise: (layout, snr, 1) for noise, snr in NOISE.items() for name, layout in LAYOUTS.items()},
    "ciwGAN, code times 2": (LAYOUTS["ciwGAN"], None, 2),
    "ciwGAN, code times 10": (LAYOUTS["ciwGAN"], None, 10),
    "fiwGAN, code times 10": (LAYOUTS["fiwGAN"], None, 10),
    "five labels": (LABEL, None, 1),
    "five labels, 20 dB": (LABEL, 20, 1),
}
LABELS = 5
INTEGERS = 32767  # of 16-bit samples


def as_kept(clips, snr):
    """Clips [n, samples, channels] with noise at an SNR in dB, or None for none, as 16-bit samples."""
    if snr is not None:
        level = np.sqrt((clips**2).mean(axis=(1, 2), keepdims=True)) * 10 ** (-snr / 20)
        clips = clips + level * np.random.default_rng(seed).normal(size=clips.shape)
    return (np.round(INTEGERS * np.clip(clips, -1, 1)) / INTEGERS).astype(np.float32)


def labelled(generator):
    """A generator of half a latent vector and a label, whose row in a table is the other half that `generator` gets."""
    size = generator.latent_dim // 2
    table = np.random.default_rng([seed, 1]).uniform(-1, 1, (LABELS, size)).astype(np.float32)

    def function(z, label):
        return generator(tf.concat([z, tf.gather(table, label)], axis=1))

    return LabelledGenerator(function, generator.latent_dim - size, LabelInput("label", (), tf.int32), "", "")


def of_labels(generator, snr):
    """The cells of a row of clips whose label is not known."""
    generator, count = labelled(generator), max(1, num_clips // 2)
    labels = np.random.default_rng([seed, 2]).integers(LABELS, size=count)
    true = random_latent(generator.with_label(0), count, seed)
    waves = np.concatenate([generate(generator.with_label(k), z[None]) for k, z in zip(labels, true)])
    clips = [Clip(clip) for clip in as_kept(waves, snr)]
    solution, _ = recovered_clips(clips, generator, solver=LevenbergMarquardt(), seed=seed)
    cells = [f"{(solution.label == labels.astype(str)).sum()} of {count}"]
    cells += [
        f"{(latent_mse(true, solution.z) < EXACT).sum()} of {count}",
        f"{np.nanmedian(solution.margin_db):.1f} dB",
    ]
    return [*cells, decibels(waves, solution.waveforms)]


def measured(generator, layout, snr, scale):
    """The cells of a row."""
    if layout == LABEL:
        return of_labels(generator, snr)
    generator = generator.with_facts(code=layout)
    count = num_clips if scale == 1 else max(1, num_clips // 2)
    codes, true = generator.codes, random_latent(generator, count, seed)
    true[:, codes.places] *= np.float32(scale)
    clean = generate(generator, true)
    clips = as_kept(clean, snr)
    code = Code(scale=1.0 if scale == 1 else "free")
    clips = [Clip(clip) for clip in clips]
    solution, _ = recovered_clips(clips, generator, solver=LevenbergMarquardt(), code=code, seed=seed)
    right = sum(codes.text(code) == one for code, one in zip(true[:, codes.places], solution.code))
    cells = [f"{right} of {count}", f"{(latent_mse(true, solution.z) < EXACT).sum()} of {count}"]
    return [*cells, f"{np.nanmedian(solution.margin_db):.1f} dB", decibels(clean, generate(generator, solution.z))]


def decibels(clean, waveforms):
    """The median error of waveforms [n, samples, channels], relative to the clean clips' energy, in words."""
    return f"{-np.median(snr_db(clean, waveforms)):.1f} dB"


def main():
    chosen = [name.strip() for name in rows.split(";") if name.strip()] or list(ROWS)
    print(markdown(["clips", "code or label right", "latent vector exact", "margin", "error"], []))
    with tempfile.TemporaryDirectory() as folder:
        tf1_wavegan.write(Path(folder), width=width, seed=seed)
        for name in chosen:
            generator = load_generator(folder)
            print(f"| {name} | " + " | ".join(measured(generator, *ROWS[name])) + " |", flush=True)


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
