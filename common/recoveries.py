"""Recovering many clips: in batches, under a progress bar, and going on where an interrupted run ended."""

import hashlib
import json
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.files import written_whole
from models.recovery import recover


def progress(bar, size):
    """Moves the bar on as the clips of a batch are done; a restart that takes some up again does not move it back."""
    before = bar.n
    return lambda active: bar.update(max(before + size - active, bar.n) - bar.n)


def recover_all(clips, name, folder, depends_on, batch_size, **how):
    """Latent vectors of clips [n, num_samples, num_channels] → z [n, latent_dim], iterations [n], seconds [n].

    name: of the method, for the progress bar and the file. folder: for what is done so far, {name}_{key}.npz, where the key is a hash of `depends_on`
    (anything JSON can hold) and of the clips: another run with the same takes up from there. how: the arguments of `models.recovery.recover`.
    """
    key = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode() + np.ascontiguousarray(clips).tobytes()).hexdigest()[:12]
    path = Path(folder) / f"{name.replace(' ', '_')}_{key}.npz"
    done = dict(np.load(path)) if path.exists() else {"z": [], "iterations": [], "seconds": []}
    count = len(done["z"])
    if count:
        print(f"{name}: {count} of {len(clips)} clips were recovered before, with the same settings; delete {path} to do them again")
    with tqdm(total=len(clips), initial=count, desc=name, unit="clip", disable=None) as bar:
        for first in range(count, len(clips), batch_size):
            batch = clips[first : first + batch_size]
            report, begin = progress(bar, len(batch)), time.perf_counter()
            found = recover(batch, report=report, **how)
            report(0)
            seconds = (time.perf_counter() - begin) / len(batch)
            new = {"z": found.z, "iterations": found.iterations, "seconds": np.full(len(batch), seconds)}
            done = {name: np.concatenate([done[name], new[name]]) if len(done[name]) else new[name] for name in new}
            with written_whole(path) as file:
                np.savez(file, **done)
    return done["z"].astype(np.float32), done["iterations"], done["seconds"]
