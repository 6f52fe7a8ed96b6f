"""Training a WaveGAN: generator, discriminators, encoder, in one step (Donahue, McAuley, Puckette, "Adversarial Audio Synthesis", ICLR 2019).

The generator is WaveGAN's to the last variable name, so that it can be written as WaveGAN's own checkpoint. Beyond the paper: several small
discriminators (models/discriminators.py) see recordings and samples through the same random changes (models/diff_augmentation.py); the loss is the
non-saturating logistic one with an R1 penalty every few steps (Mescheder et al., arXiv 1801.04406) in place of a gradient penalty at each step;
discriminators and generator are updated at once, from one pass over the samples; and what is exported is the moving average of the generator's weights.

An encoder keeps the samples diverse and every latent coordinate audible, which is what latent vector recovery needs: half of each batch is decoded
from the encoder's view of a recording, and has to have that recording's spectrogram and its discriminators' activations (VAE-GAN, arXiv 1512.09300);
from the other half, sampled from the prior, the encoder has to find the latent vector again (InfoGAN, arXiv 1606.03657); and what it finds in
recordings has to be distributed like the prior (sliced Wasserstein autoencoder, arXiv 1804.01947).

Where it is known which digit a recording is, the spectrogram discriminators learn to tell the digits apart as well (on recordings only), and the
generator is asked for samples in which they hear one digit clearly, decoded recordings their own, and each digit equally often (AC-GAN,
arXiv 1610.09585, and CatGAN, arXiv 1511.06390: latent vectors carry no label). They are other networks than the classifier that judges the samples.
"""

import keras
import tensorflow as tf
from keras import ops

from models import diff_augmentation
from models.audio import NUM_SAMPLES, SAMPLE_RATE
from models.discriminators import CLASSES, Discriminators, log_spectrogram, spectrogram_network
from models.features import multiscale_spectral_loss
from models.subpixel import blocked_conv, blocked_kernel, decimating_kernel
from models.tf1_export import FILTER, wavegan_variables
from models.wavegan_losses import (
    UNLABELLED, ambiguity, digit_loss, feature_distance, logistic_loss, quiet_loss, sliced_distance,
)  # fmt: skip
from models.wavegan_networks import build_generator, lowpass_taps

FILTER_BLOCK = 64  # samples that the post-processing filter takes at once


@keras.saving.register_keras_serializable("latent_vector_recovery")
class FusedAdam(keras.optimizers.Adam):
    """Adam in one TensorFlow operation a variable; Keras's own takes ten passes over the memory."""

    def update_step(self, gradient, variable, learning_rate):
        i, t = self._get_variable_index(variable), ops.cast(self.iterations + 1, "float32")
        handles = [getattr(v, "_value", v).handle for v in (variable, self._momentums[i], self._velocities[i])]
        powers = [self.beta_1**t, self.beta_2**t]
        names = ("var", "m", "v", "beta1_power", "beta2_power", "lr", "beta1", "beta2", "epsilon", "grad")
        values = (*handles, *powers, learning_rate, self.beta_1, self.beta_2, self.epsilon, gradient)
        tf.raw_ops.ResourceApplyAdam(**dict(zip(names, values)))


