"""Generators with a second input, a label or a condition, and functions that call functions."""

import csv

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from run_script import run_script
from tf1_graphs import LATENT, SAMPLES, dense, picture, sound, v1, write_pb

from models.audio.clip import Clip
from models.files.errors import CheckpointError
from models.generator.generator import Generator, random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, latent_mse
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.recover import recover, recovered_clips

LABELS = 5
TABLE = np.random.default_rng(7).uniform(0.2, 1.5, (LABELS, SAMPLES)).astype("f")
layers = keras.layers


def looked_up(z, batch=None):
    """A table looked up by a whole number, a factor of the sound."""
    y = v1.placeholder(tf.int32, [batch], "y")
    return dense(z) * tf.gather(TABLE, y)


def one_hot(z, batch=None):
    """A one-hot vector, joined to what comes of the latent vector."""
    y = v1.placeholder(tf.float32, [batch, LABELS], "y")
    return tf.tanh(tf.concat([dense(z), y], axis=1) @ np.eye(SAMPLES + LABELS, SAMPLES, -LABELS, dtype="f"))


def number(z, batch=None):
    """A number [n, 1], joined to what comes of the latent vector, as in the conditional WaveGANs."""
    y = v1.placeholder(tf.float32, [batch, 1], "y")
    return tf.tanh(tf.concat([dense(z), y], axis=1) @ np.eye(SAMPLES + 1, SAMPLES, -1, dtype="f"))


def sounds(build, z, label):
    """What the graph of `build` makes of z and one label for all, in a session of TensorFlow 1."""
    with tf.Graph().as_default() as graph, v1.Session() as session:
        latent = v1.placeholder(tf.float32, [None, LATENT], "z")
        output = build(latent)
        placeholder = graph.get_tensor_by_name("y:0")
        value = np.broadcast_to(np.asarray(label), (len(z), *placeholder.shape[1:]))
        return session.run(output, {latent: z, placeholder: value})


@pytest.mark.parametrize("batch", [None, 1])
@pytest.mark.parametrize(
    "build, count, fed", [(looked_up, LABELS, 3), (one_hot, LABELS, np.eye(LABELS)[3]), (number, None, 3)]
)
def test_bound_to_a_label_it_is_a_generator(tmp_path, build, count, fed, batch):
    labelled = load_generator(write_pb(tmp_path, lambda z: build(z, batch), batch))
    assert labelled.takes_label and (labelled.latent_dim, labelled.num_labels) == (LATENT, count)
    generator = labelled.with_label(3)
    assert not generator.takes_label and generator is labelled.with_label(3) and generator.smooths
    z = random_latent(generator, 4, 0)
    expected = sounds(build, z, fed)
    few = 64 * np.finfo(np.float32).eps  # sums of six terms below 1, then one matrix of zeros and ones
    assert np.abs(generator(z)[..., 0] - expected).max() < few
    other = labelled.with_label(1)
    assert other.sha256 != generator.sha256 and np.abs(other(z) - generator(z)).max() > 0.01
    result = recover(generator(z), generator, solver=LevenbergMarquardt(30, 2))
    assert (latent_mse(z, result.z) < EXACT).all()


def test_a_condition_is_a_vector_of_any_numbers(tmp_path):
    labelled = load_generator(write_pb(tmp_path, one_hot))
    condition, z = np.linspace(-1, 2, LABELS), np.zeros((2, LATENT), np.float32)
    assert np.allclose(labelled.with_label(condition)(z)[..., 0], sounds(one_hot, z, condition), atol=1e-5)


def test_labels_that_are_not_there(tmp_path):
    labelled = load_generator(write_pb(tmp_path, looked_up))
    for label, words in [(5, "0 to 4"), (-1, "0 to 4"), (1.5, "0 to 4"), ([1, 2], "has shape"), (np.nan, "finite")]:
        with pytest.raises(ValueError, match=words) as error:
            labelled.with_label(label)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("build", [looked_up, one_hot])
def test_a_label_that_is_not_known_is_recovered(tmp_path, build):
    labelled = load_generator(write_pb(tmp_path, build))
    true, labels = random_latent(labelled.with_label(0), 6, 1), np.array([0, 1, 2, 3, 4, 2])
    clips = [Clip(labelled.with_label(label)(z[None])[0].numpy()) for z, label in zip(true, labels)]
    recovery, _ = recovered_clips(clips, labelled, solver=LevenbergMarquardt(40, 2))
    assert recovery.label.tolist() == labels.astype(str).tolist()
    assert (recovery.margin_db > 20).all() and (recovery.runner_up != recovery.label).all()
    assert (latent_mse(true, recovery.z) < EXACT).all()
    with pytest.raises(ValueError, match="the gradient alone"):
        recovered_clips(clips, labelled, solver=None)


def test_a_generator_without_a_number_of_labels_has_to_be_told(tmp_path):
    labelled = load_generator(write_pb(tmp_path, number))
    with pytest.raises(ValueError, match="how many labels"):
        recovered_clips([], labelled, solver=LevenbergMarquardt())


