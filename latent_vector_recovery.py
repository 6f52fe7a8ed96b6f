"""Recordings → latent vectors: for each recording, the latent vector whose sound is closest to it, and that sound."""

# What is recovered, and where it goes
recipe = "ours"  # "published": every setting below that is not given as in the paper ["ours", "published"]
files = "Audio_Examples/real/"  # a folder of recordings, or one recording; WAV, FLAC, OGG, … at any rate
output = "waves/"  # folder for {name}_reconstruction.wav, {name}.npy (float32, [100]) and recovery.csv
prepared = False  # the recordings are a generator's own clips: change neither level nor position
report = False  # write index.html into output as well, a page to listen to and look at
overwrite = False  # do again what an earlier run with the same settings has done

# Method
inverse_mapping = True  # predict the latent vector with a network
gradient = False  # optimise it, from the prediction if inverse_mapping is True too (hybrid)
space = "latent"  # "layer": then the first layer's output too, beyond the generator's range ["latent", "layer"]
solver = "perceptual"  # of the optimisation; "l_bfgs_b": the paper's ["perceptual", "levenberg_marquardt", "l_bfgs_b"]
spectral_weight = 0.3  # perceptual: weight of the log-spectral distance, in units of 10 dB [0 to 1e6]
max_iter = 200  # iterations of l_bfgs_b, and of levenberg_marquardt where an answer is exact [1 to 1,000,000]
restarts = 3  # further starts at most, where an exact answer seems to be missed [0 to 1000]
spectral = 0.5  # weight of the STFT magnitudes against the waveform while an exact answer is looked for [0 to 1]
perceptual_weight = 1.0  # l_bfgs_b: weight of the perceptual loss [0 to 1e6]
taps = "blocks"  # of the perceptual loss (models/classifier.py); "stage2": the published solver's ["blocks", "stage2"]
seed = 0  # of the random starts [0 to 4,294,967,295]
batch_size = 0  # recordings worked on side by side; 0: 64 for predictions, 32 with the gradient [0 to 4096]

# Weights
checkpoint = "checkpoint/"  # folder with the generator
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier, for the perceptual loss
judge_checkpoint = "judge_checkpoint/"  # folder with the judge, which says which digit a reconstruction is

PUBLISHED = {
    "solver": "l_bfgs_b",
    "max_iter": 200,
    "perceptual_weight": 1.0,
    "taps": "stage2",
}  # the authors' recovery script

from common.settings import from_shell

settings = from_shell(globals(), recipes={"published": PUBLISHED})

from pathlib import Path

from common.networks import (
    clip_of,
    network_hash,
    open_generator,
    open_inverse_mapping,
    open_judge,
    open_perceptual_loss,
)

import numpy as np
from tqdm import tqdm

from common.files import find_recordings, known_latent, printable, writable_folder, write_array, write_clip
from common.page import Sound, write_page
from common.recovering import RecoveryTable, recovered_batches
from common.script import EXIT_FAILED, ScriptError, complain, one_line_errors
from datasets.layouts import DIGITS
from models.audio import AudioError, prepare
from models.judge import probabilities
from models.metrics import EXACT, IDENTICAL_DB, IDENTIFIABLE, condition_number, latent_mse, log_spectral_distance

SOLVER_SETTINGS = (
    *("space", "solver", "spectral_weight", "max_iter", "restarts", "spectral", "perceptual_weight", "seed"),
)
METHODS = {(True, True): "hybrid", (True, False): "inverse_mapping", (False, True): "gradient"}


def check_settings():
    if not gradient and not inverse_mapping:
        raise ScriptError("gradient and inverse_mapping are both False; one of them, or both, finds the latent vector")
    source = Path(files) if Path(files).is_dir() else Path(files).parent
    if source.resolve() == Path(output).resolve():
        raise ScriptError(
            f"{output}: this is the folder of the recordings, whose own .npy files would be lost; give another --output"
        )


def read(path, generator):
    """A recording as a Clip prepared for the generator, or None, with a line that says what is wrong with it."""
    try:
        clip = prepare(path, prepared=prepared or None, **clip_of(generator))
    except (AudioError, OSError, ValueError) as error:
        complain(__file__, error)
        return None
    for warning in clip.warnings:
        complain(__file__, f"warning: {path}: {warning}")
    return clip


class Closeness:
    """How close reconstructions come to their clips: in words, for the table and the page."""

    def __init__(self, perceptual_loss, judge):
        self.perceptual_loss = perceptual_loss
        self.judge = judge

    def of(self, clips, found):
        """The rows' columns of a batch: clips, a list of [num_samples, …], and their models.recovery.Recovery."""
        first = np.stack([clip.reshape(len(clip), -1)[:, 0] for clip in clips])  # [n, num_samples], the first channel
        waves = found.waveforms[..., 0]
        columns = {"snr_db": [f"{value:.2f}" for value in found.snr_db]}
        columns["log_spectral_distance"] = [f"{value:.2f}" for value in log_spectral_distance(first, waves)]
        if self.perceptual_loss:
            columns["perceptual_loss"] = [f"{value:.4f}" for value in np.asarray(self.perceptual_loss(first, waves))]
        if self.judge:
            predicted = probabilities(self.judge, waves)
            columns["predicted_digit"] = [DIGITS[digit] for digit in predicted.argmax(axis=1)]
            columns["probability"] = [f"{value:.2f}" for value in predicted.max(axis=1)]
        return [dict(zip(columns, values)) for values in zip(*columns.values())]

    @staticmethod
    def in_words(row):
        """A row's columns as a phrase; SNR only where it says something, that is for an identical reconstruction."""
        if float(row["snr_db"]) > IDENTICAL_DB:
            return f"identical, SNR {float(row['snr_db']):.1f} dB"
        words = [f"log-spectral distance {float(row['log_spectral_distance']):.1f} dB"]
        if row.get("perceptual_loss"):
            words.append(f"perceptual loss {float(row['perceptual_loss']):.3f}")
        if row.get("predicted_digit"):
            words.append(f"sounds like {row['predicted_digit']} ({float(row['probability']):.0%})")
        return ", ".join(words)


