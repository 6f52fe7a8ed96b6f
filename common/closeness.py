"""How close reconstructions are to their clips, as a row of a table and as a phrase."""

import numpy as np

from common.verdicts import WORDS
from models.audio.digits import DIGITS
from models.audio.second import Second
from models.metrics.metrics import IDENTICAL_DB, log_spectral_distance
from models.networks.judge import probabilities
from models.recovery.verdict import SILENT, is_silent

FORMATS = {  # of numbers in tables; others as they are
    "start": ".3f",
    "snr_db": ".2f",
    "log_spectral_distance": ".2f",
    "perceptual_loss": ".4f",
    "probability": ".2f",
    "explained": ".4f",
    "gain": ".4g",
    "offset": ".3g",
    "shift": ".2f",
    "z_std": ".2g",
    "seconds": ".2f",
    "margin_db": ".2f",
    "objective": ".6g",
}

MADE_HERE = 0.8  # share of a recording that a latent vector explains, from which on the generator made it


def as_text(row):
    """A row's columns as the text that tables have; "" for None."""
    numbers = {name: format(row[name], form) for name, form in FORMATS.items() if row.get(name) not in (None, "")}
    return {name: "" if value is None else str(value) for name, value in row.items()} | numbers


class Closeness:
    """How close reconstructions come to their clips: in numbers, and as a phrase."""

    def __init__(self, generator, perceptual_loss, judge):
        self.second, self.bounds = Second(generator.num_samples, generator.sample_rate), generator.bounds
        self.noise = generator.codes.noise if generator.codes else slice(None)  # bounds concern no code
        self.perceptual_loss = perceptual_loss
        self.judge = judge

    def of(self, clips, recovery):
        """The rows' columns of a batch, {name: number, or the predicted digit's name}; "" in each of a silent clip.

        clips: a list of [num_samples, …]. recovery: their models.recovery.recover.Recovery.
        """
        first, waves = self.second.of(np.stack(clips), recovery.matched)  # [n, 16384]
        columns = {"snr_db": recovery.snr_db, "log_spectral_distance": log_spectral_distance(first, waves)}
        columns["at_bound"] = (np.abs(recovery.z[:, self.noise]) >= self.bounds).sum(axis=1)
        if self.perceptual_loss:
            columns["perceptual_loss"] = np.asarray(self.perceptual_loss(first, waves))
        if self.judge:
            predicted = probabilities(self.judge, waves)
            columns["predicted_digit"] = [DIGITS[digit] for digit in predicted.argmax(axis=1)]
            columns["probability"] = predicted.max(axis=1)
        for name in ("explained", "gain", "offset", "shift"):
            if getattr(recovery, name) is not None:
                columns[name] = [value if np.isfinite(value) else "" for value in getattr(recovery, name)]
        if recovery.z_std is not None:
            columns["z_std"] = [value if np.isfinite(value) else "" for value in np.median(recovery.z_std, axis=1)]
        rows = [dict(zip(columns, values)) for values in zip(*columns.values())]
        return [dict.fromkeys(row, "") if is_silent(np.atleast_2d(clip.T).T) else row for row, clip in zip(rows, clips)]

    @staticmethod
    def medians(rows):
        """The median of each measure of many rows, as one row's columns."""
        measures = {"snr_db", "log_spectral_distance", "perceptual_loss", "explained"} & set(rows[0])
        known = {name: [row[name] for row in rows if row[name] != ""] for name in measures}
        return {name: np.median(values) for name, values in known.items() if values}

    @staticmethod
    def in_words(row, wrong=False):
        """A row's columns, numbers or text, as a phrase; the SNR says something of identical reconstructions only.

        wrong: the latent vector is known to be another one than the true one.
        """

        def number(name):
            return float(row[name]) if row.get(name) not in (None, "") else None

        if number("snr_db") is None:
            return WORDS[SILENT]
        words, stuck = [], int(number("at_bound") or 0)
        if number("snr_db") > IDENTICAL_DB:
            sure = not wrong and not stuck
            words.append(f"{'identical, ' if sure else ''}SNR {number('snr_db'):.1f} dB")
        else:
            words.append(f"log-spectral distance {number('log_spectral_distance'):.1f} dB")
            if (loss := number("perceptual_loss")) is not None:
                words.append(f"perceptual loss {loss:.3f}")
            if row.get("predicted_digit"):
                words.append(f"sounds like {row['predicted_digit']} ({number('probability'):.0%})")
        if (share := number("explained")) is not None:
            made = f", {MADE_HERE:.0%} or more: made by it" if share >= MADE_HERE else ""
            words.append(f"{share:.1%} explained by this generator{made}")
        if (deviation := number("z_std")) is not None:
            words.append(f"coordinates ±{deviation:.1g}")
        if stuck:
            words.append(f"{stuck} coordinate{'s' * (stuck > 1)} at the bounds, --bounds=2 or more allows others")
        return ", ".join(words)
