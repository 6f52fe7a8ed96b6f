"""The losses of WaveGAN training, each a function of what the networks returned."""

from keras import ops

from models.audio.digits import DIGITS

UNLABELLED = -1  # in place of a digit


def logistic_loss(logits, *, real):
    """Mean over discriminators of softplus(∓ logits), a list of [n, places]; real: whether they ought to be judged
    real."""
    return sum(ops.mean(ops.softplus(-x if real else x)) for x in logits) / len(logits)


def feature_distance(real, fake):
    """Mean absolute difference of activations, two lists of [n, …], relative to the real ones' mean size (feature
    matching)."""
    terms = []
    for a, b in zip(real, fake):
        a = ops.stop_gradient(a)
        terms.append(ops.mean(ops.abs(a - b)) / (ops.mean(ops.abs(a)) + 1e-6))
    return sum(terms) / len(terms)


def digit_loss(log_probabilities, digit):
    """Cross-entropy of log-probabilities [n, 10] and digits int32 [n]; UNLABELLED ones add nothing."""
    return -ops.mean(ops.sum(ops.one_hot(digit, len(DIGITS)) * log_probabilities, axis=1))


def quiet_loss(rms, least):
    """How far, in the logarithm, samples of root mean square `rms` [n] lie below `least`, averaged."""
    return ops.mean(ops.relu(ops.log(least / rms)))


def sorted_distance(x, y):
    """Wasserstein distance of the distributions of two sets of as many numbers, of any shape (their mean absolute
    difference, both sorted)."""
    return ops.mean(ops.abs(ops.sort(ops.reshape(x, (-1,))) - ops.sort(ops.reshape(y, (-1,)))))
