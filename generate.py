"""Latent vectors → WaveGAN → waves: samples of the generator in checkpoint/, each with its latent vector.

With --latents, the sounds of saved latent vectors, or of first-layer outputs, in place of samples.
"""

# What is generated, and where it goes
num_samples = 10  # how many [1 to 1,000,000]
seed = 0  # of the latent vectors, uniform on [-1, 1] [0 to 4,294,967,295]
latents = ""  # a .npy file or a folder of them: {name}.npy, latent vectors, or {name}.layer.npy, first-layer outputs
output = "waves/generated/"  # folder for {i}.wav (float32, 16,384 Hz) and {i}.npy (float32, [100])

# Weights
checkpoint = "checkpoint/"  # folder with the generator

from common.settings import from_shell

from_shell(globals())

from pathlib import Path

from common.networks import open_generator

import numpy as np
from tqdm import tqdm

from common.files import read_array, writable_folder, write_clip
from common.script import ScriptError, one_line_errors
from models.generator import BATCH, random_latent
from models.layer_space import generate_from_layer

LAYER = ".layer.npy"  # ending of saved first-layer outputs


def saved_files():
    """The .npy files that `latents` names, in order."""
    path = Path(latents)
    found = [path] if path.is_file() else sorted(path.glob("*.npy"))
    if not found:
        raise ScriptError(f"{latents}: no .npy files there")
    return found


def sound_saved(generator, folder):
    """Writes {name}.wav, or {name}_layer.wav, of each saved array → how many."""
    paths = saved_files()
    if any(path.name.endswith(LAYER) for path in paths) and not generator.has_first_layer:
        raise ScriptError(f"{checkpoint}: {generator.description} cannot be run from its first layer's output")
    for path in tqdm(paths, unit="wave", disable=None):
        if path.name.endswith(LAYER):
            array = read_array(path, generator.first_layer(np.zeros((1, generator.latent_dim), np.float32)).shape[1:])
            waveform, name = generate_from_layer(generator, array[None])[0], path.name.removesuffix(LAYER) + "_layer"
        else:
            waveform, name = generator(read_array(path, (generator.latent_dim,))[None])[0].numpy(), path.stem
        write_clip(folder, name, waveform)
    return len(paths)


def main():
    folder = writable_folder(output)
    generator = open_generator(checkpoint, differentiated=False)
    if latents:
        print(f"{sound_saved(generator, folder)} waves are in {folder}/")
        return
    z = random_latent(generator, num_samples, seed)
    with tqdm(total=num_samples, unit="wave", disable=None) as bar:
        for first in range(0, num_samples, BATCH):
            batch = z[first : first + BATCH]
            for i, (one, waveform) in enumerate(zip(batch, generator(batch).numpy()), first):
                write_clip(folder, str(i), waveform, one)
                bar.update()
    print(f"{num_samples} waves and their latent vectors are in {folder}/")


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
