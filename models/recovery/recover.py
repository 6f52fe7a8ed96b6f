"""The latent vector of a sound (paper section 3): predicted, optimised, or both.

`recover` takes target waveforms and a generator and returns the latent vectors whose sounds are closest. A solver finds
them; without one the start is the answer, a prediction in most cases. A prediction and a solver are the paper's hybrid.
"""

from dataclasses import dataclass

import numpy as np

from models.generator.generator import generate
from models.metrics.metrics import snr_db
from models.recovery.exact import as_recorded, residuals
from models.recovery.layer import generate_from_layer
from models.recovery.solution import Solution


@dataclass
class Recovery(Solution):
    """A Solution with its waveforms [n, num_samples, num_channels] and their snr_db [n].

    The waveforms are the generator's own; for snr_db they have the gain, the offset and the shift of the target.

    Where there is a `layer` the waveforms were made from it, and are no latent vector's sounds. start: what the solver
    began from, a prediction or random latent vectors, if it was either.
    """

    waveforms: np.ndarray = None
    snr_db: np.ndarray = None


def recover(
    targets,  # waveforms [n, num_samples] or [n, num_samples, num_channels], prepared as the generator's training clips
    generator,  # models.generator.generator.Generator
    *,
    solver=None,  # Perceptual(), LevenbergMarquardt(), LBFGSB() or Layer(after=…); None: the start is the answer
    start=None,  # latent vectors [n, latent_dim] to begin from, such as models.recovery.starts.predict returns
    seed=0,  # of whatever the solver draws, a number or a list of numbers
    report=None,  # called with the number of clips still being worked on
):
    """Latent vectors whose waveforms are closest to the targets → Recovery.

    The objective of a start that is the answer is that of LevenbergMarquardt. A clip's answer depends on the others by
    rounding only: with another number of them TensorFlow sums in another order, and gradients differ by up to 2e-4 of
    their size. Raises ValueError for misshapen targets, for neither a solver nor a start, and what the solver raises.
    """
    targets = np.asarray(targets, np.float32).reshape(len(targets), -1, generator.num_channels)
    if targets.shape[1] != generator.num_samples:
        raise ValueError(f"targets have {targets.shape[1]} samples, the generator makes {generator.num_samples}")
    start = None if start is None else np.asarray(start, np.float32)
    if solver is not None:
        solution = solver.solve(targets, generator, start, seed=seed, report=report)
    elif start is not None:
        solution = Solution(start, residuals(targets, generator, start), np.zeros(len(start), int))
    else:
        raise ValueError("without a solver the start is the answer, and there is none")
    z = solution.z.astype(np.float32)
    waveforms = generate(generator, z) if solution.layer is None else generate_from_layer(generator, solution.layer)
    values = vars(solution) | {"z": z, "start": start if solution.start is None else solution.start}
    return Recovery(**values, waveforms=waveforms, snr_db=snr_db(targets, as_recorded(waveforms, solution)))