def test_the_script_finds_the_label(tmp_path, weights, capsys):
    labelled = load_generator(write_pb(tmp_path / "generator", looked_up))
    true = random_latent(labelled.with_label(0), 2, 3)
    (tmp_path / "clips").mkdir()
    for i, label in enumerate((4, 1)):
        wave = labelled.with_label(label)(true[i : i + 1])[0, :, 0].numpy()
        soundfile.write(tmp_path / f"clips/{i}.wav", wave, 16000, subtype="FLOAT")
    folders = [
        f"--checkpoint={tmp_path / 'generator'}",
        f"--files={tmp_path / 'clips'}",
        f"--output={tmp_path / 'out'}",
    ]
    none = [f"--{name}_checkpoint={tmp_path / 'none'}" for name in ("classifier", "judge")]
    more = ["--gradient", "--inverse_mapping=False", "--solver=levenberg_marquardt", "--max_iter=40"]
    assert run_script("latent_vector_recovery.py", *folders, *none, *more) == 0
    with open(tmp_path / "out/recovery.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["4", "1"] and all(float(row["margin_db"]) > 20 for row in rows)
    assert "label 4, " in capsys.readouterr().out
    assert latent_mse(true, np.stack([np.load(tmp_path / f"out/{i}.npy") for i in range(2)])).max() < EXACT
    assert run_script("latent_vector_recovery.py", *folders, *none, "--hop=0.1", *more) == 1
    assert "give --facts=label=3" in capsys.readouterr().err


@pytest.mark.parametrize(
    "script, into",
    [("train.py", "inverse_mapping_checkpoint"), ("adapt_wavegan.py", "output"), ("generate.py", "output")],
)
def test_a_script_that_cannot_do_without_the_label_says_so(tmp_path, capsys, script, into):
    place = write_pb(tmp_path / "generator", looked_up)
    assert run_script(script, f"--checkpoint={place}", f"--{into}={tmp_path / 'out'}") == 1
    said = capsys.readouterr().err
    assert "takes a label besides its latent vector" in said and said.count("\n") == 1
    assert "0 to 4" in said and "give --facts=label=3" in said


def test_inputs_that_are_no_label_are_refused(tmp_path):
    def two(z):
        return looked_up(z) + v1.placeholder(tf.float32, [None, 1], "volume")

    cases = [
        (two, "volume may be anything: say in inputs what it is"),
        (lambda z: dense(z) * v1.placeholder(tf.float32, [], "volume"), "volume may be anything"),
        (lambda z: dense(z) * v1.placeholder(tf.float32, [None, SAMPLES * 64], "y")[:, :SAMPLES], "a label is"),
        (lambda z: dense(z) * tf.cast(v1.placeholder(tf.bool, [None, 1], "y"), tf.float32), "a label is a number"),
    ]
    for i, (build, words) in enumerate(cases):
        with pytest.raises(CheckpointError, match=words) as error:
            load_generator(write_pb(tmp_path / str(i), build))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("label_first", [False, True])
def test_a_keras_model_of_two_inputs(tmp_path, label_first):
    z, y = keras.Input((LATENT,), name="noise"), keras.Input((1,), name="word", dtype="int32")
    x = layers.Concatenate()([z, layers.Flatten()(layers.Embedding(LABELS, 3)(y))])
    model = keras.Model([y, z] if label_first else [z, y], layers.Dense(64, "tanh", kernel_initializer="he_normal")(x))
    model.save(tmp_path / "gan.keras")
    labelled = load_generator(tmp_path)
    assert (labelled.num_labels, labelled.num_samples, labelled.label.name) == (LABELS, 64, "word")
    latent, words = random_latent(labelled.with_label(2), 3, 0), np.full((3, 1), 2)
    expected = model([words, latent] if label_first else [latent, words])
    assert np.abs(labelled.with_label(2)(latent)[..., 0] - expected).max() < 32 * np.finfo(np.float32).eps


def test_a_function_that_calls_a_generator(tmp_path):
    """Calls of functions become what they call, so such a function has its Jacobian in forward mode, too."""
    inner = load_generator(write_pb(tmp_path, lambda z: sound(picture(z))))
    outer = Generator(tf.function(lambda u: inner(u)), LATENT, "", "")
    z = random_latent(inner, 3, 0)
    assert outer.smooths and np.array_equal(outer(z), inner(z))
    assert np.array_equal(outer.jacobian(z, np.zeros(3))[1], inner.jacobian(z, np.zeros(3))[1])
    model = keras.Sequential([keras.Input((LATENT,)), layers.Dense(64), layers.BatchNormalization()])
    called = tf.function(lambda z: model(z))
    with_variables = Generator(lambda z: called(z) * 2, LATENT, "", "")
    assert with_variables.smooths and np.array_equal(with_variables(z)[..., 0], 2 * model(z))
