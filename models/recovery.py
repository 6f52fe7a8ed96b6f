"""The latent vector of a recording (paper section 3): predicted, optimised, or both.

`recover` takes target waveforms and a generator and returns the latent vectors whose sounds are closest. Two solvers optimise: the paper's L-BFGS-B
on mean absolute errors, and Levenberg–Marquardt, which recovers synthesized clips exactly where the first stops short.
"""

from dataclasses import dataclass, field

import numpy as np
import scipy.optimize
import tensorflow as tf

from models.audio import spectrogram
from models.generator import BATCH, generate, random_latent
from models.levenberg_marquardt import WIDEST, minimise
from models.metrics import IDENTICAL_DB, snr_db
from models.residual import Residual

SOLVERS = ("levenberg_marquardt", "l_bfgs_b")
CONVERGED = 0.5e-10  # objective at which Levenberg–Marquardt is done: 100 dB
WORTH_A_RESTART = 0.1  # objective below which an exact answer seems to exist; silence has 0.5
NEARER = 0.15  # noise that Levenberg–Marquardt begins with at a prediction, whose error has this order


@dataclass
class Recovery:
    """Recovered latent vectors z [n, latent_dim] and their waveforms [n, num_samples, num_channels], with what it took.

    objective [n] is the solver's own, for a prediction levenberg_marquardt's; iterations [n] counts Jacobians (levenberg_marquardt) or iterations
    (l_bfgs_b), over all starts, 0 for a prediction.
    """

    z: np.ndarray
    waveforms: np.ndarray
    objective: np.ndarray
    iterations: np.ndarray
    snr_db: np.ndarray = field(default=None)


def predict(targets, inverse_mapping):
    """Latent vectors [n, latent_dim] that an inverse mapping predicts for waveforms [n, num_samples] or [n, num_samples, 1], in batches."""
    targets = np.asarray(targets, np.float32).reshape(len(targets), -1)
    parts = [inverse_mapping.predict_on_batch(targets[i : i + BATCH]) for i in range(0, len(targets), BATCH)]
    return np.concatenate(parts).astype(np.float32)


def recover(
    targets,  # waveforms [n, num_samples] or [n, num_samples, num_channels], prepared as the generator's training clips were
    generator,  # models.generator.Generator
    *,
    inverse_mapping=None,  # models.inverse_mapping.InverseMapping, predicts where to begin
    gradient=True,  # optimise; False: the prediction is the answer
    solver="levenberg_marquardt",  # or "l_bfgs_b", the paper's
    start=None,  # latent vectors [n, latent_dim] to begin from in place of a prediction; else zeros (levenberg_marquardt), uniform random (l_bfgs_b)
    max_iter=200,  # iterations a start
    restarts=3,  # levenberg_marquardt: further random starts at most, for a clip that is explained for the most part but not identical yet
    spectral=0.5,  # levenberg_marquardt: weight of the STFT magnitudes in the residual, 0 to 1
    perceptual_loss=None,  # l_bfgs_b: models.classifier.PerceptualLoss, joins the objective
    perceptual_weight=0.002,  # l_bfgs_b: its weight
    seed=0,  # of the random starts, a number or a list of numbers
    report=None,  # called with the number of clips still being worked on
):
    """Latent vectors whose waveforms are closest to the targets → Recovery. With both inverse_mapping and gradient it is the paper's hybrid.

    Raises ValueError for an unknown solver, a misshapen target, and for neither a prediction nor a gradient.
    """
    targets = np.asarray(targets, np.float32).reshape(len(targets), -1, generator.num_channels)
    if targets.shape[1] != generator.num_samples:
        raise ValueError(f"targets have {targets.shape[1]} samples, the generator makes {generator.num_samples}")
    if inverse_mapping is not None and start is None:
        start = predict(targets, inverse_mapping)
    if not gradient:
        if start is None:
            raise ValueError("without a gradient recover needs an inverse_mapping, or a start")
        start = np.asarray(start, np.float32)
        objective = Residual(generator, targets, spectral).evaluate(start, np.arange(len(start)))
        found = Recovery(start, generate(generator, start), objective, np.zeros(len(start), int))
    elif solver == "levenberg_marquardt":
        found = _levenberg_marquardt(targets, generator, start, max_iter, restarts, spectral, seed, report)
    elif solver == "l_bfgs_b":
        found = _l_bfgs_b(targets, generator, start, max_iter, perceptual_loss, perceptual_weight, seed, report)
    else:
        raise ValueError(f"solver is one of {', '.join(SOLVERS)}, not {solver!r}")
    found.snr_db = snr_db(targets, found.waveforms)
    return found


