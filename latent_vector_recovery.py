"""Recordings → latent vectors: for each recording, the latent vector whose sound is closest to it, and that sound."""

files = "Audio_Examples/real/"  # a folder of recordings, or one recording; WAV, FLAC, OGG, … at any rate
inverse_mapping = True  # predict the latent vector with a network
gradient = False  # optimise it, from the prediction if inverse_mapping is True too (hybrid)
solver = "levenberg_marquardt"  # of the optimisation: "levenberg_marquardt", or "l_bfgs_b" as published
max_iter = 200  # iterations of the solver at most, a start
restarts = 3  # levenberg_marquardt: further random starts at most, where an exact answer seems to exist and was missed
spectral = 0.5  # levenberg_marquardt: weight of the STFT magnitudes against the waveform, 0 to 1
seed = 0  # of the random starts
batch_size = 0  # recordings worked on side by side; 0: 64 for predictions, 8 with the gradient
perceptual_weight = 0.002  # l_bfgs_b: weight of the perceptual loss
checkpoint = "checkpoint/"  # folder with the generator
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier; without one l_bfgs_b goes without the perceptual loss
output = "waves/"  # folder for {name}_reconstruction.wav, {name}.npy (float32, [100]) and recovery.csv
report = False  # write index.html into output as well, a page to listen to and look at
overwrite = False  # do again what an earlier run with the same settings has done

from common.settings import from_shell

settings = from_shell(globals())

import common.startup  # noqa: F401

import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.files import written_whole
from common.networks import inverse_mapping_of, perceptual_loss
from common.page import Sound, write_page
from common.recordings import find_recordings, result_names, writable_folder
from common.recoveries import progress
from common.results import Results
from common.script import EXIT_FAILED, ScriptError, complain, one_line_errors
from models.audio import AudioError, prepare, write_wav
from models.errors import CheckpointError
from models.metrics import EXACT, IDENTICAL_DB, IDENTIFIABLE, condition_number, latent_mse, log_spectral_distance
from models.recovery import SOLVERS, recover
from models.wavegan import load_wavegan


def check_settings():
    if not gradient and not inverse_mapping:
        raise ScriptError("gradient and inverse_mapping are both False; one of them, or both, finds the latent vector")
    if solver not in SOLVERS:
        raise ScriptError(f"solver is one of {', '.join(SOLVERS)}, not {solver!r}")
    if max_iter < 1 or batch_size < 0:
        raise ScriptError("max_iter is at least 1, batch_size 0 or more")
    if not 0 <= spectral <= 1 or restarts < 0:
        raise ScriptError("spectral lies between 0 and 1, restarts is 0 or more")
    source = Path(files) if Path(files).is_dir() else Path(files).parent
    if source.resolve() == Path(output).resolve():
        raise ScriptError(f"{output}: output is the folder of the recordings, whose own .npy files would be lost; give another --output")


def read_clips(paths, generator):
    """Yields (path, clip) for every recording that can be read; says what is wrong with each other one."""
    for path in paths:
        try:
            clip = prepare(path, num_samples=generator.num_samples, num_channels=generator.num_channels, preparation=generator.preparation)
        except (AudioError, OSError) as error:
            complain(__file__, error)
            yield path, None
            continue
        for warning in clip.warnings:
            complain(__file__, f"warning: {path}: {warning}")
        yield path, clip


def write(folder, name, reconstruction, z):
    """A recording's two results."""
    with written_whole(folder / f"{name}_reconstruction.wav") as file:
        write_wav(file, reconstruction)
    with written_whole(folder / f"{name}.npy") as file:
        np.save(file, z)


def closeness(clip, found, i):
    """How close reconstruction i came to its clip, in words."""
    iterations = f", {found.iterations[i]} iterations" if gradient else ""
    if found.snr_db[i] > IDENTICAL_DB:
        return f"identical, SNR {found.snr_db[i]:.1f} dB{iterations}"
    first_channel = clip.reshape(1, len(clip), -1)[..., 0]
    distance = log_spectral_distance(first_channel, found.waveforms[i : i + 1, :, 0])[0]
    return f"log-spectral distance {distance:.1f} dB, SNR {found.snr_db[i]:.1f} dB{iterations}"


def known_latent(path, generator):
    """The true latent vector [1, latent_dim] if it lies beside the recording, as generate.py leaves it, else None. ValueError for another array."""
    known = path.with_suffix(".npy")
    return np.load(known).astype(np.float32).reshape(1, generator.latent_dim) if known.exists() else None


