"""The judge: what it sees at any level, its augmentation, its loader, and the shipped weights on new speech."""

import common.networks  # noqa: F401

import numpy as np
import pytest
import tensorflow as tf
from cards import hashes
from conftest import ROOT

from datasets.augmentation import LINEAR, MEL, SpectrogramAugmentation
from datasets.reading import held_out_clips
from models.audio.clip import NUM_SAMPLES, read_clip
from models.audio.features import SpectrogramFeatures
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
    waveforms = np.repeat(chirps(1), 2, axis=0)
    for view, shape in ((MEL, (2, FRAMES, BANDS, 1)), (LINEAR, (2, 128, 129, 1))):
        augmentation = SpectrogramAugmentation(view)
        once, again, other = (np.asarray(augmentation(waveforms, seed)) for seed in ((1, 2), (1, 2), (3, 4)))
        assert once.shape == shape and np.isfinite(once).all()
        assert (once == again).all() and (once != other).any() and (once[0] != once[1]).any()


@pytest.mark.parametrize(
    "view, network", [(MEL, LogMel()), (LINEAR, SpectrogramFeatures("log"))], ids=["judge", "classifier"]
)
def test_augmentation_that_varies_nothing_leaves_what_the_network_sees(view, network):
    nothing = SpectrogramAugmentation(view, 0.0, 0.0, 0.0, 60.0, 0.06, 0.0, 0.0, 0.0)
    still = np.tile(np.sin(2 * np.pi * 500 * np.arange(NUM_SAMPLES) / NUM_SAMPLES), (8, 1)).astype(np.float32)
    # a steady tone fills the second, so that it is not moved, and rings on without a change but in its first frames
    augmented, plain = (np.asarray(a)[:, 20:-20] for a in (nothing(still, (1, 2)), network(still)))
    loudest = augmented.argmax(axis=2) == plain.argmax(axis=2)
    assert loudest.all() and np.abs(augmented.max(axis=2) - plain.max(axis=2)).max() < 0.1


def test_a_warped_axis_moves_a_tone():
    power = LINEAR.power(np.sin(2 * np.pi * 2048 * np.arange(NUM_SAMPLES) / NUM_SAMPLES)[None].astype(np.float32))
    for warp in (0.75, 1.0, 1.25):
        moved = np.asarray(power @ LINEAR.bands(np.full((1, 1, 1), warp, np.float32)))
        assert (moved[0, 20:-20].argmax(axis=1) == round(32 * warp)).all()  # bins of 64 Hz


def test_a_saved_judge_hears_the_same_and_another_file_is_refused(tmp_path):
    judge = build_judge(width=4)
    save_network(judge, tmp_path / "judge.keras")
    loaded = load_judge(tmp_path)
    predicted = probabilities(judge, chirps())
    assert predicted.shape == (3, 10) and np.allclose(predicted.sum(axis=1), 1, atol=1e-5)
    assert np.allclose(probabilities(loaded, chirps()), predicted, atol=0.02)  # its kernels were rounded to 16 bits
    assert features(loaded, chirps()).shape == (3, 16)
    with pytest.raises(FileNotFoundError, match="no judge"):
        load_judge(tmp_path / "nothing")
    (tmp_path / "judge.keras").write_bytes(b"no network")
    with pytest.raises(ValueError, match="not a readable judge"):
        load_judge(tmp_path)


def test_the_shipped_judge_hears_held_out_takes_and_a_voice_it_never_met(fsdd):
    judge = load_judge(ROOT / "judge_checkpoint")
    clips, recordings, _ = held_out_clips(fsdd, PUBLISHED)
    assert np.mean(probabilities(judge, clips).argmax(axis=1) == [r.digit for r in recordings]) >= 0.98
    others = np.stack([read_clip(ROOT / f"Audio_Examples/real/{digit}.wav") for digit in range(10)])
    assert np.sum(probabilities(judge, others).argmax(axis=1) == np.arange(10)) >= 9


def test_the_shipped_judge_is_small():
    assert (ROOT / "judge_checkpoint/judge.keras").stat().st_size < 1e6


def test_its_figures_are_of_these_weights():
    judge = {network_hash(load_judge(ROOT / "judge_checkpoint"))[:16] for _ in range(2)}
    assert len(judge) == 1 and hashes("judge_checkpoint") == {"judge": judge}
    assert hashes(".")["judge"] == hashes("inverse_mapping_checkpoint")["judge"] == judge
