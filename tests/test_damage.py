"""What damaged and odd input ends in: a result, or one line that names the file or the setting (with Hypothesis)."""

import contextlib
import io
import os
import shutil

import common.networks  # noqa: F401

import h5py
import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf
import tf1_wavegan
from conftest import ROOT
from damage import DAMAGE, ODD, damaged
from hypothesis import given, settings
from hypothesis import strategies as st
from run_script import run_script
from tf1_graphs import LATENT, dense, write_pb
from tiny_networks import untrained

from common.files import find_recordings, printable, result_names
from common.settings import declared, from_shell
from common.state import LATEST, STATE, Saved, epochs_done, mend
from models.audio.clip import prepare
from models.audio.preparation import Preparation
from models.files.errors import CheckpointError
from models.files.latents import known_latent
from models.files.saving import save_network
from models.generator.facts import Facts
from models.generator.loading import load_generator
from models.networks.classifier import build_classifier, load_classifier
from models.networks.inverse_mapping import load_inverse_mapping
from models.networks.judge import build_judge, load_judge
from models.networks.published_weights import SUFFIX, load_published_weights, published_variables
from models.training.wavegan.state import read_state

PEAK = 0.9  # of prepared clips
FORMATS = {  # ending: soundfile's formats and subtypes
    "wav": (("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAV", "DOUBLE"), ("WAV", "IMA_ADPCM")),
    "flac": (("FLAC", "PCM_16"),),
    "ogg": (("OGG", "VORBIS"),),
    "mp3": (("MP3", "MPEG_LAYER_III"),),
    "aiff": (("AIFF", "PCM_16"),),
    "au": (("AU", "PCM_16"),),
    "caf": (("CAF", "PCM_16"),),
    "w64": (("W64", "FLOAT"),),
}
SCRIPTS = {  # {script: {name: setting}}
    name: declared((ROOT / name).read_text(encoding="utf-8"))
    for name in [*sorted(path.name for path in ROOT.glob("*.py")), "datasets/fetch.py"]
}


def cases(number):
    """Settings of Hypothesis: the same examples in every run, however long one takes."""
    return settings(max_examples=number, deadline=None, derandomize=True, database=None)


@contextlib.contextmanager
def or_one_line(folder):
    """Lets an error pass that names a file in `folder` in one line."""
    try:
        yield
    except (ValueError, OSError, CheckpointError) as error:
        assert str(folder) in str(error) and "\n" not in str(error)


def check_prepared(path, leveled=True):
    """Prepares a recording as the scripts do. leveled: whether it comes to the generator's level."""
    clip = prepare(path, preparation=Preparation(PEAK, "center"))
    assert clip.samples.shape == (16384,) and np.isfinite(clip.samples).all()
    assert np.isfinite(clip.undo(clip.samples)).all()
    if leveled and not clip.warnings:
        np.testing.assert_allclose(np.abs(clip.samples).max(), PEAK, rtol=1e-5)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """{name: content} of a second of a rising tone in each format, and a folder to write into."""
    folder = tmp_path_factory.mktemp("recordings")
    tone = 0.3 * np.sin(np.cumsum(np.linspace(0.05, 0.5, 12_000)))
    contents = {}
    for ending, kinds in FORMATS.items():
        for form, subtype in kinds:
            soundfile.write(folder / f"x.{ending}", tone, 12_000, subtype, format=form)
            contents[f"{subtype}.{ending}"] = (folder / f"x.{ending}").read_bytes()
    return contents, folder


@cases(60)
@given(st.sampled_from([f"{s}.{ending}" for ending, kinds in FORMATS.items() for _, s in kinds]), DAMAGE)
def test_a_damaged_recording(recordings, name, damage):
    contents, folder = recordings
    (folder / name).write_bytes(damaged(contents[name], damage))
    with or_one_line(folder):
        check_prepared(folder / name)


