"""Provenance in scripts: the calibration beside the generator, and the score of recordings."""

import numpy as np

from models.audio.clip import AudioError
from models.audio.windows import beginning_of
from models.recovery.provenance import Calibration, evidence


def open_provenance(folder, generator, inverse_mapping, prediction):
    """The Provenance of a generator, or None, with a line that says why there is none. prediction: SHA-256 of the
    inverse mapping."""
    if inverse_mapping is None:
        print("No score of provenance: it takes the inverse mapping")
        return None
    try:
        return Provenance(folder, generator, inverse_mapping, (generator.sha256, prediction))
    except (FileNotFoundError, ValueError) as error:
        print(f"No score of provenance: {error}; python calibrate_provenance.py makes one")
        return None


class Provenance:
    """Scores of how likely the generator made a recording, with the calibration in its folder.

    generator, inverse_mapping: the networks. hashes: their SHA-256. Raises ValueError, FileNotFoundError, in one line,
    where there is no calibration, or one for other networks.
    """

    def __init__(self, folder, generator, inverse_mapping, hashes):
        self.generator, self.inverse_mapping = generator, inverse_mapping
        self.calibration = Calibration.read(folder)
        if (self.calibration.generator, self.calibration.inverse_mapping) != tuple(hashes):
            raise ValueError(f"{folder}: its calibration of provenance belongs to another generator or inverse mapping")

    def of(self, paths):
        """Scores of recordings → [n] numbers, None for one that cannot be read or is silent."""
        segments = [self._segment(path) for path in paths]
        return self.of_segments(segments)

    def of_segments(self, segments):
        """Scores of waveforms at 16,384 Hz, a list, None for one that there is not → [n] numbers, or None."""
        good = [s for s in segments if s is not None and np.any(s)]
        scores = iter(self.calibration.score(evidence(good, self.generator, self.inverse_mapping)) if good else ())
        return [next(scores) if s is not None and np.any(s) else None for s in segments]

    def _segment(self, path):
        try:
            return beginning_of(path)[: self.generator.num_samples]
        except (AudioError, OSError, ValueError):
            return None
