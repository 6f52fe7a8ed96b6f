"""The losses of WaveGAN training, each a function of what the networks returned."""

from keras import ops

CLASSES = 10
UNLABELLED = -1  # in place of a digit
TOLD = (300.0, 40.0)  # nats that the encoder may tell of a recording, at first and in the end
TOLD_HALF_LIFE = 2000.0  # steps in which what it may tell beyond that halves
PATIENCE = 100.0  # steps in which the divergence's weight grows e-fold where the encoder tells twice as much
WEIGHT_RANGE = (1e-5, 1.0)  # of the divergence


def divergence(mean, deviation):
    """Kullback–Leibler divergence of independent normal variables from standard normal ones, in nats: mean and standard
    deviation [n, k] → one number, the sum over k, averaged over n."""
    return ops.mean(ops.sum(0.5 * (mean**2 + deviation**2 - 1) - ops.log(deviation), axis=1))


def following_weight(weight, told, step):
    """The weight of the divergence after a step in which it was `told` nats: it grows while the encoder tells more than
    it may at that step, and shrinks while it tells less (Rezende and Viola, arXiv 1810.00597)."""
    age = ops.cast(step, "float32") / TOLD_HALF_LIFE
    allowed = TOLD[1] + (TOLD[0] - TOLD[1]) * 0.5**age
    return ops.clip(weight * ops.exp(ops.clip(told / allowed - 1, -1, 1) / PATIENCE), *WEIGHT_RANGE)


def logistic_loss(logits, *, real):
    """Mean over discriminators of softplus(∓ logits), a list of [n, places]; real: whether they ought to be found
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
    return -ops.mean(ops.sum(ops.one_hot(digit, CLASSES) * log_probabilities, axis=1))


def ambiguity(log_probabilities, marginal):
    """How unclear it is which digit samples are: minus the mutual information of sample and digit.

    log_probabilities: [n, 10]. marginal: the mean probabilities over many samples [10].
    """
    return ops.mean(ops.sum(ops.exp(log_probabilities) * (ops.log(marginal) - log_probabilities), axis=1))


def quiet_loss(rms, least):
    """How far, in the logarithm, samples of root mean square `rms` [n] lie below `least`, averaged."""
    return ops.mean(ops.relu(ops.log(least / rms)))