@cases(20)
@given(st.integers(1, 5000), st.floats(-46, 38), st.floats(0, 20), st.sampled_from([8000, 16384, 44100]))
def test_a_recording_of_any_level(recordings, length, level, peaks, rate):
    _, folder = recordings
    samples = np.random.default_rng(length).normal(size=length) * 10.0**level
    samples[[0, length // 2]] *= 10.0**peaks
    soundfile.write(folder / "level.wav", np.clip(samples, -3.4e38, 3.4e38).astype(np.float32), rate, "FLOAT")
    with or_one_line(folder):
        check_prepared(folder / "level.wav")


@cases(20)
@given(
    st.sampled_from(["f4", "f8", "i8", "S4", "c8", "?"]),
    st.sampled_from([(LATENT,), (1, LATENT), (0,), (), (LATENT, LATENT)]),
    st.sampled_from([0.0, 0.5, 1e30]),
    st.sampled_from(["whole", "damaged", "folder", "archive", "larger than it says"]),
    DAMAGE,
)
def test_something_odd_under_the_name_of_the_latent_vector(recordings, dtype, shape, value, kind, damage):
    contents, folder = recordings
    recording, latent, whole = folder / "beside.wav", folder / "beside.npy", io.BytesIO()
    shutil.rmtree(latent) if latent.is_dir() else latent.unlink(missing_ok=True)
    recording.write_bytes(contents["PCM_16.wav"])
    with np.errstate(invalid="ignore"):
        np.save(whole, np.full(shape, value).astype(dtype))
    if kind == "folder":
        latent.mkdir()
    elif kind == "archive":
        with open(latent, "wb") as file:
            np.savez(file, z=np.zeros(LATENT))
    elif kind == "larger than it says":
        latent.write_bytes(whole.getvalue().replace(b"(%d,)" % LATENT, b"(4000000000,)"))
    else:
        latent.write_bytes(damaged(whole.getvalue(), damage) if kind == "damaged" else whole.getvalue())
    with or_one_line(folder):
        check_prepared(recording, leveled=False)
        z = known_latent(recording, LATENT)
        assert z.shape == (1, LATENT) and np.isfinite(z).all()


@cases(20)
@given(st.lists(st.binary(min_size=1, max_size=250), min_size=3, max_size=3, unique=True))
def test_names_that_are_no_text(recordings, names):
    contents, folder = recordings
    shutil.rmtree(os.fsencode(folder / "names"), ignore_errors=True)
    (folder / "names").mkdir()
    for name in names:
        name = name.translate(bytes([0x5F if c in b"\0/." else c for c in range(256)]))
        with open(os.fsencode(folder / "names") + b"/" + name + b".wav", "wb") as file:
            file.write(contents["PCM_16.wav"])
    paths = find_recordings(folder / "names")
    results = result_names(paths)
    for path, name in results.items():
        printable(path).encode("utf-8")
        (folder / f"names/.{name}_reconstruction.wav").touch()
        check_prepared(path)
    assert len(set(results.values())) == len(paths)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A folder with a tiny checkpoint of each kind in a folder of its own."""
    folder = tmp_path_factory.mktemp("whole")
    for name in ("wavegan", "keras", "published", "progress"):
        (folder / name).mkdir()
    tf1_wavegan.write(folder / "wavegan", latent_dim=LATENT, width=2)
    generator = load_generator(folder / "wavegan")
    Facts(PEAK, "center").write(folder / "wavegan/clip.json", generator.sha256)
    write_pb(folder / "graph", dense)
    layers = keras.layers
    small = [layers.Dense(64), layers.Reshape((64, 1)), layers.UpSampling1D(8), layers.Flatten()]
    keras.Sequential([keras.Input((LATENT,)), *small]).save(folder / "keras/gan.keras")
    save_network(build_classifier(width=1), folder / "classifier/classifier.keras")
    save_network(build_judge(1), folder / "judge/judge.keras")
    save_network(untrained(generator), folder / "mapping/inverse_mapping.keras")
    variables = published_variables(build_classifier(width=1, features="real"))
    tf.raw_ops.SaveV2(
        prefix=str(folder / "published/model.ckpt"),
        tensor_names=[name + SUFFIX for name in variables],
        shape_and_slices=[""] * len(variables),
        tensors=[variable.value for variable in variables.values()],
    )
    np.savez_compressed(folder / "progress/progress.npz", step=np.int64(3), a=np.ones((9, 9)))
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model.compile("adam", "mse")
    model.fit(np.ones((4, 4)), np.ones((4, 3)), epochs=2, verbose=0, callbacks=[Saved(folder / "state", ())])
    return folder


def check_generator(folder):
    generator = load_generator(folder)
    assert np.isfinite(generator(np.zeros((1, generator.latent_dim), np.float32))).all()


def check_network(load):
    def check(folder):
        assert all(np.isfinite(weight).all() for weight in load(folder).get_weights())

    return check


def load_published(folder):
    network = build_classifier(width=1, features="real")
    load_published_weights(network, folder / "model.ckpt")
    return network


def check_state(folder):
    """The run goes on from this state, from its spare, or from the beginning."""
    mend(folder)
    weights = folder / STATE / LATEST
    if not epochs_done(folder):
        assert not weights.exists()
        return
    with h5py.File(weights, "r") as file:
        assert len(file)


CHECKS = {
    "wavegan": check_generator,
    "graph": check_generator,
    "keras": check_generator,
    "classifier": check_network(load_classifier),
    "judge": check_network(load_judge),
    "mapping": check_network(load_inverse_mapping),
    "published": check_network(load_published),
    "progress": lambda folder: read_state(folder / "progress.npz"),
    "state": check_state,
}


@pytest.mark.parametrize("kind", CHECKS)
def test_a_damaged_checkpoint(checkpoints, tmp_path_factory, kind):
    place = tmp_path_factory.mktemp(kind)

    @cases(8)
    @given(st.integers(0, 100), DAMAGE)
    def check(number, damage):
        shutil.rmtree(place)
        shutil.copytree(checkpoints / kind, place)
        files = sorted(path for path in place.rglob("*") if path.is_file() and path.stat().st_size)
        path = files[number % len(files)]
        path.write_bytes(damaged(path.read_bytes(), damage))
        with or_one_line(place):
            CHECKS[kind](place)

    check()


@cases(60)
@given(st.sampled_from(list(SCRIPTS)), st.integers(0, 1000), ODD | st.text() | st.floats().map(repr))
def test_an_odd_setting_is_refused_in_one_line_or_of_its_type_and_in_its_range(script, number, text):
    known = SCRIPTS[script]
    name = list(known)[number % len(known)]
    names, error = {"__file__": str(ROOT / script), "__doc__": ""}, io.StringIO()
    try:
        with contextlib.redirect_stderr(error):
            value = from_shell(names, [f"--{name}={text}"])[name]
    except SystemExit as end:
        assert end.code == 2 and error.getvalue().count("\n") == 1 and name in error.getvalue()
        return
    known[name].check(value)
    assert type(value) is type(known[name].default)


@pytest.mark.parametrize("script", ["generate.py", "latent_vector_recovery.py"])
def test_a_run_with_an_odd_setting(checkpoints, recordings, tmp_path_factory, script, monkeypatch):
    contents, folder = recordings
    place = tmp_path_factory.mktemp("runs")
    monkeypatch.chdir(place)
    (folder / "whole.wav").write_bytes(contents["PCM_16.wav"])
    weights = {"checkpoint": "wavegan", "classifier_checkpoint": "classifier", "judge_checkpoint": "judge"}
    weights |= {"inverse_mapping_checkpoint": "mapping"}
    known = SCRIPTS[script]
    places = {name: checkpoints / kind for name, kind in weights.items() if name in known}
    places |= {"files": folder / "whole.wav"} if "files" in known else {"num_samples": 1}
    texts = [name for name, setting in known.items() if isinstance(setting.default, str)]

    @cases(6)
    @given(st.sampled_from(texts), ODD)
    def check(name, text):
        arguments = {"output": place / "out"} | places | {name: text}
        error = io.StringIO()
        with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
            status = run_script(script, *(f"--{key}={value}" for key, value in arguments.items()))
        said = [line for line in error.getvalue().splitlines() if ": warning: " not in line]
        assert status == 0 or len(said) == 1

    check()