@keras.saving.register_keras_serializable("latent_vector_recovery")
class WaveGANTraining(keras.Model):
    def __init__(
        self, width=24, latent_dim=100, r1=10.0, r1_interval=16, reconstruction=4.0, matching=2.0, latent=1.0, prior=3.0, classes=0.5, quiet_rms=0.04,
        average=0.999, lowpass=0.0, filters=16, augmentation=True, periods=(1, 3, 5, 7),
    ):  # fmt: skip
        super().__init__(name="wavegan_training")
        self.taps = lowpass_taps(lowpass) if lowpass else None
        self.filter = blocked_kernel(self.taps, FILTER_BLOCK) if lowpass else None
        self.decimation = 2 if lowpass and lowpass <= SAMPLE_RATE / 4 else 1
        self.decimator = decimating_kernel(self.taps, FILTER_BLOCK, self.decimation) if lowpass else None
        self.latent_dim, self.r1, self.r1_interval, self.quiet_rms, self.average = latent_dim, r1, r1_interval, quiet_rms, average
        self.weights_of = {"reconstruction": reconstruction, "matching": matching, "latent": latent, "prior": prior, "quiet": 1.0, "ambiguity": classes, "own_digit": classes}
        self.augmentation = augmentation
        self.generator = build_generator(width, latent_dim)
        self.averaged = build_generator(width, latent_dim)
        self.averaged.set_weights(self.generator.get_weights())
        self.averaged.trainable = False
        rate = SAMPLE_RATE // self.decimation
        self.encoder_window = (rate // 16, rate // 128)
        self.windows = [(rate // 64, rate // 256), (rate // 16, rate // 64), (rate // 4, rate // 32)]
        self.encoder = spectrogram_network(128, self.encoder_window[0] // 2 + 1, 2, filters, "encoder", latent_dim, "tanh")
        self.discriminators = Discriminators(filters, rate, NUM_SAMPLES // self.decimation, periods)
        self.networks = self.discriminators.networks
        self.seeds = keras.random.SeedGenerator(1)
        self.marginal = self.add_weight(name="marginal", shape=(CLASSES,), initializer=keras.initializers.Constant(1 / CLASSES), trainable=False)
        self.average_start = self.add_weight(name="average_start", shape=(), dtype="int64", initializer="zeros", trainable=False)
        self.step = self.add_weight(name="step", shape=(), dtype="int64", initializer="zeros", trainable=False)

    def compile(self, generator_rate=3e-4, discriminator_rate=1.5e-4):
        super().compile(optimizer=FusedAdam(generator_rate, 0.5, 0.9))
        self.discriminator_optimizer = FusedAdam(discriminator_rate, 0.5, 0.9)
        self.optimizer.build(self.generator_variables)
        self.discriminator_optimizer.build(self.discriminators.trainable_variables)

    def start_from(self, step, marginal):
        """After the networks were set from outside: the number of steps they have behind them, and the moving average begins anew."""
        self.step.assign(step)
        self.average_start.assign(step)
        self.marginal.assign(marginal)
        self.averaged.set_weights(self.generator.get_weights())
        self.seeds.state.assign(ops.convert_to_tensor([1, step], self.seeds.state.dtype))

    @property
    def generator_variables(self):
        return self.generator.trainable_variables + self.encoder.trainable_variables

    def filtered(self, waveform):
        """Through the post-processing filter, if there is one."""
        return waveform if self.filter is None else blocked_conv(waveform, *self.filter, FILTER_BLOCK)

    def decimated(self, waveform):
        """Waveforms [n, 16384, 1] as the discriminators hear them: filtered, and at half the rate where that loses nothing → [n, samples]."""
        return (waveform if self.decimator is None else blocked_conv(waveform, *self.decimator, FILTER_BLOCK))[..., 0]

    def call(self, z):
        return self.filtered(self.averaged(z))

    def exported(self):
        return wavegan_variables(self.averaged) | ({} if self.taps is None else {FILTER: self.taps})

    def encode(self, waveform):
        return self.encoder(log_spectrogram(waveform, *self.encoder_window))[0]

    def r1_gradients(self, views):
        """Gradients of the R1 penalty by the discriminators' weights."""
        views = [tf.identity(view) for view in views]  # some are one and the same waveform
        with tf.GradientTape() as outer:
            with tf.GradientTape() as tape:
                tape.watch(views)
                total = sum(ops.sum(ops.mean(x, axis=1)) for x in self.discriminators(views)[0])
            gradients = tape.gradient(total, views)
            penalty = sum(ops.mean(ops.sum(ops.reshape(g, (ops.shape(g)[0], -1)) ** 2, axis=1)) for g in gradients)
            penalty = 0.5 * self.r1 * self.r1_interval / len(self.networks) * penalty
        variables = self.discriminators.trainable_variables
        gradients = outer.gradient(penalty, variables)
        return [tf.zeros_like(v) if g is None else g for g, v in zip(gradients, variables)]  # R1 does not see the last biases

    def train_step(self, data):
        real, digit = data
        real = self.decimated(real[..., None])
        n, half, samples = ops.shape(real)[0], ops.shape(real)[0] // 2, real.shape[1]
        prior = keras.random.uniform((n, self.latent_dim), -1, 1, seed=self.seeds)
        directions = keras.random.normal((self.latent_dim, self.latent_dim), seed=self.seeds)
        changes = diff_augmentation.draw(n, samples, self.seeds)
        with tf.GradientTape(persistent=True) as tape:
            encoded = self.encode(real)  # [n, latent_dim]
            z = ops.concatenate([encoded[:half], prior[half:]])
            fake = self.decimated(self.generator(z, training=True))
            seen = [diff_augmentation.augmented(x, changes) if self.augmentation else x for x in (real, fake)]
            real_views, fake_views = (self.discriminators.views(x) for x in seen)
            real_logits, real_digits, real_activations = self.discriminators(real_views)
            fake_logits, fake_digits, fake_activations = self.discriminators(fake_views)
            discriminator_terms = {
                "discriminator": logistic_loss(real_logits, True) + logistic_loss(fake_logits, False),
                "digit": digit_loss(real_digits, digit),
            }
            rms = ops.sqrt(ops.mean(fake**2, axis=1) + 1e-8)
            known = ops.mean(ops.cast(digit[:half] != UNLABELLED, "float32"))
            self.marginal.assign(0.98 * self.marginal + 0.02 * ops.mean(ops.exp(fake_digits[half:]), axis=0))
            terms = {
                "generator": logistic_loss(fake_logits, True),
                "own_digit": digit_loss(fake_digits[:half], digit[:half]),
                "ambiguity": known * ambiguity(fake_digits[half:], self.marginal),
                "reconstruction": ops.mean(multiscale_spectral_loss(real[:half], fake[:half], self.windows)),
                "matching": feature_distance(real_activations, fake_activations, ops.cast(ops.arange(n) < half, "float32")),
                "latent": ops.mean((self.encode(fake[half:]) - prior[half:]) ** 2),
                "prior": sliced_distance(encoded, prior, directions),
                "quiet": quiet_loss(rms, self.quiet_rms),
            }
            discriminator_loss = sum(discriminator_terms.values())
            loss = sum(self.weights_of.get(name, 1.0) * term for name, term in terms.items())
            loss = tf.debugging.check_numerics(loss, "the generator's loss")
            discriminator_loss = tf.debugging.check_numerics(discriminator_loss, "the discriminators' loss")
        gradients = tape.gradient(loss, self.generator_variables)
        d_gradients = tape.gradient(discriminator_loss, self.discriminators.trainable_variables)
        due = ops.equal(self.step % self.r1_interval, 0)
        penalty = tf.cond(due, lambda: self.r1_gradients(real_views), lambda: [tf.zeros_like(v) for v in self.discriminators.trainable_variables])
        d_gradients = [g + p for g, p in zip(d_gradients, penalty)]
        self.optimizer.apply(gradients, self.generator_variables)
        self.discriminator_optimizer.apply(d_gradients, self.discriminators.trainable_variables)
        step = ops.cast(self.step - self.average_start, "float32")
        decay = ops.minimum(self.average, (1.0 + step) / (10.0 + step))
        for average, weight in zip(self.averaged.weights, self.generator.trainable_variables):
            average.assign(decay * average + (1 - decay) * weight)
        self.step.assign_add(1)
        right = ops.mean(ops.cast(ops.equal(ops.argmax(real_digits, axis=1), ops.cast(digit, "int64")), "float32"))
        judged = {}
        for network, x, y in zip(self.networks, real_logits, fake_logits):
            judged |= {f"real_{network.name[2:]}": ops.mean(x), f"fake_{network.name[2:]}": ops.mean(y)}
        return {**terms, **discriminator_terms, "right": right, "rms": ops.mean(rms), **judged}
