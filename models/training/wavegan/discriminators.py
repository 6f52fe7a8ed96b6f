"""The discriminators of WaveGAN training: spectrograms of a short and a long window, a correlogram, and the waveform
folded at several periods.

A long window resolves the harmonics of a voice as stripes; in the correlogram, the autocorrelation of one frame after
the other, its pitch is a single line (Slaney and Lyon, "A perceptual pitch detector", ICASSP 1990). Folded at a period,
samples that lie that far apart stand beside each other, so that the pulses of a voice are seen directly (multi-period
discriminators, HiFi-GAN, arXiv 2010.05646). All are small and run on few, long rows of many channels, which is what a
CPU multiplies fast.
"""

from typing import NamedTuple

import keras
import numpy as np
from keras import layers, ops

from models.audio.digits import DIGITS
from models.audio.features import scaled_spectrogram
from models.generator.subpixel import StridedConv1D

WINDOWS = ((1 / 32, 1 / 128), (1 / 8, 1 / 64))  # length and hop in seconds
CORRELOGRAM = (1 / 16, 1 / 64)  # length and hop in seconds
LAGS = (1 / 512, 1 / 57)  # seconds: the periods of all voices lie between
LEAST_POWER = 1e-6  # of a frame, under the window; what is fainter correlates with nothing
PERIODS = (1, 3)  # samples
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


def correlogram(waveform, frame_length, hop_length, lags):
    """Autocorrelation of each frame of waveform [n, num_samples], at lags[0] to lags[1] - 1 samples, as a share of that
    at lag 0 → [n, frames, lags, 1]: 1 where the frame repeats itself, 0 for noise and in silence."""
    _, power = scaled_spectrogram(waveform, frame_length, hop_length)
    # Of a spectrogram's power this is the circular autocorrelation of the windowed frame; the window's own is known.
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame_length) / frame_length)
    overlap = np.fft.irfft(np.abs(np.fft.rfft(window)) ** 2)
    places = np.arange(power.shape[-1])[:, None] * np.arange(frame_length)
    both_sides = np.where((np.arange(power.shape[-1]) % (frame_length // 2)) == 0, 1, 2)[:, None]
    cosines = both_sides / frame_length * np.cos(2 * np.pi * places / frame_length) * (overlap[0] / overlap)
    chosen = np.r_[0, lags[0] : lags[1]]
    correlation = ops.matmul(power, cosines[:, chosen].astype("float32"))
    return (correlation[..., 1:] / (correlation[..., :1] + LEAST_POWER))[..., None]


def space_to_depth(x, rows, columns):
    """Blocks of `rows` by `columns` places of x [n, h, w, channels] as channels of one place: [n, h / rows, w /
    columns, …], what remains at the end left out."""
    _, height, width, channels = x.shape
    height, width = height // rows, width // columns
    x = ops.reshape(x[:, : height * rows, : width * columns], (-1, height, rows, width, columns * channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4)), (-1, height, width, rows * columns * channels))


def picture_network(shape, filters, name, outputs=1, activation=None, stride=(2, 2)):
    """Four strided convolutions over a picture [n, *shape] → outputs [n, outputs], then the activations of each.

    stride: of the first, whose kernel is three times as long; blocks as channels are multiplied faster than strides.
    """
    picture = keras.Input(shape, name="picture")
    x, activations = space_to_depth(picture, *stride), []
    for i, multiple in enumerate((1, 2, 4, 4)):
        x = layers.Conv2D(
            filters * multiple, 3, 1 if i == 0 else 2, "same", kernel_initializer="he_normal", name=f"conv_{i}"
        )(x)
        x = layers.LeakyReLU(0.2)(x)
        activations.append(x)
    # Speech sits in the lower bins and at places in time; a dense layer can tell these apart, pooling cannot.
    out = layers.Dense(outputs, activation, name="output")(layers.Flatten()(x))
    return keras.Model(picture, [out, *activations], name=name)


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
        self.looks, self.networks, self.gives_digits = [], [], []
        for length, hop in WINDOWS:
            window = round(length * rate), round(hop * rate)
            shape, outputs = (num_samples // window[1], window[0] // 2 + 1, 1), 1 + 2 * len(DIGITS)
            stride = (2, 4) if length > 1 / 16 else (2, 2)
            self._add(
                picture_network(shape, filters, f"D_stft_{window[0]}", outputs, stride=stride),
                lambda x, window=window: log_spectrogram(x, *window, phase=False),
                gives_digits=True,
            )
        window, lags = [round(x * rate) for x in CORRELOGRAM], [round(x * rate) for x in LAGS]
        shape = (num_samples // window[1], lags[1] - lags[0], 1)
        self.correlogram = lambda x: correlogram(x, *window, lags)
        self._add(picture_network(shape, filters, "D_correlogram"), self.correlogram)
        for period in PERIODS:
            self._add(period_network(num_samples, period, filters, f"D_period_{period}"), lambda x: LOUDNESS * x)

    def _add(self, network, look, gives_digits=False):
        self.networks.append(network)
        self.looks.append(look)
        self.gives_digits.append(gives_digits)

    @property
    def trainable_variables(self):
        return [v for network in self.networks for v in network.trainable_variables]

    def views(self, waveform):
        """waveform [n, num_samples] → list of pictures [n, …, …, 1] and waveforms [n, num_samples]."""
        return [look(waveform) for look in self.looks]

    def __call__(self, views, digit):
        """views: what `views` returned. digit: int32 [n], what each recording is or each sample was to be; UNLABELLED
        where it is not known."""
        outputs = [network(view, training=True) for network, view in zip(self.networks, views)]
        first = [output[0] for output in outputs]
        own = ops.one_hot(digit, len(DIGITS))  # all zero where it is not known
        logits = [
            x[:, :1] + ops.sum(own * x[:, 1 + len(DIGITS) :], axis=1, keepdims=True) if gives else x
            for x, gives in zip(first, self.gives_digits)
        ]
        digits = sum(x[:, 1 : 1 + len(DIGITS)] for x, gives in zip(first, self.gives_digits) if gives)
        return Judgement(logits, ops.log_softmax(digits), [a for output in outputs for a in output[1:]])

    def summary(self, of_real, of_fake):
        """Each discriminator's mean logit for recordings and for samples, {name: value}."""
        names = [network.name.removeprefix("D_") for network in self.networks]
        real = {f"real_{name}": ops.mean(x) for name, x in zip(names, of_real.logits)}
        return real | {f"fake_{name}": ops.mean(x) for name, x in zip(names, of_fake.logits)}
