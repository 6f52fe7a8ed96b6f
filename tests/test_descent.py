"""Recovery by ear: the objective, the descent, which clips are solved exactly, the first layer's space, adaptation."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf1_wavegan

from models.generator.generator import Generator, generate, random_latent
from models.generator.loading import load_generator
from models.generator.readers.tf1 import freeze
from models.generator.tf1_export import export_wavegan, wavegan_variables
from models.metrics.metrics import latent_mse, log_spectral_distance
from models.recovery import perceptual as perceptual_solver
from models.recovery.ear import Descent, Objective, latent_descent, take, unbounded
from models.recovery.layer import Layer, generate_from_layer
from models.recovery.perceptual import Perceptual
from models.recovery.recover import recover
from models.recovery.starts import predict, random_starts
from models.training.adaptation import adapt
from models.training.wavegan.networks import build_generator


def speech(n=3):
    """Clips that no generator here made: tones that rise and fall."""
    time = np.arange(16384) / 16384
    pitch = 200 * (1 + np.arange(n)[:, None]) * (1 + 0.3 * np.sin(4 * time))
    return (0.4 * np.sin(2 * np.pi * np.cumsum(pitch, axis=1) / 16384) * np.hanning(16384)).astype(np.float32)


def test_the_objective_is_the_perceptual_loss_and_the_log_spectral_distance(generator, perceptual_loss):
    clips, others = speech(), generate(generator, random_latent(generator, 3, 1))
    objective = Objective(perceptual_loss, 0.7)
    perceptual = np.asarray(perceptual_loss(clips, others[..., 0]))
    found = objective(objective.originals(clips[..., None]), others).numpy()
    spectral = Objective(None, 1.0)
    distance = 10 * spectral(spectral.originals(clips[..., None]), others).numpy()
    assert np.allclose(found, perceptual + 0.07 * distance, rtol=1e-4)
    # Where the metric cuts at its floor, the objective adds it: at most 3 dB a bin of either clip.
    assert np.abs(distance - log_spectral_distance(clips, others[..., 0])).max() < 20 * np.log10(2)
    assert (spectral(spectral.originals(clips[..., None]), clips[..., None]).numpy() < 1e-3).all()


def test_a_descent_never_ends_above_its_start_and_clips_do_not_depend_on_each_other(generator, perceptual_loss):
    clips, u = speech()[..., None], unbounded(random_latent(generator, 3, 2), 1.0)
    objective = Objective(perceptual_loss)
    descent, originals = latent_descent(generator, objective), objective.originals(clips)
    begun = descent.values(u, originals)
    ends, values = descent.run(u, originals, steps=12)
    assert (values < begun).all() and np.allclose(values, descent.values(ends, originals), rtol=1e-4)
    alone, value = descent.run(u[1:2], take(originals, [1]), steps=12)
    gained = begun[1] - values[1]  # float32 rounding of other batch sizes, which a descent magnifies, is far below it
    assert abs(value[0] - values[1]) < 0.1 * gained and ends.shape == (3, 8)
    _, worst = descent.run(u, originals, steps=3, rate=1e6)  # a rate that throws every clip out
    assert (worst <= begun * (1 + 1e-5)).all()


def test_a_descent_finds_the_least_of_a_quadratic_and_stays_where_it_may():
    def distance(originals, waveforms):
        return tf.reduce_sum((waveforms - originals[0]) ** 2, axis=1)

    goal = np.array([[0.5, -2.0], [3.0, 1.0]], np.float32)
    free, values = Descent(distance, tf.identity).run(np.zeros((2, 2)), [tf.constant(goal)], steps=400, rate=0.3)
    assert np.abs(free - goal).max() < 0.05 and values.max() < 0.01
    kept, _ = Descent(distance, tf.identity, tf.nn.relu).run(np.zeros((2, 2)), [tf.constant(goal)], steps=400, rate=0.3)
    assert np.abs(kept - np.maximum(goal, 0)).max() < 0.05


@pytest.mark.slow
def test_both_kinds_of_clips_in_one_batch(generator, perceptual_loss):
    true = random_latent(generator, 2, 3)
    clips = np.concatenate([generate(generator, true)[..., 0], speech(2)])[[0, 2, 1, 3]]
    found = recover(clips, generator, solver=Perceptual(perceptual_loss, steps=10), seed=4)
    assert (latent_mse(true, found.z[[0, 2]]) < 1e-8).all() and (found.snr_db[[0, 2]] > 80).all()
    assert (np.abs(found.z) <= 1).all() and (found.snr_db[[1, 3]] < 20).all()
    objective = Objective(perceptual_loss)
    originals = objective.originals(clips[[1, 3], :, None])
    assert np.allclose(objective(originals, found.waveforms[[1, 3]]).numpy(), found.objective[[1, 3]], rtol=1e-3)
    pool, _ = perceptual_solver._pool(generator, perceptual_loss, (4,))
    at_random = [
        np.median(objective([t[i : i + 1] for t in originals], generate(generator, pool[:32]))) for i in (0, 1)
    ]
    assert (found.objective[[1, 3]] < at_random).all()


def test_the_answer_is_never_worse_than_the_prediction(generator, perceptual_loss):
    class Mapping:
        def predict_on_batch(self, waveforms):
            return np.full((len(waveforms), 8), 0.999, np.float32)  # where tanh has no slope left

    clips, objective = speech(), Objective(perceptual_loss)
    start = predict(clips, Mapping())
    found = recover(clips, generator, solver=Perceptual(perceptual_loss, steps=1), start=start)
    begun = objective(objective.originals(clips[..., None]), generator(predict(clips, Mapping()))).numpy()
    again = objective(objective.originals(clips[..., None]), found.waveforms).numpy()
    assert (again <= begun * (1 + 1e-4)).all()


def test_random_starts_belong_to_their_clips_and_to_no_other_use_of_the_seed(generator):
    clips = speech(3)
    starts = random_starts(clips, 8, [0, 0])
    assert (random_starts(clips[::-1], 8, [0, 0])[::-1] == starts).all() and np.abs(starts).max() <= 1
    assert (random_starts(clips, 8, [1, 0]) != starts).any(axis=1).all()
    assert not (random_latent(generator, 3, 0) == starts).any()
    pool, _ = perceptual_solver._pool(generator, None, (0,))
    assert not np.isin(random_latent(generator, 64, 0), pool).any()


def test_the_first_layers_space_reaches_further(generator, perceptual_loss):
    clips = speech()
    z = recover(clips, generator, solver=Perceptual(perceptual_loss, steps=5)).z
    assert np.allclose(generate_from_layer(generator, generator.first_layer(z)), generate(generator, z), atol=1e-6)
    found = recover(clips, generator, layer=Layer(perceptual_loss, steps=20), start=z)
    objective = Objective(perceptual_loss, 1.0)
    begun = objective(objective.originals(clips[..., None]), generate(generator, z)).numpy()
    assert (found.objective < begun).all() and found.layer.shape == (3, 16, 32) and found.layer.min() >= 0
    assert np.allclose(generate_from_layer(generator, found.layer), found.waveforms)
    with pytest.raises(ValueError, match="first layer"):
        plain = Generator(lambda z: z[:, :1, None] * tf.ones((1, 16384, 1)), 8, "plain", "")
        recover(clips, plain, layer=Layer(), start=z)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nearest", pytest.param("transposed", marks=pytest.mark.slow)])
def test_adaptation_nears_its_recordings_and_keeps_the_rest(tmp_path, kind):
    keras.utils.set_random_seed(0)  # of so few channels, all may be dead
    variables = wavegan_variables(build_generator(width=2, latent_dim=8))
    if kind == "transposed":
        tf1_wavegan.write(tmp_path, latent_dim=8, width=2, seed=5)
        _, variables = freeze(tmp_path / "infer.meta", tmp_path / "model.ckpt")
    clips, z = speech(2), np.full((2, 8), [[0.9], [-0.9]], np.float32)
    losses = []
    options = {"spectral_weight": 1.0, "steps": 40, "report": lambda done, loss: losses.append(loss)}
    tuned = adapt(variables, clips, z, **options)
    assert set(tuned) == set(variables) and losses[-1] < losses[0] and len(losses) == 40
    export_wavegan(tmp_path / "tuned", tuned)
    export_wavegan(tmp_path / "before", variables)
    before, after = load_generator(tmp_path / "before"), load_generator(tmp_path / "tuned")
    assert before.sha256 != after.sha256
    near = log_spectral_distance(clips, generate(after, z)[..., 0]) < log_spectral_distance(
        clips, generate(before, z)[..., 0]
    )
    assert near.all()
    others = random_latent(before, 16, 7)

    def drift(adapted):
        was, now = generate(before, others), generate(adapted, others)
        return np.sum((was - now) ** 2) / np.sum(was**2)

    export_wavegan(tmp_path / "free", adapt(variables, clips, z, keeping_weight=0.0, **options))
    assert drift(after) < drift(load_generator(tmp_path / "free"))
    with pytest.raises(ValueError, match="adapted"):
        adapt({"G/z_project/dense/kernel": np.zeros((8, 512))}, clips, z)
