"""Recordings → latent vectors: for each recording, the latent vector whose sound is closest to it, and that sound."""

# What is recovered, and where it goes
files = "Audio_Examples/real/"  # a folder of recordings, or one recording; WAV, FLAC, OGG, … at any rate
output = "waves/"  # folder for {name}_reconstruction.wav, {name}.npy (float32, [100]) and recovery.csv
report = False  # write index.html into output as well, a page to listen to and look at
overwrite = False  # do again what an earlier run with the same settings has done

# Method
inverse_mapping = True  # predict the latent vector with a network
gradient = False  # optimise it, from the prediction if inverse_mapping is True too (hybrid)
solver = "levenberg_marquardt"  # of the optimisation; "l_bfgs_b" is the paper's ["levenberg_marquardt", "l_bfgs_b"]
max_iter = 200  # iterations of the solver at most, a start [1 to 1,000,000]
restarts = 3  # levenberg_marquardt: further starts at most, where an exact answer seems to be missed [0 to 1000]
spectral = 0.5  # levenberg_marquardt: weight of the STFT magnitudes against the waveform [0 to 1]
perceptual_weight = 0.002  # l_bfgs_b: weight of the perceptual loss [0 to 1e6]
seed = 0  # of the random starts [0 to 4,294,967,295]
batch_size = 0  # recordings worked on side by side; 0: 64 for predictions, 8 with the gradient [0 to 4096]

# Weights
checkpoint = "checkpoint/"  # folder with the generator
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier, for the perceptual loss

from common.settings import from_shell

settings = from_shell(globals())

from pathlib import Path

from common.networks import open_generator, open_inverse_mapping, open_perceptual_loss

import numpy as np
from tqdm import tqdm

from common.files import find_recordings, known_latent, writable_folder, write_array, write_clip
from common.page import Sound, write_page
from common.recovering import RecoveryTable, recovered_batches
from common.script import EXIT_FAILED, ScriptError, complain, one_line_errors
from models.audio import AudioError, prepare
from models.metrics import EXACT, IDENTICAL_DB, IDENTIFIABLE, condition_number, latent_mse, log_spectral_distance

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
    shape = {"num_samples": generator.num_samples, "num_channels": generator.num_channels}
    try:
        clip = prepare(path, preparation=generator.preparation, **shape)
    except (AudioError, OSError, ValueError) as error:
        complain(__file__, error)
        return None
    for warning in clip.warnings:
        complain(__file__, f"warning: {path}: {warning}")
    return clip


def closeness(samples, found, i):
    """How close reconstruction i came to its clip, in words."""
    iterations = f", {found.iterations[i]} iterations" if gradient else ""
    if found.snr_db[i] > IDENTICAL_DB:
        return f"identical, SNR {found.snr_db[i]:.1f} dB{iterations}"
    first_channel = samples.reshape(1, len(samples), -1)[..., 0]
    distance = log_spectral_distance(first_channel, found.waveforms[i : i + 1, :, 0])[0]
    return f"log-spectral distance {distance:.1f} dB, SNR {found.snr_db[i]:.1f} dB{iterations}"


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


def recover_files(paths, names, table, generator, mapping, perceptual_loss):
    """Recovers recordings and writes what is found; says which could not be recovered."""
    clips = {}

    def load(path):
        clips[path] = read(path, generator)
        return clips[path] and clips[path].samples

    size = batch_size or (8 if gradient else 64)
    how = {name: settings[name] for name in ("gradient", "solver", "max_iter", "restarts", "spectral", "seed")}
    how |= {"perceptual_loss": perceptual_loss, "perceptual_weight": perceptual_weight, "inverse_mapping": mapping}
    batches = recovered_batches(paths, load, size, unit="recording", generator=generator, **how)
    for batch, _, found, seconds in batches:
        for i, path in enumerate(batch):
            if not (np.isfinite(found.z[i]).all() and np.isfinite(found.waveforms[i]).all()):
                complain(__file__, f"{path}: no finite latent vector was found")
                continue
            clip = clips[path]
            write_clip(table.folder, f"{names[path]}_reconstruction", clip.undo(found.waveforms[i]))
            write_array(table.folder / f"{names[path]}.npy", found.z[i])
            row = {"name": names[path], "method": METHODS[inverse_mapping, gradient], "seconds": f"{seconds:.2f}"}
            row |= {"solver": solver if gradient else "", "iterations": int(found.iterations[i])}
            row |= {"objective": f"{found.objective[i]:.6g}", "snr_db": f"{found.snr_db[i]:.2f}"}
            table.add(path, row)
            words = closeness(clip.samples, found, i) + truth(path, found.z[i], generator)
            tqdm.write(f"{path}: {words}, {seconds:.2g} s")
        clips.clear()


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
        row = table.rows[str(path)]
        z = np.load(table.folder / f"{names[path]}.npy")
        sounds = [Sound("original", original, "", true)]
        sounds.append(Sound(row["method"], reconstruction, f"SNR {row['snr_db']} dB", z))
        rows.append((names[path], true, sounds))
    write_page(table.folder / "index.html", f"Latent vectors of {files}", made_with, rows)
    print(f"To listen: open {table.folder / 'index.html'} in a browser")


def main():
    check_settings()
    paths = find_recordings(files)
    folder = writable_folder(output)
    generator = open_generator(checkpoint)
    mapping, prediction = open_inverse_mapping(inverse_mapping_checkpoint, generator) if inverse_mapping else (None, "")
    perceptual_loss, classifier = None, ""
    if gradient and solver == "l_bfgs_b":
        perceptual_loss, classifier = open_perceptual_loss(classifier_checkpoint, generator)
    networks = {"generator": generator.sha256, "prediction": prediction, "classifier": classifier}
    table = RecoveryTable(folder, settings | networks, overwrite)
    names = table.names(paths)
    left = [path for path in paths if overwrite or not table.is_done(path)]
    if len(left) < len(paths):
        done = len(paths) - len(left)
        print(f"{done} of {len(paths)} recordings are done with these settings already (--overwrite does them again)")
    recover_files(left, names, table, generator, mapping, perceptual_loss)
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
