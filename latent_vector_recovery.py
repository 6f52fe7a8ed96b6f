"""Recordings → latent vectors: for each recording, the latent vector whose sound is closest to it, and that sound."""

# What is recovered, and where it goes
recipe = "ours"  # "published": every setting below that is not given as in the paper ["ours", "published"]
files = "Audio_Examples/real/"  # a folder of recordings, or one recording; WAV, FLAC, OGG, … at any rate
output = "waves/"  # folder for {name}_reconstruction.wav, {name}.npy (float32, [100]), recovery.csv and latents.csv
prepared = "auto"  # take recordings as they are; "auto": both ways, but windows prepared ["auto", "True", "False"]
hop = 0.0  # seconds between windows that a recording of any length is cut into; 0: only the first is used [0 to 4]
find = False  # look for the generator's own clips, anywhere in recordings of any length, and for nothing else
made_here = False  # with a prediction alone: which share of each recording a latent vector explains, too
report = False  # write index.html into output as well, a page to listen to and look at
overwrite = False  # do again what an earlier run with the same settings has done

# Method
inverse_mapping = True  # predict the latent vector with a network
gradient = False  # optimise it, from the prediction if inverse_mapping is True too (hybrid)
space = "latent"  # "layer": then the first layer's output too, beyond the generator's range ["latent", "layer"]
solver = "perceptual"  # of the optimisation; "l_bfgs_b": the paper's ["perceptual", "levenberg_marquardt", "l_bfgs_b"]
log_spectral_weight = -1.0  # perceptual: of the log-spectral distance in 10 dB; -1: 0.3, 1 with a layer [-1 to 1e6]
max_iter = 200  # iterations of l_bfgs_b, and of levenberg_marquardt where an answer is exact [1 to 1,000,000]
budget = 200  # Jacobians for one recording at most, about three of them a second; 0: any number [0 to 1e6]
channels = "speed,hum,filter,levels,echo,room"  # what may have happened to an own clip beside level and place
restarts = 8  # further tries at most, where an exact answer seems to be missed [0 to 1000]
stft_share = 0.5  # levenberg_marquardt: weight of STFT magnitudes for clips that no latent vector explains [0 to 1]
perceptual_weight = 1.0  # l_bfgs_b: weight of the perceptual loss [0 to 1e6]
taps = "blocks"  # of the perceptual loss; "stage2": the published solver's ["blocks", "stage2"]
hold_code = ""  # the code that every recording has, such as 2 or 101; "": which one it has is recovered
code_scale = "1"  # what codes are multiplied by, a number above 0, up to 20; "free": that is recovered too
seed = 0  # of the random starts [0 to 4,294,967,295]
batch_size = 0  # recordings worked on side by side; 0: 64 for predictions, 32 with the gradient [0 to 4096]

# Weights
checkpoint = "checkpoint/"  # folder with the generator; behind commas others, which may have made the sounds too
facts = ""  # in place of what clip.json says: sample_rate=22050,code=onehot:10, … (checkpoint/README.md)
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier, for the perceptual loss
judge_checkpoint = "judge_checkpoint/"  # folder with the judge, which says which digit a reconstruction is

PUBLISHED = {
    "solver": "l_bfgs_b",
    "max_iter": 200,
    "perceptual_weight": 1.0,
    "taps": "stage2",
    "facts": "sample_rate=16384",
}  # the authors' recovery script

from common.settings import from_shell

settings = from_shell(globals(), recipes={"published": PUBLISHED})

import contextlib
import functools
import time
from pathlib import Path

from common.networks import (
    clip_of,
    open_generator,
    open_inverse_mapping,
    open_judge,
    open_perceptual_loss,
)

import numpy as np
import soundfile
from tqdm import tqdm

from common.closeness import Closeness
from common.columns import RECORDINGS, alternatives_in_words, in_seconds, in_words, medians, windows_in_words
from common.compared import compared
from common.files import (
    find_recordings,
    printable,
    result_names,
    writable_folder,
    write_array,
    write_clip,
    write_latents,
)
from common.found import find_in
from common.lock import hold
from common.long_recordings import LongRecording, hop_in_samples
from common.page import Sound, write_page
from common.recovering import is_finite, recovered
from common.script import EXIT_FAILED, ScriptError, complain, one_line_errors
from common.solvers import exact_solver, method_of
from common.store import Store, depends_on
from models.audio.clip import AudioError, prepare
from models.files.latents import known_latent
from models.metrics.metrics import EXACT, IDENTIFIABLE, condition_number, latent_mse
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.recover import recover, recovered_clips

