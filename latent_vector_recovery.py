"""Recordings → latent vectors: for each recording, the latent vector whose sound is closest to it, and that sound."""

# What is recovered, and where it goes
recipe = "ours"  # "published": every setting below that is not given as in the paper ["ours", "published"]
files = "Audio_Examples/real/"  # a folder of recordings, or one recording; WAV, FLAC, OGG, … at any rate
output = "waves/"  # folder for {name}_reconstruction.wav, {name}.npy (float32, [100]), recovery.csv and latents.csv
prepared = "auto"  # "True": recordings are taken as they are; "False": none is; "auto": tried ["auto", "True", "False"]
hop = 0.0  # seconds between the windows that a recording of any length is cut into; 0: only its first is used [0 to 4]
find = False  # look for the generator's own clips, anywhere in recordings of any length, and for nothing else
made_here = False  # with a prediction alone: which share of each recording a latent vector explains, too
report = False  # write index.html into output as well, a page to listen to and look at
overwrite = False  # do again what an earlier run with the same settings has done

# Method
inverse_mapping = True  # predict the latent vector with a network
gradient = False  # optimise it, from the prediction if inverse_mapping is True too (hybrid)
space = "latent"  # "layer": then the first layer's output too, beyond the generator's range ["latent", "layer"]
solver = "perceptual"  # of the optimisation; "l_bfgs_b": the paper's ["perceptual", "levenberg_marquardt", "l_bfgs_b"]
log_spectral_weight = 0.3  # perceptual: weight of the log-spectral distance, in units of 10 dB [0 to 1e6]
max_iter = 200  # iterations of l_bfgs_b, and of levenberg_marquardt where an answer is exact [1 to 1,000,000]
restarts = 8  # further tries at most, where an exact answer seems to be missed [0 to 1000]
stft_share = 0.5  # levenberg_marquardt: weight of STFT magnitudes for clips that no latent vector explains [0 to 1]
perceptual_weight = 1.0  # l_bfgs_b: weight of the perceptual loss [0 to 1e6]
taps = "blocks"  # of the perceptual loss; "stage2": the published solver's ["blocks", "stage2"]
hold_code = ""  # the code that every recording has, such as 2 or 101; "": which one it has is recovered
code_scale = "1"  # what codes are multiplied by, a number above 0, up to 20; "free": that is recovered too
seed = 0  # of the random starts [0 to 4,294,967,295]
batch_size = 0  # recordings worked on side by side; 0: 64 for predictions, 32 with the gradient [0 to 4096]

# Weights
checkpoint = "checkpoint/"  # folder with the generator
sample_rate = 0  # of its clips in Hz; 0: what clip.json or args.txt beside it says, else 16,000 [0 to 48,000]
bounds = 0.0  # largest absolute coordinate of a latent vector; 0: what clip.json says, else by the prior [0 to inf]
prior = ""  # of its latent vectors; "": what clip.json says, else "uniform" on [-1, 1] ["", "uniform", "normal"]
code = ""  # layout of its latent vectors, such as onehot:10, bits:3 or onehot:2,bits:3@end; "": what clip.json says
num_samples = 0  # of its clips, where a WaveGAN's checkpoint leaves that open and no args.txt says it [0 to 65,536]
input_name = ""  # of its latent vector, where a .pb, .onnx, .keras or SavedModel has another than z, or several inputs
output_name = ""  # of its waveform, likewise
label = -1  # of a generator that takes a label besides its latent vector; -1: found, with the gradient [-1 to 4095]
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier, for the perceptual loss
judge_checkpoint = "judge_checkpoint/"  # folder with the judge, which says which digit a reconstruction is

PUBLISHED = {
    "solver": "l_bfgs_b",
    "max_iter": 200,
    "perceptual_weight": 1.0,
    "taps": "stage2",
    "sample_rate": 16384,
}  # the authors' recovery script

RENAMED = {"spectral_weight": "use --log_spectral_weight", "spectral": "use --stft_share"}
RENAMED["provenance"] = "with --gradient every line says which share a latent vector explains; else use --made_here"
RENAMED |= dict.fromkeys(("shard", "merge"), "recover_corpus.py recovers with many processes and machines")

from common.settings import from_shell

settings = from_shell(globals(), recipes={"published": PUBLISHED}, renamed=RENAMED)

import contextlib
import functools
import time
from dataclasses import asdict
from pathlib import Path

from common.networks import (
    clip_of,
    open_generator,
    open_inverse_mapping,
    open_judge,
    open_perceptual_loss,
)

import numpy as np
from tqdm import tqdm

from common.closeness import Closeness
from common.files import find_recordings, printable, writable_folder, write_array, write_clip, write_latents
from common.found import find_in
from common.long_recordings import LongRecording, hop_in_samples
from common.page import Sound, write_page
from common.recovering import RecoveryTable, code_of, recovered_batches
from common.script import EXIT_FAILED, ScriptError, complain, one_line_errors
from common.solvers import coded, solver_of
from models.audio.clip import AudioError, prepare
from models.files.latents import known_latent
from models.metrics.metrics import EXACT, IDENTIFIABLE, condition_number, latent_mse
from models.recovery.exact import LevenbergMarquardt
from models.recovery.recover import recover_clips
from models.recovery.solution import identity

