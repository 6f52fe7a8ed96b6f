"""The clips that everything here is judged on: recordings of the test split, never trained on."""

import numpy as np

from datasets.layouts import find_dataset
from models.audio import NUM_SAMPLES, read_clip


def held_out_clips(datasets, preparation, most=None, seed=0, num_samples=NUM_SAMPLES, num_channels=1):
    """Up to `most` recordings of the test split in random order, prepared as the generator's training clips were.

    Returns waveforms float32 [n, 16384] ([n, num_samples, num_channels] for several channels), digits int [n], and a
    line that says what they are. Raises FileNotFoundError, in one line, where there are none, and
    models.audio.AudioError for one that cannot be read.
    """
    layout, folder, recordings = find_dataset(datasets)
    test = [r for r in recordings if r.split == "test"]
    if not test:
        raise FileNotFoundError(
            f"{folder}: no recordings in its test split; datasets/README.md says how they are divided"
        )
    chosen = [test[i] for i in np.random.default_rng(seed).permutation(len(test))[:most]]
    shape = {"num_samples": num_samples, "num_channels": num_channels, "preparation": preparation}
    clips = np.stack([read_clip(r.path, **shape) for r in chosen])
    return (
        clips,
        np.array([r.digit for r in chosen]),
        f"{folder}: {layout}, {len(chosen)} of {len(test)} recordings of the test split",
    )
