"""How close reconstructions are to their clips, as a row of a table and as a phrase."""

import numpy as np

from models.audio.digits import DIGITS
from models.audio.second import Second
from models.metrics.metrics import IDENTICAL_DB, log_spectral_distance
from models.networks.judge import probabilities

FORMATS = {  # of numbers in tables; others as they are
    "start": ".3f",
    "snr_db": ".2f",
    "log_spectral_distance": ".2f",
    "perceptual_loss": ".4f",
    "probability": ".2f",
    "provenance": ".3f",
    "seconds": ".2f",
    "margin_db": ".2f",
    "objective": ".6g",
}


def as_text(row):
    """A row's columns as the text that tables have; "" for None."""
    numbers = {name: format(row[name], form) for name, form in FORMATS.items() if row.get(name) not in (None, "")}
    return {name: "" if value is None else str(value) for name, value in row.items()} | numbers


class Closeness:
    """How close reconstructions come to their clips: in numbers, and as a phrase."""

    def __init__(self, generator, perceptual_loss, judge, provenance=None):
        self.second, self.bounds = Second(generator.num_samples, generator.sample_rate), generator.bounds
        self.perceptual_loss = perceptual_loss
        self.judge = judge
        self.provenance = provenance

    def of(self, clips, recovery, paths=None):
        """The rows' columns of a batch, {name: number, or the predicted digit's name}.

        clips: a list of [num_samples, …]. recovery: their models.recovery.recover.Recovery.
        paths: of the recordings that the clips are, where they are that; provenance is measured on what they hold.
        """
        first, waves = self.second.of(np.stack(clips), recovery.waveforms)  # [n, 16384]
        columns = {"snr_db": recovery.snr_db, "log_spectral_distance": log_spectral_distance(first, waves)}
        columns["at_bound"] = (np.abs(recovery.z) >= self.bounds).sum(axis=1)
        if recovery.code is not None and recovery.at_bound is not None:  # bounds concern no code
            columns["at_bound"] = recovery.at_bound
        if self.perceptual_loss:
            columns["perceptual_loss"] = np.asarray(self.perceptual_loss(first, waves))
        if self.judge:
            predicted = probabilities(self.judge, waves)
            columns["predicted_digit"] = [DIGITS[digit] for digit in predicted.argmax(axis=1)]
            columns["probability"] = predicted.max(axis=1)
        if self.provenance:
            columns["provenance"] = self.provenance.of(paths) if paths else self.provenance.of_segments(first)
        return [dict(zip(columns, values)) for values in zip(*columns.values())]

    @staticmethod
    def medians(rows):
        """The median of each measure of many rows, as one row's columns."""
        measures = [name for name in ("snr_db", "log_spectral_distance", "perceptual_loss") if name in rows[0]]
        return {name: np.median([row[name] for row in rows]) for name in measures}

    @staticmethod
    def in_words(row, wrong=False):
        """A row's columns, numbers or text, as a phrase; the SNR says something of identical reconstructions only.

        wrong: whether the latent vector is known to be another, so that identical is no word for it.
        """
        scored = row.get("provenance") not in (None, "")
        made = f", made by this generator: {float(row['provenance']):.0%}" if scored else ""
        if row.get("at_bound") not in (None, "") and int(row["at_bound"]):
            made = f", {row['at_bound']} coordinates at the bounds (larger --bounds let them go on)" + made
        if float(row["snr_db"]) > IDENTICAL_DB:
            return f"{'' if wrong else 'identical, '}SNR {float(row['snr_db']):.1f} dB{made}"
        words = [f"log-spectral distance {float(row['log_spectral_distance']):.1f} dB"]
        if row.get("perceptual_loss") not in (None, ""):
            words.append(f"perceptual loss {float(row['perceptual_loss']):.3f}")
        if row.get("predicted_digit"):
            words.append(f"sounds like {row['predicted_digit']} ({float(row['probability']):.0%})")
        return ", ".join(words) + made
