"""The networks of WaveGAN training: the generator, to the last variable name WaveGAN's, its discriminators, and an encoder.

Donahue, McAuley, Puckette, "Adversarial Audio Synthesis", ICLR 2019, appendix D; the convolutions run in sub-pixel form.
"""

import keras
import numpy as np
import scipy.signal
from keras import layers, ops

from models.audio import NUM_SAMPLES, SAMPLE_RATE
from models.encoder import KERNEL_SIZE, STRIDE, downconvolutions
from models.subpixel import SubpixelConv1DTranspose

FILTER_TAPS = 255  # of the post-processing filter


def _smooth_kernel(shape, dtype=None):
    """White noise smoothed over one stride: upsampling with it leaves no image of a constant input above the input's band."""
    noise = np.random.default_rng(shape[1]).normal(size=(shape[0] - STRIDE + 1, *shape[1:]))
    kernel = np.stack([noise[max(0, t - STRIDE + 1) : t + 1].sum(axis=0) for t in range(shape[0])])
    fan_in = shape[0] * shape[2] / STRIDE
    return ops.convert_to_tensor(kernel * np.sqrt(2 / fan_in / STRIDE), dtype or "float32")


def _wavelet_kernel(shape, dtype=None):
    """Windowed cosines below 4 kHz, one a channel: the last layer starts as a bank of speech bands instead of as noise."""
    size, filters, channels = shape
    rng = np.random.default_rng(channels)
    time = (np.arange(size) - size // 2) / SAMPLE_RATE
    frequency = np.linspace(80, 3800, channels)[None] + rng.uniform(-50, 50, (filters, channels))
    phase = rng.uniform(0, 2 * np.pi, (filters, channels))
    wave = np.hanning(size + 2)[1:-1, None, None] * np.cos(2 * np.pi * time[:, None, None] * frequency + phase)
    return ops.convert_to_tensor(wave * np.sqrt(1 / channels), dtype or "float32")


def lowpass_taps(cutoff):
    """WaveGAN's post-processing filter [taps, 1, 1], here fixed: upsampling leaves images where recordings of a lower rate hold nothing."""
    return scipy.signal.firwin(FILTER_TAPS, cutoff, window=("kaiser", 6.0), fs=SAMPLE_RATE).astype(np.float32)[:, None, None]


def build_generator(width=16, latent_dim=100):
    """WaveGAN's generator of 16,384 samples: z [n, latent_dim] uniform on [-1, 1] → [n, 16384, 1] in (-1, 1). Layers carry WaveGAN's names."""
    z = keras.Input((latent_dim,), name="z")
    x = layers.Dense(256 * width, name="z_project")(z)
    x = layers.ReLU()(layers.Reshape((16, 16 * width))(x))  # [n, 16, 16d]
    for i, filters in enumerate((8 * width, 4 * width, 2 * width, width)):
        x = SubpixelConv1DTranspose(filters, KERNEL_SIZE, STRIDE, _smooth_kernel, name=f"upconv_{i}")(x)
        x = layers.ReLU()(x)  # [n, 64, 8d], [n, 256, 4d], [n, 1024, 2d], [n, 4096, d]
    x = SubpixelConv1DTranspose(1, KERNEL_SIZE, STRIDE, _wavelet_kernel, name="upconv_4")(x)
    return keras.Model(z, layers.Activation("tanh", name="waveform")(x), name="G")  # [n, 16384, 1]


@keras.saving.register_keras_serializable("latent_vector_recovery")
class PhaseShuffle(layers.Layer):
    """Displaces activations [n, length, channels] by -radius … radius samples, reflected at the edges (WaveGAN section 3.3)."""

    def __init__(self, radius=2, **kwargs):
        super().__init__(**kwargs)
        self.radius = radius
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x, training=False):
        if not training or not self.radius:
            return x
        start = keras.random.randint((), 0, 2 * self.radius + 1, seed=self.seeds)
        padded = ops.pad(x, [[0, 0], [self.radius] * 2, [0, 0]], mode="reflect")
        return ops.slice(padded, (0, start, 0), ops.shape(x))


def waveform_discriminator(width):
    waveform = keras.Input((NUM_SAMPLES, 1), name="waveform")
    x = downconvolutions(waveform, width, lambda i: PhaseShuffle(name=f"phase_shuffle_{i}"))
    return keras.Model(waveform, layers.Dense(1, name="logit")(layers.Flatten()(x)), name="D_waveform")


def spectrogram_network(frames, bins, filters, name, outputs=1, activation=None):
    """A discriminator or the encoder: four strided convolutions over spectrogram features [n, frames, bins, 2]."""
    features = keras.Input((frames, bins, 2), name="features")
    x = features
    for i, multiple in enumerate((1, 2, 4, 4)):
        x = layers.Conv2D(filters * multiple, 5 if i == 0 else 3, 2, "same", kernel_initializer="he_normal", name=f"conv_{i}")(x)
        x = layers.LeakyReLU(0.2)(x)
    # Speech sits in the lower bins and at places in time; a dense layer can tell these apart, pooling cannot.
    return keras.Model(features, layers.Dense(outputs, activation, name="output")(layers.Flatten()(x)), name=name)
