"""The paper's figures for a method of recovery, on synthesized or on real clips, printed as a table and written as JSON; --table for every method.

Interrupted and started again with the same settings, it goes on with the clips that are left.
"""

synth = False  # clips from the generator, whose latent vectors are known; False: recordings from the test split
inverse_mapping = True  # predict the latent vector with a network
gradient = False  # optimise it, from the prediction if inverse_mapping is True too (hybrid); with both False it is a random latent vector
table = False  # all methods on real and on synthesized clips, as the paper's two tables; synth, gradient and inverse_mapping do not count then
num_clips = 500  # at most
num_gradient_clips = 100  # table: at most, for the methods with a gradient, which take seconds a clip
solver = "levenberg_marquardt"  # of the optimisation: "levenberg_marquardt", or "l_bfgs_b" as published
max_iter = 200  # iterations of the solver at most, a start
restarts = 3  # levenberg_marquardt: further random starts at most, where an exact answer seems to exist and was missed
spectral = 0.5  # levenberg_marquardt: weight of the STFT magnitudes against the waveform, 0 to 1
perceptual_weight = 0.002  # l_bfgs_b: weight of the perceptual loss
splits = 2  # of the inception score, whose standard deviation is over them
batch_size = 0  # clips worked on side by side; 0: 64 for predictions, 8 with the gradient
seed = 0  # of the latent vectors, the choice of recordings and the random starts
datasets = "datasets/"  # folder of SC09, Speech Commands or FSDD recordings (datasets/README.md)
checkpoint = "checkpoint/"  # folder with the generator
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts
output = "waves/metrics.json"  # file for the figures; beside it, with --table, .md and .png, and in metrics/ what is recovered so far

from common.settings import from_shell

settings = from_shell(globals())

import common.startup  # noqa: F401

import json
import time
from pathlib import Path

import numpy as np

from common.files import written_whole
from common.networks import inverse_mapping_of
from common.recordings import writable_folder
from common.recoveries import recover_all
from common.script import ScriptError, one_line_errors
from common.tables import draw, in_words, markdown
from datasets.held_out import held_out_clips
from models.audio import NUM_SAMPLES, AudioError
from models.classifier import PerceptualLoss, load_classifier
from models.errors import CheckpointError
from models.evaluation import Judge
from models.generator import generate, random_latent
from models.metrics import condition_number
from models.recovery import SOLVERS
from models.wavegan import load_wavegan

SILENCE, RANDOM, PREDICTED, GRADIENT, HYBRID = "silence", "random latent vector", "inverse mapping", "gradient", "hybrid"
RESULT_SETTINGS = ("solver", "max_iter", "restarts", "spectral", "perceptual_weight", "seed")


class Clips:
    """The clips that methods are judged on, real or synthesized, and all that is known of them."""

    def __init__(self, synthesized, most, generator):
        self.synthesized, self.digits, self.true = synthesized, None, None
        if synthesized:
            self.true = random_latent(generator, most, seed)
            self.waveforms = generate(generator, self.true)[..., 0]
        else:
            self.waveforms, self.digits, words = held_out_clips(datasets, generator.preparation, most, seed)
            print(words)