def truth(path, z, generator):
    """What is to be said where the true latent vector is known."""
    try:
        true = known_latent(path, generator)
    except ValueError:
        return f"; {path.with_suffix('.npy')} is no latent vector of this generator"
    if true is None:
        return ""
    error, condition = latent_mse(true, z[None])[0], condition_number(generator, true)[0]
    verdict = "exact" if error < EXACT else "not exact"
    return f", latent MSE {error:.1e} ({verdict}; {'identifiable' if condition < IDENTIFIABLE else 'not identifiable'}, condition {condition:.0f})"


def write_report(paths, names, folder, results, generator, made_with):
    """The page to listen to, of all recordings that have results; beside each reconstruction goes the second of the recording that it is of."""
    rows = []
    for path in (p for p in paths if results.has(p, folder / f"{names[p]}.npy")):
        clip = prepare(path, num_samples=generator.num_samples, num_channels=generator.num_channels, preparation=generator.preparation)
        original, again = (folder / f"{names[path]}_{kind}.wav" for kind in ("original", "reconstruction"))
        with written_whole(original) as file:
            write_wav(file, clip.undo(clip.samples))
        try:
            true = known_latent(path, generator)
        except ValueError:
            true = None
        row = results.rows[str(path)]
        sounds = [
            Sound("original", original, "", true),
            Sound(row["method"], again, f"SNR {row['snr_db']} dB", np.load(folder / f"{names[path]}.npy")),
        ]
        rows.append((names[path], true, sounds))
    write_page(folder / "index.html", f"Latent vectors of {files}", made_with, rows)
    print(f"To listen: open {folder / 'index.html'} in a browser")


def main():
    check_settings()
    paths = find_recordings(files)
    names = result_names(paths)
    folder = writable_folder(output)
    generator = load_wavegan(checkpoint)
    print(f"Generator: {generator.description}, from {checkpoint}")
    mapping, prediction = inverse_mapping_of(inverse_mapping_checkpoint, generator) if inverse_mapping else (None, "")
    heard = perceptual_loss(classifier_checkpoint, generator) if gradient and solver == "l_bfgs_b" else None
    method = "hybrid" if mapping and gradient else "gradient" if gradient else "inverse_mapping"
    results = Results(folder, {**settings, "generator": generator.sha256, "prediction": prediction}, overwrite)
    todo = [path for path in paths if not results.has(path, folder / f"{names[path]}.npy")]
    if len(todo) < len(paths):
        print(f"{len(paths) - len(todo)} of {len(paths)} recordings are done with these settings already (--overwrite does them again)")
    failed = 0
    with tqdm(total=len(todo), unit="recording", disable=None) as bar:
        size = batch_size or (8 if gradient else 64)
        for first in range(0, len(todo), size):
            read = list(read_clips(todo[first : first + size], generator))
            failed += sum(clip is None for _, clip in read)
            bar.update(sum(clip is None for _, clip in read))
            batch = [(path, clip) for path, clip in read if clip is not None]
            if not batch:
                continue
            begin, tell = time.perf_counter(), progress(bar, len(batch))
            found = recover(
                np.stack([clip.samples for _, clip in batch]), generator, inverse_mapping=mapping, gradient=gradient,
                solver=solver, max_iter=max_iter, restarts=restarts, spectral=spectral,
                perceptual_loss=heard, perceptual_weight=perceptual_weight, seed=seed, report=tell,
            )  # fmt: skip
            seconds = (time.perf_counter() - begin) / len(batch)
            tell(0)
            for i, (path, clip) in enumerate(batch):
                write(folder, names[path], clip.undo(found.waveforms[i]), found.z[i])
                results.add(path, method, solver if gradient else "", found.iterations[i], found.objective[i], found.snr_db[i], seconds)
                tqdm.write(f"{path}: {closeness(clip.samples, found, i)}{truth(path, found.z[i], generator)}, {seconds:.2g} s")
            results.write()
    if failed == len(paths):
        raise ScriptError(f"{files}: no readable recording there")
    print(f"Reconstructions, latent vectors and recovery.csv are in {folder}/")
    if report:
        made_with = f"Generator: {generator.description}, SHA-256 {generator.sha256[:16]}…" + (f"; prediction {prediction[:16]}…" if mapping else "")
        write_report(paths, names, folder, results, generator, [made_with])
    return EXIT_FAILED if failed else 0


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError):
        raise SystemExit(main())
