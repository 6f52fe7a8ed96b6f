"""All figures of a set of reconstructions: what a row of the paper's tables holds."""

import numpy as np

from models.audio.second import Second
from models.metrics.metrics import (
    BINS_BELOW_4_KHZ,
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
from models.networks.judge import probabilities

BATCH = 50  # clips at once, to bound the memory


class Evaluation:
    """Compares reconstructions with their clips, and asks two classifiers which digits the reconstructions are.

    judge: models.networks.judge, which takes part in no training and no recovery; its answers are the `accuracy` and
    the `inception_score`. classifier: models.networks.classifier, which has made the perceptual loss; its answers have
    `classifier_` before their names. perceptual_loss: models.networks.classifier.PerceptualLoss. splits: of the
    inception score. second: models.audio.second.Second of the clips, which the networks and what compares spectrograms
    take.
    """

    def __init__(self, judge, classifier, perceptual_loss, splits=2, second=None):
        self.networks = {"": judge, "classifier_": classifier}
        self.perceptual_loss, self.splits, self.second = perceptual_loss, splits, second or Second()
        self._known = {}  # what the networks predict for the originals, which are the same for every method

    def _original_digits(self, prefix, clips):
        """The digits [n] that a network predicts for the originals; asked once a set of clips."""
        key = prefix, clips.shape, hash(np.ascontiguousarray(clips).tobytes())
        if key not in self._known:
            self._known[key] = probabilities(self.networks[prefix], clips).argmax(axis=1)
        return self._known[key]

    def distances(self, clips, waves):
        """clips, waves: waveforms [n, num_samples], or with channels [n, num_samples, num_channels] → {metric: [n]}."""
        parts = []
        for i in range(0, len(clips), BATCH):
            pair = clips[i : i + BATCH], waves[i : i + BATCH]
            values = {"mse": waveform_mse(*pair), "snr_db": snr_db(*pair)}
            pair = self.second.of(*pair)
            values |= {"ssim": ssim(*pair), "log_spectral_distance": log_spectral_distance(*pair)}
            values["log_spectral_distance_below_4_khz"] = log_spectral_distance(*pair, BINS_BELOW_4_KHZ)
            values["perceptual_loss"] = np.asarray(self.perceptual_loss(*pair))
            parts.append(values)
        measures = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return measures | {"identical": (measures["snr_db"] > IDENTICAL_DB).astype(float)}

    def recognition(self, clips, waves, digits=None):
        """Each network's accuracy on the reconstructions, [n], and its inception score, {name: {"mean": …, "std": …}}.

        digits: int [n], what is spoken; None: what the network predicts for the clips.
        """
        right, scores = {}, {}
        clips, waves = self.second.of(clips, waves)
        for prefix, network in self.networks.items():
            predicted = probabilities(network, waves)
            spoken = self._original_digits(prefix, clips) if digits is None else digits
            right[f"{prefix}accuracy"] = (predicted.argmax(axis=1) == spoken).astype(float)
            mean, deviation = inception_score(predicted, min(self.splits, len(clips)))
            scores[f"{prefix}inception_score"] = {"mean": mean, "std": deviation}
        return right, scores

    def row(self, clips, waves, digits=None, *, z=None, true=None, conditions=None):
        """The figures of one method: means over the clips, medians of SNR and log-spectral distance, and under "error"
        the standard error of each mean.

        z, true: recovered and true latent vectors [n, latent_dim]; conditions: condition numbers [n] of the Jacobian at
        the true ones. All three or none. `exact` is a share of the identifiable clips.
        """
        right, scores = self.recognition(clips, waves, digits)
        measures = self.distances(clips, waves) | right
        if true is not None:
            measures |= {"latent_mse": latent_mse(true, z), "latent_mae": latent_mae(true, z)}
            measures["identifiable"] = (conditions < IDENTIFIABLE).astype(float)
        row = {name: float(values.mean()) for name, values in measures.items()}
        medians = [name for name in measures if name.startswith(("snr_db", "log_spectral_distance"))]
        row |= {name: float(np.median(measures[name])) for name in medians}
        error = {name: float(values.std() / np.sqrt(len(values))) for name, values in measures.items()}
        if true is not None:
            exact = (measures["latent_mse"] < EXACT)[measures["identifiable"] > 0]
            row["exact"] = float(exact.mean()) if len(exact) else 0.0
            row["condition_number"] = float(np.median(conditions))
        return {"num_clips": len(clips), **scores, **row, "error": error}