def truth(path, z, generator):
    """What there is to say where the true latent vector is known."""
    try:
        true = known_latent(path, generator.latent_dim)
    except ValueError as error:
        return f"; {error}"
    if true is None:
        return ""
    error = latent_mse(true, z[None])[0]
    condition = condition_number(generator, true)[0]
    exact = "exact" if error < EXACT else "not exact"
    identifiable = "identifiable" if condition < IDENTIFIABLE else "not identifiable"
    return f", latent MSE {error:.1e} ({exact}; {identifiable}, condition {condition:.0f})"


def recover_files(paths, names, table, generator, mapping, closeness):
    """Recovers recordings and writes what is found; says which could not be recovered."""
    originals = {}

    def load(path):
        originals[path] = read(path, generator)
        return originals[path] and originals[path].samples

    how = {name: settings[name] for name in SOLVER_SETTINGS}
    how |= {"perceptual_loss": closeness.perceptual_loss if gradient else None, "inverse_mapping": mapping}
    size = batch_size or (32 if gradient else 64)
    for batch, clips, found, seconds in recovered_batches(
        paths, load, size, unit="recording", generator=generator, gradient=gradient, **how
    ):
        for i, (path, row) in enumerate(zip(batch, closeness.of(clips, found))):
            if not (np.isfinite(found.z[i]).all() and np.isfinite(found.waveforms[i]).all()):
                complain(__file__, f"{path}: no finite latent vector was found")
                continue
            write_result(table.folder, names[path], originals[path], found, i)
            row |= {"name": names[path], "method": METHODS[inverse_mapping, gradient], "seconds": f"{seconds:.2f}"}
            row |= {"solver": solver if gradient else "", "iterations": int(found.iterations[i])}
            table.add(path, row | {"objective": f"{found.objective[i]:.6g}"})
            words = closeness.in_words(row) + (f", {found.iterations[i]} iterations" if gradient else "")
            tqdm.write(printable(f"{path}: {words}{truth(path, found.z[i], generator)}, {seconds:.2g} s"))
        originals.clear()


def write_result(folder, name, clip, found, i):
    """The files of one recording: its reconstruction at its own level and position, its latent vector, its layer."""
    write_clip(folder, f"{name}_reconstruction", clip.undo(found.waveforms[i]))
    write_array(folder / f"{name}.npy", found.z[i])
    if found.layer is not None:
        write_array(folder / f"{name}.layer.npy", found.layer[i])


def write_report(paths, names, table, generator, made_with):
    """The page to listen to, of all recordings that have results; each original is the second that was recovered."""
    rows = []
    for path in (p for p in paths if table.is_done(p)):
        clip = read(path, generator)
        if clip is None:
            continue
        try:
            true = known_latent(path, generator.latent_dim)
        except ValueError:
            true = None
        original = write_clip(table.folder, f"{names[path]}_original", clip.undo(clip.samples))
        reconstruction = table.folder / f"{names[path]}_reconstruction.wav"
        row = table.rows[printable(path)]
        z = np.load(table.folder / f"{names[path]}.npy")
        sounds = [Sound("original", original, "", true)]
        sounds.append(Sound(row["method"], reconstruction, Closeness.in_words(row), z))
        rows.append((names[path], true, sounds))
    write_page(table.folder / "index.html", f"Latent vectors of {files}", made_with, rows)
    print(f"To listen: open {table.folder / 'index.html'} in a browser")


def main():
    check_settings()
    paths = find_recordings(files)
    folder = writable_folder(output)
    generator = open_generator(checkpoint, differentiated=gradient)
    mapping, prediction = open_inverse_mapping(inverse_mapping_checkpoint, generator) if inverse_mapping else (None, "")
    perceptual_loss, classifier = open_perceptual_loss(classifier_checkpoint, generator, taps)
    networks = {"generator": generator.sha256, "prediction": prediction, "classifier": classifier}
    judge = open_judge(judge_checkpoint, generator)
    networks["judge"] = network_hash(judge) if judge else ""
    closeness = Closeness(perceptual_loss, judge)
    table = RecoveryTable(folder, settings | networks, overwrite)
    names = table.names(paths)
    left = [path for path in paths if overwrite or not table.is_done(path)]
    if len(left) < len(paths):
        done = len(paths) - len(left)
        print(f"{done} of {len(paths)} recordings are done with these settings already (--overwrite does them again)")
    recover_files(left, names, table, generator, mapping, closeness)
    unread = [path for path in left if not table.is_done(path)]
    if len(unread) == len(paths):
        raise ScriptError(f"{files}: none of the recordings there could be recovered")
    print(f"Reconstructions, latent vectors and recovery.csv are in {folder}/")
    if report:
        made_with = f"Generator: {generator.description}, SHA-256 {generator.sha256[:16]}…"
        made_with += f"; prediction {prediction[:16]}…" if mapping else ""
        write_report(paths, names, table, generator, [made_with])
    return EXIT_FAILED if unread else 0


if __name__ == "__main__":
    with one_line_errors(__file__):
        raise SystemExit(main())
