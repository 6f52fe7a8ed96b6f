"""Recovering many clips: batch by batch, under a progress bar; each result is handed on when it ends."""

import time
from types import SimpleNamespace

import numpy as np
from tqdm import tqdm

from common.closeness import Ended
from common.columns import UNFINISHED
from common.store import Store, depends_on
from models.audio.clip import Clip
from models.generator.generator import BATCH, generate
from models.recovery.labels import recover_clips_and_labels
from models.recovery.layer import generate_from_layer
from models.recovery.placement import as_recorded
from models.recovery.recover import recover_clips

AS_IT_IS = {"gain": 1.0, "offset": 0.0, "shift": 0.0}  # of a row that does not say them
OF_AN_ANSWER = "z objective iterations gain offset shift explained z_std code runner_up margin_db label layer start"


def _mover(bar, size):
    """Moves the bar on as the clips of a batch are done; a restart that takes some up again does not move it back."""
    before = bar.n
    return lambda active: bar.update(max(before + size - active, bar.n) - bar.n)


def _known(value):
    """None for what is NaN, or is an array that holds one."""
    number = isinstance(value, (float, np.floating)) or (isinstance(value, np.ndarray) and value.dtype.kind == "f")
    return None if number and np.isnan(value).any() else value


def _answer(recovery, i, generator):
    """One clip's share of a models.recovery.recover.Recovery, None where the method has no such thing."""
    values = {name: getattr(recovery, name) for name in OF_AN_ANSWER.split()}
    values = {name: None if value is None else _known(value[i]) for name, value in values.items()}
    noise = generator.codes.noise if generator.codes else slice(None)  # bounds concern no code
    values["z"] = recovery.z[i]
    values["at_bound"] = int((np.abs(recovery.z[i, noise]) >= generator.bounds).sum())
    sounds = {"waveform": recovery.waveforms[i], "matched": recovery.matched[i], "snr_db": recovery.snr_db[i]}
    return SimpleNamespace(why="", **values, **sounds)


def _answers(clips, generator, *, inverse_mapping=None, **options):
    """Yields (numbers of clips, the Clips in the form that was recovered, their answers) of those that end together.

    clips: models.audio.clip.Clips. The generator's label, if it takes one, is set or not. An answer has the attributes
    z, objective, iterations, why, gain, offset, shift, explained, z_std, at_bound, code, runner_up, margin_db, label,
    layer, start, waveform, matched and snr_db, of one clip.
    """
    if generator.takes_label:  # a network that predicts belongs to one label
        recovery, forms = recover_clips_and_labels(clips, generator, **options)
    else:
        recovery, forms = recover_clips(clips, generator, inverse_mapping=inverse_mapping, **options)
    yield range(len(clips)), forms, [_answer(recovery, i, generator) for i in range(len(clips))]


def recovered(
    items, load, batch_size, *, generator, inverse_mapping=None, solver=None, seed=0, description=None, unit="clip",
    done=0,
):  # fmt: skip
    """Recovers the clips of `items` batch by batch, under a progress bar.

    load: item → models.audio.clip.Clip, or waveform [num_samples] or [num_samples, num_channels], or None for one to
    leave out. inverse_mapping, solver, seed: of `models.recovery.recover.recover_clips`. done: clips that an earlier
    run has done, for the bar.
    Yields (items, Clips in the form recovered, answers, seconds a clip) of those that end together, as they end; the
    seconds are those since others ended.
    """
    options = {"inverse_mapping": inverse_mapping, "solver": solver, "seed": seed}
    with tqdm(total=len(items) + done, initial=done, desc=description, unit=unit, disable=None) as bar:
        for first in range(0, len(items), batch_size):
            loaded = [(item, load(item)) for item in items[first : first + batch_size]]
            good = [(item, clip) for item, clip in loaded if clip is not None]
            bar.update(len(loaded) - len(good))
            if not good:
                continue
            move, begin = _mover(bar, len(good)), time.perf_counter()
            clips = [clip if isinstance(clip, Clip) else Clip(clip) for _, clip in good]
            for numbers, forms, answers in _answers(clips, generator, report=move, **options):
                seconds = (time.perf_counter() - begin) / len(answers)
                yield [good[i][0] for i in numbers], forms, answers, seconds
                begin = time.perf_counter()
            move(0)


def is_finite(answer):
    """Whether an answer's latent vector and its sound are numbers."""
    return bool(np.isfinite(answer.z).all() and np.isfinite(answer.waveform).all())


def unfinished(number, answer, row, seconds):
    """A row of UNFINISHED of a clip: what its sound is made of again. row: its computed columns."""
    arrays = {"z": answer.z.astype(np.float32), "begun_from": answer.start, "layer": answer.layer}
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
    values = {name: np.array([row.get(name, usual) for row in rows]) for name, usual in AS_IT_IS.items()}
    return as_recorded(waveforms, SimpleNamespace(**values))


def sounds_of(store, generator):
    """Waveforms [n, num_samples, num_channels] of all rows that `recover_all` returned, in their order."""
    numbers = sorted(store)
    parts = (list(store.rows(numbers[i : i + BATCH])) for i in range(0, len(numbers), BATCH))
    return np.concatenate([waveforms_of(part, generator) for part in parts])
