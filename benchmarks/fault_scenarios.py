"""The scripts that run long, each on tiny inputs: how it is called, what has to load, and what is there at the end."""

import csv
import functools
import hashlib
import http.server
import json
import shutil
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

LATENT = 8  # dimensions
WIDTH = 4  # of generators: of 3,000 of width 1, eight had a dead layer, whose derivative is zero
PUBLISHED = {"infer.meta": "sc09_infer.meta"} | {
    f"model.ckpt.{end}": f"sc09.ckpt.{end}" for end in ("index", "data-00000-of-00001")
}  # {name here: name on the server}


@dataclass(frozen=True)
class Scenario:
    """A script and what is expected of it.

    arguments: with {root}, the run's own folder, {inputs} and {address}. load: called with the run's folder, raises
    where something does not load. facts: of the run's folder, {what: value}, the same after every run that completes.
    """

    script: str
    arguments: tuple
    load: Callable
    facts: Callable

    @property
    def name(self):
        return Path(self.script).stem


def tree(place, *folders):
    """The files below some folders, but no logs."""
    return {"files": sorted(str(p.relative_to(place)) for f in folders for p in (place / f).rglob("*") if p.is_file())}


def hashes(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob("*")) if p.is_file()}


def trained(name):
    """Facts of a folder that a trainer writes: its files, the weights that made way, the epochs that are done."""

    def facts(place):
        epochs = json.loads((place / name / "training/training_metadata.json").read_text())["epoch"]
        return tree(place, name) | {"previous": hashes(place / name / "previous"), "epochs": epochs}

    return facts


def of_wavegan(place):
    with open(place / "checkpoint/curve.csv", newline="") as file:
        curve = [int(row["step"]) for row in csv.DictReader(file)]
    with np.load(place / "checkpoint/progress.npz") as state:
        return trained("checkpoint")(place) | {"curve": curve, "step": int(state["step"])}


def of_recovery(place):
    with open(place / "waves/recovery.csv", newline="") as file:
        rows = sorted(row["name"] for row in csv.DictReader(file))
    return tree(place, "waves") | {"rows": rows}


def of_metrics(place):
    result = json.loads((place / "waves/metrics.json").read_text())
    return tree(place, "waves") | {"rows": [row["method"] for row in (*result["floors"], result)]}


def generator(name):
    def load(place):
        from models.generator.wavegan import load_wavegan

        load_wavegan(place / name)

    return load


def network(name):
    def load(place):
        from models.networks.classifier import load_classifier
        from models.networks.inverse_mapping import load_inverse_mapping
        from models.networks.judge import load_judge

        {"mapping": load_inverse_mapping, "classifier": load_classifier, "judge": load_judge}[name](place / name)

    return load


def adapted(place):
    from models.generator.wavegan import load_wavegan
    from models.networks.inverse_mapping import load_inverse_mapping

    generator = load_wavegan(place / "adapted/checkpoint")
    load_inverse_mapping(place / "adapted/inverse_mapping_checkpoint", generator)


def results(place):
    """Every sound and array under its final name is whole."""
    import soundfile

    for path in place.rglob("*"):
        if path.suffix == ".npy" and path.is_file() and not path.name.startswith("."):
            assert np.isfinite(np.load(path)).all(), path
        if path.suffix == ".wav" and not path.name.startswith("."):
            assert soundfile.info(path).frames == 16384, path


WEIGHTS = tuple(
    f"--{name}_checkpoint={{inputs}}/{place}"
    for name, place in (("classifier", "classifier"), ("judge", "judge"), ("inverse_mapping", "mapping"))
)
FROM_GENERATOR = ("--checkpoint={inputs}/generator", *WEIGHTS)
LOGS = "--logs={root}/logs"
DATA = "--datasets={inputs}/recordings"
FILES = "--files={inputs}/recordings"
WAVES = "--output={root}/waves"