AS_IT_IS = "as it is"
PREPARED = {"True": True, "False": False}
METHODS = {(True, True): "hybrid", (True, False): "inverse_mapping", (False, True): "gradient"}


def main_checkpoint():
    return checkpoint.split(",")[0]


def check_settings():
    if "," in checkpoint and (not gradient or find or hop or space == "layer"):
        raise ScriptError(
            f"{checkpoint}: several generators are compared with --gradient alone, of recordings as clips"
        )
    if not gradient and not inverse_mapping and not find:
        raise ScriptError("gradient and inverse_mapping are both False; one of them, or both, finds the latent vector")
    if hop and made_here and not gradient:
        raise ScriptError("made_here is of recordings as one clip; with hop, --gradient says it of each window")
    if find and (hop or space == "layer" or report):
        raise ScriptError("find looks for own clips only: there is neither hop nor report nor --space=layer with it")
    source = Path(files) if Path(files).is_dir() else Path(files).parent
    if source.resolve() == Path(output).resolve():
        raise ScriptError(
            f"{output}: this is the folder of the recordings, whose own .npy files would be lost; give another --output"
        )


def warn(path, words):
    complain(__file__, f"warning: {path}: {words}")


def read(path, generator):
    """A recording as a Clip prepared for the generator, or None, with a line that says what is wrong with it."""
    try:
        clip = prepare(path, prepared=PREPARED.get(prepared), **clip_of(generator))
    except (AudioError, OSError, ValueError) as error:
        complain(__file__, error)
        return None
    for warning in clip.warnings:
        more = "; --hop=0.5 recovers the rest, --find the generator's own clips, wherever they lie in it"
        more = more if clip.cut and warning == clip.warnings[0] else ""
        warn(path, f"{warning}{more}")
    return clip


def form(clip):
    """Whether a recording was recovered as it is or prepared, in words."""
    return AS_IT_IS if prepared == "True" or clip.samples is clip.as_it_is else "prepared"


def share_explained(clips, z, generator, inverse_mapping):
    """The share of each clip [n] that a latent vector near the prediction z [n, latent_dim] explains."""
    options = {"solver": LevenbergMarquardt(), "start": z, "inverse_mapping": inverse_mapping, "only_exact": True}
    return recover(np.stack(clips), generator, **options).explained


def truth(path, z, generator, label=0):
    """How far the latent vector z [latent_dim] is from the true one, in words, "" where that is not known; and whether
    it is known to be another. label: that was recovered, for a generator whose label is not set.
    """
    try:
        true = known_latent(path, generator.latent_dim)
    except ValueError as error:
        return f"; {error}", False
    if true is None:
        return "", False
    error = latent_mse(true, z[None])[0]
    generator = generator.with_label(label) if generator.takes_label else generator
    condition = condition_number(generator, true)[0]
    exact = "exact" if error < EXACT else "not exact"
    identifiable = "identifiable" if condition < IDENTIFIABLE else "not identifiable"
    return f", latent MSE {error:.1e} ({exact}; {identifiable}, condition {condition:.0f})", error >= EXACT


def described():
    """The columns `method` and `solver` of every row."""
    beyond = "_layer" if space == "layer" else ""
    return {"method": METHODS[inverse_mapping, gradient] + beyond, "solver": solver if gradient else ""}


def recover_files(paths, names, table, method, closeness, others):
    """Recovers recordings and writes the results of each when it ends; says which could not be recovered. method: the
    networks, the solver and its seed, as common.recovering.recovered takes them. others: {name: generator} that each
    sound is looked for in, too."""
    generator = method["generator"]

    def load(path):
        with contextlib.suppress(OSError):  # `read` says what is wrong with it
            table.recording(path)  # before it is read: what changes later is done again
        return read(path, generator)

    for batch, clips, answers, seconds in recovered(paths, load, unit="recording", **method):
        rows = closeness.of(clips, answers)
        shares = [None] * len(batch)
        if made_here and all(answer.explained is None for answer in answers):
            predicted = np.stack([answer.z for answer in answers])
            shares = share_explained([clip.samples for clip in clips], predicted, generator, method["inverse_mapping"])
        for path, clip, answer, row, share in zip(batch, clips, answers, rows, shares):
            if not is_finite(answer):
                complain(__file__, f"{path}: no finite latent vector was found")
                continue
            write_result(table.folder, names[path], clip, generator.sample_rate, answer, "z_std" in row)
            row |= {"name": names[path], "seconds": seconds, "form": form(clip)} | described()
            row |= {} if share is None else {"explained": float(share)}
            if others:
                row |= compared(
                    path, main_checkpoint(), answer, others, exact_solver(settings), PREPARED.get(prepared), seed
                )
            table.add([table.recording(path) | row])
            known, wrong = truth(path, answer.z, generator, int(row.get("label", 0)))
            words = f"{row['form']}: " * (row["form"] == AS_IT_IS) + alternatives_in_words(row) + in_words(row, wrong)
            words += f", {row['iterations']} iterations" if gradient and "iterations" in row else ""
            tqdm.write(printable(f"{path}: {words}{known}, {in_seconds(seconds)}"))


