"""The paper's figures for a method of recovery, on synthesized or on real clips; --table for every method.

Printed as a table and written as JSON. With --examples every method on the same clips, to listen to, in place of
figures. Interrupted and started again with the same settings, it goes on with the clips that are left.
"""

# What is judged
recipe = "ours"  # "published": every setting below that is not given as in the paper ["ours", "published"]
synth = False  # clips from the generator, whose latent vectors are known; False: recordings from the test split
num_clips = 100  # of each data set at most, the same for every method [1 to 100,000]
datasets = "datasets/"  # folders of recordings, with commas between them; rows for each (datasets/README.md)
examples = ""  # a folder of recordings: their sounds and those of synthesized clips by every method, and a page
split = "test"  # of the recordings, for real clips ["test", "valid"]
seed = 0  # of the latent vectors, the choice of recordings and the random starts [0 to 4,294,967,295]
splits = 2  # of the inception score, whose standard deviation is over them [1 to 100]

# Method
inverse_mapping = True  # predict the latent vector with a network
gradient = False  # optimise it, from the prediction if inverse_mapping is True (hybrid); both False: random vectors
table = False  # every method on real and on synthesized clips, whatever synth, gradient and inverse_mapping say
space = "latent"  # "layer": then the first layer's output too, beyond the generator's range ["latent", "layer"]
solver = "perceptual"  # of the optimisation; "l_bfgs_b": the paper's ["perceptual", "levenberg_marquardt", "l_bfgs_b"]
log_spectral_weight = -1.0  # perceptual: of the log-spectral distance in 10 dB; -1: 0.3, 1 with a layer [-1 to 1e6]
max_iter = 200  # iterations of l_bfgs_b, and of levenberg_marquardt where an answer is exact [1 to 1,000,000]
restarts = 8  # further tries at most, where an exact answer seems to be missed [0 to 1000]
stft_share = 0.5  # levenberg_marquardt: weight of STFT magnitudes for clips that no latent vector explains [0 to 1]
perceptual_weight = 1.0  # l_bfgs_b: weight of the perceptual loss [0 to 1e6]
taps = "blocks"  # of the perceptual loss; "stage2": the published solver's ["blocks", "stage2"]
batch_size = 0  # clips worked on side by side; 0: 64 for predictions, 32 with the gradient [0 to 4096]

# Weights, and where the figures go
checkpoint = "checkpoint/"  # folder with the generator
facts = ""  # in place of what clip.json says: sample_rate=22050,code=onehot:10, … (checkpoint/README.md)
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier, for the perceptual loss
judge_checkpoint = "judge_checkpoint/"  # folder with the judge, which takes part in no training and no recovery
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts
resnet_checkpoint = "inverse_mapping_checkpoint/resnet/"  # folder with a second one, for a row of its own; "": none
output = "waves/metrics/"  # folder for metrics.json, with --table .md and .png too, or examples; and what is unfinished
cards = ""  # Markdown files, comma-separated, to write the table into, between their marks

PUBLISHED = {
    "split": "valid",
    "num_clips": 501,
    "solver": "l_bfgs_b",
    "max_iter": 200,
    "perceptual_weight": 0.002,
    "taps": "stage2",
    "facts": "sample_rate=16384",
}  # the authors' metrics script

from common.settings import from_shell

settings = from_shell(globals(), recipes={"published": PUBLISHED})

import json
import time
from dataclasses import dataclass
from pathlib import Path

from common.networks import clip_of, open_generator, open_inverse_mapping, open_resnet

import numpy as np

from common.examples import write_examples
from common.files import find_recordings, readable_clip, result_names, writable_folder
from common.lock import hold
from common.memory import check_memory
from common.recovering import recover_all, sounds_of
from common.script import ScriptError, one_line_errors
from common.solvers import method_of
from common.view import MAIN, draw_table, in_words, markdown_table, write_figures
from datasets.reading import held_out_clips
from models.audio.second import Second
from models.files.writing import written_whole
from models.generator.generator import by_channel, generate, random_latent
from models.metrics.evaluation import Evaluation
from models.metrics.metrics import condition_number, latent_mae
from models.networks.classifier import PerceptualLoss, load_classifier
from models.networks.judge import load_judge

SILENCE, RANDOM = "silence", "random latent vector"
PREDICTED, GRADIENT, HYBRID = "inverse mapping", "gradient", "hybrid"
RESNET = "inverse mapping, ResNet"  # the paper's network
BEYOND = ", first layer free"  # beyond the generator's range
LAYER = HYBRID + BEYOND
FOLDERS = {RESNET: "resnet", PREDICTED: "inverse_mapping", GRADIENT: "gradient", HYBRID: "hybrid", LAYER: "layer"}
KEPT = ("z", "iterations", "seconds", "begun_from")  # of the rows of what is recovered
FLOAT_BYTES = 4
ARRAYS = 4  # of all clips, at once: originals of both kinds, reconstructions, and a copy that is hashed


