"""Memory is estimated before it is taken."""

import pytest
from run_script import run_script

from common import memory
from common.script import ScriptError


def test_more_than_there_is_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 10 * memory.GIB)
    memory.check_memory(10 * memory.GIB, "ten")
    with pytest.raises(
        ScriptError, match="eleven would take 11.0 GiB of memory, and 10.0 GiB are available"
    ) as refused:
        memory.check_memory(11 * memory.GIB, "eleven")
    assert "\n" not in str(refused.value)
    monkeypatch.setattr(memory, "available", lambda: None)
    memory.check_memory(2**60, "where the system does not say")


def test_the_metrics_script_asks_first(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(memory, "available", lambda: memory.GIB)
    assert run_script("calculate_metrics.py", f"--output={tmp_path}", "--synth", "--num_clips=100000") == 1
    error = capsys.readouterr().err
    assert "num_clips=100,000: clips and reconstructions would take" in error and error.count("\n") == 1
