"""The clips that everything here is judged on: of the test part or, as in the paper, of the validation part."""

import numpy as np

from datasets.layouts import find_dataset
from models.audio.clip import NUM_SAMPLES, read_clip


def held_out_clips(datasets, preparation, most=None, seed=0, split="test", num_samples=NUM_SAMPLES, num_channels=1):
    """Up to `most` recordings of a split in random order, prepared as the generator's training clips were.

    Returns waveforms float32 [n, num_samples], of several channels [n, num_samples, num_channels], digits int [n], and
    a line that says what they are. Raises FileNotFoundError, in one line, where there are none, and
    models.audio.clip.AudioError for one that cannot be read.
    """
    layout, folder, recordings = find_dataset(datasets)
    part = [r for r in recordings if r.split == split]
    if not part:
        why = f"no recordings in its {split} split; datasets/README.md says how they are divided"
        raise FileNotFoundError(f"{folder}: {why}")
    chosen = [part[i] for i in np.random.default_rng(seed).permutation(len(part))[:most]]
    how = {"num_samples": num_samples, "num_channels": num_channels, "preparation": preparation}
    clips = np.stack([read_clip(r.path, **how) for r in chosen])
    words = f"{folder}: {layout}, {len(chosen)} of {len(part)} recordings of the {split} split"
    return clips, np.array([r.digit for r in chosen]), words
