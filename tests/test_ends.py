"""How scripts end and what they write: interrupted at their start, on a disk that takes nothing, with strange names."""

import errno
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from common.files import open_wave, writable_folder
from common.script import complain, one_line_errors
from models.files.errors import CheckpointError
from models.files.writing import written_whole
from models.generator.readers.arguments import trained_rate, whole_number

INTERRUPTED = """
import os, runpy, signal, sys, threading
which, at = int(sys.argv[1]), sys.argv[2]
def look():
    while at not in sys.modules:
        pass
    os.kill(os.getpid(), which)
threading.Thread(target=look, daemon=True).start()
sys.argv = sys.argv[3:]
sys.path[0] = os.getcwd()
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.parametrize("which, module", [(signal.SIGINT, "tensorflow"), (signal.SIGTERM, "models.generator.loading")])
def test_an_interruption_while_a_script_starts_is_one_line(tmp_path, which, module):
    command = [
        sys.executable,
        "-c",
        INTERRUPTED,
        str(int(which)),
        module,
        "generate.py",
        f"--output={tmp_path / 'out'}",
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 130 and run.stdout == "" and not (tmp_path / "out").exists()
    assert run.stderr == "generate.py: stopped while starting; nothing was done\n"


@pytest.mark.parametrize("limit", [0, 40, 1000, 41_000])  # bytes: none, within the header, within samples, near the end
def test_a_wave_on_a_full_disk_is_said_by_its_name(tmp_path, limit):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError) as said, open_wave(tmp_path / "a.wav", 10_500, 8000, 1) as wave:
            for _ in range(21):
                wave.write(np.ones((500, 1), np.float32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert said.value.filename == str(tmp_path / "a.wav") and not list(tmp_path.iterdir())


def test_what_is_written_obeys_the_umask(tmp_path):
    code = "import os, sys; os.umask(0o077); from models.files.writing import written_whole\n"
    code += "with written_whole(sys.argv[1]) as file: file.write(b'a voice')"
    subprocess.run([sys.executable, "-c", code, tmp_path / "a"], cwd=ROOT, check=True)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("write", [lambda place: written_whole(place / "a.wav").__enter__(), writable_folder])
def test_a_disk_that_is_read_only_is_named_as_people_know_it(tmp_path, monkeypatch, capsys, write):
    def refuse(*args, dir=None, prefix="", suffix="", **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(Path(dir) / f"{prefix}x7{suffix}"))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    with pytest.raises(SystemExit), one_line_errors("a.py"):
        write(tmp_path)
    error = capsys.readouterr().err
    assert str(tmp_path) in error and "partial" not in error and "Read-only" in error and error.count("\n") == 1


def test_a_full_disk_is_said_of_the_file(tmp_path, capsys):
    with pytest.raises(SystemExit), one_line_errors("a.py"), written_whole(tmp_path / "a.npy"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert capsys.readouterr().err == f"a.py: {tmp_path / 'a.npy'}: No space left on device\n"
    assert not list(tmp_path.iterdir())


def test_a_name_that_steers_a_terminal_is_shown_as_it_is(capsys):
    complain("a.py", "in/\x1b[31mred\r\x9bname\x07\u2028.wav: silence")
    assert capsys.readouterr().err == "a.py: in/\\x1b[31mred\\r\\x9bname\\x07\\u2028.wav: silence\n"


@pytest.mark.parametrize("text", ["-1", "fast", "16000.5", "", "9" * 5000])
def test_a_rate_in_args_txt_that_is_none_is_said_to_be(tmp_path, text):
    (tmp_path / "args.txt").write_text(f"data_sample_rate,{text}\nnum_categ,None\n")
    with pytest.raises(CheckpointError, match="args.txt: data_sample_rate is .*, not a whole number") as refused:
        trained_rate(tmp_path)
    assert len(str(refused.value)) < len(str(tmp_path)) + 150 and whole_number(tmp_path, "num_categ") is None
