"""Training a WaveGAN: generator, discriminators, losses (Donahue, McAuley, Puckette, "Adversarial Audio Synthesis", ICLR 2019).

The generator is WaveGAN's to the last variable name, so that it can be written as WaveGAN's own checkpoint. Beyond the paper: the convolutions run
in sub-pixel form, the loss is the non-saturating logistic one with an R1 penalty every few steps (Mescheder et al., arXiv 1801.04406) in place of
a gradient penalty at each step, two small discriminators look at spectrograms, and what is exported is the moving average of the generator's weights.

An encoder keeps the samples diverse and every latent coordinate audible, which is what latent vector recovery needs: half of each batch is decoded
from the encoder's view of a recording, and has to have that recording's spectrogram (VAE-GAN, arXiv 1512.09300); from the other half, sampled from
the prior, the encoder has to find the latent vector again (InfoGAN, arXiv 1606.03657); and what it finds in recordings has to be distributed like the
prior (sliced Wasserstein autoencoder, arXiv 1804.01947).
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from models.audio import NUM_SAMPLES, SAMPLE_RATE, spectrogram
from models.subpixel import StridedConv1D, SubpixelConv1DTranspose
from models.tf1_export import set_wavegan_variables

KERNEL_SIZE, STRIDE = 25, 4


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


def _waveform_discriminator(width):
    waveform = keras.Input((NUM_SAMPLES, 1), name="waveform")
    x = waveform
    for i, filters in enumerate((width, 2 * width, 4 * width, 8 * width, 16 * width)):
        x = layers.LeakyReLU(0.2)(StridedConv1D(filters, KERNEL_SIZE, STRIDE, "he_normal", name=f"downconv_{i}")(x))
        if i < 4:
            x = PhaseShuffle(name=f"phase_shuffle_{i}")(x)
    return keras.Model(waveform, layers.Dense(1, name="logit")(layers.Flatten()(x)), name="D_waveform")


def _spectrogram_network(frames, bins, filters, name, outputs=1, activation=None):
    """A discriminator or the encoder: four strided convolutions over spectrogram features [n, frames, bins, 2]."""
    features = keras.Input((frames, bins, 2), name="features")
    x = features
    for i, multiple in enumerate((1, 2, 4, 4)):
        x = layers.Conv2D(filters * multiple, 5 if i == 0 else 3, 2, "same", kernel_initializer="he_normal", name=f"conv_{i}")(x)
        x = layers.LeakyReLU(0.2)(x)
    # Speech sits in the lower bins and at places in time; a dense layer can tell these apart, pooling cannot.
    return keras.Model(features, layers.Dense(outputs, activation, name="output")(layers.Flatten()(x)), name=name)


def spectrogram_features(waveform, frame_length, hop_length):
    """waveform [n, num_samples, 1] → log magnitude and real part [n, frames, bins, 2], both of order 1."""
    real, imaginary = spectrogram(waveform[..., 0], frame_length, hop_length)
    scale = frame_length**-0.5
    real, power = scale * real, scale**2 * (real**2 + imaginary**2)
    return ops.stack([0.25 * ops.log(power + 1e-5) + 1.5, real], axis=-1)


def sliced_distance(latent, prior, directions):
    """Squared Wasserstein distance of two sets of vectors [n, k] along random directions [k, d], averaged."""
    directions = directions / ops.sqrt(ops.sum(directions**2, axis=0))
    return ops.mean((ops.sort(latent @ directions, axis=0) - ops.sort(prior @ directions, axis=0)) ** 2)


@keras.saving.register_keras_serializable("latent_vector_recovery")
class WaveGANTraining(keras.Model):
    """Generator, its moving average, the encoder and the discriminators, trained by `fit` on waveforms [batch, 16384], batch even.

    r1: weight of the gradient penalty, applied every `r1_interval` steps. reconstruction, latent, prior: weights of the encoder's three terms.
    quiet_rms: no recording is fainter than this after its preparation, so fainter samples are pulled up (adversarial gradients vanish in silence).
    average: decay of the moving average, per step.
    """

    def __init__(self, width=16, latent_dim=100, r1=10.0, r1_interval=8, reconstruction=4.0, latent=1.0, prior=3.0, quiet_rms=0.04, average=0.995):
        super().__init__(name="wavegan_training")
        self.latent_dim, self.r1, self.r1_interval, self.quiet_rms, self.average = latent_dim, r1, r1_interval, quiet_rms, average
        self.reconstruction_weight, self.latent_weight, self.prior_weight = reconstruction, latent, prior
        self.generator = build_generator(width, latent_dim)
        self.averaged = build_generator(width, latent_dim)
        self.averaged.set_weights(self.generator.get_weights())
        self.averaged.trainable = False
        self.encoder = _spectrogram_network(128, 129, width, "encoder", latent_dim, "tanh")
        filters = max(1, width // 2)  # few, or the spectrogram discriminators win
        self.discriminators = [
            _waveform_discriminator(width),
            _spectrogram_network(128, 129, filters, "D_stft_256"),
            _spectrogram_network(64, 513, filters, "D_stft_1024"),
        ]
        self.seeds = keras.random.SeedGenerator(1)
        self.step = self.add_weight(name="step", shape=(), dtype="int64", initializer="zeros", trainable=False)

    def compile(self, generator_rate=3e-4, discriminator_rate=1.5e-4):
        """The two learning rates of Adam; the encoder learns with the generator."""
        super().compile(optimizer=keras.optimizers.Adam(generator_rate, 0.5, 0.9))
        self.discriminator_optimizer = keras.optimizers.Adam(discriminator_rate, 0.5, 0.9)
        self.optimizer.build(self.generator_variables)
        self.discriminator_optimizer.build(self.discriminator_variables)

    @property
    def generator_variables(self):
        return self.generator.trainable_variables + self.encoder.trainable_variables

    @property
    def discriminator_variables(self):
        return [v for d in self.discriminators for v in d.trainable_variables]

    def call(self, z):
        return self.averaged(z)

    def companions(self):
        """The networks that only training needs, as float16 {name: array}: with the exported generator, enough to go on from."""
        networks = [self.encoder, *self.discriminators]
        return {f"{network.name}/{i}": w.astype("float16") for network in networks for i, w in enumerate(network.get_weights())}

    def go_on_from(self, variables, companions, step):
        """Sets generator and average to a checkpoint's variables, the other networks to what `companions` returned, and the step."""
        for generator in (self.generator, self.averaged):
            set_wavegan_variables(generator, variables)
        for network in (self.encoder, *self.discriminators):
            network.set_weights([companions[f"{network.name}/{i}"] for i in range(len(network.get_weights()))])
        self.step.assign(step)

    def views(self, waveform):
        """What each discriminator looks at; the encoder looks at the second."""
        return [waveform, spectrogram_features(waveform, 256, 128), spectrogram_features(waveform, 1024, 256)]

    def judge(self, views):
        """→ logits [n, 3], one a discriminator."""
        return ops.concatenate([d(x, training=True) for d, x in zip(self.discriminators, views)], axis=1)

    def r1_penalty(self, views):
        """Mean over clips of the squared gradient of each logit by what its discriminator saw, summed over the discriminators."""
        with tf.GradientTape() as tape:
            tape.watch(views)
            total = ops.sum(self.judge(views))
        gradients = tape.gradient(total, views)
        return sum(ops.mean(ops.sum(ops.reshape(g, (ops.shape(g)[0], -1)) ** 2, axis=1)) for g in gradients)

    def discriminator_step(self, real, fake):
        """One update from the views of recordings and of samples → loss and logits [2 n, 3]."""
        batch = ops.shape(real[0])[0]
        with tf.GradientTape() as tape:
            logits = self.judge([ops.concatenate(pair) for pair in zip(real, fake)])
            loss = ops.mean(ops.softplus(-logits[:batch])) + ops.mean(ops.softplus(logits[batch:]))
            due = ops.equal(self.step % self.r1_interval, 0)
            penalty = tf.cond(due, lambda: self.r1_penalty(real), lambda: 0.0)
            total = loss + 0.5 * self.r1 * self.r1_interval / len(self.discriminators) * penalty
        gradients = tape.gradient(total, self.discriminator_variables)
        self.discriminator_optimizer.apply(gradients, self.discriminator_variables)
        return loss, logits

    def train_step(self, real):
        """One step of each; returns the losses, and the mean logits that tell who is winning."""
        real = self.views(ops.expand_dims(real, -1))
        batch, half = ops.shape(real[0])[0], ops.shape(real[0])[0] // 2
        prior = keras.random.uniform((batch, self.latent_dim), -1, 1, seed=self.seeds)
        directions = keras.random.normal((self.latent_dim, self.latent_dim), seed=self.seeds)
        with tf.GradientTape() as tape:
            encoded = self.encoder(real[1])  # [batch, latent_dim]
            z = ops.concatenate([encoded[:half], prior[half:]])
            sample = self.generator(z, training=True)
            fake = self.views(sample)
            discriminator_loss, logits = self.discriminator_step(real, [ops.stop_gradient(view) for view in fake])
            adversarial = ops.mean(ops.softplus(-self.judge(fake)))
            reconstruction = sum(ops.mean(ops.abs(r[:half, ..., 0] - f[:half, ..., 0])) for r, f in zip(real[1:], fake[1:])) / 2
            latent = ops.mean((self.encoder(fake[1][half:]) - prior[half:]) ** 2)
            distance = sliced_distance(encoded, prior, directions)
            rms = ops.sqrt(ops.mean(sample**2, axis=(1, 2)) + 1e-8)
            quiet = ops.mean(ops.relu(ops.log(self.quiet_rms / rms)))
            encoder_terms = self.reconstruction_weight * reconstruction + self.latent_weight * latent + self.prior_weight * distance
            loss = adversarial + encoder_terms + quiet
        self.optimizer.apply(tape.gradient(loss, self.generator_variables), self.generator_variables)
        step = ops.cast(self.step, "float32")
        decay = ops.minimum(self.average, (1.0 + step) / (10.0 + step))
        for average, weight in zip(self.averaged.weights, self.generator.trainable_variables):
            average.assign(decay * average + (1 - decay) * weight)
        self.step.assign_add(1)
        names = [view.name.removeprefix("D_") for view in self.discriminators]
        judged = {f"real_{n}": ops.mean(logits[:batch, i]) for i, n in enumerate(names)}
        judged |= {f"fake_{n}": ops.mean(logits[batch:, i]) for i, n in enumerate(names)}
        losses = {"generator": adversarial, "discriminator": discriminator_loss, "reconstruction": reconstruction, "latent": latent}
        return {**losses, "prior": distance, "quiet": quiet, "rms": ops.mean(rms), **judged}
