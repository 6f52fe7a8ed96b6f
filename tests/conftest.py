import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
import common.networks  # noqa: F401


@pytest.fixture(scope="session")
def fsdd():
    """The folder of FSDD recordings; tests that need real speech are skipped without it."""
    for folder in (
        os.environ.get("FSDD"),
        ROOT / "datasets/fsdd",
        ROOT / "datasets/fsdd/recordings",
        ROOT / "../shared/fsdd",
    ):
        if folder and any(Path(folder).glob("0_*.wav")):
            return Path(folder)
    pytest.skip("no FSDD recordings: set FSDD to their folder, or put them into datasets/fsdd (datasets/README.md)")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """Servers on the loopback address are asked directly."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
