"""A generator's own clips among recordings: taken as they are or prepared, and what is said of them."""

import numpy as np
import pytest
import soundfile
import tf1_wavegan
from run_script import run_script

from common.columns import in_words
from models.audio.clip import Clip, prepare
from models.generator.generator import generate, random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, latent_mse
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.perceptual import Perceptual
from models.recovery.recover import recovered_clips

SCRIPT = "latent_vector_recovery.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny WaveGAN of 8 latent dimensions at 16,000 Hz."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tf1_wavegan.write(folder, latent_dim=8, width=2, seed=5, sample_rate=16000)
    return folder


@pytest.fixture(scope="module")
def generator(folder):
    return load_generator(folder)


def test_own_clips_are_recovered_as_they_are_and_recordings_prepared(generator, tmp_path):
    true = random_latent(generator, 2, 3)
    for i, wave in enumerate(generate(generator, true)):
        soundfile.write(tmp_path / f"{i}.wav", wave, 16000, subtype="PCM_16")
    tone = 0.3 * np.sin(np.arange(16384) / 9) * np.hanning(16384)
    soundfile.write(tmp_path / "tone.wav", tone, 16000)
    clips = [prepare(tmp_path / name, preparation=generator.preparation) for name in ("0.wav", "tone.wav", "1.wav")]
    for solver in (Perceptual(steps=2, exact=LevenbergMarquardt(60, 3)), LevenbergMarquardt(60, 3)):
        recovery, forms = recovered_clips(clips, generator, solver=solver)
        assert (latent_mse(true, recovery.z[[0, 2]]) < EXACT).all() and latent_mse(true[:1], recovery.z[1:2]) > EXACT
        assert np.array_equal(forms[0].samples, clips[0].as_it_is) and forms[1] is clips[1]
        assert recovery.matched.shape == (3, 16384, 1) and np.isfinite(recovery.matched).all()


@pytest.mark.parametrize("rate, length", [(22050, 16384), (44100, 65536)])
def test_clips_of_16_bits_are_exact_at_any_rate_and_length(rate, length, tmp_path):
    tf1_wavegan.write(tmp_path, latent_dim=8, width=2, length=length, seed=3, sample_rate=rate)
    generator = load_generator(tmp_path)
    true, paths = random_latent(generator, 2, 6), [tmp_path / "0.wav", tmp_path / "1.wav"]
    for path, wave in zip(paths, generate(generator, true)):
        soundfile.write(path, wave, generator.sample_rate, subtype="PCM_16")
    clips = [prepare(path, num_samples=length, preparation=generator.preparation) for path in paths]
    recovery, _ = recovered_clips(clips, generator, solver=LevenbergMarquardt())
    assert generator.sample_rate == rate and (latent_mse(true, recovery.z) < EXACT).all()


def test_a_prediction_takes_the_form_that_it_explains_better(generator):
    true = random_latent(generator, 2, 4)
    own = generate(generator, true)[..., 0]

    class Mapping:
        def predict_on_batch(self, waveforms):
            return true

    clips = [Clip(0.5 * own[0], gain=0.5, as_it_is=own[0]), Clip(own[1], as_it_is=0.5 * own[1])]
    _, forms = recovered_clips(clips, generator, inverse_mapping=Mapping())
    assert forms[0].gain == 1 and np.array_equal(forms[0].samples, own[0]) and forms[1] is clips[1]


def test_the_script_says_form_share_and_deviation(folder, generator, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    z = random_latent(generator, 1, 9)
    soundfile.write(tmp_path / "in/made.wav", generate(generator, z)[0], 16000, subtype="PCM_16")
    soundfile.write(tmp_path / "in/tone.wav", 0.3 * np.sin(np.arange(9000) / 9), 16000)
    arguments = f"--files={tmp_path / 'in'}", f"--checkpoint={folder}", "--gradient", "--inverse_mapping=False"
    assert run_script(SCRIPT, *arguments, f"--output={tmp_path / 'out'}", "--max_iter=60") == 0
    lines = capsys.readouterr().out.splitlines()
    made, tone = (next(line for line in lines if f"{name}.wav: " in line) for name in ("made", "tone"))
    assert "as it is: identical" in made and "this generator's, untouched" in made
    assert "coordinates ±" in made and "as it is" not in tone and "made by it" not in tone
    assert np.load(tmp_path / "out/made_std.npy").shape == (8,)
    assert np.abs(np.load(tmp_path / "out/made.npy") - z).max() < 0.01
    std = (tmp_path / "out/latents_std.csv").read_text().splitlines()
    assert len(std) == 2 and std[0].startswith("file,code,z0")


def test_identical_is_not_said_of_what_is_known_to_be_wrong():
    row = {"snr_db": 43.0, "log_spectral_distance": 0.1, "explained": 0.9999, "at_bound": 4, "z_std": 0.01}
    words = in_words(row)
    assert "identical" not in words and "4 coordinates at the bounds" in words and "--facts=bounds=2" in words
    assert "identical" in in_words(row | {"at_bound": 0})
    assert "identical" not in in_words(row | {"at_bound": 0}, wrong=True)
