"""Recovering many clips: batch by batch, under a progress bar; each result is handed on when it ends."""

import time

import numpy as np
from tqdm import tqdm

from common.closeness import Ended
from common.columns import UNFINISHED
from common.store import Store, depends_on
from models.audio.clip import Clip
from models.generator.generator import BATCH, generate
from models.recovery.alignment import as_recorded
from models.recovery.layer import generate_from_layer
from models.recovery.problem import Alignment
from models.recovery.recover import recover_clips


def _mover(bar, size):
    """Moves the bar on as the clips of a batch are done; a restart that takes some up again does not move it back."""
    before = bar.n
    return lambda active: bar.update(max(before + size - active, bar.n) - bar.n)


def recovered(items, load, batch_size, *, generator, description=None, unit="clip", done=0, **method):
    """Recovers the clips of `items` batch by batch, under a progress bar.

    load: item → models.audio.clip.Clip, or waveform [num_samples] or [num_samples, num_channels], or None for one to
    leave out. method: further arguments of `models.recovery.recover.recover_clips`. done: clips that an earlier run has
    done, for the bar.
    Yields (items, Clips in the form recovered, their models.recovery.recover.Recovered, seconds a clip) of those that
    end together, as they end: each by itself, or a whole batch of predictions. The seconds are those since others
    ended.
    """
    with tqdm(total=len(items) + done, initial=done, desc=description, unit=unit, disable=None) as bar:
        for first in range(0, len(items), batch_size):
            loaded = [(item, load(item)) for item in items[first : first + batch_size]]
            good = [(item, clip) for item, clip in loaded if clip is not None]
            bar.update(len(loaded) - len(good))
            if not good:
                continue
            move, begin = _mover(bar, len(good)), time.perf_counter()
            clips = [clip if isinstance(clip, Clip) else Clip(clip) for _, clip in good]
            results = recover_clips(clips, generator, report=move, **method)
            for some in ([one] for one in results) if method.get("solver") else [list(results)]:
                numbers, forms, answers = zip(*some)
                seconds = (time.perf_counter() - begin) / len(answers)
                yield [good[i][0] for i in numbers], list(forms), list(answers), seconds
                begin = time.perf_counter()
            move(0)


def is_finite(answer):
    """Whether an answer's latent vector and its sound are numbers."""
    return bool(np.isfinite(answer.z).all() and np.isfinite(answer.waveform).all())


def unfinished(number, answer, row, seconds):
    """A row of UNFINISHED of a clip: what its sound is made of again. row: its computed columns."""
    arrays = {"z": answer.z.astype(np.float32), "begun_from": answer.start, "layer": answer.layer}
    arrays |= {name: answer.alignment and getattr(answer.alignment, name) for name in ("filter", "levels")}
    arrays = {name: None if value is None else np.asarray(value, np.float32) for name, value in arrays.items()}
    return {"number": number, "seconds": seconds} | row | arrays


def recover_all(clips, name, folder, batch_size, **method):
    """Recovers clips [n, num_samples, num_channels] → their rows of UNFINISHED, a common.store.Store by their numbers.

    name: of the method, for the progress bar and the file. folder: for what is done so far; another run with the same
    clips, solver and networks goes on from there. method: the networks, the solver and its seed, as of `recovered`.
    """
    settings = depends_on(clips=clips, **method)
    store = Store(folder, name.replace(" ", "_"), UNFINISHED, settings, by="number", exact=True)
    left = [i for i in range(len(clips)) if i not in store]
    if len(store):
        print(f"{name}: {len(store)} of {len(clips)} clips are done already; delete {store.path} to do them again")
    shown = {"description": name, "done": len(store)}
    for numbers, _, answers, seconds in recovered(left, lambda i: clips[i], batch_size, **shown, **method):
        rows = Ended(answers).rows()
        store.add([unfinished(*one, seconds) for one in zip(numbers, answers, rows)])
    return store


def waveforms_of(rows, generator):
    """Waveforms [n, num_samples, num_channels] of rows of UNFINISHED, at the level and position recovered."""
    if "layer" in rows[0]:
        waveforms = generate_from_layer(generator, np.stack([row["layer"] for row in rows]))
    else:
        waveforms = generate(generator, np.stack([row["z"] for row in rows]))
    usual = {"gain": 1.0, "offset": 0.0, "shift": 0.0, "filter": None, "speed": 1.0, "levels": None}
    places = [Alignment(*(row.get(name, value) for name, value in usual.items())) for row in rows]
    return np.stack([as_recorded(*one) for one in zip(waveforms, places)])


def sounds_of(store, generator):
    """Waveforms [n, num_samples, num_channels] of all rows that `recover_all` returned, in their order."""
    numbers = sorted(store)
    parts = (list(store.rows(numbers[i : i + BATCH])) for i in range(0, len(numbers), BATCH))
    return np.concatenate([waveforms_of(part, generator) for part in parts])
