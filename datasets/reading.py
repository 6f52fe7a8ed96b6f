"""Reading recordings: those to train on, under a progress bar, and the clips that everything here is judged on."""

import numpy as np
from tqdm import tqdm

from common.script import one_line
from datasets.layouts import find_datasets
from datasets.pipeline import decoded
from models.audio.clip import NUM_SAMPLES, read_clip


def read_clips(recordings, name, *, wanted_in="", **kwargs):
    """Reads recordings into a tf.data cache in memory, under a progress bar, and says which were left out and why.

    recordings: list of datasets.layouts.Recording. name: of the part, for the bar. wanted_in: the folder to name in an
    error if nothing is left; "" where an empty part is no error. kwargs: the clips' shape and preparation, see
    datasets.pipeline.decoded.
    Returns the dataset of (waveform float16 [num_samples], digit int32) and the recordings in it, in its order. Raises
    ValueError, in one line, where more than 1 % cannot be read, and for an empty part.
    """
    with tqdm(total=len(recordings), desc=f"reading {name}", unit="recording", disable=None) as bar:
        clips, readable, unreadable = decoded(recordings, tell=lambda done, total: bar.update(done - bar.n), **kwargs)
    for reason in unreadable:
        print(one_line(f"left out: {reason}"))
    if wanted_in and not readable:
        raise ValueError(f"{wanted_in}: no recordings in its {name} part; datasets/README.md says how they are divided")
    return clips, readable


def held_out_clips(datasets, preparation, most=None, seed=0, split="test", num_samples=NUM_SAMPLES, num_channels=1):
    """Up to `most` recordings of a split of each data set in random order, prepared as the generator's training clips
    were.

    datasets: one folder, or several with commas between them. Returns waveforms float32 [n, num_samples], of several
    channels [n, num_samples, num_channels], the n recordings (datasets.layouts.Recording), those of a data set
    together, and a line that says what they are. Raises FileNotFoundError, in one line, where a data set has none, and
    models.audio.clip.AudioError for one that cannot be read.
    """
    words, recordings = find_datasets(datasets)
    chosen, counted = [], []
    for dataset in dict.fromkeys(r.dataset for r in recordings):
        part = [r for r in recordings if (r.dataset, r.split) == (dataset, split)]
        if not part:
            why = f"no recordings in the {split} split of {dataset}; datasets/README.md says how they are divided"
            raise FileNotFoundError(f"{datasets}: {why}")
        chosen += [part[i] for i in np.random.default_rng(seed).permutation(len(part))[:most]]
        counted.append(f"{min(len(part), most or len(part))} of {len(part)}")
    kwargs = {"num_samples": num_samples, "num_channels": num_channels, "preparation": preparation}
    clips = np.stack([read_clip(r.path, **kwargs) for r in chosen])
    return clips, chosen, f"{words}: {' and '.join(counted)} recordings of the {split} split"
