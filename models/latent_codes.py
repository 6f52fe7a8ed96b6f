"""What an encoder finds in recordings, its codes, made to be distributed as the prior of the latent vectors is.

A generator learns from its encoder's codes what recordings sound like, and is then asked for samples of the prior. So
the codes have to fill the whole cube of latent vectors. Their distance from the prior is taken along random directions,
along the coordinates and along those that tell the digits apart (sliced Wasserstein distance, arXiv 1804.01947). In
random directions of many dimensions nearly everything looks normal, and codes that lie in a small subspace go
unnoticed; their second moments do not (arXiv 2105.04906). Both need far more codes than a batch has, so those of the
last steps are kept in a queue (arXiv 1911.05722).

Each digit has a tenth of the cube: the latent vectors in which its own tenth of the coordinates has the largest sum.
"""

from keras import ops

from models.wavegan_losses import CLASSES, UNLABELLED

QUEUE = 1008  # codes kept; ten times as many as latent coordinates
VARIANCE = 1 / 3  # of a coordinate of the prior, uniform on [-1, 1]
SHARPNESS = 5.0  # factor of the digits' sums, as the logits of a digit


def digit_directions(latent_dim):
    """The directions [latent_dim, 10], of length 1, along which latent vectors ask for each digit."""
    own = ops.cast(ops.arange(latent_dim)[:, None] * CLASSES // latent_dim == ops.arange(CLASSES), "float32")
    return own / ops.sqrt(ops.sum(own, axis=0))


def digit_asked_for(latent, known):
    """The digit int32 [n] that each latent vector [n, latent_dim] asks for; UNLABELLED where that of `known` is."""
    asked = ops.cast(ops.argmax(ops.matmul(latent, digit_directions(latent.shape[1])), axis=1), "int32")
    return ops.where(known == UNLABELLED, known, asked)


def digit_log_probabilities(latent):
    """How clearly each latent vector [n, latent_dim] asks for each digit, as log-probabilities [n, 10]."""
    return ops.log_softmax(SHARPNESS * ops.matmul(latent, digit_directions(latent.shape[1])))


def sliced_distance(latent, prior, directions):
    """Squared Wasserstein distance of two sets of vectors [n, k] along directions [k, d], summed over these."""
    directions = directions / ops.sqrt(ops.sum(directions**2, axis=0))
    distance = (ops.sort(latent @ directions, axis=0) - ops.sort(prior @ directions, axis=0)) ** 2
    return ops.sum(ops.mean(distance, axis=0))


def moments_distance(latent):
    """Squared Frobenius distance of the second moments of vectors [n, k] from those of the prior."""
    moments = ops.matmul(ops.transpose(latent), latent) / ops.shape(latent)[0]
    return ops.sum((moments - VARIANCE * ops.eye(latent.shape[1])) ** 2)


def distribution_terms(codes, before, prior, random):
    """The distances of codes [n, k], with those of the steps `before` [m, k], from the prior, of which `prior` [n + m,
    k] are drawn: {name: distance}, each a sum over the codes of this step. random: directions [k, d] of any length."""
    everything = ops.concatenate([codes, before])
    size = everything.shape[1]
    share = ops.cast(
        ops.shape(everything)[0] / ops.shape(codes)[0], codes.dtype
    )  # what each code of this step changes is so much less
    along = (random, ops.eye(size), digit_directions(size))
    return {
        "prior": share * sum(sliced_distance(everything, prior, directions) for directions in along),
        "moments": share * moments_distance(everything),
    }
