"""Reading recordings of every kind into clips, and writing them back."""

import os

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from models.audio.clip import (
    NUM_SAMPLES,
    SAMPLE_RATE,
    AudioError,
    prepare,
    read_clip,
    spectrogram,
    write_wav,
)
from models.audio.preparation import Preparation

TONE = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000) * np.hanning(8000) * 0.5  # one second at 8 kHz


@pytest.mark.parametrize(
    "name, subtype",
    [("a.wav", "PCM_U8"), ("a.wav", "PCM_16"), ("a.wav", "PCM_24"), ("a.wav", "PCM_32"), ("a.wav", "FLOAT"),
     ("a.flac", "PCM_16"), ("a.ogg", "VORBIS")],
)  # fmt: skip
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_any_format_and_rate_becomes_the_same_clip(tmp_path, name, subtype, rate):
    time = np.arange(rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * time) * np.sin(np.pi * time) ** 2
    soundfile.write(tmp_path / name, tone, rate, subtype=subtype)
    clip = read_clip(tmp_path / name)
    time = np.arange(NUM_SAMPLES) / SAMPLE_RATE
    expected = 1.414 * 0.5 * np.sin(2 * np.pi * 440 * time) * np.sin(np.pi * time) ** 2
    assert clip.dtype == np.float32 and clip.shape == (NUM_SAMPLES,)
    assert np.abs(clip - expected).max() < (0.05 if subtype in ("PCM_U8", "VORBIS") else 2e-3)


def test_sixteen_bits_are_scaled_as_published(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([32767, -32767, 16384] * 2000, np.int16), SAMPLE_RATE)
    clip = read_clip(tmp_path / "a.wav")
    assert np.allclose(clip[:3], [1.414, -1.414, 1.414 * 16384 / 32767], atol=1e-6)
    assert (clip[6000:] == 0).all()


def test_stereo_is_mixed_down_or_kept(tmp_path):
    stereo = np.stack([TONE, 0.5 * TONE], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, SAMPLE_RATE, subtype="FLOAT")
    assert np.allclose(read_clip(tmp_path / "a.wav", prepared=True)[:8000], 0.75 * TONE, atol=1e-6)
    two = read_clip(tmp_path / "a.wav", num_channels=2, num_samples=32768, prepared=True)
    assert two.shape == (32768, 2) and np.allclose(two[:8000], stereo, atol=1e-6)


def test_the_same_samples_are_the_same_bytes(tmp_path):
    """No time of writing in them, which libsndfile puts into the PEAK chunk of float files."""
    write_wav(tmp_path / "a.wav", TONE)
    content = (tmp_path / "a.wav").read_bytes()
    chunks, at = [], 12
    while at < len(content):
        chunks.append(content[at : at + 4])
        at += 8 + int.from_bytes(content[at + 4 : at + 8], "little")
    assert chunks == [b"fmt ", b"fact", b"data"] and at == len(content)
    assert soundfile.info(tmp_path / "a.wav").subtype == "FLOAT"


@pytest.mark.parametrize("rate", [8000, SAMPLE_RATE])
@pytest.mark.parametrize("level", [3e38, 1e25, 1e9, 30_000, 1e-6, 1e-30, 1e-44])
def test_absurd_levels_are_refused_or_brought_to_level(tmp_path, rate, level):
    soundfile.write(tmp_path / "a.wav", (level / np.abs(TONE).max() * TONE).astype(np.float32), rate, subtype="FLOAT")
    if level > 2**32:
        with pytest.raises(AudioError, match=r"a.wav: samples of up to \d") as refused:
            prepare(tmp_path / "a.wav", preparation=Preparation(0.9, "center"))
        assert "\n" not in str(refused.value)
        return
    clip = prepare(tmp_path / "a.wav", preparation=Preparation(0.9, "center"))
    assert np.isfinite(clip.samples).all() and np.isfinite(clip.undo(clip.samples)).all()
    assert np.abs(clip.samples).max() == (pytest.approx(0.9) if level > 1e-20 else 0)
    assert ("silence" in clip.warnings) == (level < 1e-20)


