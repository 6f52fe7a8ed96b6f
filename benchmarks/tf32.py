"""What becomes of exact recovery where a device multiplies in TF32, as graphics cards do unless they are told not to:
the same functions, the factors of each product rounded to TF32's 10 bits of mantissa. Prints a Markdown table.
"""

checkpoint = "checkpoint/"  # folder with the generator
num_clips = 5  # own clips, recovered from near their latent vectors [1 to 10,000]
distance = 0.05  # how far, the deviation of a coordinate [0.0 to 1.0]
max_iter = 30  # Jacobians at most, of a clip [1 to 1,000]
seed = 0  # of the latent vectors [0 to 2,147,483,646]

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

from_shell(globals())

import common.networks  # noqa: F401

import numpy as np

from common.script import one_line_errors
from models.files.errors import CheckpointError
from models.generator.generator import generate, random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, latent_mse, snr_db
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.recover import recover
from tests.tf32 import in_tf32


def main():
    generator = load_generator(checkpoint)
    true = random_latent(generator, num_clips, seed)
    clips = generate(generator, true)
    start = true + distance * np.random.default_rng([seed, 1]).normal(size=true.shape).astype(np.float32)
    start = np.clip(start, -generator.bounds, generator.bounds)
    print("| products | SNR of the waveform itself, dB | exact | SNR of the answer, dB | error of z, rms | Jacobians |")
    print("|" + " --- |" * 6)
    for name, device in (("float32", generator), ("TF32", in_tf32(generator))):
        found = recover(clips, device, solver=LevenbergMarquardt(max_iter, restarts=0), start=start)
        error, again = latent_mse(true, found.z), generate(device, found.z)
        cells = [name, f"{np.median(snr_db(clips, generate(device, true))):.0f}"]
        cells += [f"{(error < EXACT).sum()} of {num_clips}", f"{np.median(snr_db(clips, again)):.0f}"]
        print(
            "| " + " | ".join([*cells, f"{np.median(error) ** 0.5:.1g}", f"{np.median(found.iterations):.0f}"]) + " |"
        )


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError):
        main()