AS_IT_IS = "as it is"
METHODS = {(True, True): "hybrid", (True, False): "inverse_mapping", (False, True): "gradient"}


def check_settings():
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


def read(path, generator):
    """A recording as a Clip prepared for the generator, or None, with a line that says what is wrong with it."""
    try:
        clip = prepare(path, prepared={"True": True, "False": False}.get(prepared), **clip_of(generator))
    except (AudioError, OSError, ValueError) as error:
        complain(__file__, error)
        return None
    for warning in clip.warnings:
        more = "; --hop=0.5 recovers the rest, --find the generator's own clips, wherever they lie in it"
        more = more if clip.cut and warning == clip.warnings[0] else ""
        complain(__file__, f"warning: {path}: {warning}{more}")
    return clip


def form(clip):
    """Whether a recording was recovered as it is or prepared, in words."""
    return AS_IT_IS if prepared == "True" or clip.samples is clip.as_it_is else "prepared"


def share_explained(clips, z, generator):
    """The share of each clip [n] that a latent vector near the prediction z [n, latent_dim] explains."""
    targets = np.stack(clips).reshape(len(clips), generator.num_samples, generator.num_channels)
    return LevenbergMarquardt(give_up=True).solve(targets, generator, z).explained


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


def code_in_words(row):
    """The label and the code of a row, as a phrase to begin with, or ""."""
    names = [f"{name} {row[name]}" for name in ("label", "code") if name in row]
    if not names:
        return ""
    next_best = f", {row['margin_db']:.1f} dB before {row['runner_up']}" if row["runner_up"] else ""
    return f"{', '.join(names)}{next_best}; "


def recover_files(paths, names, table, method, closeness):
    """Recovers recordings and writes the results; says which could not be recovered. method: the networks, the solver
    and its seed, as common.recovering.recovered_batches takes them."""
    generator = method["generator"]
    for batch, clips, recovery, seconds in recovered_batches(
        paths, lambda path: read(path, generator), unit="recording", **method
    ):
        samples = [clip.samples for clip in clips]
        if made_here and recovery.explained is None:
            recovery.explained = share_explained(samples, recovery.z, generator)
        for i, (path, row) in enumerate(zip(batch, closeness.of(samples, recovery))):
            if not (np.isfinite(recovery.z[i]).all() and np.isfinite(recovery.waveforms[i]).all()):
                complain(__file__, f"{path}: no finite latent vector was found")
                continue
            write_result(table.folder, names[path], clips[i], generator.sample_rate, recovery, i)
            row |= {"name": names[path], "seconds": seconds, "form": form(clips[i])} | described()
            row |= code_of(recovery, i)
            table.add(path, row | {"iterations": recovery.iterations[i], "objective": recovery.objective[i]})
            known, wrong = truth(path, recovery.z[i], generator, int(row.get("label", 0)))
            words = f"{row['form']}: " * (row["form"] == AS_IT_IS) + code_in_words(row) + closeness.in_words(row, wrong)
            words += f", {recovery.iterations[i]} iterations" if gradient else ""
            tqdm.write(printable(f"{path}: {words}{known}, {seconds:.2g} s"))


def recover_long(paths, names, table, method, closeness):
    """Recovers recordings of any length window by window; says which could not be recovered. method: as of
    `recover_files`."""
    generator = method["generator"]
    samples = hop_in_samples(hop, generator)
    for path in paths:
        begin, as_it_is = time.perf_counter(), prepared == "True"
        try:
            long = LongRecording(
                path, names[path], table.folder, generator, samples, as_it_is, table.settings, overwrite
            )
            rows = long.put_together(long.recover(**method), closeness.of, report)
        except (AudioError, ValueError) as error:
            complain(__file__, error)
            continue
        seconds = (time.perf_counter() - begin) / len(rows)
        row = {"name": names[path], "seconds": seconds} | described() | closeness.medians(rows)
        table.add(path, row)
        digits = f", sounds like {' '.join(r['predicted_digit'] for r in rows[:12])}" if closeness.judge else ""
        digits += " …" if digits and len(rows) > 12 else ""
        words = f"{len(rows)} windows, median {closeness.in_words(row)}{digits}, {seconds:.2g} s each"
        tqdm.write(printable(f"{path}: {words}; all windows are in {names[path]}.csv"))


