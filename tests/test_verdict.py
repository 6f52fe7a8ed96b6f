"""Who made a sound, from what its latent vector leaves of it."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.signal
import soundfile
import tf1_wavegan
from run_script import run_script

from common.verdicts import WORDS, channel_in_words, in_words, made_by
from models.audio.clip import Clip
from models.generator.generator import generate
from models.generator.loading import load_generator
from models.recovery import verdict as v
from models.recovery.problem import Alignment
from models.recovery.remainder import Remainder, remainder

STEP, SAMPLES = 1 / 32767, 16384


@pytest.fixture(scope="module")
def sound():
    """A sound [samples, 1] that changes with time as speech does: syllables of noise, each of its own pitch."""
    rng, syllables = np.random.default_rng(1), []
    for frequency in (0.05, 0.12, 0.08, 0.2):
        filtered = scipy.signal.lfilter(
            *scipy.signal.butter(2, [frequency, 2 * frequency], "band"), rng.normal(size=4096)
        )
        syllables.append(filtered / filtered.std() * np.hanning(4096) ** 2 * rng.uniform(0.05, 0.2))
    return np.concatenate(syllables)[:, None]


def rounded(samples, step=STEP):
    return np.round(samples / step) * step


def said(sound, target, step=STEP, explained=0.999, channel=None):
    return v.verdict(explained, remainder(sound, target, step=step), channel)


def noise(seed, sound, db):
    return sound.std() * 10 ** (-db / 20) * np.random.default_rng(seed).normal(size=sound.shape)


@pytest.mark.parametrize("step", [1 / 128, 1 / 32767, 0.0])
def test_what_is_left_of_rounding_is_untouched(sound, step):
    target = rounded(sound, step) if step else sound.astype(np.float32)
    assert said(sound, target, step) == v.UNTOUCHED


def test_dither_is_untouched_too(sound):
    dither = np.random.default_rng(2).uniform(-0.5, 0.5, (2, *sound.shape)).sum(axis=0) * STEP
    assert said(sound, rounded(sound + dither)) == v.UNTOUCHED


@pytest.mark.parametrize("db", [60, 40, 20])
@pytest.mark.parametrize("seed", range(5))
def test_steady_noise_is_noise_whatever_its_level(sound, db, seed):
    assert said(sound, rounded(sound + noise(seed, sound, db))) == v.NOISE


def test_hum_is_noise_too(sound):
    hum = 0.01 * sound.std() * np.sin(np.arange(SAMPLES) * 2 * np.pi * 50 / 16384)[:, None]
    assert said(sound, rounded(sound + hum)) == v.NOISE


def relative(seed, sound, db):
    """Something that is loud where the sound is, in its bands, but none of its filterings."""
    frequencies, times, spectrum = scipy.signal.stft(sound[:, 0], nperseg=256)
    turned = np.abs(spectrum) * np.exp(2j * np.pi * np.random.default_rng(seed).uniform(size=spectrum.shape))
    wave = scipy.signal.istft(turned, nperseg=256)[1][: len(sound), None]
    return wave / wave.std() * sound.std() * 10 ** (-db / 20)


@pytest.mark.parametrize("db", [50, 30, 15])
@pytest.mark.parametrize("seed", range(5))
def test_what_follows_the_sound_is_never_called_the_generators_own(sound, db, seed):
    target = rounded(sound + relative(seed, sound, db))
    assert said(sound, target, channel="") == said(sound, target) == v.UNSURE


def test_what_is_steadier_than_the_sound_is_no_noise_where_its_spectrum_follows():
    """As measured of weights that are a thousandth off; then of hum, whose level happens to go with the sound's."""
    relative = Remainder(2e-6, 3e-7, 0.54, 3.5, 0.68, (0.24, 0.9), 2e-6)
    hum = Remainder(1e-4, 3e-7, 0.2, 2.5, 0.19, (0.0, 0.78), 1e-2)
    assert v.verdict(1.0, relative) == v.UNSURE and v.verdict(0.99, hum) == v.NOISE


def test_a_filter_that_was_not_looked_for_cannot_be_told_from_a_relative(sound):
    filtered = scipy.signal.lfilter(*scipy.signal.butter(1, 0.05, "high"), sound, axis=0)
    assert said(sound, rounded(filtered)) == v.UNSURE
    assert said(filtered, rounded(filtered), channel="filtered") == v.CHANNEL
    assert said(filtered, rounded(filtered + noise(1, sound, 40)), channel="filtered") == v.CHANNEL