def recover_long(paths, names, table, method, closeness):
    """Recovers recordings of any length window by window; says which could not be recovered. method: as of
    `recover_files`."""
    generator = method["generator"]
    samples = hop_in_samples(hop, generator)
    for path in paths:
        begin, as_it_is = time.perf_counter(), prepared == "True"
        try:
            settings = table.settings | {"recording": table.recording(path)["sha256"]}
            options = {"settings": settings, "fresh": overwrite, "tell": functools.partial(warn, path)}
            long = LongRecording(path, names[path], table.folder, generator, samples, as_it_is, **options)
            long.recover(measure=closeness.of, **method)
            rows = long.put_together(report)
        except (AudioError, ValueError) as error:
            complain(__file__, error)
            continue
        seconds = (time.perf_counter() - begin) / len(rows)
        row = table.recording(path) | {"name": names[path], "seconds": seconds} | described() | medians(rows)
        table.add([row])
        words = f"{len(rows)} windows, {windows_in_words(rows)}, {in_seconds(seconds)} each"
        tqdm.write(printable(f"{path}: {words}; all windows are in {names[path]}.csv"))


def recover_found(paths, names, table, method, closeness):
    """Finds the generator's own clips in recordings of any length; says each as soon as it is known. method: as of
    `recover_files`."""
    generator, options = method["generator"], {name: method[name] for name in ("inverse_mapping", "code", "seed")}
    options |= {"solver": exact_solver(settings), "only_exact": True}
    for path in paths:
        begin, rows = time.perf_counter(), []
        try:
            solve = functools.partial(recovered_clips, generator=generator, **options)
            tell = functools.partial(warn, path)
            for row in find_in(path, names[path], table.folder, generator, solve, closeness.of, tell):
                rows.append(row)
                times = f"{row['start']:.3f} to {row['end']:.3f} s"
                tqdm.write(printable(f"{path}: {times}: {in_words(row)}"))
        except (AudioError, ValueError) as error:
            complain(__file__, error)
            continue
        seconds = time.perf_counter() - begin
        how = {"method": METHODS[inverse_mapping, True], "solver": "levenberg_marquardt"}
        table.add([table.recording(path) | {"name": names[path], "seconds": seconds} | how | medians(rows)])
        words = f"{len(rows)} clips of this generator found, {in_seconds(seconds)}; they are in {names[path]}.csv"
        tqdm.write(printable(f"{path}: {words}"))


def write_result(folder, name, clip, sample_rate, answer, sure):
    """The files of one recording: its reconstruction at its own level and position, its latent vector, its layer, and
    the coordinates' deviations where they are sure."""
    sound = clip.undo(answer.matched * np.float32(clip.has_sound))
    write_clip(folder, f"{name}_reconstruction", sound, sample_rate)
    write_array(folder / f"{name}.npy", answer.z)
    for ending, values in (("_std", answer.z_std if sure else None), (".layer", answer.layer)):
        write_array(folder / f"{name}{ending}.npy", None if values is None else np.asarray(values, np.float32))


def write_tables(table):
    """latents.csv, of all recordings that have results: a row a recording, or a window in order, with its label where
    that was looked for; latents_std.csv, the deviations of the coordinates of those that a latent vector explains."""
    for ending, target in (("", "latents.csv"), ("_std", "latents_std.csv")):
        rows = []
        for row in table.rows():
            with contextlib.suppress(OSError, ValueError):  # results that are no longer there are done again
                z = np.atleast_2d(np.load(table.folder / f"{row['name']}{ending}.npy"))
                label = {"label": row["label"]} if "label" in row else {}
                rows += [({"file": row["file"]} | label | {"code": row.get("code", "")}, one) for one in z]
        if rows or not ending:
            write_latents(table.folder / target, rows)
        else:
            (table.folder / target).unlink(missing_ok=True)