SCENARIOS = (
    Scenario(
        "train_wavegan.py",
        (DATA, "--checkpoint={root}/checkpoint", LOGS, f"--width={WIDTH}", "--steps=1", "--epochs=2", "--batch_size=2",
         "--judged_every=0"),
        generator("checkpoint"), of_wavegan,
    ),
    Scenario(
        "train.py",
        (DATA, *FROM_GENERATOR[:2], "--inverse_mapping_checkpoint={root}/mapping", LOGS, "--waves={root}/waves",
         "--width=1", "--refinements=1", "--steps=1", "--batch_size=2", "--real_batch_size=2", "--epochs=2"),
        network("mapping"), trained("mapping"),
    ),
    Scenario(
        "train_sc09_classifier.py",
        (DATA, "--classifier_checkpoint={root}/classifier", LOGS, "--width=1", "--epochs=2", "--xla=False"),
        network("classifier"), trained("classifier"),
    ),
    Scenario(
        "train_judge.py",
        (DATA, "--judge_checkpoint={root}/judge", LOGS, "--width=1", "--epochs=2"),
        network("judge"), trained("judge"),
    ),
    Scenario(
        "adapt_wavegan.py",
        (FILES, *FROM_GENERATOR[:2], WEIGHTS[2], "--output={root}/adapted", "--num_recordings=2", "--steps=1"),
        adapted, lambda place: tree(place, "adapted"),
    ),
    Scenario(
        "latent_vector_recovery.py",
        (FILES, *FROM_GENERATOR, WAVES, "--batch_size=10", "--report"),
        results, of_recovery,
    ),
    Scenario(
        "calculate_metrics.py",
        (DATA, *FROM_GENERATOR, WAVES, "--synth", "--num_clips=12", "--batch_size=2", "--splits=1"),
        results, of_metrics,
    ),
    Scenario(
        "audio_examples.py",
        ("--files={inputs}/two", *FROM_GENERATOR, "--output={root}/examples", "--unfinished={root}/waves",
         "--num_synthesized=1", "--max_iter=1"),
        results, lambda place: tree(place, "examples"),
    ),
    Scenario(
        "datasets/fetch.py",
        ("--what=wavegan", "--address={address}", "--checkpoint={root}/checkpoint"),
        generator("checkpoint"), lambda place: tree(place, "checkpoint") | hashes(place / "checkpoint"),
    ),
)  # fmt: skip


def make_inputs(folder):
    """Writes tiny networks, recordings of tones, what the server has, and the results of earlier runs."""
    import common.networks  # noqa: F401

    import soundfile

    from models.audio.preparation import Preparation
    from models.files.hashing import fingerprint
    from models.files.saving import save_network
    from models.generator.tf1_export import export_wavegan, wavegan_variables
    from models.generator.wavegan import load_wavegan
    from models.networks.classifier import build_classifier
    from models.networks.inverse_mapping import InverseMapping
    from models.networks.judge import build_judge
    from models.training.wavegan.networks import build_generator

    for name in ("recordings", "two", "served"):
        (folder / name).mkdir(parents=True)
    for i in range(40):
        tone = 0.3 * np.sin(np.arange(3000) * (0.1 + i % 4 / 10) + i)
        soundfile.write(folder / f"recordings/{i % 4}_anna_{i // 4 + 3}.wav", tone, 8000)
    for name in ("0_anna_5.wav", "1_anna_5.wav"):
        shutil.copy(folder / "recordings" / name, folder / "two")
    for name in ("generator", "old/checkpoint", "old/adapted/checkpoint", "served/new"):
        variables = wavegan_variables(build_generator(WIDTH, LATENT))
        export_wavegan(folder / name, variables)
        Preparation(0.9, "center").write(folder / name / "clip.json", fingerprint(variables))
        sha256 = load_wavegan(folder / name).sha256
        if name in ("generator", "old/adapted/checkpoint"):
            mapping = InverseMapping(LATENT, width=1, generator_sha256=sha256)
            place = folder / ("mapping" if name == "generator" else "old/adapted/inverse_mapping_checkpoint")
            save_network(mapping, place / "inverse_mapping.keras")
    save_network(mapping, folder / "old/mapping/inverse_mapping.keras")
    for place in (folder, folder / "old"):
        save_network(build_classifier(width=1), place / "classifier/classifier.keras")
        save_network(build_judge(1), place / "judge/judge.keras")
    for name, on_server in PUBLISHED.items():
        shutil.copy(folder / "served/new" / name, folder / "served" / on_server)


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def serving(folder):
    """The address of a server on this machine that has the files in `folder`/served."""
    handler = functools.partial(_Silent, directory=str(folder / "served"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
