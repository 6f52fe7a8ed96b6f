"""Recordings → latent vectors: for each recording, the latent vector whose sound is closest to it, and that sound."""

files = "Audio_Examples/real/"  # a folder of recordings, or one recording; WAV, FLAC, OGG, … at any rate
gradient = True  # optimise the latent vector
inverse_mapping = False  # predict it with a network; with gradient also True, start the optimisation there (hybrid)
solver = "levenberg_marquardt"  # of the optimisation: "levenberg_marquardt", or "l_bfgs_b" as published
max_iter = 200  # iterations of the solver at most, a start
restarts = 3  # levenberg_marquardt: further random starts at most, where an exact answer seems to exist and was missed
spectral = 0.5  # levenberg_marquardt: weight of the STFT magnitudes against the waveform, 0 to 1
seed = 0  # of the random starts
batch_size = 8  # recordings worked on side by side
perceptual_weight = 0.002  # l_bfgs_b: weight of the perceptual loss
checkpoint = "checkpoint/"  # folder with the generator
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier; without one l_bfgs_b goes without the perceptual loss
output = "waves/"  # folder for {name}_reconstruction.wav, {name}.npy (float32, [100]) and recovery.csv
overwrite = False  # do again what an earlier run with the same settings has done

from common.settings import from_shell

settings = from_shell(globals())

import common.startup  # noqa: F401

import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.files import written_whole
from common.networks import perceptual_loss
from common.recordings import find_recordings, result_names, writable_folder
from common.results import Results
from common.script import EXIT_FAILED, ScriptError, complain, one_line_errors
from models.audio import AudioError, prepare, write_wav
from models.metrics import EXACT, IDENTICAL_DB, IDENTIFIABLE, latent_mse, log_spectral_distance
from models.recovery import SOLVERS, recover
from models.residual import condition_number
from models.tf1_graph import CheckpointError
from models.wavegan import load_wavegan


def check_settings():
    if not gradient and not inverse_mapping:
        raise ScriptError("gradient and inverse_mapping are both False; one of them, or both, finds the latent vector")
    if inverse_mapping:
        raise ScriptError("inverse_mapping: there is no trained inverse mapping for this generator; use --inverse_mapping=False --gradient=True")
    if solver not in SOLVERS:
        raise ScriptError(f"solver is one of {', '.join(SOLVERS)}, not {solver!r}")
    for name in ("max_iter", "batch_size"):
        if settings[name] < 1:
            raise ScriptError(f"{name} is {settings[name]}; at least 1")
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


def progress(bar, size):
    """Moves the bar on as the recordings of a batch are done; a restart that takes some up again does not move it back."""
    before = bar.n
    return lambda active: bar.update(max(before + size - active, bar.n) - bar.n)


def write(folder, name, reconstruction, z):
    """A recording's two results."""
    with written_whole(folder / f"{name}_reconstruction.wav") as file:
        write_wav(file, reconstruction)
    with written_whole(folder / f"{name}.npy") as file:
        np.save(file, z)


def closeness(clip, found, i):
    """How close reconstruction i came to its clip, in words."""
    iterations = f"{found.iterations[i]} iterations"
    if found.snr_db[i] > IDENTICAL_DB:
        return f"identical, SNR {found.snr_db[i]:.1f} dB, {iterations}"
    first_channel = clip.reshape(1, len(clip), -1)[..., 0]
    distance = log_spectral_distance(first_channel, found.waveforms[i : i + 1, :, 0])[0]
    return f"log-spectral distance {distance:.1f} dB, SNR {found.snr_db[i]:.1f} dB, {iterations}"


def truth(path, z, generator):
    """What is to be said where the true latent vector lies beside the recording, as generate.py leaves it."""
    known = path.with_suffix(".npy")
    if not known.exists():
        return ""
    try:
        true = np.load(known).astype(np.float32).reshape(1, generator.latent_dim)
    except ValueError:
        return f"; {known} is no latent vector of this generator"
    error, condition = latent_mse(true, z[None])[0], condition_number(generator, true)[0]
    verdict = "exact" if error < EXACT else "not exact"
    return f", latent MSE {error:.1e} ({verdict}; {'identifiable' if condition < IDENTIFIABLE else 'not identifiable'}, condition {condition:.0f})"


def main():
    check_settings()
    paths = find_recordings(files)
    names = result_names(paths)
    folder = writable_folder(output)
    generator = load_wavegan(checkpoint)
    print(f"Generator: {generator.description}, from {checkpoint}")
    heard = perceptual_loss(classifier_checkpoint, generator) if solver == "l_bfgs_b" else None
    results = Results(folder, {**settings, "generator": generator.sha256}, overwrite)
    todo = [path for path in paths if not results.has(path, folder / f"{names[path]}.npy")]
    if len(todo) < len(paths):
        print(f"{len(paths) - len(todo)} of {len(paths)} recordings are done with these settings already (--overwrite does them again)")
    failed = 0
    with tqdm(total=len(todo), unit="recording", disable=None) as bar:
        for first in range(0, len(todo), batch_size):
            read = list(read_clips(todo[first : first + batch_size], generator))
            failed += sum(clip is None for _, clip in read)
            bar.update(sum(clip is None for _, clip in read))
            batch = [(path, clip) for path, clip in read if clip is not None]
            if not batch:
                continue
            begin, report = time.perf_counter(), progress(bar, len(batch))
            found = recover(
                np.stack([clip.samples for _, clip in batch]), generator,
                solver=solver, max_iter=max_iter, restarts=restarts, spectral=spectral,
                perceptual_loss=heard, perceptual_weight=perceptual_weight, seed=seed, report=report,
            )  # fmt: skip
            seconds = (time.perf_counter() - begin) / len(batch)
            report(0)
            for i, (path, clip) in enumerate(batch):
                write(folder, names[path], clip.undo(found.waveforms[i]), found.z[i])
                results.add(path, "gradient", solver, found.iterations[i], found.objective[i], found.snr_db[i], seconds)
                tqdm.write(f"{path}: {closeness(clip.samples, found, i)}{truth(path, found.z[i], generator)}, {seconds:.1f} s")
            results.write()
    if failed == len(paths):
        raise ScriptError(f"{files}: no readable recording there")
    print(f"Reconstructions, latent vectors and recovery.csv are in {folder}/")
    return EXIT_FAILED if failed else 0


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError):
        raise SystemExit(main())