def test_a_name_that_is_no_text_is_read(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    try:
        write_wav(path, TONE)
    except OSError:
        pytest.skip("this disk takes only names that are text")
    assert np.abs(read_clip(path)).max() > 0


def test_written_clips_come_back_to_the_bit(tmp_path):
    """A clip is one by what is known of it: its latent vector beside it, or the caller's word; not by the format of its
    samples.
    """
    samples, preparation = (
        np.random.default_rng(0).normal(0, 0.4, NUM_SAMPLES).astype(np.float32),
        Preparation(0.9, "center"),
    )
    write_wav(tmp_path / "a.wav", samples)
    assert (read_clip(tmp_path / "a.wav", preparation=preparation, prepared=True) == samples).all()
    assert np.abs(read_clip(tmp_path / "a.wav", preparation=preparation)).max() == pytest.approx(0.9)
    clip = prepare(tmp_path / "a.wav", preparation=preparation)
    assert np.abs(clip.samples).max() == pytest.approx(0.9) and (clip.as_it_is == samples).all()
    assert (clip.unprepared().undo(samples) == samples).all()
    assert prepare(tmp_path / "a.wav", preparation=preparation, prepared=False).as_it_is is None
    for other in (samples[:-1], np.append(samples, 0)):
        write_wav(tmp_path / "b.wav", other)
        assert prepare(tmp_path / "b.wav", preparation=preparation).as_it_is is None
    write_wav(tmp_path / "b.wav", samples, 16000)
    assert prepare(tmp_path / "b.wav", preparation=preparation).as_it_is is None
    write_wav(tmp_path / "c.wav", samples[:16000], 16000)  # as long as a clip, at another rate
    resampled = prepare(tmp_path / "c.wav", preparation=preparation, prepared=True).samples
    assert (prepare(tmp_path / "c.wav", preparation=preparation).as_it_is == resampled).all()
    own = Preparation(0.9, "center", sample_rate=16000)
    assert (prepare(tmp_path / "b.wav", preparation=own).as_it_is == samples).all()


def test_a_quiet_recording_is_the_same_clip_in_every_format(tmp_path):
    """At 16,384 Hz too, float samples are a recording like any other; what separates them is the rounding to 16 bits,
    scaled up with the level.
    """
    quiet, clips = 0.05 * TONE, []
    for subtype in ("FLOAT", "DOUBLE", "PCM_16", "PCM_24"):
        soundfile.write(tmp_path / "a.wav", quiet, SAMPLE_RATE, subtype=subtype)
        clips.append(prepare(tmp_path / "a.wav", preparation=Preparation(0.9, "center")))
    rounding = 0.9 / np.abs(quiet).max() / 32768
    assert all(np.abs(clip.samples - clips[0].samples).max() <= 2 * rounding for clip in clips)
    assert all(clip.gain > 10 for clip in clips)


@pytest.mark.parametrize("gain, before", [(1.0, 0), (0.02, 3000), (0.3, 6000)])
def test_preparation_repeats_level_and_position_and_is_undone(tmp_path, gain, before):
    burst = np.concatenate([np.zeros(before), gain * TONE[2000:5000], np.zeros(200)])
    soundfile.write(tmp_path / "a.wav", burst, 8000, subtype="PCM_24")
    clip = prepare(tmp_path / "a.wav", preparation=Preparation(0.9, "center"))
    sounding = np.flatnonzero(np.abs(clip.samples) > 0.05)
    assert np.abs(clip.samples).max() == pytest.approx(0.9, abs=1e-5)
    assert (sounding[0] + sounding[-1]) / 2 == pytest.approx(NUM_SAMPLES / 2, abs=400)
    recorded = prepare(tmp_path / "a.wav", prepared=True).samples
    assert np.abs(clip.undo(clip.samples) - recorded).max() < 1e-6
    published = prepare(tmp_path / "a.wav")
    assert np.abs(published.undo(published.samples) - recorded).max() < 1e-6


def test_only_the_first_second_is_read_and_said(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", np.tile(TONE, 600), 8000)
    read, most = soundfile.SoundFile.read, []
    monkeypatch.setattr(
        soundfile.SoundFile, "read", lambda self, frames=-1, *a, **k: most.append(frames) or read(self, frames, *a, **k)
    )
    clip = prepare(tmp_path / "a.wav")
    assert most == [8401] and "600 s long" in clip.warnings[0]


def test_what_cannot_be_read_is_one_line(tmp_path):
    soundfile.write(tmp_path / "good.wav", TONE, 8000)
    whole = (tmp_path / "good.wav").read_bytes()
    soundfile.write(tmp_path / "nan.wav", np.where(np.arange(8000) == 5, np.nan, TONE), 8000, subtype="FLOAT")
    for name, content in [
        ("empty.wav", b""),
        ("text.wav", b"once upon a time\n" * 99),
        ("header.wav", whole[:30]),
        ("none.wav", whole[:44]),
    ]:
        (tmp_path / name).write_bytes(content)
    for name in ("empty.wav", "text.wav", "header.wav", "nan.wav", "none.wav"):
        with pytest.raises(AudioError, match=name) as error:
            read_clip(tmp_path / name)
        assert "\n" not in str(error.value)


def test_what_can_be_used_all_the_same_has_a_warning(tmp_path):
    soundfile.write(tmp_path / "good.wav", TONE, 8000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "good.wav").read_bytes()[:9000])
    soundfile.write(tmp_path / "silence.wav", np.zeros(8000), 8000)
    soundfile.write(tmp_path / "constant.wav", np.full(5600, 0.3), 8000)
    soundfile.write(tmp_path / "short.wav", TONE[4000:4080], 8000)
    words = {
        "good.wav": "",
        "cut.wav": "cut or damaged",
        "silence.wav": "silence",
        "constant.wav": "a constant, no sound",
        "short.wav": "only 10 ms",
    }
    for name, expected in words.items():
        clip = prepare(tmp_path / name, preparation=Preparation(0.9, "center"))
        assert expected in " ".join(clip.warnings) and bool(clip.warnings) == bool(expected)
        assert np.isfinite(clip.samples).all()
        assert clip.has_sound == (name not in ("silence.wav", "constant.wav"))


def test_the_spectrogram_is_tensorflows_stft_padded_at_the_end():
    waves = np.random.default_rng(1).normal(size=(2, NUM_SAMPLES)).astype(np.float32)
    real, imaginary = spectrogram(waves)
    expected = tf.signal.stft(waves, 256, 128, pad_end=True)
    assert real.shape == (2, 128, 129)
    assert (
        np.abs(real - tf.math.real(expected)).max() < 1e-4 and np.abs(imaginary - tf.math.imag(expected)).max() < 1e-4
    )
