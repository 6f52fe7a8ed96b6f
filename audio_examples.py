"""Writes Audio_Examples/: real and synthesized digits, recovered by each method, and index.html to listen and look."""

# What is recovered
files = "Audio_Examples/real/"  # folder of recordings, the real clips
num_synthesized = 10  # clips from the generator, whose latent vectors are known [1 to 1000]
max_iter = 200  # iterations of the solver at most, a start [1 to 1,000,000]
seed = 0  # of their latent vectors [0 to 4,294,967,295]

# Weights, and where the examples go
checkpoint = "checkpoint/"  # folder with the generator
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts
output = "Audio_Examples/"  # folder: index.html, and recovered/{real,synthesized}/{method}/{name}.wav and .npy
unfinished = "waves/audio_examples/"  # folder for what is recovered so far, so that a stopped run goes on

from common.settings import from_shell

from_shell(globals())

from pathlib import Path

from common.networks import open_generator, open_inverse_mapping

import numpy as np

from common.files import find_recordings, result_names, writable_folder, write_clip
from common.page import Sound, write_page
from common.recovering import recover_all
from common.script import one_line_errors
from models.audio import read_clip
from models.generator import generate, random_latent
from models.metrics import latent_mse, log_spectral_distance, snr_db

METHODS = {  # name: (whether it predicts, whether it optimises)
    "inverse_mapping": (True, False),
    "gradient": (False, True),
    "hybrid": (True, True),
}
BATCH = 10  # clips worked on side by side


def recovered(clips, generator, mapping, prediction, kind):
    """{method: latent vectors [n, latent_dim]} of waveforms [n, 16384]."""
    found = {}
    for method, (predict, gradient) in METHODS.items():
        how = {"gradient": gradient, "max_iter": max_iter}
        depends_on = [how, generator.sha256, prediction if predict else ""]
        how = how | {"generator": generator, "inverse_mapping": mapping if predict else None}
        found[method], *_ = recover_all(clips, f"{kind} {method}", unfinished, depends_on, BATCH, **how)
    return found


def rows(kind, names, clips, true, generator, latents):
    """Writes the sounds of one kind and yields the page's rows. latents: {method: z [n, latent_dim]}."""
    folder = Path(output) / "recovered" / kind
    waves = {method: generate(generator, z)[..., 0] for method, z in latents.items()}
    for i, name in enumerate(names):
        known = None if true is None else true[i]
        sounds = [Sound("original", write_clip(folder / "original", name, clips[i], known), "", known)]
        for method, z in latents.items():
            pair = clips[i : i + 1], waves[method][i : i + 1]
            caption = f"SNR {snr_db(*pair)[0]:.1f} dB, log-spectral distance {log_spectral_distance(*pair)[0]:.1f} dB"
            if known is not None:
                caption += f", latent MSE {latent_mse(known[None], z[i : i + 1])[0]:.1g}"
            wav = write_clip(folder / method, name, waves[method][i], z[i])
            sounds.append(Sound(method.replace("_", " "), wav, caption, z[i]))
        yield name, known, sounds


def main():
    writable_folder(output)
    generator = open_generator(checkpoint)
    mapping, prediction = open_inverse_mapping(inverse_mapping_checkpoint, generator)
    paths = find_recordings(files)
    real = np.stack([read_clip(path, preparation=generator.preparation) for path in paths])
    true = random_latent(generator, num_synthesized, seed)
    clips = {"synthesized": generate(generator, true)[..., 0], "real": real}
    found = {kind: recovered(clips[kind], generator, mapping, prediction, kind) for kind in clips}
    page = ["Synthesized clips: red lines are the true latent vector, bars the recovered one"]
    numbers = [str(i) for i in range(num_synthesized)]
    page += rows("synthesized", numbers, clips["synthesized"], true, generator, found["synthesized"])
    page.append(
        "Real recordings, prepared for the generator: no latent vector is theirs, bars are the closest one found"
    )
    page += rows("real", list(result_names(paths).values()), real, None, generator, found["real"])
    made_with = [f"Generator: {generator.description}, SHA-256 {generator.sha256[:16]}…"]
    made_with.append(f"Inverse mapping: {mapping.settings['network']} network, SHA-256 {prediction[:16]}…")
    write_page(Path(output) / "index.html", "Latent vector recovery: listen", made_with, page)
    folder = Path(output)
    print(f"Open {folder / 'index.html'} in a browser; sounds and latent vectors are in {folder / 'recovered'}/")


if __name__ == "__main__":
    with one_line_errors(__file__, interrupted="stopped; run it again to go on, index.html is as it was before"):
        main()
