"""Latent vectors → WaveGAN → waves: samples of the generator in checkpoint/, each with its latent vector.

With --latents, the sounds of saved latent vectors, or of first-layer outputs, in place of samples. With --between, the
sounds on the straight line from one saved latent vector to another, and with --vary those along one coordinate, and a
page to listen to them.
"""

# What is generated, and where it goes
num_samples = 10  # how many [1 to 1,000,000]
seed = 0  # of the latent vectors [0 to 4,294,967,295]
latents = ""  # a file of latent vectors (.npy, .npz, .csv, .pkl) or first-layer outputs (.layer.npy), or a folder
between = ""  # two such files of one latent vector, a comma between: the sounds on the straight line between them
vary = -1  # coordinate that is swept, of the vector in `latents` or else of a drawn one; -1: none [-1 to 1e5]
vary_range = "-1,1"  # from where to where it is swept, beyond the generator's own range too
steps = 8  # of that line or sweep, its two ends included [2 to 1000]
code_index = ""  # the code of every sample, such as 2 or 101, where latent vectors hold one; "": drawn
code_value = 1.0  # what codes are multiplied by; the generator was trained with 1 [-100 to 100]
output = "waves/generated/"  # folder for {i}.wav (float32, at the generator's rate) and {i}.npy (float32, [100])

# Weights
checkpoint = "checkpoint/"  # folder with the generator
facts = ""  # in place of what clip.json says: sample_rate=22050,code=onehot:10, … (checkpoint/README.md)
judge_checkpoint = "judge_checkpoint/"  # folder with the judge, which says which digits lie along the line

from common.settings import from_shell

from_shell(globals())

from pathlib import Path

from common.networks import open_generator, open_judge

import numpy as np
from tqdm import tqdm

from common.files import writable_folder, write_array, write_clip
from common.lock import hold
from common.page import Picture, Sound, write_page
from common.script import ScriptError, one_line_errors
from common.solvers import NO_CODE
from common.view import digits_figure
from models.audio.digits import DIGITS
from models.audio.second import Second
from models.files.latents import ENDINGS, read_array, read_latents
from models.generator.generator import BATCH, generate, random_latent
from models.networks.judge import probabilities
from models.recovery.layer import generate_from_layer

LAYER = ".layer.npy"  # ending of saved first-layer outputs
DEVIATIONS = "_std.npy"  # ending of the deviations of coordinates, which no sound belongs to


def saved_files():
    """The files of latent vectors that `latents` names, in order; of a folder no tables, since results have others, and
    no deviations of coordinates."""
    path, kinds = Path(latents), {*ENDINGS} - {".csv"}
    inside = sorted(p for p in path.glob("*") if p.suffix.lower() in kinds and not p.name.endswith(DEVIATIONS))
    paths = [path] if path.is_file() else inside
    if not paths:
        raise ScriptError(f"{latents}: no latent vectors there ({', '.join(ENDINGS)})")
    return paths


def sound_saved(generator, folder):
    """Writes {name}.wav, or {name}_layer.wav, of each saved array → how many. A latent vector lies beside its sound;
    that of another sound, which was there before, goes."""
    paths = saved_files()
    if any(path.name.endswith(LAYER) for path in paths) and not generator.has_first_layer:
        raise ScriptError(f"{checkpoint}: {generator.description} cannot be run from its first layer's output")
    for path in tqdm(paths, unit="wave", disable=None):
        z = ()
        if path.name.endswith(LAYER):
            array = read_array(path, generator.first_layer(np.zeros((1, generator.latent_dim), np.float32)).shape[1:])
            waveform, name = generate_from_layer(generator, array[None])[0], path.name.removesuffix(LAYER) + "_layer"
        else:
            z, name = read_latents(path, generator.latent_dim), path.stem
            waveform = in_a_row(generate(generator, z))
            if len(z) > 1:
                tqdm.write(f"{path}: {len(z)} latent vectors; {name}.wav has their sounds one after another")
        write_clip(folder, name, waveform, generator.sample_rate)
        if folder.resolve() != path.resolve().parent:  # where they are from, nothing is changed
            write_array(folder / f"{name}.npy", z[0] if len(z) == 1 else None)
    return len(paths)


def in_a_row(waveforms):
    """Waveforms [n, num_samples, num_channels] one after another, [n * num_samples, num_channels]."""
    return waveforms.reshape(-1, waveforms.shape[-1])


