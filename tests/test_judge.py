"""The judge: what it sees at any level, its augmentation, its loader, and the shipped weights on new speech."""

import common.networks  # noqa: F401

import numpy as np
import pytest
import tensorflow as tf
from cards import hashes
from conftest import ROOT

from datasets.held_out import held_out_clips
from datasets.spectrogram_augmentation import augmented_log_mel
from models.audio.clip import NUM_SAMPLES, read_clip
from models.audio.preparation import PUBLISHED
from models.files.hashing import network_hash
from models.files.saving import save_network
from models.networks.judge import (
    BANDS,
    BINS,
    FRAMES,
    HIGHEST,
    LOWEST,
    LogMel,
    build_judge,
    features,
    load_judge,
    mel_bands,
    power_spectrogram,
    probabilities,
)


def chirps(n=3):
    time = np.arange(NUM_SAMPLES) / NUM_SAMPLES
    starts = 300 + 200 * np.arange(n)[:, None]
    return (0.3 * np.sin(2 * np.pi * (starts + 600 * time) * time) * np.hanning(NUM_SAMPLES)).astype(np.float32)


def test_level_changes_nothing_that_it_sees():
    waves = chirps()
    pictures = np.asarray(LogMel()(waves))
    assert pictures.shape == (3, FRAMES, BANDS, 1) and pictures.min() >= 0 and pictures.max() <= 2.51
    assert np.allclose(
        pictures, LogMel()(waves * np.float32(0.25)), atol=1e-4
    )  # a power of two: only the floor's rounding
    assert np.isfinite(LogMel()(np.zeros((1, NUM_SAMPLES), np.float32))).all()


def test_mel_bands_cover_the_range_once_and_nothing_above_it():
    bands = np.asarray(mel_bands())
    hertz = np.arange(BINS) * 32.0
    assert bands.shape == (BINS, BANDS) and (bands[(hertz <= LOWEST) | (hertz >= HIGHEST)] == 0).all()
    inner = bands[(hertz > 200) & (hertz < 3600)].sum(axis=1)
    assert np.allclose(inner, 1, atol=1e-3)  # neighbouring triangles add up to one
    assert np.allclose(mel_bands(tf.ones((2, 1, 1)))[1], bands, atol=1e-4)


def test_augmentation_is_repeated_by_its_seed_and_differs_from_clip_to_clip():
    power = power_spectrogram(np.repeat(chirps(1), 2, axis=0))
    once, again, other = (np.asarray(augmented_log_mel(power, seed)) for seed in ((1, 2), (1, 2), (3, 4)))
    assert once.shape == (2, FRAMES, BANDS, 1) and np.isfinite(once).all()
    assert (once == again).all() and (once != other).any() and (once[0] != once[1]).any()


def test_a_saved_judge_hears_the_same_and_another_file_is_refused(tmp_path):
    judge = build_judge(width=4)
    save_network(judge, tmp_path / "judge.keras")
    loaded = load_judge(tmp_path)
    heard = probabilities(judge, chirps())
    assert heard.shape == (3, 10) and np.allclose(heard.sum(axis=1), 1, atol=1e-5)
    assert np.allclose(probabilities(loaded, chirps()), heard, atol=0.02)  # its kernels were rounded to 16 bits
    assert features(loaded, chirps()).shape == (3, 16)
    with pytest.raises(FileNotFoundError, match="no judge"):
        load_judge(tmp_path / "nothing")
    (tmp_path / "judge.keras").write_bytes(b"no network")
    with pytest.raises(ValueError, match="not a readable judge"):
        load_judge(tmp_path)


def test_the_shipped_judge_hears_held_out_takes_and_a_voice_it_never_met(fsdd):
    judge = load_judge(ROOT / "judge_checkpoint")
    clips, digits, _ = held_out_clips(fsdd, PUBLISHED)
    assert np.mean(probabilities(judge, clips).argmax(axis=1) == digits) >= 0.98
    others = np.stack([read_clip(ROOT / f"Audio_Examples/real/{digit}.wav") for digit in range(10)])
    assert np.sum(probabilities(judge, others).argmax(axis=1) == np.arange(10)) >= 9


def test_the_shipped_judge_is_small():
    assert (ROOT / "judge_checkpoint/judge.keras").stat().st_size < 1e6


def test_its_figures_are_of_these_weights():
    judge = {network_hash(load_judge(ROOT / "judge_checkpoint"))[:16] for _ in range(2)}
    assert len(judge) == 1 and hashes("judge_checkpoint") == {"judge": judge}
    assert hashes(".")["judge"] == hashes("inverse_mapping_checkpoint")["judge"] == judge
