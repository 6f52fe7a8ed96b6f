"""Latent vectors → WaveGAN → waves: samples of the generator in checkpoint/, each with the latent vector it was made from."""

num_samples = 10  # how many
seed = 0  # of the latent vectors, uniform on [-1, 1]
checkpoint = "checkpoint/"  # folder with the generator
output = "waves/generated/"  # folder for {i}.wav (float32, 16,384 Hz) and {i}.npy (float32, [100])

from common.settings import from_shell

from_shell(globals())

import common.startup  # noqa: F401

import numpy as np
from tqdm import tqdm

from common.files import written_whole
from common.recordings import writable_folder
from common.script import ScriptError, one_line_errors
from models.audio import write_wav
from models.errors import CheckpointError
from models.generator import BATCH, random_latent
from models.wavegan import load_wavegan


def main():
    if num_samples < 1:
        raise ScriptError(f"num_samples is {num_samples}; at least 1")
    folder = writable_folder(output)
    generator = load_wavegan(checkpoint)
    print(f"Generator: {generator.description}, from {checkpoint}")
    latents = random_latent(generator, num_samples, seed)
    for first in tqdm(range(0, num_samples, BATCH), unit="batch", disable=None):
        batch = latents[first : first + BATCH]
        for i, (z, waveform) in enumerate(zip(batch, generator(batch).numpy()), first):
            with written_whole(folder / f"{i}.wav") as file:
                write_wav(file, waveform)
            with written_whole(folder / f"{i}.npy") as file:
                np.save(file, z)
    print(f"{num_samples} waves and their latent vectors are in {folder}/")


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError):
        main()