@dataclass
class Clips:
    """The clips that methods are judged on, of one data set or synthesized, and all that is known of them.

    waveforms: [n, num_samples]. digits: int [n], spoken. dataset: its name, "" for synthesized clips, of which true
    [n, latent_dim] are the latent vectors and conditions [n] the condition numbers.
    """

    waveforms: np.ndarray
    digits: np.ndarray | None = None
    dataset: str = ""
    true: np.ndarray | None = None
    conditions: np.ndarray | None = None

    @property
    def synthesized(self):
        return not self.dataset


def synthesized_clips(generator):
    z = random_latent(generator, num_clips, seed)
    waveforms = by_channel(generate(generator, z))
    return Clips(waveforms, true=z, conditions=condition_number(generator, z))


def recorded_clips(generator):
    """The clips of each data set's split."""
    kwargs = {"most": num_clips, "seed": seed, "split": split, **clip_of(generator)}
    waveforms, recordings, words = held_out_clips(datasets, **kwargs)
    print(words)
    names = np.array([r.dataset for r in recordings])
    digits = np.array([r.digit for r in recordings])
    return [Clips(waveforms[names == name], digits[names == name], name) for name in dict.fromkeys(names.tolist())]


class Measurement:
    """The networks of one run; `row` is the row of a method."""

    def __init__(self, generator, methods):
        self.generator = generator
        self.mappings = {}
        if any(method.startswith((PREDICTED, HYBRID)) and method != RESNET for method in methods):
            self.mappings["prediction"] = open_inverse_mapping(inverse_mapping_checkpoint, generator)
        if RESNET in methods and (resnet := open_resnet(resnet_checkpoint, generator)):
            self.mappings["resnet"] = resnet
        self.hashes = {name: network.sha256 for name, network in self.mappings.items()}
        classifier, judge = load_classifier(classifier_checkpoint), load_judge(judge_checkpoint)
        second = Second(generator.num_samples, generator.sample_rate)
        self.judge = judge
        self.evaluation = Evaluation(judge, classifier, PerceptualLoss(classifier), splits, second)
        self.perceptual_loss = PerceptualLoss(classifier, taps)
        self.hashes |= {"classifier": self.perceptual_loss.sha256, "judge": judge.sha256}

    def recovered(self, method, clips, waveforms):
        """What a method recovers, as `recover_all` returns it."""
        with_gradient = method.startswith((GRADIENT, HYBRID))
        mapping = None if method.startswith(GRADIENT) else self.mappings["resnet" if method == RESNET else "prediction"]
        chosen = settings | {"gradient": with_gradient, "space": "layer" if method.endswith(BEYOND) else "latent"}
        name = f"{method} {clips.dataset or 'synthesized'}"
        options = {"inverse_mapping": mapping, "seed": seed}
        options |= method_of(chosen, self.perceptual_loss, self.generator.codes)
        size = batch_size or (32 if with_gradient else 64)
        return recover_all(waveforms, name, output, size, generator=self.generator, **options)

    def row(self, method, clips):
        """The figures of a method."""
        waveforms = clips.waveforms
        before = {}  # the optimisation
        with_gradient, beyond = method.startswith((GRADIENT, HYBRID)), method.endswith(BEYOND)
        begin, iterations = time.perf_counter(), np.zeros(len(waveforms))
        if method in (SILENCE, RANDOM):
            z = random_latent(self.generator, len(waveforms), [seed, 1])
            waves = by_channel(generate(self.generator, z)) if method == RANDOM else np.zeros_like(waveforms)
            seconds = np.full(len(waveforms), (time.perf_counter() - begin) / len(waveforms))
        else:
            store = self.recovered(method, clips, waveforms)
            rows = [{name: row.get(name) for name in KEPT} for row in store.rows(range(len(waveforms)))]
            z, iterations, seconds, start = ([row[name] for row in rows] for name in KEPT)
            if clips.synthesized and with_gradient and not beyond and all(one is not None for one in start):
                before["latent_mae_before"] = float(latent_mae(clips.true, np.stack(start)).mean())
            z, waves = np.stack(z), by_channel(sounds_of(store, self.generator))
        truth = {}
        if clips.synthesized and method != SILENCE and not beyond:
            truth = {"z": z, "true": clips.true, "conditions": clips.conditions}
        row = {"method": method, "synth": clips.synthesized} | ({"dataset": clips.dataset} if clips.dataset else {})
        if with_gradient or beyond:
            row |= {"solver": solver if with_gradient else "", "iterations": float(np.median(iterations))}
        row |= self.evaluation.row(waveforms, waves, clips.digits, **truth)
        if truth and (codes := self.generator.codes):
            written = [[codes.text(code) for code in latent[:, codes.places]] for latent in (z, clips.true)]
            row["code_accuracy"] = float(np.mean([one == other for one, other in zip(*written)]))
        return row | before | {"seconds_per_clip": float(np.mean(seconds))}


