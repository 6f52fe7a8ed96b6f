"""Reading recordings under a progress bar, once, for whichever script trains on them."""

from tqdm import tqdm

from common.script import one_line
from datasets.pipeline import decoded


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
