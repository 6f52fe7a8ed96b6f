"""All figures of a set of reconstructions: what a row of the paper's tables holds."""

import numpy as np

from models.metrics import (
    EXACT,
    IDENTICAL_DB,
    IDENTIFIABLE,
    inception_score,
    latent_mae,
    latent_mse,
    log_spectral_distance,
    snr_db,
    ssim,
    waveform_mse,
)

BATCH = 50  # clips at once, to bound the memory


class Judge:
    """Compares reconstructions with their clips, through the ears of a classifier too.

    classifier: see models.classifier. perceptual_loss: models.classifier.PerceptualLoss. splits: of the inception
    score.
    """

    def __init__(self, classifier, perceptual_loss, splits=2):
        self.classifier, self.perceptual_loss, self.splits = classifier, perceptual_loss, splits

    def probabilities(self, waveforms):
        """Waveforms [n, 16384] → probabilities of the digits [n, 10]."""
        return np.concatenate(
            [self.classifier.predict_on_batch(waveforms[i : i + BATCH]) for i in range(0, len(waveforms), BATCH)]
        )

    def per_clip(self, clips, waves, digits=None):
        """clips, waves: waveforms [n, 16384]. digits: int [n], what is said; None: what the classifier hears in
        the clips.

        Returns {metric: [n]} and the probabilities of the digits in the reconstructions [n, 10].
        """
        digits = self.probabilities(clips).argmax(axis=1) if digits is None else digits
        probabilities = self.probabilities(waves)
        parts = []
        for i in range(0, len(clips), BATCH):
            x, y = clips[i : i + BATCH], waves[i : i + BATCH]
            values = {
                "mse": waveform_mse(x, y),
                "snr_db": snr_db(x, y),
                "ssim": ssim(x, y),
                "log_spectral_distance": log_spectral_distance(x, y),
            }
            parts.append(values | {"perceptual_loss": np.asarray(self.perceptual_loss(x, y))})
        found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        found["identical"] = (found["snr_db"] > IDENTICAL_DB).astype(float)
        return found | {"accuracy": (probabilities.argmax(axis=1) == digits).astype(float)}, probabilities

    def row(self, clips, waves, digits=None, *, z=None, true=None, conditions=None):
        """The figures of one method: means over the clips, the median of the SNR, and under "error" the standard
        error of each mean.

        z, true: recovered and true latent vectors [n, latent_dim]; conditions: condition numbers [n] of the
        Jacobian at the true ones. All three or none. `exact` is a share of the identifiable clips.
        """
        found, probabilities = self.per_clip(clips, waves, digits)
        if true is not None:
            found |= {
                "latent_mse": latent_mse(true, z),
                "latent_mae": latent_mae(true, z),
                "identifiable": (conditions < IDENTIFIABLE).astype(float),
            }
        row = {name: float(values.mean()) for name, values in found.items()} | {
            "snr_db": float(np.median(found["snr_db"]))
        }
        error = {name: float(values.std() / np.sqrt(len(values))) for name, values in found.items()}
        mean, deviation = inception_score(probabilities, min(self.splits, len(clips)))
        if true is not None:
            exact = (found["latent_mse"] < EXACT)[found["identifiable"] > 0]
            row["exact"] = float(exact.mean()) if len(exact) else 0.0
            row["condition_number"] = float(np.median(conditions))
        return {"num_clips": len(clips), "inception_score": {"mean": mean, "std": deviation}, **row, "error": error}
