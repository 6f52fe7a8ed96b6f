"""What a clip says of its latent vector: which coordinates it determines, and how sure each is.

Behind a clip the latent vector has a normal distribution: what the clip's samples say, by the Jacobian and the variance
of what remains, and what the generator's prior says without any clip. So no coordinate is less sure than before. In
coordinates in which the prior has the variance 1, the eigenvectors of JᵀJ / variance are directions of which the clip
says something each by itself; where the eigenvalue is above 1 it says more than the prior does.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg


@dataclass(frozen=True)
class Determined:
    """deviations [k]: standard deviations of the coordinates, none above the prior's, 0 where the prior's is. count: of
    directions that the clip determines, 0 to k. directions [count, k]: these, in units of the prior's deviations.
    """

    deviations: np.ndarray
    count: int
    directions: np.ndarray


def determined(normal, variance, prior):
    """What a clip says of a latent vector → Determined.

    normal [k + m, k + m]: JᵀJ of the k coordinates and of m further unknowns of the same clip, such as gain, offset,
    delay or a filter's taps, of which nothing is known beforehand: what these explain as well says nothing of the
    coordinates. variance: of what remains, a sample; at least that of the file's rounding. prior [k]: standard
    deviations of the coordinates, finite, 0 for one that is held. normal and variance may both be relative to the same
    energy.
    """
    prior = np.asarray(prior, np.float64)
    k = len(prior)
    own, cross, others = normal[:k, :k], normal[:k, k:], normal[k:, k:]
    own = own - cross @ np.linalg.pinv(others, hermitian=True) @ cross.T if len(others) else own
    power, vectors = scipy.linalg.eigh(prior[:, None] * own * prior / max(variance, np.finfo(np.float64).tiny))
    shares = 1 / (1 + np.maximum(power, 0))  # of the prior's variance, that is left
    chosen = power > 1
    deviations = prior * np.sqrt(np.minimum(vectors**2 @ shares, 1))
    return Determined(deviations, int(chosen.sum()), vectors[:, chosen].T)


def determined_mse(true, found, known, prior):
    """Mean squared error of the determined coordinates of a latent vector `found` [k], in the latent vector's units;
    0 where none is determined. known: Determined. prior: as of `determined`.
    """
    prior = np.asarray(prior, np.float64)
    difference = np.divide(np.subtract(found, true), prior, out=np.zeros(len(prior)), where=prior > 0)
    errors = known.directions @ difference
    return float(np.mean(errors**2) * np.mean(prior[prior > 0] ** 2)) if known.count else 0.0
