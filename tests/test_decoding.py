"""Recordings whose headers say no length or a wrong one, formats that are not read, what a folder holds beside them."""

import numpy as np
import pytest
import soundfile

from common.files import find_recordings
from models.audio.clip import prepare
from models.audio.decoding import AudioError
from models.audio.preparation import Preparation
from models.audio.windows import duration_of, samples_of

RATE = 16000  # Hz


def sound(seconds, rate=RATE):
    """A tone whose loudness and pitch change, then as long a silence: float64 [2 n]."""
    time = np.arange(int(seconds * rate)) / rate
    return np.concatenate([np.sin(2 * np.pi * (300 + 90 * time) * time) * (0.3 + 0.2 * np.sin(9 * time)), 0 * time])


def open_flac(path, samples):
    """A FLAC file that says no length, as ffmpeg and sox write into a pipe: STREAMINFO's 36 bits are zero."""
    soundfile.write(path, samples, RATE)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)


def open_mp3(path, samples):
    """MP3 of variable bit rate without the tag that says how many frames there are, as lame writes into a pipe."""
    soundfile.write(path, samples, RATE, format="MP3", bitrate_mode="VARIABLE", compression_level=0.4)
    content = path.read_bytes()
    tag = max(content.find(b"Xing"), content.find(b"Info"))
    assert 0 < tag < 100
    following = content.find(content[:2], tag)
    path.write_bytes(content[following:])


def wav_of(size):
    """Writes WAV whose header promises `size` bytes of samples."""

    def write(path, samples):
        soundfile.write(path, samples, RATE)
        content = bytearray(path.read_bytes())
        content[40:44] = size.to_bytes(4, "little")
        path.write_bytes(content)

    return write


OPEN = {
    "ffmpeg.flac": (open_flac, 0),
    "lame.mp3": (open_mp3, 3 * 1152),
    "sox.wav": (wav_of(0x7FFFF000), 0),
    "ffmpeg.wav": (wav_of(0xFFFFFFFF), 0),
}


@pytest.mark.parametrize("seconds", [0.2, 0.5, 14])
@pytest.mark.parametrize("name", OPEN)
def test_a_length_is_what_can_be_read(tmp_path, capfd, name, seconds):
    write, tolerance = OPEN[name]
    samples, path = sound(seconds), tmp_path / name
    write(path, samples)
    assert 0 <= duration_of(path, RATE) - len(samples) <= tolerance
    together = np.concatenate(list(samples_of(path, 1, RATE)))
    assert len(together) == duration_of(path, RATE)
    clip = prepare(path, prepared=True)
    assert bool(clip.warnings) == clip.cut == (seconds == 14), clip.warnings
    assert np.abs(clip.samples).max() > 0.2 and capfd.readouterr().err == ""
    if not tolerance:
        assert np.abs(together[:, 0] - samples).max() < 2**-14


CUT = {  # format and subtype of files that are cut
    "a.wav": {}, "b.wav": {"subtype": "ALAW"}, "c.flac": {}, "d.aiff": {}, "e.au": {}, "f.w64": {}, "g.rf64": {},
    "h.sph": {"format": "NIST"}, "i.mp3": {}, "j.ogg": {"subtype": "OPUS"}, "k.ogg": {},
}  # fmt: skip


@pytest.mark.parametrize("name", CUT)
def test_what_is_left_of_a_file_that_is_cut_is_read_and_said(tmp_path, name):
    path, samples, told = tmp_path / name, np.random.default_rng(0).uniform(-0.3, 0.3, 4 * RATE), []
    soundfile.write(path, samples, RATE, **CUT[name])
    whole = duration_of(path, RATE, told.append)
    assert whole >= len(samples) and not told
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    duration = duration_of(path, RATE, told.append)
    assert 0.3 * whole < duration < 0.7 * whole
    assert told == [f"the file is cut or damaged, {duration / RATE:.3g} s of it can be read"]
    assert sum(map(len, samples_of(path, 1, RATE))) == duration
    length = {"num_samples": 4 * RATE, "preparation": Preparation(sample_rate=RATE)}
    clip = prepare(path, prepared=True, **length)
    assert clip.warnings == tuple(told) and not clip.samples[duration:].any() and clip.samples[duration - 50 :].any()
    if name in ("a.wav", "c.flac"):
        assert np.abs(clip.samples[:duration] - samples[:duration]).max() < 2**-14


def test_a_file_without_samples_is_answered_with_what_to_do(tmp_path):
    wav_of(0)(tmp_path / "none.wav", sound(0.5))
    for read in (prepare, duration_of):
        with pytest.raises(AudioError, match="no samples in its 32,044 bytes; .* ffmpeg -i none.wav"):
            read(tmp_path / "none.wav")


def test_a_coded_clip_is_not_longer_by_what_its_coder_added(tmp_path):
    open_mp3(tmp_path / "a.mp3", sound(0.5))
    assert duration_of(tmp_path / "a.mp3", RATE) > 1.05 * RATE
    assert prepare(tmp_path / "a.mp3").warnings == ()


HEADS = {
    "a.m4a": (b"\0\0\0\x20ftypM4A ", "MPEG-4"),
    "a.webm": (b"\x1aE\xdf\xa3", "WebM"),
    "a.amr": (b"#!AMR\n", "AMR"),
    "a.ogg": (b"OggS\0\2" + bytes(22) + b"\x7fFLAC", "FLAC in Ogg"),
    "a.caf": (b"caff\0\1\0\0desc" + bytes(16) + b"alac", "ALAC"),
    "a.sph": (b"NIST_1A\n   1024\nsample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n", "Shorten"),
}


@pytest.mark.parametrize("name", HEADS)
def test_what_libsndfile_cannot_read_is_said_with_what_to_do(tmp_path, name):
    head, kind = HEADS[name]
    (tmp_path / name).write_bytes(head + bytes(2000))
    with pytest.raises(AudioError) as refused:
        prepare(tmp_path / name)
    assert kind in str(refused.value) and f"ffmpeg -i {name} a.wav" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_lies_in_a_folder_and_is_not_taken_is_one_line(tmp_path, capsys):
    kinds = {"a.wav": {}, "b.sph": {"format": "NIST"}, "c.aifc": {"format": "AIFF"}, "e.snd": {"format": "AU"}}
    kinds["d.opus"] = {"format": "OGG", "subtype": "OPUS"}
    for name, kind in kinds.items():
        soundfile.write(tmp_path / name, sound(0.1), RATE, **kind)
    assert {path.name for path in find_recordings(tmp_path)} == set(kinds) and capsys.readouterr().out == ""
    assert all(prepare(path).samples.any() for path in find_recordings(tmp_path))
    np.save(tmp_path / "a.npy", np.zeros(3))  # the latent vector of a.wav
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    (tmp_path / "circle.wav").symlink_to(tmp_path / "circle.wav")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "notes\x1b[31m.txt").write_text("")
    find_recordings(tmp_path)
    said = capsys.readouterr().out
    assert "4 more there not taken: circle.wav (no file), folder.wav (no file), gone.wav (no file), notes" in said
    assert said.count("\n") == 1
    for i in range(9):
        (tmp_path / f"{i}.txt").write_text("")
    find_recordings(tmp_path)
    assert "13 more there not taken: 10 .txt, 3 .wav" in capsys.readouterr().out
