"""The loader against TensorFlow 1: every variant of WaveGAN's checkpoint, written and run by tf.compat.v1."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf1_wavegan

from models.files.errors import CheckpointError
from models.generator.jacobian.graph_walk import GraphWalk
from models.generator.layers import SubpixelWaveGAN
from models.generator.loading import load_generator
from models.generator.readers.tf1 import as_function, checkpoint_prefix, freeze
from models.generator.tf1_export import export_wavegan
from models.training.wavegan.losses import RAMP_STEPS
from models.training.wavegan.training import WaveGANTraining

VARIANTS = {
    "published": {},
    "batch normalisation": {"batch_norm": True},
    "filter": {"filter_taps": 512},
    "nearest neighbour": {"upsample": "nn"},
    "kernel, width, latent size, channels": {"kernel": 24, "width": 3, "latent_dim": 50, "channels": 2},
    "filter over channels": {"channels": 2, "filter_taps": 64},
    "32,768 samples": {"length": 32768, "batch_norm": True},
    "65,536 samples": {"length": 65536, "width": 1},
    "training run": {"training_run": True},
    "unrelated nodes": {"unrelated": True},
    "resource variables": {"resource": True},
}


def rounding(folder, z, session):
    """How far two float32 evaluations of a WaveGAN may be apart: 16 times what separates the session's, in the same
    run, from float64.

    Both carry the roundings of the same sums in another order. Summed one by one, n terms err by about sqrt(n)
    roundings, in blocks by far fewer; here n is 800 at most and 16 covers any two orders, where a wrong tap or a wrong
    filter is off by thousands of times as much.
    """
    meta = next(folder.glob("**/infer.meta"))
    exact = GraphWalk(as_function(freeze(meta, checkpoint_prefix(folder))[0], meta)).compiled(tf.float64)(z)
    return 16 * np.abs(session - exact).max()


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_equals_tensorflow_1(tmp_path, variant):
    z, expected = tf1_wavegan.write(tmp_path, **variant)
    graph, fast = load_generator(tmp_path, subpixel=False), load_generator(tmp_path)
    assert (
        not isinstance(graph.function, SubpixelWaveGAN)
        and isinstance(fast.function, SubpixelWaveGAN)
        and fast.sha256 == graph.sha256
    )
    assert (fast.latent_dim, fast.num_samples, fast.num_channels) == (z.shape[1], *expected.shape[1:])
    allowed = rounding(tmp_path, z, expected)
    assert np.abs(graph(z) - expected).max() < allowed and np.abs(fast(z) - expected).max() < allowed


@pytest.mark.parametrize(
    "variant", [{}, {"batch_norm": True, "upsample": "nn", "width": 1}, {"filter_taps": 512, "latent_dim": 7}]
)
def test_jacobians_agree_with_reverse_mode(tmp_path, variant):
    z, _ = tf1_wavegan.write(tmp_path, trials=2, **variant)
    weights = tf.random.stateless_normal((2, 16384), (1, 2))
    with tf.GradientTape() as tape:
        latent = tf.constant(z)
        tape.watch(latent)
        total = tf.reduce_sum(weights * load_generator(tmp_path)(latent)[..., 0])
    expected = tape.gradient(total, latent)
    for subpixel in (True, False):
        _, jacobian, _ = load_generator(tmp_path, subpixel=subpixel).jacobian(z, np.zeros(2, np.float32))
        terms = np.asarray(jacobian, float) * np.asarray(weights, float)[:, None]
        # Sums of at most 800 products in each of five layers, as in `rounding`; the terms err independently.
        allowed = 16 * np.sqrt(5 * 800) * np.finfo(np.float32).eps * np.sqrt((terms**2).sum(axis=2)).max()
        assert np.abs(terms.sum(axis=2) - expected).max() < allowed


def test_the_smoothed_jacobian_is_that_of_the_mean_over_noise(tmp_path):
    """Against the mean of plain Jacobians over sampled noise: much closer to it than the plain Jacobian is."""
    tf1_wavegan.write(tmp_path, latent_dim=6, width=1)
    generator = load_generator(tmp_path)
    z, sigma = np.full((1, 6), 0.1, np.float32), 0.3
    noise = np.random.default_rng(0).normal(0, sigma, (400, 6)).astype(np.float32)
    sampled = np.mean([generator.jacobian(z + n, np.zeros(1))[1].numpy() for n in noise], axis=0)
    smooth, plain = (generator.jacobian(z, np.array([s], np.float32))[1].numpy() for s in (sigma, 0.0))
    assert np.linalg.norm(smooth - sampled) < 0.6 * np.linalg.norm(plain - sampled)


def test_a_graph_that_is_no_wavegan_runs_as_the_graph(tmp_path, monkeypatch):
    """What has a WaveGAN's variables but sounds different, by no more than float32 can tell, is not taken for one."""
    z, expected = tf1_wavegan.write(tmp_path, kernel=25)
    original = SubpixelWaveGAN.__call__
    monkeypatch.setattr(SubpixelWaveGAN, "__call__", lambda self, z: original(self, z) * (1 + 1e-6))
    generator = load_generator(tmp_path)
    assert not isinstance(generator.function, SubpixelWaveGAN) and np.abs(generator(z) - expected).max() < rounding(
        tmp_path, z, expected
    )


