"""Recordings of any length: read in blocks, cut into windows, put together again, resumed where a kill stopped them."""

import librosa
import numpy as np
import pytest
import soundfile
from run_script import run_script

import common.long_recordings
from common.columns import windows_in_words
from common.store import Store
from models.audio.clip import SAMPLE_RATE, AudioError, read_clip
from models.audio.preparation import PUBLISHED, Preparation
from models.audio.windows import OverlapAdd, duration_of, samples_of, window_count, windows

SCRIPT = "latent_vector_recovery.py"
CLIP = 16384
EPSILON = np.finfo(np.float32).eps


def noise(seconds, rate, seed=0, channels=1):
    """Noise whose loudness changes, [n, channels]."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.1, (int(seconds * rate), channels))
    return samples * (1.2 + np.sin(np.arange(len(samples)) / (0.3 * rate)))[:, None]


@pytest.mark.parametrize("rate, seconds", [(8000, 25.3), (44100, 21), (16384, 10.0), (11025, 0.4), (16001, 12)])
def test_blocks_are_those_of_the_whole_recording(tmp_path, rate, seconds):
    samples = noise(seconds, rate).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    whole = librosa.resample(samples, orig_sr=rate, target_sr=SAMPLE_RATE, axis=0)
    together = np.concatenate(list(samples_of(tmp_path / "a.wav")))
    assert len(together) == len(whole) == duration_of(tmp_path / "a.wav")
    assert np.abs(together - whole).max() < 2**-16 * np.abs(whole).max()  # 16 bits; the filter is made for 20


@pytest.mark.parametrize("hop", [8192, 5000, 16384, 16000, 1500])
@pytest.mark.parametrize("preparation", [PUBLISHED, Preparation(0.9, "center")], ids=["published", "centred"])
def test_windows_put_together_are_the_recording_at_its_own_level(tmp_path, hop, preparation):
    """Where every sample is audible its windows come back whole, whatever each was multiplied by and moved to."""
    samples = noise(4.7, SAMPLE_RATE).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, SAMPLE_RATE, subtype="FLOAT")
    count, adder = window_count(len(samples), CLIP, hop), OverlapAdd(CLIP, 1, hop)
    shape = {"num_samples": CLIP, "num_channels": 1, "preparation": preparation}
    clips = list(windows(tmp_path / "a.wav", count, hop, **shape))
    assert len(clips) == count and (count - 1) * hop + CLIP >= len(samples) > (count - 2) * hop + CLIP
    parts = [adder.add(clip, clip.samples) for clip in clips]
    assert {len(part) for part in parts} == {hop}
    together = np.concatenate([*parts, adder.rest()])[: len(samples)]
    alike = np.abs(together - samples) < 4 * EPSILON * np.abs(samples).max() * 8  # a product each way, and a mean
    inside = slice(0, len(samples)) if preparation == PUBLISHED else slice(0, len(samples) - CLIP)
    assert alike[inside].all()
    if preparation.peak:
        assert all(np.abs(clip.samples).max() == pytest.approx(0.9) for clip in clips)


def test_a_window_is_prepared_as_a_recording_of_its_own(tmp_path):
    samples = noise(3, SAMPLE_RATE).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, SAMPLE_RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "b.wav", samples[8192 : 8192 + CLIP], SAMPLE_RATE, subtype="FLOAT")
    clip_format = {"num_samples": CLIP, "num_channels": 1, "preparation": Preparation(0.9, "center")}
    second = list(windows(tmp_path / "a.wav", 2, 8192, **clip_format))[1]
    assert np.array_equal(second.samples, read_clip(tmp_path / "b.wav", **clip_format))


def test_silence_stays_silent_and_what_is_broken_is_one_line(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(40000), SAMPLE_RATE)
    adder = OverlapAdd(CLIP, 1, 8192)
    clips = windows(tmp_path / "a.wav", 4, 8192, num_samples=CLIP, num_channels=1, preparation=Preparation(0.9))
    assert all((adder.add(clip, np.ones(CLIP)) == 0).all() for clip in clips)
    (tmp_path / "b.wav").write_bytes(b"RIFF and no more")
    with pytest.raises(AudioError, match="b.wav"):
        next(samples_of(tmp_path / "b.wav"))
    with pytest.raises(AudioError, match="b.wav"):
        duration_of(tmp_path / "b.wav")


@pytest.fixture
def recover(weights, tmp_path):
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in/long.wav", noise(4.2, 8000), 8000, subtype="PCM_16")

    def run(output, *more):
        names = {"checkpoint": "checkpoint", "classifier_checkpoint": "classifier", "judge_checkpoint": "judge"}
        places = {"files": tmp_path / "in", "output": tmp_path / output}
        places |= {name: weights / folder for name, folder in names.items()}
        arguments = (f"--{name}={place}" for name, place in places.items())
        method = ("--gradient", "--inverse_mapping=False", "--solver=levenberg_marquardt", "--restarts=0")
        return run_script(SCRIPT, *arguments, *method, "--max_iter=1", "--batch_size=2", *more)

    return run


@pytest.mark.slow
def test_a_long_recording_becomes_one_sound_and_many_latent_vectors(recover, generator, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(common.long_recordings, "BATCH", 3)  # windows put together at once
    assert recover("out", "--hop=0.5", "--report") == 0
    z = np.load(tmp_path / "out/long.npy")
    assert z.shape == (8, 8) and "8 windows" in capsys.readouterr().out
    lines = (tmp_path / "out/long.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [f"{0.5 * i:.3f}" for i in range(8)]
    long, rate = soundfile.read(tmp_path / "out/long_reconstruction.wav")
    assert rate == SAMPLE_RATE and len(long) == duration_of(tmp_path / "in/long.wav")
    original = soundfile.read(tmp_path / "out/long_original.wav")[0]
    recording = np.concatenate(list(samples_of(tmp_path / "in/long.wav")))[:, 0]
    np.testing.assert_allclose(original, recording, atol=32 * EPSILON * np.abs(recording).max())
    middle = slice(2 * 8192, 3 * 8192)  # windows 1 and 2 lie over it
    taper = np.sin(np.pi * (np.arange(CLIP) + 0.5) / CLIP) ** 2
    one, two = (wave * taper / 1.414 for wave in generator(z[1:3]).numpy()[..., 0])
    expected = one[8192:] + two[:8192]
    np.testing.assert_allclose(long[middle], expected, atol=32 * EPSILON * np.abs(expected).max())
    assert recover("out", "--hop=0.5", "--report") == 0 and "1 of 1 recordings are done" in capsys.readouterr().out
    assert not list((tmp_path / "out").glob("long.unfinished*"))


@pytest.mark.slow
def test_it_goes_on_where_it_was_stopped(recover, tmp_path, monkeypatch, capsys):
    assert recover("whole", "--hop=0.5") == 0
    kept, own = [], Store.add

    def killed(store, rows):
        if len(kept) == 2:
            raise KeyboardInterrupt
        kept.append(len(rows))
        own(store, rows)

    monkeypatch.setattr(Store, "add", killed)
    assert recover("out", "--hop=0.5") == 130
    monkeypatch.setattr(Store, "add", own)
    with open(tmp_path / "out/long.unfinished.csv", "ab") as file:
        file.write(b"half")  # of a row, as a kill leaves it
    assert recover("out", "--hop=0.5") == 0 and f"{sum(kept)} of 8 windows are done already" in capsys.readouterr().out
    assert not list((tmp_path / "out").glob("long.unfinished*"))
    for name in ("long.npy", "long.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    one, other = (soundfile.read(tmp_path / run / "long_reconstruction.wav")[0] for run in ("out", "whole"))
    assert np.array_equal(one, other)  # the files' headers hold the time


def test_windows_without_sound_are_said_and_stay_silent(recover, tmp_path, capsys):
    sound = np.concatenate([np.zeros(12000), noise(1, 8000)[:, 0]])
    soundfile.write(tmp_path / "in/long.wav", sound, 8000, subtype="PCM_16")
    assert recover("out", "--hop=1") == 0
    assert "sounds like silence " in capsys.readouterr().out and windows_in_words([{}, {}]) == "no sound in it"
    reconstruction, rate = soundfile.read(tmp_path / "out/long_reconstruction.wav")
    assert not reconstruction[:rate].any() and reconstruction[rate:].any()


def test_without_hop_a_longer_recording_says_which_setting_does_more(recover, tmp_path, capsys):
    assert recover("out") == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "long.wav" in line]
    assert len(said) == 1 and "the first 1 s are used" in said[0] and "--hop=0.5" in said[0]
    assert recover("out", "--hop=2") == 1 and "hop is 2 s" in capsys.readouterr().err
