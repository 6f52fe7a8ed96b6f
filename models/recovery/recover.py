"""The latent vector of a sound (paper section 3): predicted, optimised, or both.

`recover` takes target waveforms and a generator and returns the latent vectors whose sounds are closest. A clip that
the generator made has an exact answer, and Levenberg–Marquardt finds it; a real recording has none, and descent on
what is heard finds the nearest. Which of the two a clip is shows within a few iterations.
"""

import zlib
from dataclasses import dataclass, field

import numpy as np

from models.generator.generator import BATCH, by_channel, generate
from models.metrics.metrics import snr_db
from models.recovery import exact as exact_solver
from models.recovery import lbfgsb as published_solver
from models.recovery import perceptual as perceptual_solver
from models.recovery.descent import SPECTRAL_WEIGHT, STEPS
from models.recovery.exact import EXPLAINED, PROMISING
from models.recovery.layer import recover_layer
from models.recovery.residual import Residual

# Another solver: a module with solve(targets, generator, start, …) → z, objectives, iterations; its name here and its
# branch in `recover`; its settings in the scripts that recover.
SOLVERS = ("perceptual", "levenberg_marquardt", "l_bfgs_b")
SPACES = ("latent", "layer")
STREAM = 20_101  # separates the random starts from every other use of a seed


@dataclass
class Recovery:
    """Recovered latent vectors z [n, latent_dim] and their waveforms [n, num_samples, num_channels], with what it took.

    objective [n] is the solver's own, for a prediction levenberg_marquardt's. iterations [n] counts Jacobians where
    levenberg_marquardt answered, steps of Adam where descent did, iterations of l_bfgs_b, each over all starts; 0 for
    a prediction. snr_db [n] is that of the waveforms. layer [n, 16, 16 d]: what the waveforms were made from where the
    first layer's output was optimised too; they are no latent vector's sounds then. start [n, latent_dim]: the
    prediction, or the random latent vectors that l_bfgs_b began from, if there was either.
    """

    z: np.ndarray
    waveforms: np.ndarray
    objective: np.ndarray
    iterations: np.ndarray
    snr_db: np.ndarray = field(default=None)
    layer: np.ndarray | None = None
    start: np.ndarray | None = None


def predict(targets, inverse_mapping):
    """Latent vectors [n, latent_dim] that an inverse mapping predicts for waveforms [n, num_samples] or
    [n, num_samples, num_channels], in batches.
    """
    targets = np.asarray(targets, np.float32)
    targets = by_channel(targets) if targets.ndim == 3 else targets
    parts = [inverse_mapping.predict_on_batch(targets[i : i + BATCH]) for i in range(0, len(targets), BATCH)]
    return np.concatenate(parts).astype(np.float32)