def test_with_a_sound_that_does_not_change_noise_and_a_relative_cannot_be_told_apart():
    steady = 0.1 * np.random.default_rng(3).normal(size=(SAMPLES, 1))
    assert said(steady, rounded(steady + noise(4, steady, 40))) == v.UNSURE
    assert said(steady, rounded(steady)) == v.UNTOUCHED


def test_what_no_latent_vector_explains_is_none_of_its_sounds(sound):
    for explained in (0.0, 0.79, np.nan):
        assert said(sound, rounded(sound), explained=explained) == v.OTHER


def test_only_samples_that_are_known_count(sound):
    target, known = rounded(sound), np.ones_like(sound)
    target[3000:5000], known[3000:5000] = 0.5, 0
    assert v.verdict(1.0, remainder(sound, target, known, STEP)) == v.UNTOUCHED
    assert v.verdict(1.0, remainder(sound, target, step=STEP)) != v.UNTOUCHED


def test_silence_is_silence_and_a_constant_too():
    assert v.is_silent(np.zeros((SAMPLES, 1))) and v.is_silent(np.full((SAMPLES, 1), 0.3))
    last_bit = STEP * np.random.default_rng(0).integers(0, 2, (SAMPLES, 1))
    assert v.is_silent(last_bit, STEP) and not v.is_silent(last_bit)


def test_the_step_of_a_file_is_seen_in_its_samples(sound):
    for step in v.STEPS:
        assert v.step_of(np.float32(rounded(sound, step))) == step
    assert v.step_of(np.float32(sound)) == 0


def test_the_generator_that_leaves_the_least_is_named_with_its_margin():
    assert v.nearest({"a/": 1e-3, "b/": 1e-7, "c/": 1.0}) == ("b/", "a/", pytest.approx(40))


@pytest.mark.slow
def test_the_script_says_which_of_several_generators_made_a_sound(tmp_path, capsys):
    for name, seed in (("a", 5), ("b", 6)):
        (tmp_path / name).mkdir()
        tf1_wavegan.write(tmp_path / name, latent_dim=8, width=2, seed=seed)
    maker = load_generator(tmp_path / "b")
    own = generate(maker, np.full((1, 8), 0.3, np.float32))[0]
    soundfile.write(tmp_path / "own.wav", own, maker.sample_rate, subtype="PCM_16")
    checkpoints, wav = f"{tmp_path}/a,{tmp_path}/b", f"--files={tmp_path / 'own.wav'}"
    arguments = wav, f"--checkpoint={checkpoints}", "--gradient", "--inverse_mapping=False", "--budget=60"
    assert run_script("latent_vector_recovery.py", *arguments, "--channels=", f"--output={tmp_path / 'out'}") == 0
    assert f"closest to {tmp_path}/b, " in capsys.readouterr().out
    (row,) = csv.DictReader((tmp_path / "out/recovery.csv").open())
    assert row["closest"] == f"{tmp_path}/b" and row["next"] == f"{tmp_path}/a" and float(row["closer_db"]) > 40


def test_a_click_says_nothing_of_who_made_a_sound(sound):
    target = rounded(sound).astype(np.float32)
    target[8000:8005] += 0.5
    answer = SimpleNamespace(
        alignment=Alignment(), explained=1.0, matched=sound.astype(np.float32), sample_rate=SAMPLES, altered=""
    )
    assert made_by(Clip(target[:, 0]), answer) == v.UNTOUCHED
    answer.altered = "hit by a click"
    assert made_by(Clip(target[:, 0]), answer) == v.CHANNEL and channel_in_words(answer) == "hit by a click"
    answer.matched = 1.01 * answer.matched
    assert made_by(Clip(target[:, 0]), answer) not in v.OWN


def test_every_verdict_has_words():
    keys = {*v.OWN, v.UNSURE, v.OTHER, v.SILENT}
    assert keys == set(WORDS) and len({in_words(key, "a filter") for key in keys}) == len(keys)
    assert in_words(v.CHANNEL, "turned over") == "this generator's, then turned over"
