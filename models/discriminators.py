"""The discriminators of WaveGAN training: spectrograms of a short and a long window, and the waveform folded at several periods.

A long window resolves the harmonics of a voice as stripes. Folded at a period, samples that lie that far apart stand beside each other, so that the
pulses of a voice are seen directly (multi-period discriminators, HiFi-GAN, arXiv 2010.05646). They are small and run on few, long rows of many
channels, which is what a CPU multiplies fast.
"""

import keras
import numpy as np
from keras import layers, ops

from models.audio import SAMPLE_RATE
from models.features import scaled_spectrogram
from models.subpixel import StridedConv1D

CLASSES = 10
WINDOWS = ((1 / 32, 1 / 128), (1 / 8, 1 / 64))  # length and hop in seconds
PERIODS = (1, 3, 5, 7)
FLOOR = 1e-7  # power that counts as silence: -60 dB below a full-scale sine
KERNEL_SIZE, STRIDE = 8, 4  # of the period discriminators
LOUDNESS = 10.0  # brings a waveform's samples to the order of 1, where a network starts well and the R1 penalty does not stifle it


def log_spectrogram(waveform, frame_length, hop_length, phase=True, floor=FLOOR):
    """waveform [n, num_samples] → log magnitude and, for a `phase`, real part [n, frames, bins, 1 or 2], of order 1."""
    real, power = scaled_spectrogram(waveform, frame_length, hop_length)
    level = 0.2 * ops.log(power + floor) + 1.5
    return ops.stack([level, real], axis=-1) if phase else level[..., None]


def spectrogram_network(frames, bins, channels, filters, name, outputs=1, activation=None):
    """Four strided convolutions over `log_spectrogram` [n, frames, bins, channels] → outputs [n, outputs], then the activations of each."""
    features = keras.Input((frames, bins, channels), name="features")
    x, activations = features, []
    for i, multiple in enumerate((1, 2, 4, 4)):
        x = layers.Conv2D(filters * multiple, 5 if i == 0 else 3, 2, "same", kernel_initializer="he_normal", name=f"conv_{i}")(x)
        x = layers.LeakyReLU(0.2)(x)
        activations.append(x)
    # Speech sits in the lower bins and at places in time; a dense layer can tell these apart, pooling cannot.
    out = layers.Dense(outputs, activation, name="output")(layers.Flatten()(x))
    return keras.Model(features, [out, *activations], name=name)


def period_network(num_samples, period, filters, name):
    """The waveform [n, num_samples] folded into `period` rows → logits [n, places], then the activations of each layer."""
    waveform = keras.Input((num_samples,), name="waveform")
    block = period * STRIDE**3
    length = -(-num_samples // block) * block  # padded to whole blocks
    x = ops.pad(waveform, [[0, 0], [0, length - num_samples]])
    x = ops.transpose(ops.reshape(x, (-1, length // period, period)), (0, 2, 1))  # [n, period, length / period]
    x = ops.reshape(x, (-1, length // period, 1))  # each row on its own
    activations = []
    for i, multiple in enumerate((1, 2, 4)):
        x = StridedConv1D(filters * multiple, KERNEL_SIZE, STRIDE, "he_normal", name=f"conv_{i}")(x)
        x = layers.LeakyReLU(0.2)(x)
        activations.append(x)
    x = layers.Conv1D(4 * filters, 5, padding="same", kernel_initializer="he_normal", name="conv_3")(x)
    x = layers.LeakyReLU(0.2)(x)
    activations.append(x)
    x = layers.Conv1D(1, 3, padding="same", name="logit")(x)
    together = [ops.reshape(a, (-1, period * a.shape[1], a.shape[2])) for a in (x, *activations)]  # [n, places, channels]
    return keras.Model(waveform, [together[0][..., 0], *together[1:]], name=name)


class Discriminators:
    """All discriminators at a sample rate, 8,192 or 16,384 Hz.

    views: waveform → what each looks at. Called on views: logits, a list of [n, places]; log-probabilities of the digits [n, CLASSES], from the
    spectrograms; and activations, one flat list.
    """

    def __init__(self, filters=16, rate=SAMPLE_RATE, num_samples=SAMPLE_RATE, periods=PERIODS):
        self.windows = [(round(length * rate), round(hop * rate)) for length, hop in WINDOWS]
        names = [f"stft_{frame}" for frame, _ in self.windows]
        self.networks = [
            spectrogram_network(num_samples // hop, frame // 2 + 1, 1, filters, f"D_{name}", 1 + CLASSES)
            for name, (frame, hop) in zip(names, self.windows)
        ]
        self.networks += [period_network(num_samples, period, filters, f"D_period_{period}") for period in periods]

    @property
    def trainable_variables(self):
        return [v for network in self.networks for v in network.trainable_variables]

    def views(self, waveform):
        """waveform [n, num_samples] → list."""
        return [log_spectrogram(waveform, *window, phase=False) for window in self.windows] + [LOUDNESS * waveform] * (len(self.networks) - len(self.windows))

    def __call__(self, views):
        outputs = [network(view, training=True) for network, view in zip(self.networks, views)]
        first = [output[0] for output in outputs]
        spectral = len(self.windows)
        logits = [x[:, :1] for x in first[:spectral]] + first[spectral:]
        digits = ops.log_softmax(sum(x[:, 1:] for x in first[:spectral]))
        return logits, digits, [a for output in outputs for a in output[1:]]