def drawn(generator, n):
    """n latent vectors of the generator's prior, with the code that the settings ask for."""
    z, codes = random_latent(generator, n, seed), generator.codes
    if codes is None:
        if code_index or code_value != 1:
            raise ScriptError(f"code_index and code_value: {NO_CODE}")
        return z
    if code_index:
        z[:, codes.places] = codes.code(code_index)
    z[:, codes.places] *= np.float32(code_value)
    return z


def walk(generator, folder):
    """Writes the sounds on the line `between` two latent vectors."""
    ends = [read_latents(path.strip(), generator.latent_dim) for path in between.split(",")]
    if len(ends) != 2 or any(len(end) != 1 for end in ends):
        raise ScriptError("between is two files of one latent vector each, with a comma between them")
    ends = [end[0] for end in ends]
    z = np.linspace(*ends, steps, dtype=np.float32)  # [steps, latent_dim]
    along = np.linspace(0, 100, steps)
    places = [f"{share:.0f}% of the way" for share in along]
    write_walk(generator, folder, z, places, f"From one sound to another: {between}", along, "% of the way")


def sweep(generator, folder):
    """Writes the sounds of one latent vector whose coordinate `vary` goes through `vary_range`."""
    z = read_latents(latents, generator.latent_dim) if latents else drawn(generator, 1)
    if len(z) != 1:
        raise ScriptError(f"{latents}: {len(z)} latent vectors where one is swept")
    if vary >= generator.latent_dim:
        raise ScriptError(f"vary is {vary}; this generator's coordinates are 0 to {generator.latent_dim - 1}")
    try:
        first, last = (float(end) for end in vary_range.split(","))
    except ValueError:
        raise ScriptError(f"vary_range is two numbers with a comma between them, not {vary_range!r}") from None
    z = np.repeat(z, steps, axis=0)  # [steps, latent_dim]
    z[:, vary] = np.linspace(first, last, steps)
    title = f"Coordinate z{vary} from {first:g} to {last:g}"
    title += f", the others as in {latents}" * bool(latents) + f", code {code_index}" * bool(code_index and not latents)
    places = [f"z{vary} = {one[vary]:.3g}" for one in z]
    write_walk(generator, folder, z, places, title, z[:, vary], f"z{vary}")


def write_walk(generator, folder, z, places, title, along, what):
    """Writes the sounds of latent vectors [steps, latent_dim]: {i}.wav and {i}.npy, all in a row, and a page.

    places: what is said of each. along: where each is [steps], numbers of `what`.
    """
    waveforms = generate(generator, z)
    judge = open_judge(judge_checkpoint)
    predicted = (
        probabilities(judge, *Second(generator.num_samples, generator.sample_rate).of(waveforms)) if judge else None
    )
    sounds = []
    for i, waveform in enumerate(waveforms):
        wav, words = write_clip(folder, str(i), waveform, generator.sample_rate, z[i]), ""
        if judge:
            likely = np.argsort(-predicted[i])[:2]
            words = ", ".join(f"{DIGITS[digit]} {predicted[i, digit]:.0%}" for digit in likely)
        print(f"{i}.wav: {places[i]}" + f", sounds like {words}" * bool(words))
        sounds.append(Sound(places[i], wav, words, z[i]))
    row = write_clip(folder, "walk", in_a_row(waveforms), generator.sample_rate)
    write_array(folder / "walk.npy", z)
    rows = [("Step by step", None, sounds), ("All in a row", None, [Sound("walk", row)])]
    if judge:
        rows.insert(0, Picture("What the judge hears along the way", digits_figure(predicted, along, what)))
    made_with = f"Generator: {generator.description}, SHA-256 {generator.sha256[:16]}…"
    write_page(folder / "index.html", title, [made_with], rows)
    print(f"{steps} waves, all of them in walk.wav, are in {folder}/; open {folder / 'index.html'} in a browser")


def main():
    folder = writable_folder(output)
    hold(folder)
    generator = open_generator(checkpoint, facts, check_derivative=False)
    if between and (latents or vary >= 0):
        raise ScriptError("between is another thing to do than latents and vary; give one of them")
    if between or vary >= 0:
        (walk if between else sweep)(generator, folder)
        return
    if latents:
        print(f"{sound_saved(generator, folder)} waves are in {folder}/")
        return
    z = drawn(generator, num_samples)
    with tqdm(total=num_samples, unit="wave", disable=None) as bar:
        for first in range(0, num_samples, BATCH):
            batch = z[first : first + BATCH]
            for i, (one, waveform) in enumerate(zip(batch, generator(batch).numpy()), first):
                write_clip(folder, str(i), waveform, generator.sample_rate, one)
                bar.update()
    print(f"{num_samples} waves and their latent vectors are in {folder}/")


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
