"""Writes Audio_Examples/: ten real digits and ten synthesized ones, recovered by each method, and index.html to listen to and look at them."""

files = "Audio_Examples/real/"  # folder of recordings, the real clips
num_synthesized = 10  # clips from the generator, whose latent vectors are known
max_iter = 200  # iterations of the solver at most, a start
seed = 2026  # of their latent vectors
checkpoint = "checkpoint/"  # folder with the generator
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts
output = "Audio_Examples/"  # folder: index.html, and recovered/{real,synthesized}/{original,inverse_mapping,gradient,hybrid}/{name}.wav and .npy

from common.settings import from_shell

from_shell(globals())

import common.startup  # noqa: F401

from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.files import written_whole
from common.networks import inverse_mapping_of
from common.page import Sound, write_page
from common.recordings import find_recordings, result_names, writable_folder
from common.recoveries import progress
from common.script import one_line_errors
from models.audio import AudioError, read_clip, write_wav
from models.errors import CheckpointError
from models.generator import generate, random_latent
from models.metrics import latent_mse, log_spectral_distance
from models.recovery import recover
from models.wavegan import load_wavegan

METHODS = {"inverse_mapping": (True, False), "gradient": (False, True), "hybrid": (True, True)}  # (prediction, gradient)
BATCH = 10  # clips worked on side by side


def keep(folder, name, waveform, z=None):
    """Writes {name}.wav, and {name}.npy where there is a latent vector → the path of the first."""
    path = Path(folder) / f"{name}.wav"
    with written_whole(path) as file:
        write_wav(file, waveform)
    if z is not None:
        with written_whole(path.with_suffix(".npy")) as file:
            np.save(file, z)
    return path


def recovered(clips, generator, mapping, kind):
    """{method: (latent vectors [n, latent_dim], SNR in dB [n])} of waveforms [n, 16384]."""
    found = {}
    for method, (predict, gradient) in METHODS.items():
        parts = []
        with tqdm(total=len(clips), desc=f"{kind}, {method}", unit="clip", disable=None) as bar:
            for first in range(0, len(clips), BATCH):
                batch = clips[first : first + BATCH]
                report = progress(bar, len(batch))
                parts.append(
                    recover(batch, generator, inverse_mapping=mapping if predict else None, gradient=gradient, max_iter=max_iter, report=report)
                )
                report(0)
        found[method] = np.concatenate([part.z for part in parts]), np.concatenate([part.snr_db for part in parts])
    return found


def rows(kind, names, clips, true, generator, mapping):
    """Writes the sounds of one kind and yields the page's rows."""
    folder = Path(output) / "recovered" / kind
    found = recovered(clips, generator, mapping, kind)
    waves = {method: generate(generator, z)[..., 0] for method, (z, _) in found.items()}
    for i, name in enumerate(names):
        known = None if true is None else true[i]
        sounds = [Sound("original", keep(folder / "original", name, clips[i], known), "", known)]
        for method, (z, snr) in found.items():
            distance = log_spectral_distance(clips[i : i + 1], waves[method][i : i + 1])[0]
            caption = f"SNR {snr[i]:.1f} dB, log-spectral distance {distance:.1f} dB"
            if known is not None:
                caption += f", latent MSE {latent_mse(known[None], z[i : i + 1])[0]:.1g}"
            sounds.append(Sound(method.replace("_", " "), keep(folder / method, name, waves[method][i], z[i]), caption, z[i]))
        yield name, known, sounds


def main():
    writable_folder(output)
    generator = load_wavegan(checkpoint)
    mapping, prediction = inverse_mapping_of(inverse_mapping_checkpoint, generator)
    paths = find_recordings(files)
    real = np.stack([read_clip(path, preparation=generator.preparation) for path in paths])
    true = random_latent(generator, num_synthesized, seed)
    page = ["Synthesized clips: red lines are the true latent vector, bars the recovered one"]
    page += rows("synthesized", [str(i) for i in range(num_synthesized)], generate(generator, true)[..., 0], true, generator, mapping)
    page.append("Real recordings, as prepared for the generator: no latent vector is theirs, bars are the closest one found")
    page += rows("real", list(result_names(paths).values()), real, None, generator, mapping)
    made_with = [f"Generator: {generator.description}, SHA-256 {generator.sha256[:16]}…"]
    made_with.append(f"Inverse mapping: {mapping.settings['network']} network, SHA-256 {prediction[:16]}…")
    write_page(Path(output) / "index.html", "Latent vector recovery: listen", made_with, page)
    print(f"Open {Path(output) / 'index.html'} in a browser; sounds and latent vectors are in {Path(output) / 'recovered'}/")


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError, AudioError, interrupted="stopped; index.html is as it was before"):
        main()