def write_report(paths, names, table, generator, made_with):
    """The page to listen to, of all recordings that have results; each original is the second that was recovered."""
    rows = []
    for path in (p for p in paths if printable(p) in table):
        clip = None if hop else read(path, generator)
        original, true, z = table.folder / f"{names[path]}_original.wav", None, None
        row = table[printable(path)]
        if clip is not None:
            with contextlib.suppress(ValueError):
                true = known_latent(path, generator.latent_dim)
            clip = clip.unprepared() if row["form"] == AS_IT_IS and clip.as_it_is is not None else clip
            write_clip(table.folder, original.stem, clip.undo(clip.samples), generator.sample_rate)
            z = np.load(table.folder / f"{names[path]}.npy")
        if not original.exists():
            continue
        reconstruction = table.folder / f"{names[path]}_reconstruction.wav"
        sounds = [Sound("original", original, "", true)]
        wrong = true is not None and latent_mse(true, z[None])[0] >= EXACT
        sounds.append(Sound(row["method"], reconstruction, in_words(row, wrong), z))
        rows.append((names[path], true, sounds))
    write_page(table.folder / "index.html", f"Latent vectors of {files}", made_with, rows)
    print(f"To listen: open {table.folder / 'index.html'} in a browser")


def result_names_in(table, paths):
    """{path: name of its results}, none of them another recording's in this folder."""
    known = {path: table[key]["name"] for path in paths if (key := printable(path)) in table}
    others = [path for path in paths if path not in known]
    return known | result_names(others, [row["name"] for row in table.rows()])


def is_done(path, name, table):
    """Whether an earlier run has recovered a recording as it is now, and all results that this one is asked for are
    there and whole."""
    if printable(path) not in table:
        return False
    row = table[printable(path)]
    if hop and report and not (table.folder / f"{name}_original.wav").exists():
        return False
    try:
        wave = soundfile.info(table.folder / f"{name}_reconstruction.wav")
        arrays = [f"{name}.npy"] + [f"{name}.layer.npy"] * (space == "layer")
        sizes = [np.load(table.folder / array, allow_pickle=False).size for array in arrays]
    except Exception:  # soundfile and NumPy raise whatever a damaged file leads to
        return False
    whole = wave.frames > 0 and (min(sizes) > 0 or find)  # perhaps none was found
    return whole and table.is_as_it_was(path, row.get("size"), row.get("sha256"))


def main():
    check_settings()
    paths = find_recordings(files)
    folder = writable_folder(output)
    hold(folder)
    known = {"any_label": gradient and not hop and not find, "check_derivative": gradient or find}
    generator = open_generator(main_checkpoint(), facts, **known)
    others = {name: open_generator(name) for name in checkpoint.split(",")[1:]}
    mapping = open_inverse_mapping(inverse_mapping_checkpoint, generator) if inverse_mapping else None
    perceptual_loss = open_perceptual_loss(classifier_checkpoint, taps)
    judge = open_judge(judge_checkpoint)
    closeness = Closeness(generator, perceptual_loss, judge)
    method = {"generator": generator, "inverse_mapping": mapping, "seed": seed}
    method |= method_of(settings, perceptual_loss, generator.codes)
    what = {"judge": judge, "classifier": perceptual_loss, "prepared": prepared, "hop": hop, "made_here": made_here}
    what |= {"find": find, "others": [other.sha256 for other in others.values()]}
    table = Store(folder, "recovery", RECORDINGS, depends_on(**method, **what))
    names = result_names_in(table, paths)
    remaining = [path for path in paths if overwrite or not is_done(path, names[path], table)]
    table.forget(printable(path) for path in remaining)
    if len(remaining) < len(paths):
        done = len(paths) - len(remaining)
        print(f"{done} of {len(paths)} recordings are done with these settings already (--overwrite does them again)")
    method["batch_size"] = batch_size or (32 if gradient else 64)
    each = recover_found if find else recover_long if hop else functools.partial(recover_files, others=others)
    each(remaining, names, table, method, closeness)
    table.write()
    unread = [path for path in remaining if printable(path) not in table]
    if paths and len(unread) == len(paths):
        raise ScriptError(f"{files}: none of the recordings there could be recovered")
    write_tables(table)
    print(f"Reconstructions, latent vectors, recovery.csv and latents.csv are in {folder}/")
    if report:
        made_with = f"Generator: {generator.description}, SHA-256 {generator.sha256[:16]}…"
        made_with += f"; prediction {mapping.sha256[:16]}…" if mapping else ""
        write_report(paths, names, table, generator, [made_with])
    return EXIT_FAILED if unread else 0


if __name__ == "__main__":
    with one_line_errors(__file__):
        raise SystemExit(main())