@pytest.mark.parametrize(
    "variant", [{}, {"batch_norm": True, "upsample": "nn"}, {"filter_taps": 512, "resource": True}]
)
def test_a_frozen_wavegan_is_the_same_generator(tmp_path, variant):
    """As the authors' train.py leaves it once it is frozen: constants with the variables' names. It is as fast, and has
    the same fingerprint.
    """
    (tmp_path / "meta").mkdir()
    (tmp_path / "pb").mkdir()
    z, expected = tf1_wavegan.write(tmp_path / "meta", **variant)
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(str(tmp_path / "meta" / "infer.meta")).restore(
            session, str(tmp_path / "meta" / "model.ckpt")
        )
        frozen = v1.graph_util.convert_variables_to_constants(session, session.graph_def, ["G_z"])
    (tmp_path / "pb" / "gan.pb").write_bytes(frozen.SerializeToString())
    meta, pb = load_generator(tmp_path / "meta"), load_generator(tmp_path / "pb")
    assert isinstance(pb.function, SubpixelWaveGAN) and pb.description == meta.description
    assert pb.sha256 == meta.sha256 and np.array_equal(pb(z), meta(z))


@pytest.mark.parametrize("lowpass", [0, 4000])
def test_our_export_reads_as_wavegans(tmp_path, lowpass):
    model = WaveGANTraining(2, lowpass=lowpass)
    rng = np.random.default_rng(4)
    model.averaged.set_weights([rng.normal(0, 0.06, w.shape) for w in model.averaged.get_weights()])
    model.step.assign(RAMP_STEPS[1])  # from then on the first layer that is exported differs from the one that learns
    export_wavegan(tmp_path, model.exported(), step=12)
    z = np.random.default_rng(3).uniform(-1, 1, (4, 100)).astype(np.float32)
    window = np.hanning(16384)  # a bin is a Hertz
    filtered, plain = (
        np.abs(np.fft.rfft(window * np.asarray(g(z))[..., 0]))[:, 4300:] for g in (model, model.averaged)
    )
    assert not lowpass or filtered.max() < 1e-2 * plain.max()
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:  # as the published scripts and WaveGAN's notebook do it
        saver = v1.train.import_meta_graph(str(tmp_path / "infer.meta"))
        saver.restore(session, str(tmp_path / "model.ckpt"))
        waves, flat = session.run(["G_z:0", "G_z_flat_int16:0"], {"z:0": z, "flat_pad:0": 8})
        assert session.run("global_step:0") == 12 and session.run("samp_z:0", {"samp_z_n:0": 5}).shape == (5, 100)
    allowed = rounding(tmp_path, z, waves)
    assert np.abs(waves - model(z)).max() < allowed and np.abs(load_generator(tmp_path)(z) - model(z)).max() < allowed
    assert flat.shape == (4 * (16384 + 8), 1) and flat.dtype == np.int16


def test_frozen_graph_and_keras_model(tmp_path):
    inputs = keras.Input((5,))
    model = keras.Model(inputs, keras.layers.Reshape((64,))(keras.layers.Dense(64, "tanh")(inputs)))
    (tmp_path / "k").mkdir()
    model.save(tmp_path / "k" / "gan.keras")
    kernel, bias = model.get_weights()
    with tf.Graph().as_default() as graph:
        z = tf.compat.v1.placeholder(tf.float32, [None, 5], "z")
        tf.identity(tf.tanh(z @ tf.constant(kernel) + tf.constant(bias)), "G_z")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "gan.pb").write_bytes(graph.as_graph_def().SerializeToString())
    z = np.random.default_rng(0).uniform(-1, 1, (3, 5)).astype(np.float32)
    for folder in "kp":
        generator = load_generator(tmp_path / folder)
        assert (generator.latent_dim, generator.num_samples, generator.num_channels) == (5, 64, 1)
        slope = kernel * (1 - np.asarray(model(z))[0] ** 2)
        few = 16 * np.finfo(np.float32).eps  # sums of six terms below 1
        assert np.abs(generator(z)[..., 0] - model(z)).max() < few
        assert np.abs(generator.jacobian(z, np.zeros(3))[1][0] - slope).max() < few


def test_half_a_checkpoint_is_one_line_that_says_which_half(tmp_path):
    tf1_wavegan.write(tmp_path)
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    whole = data.read_bytes()

    def refused(words):
        with pytest.raises(CheckpointError, match=words) as error:
            load_generator(tmp_path)
        assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)

    data.write_bytes(whole[: len(whole) // 2])
    refused("cut or damaged")
    data.unlink()
    refused(r"model.ckpt.index: half of a checkpoint; model.ckpt.data-\* belongs beside it")
    (tmp_path / "model.ckpt.index").rename(tmp_path / "kept")
    refused("a graph without its variables; model.ckpt.index")
    (tmp_path / "kept").rename(tmp_path / "model.ckpt.index")
    data.write_bytes(whole)
    meta = (tmp_path / "infer.meta").read_bytes()
    (tmp_path / "infer.meta").write_bytes(meta[: len(meta) // 2])
    refused("infer.meta: not a MetaGraph")
    (tmp_path / "infer.meta").write_bytes(meta)
    (tmp_path / "other.keras").write_bytes(b"")
    refused("several generators")


def test_variables_of_another_checkpoint_are_named(tmp_path):
    tf1_wavegan.write(tmp_path / "a", width=2)
    tf1_wavegan.write(tmp_path / "b", width=3)
    (tmp_path / "a" / "infer.meta").replace(tmp_path / "b" / "infer.meta")
    with pytest.raises(CheckpointError, match="variable G/.* has shape"):
        load_generator(tmp_path / "b")
