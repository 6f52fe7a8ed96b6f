"""Training a WaveGAN: generator, discriminators, losses (Donahue, McAuley, Puckette, "Adversarial Audio Synthesis", ICLR 2019).

The generator is WaveGAN's to the last variable name, so that it can be written as WaveGAN's own checkpoint. Beyond the paper: the convolutions run
in sub-pixel form, the loss is the non-saturating logistic one with an R1 penalty every few steps (Mescheder et al., arXiv 1801.04406) in place of
a gradient penalty at each step, two small discriminators look at spectrograms, and what is exported is the moving average of the generator's weights.

An encoder keeps the samples diverse and every latent coordinate audible, which is what latent vector recovery needs: half of each batch is decoded
from the encoder's view of a recording, and has to have that recording's spectrogram (VAE-GAN, arXiv 1512.09300); from the other half, sampled from
the prior, the encoder has to find the latent vector again (InfoGAN, arXiv 1606.03657); and what it finds in recordings has to be distributed like the
prior (sliced Wasserstein autoencoder, arXiv 1804.01947).

Where it is known which digit a recording is, the spectrogram discriminators learn to tell the digits apart as well (on recordings only), and the
generator is asked for samples in which they hear one digit clearly, decoded recordings their own, and each digit equally often (AC-GAN,
arXiv 1610.09585, and CatGAN, arXiv 1511.06390: latent vectors carry no label). They are other networks than the classifier that judges the samples.
"""

import keras
import tensorflow as tf
from keras import ops

from models.features import spectral_loss, spectrogram_features
from models.subpixel import blocked_conv, blocked_kernel
from models.tf1_export import FILTER, set_wavegan_variables, wavegan_variables
from models.wavegan_networks import build_generator, lowpass_taps, spectrogram_network, waveform_discriminator

CLASSES = 10
UNLABELLED = -1  # in place of a digit
FILTER_BLOCK = 64  # samples that the post-processing filter takes at once


def sliced_distance(latent, prior, directions):
    """Squared Wasserstein distance of two sets of vectors [n, k] along random directions [k, d], averaged."""
    directions = directions / ops.sqrt(ops.sum(directions**2, axis=0))
    return ops.mean((ops.sort(latent @ directions, axis=0) - ops.sort(prior @ directions, axis=0)) ** 2)


