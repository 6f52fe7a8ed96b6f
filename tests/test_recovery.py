"""Recovering latent vectors with the script, from good and bad recordings."""

import csv
import resource

import numpy as np
import pytest
import soundfile
from run_script import run_script

from common.columns import RECORDINGS
from models.audio.clip import write_wav
from models.generator.generator import random_latent

SCRIPT = "latent_vector_recovery.py"
GRADIENT = ("--gradient=True", "--inverse_mapping=False")


@pytest.fixture
def networks(weights):
    """The settings that name tiny networks."""
    names = {"checkpoint": "checkpoint", "classifier_checkpoint": "classifier", "judge_checkpoint": "judge"}
    return [f"--{name}={weights / folder}" for name, folder in names.items()]


def recordings(folder, generator):
    """A folder with what users have: two good recordings of one name, a synthesized one, and every kind of trouble."""
    folder.mkdir()
    tone = 0.3 * np.sin(np.arange(8000) / 9) * np.hanning(8000)
    soundfile.write(folder / "same.wav", tone, 8000)
    soundfile.write(folder / "same.flac", tone, 8000)
    z = random_latent(generator, 1, 9)
    write_wav(folder / "made.wav", generator(z)[0])
    np.save(folder / "made.npy", z[0])
    soundfile.write(folder / "silence.wav", 0 * tone, 8000)
    soundfile.write(folder / "short.wav", tone[4000:4080], 8000)
    (folder / "cut.wav").write_bytes((folder / "same.wav").read_bytes()[:9000])
    (folder / "notes.txt").write_text("not looked at")
    return folder


def test_the_script_end_to_end(tmp_path, networks, generator, few_steps, capsys):
    files, output = recordings(tmp_path / "in", generator), tmp_path / "out"
    output.mkdir()
    np.save(output / "silence_std.npy", np.ones(8))  # of an earlier run
    arguments = (
        f"--files={files}",
        *networks,
        f"--output={output}",
        "--max_iter=40",
        "--restarts=2",
        "--batch_size=3",
        *GRADIENT,
    )
    assert run_script(SCRIPT, *arguments) == 0
    printed = capsys.readouterr()
    for words in (
        "warning: ",
        "silence.wav: silence",
        "short.wav: only 10 ms",
        "cut.wav: the file is cut or damaged",
    ):
        assert words in printed.err
    assert (
        "made.wav: as it is: identical, SNR" in printed.out
        and "(exact; identifiable" in printed.out
        and "log-spectral distance" in printed.out
    )
    for name in ("same.wav", "same.flac", "made", "silence", "short", "cut"):
        assert np.load(output / f"{name}.npy").shape == (8,) and np.load(output / f"{name}.npy").dtype == np.float32
        info = soundfile.info(output / f"{name}_reconstruction.wav")
        assert (info.samplerate, info.frames, info.subtype) == (16384, 16384, "FLOAT")
    rows = list(csv.DictReader(open(output / "recovery.csv")))
    assert list(rows[0]) == list(RECORDINGS) and len(rows) == 6
    assert {row["method"] for row in rows} == {"gradient"} and {row["solver"] for row in rows} == {"perceptual"}
    assert not list(output.glob(".*"))
    deviations = (output / "latents_std.csv").read_text()
    assert (output / "made_std.npy").exists() and "made.wav" in deviations
    assert not (output / "silence_std.npy").exists() and "silence.wav" not in deviations

    assert run_script(SCRIPT, *arguments, f"--files={files / 'same.wav'}", "--overwrite", "--report") == 0
    assert f"{files / 'same.wav'}: " in capsys.readouterr().out and not (output / "recovery_previous.csv").exists()
    for name in ("latents.csv", "recovery.csv"):
        assert len(list(csv.DictReader(open(output / name)))) == 6, "the others' results are kept"
    original = soundfile.read(output / "same.wav_original.wav")[0]
    assert np.abs(original).max() == pytest.approx(np.abs(soundfile.read(files / "same.wav")[0]).max(), rel=0.01)

    (output / "cut.npy").unlink()
    assert run_script(SCRIPT, *arguments) == 0
    printed = capsys.readouterr().out
    assert "5 of 6 recordings are done" in printed and printed.count(" iterations") == 1
    assert run_script(SCRIPT, *arguments, "--seed=1", "--max_iter=1", "--restarts=0") == 0
    assert "other settings" in capsys.readouterr().out and (output / "recovery_previous.csv").exists()


def test_bad_recordings_are_named_and_the_others_done(tmp_path, networks, few_steps, capsys):
    files = tmp_path / "in"
    files.mkdir()
    soundfile.write(files / "good.wav", 0.1 * np.sin(np.arange(4000)), 8000)
    for name, content in [
        ("empty.wav", b""),
        ("text.wav", b"hello " * 200),
        ("header.wav", (files / "good.wav").read_bytes()[:30]),
    ]:
        (files / name).write_bytes(content)
    soundfile.write(files / "nan.wav", np.full(4000, np.nan), 8000, subtype="FLOAT")
    assert (
        run_script(
            SCRIPT,
            f"--files={files}",
            *networks,
            f"--output={tmp_path / 'out'}",
            "--max_iter=2",
            "--restarts=0",
            *GRADIENT,
        )
        == 1
    )
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and all(line.startswith(f"{SCRIPT}: {files}/") for line in lines)
    assert (tmp_path / "out" / "good_reconstruction.wav").exists() and len(list((tmp_path / "out").glob("*.npy"))) == 1


@pytest.mark.parametrize("case", ["no file", "no recording", "no generator", "unwritable", "own folder", "neither"])
def test_what_cannot_be_done_is_one_line_and_status_1(tmp_path, networks, capsys, case):
    files = tmp_path / "in"
    files.mkdir()
    soundfile.write(files / "good.wav", np.ones(100), 8000)
    (tmp_path / "file").write_text("")
    (tmp_path / "nothing").mkdir()
    arguments = {
        "no file": [f"--files={tmp_path / 'gone'}"],
        "no recording": [f"--files={tmp_path / 'nothing'}"],
        "no generator": [f"--checkpoint={tmp_path / 'nothing'}"],
        "unwritable": [f"--output={tmp_path / 'file' / 'out'}"],
        "own folder": [f"--output={files}"],
        "neither": ["--gradient=False", "--inverse_mapping=False"],
    }[case]
    assert run_script(SCRIPT, f"--files={files}", *networks, f"--output={tmp_path / 'out'}", *arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"{SCRIPT}: ") and error.count("\n") == 1


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(tmp_path, weights, capsys):
    networks = f"--checkpoint={weights / 'checkpoint'}", f"--judge_checkpoint={weights / 'judge'}"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # a file may hold 10 kB, a clip takes 64
        status = run_script("generate.py", *networks, f"--output={tmp_path / 'out'}", "--num_samples=1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error = capsys.readouterr().err
    assert status == 1 and error.startswith("generate.py: ") and error.count("\n") == 1
    assert not list((tmp_path / "out").iterdir())
