"""The spoken digit classifier, its residual-block taps, and the perceptual loss that is measured at them."""

import keras
from keras import ops

from models.audio.digits import DIGITS
from models.files.file_set import read_together
from models.files.hashing import network_hash
from models.files.saving import load_network
from models.networks.published_weights import is_published, load_published_weights
from models.networks.resnet import BasicBlock, Bottleneck, resnet

CLASSIFIER_FILE = "classifier.keras"  # what `models.files.saving.save_network` writes
AUTHORS_PREFIX = "model.ckpt"  # of the authors' download
CLASSIFIER_FILES = (CLASSIFIER_FILE, f"{AUTHORS_PREFIX}.index", f"{AUTHORS_PREFIX}.data-00000-of-00001")
TAPS = ("blocks", "published", "stage2")


def build_classifier(*, depth=18, width=64, features="log"):
    """An untrained classifier: waveforms [n, 16384] → probabilities of the digits 0 to 9, [n, 10]. See
    models.networks.resnet.resnet.
    """
    return resnet(len(DIGITS), depth=depth, width=width, features=features, activation="softmax", name="classifier")


def smoothed_crossentropy(smoothing):
    """The loss (digits [n], probabilities [n, 10]) → [n]: cross-entropy with `smoothing` of each digit's certainty
    shared among all (label smoothing, Szegedy et al., arXiv 1512.00567).
    """

    def loss(digit, probabilities):
        wanted = ops.one_hot(ops.cast(ops.reshape(digit, (-1,)), "int32"), len(DIGITS))
        return keras.losses.categorical_crossentropy(wanted, probabilities, label_smoothing=smoothing)

    return loss


def load_classifier(folder):
    """The classifier in `folder`: a Keras model, waveforms [n, 16384] in -1 … 1 → probabilities [n, 10].

    The authors' checkpoint, model.ckpt.*, is taken if it is there (ResNet-18 of 64 filters on the real part of
    the STFT, as published), else classifier.keras, which says itself what network and which features it is.
    Raises FileNotFoundError if there is neither, ValueError for a file that is not a classifier; one line each.
    """
    return read_together(folder, _load)


def _load(folder):
    if is_published(folder / AUTHORS_PREFIX):
        network = build_classifier(depth=18, width=64, features="real")
        load_published_weights(network, folder / AUTHORS_PREFIX)
        return network
    path = folder / CLASSIFIER_FILE
    network = load_network(path, "classifier")
    if network.output_shape != (None, len(DIGITS)):
        raise ValueError(
            f"{path}: another network; its output is {network.output_shape}, a classifier's is [n, {len(DIGITS)}]"
        )
    return network


def tapped(classifier, taps="blocks"):
    """A Keras model, waveforms [n, 16384] → the list of the classifier's activations at its taps, in one forward pass.

    The paper's words and the authors' code differ. taps: "blocks", the paper's words (section 3.3): after each residual
    block, [n, 32, 33, f] … [n, 4, 5, 8f], eight for ResNet-18. "published", the authors' training: spectrogram, first
    convolution, its batch normalisation, pooling, stages 1 and 2, without the ReLU after that batch normalisation.
    "stage2", the authors' recovery and metrics: the last of these alone. Raises ValueError for other taps.
    """
    if taps not in TAPS:
        raise ValueError(f"taps are one of {', '.join(TAPS)}, not {taps!r}")
    blocks = [layer for layer in classifier.layers if isinstance(layer, (BasicBlock, Bottleneck))]
    if taps == "blocks":
        return keras.Model(classifier.input, [block.output for block in blocks], name="taps_blocks")
    x, outputs = classifier.input, []
    for name in ("features", "conv1", "bn1", "pool1"):  # no ReLU between the last two, as in the authors' code
        x = classifier.get_layer(name)(x)
        outputs.append(x)
    for stage in (1, 2):
        for block in blocks:
            x = block(x) if block.name.startswith(f"layer{stage}_") else x
        outputs.append(x)
    return keras.Model(classifier.input, outputs if taps == "published" else outputs[-1:], name=f"taps_{taps}")


class PerceptualLoss:
    """The distance of two clips in a classifier's activations (paper section 3.3), differentiable by either waveform.

    sha256: of the classifier's variables.

    With taps "blocks" and "stage2" the mean absolute error between the activations at the taps, averaged over
    them; with "published" the mean of the six mean squared errors of the authors' code. The classifier is frozen:
    it runs with its moving statistics.

        perceptual_loss = PerceptualLoss(load_classifier("classifier_checkpoint/"))
        loss = perceptual_loss(original, reconstruction)  # [n]
        activations = perceptual_loss.activations(original)  # once, then for every step of a search:
        loss = perceptual_loss(activations, reconstruction)
    """

    def __init__(self, classifier, taps="blocks"):
        self.network, self.taps, self.sha256 = tapped(classifier, taps), taps, network_hash(classifier)
        self.distance = ops.square if taps == "published" else ops.absolute

    def activations(self, waveform):
        """waveform: [n, 16384] → list of activations, each [n, …], to be given in place of an original any number
        of times.
        """
        outputs = self.network(waveform, training=False)
        return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]

    def __call__(self, original, reconstruction):
        """original: [n, 16384], or its activations. reconstruction: [n, 16384]. Returns [n], 0 or more, one value
        a clip.

        The paper's loss is its mean. A single original, [1, 16384] or its activations, is compared with every
        reconstruction.
        """
        activations = list(original) if isinstance(original, (list, tuple)) else self.activations(original)
        again = self.activations(reconstruction)
        errors = [
            ops.mean(self.distance(b - a), axis=tuple(range(1, len(a.shape)))) for a, b in zip(activations, again)
        ]
        return ops.mean(ops.stack(errors), axis=0)  # [n]
