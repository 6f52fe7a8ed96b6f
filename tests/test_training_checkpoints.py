"""A WaveGAN's training checkpoint alone, without a graph: read from the shapes of its variables, and args.txt."""

import numpy as np
import pytest
import soundfile
import tensorflow as tf
import tf1_wavegan
from run_script import run_script
from test_wavegan import rounding

from models.files.errors import CheckpointError
from models.generator.generator import random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, latent_mse
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.recover import recover

VARIANTS = {
    "plain": {},
    "filter": {"filter_taps": 512},
    "batch normalisation": {"batch_norm": True},
    "nearest neighbour": {"upsample": "nn", "kernel": 24},
    "32,768 samples": {"length": 32768, "batch_norm": True},
    "65,536 samples": {"length": 65536, "width": 1},
    "stereo": {"channels": 2},
}


def write(folder, **variant):
    """A training run's folder → z and the session's sound; its graph is kept in aside/."""
    z, expected = tf1_wavegan.write(folder, training_run=True, latent_dim=8, **variant)
    (folder / "aside").mkdir()
    (folder / "infer" / "infer.meta").rename(folder / "aside" / "infer.meta")
    (folder / "args.txt").write_text(f"data_slice_len,{expected.shape[1]}\nwavegan_dim,2\n")
    return z, expected


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_the_variables_alone_are_the_session_s_generator(tmp_path, variant):
    z, expected = write(tmp_path, **variant)
    (tmp_path / "model.ckpt-7.meta").write_bytes(b"a training graph, which is not read")
    alone = load_generator(tmp_path)
    (tmp_path / "aside" / "infer.meta").rename(tmp_path / "infer.meta")
    assert np.abs(alone(z) - expected).max() < rounding(tmp_path, z, expected)
    with_graph = load_generator(tmp_path)
    assert with_graph.sha256 == alone.sha256 and np.array_equal(with_graph(z), alone(z))


@pytest.mark.slow
@pytest.mark.parametrize("variant", [{}, {"batch_norm": True, "filter_taps": 64}], ids=["plain", "filter"])
def test_its_latent_vectors_are_recovered(tmp_path, variant):
    write(tmp_path, width=3, **variant)
    generator = load_generator(tmp_path)
    true = random_latent(generator, 4, 1)
    result = recover(generator(true), generator, solver=LevenbergMarquardt(60, 3))
    assert (latent_mse(true, result.z) < EXACT).all()


def test_a_training_graph_under_the_generator_s_name_is_told_what_it_is(tmp_path):
    write(tmp_path, width=1)
    v1 = tf.compat.v1
    with tf.Graph().as_default():
        v1.summary.audio("G_z", v1.placeholder(tf.float32, [None, 16384, 1]), 16384)
        v1.train.export_meta_graph(str(tmp_path / "infer.meta"))
    refused(tmp_path, "infer.meta: the graph of a training run, not of its generator; take it away")


def test_the_newest_checkpoint_counts(tmp_path):
    """By its number: model.ckpt-7 comes before model.ckpt-12."""
    write(tmp_path, width=1, seed=1)
    z, expected = write(tmp_path / "later", width=1, seed=2)
    for path in (tmp_path / "later").glob("model.ckpt-7.*"):
        path.rename(tmp_path / path.name.replace("-7", "-12"))
    assert np.abs(load_generator(tmp_path)(z) - expected).max() < 1e-4  # far from what the other weights make


@pytest.mark.parametrize("name, version", [("best_score", "V2"), ("model.ckpt", "V1")])
def test_the_best_by_inception_score_and_the_older_format(tmp_path, name, version):
    z, expected = write(tmp_path / "run", width=1)
    (tmp_path / "other").mkdir()
    v1, reader = tf.compat.v1, tf.train.load_checkpoint(str(tmp_path / "run" / "model.ckpt-7"))
    with tf.Graph().as_default(), v1.Session() as session:
        for key in reader.get_variable_to_shape_map():
            if key.startswith("G/"):
                v1.get_variable(key, initializer=reader.get_tensor(key), use_resource=False)
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver(write_version=getattr(v1.train.SaverDef, version))
        saver.save(session, str(tmp_path / "other" / name), 100)
    generator = load_generator(tmp_path / "other")
    assert np.array_equal(generator(z), load_generator(tmp_path / "run")(z))


