"""WaveGAN's generator, to the last variable name: a dense layer, five times nearest-neighbour upsampling and a
convolution, tanh, a filter.

Donahue, McAuley, Puckette, "Adversarial Audio Synthesis", ICLR 2019, appendix D, with its option of
nearest-neighbour upsampling: of a WaveGAN's upsamplings listeners like this one best (Pons et al., arXiv
2010.14356). The convolutions run in sub-pixel form.
"""

import keras
import numpy as np
import scipy.signal
from keras import layers, ops

from models.audio.clip import SAMPLE_RATE
from models.generator.subpixel import NearestConv1D
from models.networks.encoder import KERNEL_SIZE, STRIDE

FILTER_TAPS = 255  # of the post-processing filter


def _wavelet_kernel(shape, dtype=None):
    """Windowed cosines below 4 kHz, one a channel: the last layer starts as a bank of speech bands instead of as
    noise."""
    size, channels, filters = shape
    rng = np.random.default_rng(channels)
    time = (np.arange(size) - size // 2) / SAMPLE_RATE
    frequency = np.linspace(80, 3800, channels)[:, None] + rng.uniform(-50, 50, (channels, filters))
    phase = rng.uniform(0, 2 * np.pi, (channels, filters))
    wave = np.hanning(size + 2)[1:-1, None, None] * np.cos(2 * np.pi * time[:, None, None] * frequency + phase)
    return ops.convert_to_tensor(wave * np.sqrt(1 / channels), dtype or "float32")


def lowpass_taps(cutoff):
    """WaveGAN's post-processing filter [taps, 1, 1], here fixed: upsampling leaves images where recordings of a lower
    rate hold nothing."""
    return scipy.signal.firwin(FILTER_TAPS, cutoff, window=("kaiser", 6.0), fs=SAMPLE_RATE).astype(np.float32)[
        :, None, None
    ]


def build_generator(width=24, latent_dim=100):
    """WaveGAN's generator of 16,384 samples: z [n, latent_dim] uniform on [-1, 1] → [n, 16384, 1] in (-1, 1). Layers
    carry WaveGAN's names."""
    z = keras.Input((latent_dim,), name="z")
    x = layers.Dense(256 * width, name="z_project")(z)
    x = layers.ReLU()(layers.Reshape((16, 16 * width))(x))  # [n, 16, 16d]
    for i, filters in enumerate((8 * width, 4 * width, 2 * width, width)):
        x = NearestConv1D(filters, KERNEL_SIZE, STRIDE, "he_normal", name=f"upconv_{i}")(x)
        x = layers.ReLU()(x)  # [n, 64, 8d], [n, 256, 4d], [n, 1024, 2d], [n, 4096, d]
    x = NearestConv1D(1, KERNEL_SIZE, STRIDE, _wavelet_kernel, name="upconv_4")(x)
    return keras.Model(z, layers.Activation("tanh", name="waveform")(x), name="G")  # [n, 16384, 1]
