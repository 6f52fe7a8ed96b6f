"""The judge: a second digit classifier that says which digit a reconstruction is, and takes part in no training
and no recovery.

The classifier of models/networks/classifier.py gives the perceptual loss, so whatever is optimised against that loss is
optimised to please it. The judge shares nothing with it but the recordings: mel bands in place of STFT bins,
depthwise separable convolutions (as in DS-CNN, Zhang et al., arXiv 1711.07128) in place of a ResNet, ranges of
augmentation and a seed of its own. It listens below 3.8 kHz, where telephone recordings and wideband ones are
alike.
"""

import keras
import numpy as np
from keras import layers, ops

from models.audio.clip import NUM_SAMPLES, SAMPLE_RATE, spectrogram
from models.audio.digits import DIGITS
from models.files.file_set import read_together
from models.files.hashing import network_hash
from models.files.saving import load_network

JUDGE_FILE = "judge.keras"
FEATURES = "pooled"  # the layer below the last, for a Fréchet distance
FRAME_LENGTH, HOP_LENGTH = 512, 256  # samples, 31 ms and 16 ms
FRAMES, BINS = NUM_SAMPLES // HOP_LENGTH, FRAME_LENGTH // 2 + 1
BANDS = 40  # mel bands
LOWEST, HIGHEST = 80.0, 3800.0  # Hz, between the edges of the first and the last band
FLOOR = 1e-5  # power relative to a clip's loudest band below which all is silence, -50 dB
TINY = 1e-10  # keeps the all-zero clip finite
BATCH = 64  # clips at once


def _mel(hertz, log=ops.log):
    return 2595.0 * log(1.0 + hertz / 700.0) / np.log(10.0)


def mel_bands(warp=1.0):
    """Triangular filters [..., bins, bands] over the bins of an STFT whose frequencies are multiplied by `warp`, a
    number or [..., 1, 1]."""
    hertz = np.arange(BINS, dtype=np.float32)[:, None] * (SAMPLE_RATE / FRAME_LENGTH)  # [bins, 1]
    edges = np.linspace(_mel(LOWEST, np.log), _mel(HIGHEST, np.log), BANDS + 2, dtype=np.float32)
    centre, spacing = edges[1:-1], edges[1] - edges[0]
    return ops.relu(1.0 - ops.abs(_mel(hertz * warp) - centre) / spacing)


def power_spectrogram(waveform):
    """Waveforms [n, 16384] → power [n, 64 frames, 257 bins]."""
    real, imaginary = spectrogram(waveform, FRAME_LENGTH, HOP_LENGTH)
    return real**2 + imaginary**2


def log_mel(bands):
    """Power in mel bands [n, frames, bands] → what the network sees, 0 at 50 dB below the clip's loudest band and 2.5
    at the loudest."""
    loudest = ops.max(bands, axis=(1, 2), keepdims=True) + TINY
    return 0.5 * ops.log(bands / loudest + FLOOR) / np.log(10.0) + 2.5


@keras.saving.register_keras_serializable("latent_vector_recovery")
class LogMel(layers.Layer):
    """Waveforms [n, 16384] at any level → log-mel spectrograms [n, 64 frames, 40 bands, 1]."""

    def call(self, waveform):
        return log_mel(ops.matmul(power_spectrogram(waveform), mel_bands()))[..., None]


def _separable(x, filters, stride, name):
    """Depthwise 3×3 convolution, then 1×1, each with batch normalisation and ReLU; a shortcut where the shape stays."""
    y = layers.DepthwiseConv2D(3, stride, "same", use_bias=False, name=f"{name}_depthwise")(x)
    y = layers.ReLU()(layers.BatchNormalization(momentum=0.95, name=f"{name}_bn1")(y))
    y = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_pointwise")(y)
    y = layers.BatchNormalization(momentum=0.95, name=f"{name}_bn2")(y)
    return layers.ReLU()(layers.Add()([x, y]) if stride == 1 and x.shape[-1] == filters else y)


def build_judge(width=64):
    """An untrained judge: waveforms [n, 16384] → probabilities of the digits 0 to 9, [n, 10]. width: filters of its
    first layer."""
    waveform = keras.Input((NUM_SAMPLES,), name="waveform")
    x = LogMel(name="log_mel", dtype="float32")(waveform)  # [n, 64, 40, 1]
    x = layers.Conv2D(width, 5, 2, "same", use_bias=False, name="conv")(x)  # [n, 32, 20, w]
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.95, name="bn")(x))
    for i, (multiple, stride) in enumerate(
        ((1, 1), (2, 2), (2, 1), (4, 2), (4, 1), (4, 1))
    ):  # [n, 16, 10, 2w], [n, 8, 5, 4w]
        x = _separable(x, multiple * width, stride, f"block{i}")
    x = layers.GlobalAveragePooling2D(name=FEATURES)(x)  # [n, 4w]
    x = layers.Dropout(0.3)(x)
    return keras.Model(waveform, layers.Dense(len(DIGITS), "softmax", name="digits", dtype="float32")(x), name="judge")


def load_judge(folder):
    """The judge in `folder`: a Keras model, waveforms [n, 16384] → probabilities [n, 10], with the `sha256` of its
    variables.

    Raises FileNotFoundError if there is none, ValueError for a file that is not a judge; one line each.
    """
    return read_together(folder, _load)


def _load(folder):
    path = folder / JUDGE_FILE
    network = load_network(path, "judge")
    if FEATURES not in [layer.name for layer in network.layers] or network.output_shape != (None, len(DIGITS)):
        raise ValueError(f"{path}: another network, not a judge")
    network.sha256 = network_hash(network)
    return network


def probabilities(judge, waveforms):
    """Waveforms [n, 16384] → probabilities of the digits [n, 10], in batches."""
    return np.concatenate([judge.predict_on_batch(waveforms[i : i + BATCH]) for i in range(0, len(waveforms), BATCH)])


def features(judge, waveforms):
    """Waveforms [n, 16384] → the activations below the judge's last layer [n, 4 width], for a Fréchet distance, in
    batches."""
    network = keras.Model(judge.input, judge.get_layer(FEATURES).output)
    return np.concatenate([network.predict_on_batch(waveforms[i : i + BATCH]) for i in range(0, len(waveforms), BATCH)])