def test_a_pickle_under_a_checkpoint_s_name_is_not_opened(tmp_path):
    (tmp_path / "model.ckpt").write_bytes(b"\x80\x04cos\nsystem\n.")
    refused(tmp_path, "model.ckpt: a PyTorch file or another pickle")


def refused(folder, words, facts=""):
    with pytest.raises(CheckpointError, match=words) as error:
        load_generator(folder, facts)
    assert "\n" not in str(error.value)


def test_a_length_is_declared_or_asked_for(tmp_path):
    z, expected = write(tmp_path, length=32768, width=1)
    (tmp_path / "args.txt").unlink()
    refused(tmp_path, "its layers make 32,768 or 65,536 samples, and no args.txt beside it says which: set num_samples")
    generator = load_generator(tmp_path, "num_samples=32768")
    assert generator(z).shape == expected.shape and np.abs(generator(z) - expected).mean() < 1e-4  # far from 65,536's
    refused(tmp_path, "num_samples is 16,384; the 6 layers", "num_samples=16384")
    (tmp_path / "args.txt").write_text("data_slice_len,many\n")
    refused(tmp_path, "args.txt: data_slice_len is 'many'")


def test_the_script_writes_as_many_samples_as_are_wanted_of_the_length_that_is_given(tmp_path):
    write(tmp_path, length=32768, width=1)
    (tmp_path / "args.txt").unlink()
    folders = f"--checkpoint={tmp_path}", f"--output={tmp_path / 'out'}"
    assert run_script("generate.py", *folders, "--num_samples=2", "--facts=num_samples=32768") == 0
    assert {path.name for path in (tmp_path / "out").glob("*.wav")} == {"0.wav", "1.wav"}
    assert soundfile.info(tmp_path / "out/1.wav").frames == 32768
    (tmp_path / "args.txt").write_text("data_slice_len,16384\n")
    refused(tmp_path, "args.txt: data_slice_len is 16,384; the 6 layers")


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    v1 = tf.compat.v1
    cases = {
        "a checkpoint of D/downconv_0/conv1d/kernel …, without a WaveGAN's generator": {
            "D/downconv_0/conv1d/kernel": (25, 1, 2)
        },
        "has 0 layers upconv": {"G/dense/kernel": (4, 4)},
        "which a WaveGAN has not": {"G/embedding": (10, 8)},
        "is not finite": {"G/z_project/dense/bias": np.nan},
        "where a WaveGAN has": {"G/upconv_2/conv1d/bias": (5,)},
    }
    for i, (words, changed) in enumerate(cases.items()):
        folder = tmp_path / str(i)
        shapes = {"G/z_project/dense/kernel": (4, 256), "G/z_project/dense/bias": (256,)}
        for layer, (channels, out) in enumerate(zip((16, 8, 4, 2, 1), (8, 4, 2, 1, 1))):
            shapes |= {f"G/upconv_{layer}/conv1d/kernel": (25, channels, out), f"G/upconv_{layer}/conv1d/bias": (out,)}
        arrays = {name: np.ones(shape, np.float32) for name, shape in (shapes if i > 1 else {}).items()}
        for name, value in changed.items():
            arrays[name] = np.ones(value, np.float32) if isinstance(value, tuple) else arrays[name] * value
        with tf.Graph().as_default(), v1.Session() as session:
            for name, array in arrays.items():
                v1.get_variable(name, initializer=array, use_resource=False)
            session.run(v1.global_variables_initializer())
            v1.train.Saver().save(session, str(folder / "model.ckpt-3"))
        refused(folder, words)