def recover(
    targets,  # waveforms [n, num_samples] or [n, num_samples, num_channels], prepared as the generator's training clips
    generator,  # models.generator.generator.Generator
    *,
    inverse_mapping=None,  # models.networks.inverse_mapping.InverseMapping, predicts where to begin
    gradient=True,  # optimise; False: the prediction is the answer
    solver="perceptual",  # or "levenberg_marquardt" for every clip; or "l_bfgs_b", the paper's
    start=None,  # latent vectors [n, latent_dim] to begin from in place of a prediction
    max_iter=200,  # iterations of levenberg_marquardt and l_bfgs_b a start
    restarts=8,  # levenberg_marquardt: further tries at most, for a clip that is explained but not exactly
    spectral=0.5,  # levenberg_marquardt: weight of the STFT magnitudes in the residual, 0 to 1
    perceptual_loss=None,  # models.networks.classifier.PerceptualLoss; without one perceptual goes by spectra alone
    perceptual_weight=0.002,  # l_bfgs_b: weight of the perceptual loss
    spectral_weight=SPECTRAL_WEIGHT,  # perceptual: weight of the log-spectral distance in units of 10 dB
    steps=STEPS,  # perceptual: of the last stage of the descent
    space="latent",  # or "layer": from the latent vector found, the first layer's output is optimised too
    seed=0,  # of the random starts, a number or a list of numbers
    report=None,  # called with the number of clips still being worked on
):
    """Latent vectors whose waveforms are closest to the targets → Recovery. With both inverse_mapping and gradient it
    is the paper's hybrid. What is found for a clip depends on the others by rounding only: with another
    number of them TensorFlow sums in another order, and gradients differ by up to 2e-4 of their size.

    Raises ValueError for an unknown solver or space, a misshapen target, neither a prediction nor a gradient, and for
    space "layer" with a generator that is no recognised WaveGAN.
    """
    targets = np.asarray(targets, np.float32).reshape(len(targets), -1, generator.num_channels)
    if targets.shape[1] != generator.num_samples:
        raise ValueError(f"targets have {targets.shape[1]} samples, the generator makes {generator.num_samples}")
    if space not in SPACES:
        raise ValueError(f"space is one of {', '.join(SPACES)}, not {space!r}")
    if solver not in SOLVERS:
        raise ValueError(f"solver is one of {', '.join(SOLVERS)}, not {solver!r}")
    if start is None and inverse_mapping is not None:
        start = predict(targets, inverse_mapping)
    start = None if start is None else np.asarray(start, np.float32)

    def draw(attempt=0):
        return random_starts(targets, generator.latent_dim, [attempt, *np.atleast_1d(seed)])

    exactly = {"max_iter": max_iter, "restarts": restarts, "spectral": spectral}
    if not gradient:
        if start is None:
            raise ValueError("without a gradient recover needs an inverse_mapping, or a start")
        z, objective, iterations = start, residuals(targets, generator, start, spectral), np.zeros(len(start), int)
    elif solver == "levenberg_marquardt":
        best = exact_solver.solve(targets, generator, start, draw, report=report, **exactly)
        z, objective, iterations = best.z, best.objective, best.iterations
    elif solver == "l_bfgs_b":
        start = draw() if start is None else start
        z, objective, iterations = published_solver.solve(
            targets, generator, start, max_iter, perceptual_loss, perceptual_weight, report
        )
    else:
        by_ear = {"perceptual_loss": perceptual_loss, "spectral_weight": spectral_weight, "steps": steps, "seed": seed}
        z, objective, iterations = _either(targets, generator, start, draw, exactly, by_ear, report)
    z = z.astype(np.float32)
    waveforms, layer = generate(generator, z), None
    if space == "layer":
        beyond = recover_layer(targets, generator, z, perceptual_loss=perceptual_loss)
        waveforms, layer, objective = beyond.waveforms, beyond.layer, beyond.objective
    return Recovery(z, waveforms, objective, iterations, snr_db(targets, waveforms), layer, start)


def random_starts(targets, latent_dim, seed):
    """Latent vectors [n, latent_dim] uniform on [-1, 1], each drawn from the seed, a list of numbers, and its clip."""
    streams = [[STREAM, zlib.crc32(np.ascontiguousarray(clip).tobytes()), *seed] for clip in targets]
    return np.stack([np.random.default_rng(stream).uniform(-1, 1, latent_dim) for stream in streams]).astype(np.float32)


def residuals(targets, generator, z, spectral):
    """levenberg_marquardt's objectives [n] at latent vectors [n, latent_dim], in batches; silence has about 0.5."""
    problem, parts = Residual(generator, targets, spectral), []
    for i in range(0, len(z), BATCH):
        parts.append(problem.evaluate(z[i : i + BATCH], np.arange(i, min(i + BATCH, len(z)))))
    return np.concatenate(parts)


def _either(targets, generator, start, draw, exactly, by_ear, report):
    """The exact answer of clips that have one, what is nearest to the ear for the others → z, objectives, iterations.

    A clip that the ear's descent leads near an exact answer is then solved exactly too.
    """
    n = len(targets)
    z, objective, iterations = np.zeros((n, generator.latent_dim), np.float32), np.full(n, np.inf), np.zeros(n, int)

    def solve_exactly(index, begin):
        """Keeps what explains its clip; a clip whose objective does not fall as those do is soon given up."""
        if not len(index):
            return
        part = {"draw": lambda attempt: draw(attempt)[index], "all_the_way": False, **exactly}
        best = exact_solver.solve(targets[index], generator, begin, report=lambda active: tell(active), **part)
        good = best.objective < EXPLAINED
        z[index[good]], objective[index[good]] = best.z[good], best.objective[good]
        iterations[index[good]] = best.iterations[good]
        explained[index[good]] = True

    def tell(active):
        if report:
            report(active + np.sum(~explained) if active < n else n)

    explained = np.zeros(n, bool)
    if start is None:
        solve_exactly(np.arange(n), None)
    else:
        index = np.flatnonzero(residuals(targets, generator, start, exactly["spectral"]) < PROMISING)
        solve_exactly(index, start[index])
    left = np.flatnonzero(~explained)
    if len(left):
        begin = None if start is None else start[left]
        found = perceptual_solver.solve(targets[left], generator, begin, report=report, **by_ear)
        z[left], objective[left], iterations[left] = found
        near = left[residuals(targets[left], generator, z[left], exactly["spectral"]) < PROMISING]
        solve_exactly(near, z[near])
    return z, objective, iterations