@keras.saving.register_keras_serializable("latent_vector_recovery")
class WaveGANTraining(keras.Model):
    """Generator, its moving average, the encoder and the discriminators, trained by `fit` on waveforms [batch, 16384], batch even,
    and their digits int32 [batch], UNLABELLED where they are not known.

    r1: weight of the gradient penalty, applied every `r1_interval` steps. reconstruction, latent, prior: weights of the encoder's three terms.
    classes: weight of what the generator is asked for about digits.
    quiet_rms: no recording is fainter than this after its preparation, so fainter samples are pulled up (adversarial gradients vanish in silence).
    average: decay of the moving average, per step. lowpass: cut-off of a fixed post-processing filter in Hz, 0 for none.
    """

    def __init__(
        self, width=16, latent_dim=100, r1=10.0, r1_interval=8, reconstruction=4.0, latent=1.0, prior=3.0, classes=0.5, quiet_rms=0.04,
        average=0.995, lowpass=0.0,
    ):  # fmt: skip
        super().__init__(name="wavegan_training")
        self.taps = lowpass_taps(lowpass) if lowpass else None
        self.filter = blocked_kernel(self.taps, FILTER_BLOCK) if lowpass else None
        self.latent_dim, self.r1, self.r1_interval, self.quiet_rms, self.average = latent_dim, r1, r1_interval, quiet_rms, average
        self.reconstruction_weight, self.latent_weight, self.prior_weight, self.class_weight = reconstruction, latent, prior, classes
        self.generator = build_generator(width, latent_dim)
        self.averaged = build_generator(width, latent_dim)
        self.averaged.set_weights(self.generator.get_weights())
        self.averaged.trainable = False
        self.encoder = spectrogram_network(128, 129, width, "encoder", latent_dim, "tanh")
        filters = max(1, width // 2)  # few, or the spectrogram discriminators win
        self.discriminators = [
            waveform_discriminator(width),
            spectrogram_network(128, 129, filters, "D_stft_256", 1 + CLASSES),
            spectrogram_network(64, 513, filters, "D_stft_1024", 1 + CLASSES),
        ]
        self.seeds = keras.random.SeedGenerator(1)
        self.heard = self.add_weight(name="heard", shape=(CLASSES,), initializer=keras.initializers.Constant(1 / CLASSES), trainable=False)
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

    def filtered(self, waveform):
        """Through the post-processing filter, if there is one."""
        return waveform if self.filter is None else blocked_conv(waveform, *self.filter, FILTER_BLOCK)

    def call(self, z):
        return self.filtered(self.averaged(z))

    def exported(self):
        """The averaged generator as WaveGAN's variables, {name: array}."""
        return wavegan_variables(self.averaged) | ({} if self.taps is None else {FILTER: self.taps})

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
        """→ logits of being real [n, 3], one a discriminator, and log-probabilities of the digits [n, 10]."""
        outputs = [d(x, training=True) for d, x in zip(self.discriminators, views)]
        return ops.concatenate([x[:, :1] for x in outputs], axis=1), ops.log_softmax(outputs[1][:, 1:] + outputs[2][:, 1:])

    def r1_penalty(self, views):
        """Mean over clips of the squared gradient of each logit by what its discriminator saw, summed over the discriminators."""
        with tf.GradientTape() as tape:
            tape.watch(views)
            total = ops.sum(self.judge(views)[0])
        gradients = tape.gradient(total, views)
        return sum(ops.mean(ops.sum(ops.reshape(g, (ops.shape(g)[0], -1)) ** 2, axis=1)) for g in gradients)

    def discriminator_step(self, real, fake, digit):
        """One update from the views of recordings and of samples → loss, logits [2 n, 3] and the share of digits told right."""
        batch = ops.shape(real[0])[0]
        with tf.GradientTape() as tape:
            logits, digits = self.judge([ops.concatenate(pair) for pair in zip(real, fake)])
            loss = ops.mean(ops.softplus(-logits[:batch])) + ops.mean(ops.softplus(logits[batch:]))
            misheard = -ops.mean(ops.sum(ops.one_hot(digit, CLASSES) * digits[:batch], axis=1))
            due = ops.equal(self.step % self.r1_interval, 0)
            penalty = tf.cond(due, lambda: self.r1_penalty(real), lambda: 0.0)
            total = loss + misheard + 0.5 * self.r1 * self.r1_interval / len(self.discriminators) * penalty
        gradients = tape.gradient(total, self.discriminator_variables)
        self.discriminator_optimizer.apply(gradients, self.discriminator_variables)
        right = ops.mean(ops.cast(ops.equal(ops.argmax(digits[:batch], axis=1), ops.cast(digit, "int64")), "float32"))
        return loss, logits, right

    def indistinct(self, digits, digit):
        """How unclear it is which digit the samples are, from log-probabilities [n, 10]: the first half are decoded recordings of `digit` [n / 2].

        For the others, minus the mutual information of sample and digit; its marginal distribution is the moving average over past batches.
        """
        known = ops.cast(digit != UNLABELLED, "float32")
        decoded, sampled = digits[: ops.shape(digit)[0]], digits[ops.shape(digit)[0] :]
        own = -ops.sum(ops.one_hot(digit, CLASSES) * decoded, axis=1)
        probability = ops.exp(sampled)
        self.heard.assign(0.98 * self.heard + 0.02 * ops.mean(probability, axis=0))
        ambiguous = ops.sum(probability * (ops.log(self.heard) - sampled), axis=1)
        return ops.mean(own) + ops.mean(known) * ops.mean(ambiguous)

    def train_step(self, data):
        """One step of each; returns the losses, and the mean logits that tell who is winning."""
        real, digit = data
        real = self.views(ops.expand_dims(real, -1))
        batch, half = ops.shape(real[0])[0], ops.shape(real[0])[0] // 2
        prior = keras.random.uniform((batch, self.latent_dim), -1, 1, seed=self.seeds)
        directions = keras.random.normal((self.latent_dim, self.latent_dim), seed=self.seeds)
        with tf.GradientTape() as tape:
            encoded = self.encoder(real[1])  # [batch, latent_dim]
            z = ops.concatenate([encoded[:half], prior[half:]])
            sample = self.filtered(self.generator(z, training=True))
            fake = self.views(sample)
            discriminator_loss, logits, right = self.discriminator_step(real, [ops.stop_gradient(view) for view in fake], digit)
            again, digits = self.judge(fake)
            adversarial = ops.mean(ops.softplus(-again))
            indistinct = self.indistinct(digits, digit[:half])
            reconstruction = ops.mean(spectral_loss(real[0][:half, :, 0], sample[:half, :, 0]))
            latent = ops.mean((self.encoder(fake[1][half:]) - prior[half:]) ** 2)
            distance = sliced_distance(encoded, prior, directions)
            rms = ops.sqrt(ops.mean(sample**2, axis=(1, 2)) + 1e-8)
            quiet = ops.mean(ops.relu(ops.log(self.quiet_rms / rms)))
            encoder_terms = self.reconstruction_weight * reconstruction + self.latent_weight * latent + self.prior_weight * distance
            loss = adversarial + encoder_terms + quiet + self.class_weight * indistinct
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
        return {**losses, "prior": distance, "quiet": quiet, "indistinct": indistinct, "digits": right, "rms": ops.mean(rms), **judged}
