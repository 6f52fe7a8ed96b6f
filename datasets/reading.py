"""Reading recordings under a progress bar, once, for whichever script trains on them."""

from tqdm import tqdm

from datasets.pipeline import decoded
from models.preparation import PUBLISHED


def read_clips(recordings, name, *, preparation=PUBLISHED, wanted_in=""):
    """Reads recordings into a tf.data cache in memory, under a progress bar, and says which were left out and why.

    recordings: list of datasets.layouts.Recording. name: of the part, for the bar. preparation: see models.audio.
    wanted_in: the folder to name in an error if nothing is left; "" where an empty part is no error.
    Returns the dataset of (waveform float16 [16384], digit int32) and the recordings in it, in its order. Raises
    ValueError, in one line, where more than 1 % cannot be read, and for an empty part.
    """
    with tqdm(total=len(recordings), desc=f"reading {name}", unit="recording", disable=None) as bar:
        clips, left, unreadable = decoded(
            recordings, preparation=preparation, tell=lambda done, total: bar.update(done - bar.n)
        )
    for reason in unreadable:
        print(f"left out: {reason}")
    if wanted_in and not left:
        raise ValueError(f"{wanted_in}: no recordings in its {name} part; datasets/README.md says how they are divided")
    return clips, left
