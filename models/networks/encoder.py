"""WaveGAN's generator backwards: five strided convolutions from a waveform to what its latent vector was first
turned into.

This is the body of WaveGAN's discriminator (Donahue, McAuley, Puckette, ICLR 2019, table 4), and of the network
that predicts latent vectors.
"""

from keras import layers

from models.generator.subpixel import StridedConv1D

KERNEL_SIZE, STRIDE = 25, 4


def downconvolutions(waveform, width):
    """waveform [n, num_samples, channels] → [n, num_samples / 1024, 16 width]."""
    x = waveform
    for i in range(5):  # of 16,384 samples [n, 4096, d], [n, 1024, 2d], [n, 256, 4d], [n, 64, 8d], [n, 16, 16d]
        x = StridedConv1D(width * 2**i, KERNEL_SIZE, STRIDE, "he_normal", name=f"downconv_{i}")(x)
        x = layers.LeakyReLU(0.2)(x)
    return x