def write_all_examples(measurement, rows):
    """Every method on the recordings in `examples` and on synthesized clips, and a page of them."""
    generator, kinds = measurement.generator, {}
    read = {path: readable_clip(path, __file__, **clip_of(generator)) for path in find_recordings(examples)}
    real = {path: clip for path, clip in read.items() if clip is not None}
    if not real:
        raise ScriptError(f"{examples}: none of the recordings there can be read")
    parts = {True: synthesized_clips(generator), False: Clips(np.stack(list(real.values())), dataset="real")}
    for synthesized, clips in parts.items():
        methods = [method for kind, method in rows if kind == synthesized and method in FOLDERS]
        results = {FOLDERS[method]: measurement.recovered(method, clips, clips.waveforms) for method in methods}
        names = [str(i) for i in range(num_clips)] if synthesized else list(result_names(list(real)).values())
        kinds["synthesized" if synthesized else "real"] = names, clips.waveforms, clips.true, results
    made_with = [f"Generator: {generator.description}, SHA-256 {generator.sha256[:16]}…"]
    for name, mapping in measurement.mappings.items():
        made_with.append(f"{name.capitalize()}: {mapping.settings['network']} network, SHA-256 {mapping.sha256[:16]}…")
    page = write_examples(output, kinds, generator, measurement.judge, made_with)
    for *_, results in kinds.values():
        for store in results.values():
            store.remove()
    print(f"Open {page} in a browser; sounds and latent vectors are in {page.with_name('recovered')}/")


def wanted_rows():
    """(synthesized, method) of every row, the floors first."""
    floors = [SILENCE, RANDOM]
    if table or examples:
        methods = [*floors, RESNET, PREDICTED, GRADIENT, HYBRID]
        return [(False, method) for method in (*methods, LAYER)] + [(True, method) for method in methods]
    names = {(True, False): PREDICTED, (False, True): GRADIENT, (False, False): RANDOM}
    names[True, True] = HYBRID
    chosen = names[inverse_mapping, gradient] + (BEYOND if space == "layer" else "")
    if chosen == RANDOM + BEYOND:
        raise ValueError("space is layer, and inverse_mapping and gradient are both False; one of them has to begin")
    return [(synth, method) for method in dict.fromkeys([*floors, chosen])]


def write(rows, record):
    """Writes the figures, says where, and prints the table if there is one."""
    folder = Path(output)
    chosen = [row for row in rows if row["method"] == rows[-1]["method"]]  # a row for each data set
    floors = [row for row in rows if row not in chosen]
    more = {"others": chosen[:-1]} if len(chosen) > 1 else {}
    result = {"rows": rows, **record} if table else {**chosen[-1], **more, "floors": floors, **record}
    with written_whole(folder / "metrics.json", "w") as file:
        json.dump(result, file, indent=2)
    written = [str(folder / "metrics.json")]
    if table:
        markdown = markdown_table(rows)
        with written_whole(folder / "metrics.md", "w") as file:
            file.write(markdown)
        draw_table(rows, folder / "metrics.png")
        print(f"\n{markdown}")
        written += [str(folder / "metrics.md"), str(folder / "metrics.png")]
        weights = {"generator": record["generator"], "inverse_mapping": record["prediction"]}
        weights |= {name: record[name] for name in ("resnet", "classifier", "judge") if name in record}
        short = markdown_table([row for row in rows if row["method"] not in (SILENCE, RANDOM)], MAIN)
        for path in filter(None, cards.split(",")):
            whole = "<!-- metrics -->" in Path(path).read_text(encoding="utf-8")
            shown = ("metrics", markdown) if whole else ("results", short)
            write_figures(path, *shown, **weights)
    print(f"Written to {', '.join(written)}")


def main():
    hold(writable_folder(output))
    generator = open_generator(checkpoint, facts)
    rows = wanted_rows()
    clip = FLOAT_BYTES * generator.num_samples * generator.num_channels
    check_memory(ARRAYS * num_clips * clip, f"num_clips={num_clips:,}: clips and reconstructions")
    measurement = Measurement(generator, {method for _, method in rows})
    rows = [(kind, method) for kind, method in rows if method != RESNET or "resnet" in measurement.mappings]
    if examples:
        write_all_examples(measurement, rows)
        return
    clips = {
        synthesized: [synthesized_clips(generator)] if synthesized else recorded_clips(generator)
        for synthesized in dict.fromkeys(synthesized for synthesized, _ in rows)
    }
    figures = []
    for synthesized, method in rows:
        for part in clips[synthesized]:
            figures.append(measurement.row(method, part))
            print(in_words(figures[-1]))
    write(figures, {"settings": settings, "generator": generator.sha256, **measurement.hashes})


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
