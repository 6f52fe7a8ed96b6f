"""A generator's own clips anywhere in recordings of any length."""

import csv
import functools

import librosa
import numpy as np
import pytest
import soundfile
import tf1_wavegan
from run_script import run_script

from models.audio.windows import samples_of
from models.generator.generator import generate, random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, latent_mse
from models.recovery import finding
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.finding import find
from models.recovery.recover import recovered_clips

RATE, LENGTH = 16000, 16384


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny WaveGAN of 8 latent dimensions at 16,000 Hz."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tf1_wavegan.write(folder, latent_dim=8, width=2, seed=5, sample_rate=RATE)
    return folder


@pytest.fixture(scope="module")
def generator(folder):
    return load_generator(folder)


def found_in(path, generator):
    options = {"solver": LevenbergMarquardt(60, 3), "only_exact": True}
    solve = functools.partial(recovered_clips, generator=generator, **options)
    return list(find(samples_of(path, 1, generator.sample_rate), generator, solve))


def chirps(rng, count):
    """Sound that is no generator's: tones that glide, with a second's envelope."""
    seconds = np.arange(count) / RATE
    pitch = 300 + 200 * np.sin(2 * np.pi * rng.uniform(0.2, 0.5) * seconds)
    return 0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * (0.6 + 0.4 * np.sin(7 * seconds))


@pytest.mark.parametrize("background", ["silence", "chirps"])
def test_clips_at_random_places_are_found_exactly_and_none_is_invented(generator, background, tmp_path):
    rng = np.random.default_rng(3)
    samples = np.zeros(20 * RATE) if background == "silence" else chirps(rng, 20 * RATE)
    true = random_latent(generator, 6, 4)
    starts = np.sort(rng.choice(18, 6, replace=False)) * 17000 + rng.integers(0, 600, 6)
    for start, wave in zip(starts, generate(generator, true)[..., 0]):
        samples[start : start + LENGTH] = wave
    soundfile.write(tmp_path / "long.wav", samples, RATE, subtype="PCM_16")
    found = found_in(tmp_path / "long.wav", generator)
    assert [round(one.start) for one in found] == list(starts)
    assert (latent_mse(true, np.stack([one.answer.z for one in found])) < EXACT).all()


@pytest.mark.slow
def test_previews_are_found_whole_also_those_that_the_ends_cut_into(generator, tmp_path):
    true, step = random_latent(generator, 5, 7), LENGTH + 8000
    samples = np.zeros(5 * step)
    for i, wave in enumerate(generate(generator, true)[..., 0]):
        samples[i * step : i * step + LENGTH] = wave
    cut = samples[500 : 4 * step + LENGTH - 400]
    soundfile.write(tmp_path / "preview.wav", cut, RATE, subtype="PCM_16")
    found = found_in(tmp_path / "preview.wav", generator)
    assert [round(one.start) for one in found] == [i * step - 500 for i in range(5)]
    assert (latent_mse(true, np.stack([one.answer.z for one in found])) < EXACT).all()


@pytest.mark.slow
def test_a_recording_at_another_rate_is_searched_at_the_generators(generator, tmp_path):
    true, starts = random_latent(generator, 2, 9), [5000, 41234]
    samples = np.zeros(70000)
    for start, wave in zip(starts, generate(generator, true)[..., 0]):
        samples[start : start + LENGTH] = wave
    soundfile.write(tmp_path / "other.wav", librosa.resample(samples, orig_sr=RATE, target_sr=44100), 44100, "PCM_24")
    found = found_in(tmp_path / "other.wav", generator)
    assert len(found) == 2 and np.abs(np.subtract([one.start for one in found], starts)).max() < 0.5


@pytest.mark.parametrize("samples", [np.zeros(40000), np.full(40000, 0.2), np.sin(np.arange(40000) / 7), np.zeros(100)])
def test_nothing_is_found_where_there_is_nothing(generator, samples, tmp_path):
    soundfile.write(tmp_path / "nothing.wav", 0.3 * samples, RATE, subtype="PCM_16")
    assert found_in(tmp_path / "nothing.wav", generator) == []


def test_the_shares_of_every_clip_are_those_of_each_clip_by_itself():
    rng = np.random.default_rng(0)
    rows = np.linalg.svd(rng.normal(size=(40, 300)) - 0, full_matrices=False)[2][:5]
    rows -= rows.mean(axis=1, keepdims=True)
    rows = np.linalg.svd(rows, full_matrices=False)[2]
    samples = rng.normal(size=(1000, 1)) + 0.4
    samples[400:800] = 0
    clips = np.lib.stride_tricks.sliding_window_view(samples[:, 0], 300)
    centred = clips - clips.mean(axis=1, keepdims=True)
    energy = (centred**2).sum(axis=1)
    expected = ((centred @ rows.T) ** 2).sum(axis=1) / np.maximum(energy, 1e-12)
    assert finding.shares_along(samples, rows.astype(np.float32)) == pytest.approx(expected, abs=1e-5)


def test_the_script_says_from_when_to_when_and_which(folder, generator, tmp_path, capsys):
    true, starts = random_latent(generator, 2, 8), [12345, 60000]
    samples = np.zeros(6 * RATE)
    for start, wave in zip(starts, generate(generator, true)[..., 0]):
        samples[start : start + LENGTH] = wave
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in/two.wav", samples, RATE, subtype="PCM_16")
    soundfile.write(tmp_path / "in/none.wav", np.zeros(3 * RATE), RATE, subtype="PCM_16")
    options = f"--files={tmp_path}/in --output={tmp_path}/out --checkpoint={folder} --inverse_mapping=False --find"
    assert run_script("latent_vector_recovery.py", *options.split()) == 0
    printed = capsys.readouterr().out
    assert "none.wav: 0 clips" in printed
    assert "0.772 to 1.796 s: identical" in printed and "3.750 to 4.774 s: identical" in printed
    with open(tmp_path / "out/two.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["start"]) for row in rows] == pytest.approx([start / RATE for start in starts], abs=1e-3)
    assert (latent_mse(true, np.load(tmp_path / "out/two.npy")) < EXACT).all()
    assert np.load(tmp_path / "out/none.npy").shape == (0, 8)
    reconstruction, rate = soundfile.read(tmp_path / "out/two_reconstruction.wav")
    assert rate == RATE and len(reconstruction) == len(samples)
    assert np.abs(reconstruction - samples).max() < 1e-3
    assert run_script("latent_vector_recovery.py", *options.split()) == 0
    assert "2 of 2 recordings are done" in capsys.readouterr().out
