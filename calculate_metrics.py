"""The paper's figures for a recovery method, on synthesized or on real clips, printed as a table and written as JSON."""

synth = False  # clips from the generator, whose latent vectors are known; False: recordings from the test split
gradient = True  # optimise the latent vector
inverse_mapping = False  # predict it with a network
solver = "levenberg_marquardt"  # of the optimisation: "levenberg_marquardt", or "l_bfgs_b" as published
max_iter = 200  # iterations of the solver at most, a start
restarts = 3  # levenberg_marquardt: further random starts at most, where an exact answer seems to exist and was missed
spectral = 0.5  # levenberg_marquardt: weight of the STFT magnitudes against the waveform, 0 to 1
num_clips = 500  # at most
batch_size = 8  # clips worked on side by side
seed = 0  # of the latent vectors, the choice of recordings and the random starts
datasets = "datasets/"  # folder of SC09, Speech Commands or FSDD recordings (datasets/README.md)
perceptual_weight = 0.002  # l_bfgs_b: weight of the perceptual loss
checkpoint = "checkpoint/"  # folder with the generator
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier; without one l_bfgs_b goes without the perceptual loss
output = "waves/metrics.json"  # file for the figures

from common.settings import from_shell

settings = from_shell(globals())

import common.startup  # noqa: F401

import json
import time

import numpy as np
from tqdm import tqdm

from common.files import written_whole
from common.networks import perceptual_loss
from common.script import ScriptError, one_line_errors
from datasets.layouts import find_dataset
from models.audio import AudioError, read_clip
from models.metrics import EXACT, IDENTICAL_DB, IDENTIFIABLE, latent_mse, log_spectral_distance, snr_db, waveform_mse
from models.recovery import SOLVERS, generate, random_latent, recover
from models.residual import condition_number
from models.tf1_graph import CheckpointError
from models.wavegan import load_wavegan


def real_clips(generator):
    """Clips of the test split, prepared as the generator's training clips were: [n, num_samples, num_channels]."""
    layout, folder, recordings = find_dataset(datasets)
    test = [r.path for r in recordings if r.split == "test"]
    chosen = np.random.default_rng(seed).permutation(len(test))[:num_clips]
    print(f"{folder}: {layout}, {len(chosen)} of {len(test)} recordings of the test split")
    shape = {"num_samples": generator.num_samples, "num_channels": generator.num_channels, "preparation": generator.preparation}
    clips = [read_clip(test[i], **shape) for i in tqdm(sorted(chosen), unit="recording", disable=None)]
    return np.stack(clips).reshape(len(clips), generator.num_samples, -1)


def recovered(clips, generator):
    """Latent vectors of clips by the chosen method, in batches under a progress bar → z [n, latent_dim], iterations [n]."""
    if not gradient:
        return random_latent(generator, len(clips), [seed, 1]), np.zeros(len(clips))
    heard = perceptual_loss(classifier_checkpoint, generator) if solver == "l_bfgs_b" else None
    z, iterations = [], []
    for first in tqdm(range(0, len(clips), batch_size), unit="batch", disable=None):
        found = recover(clips[first : first + batch_size], generator, solver=solver, max_iter=max_iter, restarts=restarts, spectral=spectral,
                        perceptual_loss=heard, perceptual_weight=perceptual_weight, seed=[seed, first])  # fmt: skip
        z.append(found.z)
        iterations.append(found.iterations)
    return np.concatenate(z), np.concatenate(iterations)


def figures(method, clips, waves):
    """What every row has: medians and means over the clips."""
    distance = log_spectral_distance(clips[..., 0], waves[..., 0])
    snr = snr_db(clips, waves)
    row = {"method": method, "synth": synth, "num_clips": len(clips), "mse": float(waveform_mse(clips, waves).mean())}
    return row | {"snr_db": float(np.median(snr)), "log_spectral_distance": float(distance.mean()), "identical": float((snr > IDENTICAL_DB).mean())}


def latent_figures(true, z, conditions):
    """What is known of synthesized clips only."""
    errors, identifiable = latent_mse(true, z), conditions < IDENTIFIABLE
    exact = float((errors < EXACT)[identifiable].mean()) if identifiable.any() else 0.0
    mae = float(np.abs(true - z).mean())
    shares = {"identifiable": float(identifiable.mean()), "exact": exact, "condition_number": float(np.median(conditions))}
    return {"latent_mse": float(errors.mean()), "latent_mae": mae, **shares}


def show(row):
    names = [("mse", "waveform MSE", ".5f"), ("snr_db", "SNR, median, dB", ".1f"), ("log_spectral_distance", "log-spectral distance, dB", ".1f"),
             ("identical", "identical (SNR > 40 dB)", ".1%"), ("latent_mse", "latent MSE", ".2g"), ("latent_mae", "latent MAE", ".2g"),
             ("identifiable", "identifiable", ".1%"), ("exact", "exact, of the identifiable", ".1%"),
             ("condition_number", "condition number, median", ".0f"), ("iterations", "iterations, median", ".0f"),
             ("seconds_per_clip", "seconds a clip", ".2f")]  # fmt: skip
    print(f"\n{row['method']} on {row['num_clips']} {'synthesized' if synth else 'real'} clips")
    for name, words, form in names:
        if name in row:
            print(f"  {words:28} {row[name]:{form}}")


def main():
    if inverse_mapping:
        raise ScriptError("inverse_mapping: there is no trained inverse mapping for this generator; use --inverse_mapping=False")
    if solver not in SOLVERS:
        raise ScriptError(f"solver is one of {', '.join(SOLVERS)}, not {solver!r}")
    if num_clips < 1 or batch_size < 1:
        raise ScriptError("num_clips and batch_size are at least 1")
    generator = load_wavegan(checkpoint)
    print(f"Generator: {generator.description}, from {checkpoint}")
    true = random_latent(generator, num_clips, seed) if synth else None
    clips = generate(generator, true) if synth else real_clips(generator)
    begin = time.perf_counter()
    z, iterations = recovered(clips, generator)
    seconds = (time.perf_counter() - begin) / len(clips)
    row = figures(f"gradient ({solver})" if gradient else "random latent vector", clips, generate(generator, z))
    row |= {"iterations": float(np.median(iterations)), "seconds_per_clip": seconds}
    if synth:
        row |= latent_figures(true, z, condition_number(generator, true))
    floors = [figures("silence", clips, np.zeros_like(clips))]
    if gradient:
        floors.append(figures("random latent vector", clips, generate(generator, random_latent(generator, len(clips), [seed, 1]))))
    for each in (*floors, row):
        show(each)
    with written_whole(output, "w") as file:
        json.dump(row | {"floors": floors, "settings": settings, "generator": generator.sha256}, file, indent=2)
    print(f"\nWritten to {output}")


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError, AudioError, interrupted="stopped; nothing was written"):
        main()
