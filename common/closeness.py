"""How close reconstructions are to their clips: what the columns are computed from."""

from functools import cached_property

import numpy as np

from common.columns import COMPUTED, columns
from common.verdicts import made_by
from models.audio.second import Second
from models.networks.judge import probabilities
from models.recovery.verdict import is_silent


class Ended:
    """Results that ended together, and what is heard of them.

    answers: what `common.recovering.recovered` yields. clips: the Clips that they answer; None where nobody asks who
    made them. heard: the second of each clip that networks hear, and of its reconstruction, [n, 16384] each; None where
    nobody listens. loss, judge: networks, or None.
    """

    def __init__(self, answers, clips=None, heard=None, loss=None, judge=None):
        self.answers, self.clips, self.heard, self._loss, self._judge = answers, clips, heard, loss, judge

    @cached_property
    def predicted(self):
        """What the judge gives each digit [n, 10], or None without a judge."""
        return probabilities(self._judge, self.heard[1]) if self._judge else None

    @cached_property
    def perceptual_loss(self):
        """[n], or None without a classifier."""
        return np.asarray(self._loss(*self.heard)) if self._loss else None

    @cached_property
    def made_by(self):
        """Who made each sound, where least squares on the waveform have looked for its latent vector; or None."""
        return None if self.clips is None else [made_by(*one) for one in zip(self.clips, self.answers)]

    def rows(self):
        """The computed columns, {name: value} of each result; what a result lacks is left out."""
        rows = [{} for _ in self.answers]
        for column in columns(COMPUTED):
            values = column.of(self)
            for row, value in zip(rows, () if values is None else values):
                if value is not None and (column.type is str or np.isfinite(value)):
                    row[column.name] = column.type(value)
        return rows


class Closeness:
    """Measures how close reconstructions come to their clips. perceptual_loss, judge: networks, or None."""

    def __init__(self, generator, perceptual_loss, judge):
        self.second = Second(generator.num_samples, generator.sample_rate)
        self.perceptual_loss, self.judge = perceptual_loss, judge

    def of(self, clips, answers):
        """The computed columns of results, as of `Ended.rows`; of a clip without any sound there is none.

        clips: models.audio.clip.Clips. answers: theirs, of `common.recovering.recovered`.
        """
        samples = [clip.samples for clip in clips]
        heard = self.second.of(np.stack(samples), np.stack([answer.matched for answer in answers]))
        rows = Ended(answers, clips, heard, self.perceptual_loss, self.judge).rows()
        return [{} if is_silent(np.atleast_2d(one.T).T) else row for one, row in zip(samples, rows)]
