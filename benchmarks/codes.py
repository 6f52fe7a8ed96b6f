"""Which code a clip has, and the rest of its latent vector: clips of tiny random generators whose latent vectors hold a
code, as 16-bit samples and with noise. Prints a Markdown table.

Beside the recovered answer stands what rounding the free answer to the nearest code would leave, the noise unsolved.
"""

num_clips = 20  # a row [1 to 10,000]
width = 4  # of the generators, which have WaveGAN's architecture and random weights [1 to 64]
rows = ""  # names of rows, separated by semicolons; by default all
seed = 0  # of the weights, the latent vectors and the noise [0 to 2,147,483,646]

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

from_shell(globals())

import common.networks  # noqa: F401

import numpy as np

from common.script import one_line_errors
from models.generator.codes import relaxed
from models.generator.generator import generate, random_latent
from models.generator.wavegan import load_wavegan
from models.metrics.metrics import EXACT, latent_mse
from models.recovery.codes import Coded
from models.recovery.exact import LevenbergMarquardt, residuals
from tests import tf1_wavegan

CIW, FIW, NOISE_FIRST = "onehot:10", "bits:3", "onehot:2,onehot:3@end"
ROWS = {  # {name: (layout, SNR in dB or None, what the codes are multiplied by)}
    "ciwGAN": (CIW, None, 1),
    "fiwGAN": (FIW, None, 1),
    "noise first, two one-hots": (NOISE_FIRST, None, 1),
    "ciwGAN, 20 dB": (CIW, 20, 1),
    "ciwGAN, 10 dB": (CIW, 10, 1),
    "ciwGAN, code times 2": (CIW, None, 2),
    "ciwGAN, code times 10": (CIW, None, 10),
}
INTEGERS = 32767  # of 16-bit samples


def measured(generator, layout, snr, scale):
    """The cells of a row."""
    generator.preparation = replace(generator.preparation, code=layout)
    codes, true = generator.codes, random_latent(generator, num_clips, seed)
    true[:, codes.places] *= np.float32(scale)
    clips = generate(generator, true)
    if snr is not None:
        level = np.sqrt((clips**2).mean(axis=(1, 2), keepdims=True)) * 10 ** (-snr / 20)
        clips = clips + level * np.random.default_rng(seed).normal(size=clips.shape)
    clips = (np.round(INTEGERS * np.clip(clips, -1, 1)) / INTEGERS).astype(np.float32)
    solution = Coded(LevenbergMarquardt(), scale=1.0 if scale == 1 else "free").solve(clips, generator, seed=seed)
    right = sum(codes.text(code) == one for code, one in zip(true[:, codes.places], solution.code))
    cells = [f"{right} of {num_clips}", f"{(latent_mse(true, solution.z) < EXACT).sum()} of {num_clips}"]
    cells += [f"{np.median(solution.margin_db):.1f} dB", f"{decibels(clips, generator, solution.z):.1f} dB"]
    if scale == 1:
        free = LevenbergMarquardt().solve(clips, relaxed(generator, 1.0), seed=seed)
        snapped = relaxed(generator, 1.0).latent(free.z).numpy()
        snapped[:, codes.places] = [codes.nearest(one, 1)[0] for one in snapped[:, codes.places]]
        return [*cells, f"{decibels(clips, generator, snapped):.1f} dB"]
    return [*cells, ""]


def decibels(clips, generator, z):
    """The median residual of latent vectors, relative to the clips' energy, in dB."""
    return np.median(10 * np.log10(2 * residuals(clips, generator, z, 0.0)))


def main():
    chosen = [name.strip() for name in rows.split(";") if name.strip()] or list(ROWS)
    print("| clips | code right | latent vector exact | margin | residual | residual, code only rounded |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        tf1_wavegan.write(Path(folder), width=width, seed=seed)
        for name in chosen:
            generator = load_wavegan(folder, differentiated=False)
            print(f"| {name} | " + " | ".join(measured(generator, *ROWS[name])) + " |", flush=True)


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
