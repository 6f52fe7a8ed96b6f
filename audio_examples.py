"""Writes Audio_Examples/: real and synthesized digits, recovered by each method, and index.html to listen and look."""

# What is recovered
files = "Audio_Examples/real/"  # folder of recordings, the real clips
num_synthesized = 10  # clips from the generator, whose latent vectors are known [1 to 1000]
max_iter = 200  # iterations of the solver at most, a start [1 to 1,000,000]
seed = 0  # of their latent vectors [0 to 4,294,967,295]

# Weights, and where the examples go
checkpoint = "checkpoint/"  # folder with the generator
facts = ""  # in place of what clip.json says: sample_rate=22050,code=onehot:10, … (checkpoint/README.md)
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts
resnet_checkpoint = "inverse_mapping_checkpoint/resnet/"  # folder with a second one, for a cell of its own
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier, for the perceptual loss
judge_checkpoint = "judge_checkpoint/"  # folder with the judge, which says which digit a reconstruction is
output = "Audio_Examples/"  # folder: index.html, and recovered/{real,synthesized}/{method}/{name}.wav and .npy
unfinished = "waves/audio_examples/"  # folder for what is recovered so far, so that a stopped run goes on

from common.settings import from_shell

from_shell(globals())

from pathlib import Path

from common.networks import clip_of, open_generator, open_inverse_mapping, open_perceptual_loss, open_resnet

import numpy as np

from common.files import find_recordings, readable_clip, result_names, writable_folder, write_clip
from common.lock import hold
from common.page import Sound, write_page
from common.recovering import recover_all, waveforms_of
from common.script import ScriptError, one_line_errors
from common.solvers import coded
from models.audio.digits import DIGITS
from models.audio.second import Second
from models.generator.generator import by_channel, generate, random_latent
from models.metrics.metrics import latent_mse, log_spectral_distance, snr_db
from models.networks.judge import load_judge, probabilities
from models.recovery.exact import LevenbergMarquardt
from models.recovery.layer import Layer
from models.recovery.perceptual import Perceptual

METHODS = {  # name: (whether it predicts, whether it optimises, what)
    "resnet": (True, False, "latent"),  # the paper's network, where there is one
    "inverse_mapping": (True, False, "latent"),
    "gradient": (False, True, "latent"),
    "hybrid": (True, True, "latent"),
    "layer": (True, True, "layer"),  # recordings only; synthesized clips have an exact answer
}
BATCH = 32  # clips worked on side by side


def recovered(kind, clips, generator, mappings, perceptual_loss):
    """{method: what `recover_all` returns} of waveforms [n, num_samples, …]. mappings: {method: inverse mapping}."""
    results = {}
    for method, (predict, gradient, space) in METHODS.items():
        if (space == "layer" and kind == "synthesized") or (predict and method not in mappings):
            continue
        solver = Perceptual(perceptual_loss, exact=LevenbergMarquardt(max_iter)) if gradient else None
        solver = coded(solver, generator.codes)
        solver = Layer(solver, perceptual_loss) if space == "layer" else solver
        options = {"inverse_mapping": mappings[method] if predict else None, "solver": solver}
        results[method] = recover_all(clips, f"{kind} {method}", unfinished, BATCH, generator=generator, **options)
    return results


def caption(clip, wave, judge, known, z, second):
    """How close a reconstruction is, in words: SNR and latent MSE where there is an exact answer."""
    pair = clip[None], wave[None]
    if known is not None:
        return f"SNR {snr_db(*pair)[0]:.1f} dB, latent MSE {latent_mse(known[None], z[None])[0]:.1g}"
    pair = second.of(*pair)
    predicted = probabilities(judge, pair[1])[0]
    distance = log_spectral_distance(*pair)[0]
    return f"log-spectral distance {distance:.1f} dB, sounds like {DIGITS[predicted.argmax()]} ({predicted.max():.0%})"


def rows(kind, names, clips, true, generator, judge, results):
    """Writes the sounds of one kind and yields the page's rows. results: {method: what `recover_all` returned}."""
    folder = Path(output) / "recovered" / kind
    second = Second(generator.num_samples, generator.sample_rate)
    waves = {method: by_channel(waveforms_of(one, generator)) for method, one in results.items()}
    for i, name in enumerate(names):
        known = None if true is None else true[i]
        sounds = [
            Sound("original", write_clip(folder / "original", name, clips[i], generator.sample_rate, known), "", known)
        ]
        for method, one in results.items():
            z = one["z"][i]
            wav = write_clip(folder / method, name, waves[method][i], generator.sample_rate, z)
            words = caption(clips[i], waves[method][i], judge, known, z, second)
            sounds.append(Sound(method.replace("_", " "), wav, words, None if method == "layer" else z))
        yield name, known, sounds


def read(paths, generator):
    """{path: clip} of recordings, without those that cannot be read, with a line for each."""
    clips = {path: readable_clip(path, __file__, **clip_of(generator)) for path in paths}
    clips = {path: clip for path, clip in clips.items() if clip is not None}
    if not clips:
        raise ScriptError(f"{files}: none of the recordings there can be read")
    return clips


def main():
    writable_folder(output)
    hold(writable_folder(unfinished))
    generator = open_generator(checkpoint, facts)
    mapping = open_inverse_mapping(inverse_mapping_checkpoint, generator)
    perceptual_loss = open_perceptual_loss(classifier_checkpoint)
    mappings = dict.fromkeys(("inverse_mapping", "hybrid", "layer"), mapping)
    if resnet := open_resnet(resnet_checkpoint, generator):
        mappings["resnet"] = resnet
    judge = load_judge(judge_checkpoint)
    real = read(find_recordings(files), generator)
    true = random_latent(generator, num_synthesized, seed)
    clips = {"synthesized": by_channel(generate(generator, true))}
    clips["real"] = np.stack(list(real.values()))
    results = {kind: recovered(kind, clips[kind], generator, mappings, perceptual_loss) for kind in clips}
    page = ["Synthesized clips: red lines are the true latent vector, bars the recovered one"]
    numbers = [str(i) for i in range(num_synthesized)]
    page += rows("synthesized", numbers, clips["synthesized"], true, generator, judge, results["synthesized"])
    page.append(
        "Real recordings, prepared for the generator: no latent vector is theirs, bars are the closest one found"
    )
    names = list(result_names(list(real)).values())
    page += rows("real", names, clips["real"], None, generator, judge, results["real"])
    made_with = [f"Generator: {generator.description}, SHA-256 {generator.sha256[:16]}…"]
    made_with.append(f"Inverse mapping: {mapping.settings['network']} network, SHA-256 {mapping.sha256[:16]}…")
    if "resnet" in mappings:
        made_with.append(f"ResNet: SHA-256 {mappings['resnet'].sha256[:16]}…")
    write_page(Path(output) / "index.html", "Latent vector recovery: listen", made_with, page)
    folder = Path(output)
    print(f"Open {folder / 'index.html'} in a browser; sounds and latent vectors are in {folder / 'recovered'}/")


if __name__ == "__main__":
    with one_line_errors(__file__, interrupted="stopped; run it again to go on, index.html is as it was before"):
        main()