def _levenberg_marquardt(targets, generator, start, max_iter, restarts, spectral, seed, report):
    n = len(targets)
    problem = Residual(generator, targets, spectral)
    z, smoothing = (np.zeros((n, generator.latent_dim)), WIDEST) if start is None else (np.asarray(start), NEARER)
    best = minimise(
        problem.evaluate,
        problem.linearise,
        z,
        max_iter=max_iter,
        target=CONVERGED,
        smoothing=smoothing,
        report=lambda active: report and report(len(active)),
    )
    for attempt in range(restarts):
        again = np.flatnonzero((snr_db(targets, generate(generator, best.z)) < IDENTICAL_DB) & (best.objective < WORTH_A_RESTART))
        if not len(again):
            break
        part = Residual(generator, targets[again], spectral)
        begin = random_latent(generator, n, [*np.atleast_1d(seed), attempt])[again]
        other = minimise(
            part.evaluate, part.linearise, begin, max_iter=max_iter, target=CONVERGED, report=lambda active: report and report(len(active))
        )
        best.iterations[again] += other.iterations
        better = other.objective < best.objective[again]
        best.z[again[better]], best.objective[again[better]] = other.z[better], other.objective[better]
    z = best.z.astype(np.float32)
    return Recovery(z, generate(generator, z), best.objective, best.iterations)


class PublishedObjective:
    """The paper's objective for one clip: mean absolute error of the waveforms, plus that of the real parts of their spectrograms, plus the
    weighted perceptual loss (where there is a `models.classifier.PerceptualLoss`). Compiled once, for any number of targets.
    """

    def __init__(self, generator, perceptual_loss=None, perceptual_weight=0.002):
        self.generator, self.perceptual_loss, self.perceptual_weight = generator, perceptual_loss, perceptual_weight

    def _real_part(self, waveform):
        return spectrogram(tf.transpose(waveform[0]))[0]  # [num_channels, frames, bins]

    @tf.function
    def _objective_and_gradient(self, z, target, target_real, heard):
        with tf.GradientTape() as tape:
            tape.watch(z)
            waveform = self.generator(z)
            objective = tf.reduce_mean(tf.abs(waveform - target)) + tf.reduce_mean(tf.abs(self._real_part(waveform) - target_real))
            if self.perceptual_loss:
                objective += self.perceptual_weight * tf.reduce_mean(self.perceptual_loss(heard, waveform[..., 0]))
        return objective, tape.gradient(objective, z)

    def of(self, target):
        """A target [1, num_samples, num_channels] → function z [latent_dim] → (objective, gradient [latent_dim]), as SciPy wants it."""
        target = tf.constant(target)
        real, heard = self._real_part(target), self.perceptual_loss.activations(target[..., 0]) if self.perceptual_loss else []

        def function(z):
            objective, gradient = self._objective_and_gradient(tf.constant(z[None], tf.float32), target, real, heard)
            return float(objective), gradient[0].numpy().astype(np.float64)

        return function


def _l_bfgs_b(targets, generator, start, max_iter, perceptual_loss, perceptual_weight, seed, report):
    start = random_latent(generator, len(targets), seed) if start is None else np.asarray(start)
    z, objective, iterations = np.zeros_like(start, np.float32), np.zeros(len(targets)), np.zeros(len(targets), int)
    published = PublishedObjective(generator, perceptual_loss, perceptual_weight)
    for i, target in enumerate(targets):
        result = scipy.optimize.minimize(
            published.of(target[None]),
            start[i].astype(np.float64),
            method="L-BFGS-B",
            jac=True,
            tol=1e-8,
            options={"maxiter": max_iter, "maxfun": 20 * max_iter},
        )
        z[i], objective[i], iterations[i] = result.x, result.fun, result.nit
        if report:
            report(len(targets) - i - 1)
    return Recovery(z, generate(generator, z), objective, iterations)
