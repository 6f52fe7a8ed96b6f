"""What the tests of downloads share: the file that is fetched, and one that was interrupted."""

import hashlib

import numpy as np
import pytest

from datasets.download import Remote, download

CONTENT = np.random.default_rng(0).bytes(300_000)
NOW = (0.0, 0.0)  # two more tries, without a pause


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def remote(server, **known):
    return Remote(f"{server.address}/file", "file", **known)


def interrupt_after(size):
    """A progress function that is interrupted, as by Ctrl-C, once so many bytes are here."""

    def progress(done, total):
        if done >= size:
            raise KeyboardInterrupt

    return progress


def interrupted(server, folder, size=100_000):
    """Begins a download and interrupts it. Returns how much of it is kept."""
    with pytest.raises(KeyboardInterrupt):
        download(remote(server), folder, interrupt_after(size))
    assert not (folder / "file").exists()
    kept = (folder / "file.partial").read_bytes()
    assert size <= len(kept) < len(CONTENT) and CONTENT.startswith(kept)
    return len(kept)


def is_whole(folder, content=CONTENT):
    """True if the file is there, and nothing else."""
    return (folder / "file").read_bytes() == content and [path.name for path in folder.iterdir()] == ["file"]
