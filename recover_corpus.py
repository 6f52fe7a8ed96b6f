"""A corpus → latent vectors: every recording in a folder or a list, by many processes, on one machine or on a cluster.

Runs on Ray (requirements-cluster.txt). Each process holds the networks; results are Parquet files, a row a recording.
"""

# What is recovered, and where it goes
files = "datasets/"  # a folder of recordings, with the folders below it, or a text file with a path on each line
output = "waves/corpus/"  # folder for part-….parquet: file, z, how close it is, and its error where there is one
waves = False  # the reconstructions too, in the column `reconstruction`: 64 KiB more for each recording of a second

# Method
inverse_mapping = True  # predict the latent vector with a network
gradient = False  # optimise it, from the prediction if inverse_mapping is True too (hybrid)
seed = 0  # of the random starts [0 to 4,294,967,295]
hold_code = ""  # the code that every recording has, such as 2 or 101; "": which one it has is recovered
code_scale = "1"  # what codes are multiplied by, a number above 0, up to 20; "free": that is recovered too
batch_size = 32  # recordings worked on side by side [1 to 4096]

# Where it runs
address = ""  # of a Ray cluster, "auto" for the one this machine belongs to; "": this machine alone
workers = 2  # processes [1 to 10,000]
threads = 1  # processor cores for each [1 to 256]

# Weights
checkpoint = "checkpoint/"  # folder with the generator
facts = ""  # in place of what clip.json says: sample_rate=22050,code=onehot:10, … (checkpoint/README.md)
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder with the network that predicts
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier, for the perceptual loss
judge_checkpoint = "judge_checkpoint/"  # folder with the judge, which says which digit a reconstruction is

from common.settings import from_shell

settings = from_shell(globals())

import logging
import time
from pathlib import Path

import common.networks  # noqa: F401  first, so that TensorFlow starts without its noise

from tqdm import tqdm

from common.files import find_recordings, printable, writable_folder
from common.lock import hold
from common.script import EXIT_FAILED, ScriptError, one_line_errors

try:
    import ray

    from common.corpus import CorpusTable, Recoverer
except ImportError as error:
    raise SystemExit(f"recover_corpus.py: {error}; pip install -r requirements-cluster.txt") from None


def recordings():
    """Paths of the recordings that `files` names, each once, in order."""
    path = Path(files)
    if path.suffix != ".txt":
        return find_recordings(files, below=True)
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [Path(line) for line in dict.fromkeys(lines) if line]


def connect():
    """Joins the cluster at `address`, or starts Ray in this machine; processes find this project where it is here."""
    variables = {"PYTHONPATH": str(Path(__file__).resolve().parent), "TF_NUM_INTRAOP_THREADS": str(threads)}
    variables |= {"TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": str(threads)}
    options = {"log_to_driver": False, "logging_level": "ERROR", "runtime_env": {"env_vars": variables}}
    here = {"num_cpus": workers * threads, "include_dashboard": False}
    ray.init(**options, **({"address": address} if address else here))
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # which else says that of every run


def recovered(paths, options):
    """Yields a table of one batch after another, as the processes finish them; a process that dies is replaced."""
    batches = [[str(path.absolute()) for path in paths[i : i + batch_size]] for i in range(0, len(paths), batch_size)]
    batches = ray.data.from_items(batches, override_num_blocks=len(batches)).map_batches(
        Recoverer,
        fn_constructor_kwargs=options,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=threads,
    )
    yield from batches.iter_batches(batch_size=None, prefetch_batches=0, batch_format="pyarrow")


def method():
    """What each process is told, options of Recoverer."""
    options = {name: str(Path(settings[name]).resolve()) for name in settings if name.endswith("checkpoint")}
    options |= {"predict": inverse_mapping, "gradient": gradient, "seed": seed, "waves": waves}
    options |= {"hold_code": hold_code, "code_scale": code_scale}
    options["facts"] = facts
    return options


def main():
    if not gradient and not inverse_mapping:
        raise ScriptError("gradient and inverse_mapping are both False; one of them, or both, finds the latent vector")
    paths, folder, options = recordings(), writable_folder(output), method()
    hold(folder)
    table = CorpusTable(folder, Recoverer(**options).settings)  # opened here too: what is wrong is said once
    remaining = [path for path in paths if not table.is_done(path)]
    if len(remaining) < len(paths):
        print(f"{len(paths) - len(remaining)} of {len(paths)} recordings are done already")
    if remaining:
        connect()
    begin, wrong = time.perf_counter(), 0
    with tqdm(total=len(paths), initial=len(paths) - len(remaining), unit="recording", disable=None) as bar:
        for rows in recovered(remaining, options) if remaining else ():
            table.add(rows)
            for error in filter(None, rows["error"].to_pylist()):
                wrong += 1
                tqdm.write(printable(error))
            bar.update(len(rows))
    table.flush()
    seconds = time.perf_counter() - begin
    print(f"{len(remaining)} recordings in {seconds:.0f} s, {wrong} of them with an error, are in {folder}/")
    return EXIT_FAILED if wrong else 0


if __name__ == "__main__":
    with one_line_errors(__file__):
        raise SystemExit(main())
