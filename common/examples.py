"""Examples to listen to: the sounds of every method on the same clips, and one page of them."""

from pathlib import Path

from common.columns import in_words
from common.files import write_clip
from common.page import Sound, write_page
from common.recovering import sounds_of
from models.audio.digits import DIGITS
from models.audio.second import Second
from models.generator.generator import by_channel
from models.metrics.metrics import latent_mse, log_spectral_distance, snr_db
from models.networks.judge import probabilities

TITLES = {
    "synthesized": "Synthesized clips: red lines are the true latent vector, bars the recovered one",
    "real": "Real recordings, prepared for the generator: no latent vector is theirs, bars are the closest one found",
}


def _caption(clip, wave, judge, known, z, second):
    """How close a reconstruction is, in words: SNR and latent MSE where there is an exact answer."""
    pair = clip[None], wave[None]
    if known is not None:
        return f"SNR {snr_db(*pair)[0]:.1f} dB, latent MSE {latent_mse(known[None], z[None])[0]:.1g}"
    pair = second.of(*pair)
    predicted = probabilities(judge, pair[1])[0]
    heard = {"predicted_digit": DIGITS[predicted.argmax()], "probability": predicted.max()}
    return in_words({"snr_db": 0.0, "log_spectral_distance": log_spectral_distance(*pair)[0]} | heard)


def _rows(folder, names, clips, true, generator, judge, results):
    """Writes the sounds of one kind and yields the page's rows."""
    second, rate = Second(generator.num_samples, generator.sample_rate), generator.sample_rate
    waves = {method: by_channel(sounds_of(store, generator)) for method, store in results.items()}
    for i, name in enumerate(names):
        known = None if true is None else true[i]
        sounds = [Sound("original", write_clip(folder / "original", name, clips[i], rate, known), "", known)]
        for method, store in results.items():
            row = store[i]
            wav = write_clip(folder / method, name, waves[method][i], rate, row["z"])
            words = _caption(clips[i], waves[method][i], judge, known, row["z"], second)
            sounds.append(Sound(method.replace("_", " "), wav, words, None if "layer" in row else row["z"]))
        yield name, known, sounds


def write_examples(folder, kinds, generator, judge, made_with):
    """Writes recovered/{kind}/{method}/{name}.wav and .npy and index.html into `folder` → the page.

    kinds: {"synthesized" or "real": (names, waveforms [n, num_samples, …], their latent vectors or None, {method: what
    common.recovering.recover_all returned})}. made_with: lines that say with which weights.
    """
    page = []
    for kind, (names, clips, true, results) in kinds.items():
        page.append(TITLES[kind])
        page += _rows(Path(folder) / "recovered" / kind, names, clips, true, generator, judge, results)
    write_page(Path(folder) / "index.html", "Latent vector recovery: listen", made_with, page)
    return Path(folder) / "index.html"