def recover_found(paths, names, table, method, closeness):
    """Finds the generator's own clips in recordings of any length; says each as soon as it is known. method: as of
    `recover_files`."""
    generator, exact = method["generator"], LevenbergMarquardt(max_iter, restarts, give_up=True)
    solver = coded(exact, generator.codes, hold_code, code_scale)
    options = {"inverse_mapping": method["inverse_mapping"], "solver": solver, "seed": seed}
    for path in paths:
        begin, rows = time.perf_counter(), []
        try:
            solve = functools.partial(recover_clips, generator=generator, **options)
            for row in find_in(path, names[path], table.folder, generator, solve, closeness.of):
                rows.append(row)
                times = f"{row['start']:.3f} to {row['end']:.3f} s"
                tqdm.write(printable(f"{path}: {times}: {closeness.in_words(row)}"))
        except (AudioError, ValueError) as error:
            complain(__file__, error)
            continue
        seconds = time.perf_counter() - begin
        medians = closeness.medians(rows) if rows else {}
        how = {"method": METHODS[inverse_mapping, True], "solver": "levenberg_marquardt"}
        table.add(path, {"name": names[path], "seconds": seconds} | how | medians)
        words = f"{len(rows)} clips of this generator found, {seconds:.2g} s; they are in {names[path]}.csv"
        tqdm.write(printable(f"{path}: {words}"))


def write_result(folder, name, clip, sample_rate, recovery, i):
    """The files of one recording: its reconstruction at its own level and position, its latent vector, its layer."""
    heard = np.any(np.ptp(clip.samples, axis=0))  # of silence the reconstruction is silence
    write_clip(folder, f"{name}_reconstruction", clip.undo(recovery.matched[i] * np.float32(heard)), sample_rate)
    write_array(folder / f"{name}.npy", recovery.z[i])
    for ending, values in (("_std", recovery.z_std), (".layer", recovery.layer)):
        known = values is not None and np.isfinite(values[i]).all()
        write_array(folder / f"{name}{ending}.npy", values[i].astype(np.float32) if known else None)


def write_tables(table):
    """latents.csv, of all recordings that have results: a row a recording, or a window in order, with its label where
    that was looked for; latents_std.csv, the deviations of the coordinates of those that a latent vector explains."""
    for ending, target in (("", "latents.csv"), ("_std", "latents_std.csv")):
        rows = []
        for row in table.rows.values():
            with contextlib.suppress(OSError, ValueError):  # results that are no longer there are done again
                z = np.atleast_2d(np.load(table.folder / f"{row['name']}{ending}.npy"))
                columns = {"file": row["file"], "label": row["label"], "code": row["code"]}
                if not row["label"]:
                    del columns["label"]
                rows += [(columns, one) for one in z]
        if rows or not ending:
            write_latents(table.folder / target, rows)
        else:
            (table.folder / target).unlink(missing_ok=True)


def write_report(paths, names, table, generator, made_with):
    """The page to listen to, of all recordings that have results; each original is the second that was recovered."""
    rows = []
    for path in (p for p in paths if table.is_done(p)):
        clip = None if hop else read(path, generator)
        original, true, z = table.folder / f"{names[path]}_original.wav", None, None
        row = table.rows[printable(path)]
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
        sounds.append(Sound(row["method"], reconstruction, Closeness.in_words(row, wrong), z))
        rows.append((names[path], true, sounds))
    write_page(table.folder / "index.html", f"Latent vectors of {files}", made_with, rows)
    print(f"To listen: open {table.folder / 'index.html'} in a browser")


def is_done(path, name, table):
    """Whether an earlier run has recovered a recording, and written all that this one is asked for."""
    heard = not (hop and report) or (table.folder / f"{name}_original.wav").exists()
    return heard and table.is_done(path)


def main():
    check_settings()
    paths = find_recordings(files)
    folder = writable_folder(output)
    named = {"num_samples": num_samples, "input_name": input_name, "output_name": output_name}
    generator = open_generator(
        checkpoint, sample_rate, bounds, prior, code, check_derivative=gradient or find, **named, label=label,
        any_label=gradient and not hop and not find,
    )  # fmt: skip
    mapping = open_inverse_mapping(inverse_mapping_checkpoint, generator) if inverse_mapping else None
    perceptual_loss = open_perceptual_loss(classifier_checkpoint, taps)
    judge = open_judge(judge_checkpoint)
    closeness = Closeness(generator, perceptual_loss, judge)
    method = {"generator": generator, "inverse_mapping": mapping, "seed": seed}
    method["solver"] = solver_of(settings, perceptual_loss, generator.codes)
    depends_on = method | {
        "judge": judge,
        "classifier": perceptual_loss,
        "prepared": prepared,
        "hop": hop,
        "code": generator.preparation.code,
    }
    depends_on["preparation"] = asdict(generator.preparation)
    depends_on |= {"find": find, "made_here": made_here, "layer": space == "layer"}
    table = RecoveryTable(folder, {name: identity(value) for name, value in depends_on.items()})
    names = table.names(paths)
    remaining = [path for path in paths if overwrite or not is_done(path, names[path], table)]
    table.forget(remaining)
    if len(remaining) < len(paths):
        done = len(paths) - len(remaining)
        print(f"{done} of {len(paths)} recordings are done with these settings already (--overwrite does them again)")
    method["batch_size"] = batch_size or (32 if gradient else 64)
    (recover_found if find else recover_long if hop else recover_files)(remaining, names, table, method, closeness)
    table.write()
    unread = [path for path in remaining if not table.is_done(path)]
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
