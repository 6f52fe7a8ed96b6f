"""Latent vectors → WaveGAN → waves: samples of the generator in checkpoint/, each with its latent vector."""

# What is generated, and where it goes
num_samples = 10  # how many [1 to 1,000,000]
seed = 0  # of the latent vectors, uniform on [-1, 1] [0 to 4,294,967,295]
output = "waves/generated/"  # folder for {i}.wav (float32, 16,384 Hz) and {i}.npy (float32, [100])

# Weights
checkpoint = "checkpoint/"  # folder with the generator

from common.settings import from_shell

from_shell(globals())

from common.networks import open_generator

from tqdm import tqdm

from common.files import writable_folder, write_clip
from common.script import one_line_errors
from models.generator import BATCH, random_latent


def main():
    folder = writable_folder(output)
    generator = open_generator(checkpoint)
    latents = random_latent(generator, num_samples, seed)
    with tqdm(total=num_samples, unit="wave", disable=None) as bar:
        for first in range(0, num_samples, BATCH):
            batch = latents[first : first + BATCH]
            for i, (z, waveform) in enumerate(zip(batch, generator(batch).numpy()), first):
                write_clip(folder, str(i), waveform, z)
                bar.update()
    print(f"{num_samples} waves and their latent vectors are in {folder}/")


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
