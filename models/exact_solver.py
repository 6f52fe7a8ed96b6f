"""Exact recovery: Levenberg–Marquardt for clips that the generator made itself, and the signs by which it is told that
it made a clip.

A clip that has an exact answer gives itself away: the objective of a good prediction is far below that of silence, and
from anywhere Levenberg– Marquardt makes it fall several times over within a few iterations. For a real recording it
neither begins low nor falls.
"""

import numpy as np

from models.generator import generate
from models.levenberg_marquardt import WIDEST, minimise
from models.metrics import IDENTICAL_DB, snr_db
from models.residual import Residual

CONVERGED = 0.5e-10  # objective from which on Levenberg–Marquardt takes no more Jacobians: 100 dB
EXPLAINED = 0.1  # objective below which an exact answer seems to exist; silence has 0.5
PROMISING = 0.3  # objective of a start below which one may exist
LEAST_FALL = 0.2  # share by which the objective of a clip with an exact answer falls in two iterations, at least
ANEW = (0.6, 1.0)  # noise of the second and the third try from the same start, relative to that of the first
NEARER = 0.15  # noise that Levenberg–Marquardt begins with at a prediction, whose error has this order


def solve(targets, generator, start, draw, *, max_iter, restarts, spectral, all_the_way=True, report=None):
    """Levenberg–Marquardt → models.levenberg_marquardt.Solution.

    targets: waveforms [n, num_samples, num_channels]. start: latent vectors [n, latent_dim], or None for zeros.
    restarts: how often, at most, a clip that is explained for the most part but not identical yet is tried again, by
    the waveform alone: twice from the same start, then from half of what draw, a function of the number of the attempt,
    returns [n, latent_dim]. max_iter: iterations of each start.
    spectral: weight of the STFT magnitudes. all_the_way: False gives a clip up as soon as its objective stops falling
    as that of a clip with an exact answer does. report: called with the number of clips still being worked on.
    """
    n = len(targets)
    smoothing = WIDEST if start is None else NEARER
    z = np.zeros((n, generator.latent_dim)) if start is None else start
    how = {"max_iter": max_iter, "target": CONVERGED, "report": lambda active: report and report(len(active))}
    if not all_the_way:
        how |= {"least_fall": LEAST_FALL, "above": EXPLAINED}
    problem = Residual(generator, targets, spectral)
    best = minimise(problem, z, smoothing=smoothing, **how)
    for attempt in range(restarts):
        snr = snr_db(targets, generate(generator, best.z))
        again = np.flatnonzero((snr < IDENTICAL_DB) & (best.objective < EXPLAINED))
        if not len(again):
            break
        if spectral > 0 and attempt < len(ANEW):  # magnitudes have minima of their own, the waveform alone often none
            begin, noise = z[again], ANEW[attempt] * smoothing
        else:
            begin, noise = 0.5 * draw(attempt)[again], WIDEST  # from the outer half of the cube it rarely gets away
        other = minimise(Residual(generator, targets[again]), begin, smoothing=noise, **how)
        best.iterations[again] += other.iterations
        better = snr_db(targets[again], generate(generator, other.z)) > snr[again]
        best.z[again[better]], best.objective[again[better]] = other.z[better], other.objective[better]
    return best