def measured(method, clips, count, generator, mapping, prediction, judge):
    """The row of a method over the first `count` clips."""
    waveforms, truth = clips.waveforms[:count], {}
    begin, iterations = time.perf_counter(), np.zeros(len(waveforms))
    if method in (SILENCE, RANDOM):
        z = random_latent(generator, len(waveforms), [seed, 1])
        waves = generate(generator, z)[..., 0] if method == RANDOM else np.zeros_like(waveforms)
        seconds = np.full(len(waveforms), (time.perf_counter() - begin) / len(waveforms))
    else:
        with_gradient, predicted = method != PREDICTED, mapping if method != GRADIENT else None
        heard = judge.perceptual_loss if with_gradient and solver == "l_bfgs_b" else None
        size = batch_size or (8 if with_gradient else 64)
        depends_on = [{name: settings[name] for name in RESULT_SETTINGS}, generator.sha256, prediction if predicted else ""]
        z, iterations, seconds = recover_all(
            waveforms, f"{method} {'synthesized' if clips.synthesized else 'real'}", Path(output).with_suffix(""), depends_on, size,
            generator=generator, inverse_mapping=predicted, gradient=with_gradient, solver=solver, max_iter=max_iter, restarts=restarts,
            spectral=spectral, perceptual_loss=heard, perceptual_weight=perceptual_weight, seed=seed,
        )  # fmt: skip
        waves = generate(generator, z)[..., 0]
    if clips.synthesized and method != SILENCE:
        truth = {"z": z, "true": clips.true[:count], "conditions": clips.conditions[:count]}
    row = {"method": method, "synth": clips.synthesized}
    if method in (GRADIENT, HYBRID):
        row |= {"solver": solver, "iterations": float(np.median(iterations))}
    digits = None if clips.digits is None else clips.digits[:count]
    return row | judge.row(waveforms, waves, digits, **truth) | {"seconds_per_clip": float(seconds.mean())}


def wanted():
    """(synthesized, method, most clips) of every row, the floors first."""
    floors = [SILENCE, RANDOM]
    if table:
        methods = [(m, num_clips if m != GRADIENT and m != HYBRID else num_gradient_clips) for m in (*floors, PREDICTED, GRADIENT, HYBRID)]
        return [(kind, method, most) for kind in (False, True) for method, most in methods]
    chosen = {(True, True): HYBRID, (True, False): PREDICTED, (False, True): GRADIENT, (False, False): RANDOM}[inverse_mapping, gradient]
    return [(synth, method, num_clips) for method in dict.fromkeys([*floors, chosen])]


def check_settings():
    if solver not in SOLVERS:
        raise ScriptError(f"solver is one of {', '.join(SOLVERS)}, not {solver!r}")
    for name in ("num_clips", "num_gradient_clips", "splits", "max_iter"):
        if settings[name] < 1:
            raise ScriptError(f"{name} is {settings[name]}; at least 1")
    if Path(output).suffix != ".json":
        raise ScriptError(f"{output}: output is a .json file")


def main():
    check_settings()
    writable_folder(Path(output).parent)
    generator = load_wavegan(checkpoint)
    if (generator.num_samples, generator.num_channels) != (NUM_SAMPLES, 1):
        raise ScriptError(f"{checkpoint}: its clips have {generator.num_samples} samples, the classifier hears {NUM_SAMPLES}, one channel")
    print(f"Generator: {generator.description}, from {checkpoint}")
    rows = wanted()
    mapping, prediction = None, ""
    if any(method in (PREDICTED, HYBRID) for _, method, _ in rows):
        mapping, prediction = inverse_mapping_of(inverse_mapping_checkpoint, generator)
    classifier = load_classifier(classifier_checkpoint)
    judge = Judge(classifier, PerceptualLoss(classifier), splits)
    clips = {kind: Clips(kind, max(most for k, _, most in rows if k == kind), generator) for kind in dict.fromkeys(kind for kind, *_ in rows)}
    if True in clips:
        clips[True].conditions = condition_number(generator, clips[True].true)
    found = []
    for kind, method, most in rows:
        found.append(measured(method, clips[kind], most, generator, mapping, prediction, judge))
        print(in_words(found[-1]))
    record = {"settings": settings, "generator": generator.sha256, "prediction": prediction}
    result = {"rows": found, **record} if table else {**found[-1], "floors": found[:-1], **record}
    with written_whole(output, "w") as file:
        json.dump(result, file, indent=2)
    written = [output]
    if table:
        with written_whole(Path(output).with_suffix(".md"), "w") as file:
            file.write(markdown(found))
        with written_whole(Path(output).with_suffix(".png")) as file:
            draw(found, file)
        print(f"\n{markdown(found)}")
        written += [str(Path(output).with_suffix(suffix)) for suffix in (".md", ".png")]
    print(f"Written to {', '.join(written)}")


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError, AudioError, FileNotFoundError, ValueError):
        main()
