"""The clips that everything here is judged on: of the test part or, as in the paper, of the validation part."""

import numpy as np

from datasets.layouts import find_datasets
from models.audio.clip import NUM_SAMPLES, read_clip


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
