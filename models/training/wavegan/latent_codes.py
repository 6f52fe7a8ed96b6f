"""What an encoder finds in recordings, its codes, made to be distributed as the prior of the latent vectors is.

A generator learns from its encoder's codes what recordings sound like, and is then asked for samples of the prior. So
the codes have to fill the whole cube of latent vectors. Their distance from the prior is taken along random directions,
along the coordinates and along those that tell the digits apart (sliced Wasserstein distance, arXiv 1804.01947). In
random directions of many dimensions nearly everything looks normal, and codes that lie in a small subspace go
unnoticed; their second moments do not (arXiv 2105.04906). Both need far more codes than a batch has, so those of the
last steps are kept in a queue (arXiv 1911.05722).

Each digit has a tenth of the cube: the latent vectors in which its own tenth of the coordinates has the largest sum.
What the codes of a digit have in common has to show in these sums alone. Else the generator learns to know a digit by
other coordinates, which a draw of the prior sets at random. The largest sum of a draw is seldom much larger than the
second; so the generator is given these sums larger than they are, which its first layer takes over in the end.
"""

from keras import ops

from models.audio.digits import DIGITS
from models.training.wavegan.losses import UNLABELLED

QUEUE = 1008  # codes kept; ten times as many as latent coordinates
VARIANCE = 1 / 3  # of a coordinate of the prior, uniform on [-1, 1]
LARGEST = 0.886  # mean of the largest of ten such sums, each of variance 1 / 3


def digit_directions(latent_dim):
    """The directions [latent_dim, 10], of length 1, along which latent vectors ask for each digit."""
    own = ops.cast(ops.arange(latent_dim)[:, None] * len(DIGITS) // latent_dim == ops.arange(len(DIGITS)), "float32")
    return own / ops.sqrt(ops.sum(own, axis=0))


def digit_sums(latent):
    """The digits' sums of latent vectors [n, latent_dim], each of the deviation of one coordinate: [n, 10]."""
    return ops.matmul(latent, digit_directions(latent.shape[1]))


def emphasised(latent, factor):
    """Latent vectors [n, latent_dim] with the part of them that tells the digits apart `factor` times as large."""
    return latent + (factor - 1) * ops.matmul(digit_sums(latent), ops.transpose(digit_directions(latent.shape[1])))


def digit_asked_for(latent, known):
    """The digit int32 [n] that each latent vector [n, latent_dim] asks for; UNLABELLED where that of `known` is."""
    asked = ops.cast(ops.argmax(digit_sums(latent), axis=1), "int32")
    return ops.where(known == UNLABELLED, known, asked)


def digit_log_probabilities(latent, sharpness):
    """How clearly each latent vector [n, latent_dim] asks for each digit, as log-probabilities [n, 10].

    sharpness: factor of the digits' sums."""
    return ops.log_softmax(sharpness * digit_sums(latent))


def sliced_distance(latent, prior, directions):
    """Squared Wasserstein distance of two sets of vectors [n, k] along directions [k, d], summed over these."""
    directions = directions / ops.sqrt(ops.sum(directions**2, axis=0))
    distance = (ops.sort(latent @ directions, axis=0) - ops.sort(prior @ directions, axis=0)) ** 2
    return ops.sum(ops.mean(distance, axis=0))


def moments_distance(latent):
    """Squared Frobenius distance of the second moments of vectors [n, k] from those of the prior."""
    moments = ops.matmul(ops.transpose(latent), latent) / ops.shape(latent)[0]
    return ops.sum((moments - VARIANCE * ops.eye(latent.shape[1])) ** 2)


def digit_means_distance(latent, digit):
    """Squared distance of the mean of each digit's vectors [n, k] from that of the prior, averaged over the vectors.

    digit: int32 [n]; vectors of an unknown digit count for nothing."""
    own = ops.one_hot(digit, len(DIGITS))  # [n, 10]
    count = ops.sum(own, axis=0)[:, None]
    means = ops.matmul(ops.transpose(own), latent) / ops.maximum(count, 1)
    sums = (
        LARGEST * len(DIGITS) / (len(DIGITS) - 1) * (ops.eye(len(DIGITS)) - 1 / len(DIGITS))
    )  # the others' are negative
    aim = ops.matmul(sums, ops.transpose(digit_directions(latent.shape[1])))  # [10, k]
    return ops.sum(count * (means - aim) ** 2) / ops.cast(ops.shape(latent)[0], latent.dtype)


def distribution_terms(codes, digit, before, digit_before, prior, random):
    """The distances of codes [n, k], with those of the steps `before` [m, k], from the prior, of which `prior` [n + m,
    k] are drawn: {name: distance}, each a sum over the codes of this step.

    digit, digit_before: int32 [n], [m], of the codes. random: directions [k, d] of any length."""
    everything = ops.concatenate([codes, before])
    size = everything.shape[1]
    # What each code of this step changes in a mean over all of them is so much less.
    share = ops.cast(ops.shape(everything)[0] / ops.shape(codes)[0], codes.dtype)
    return {
        "prior": share * sum(sliced_distance(everything, prior, along) for along in (random, ops.eye(size))),
        "moments": share * moments_distance(everything),
        "digit_sums": share * sliced_distance(everything, prior, digit_directions(size)),
        "digit_means": share * digit_means_distance(everything, ops.concatenate([digit, digit_before])),
    }
