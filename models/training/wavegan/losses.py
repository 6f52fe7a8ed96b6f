"""The losses of WaveGAN training, each a function of what the networks returned; how much each counts, and how that
changes with the steps.

A pair (a, b) ramps from a to b over RAMP_STEPS. A prior term that is strong from the start makes the generator ignore
its codes.
"""

from keras import ops

from models.audio.digits import DIGITS

UNLABELLED = -1  # in place of a digit
RAMP_STEPS = (5000, 6000)  # the first and the last step of the ramp
SHARPNESS = (5.0, 10.0)  # factor of the digits' sums in a code, as the logits of a digit
EMPHASIS = (1.0, 2.0)  # factor of the digits' sums in the generator's input; with 2.5 from the start it never speaks
WEIGHTS = {  # of the generator's and encoder's terms
    "generator": 2.0,
    "reconstruction": 4.0,
    "pitch": 4.0,
    "voicing": (4.0, 8.0),
    "matching": 2.0,
    "latent": (1.0, 3.0),
    "prior": 0.1,
    "moments": (0.01, 0.03),
    "digit_sums": (0.1, 0.3),
    "digit_means": (0.0, 0.4),
    "digit_code": 0.5,
    "digit_recognised": (0.5, 1.0),
    "quiet": 1.0,
}


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


def at_step(value, step):
    """The value of a number, or of a pair, at a step."""
    if not isinstance(value, tuple):
        return value
    begin, end = RAMP_STEPS
    share = ops.clip((ops.cast(step, "float32") - begin) / (end - begin), 0.0, 1.0)
    return value[0] + (value[1] - value[0]) * share
