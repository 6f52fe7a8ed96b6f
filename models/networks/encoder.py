"""WaveGAN's generator backwards: strided convolutions from a waveform, or its spectrogram, to what its latent vector
was first turned into.

Those of the waveform are the body of WaveGAN's discriminator (Donahue, McAuley, Puckette, ICLR 2019, table 4), and of
the network that predicts latent vectors.
"""

from keras import layers, ops

from models.audio.features import scaled_spectrogram
from models.generator.subpixel import StridedConv1D

KERNEL_SIZE, STRIDE = 25, 4
FRAME, HOP = 256, 128  # of the spectrogram, in samples
FRAMES, HALVINGS = 5, 3  # frames of a kernel; three strides of 2 make one place of 1,024 samples
SILENCE = 1e-7  # power that counts as silence, as in `models.audio.features.spectral_loss`


def downconvolutions(waveform, width):
    """waveform [n, num_samples, channels] → [n, num_samples / 1024, 16 width]."""
    x = waveform
    for i in range(5):  # of 16,384 samples [n, 4096, d], [n, 1024, 2d], [n, 256, 4d], [n, 64, 8d], [n, 16, 16d]
        x = StridedConv1D(width * 2**i, KERNEL_SIZE, STRIDE, "he_normal", name=f"downconv_{i}")(x)
        x = layers.LeakyReLU(0.2)(x)
    return x


def spectrogram_convolutions(waveform, filters):
    """waveform [n, num_samples, channels] → [n, num_samples / 1024, filters], from log magnitudes alone.

    Time is convolved and frequencies are channels, as speech at another pitch is other speech. It costs a tenth of
    `downconvolutions`.
    """
    channels = [waveform[..., channel] for channel in range(waveform.shape[-1])]
    powers = [scaled_spectrogram(samples, FRAME, HOP)[1] for samples in channels]
    x = 0.25 * ops.log(ops.concatenate(powers, axis=-1) + SILENCE) + 2  # of order 1: [n, 128, 129 channels]
    for i in range(HALVINGS):
        convolution = layers.Conv1D(filters, FRAMES, 2, "same", kernel_initializer="he_normal", name=f"frames_{i}")
        x = layers.LeakyReLU(0.2)(convolution(x))
    return x
