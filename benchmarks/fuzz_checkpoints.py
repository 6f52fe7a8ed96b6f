"""Checkpoints and training states that benchmarks/fuzz.py damages: tiny ones of every kind, and what reads each."""

import shutil

import numpy as np

from benchmarks.fuzz_cases import LATENT, WIDTH, damage

KERAS = {"classifier": "classifier.keras", "judge": "judge.keras", "mapping": "inverse_mapping.keras"}


def make_checkpoints(folder):
    """Writes a tiny checkpoint of each kind into a folder of its own."""
    import common.networks  # noqa: F401

    import keras
    import tensorflow as tf

    from common.state import Saved
    from models.audio.preparation import Preparation
    from models.files.hashing import fingerprint
    from models.files.saving import save_network
    from models.generator.readers.tf1 import freeze
    from models.generator.tf1_export import export_wavegan, wavegan_variables
    from models.generator.wavegan import load_wavegan
    from models.networks.classifier import build_classifier
    from models.networks.inverse_mapping import InverseMapping
    from models.networks.judge import build_judge
    from models.networks.published_weights import SUFFIX, published_variables
    from models.training.wavegan.networks import build_generator

    variables = wavegan_variables(build_generator(WIDTH, LATENT))
    export_wavegan(folder / "wavegan", variables)
    Preparation(0.9, "center").write(folder / "wavegan/clip.json", fingerprint(variables))
    graph, _ = freeze(folder / "wavegan/infer.meta", str(folder / "wavegan/model.ckpt"))
    for name in ("graph", "keras", "published", "progress"):
        (folder / name).mkdir()
    (folder / "graph/gan.pb").write_bytes(graph.SerializeToString())
    layers = keras.layers
    small = [layers.Dense(64), layers.Reshape((64, 1)), layers.UpSampling1D(8), layers.Flatten()]
    keras.Sequential([keras.Input((LATENT,)), *small]).save(folder / "keras/gan.keras")
    networks = {"classifier": build_classifier(width=1), "judge": build_judge(1)}
    sha256 = load_wavegan(folder / "wavegan").sha256
    networks["mapping"] = InverseMapping(LATENT, width=1, generator_sha256=sha256)
    for name, network in networks.items():
        save_network(network, folder / name / KERAS[name])
    of_authors = published_variables(build_classifier(width=1, features="real"))
    names = [name + SUFFIX for name in of_authors]
    values = [variable.value for variable in of_authors.values()]
    prefix = str(folder / "published/model.ckpt")
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=values)
    np.savez_compressed(folder / "progress/progress.npz", step=np.int64(3), a=np.ones((9, 9)))
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model.compile("adam", "mse")
    state = Saved(folder / "state", ())
    model.fit(np.ones((4, 4)), np.ones((4, 3)), epochs=2, verbose=0, callbacks=[state])


def _damaged(kind, rng, place):
    """A copy of one checkpoint with one of its files damaged → its folder."""
    shutil.rmtree(place / kind, ignore_errors=True)
    shutil.copytree(place.parent / "whole" / kind, place / kind)
    files = sorted(path for path in (place / kind).rglob("*") if path.is_file() and path.stat().st_size)
    path = files[rng.integers(len(files))]
    path.write_bytes(damage(path.read_bytes(), rng))
    return place / kind


def _generator(kind):
    def case(rng, place):
        from models.generator.wavegan import load_wavegan

        generator = load_wavegan(_damaged(kind, rng, place))
        sound = np.asarray(generator(np.zeros((1, generator.latent_dim), np.float32)))
        return "" if np.isfinite(sound).all() else "its sounds are not finite"

    return case


def _finite(network):
    return "" if all(np.isfinite(weight).all() for weight in network.get_weights()) else "its weights are not finite"


def _network(kind):
    def case(rng, place):
        from models.networks.classifier import load_classifier
        from models.networks.inverse_mapping import load_inverse_mapping
        from models.networks.judge import load_judge

        load = {"classifier": load_classifier, "judge": load_judge, "mapping": load_inverse_mapping}[kind]
        network = load(_damaged(kind, rng, place))
        return (
            "" if all(np.isfinite(weight).all() for weight in network.get_weights()) else "its weights are not finite"
        )

    return case


def _published(rng, place):
    from models.networks.classifier import build_classifier
    from models.networks.published_weights import load_published_weights

    network = build_classifier(width=1, features="real")
    load_published_weights(network, _damaged("published", rng, place) / "model.ckpt")
    return _finite(network)


def _progress(rng, place):
    from models.training.wavegan.state import read_state

    read_state(_damaged("progress", rng, place) / "progress.npz")
    return ""


def _state(rng, place):
    """Mended: the run goes on from this state, from its spare, or from the beginning."""
    import h5py

    from common.state import STATE, STATE_FILES, epochs_done, mend

    folder = _damaged("state", rng, place)
    mend(folder)
    weights = folder / STATE / STATE_FILES[0]
    if not epochs_done(folder):
        return "the weights of no epoch are left" if weights.exists() else ""
    with h5py.File(weights, "r") as file:
        return "" if len(file) else "no weights"


CHECKPOINTS = {kind: _generator(kind) for kind in ("wavegan", "graph", "keras")}
CHECKPOINTS |= {kind: _network(kind) for kind in KERAS}
CHECKPOINTS |= {"published": _published, "progress": _progress, "state": _state}
