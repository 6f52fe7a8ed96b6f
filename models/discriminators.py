"""The discriminators of WaveGAN training: spectrograms of a short and a long window, and the waveform folded at several
periods.

A long window resolves the harmonics of a voice as stripes. Folded at a period, samples that lie that far apart stand
beside each other, so that the pulses of a voice are seen directly (multi-period discriminators, HiFi-GAN, arXiv
2010.05646). They are small and run on few, long rows of many channels, which is what a CPU multiplies fast.
"""

from typing import NamedTuple

import keras
from keras import layers, ops

from models.features import scaled_spectrogram
from models.subpixel import StridedConv1D
from models.wavegan_losses import CLASSES

WINDOWS = ((1 / 32, 1 / 128), (1 / 8, 1 / 64))  # length and hop in seconds
PERIODS = (1, 3, 5, 7)  # samples
FLOOR = 1e-7  # power that counts as silence: more than 60 dB below a full-scale sine
KERNEL_SIZE, STRIDE = 8, 4  # of the period discriminators
LOUDNESS = 10.0  # brings a waveform to the order of 1, where networks start well and R1 does not stifle them


class Judgement(NamedTuple):
    """What the discriminators return: logits of being real, a list of [n, places]; log-probabilities of the digits [n,
    10], from the spectrograms; the activations of all layers, one flat list of [n, …]."""

    logits: list
    digits: object
    activations: list


def log_spectrogram(waveform, frame_length, hop_length, phase=True, floor=FLOOR):
    """waveform [n, num_samples] → log magnitude and, for a `phase`, real part [n, frames, bins, 1 or 2], of order 1."""
    real, power = scaled_spectrogram(waveform, frame_length, hop_length)
    level = 0.2 * ops.log(power + floor) + 1.5
    return ops.stack([level, real], axis=-1) if phase else level[..., None]


def spectrogram_network(frames, bins, channels, filters, name, outputs=1, activation=None):
    """Four strided convolutions over `log_spectrogram` [n, frames, bins, channels] → outputs [n, outputs], then the
    activations of each."""
    features = keras.Input((frames, bins, channels), name="features")
    x, activations = features, []
    for i, multiple in enumerate((1, 2, 4, 4)):
        x = layers.Conv2D(
            filters * multiple, 5 if i == 0 else 3, 2, "same", kernel_initializer="he_normal", name=f"conv_{i}"
        )(x)
        x = layers.LeakyReLU(0.2)(x)
        activations.append(x)
    # Speech sits in the lower bins and at places in time; a dense layer can tell these apart, pooling cannot.
    out = layers.Dense(outputs, activation, name="output")(layers.Flatten()(x))
    return keras.Model(features, [out, *activations], name=name)


def period_network(num_samples, period, filters, name):
    """The waveform [n, num_samples] folded into `period` rows → logits [n, places], then the activations of each
    layer."""
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
    together = [
        ops.reshape(a, (-1, period * a.shape[1], a.shape[2])) for a in (x, *activations)
    ]  # [n, places, channels]
    return keras.Model(waveform, [together[0][..., 0], *together[1:]], name=name)


class Discriminators:
    """All discriminators of waveforms [n, num_samples] at `rate`, in Hz. filters: of the first layer of each.

    views: waveforms → what each looks at, a list. Called on these, it returns a Judgement.
    """

    def __init__(self, filters, rate, num_samples):
        self.windows = [(round(length * rate), round(hop * rate)) for length, hop in WINDOWS]
        self.networks = [
            spectrogram_network(num_samples // hop, frame // 2 + 1, 1, filters, f"D_stft_{frame}", 1 + CLASSES)
            for frame, hop in self.windows
        ]
        self.networks += [period_network(num_samples, period, filters, f"D_period_{period}") for period in PERIODS]

    @property
    def trainable_variables(self):
        return [v for network in self.networks for v in network.trainable_variables]

    def views(self, waveform):
        """waveform [n, num_samples] → list of log magnitudes [n, frames, bins, 1] and waveforms [n, num_samples]."""
        spectrograms = [log_spectrogram(waveform, *window, phase=False) for window in self.windows]
        return spectrograms + [LOUDNESS * waveform] * len(PERIODS)

    def __call__(self, views):
        outputs = [network(view, training=True) for network, view in zip(self.networks, views)]
        spectral = [output[0] for output in outputs[: len(self.windows)]]
        folded = [output[0] for output in outputs[len(self.windows) :]]
        digits = ops.log_softmax(sum(x[:, 1:] for x in spectral))
        return Judgement([x[:, :1] for x in spectral] + folded, digits, [a for output in outputs for a in output[1:]])

    def summary(self, of_real, of_fake):
        """Each discriminator's mean logit for recordings and for samples, {name: value}."""
        names = [network.name.removeprefix("D_") for network in self.networks]
        real = {f"real_{name}": ops.mean(x) for name, x in zip(names, of_real.logits)}
        return real | {f"fake_{name}": ops.mean(x) for name, x in zip(names, of_fake.logits)}
