"""Training a WaveGAN: generator, discriminators, encoder, in one step (Donahue, McAuley, Puckette, "Adversarial Audio
Synthesis", ICLR 2019).

The generator is WaveGAN's to the last variable name, so that it can be written as WaveGAN's own checkpoint. Beyond the
paper: several small discriminators (models/training/wavegan/discriminators.py) see recordings and samples through the
same random changes (models/training/wavegan/augmentation.py); the loss is the non-saturating logistic one, with an R1
penalty every few steps (Mescheder et al., arXiv 1801.04406) in place of a gradient penalty at each; generator and
discriminators are updated at once, from one pass over the samples; and what is exported is the moving average of the
generator's weights.

An encoder keeps the samples diverse and every latent coordinate audible, which is what latent vector recovery needs:
half of each batch is decoded from the encoder's view of a recording, and has to have that recording's spectrogram and
its activations in the discriminators (VAE-GAN, arXiv 1512.09300); from the other half, drawn from the prior, the
encoder has to find the latent vector again (InfoGAN, arXiv 1606.03657); and what it finds in recordings has to be
distributed as the prior is (models/training/wavegan/latent_codes.py). A reconstruction whose pitch is uncertain blurs
to noise; so its frames have to be as periodic as the recording's, whatever their pitch, and those of draws in their
distribution.

Where it is known which digit a recording is, each digit has its part of the latent cube: there the encoder has to put
its recordings, and the spectrogram discriminators judge samples of that part as that digit (arXiv 1802.05637). They
learn to tell digits apart too, on recordings only, and samples have to be recognised by them (AC-GAN, arXiv
1610.09585). They are other networks than the classifier that judges the samples.
"""

import keras
import tensorflow as tf
from keras import ops

from models.audio.clip import NUM_SAMPLES, SAMPLE_RATE
from models.audio.features import multiscale_spectral_loss
from models.generator.layers import DENSE, FILTER
from models.generator.subpixel import blocked_conv, blocked_kernel, decimating_kernel
from models.generator.tf1_export import wavegan_variables
from models.training.wavegan import augmentation as diff_augmentation
from models.training.wavegan.discriminators import Discriminators, log_spectrogram, picture_network
from models.training.wavegan.fused_adam import FusedAdam
from models.training.wavegan.latent_codes import (
    QUEUE,
    digit_asked_for,
    digit_log_probabilities,
    distribution_terms,
    emphasised,
)
from models.training.wavegan.losses import (
    EMPHASIS,
    SHARPNESS,
    UNLABELLED,
    WEIGHTS,
    at_step,
    digit_loss,
    feature_distance,
    logistic_loss,
    quiet_loss,
    sorted_distance,
)
from models.training.wavegan.networks import build_generator, lowpass_taps

FILTER_BLOCK = 64  # samples that the post-processing filter takes at once
ENCODER_WINDOW = (1 / 16, 1 / 64)  # length and hop in seconds
RECONSTRUCTION_WINDOWS = ((1 / 64, 1 / 256), (1 / 16, 1 / 64), (1 / 4, 1 / 32))
LEAST_RMS = 0.04  # no recording is fainter after its preparation; adversarial gradients vanish in fainter samples


def _in_samples(windows, rate):
    return [(round(length * rate), round(hop * rate)) for length, hop in windows]


@keras.saving.register_keras_serializable("latent_vector_recovery")
class WaveGANTraining(keras.Model):
    """Generator, its moving average, the encoder and the discriminators, trained by `fit` on waveforms float32 [n,
    16384], n even, and their digits int32 [n], UNLABELLED where they are not known. Called on z [n, latent_dim]: the
    average's waveforms [n, 16384, 1].

    width: of the generator. filters: of the first layer of encoder and discriminators. weights: changes of WEIGHTS.
    r1: weight of the gradient penalty, which is applied every `r1_interval` steps. average: decay of the moving
    average, per step. lowpass: cut-off of a fixed post-processing filter in Hz, 0 for none; from 4,096 Hz down,
    discriminators and encoder run on every second sample, which loses nothing. A step raises
    tf.errors.InvalidArgumentError where a loss is not finite.
    """

    def __init__(
        self, width=24, latent_dim=100, filters=16, weights=(), r1=2.0, r1_interval=16, average=0.9997, lowpass=0.0
    ):
        super().__init__(name="wavegan_training")
        self.latent_dim, self.r1, self.r1_interval, self.average = latent_dim, r1, r1_interval, average
        self.term_weights = WEIGHTS | dict(weights)
        decimation = 2 if 0 < lowpass <= SAMPLE_RATE / 4 else 1
        rate = SAMPLE_RATE // decimation
        self.taps = lowpass_taps(lowpass) if lowpass else None
        self.filter = blocked_kernel(self.taps, FILTER_BLOCK) if lowpass else None
        self.decimator = decimating_kernel(self.taps, FILTER_BLOCK, decimation) if lowpass else None
        self.generator = build_generator(width, latent_dim)
        self.averaged = build_generator(width, latent_dim)
        self.averaged.set_weights(self.generator.get_weights())
        self.averaged.trainable = False
        (self.encoder_window,) = _in_samples([ENCODER_WINDOW], rate)
        self.windows = _in_samples(RECONSTRUCTION_WINDOWS, rate)
        frame, hop = self.encoder_window
        frames = NUM_SAMPLES // decimation // hop
        self.encoder = picture_network((frames, frame // 2 + 1, 2), filters, "encoder", latent_dim, "tanh")
        self.discriminators = Discriminators(filters, rate, NUM_SAMPLES // decimation)
        self.networks = self.discriminators.networks  # where Keras finds them
        self.seeds = keras.random.SeedGenerator(1)
        self.average_start = self._counter("average_start", "int64")
        self.step = self._counter("step", "int64")
        anywhere = keras.initializers.RandomUniform(-1, 1, seed=1)
        self.queue = self.add_weight(name="queue", shape=(QUEUE, latent_dim), initializer=anywhere, trainable=False)
        unknown = keras.initializers.Constant(UNLABELLED)
        self.queue_digits = self.add_weight(
            name="queue_digits", shape=(QUEUE,), dtype="int32", initializer=unknown, trainable=False
        )

    def _counter(self, name, dtype):
        return self.add_weight(name=name, shape=(), dtype=dtype, initializer="zeros", trainable=False)

    def compile(self, generator_rate=3e-4, discriminator_rate=3e-4):
        """The two learning rates of Adam; the encoder learns with the generator."""
        super().compile(optimizer=FusedAdam(generator_rate, 0.5, 0.9))
        self.discriminator_optimizer = FusedAdam(discriminator_rate, 0.5, 0.9)
        self.optimizer.build(self.generator_variables)
        self.discriminator_optimizer.build(self.discriminators.trainable_variables)

    def start_from(self, step):
        """After the networks were set from outside: the steps they have behind them; the moving average begins anew."""
        self.step.assign(step)
        self.average_start.assign(step)
        self.averaged.set_weights(self.generator.get_weights())
        self.seeds.state.assign(ops.convert_to_tensor([1, step], self.seeds.state.dtype))

    @property
    def generator_variables(self):
        return self.generator.trainable_variables + self.encoder.trainable_variables

    def emphasised(self, latent):
        """The input of the generating networks at this step, for latent vectors [n, latent_dim]."""
        return emphasised(latent, at_step(EMPHASIS, self.step))

    def call(self, z):
        waveform = self.averaged(self.emphasised(z))
        return waveform if self.filter is None else blocked_conv(waveform, *self.filter, FILTER_BLOCK)

    def exported(self):
        """The averaged generator as WaveGAN's variables, {name: array}, its first layer with the emphasis."""
        variables = wavegan_variables(self.averaged) | ({} if self.taps is None else {FILTER: self.taps})
        return variables | {DENSE: ops.convert_to_numpy(self.emphasised(variables[DENSE].T)).T}

    def filtered(self, waveform):
        """Waveforms [n, 16384, 1], low-passed and at the discriminators' rate → [n, samples]."""
        return (waveform if self.decimator is None else blocked_conv(waveform, *self.decimator, FILTER_BLOCK))[..., 0]

    def encode(self, waveform):
        """Waveforms [n, samples] → latent vectors [n, latent_dim]."""
        return self.encoder(log_spectrogram(waveform, *self.encoder_window))[0]

    def train_step(self, data):
        """One update of every network → the terms of the losses, and the mean logits that tell who is winning."""
        waveform, digit = data
        real = self.filtered(waveform[..., None])
        prior = keras.random.uniform((ops.shape(real)[0], self.latent_dim), -1, 1, seed=self.seeds)
        changes = diff_augmentation.draw(ops.shape(real)[0], real.shape[1], self.seeds)
        with tf.GradientTape(persistent=True) as tape:
            encoded = self.encode(real)
            half = ops.shape(real)[0] // 2
            latent = self.emphasised(ops.concatenate([encoded[:half], prior[half:]]))
            fake = self.filtered(self.generator(latent, training=True))
            asked = ops.concatenate([digit[:half], digit_asked_for(prior, digit)[half:]])
            views = [self.discriminators.views(diff_augmentation.augmented(x, changes)) for x in (real, fake)]
            of_real, of_fake = (self.discriminators(*pair) for pair in zip(views, (digit, asked)))
            judged = self.discriminator_terms(of_real, of_fake, digit)
            terms = self.adversarial_terms(of_real, of_fake, asked) | self.sound_terms(real, fake)
            terms |= self.code_terms(encoded, prior, fake, digit)
            discriminator_loss = tf.debugging.check_numerics(sum(judged.values()), "the discriminators' loss")
            loss = sum(at_step(self.term_weights[name], self.step) * term for name, term in terms.items())
            loss = tf.debugging.check_numerics(loss, "the generator's loss")
        variables = self.discriminators.trainable_variables
        gradients = tape.gradient(discriminator_loss, variables)
        due = ops.equal(self.step % self.r1_interval, 0)
        none = [tf.zeros_like(v) for v in variables]
        penalty = tf.cond(due, lambda: self.r1_gradients(views[0], digit), lambda: none)
        self.optimizer.apply(tape.gradient(loss, self.generator_variables), self.generator_variables)
        self.discriminator_optimizer.apply([g + p for g, p in zip(gradients, penalty)], variables)
        self.follow()
        right = ops.mean(ops.cast(ops.cast(ops.argmax(of_real.digits, axis=1), "int32") == digit, "float32"))
        rms = ops.mean(ops.sqrt(ops.mean(fake**2, axis=1)))
        return terms | judged | {"right": right, "rms": rms} | self.discriminators.summary(of_real, of_fake)

    def discriminator_terms(self, of_real, of_fake, digit):
        """The terms of the discriminators' loss, from what they return of recordings of `digit` [n] and of samples."""
        adversarial = logistic_loss(of_real.logits, real=True) + logistic_loss(of_fake.logits, real=False)
        return {"discriminator": adversarial, "digit": digit_loss(of_real.digits, digit)}

    def adversarial_terms(self, of_real, of_fake, asked):
        """The generator's terms that the discriminators give; the first half of the samples are decoded recordings, and
        `asked` [n] are the digits that all are to be."""
        half = ops.shape(asked)[0] // 2
        return {
            "generator": logistic_loss(of_fake.logits, real=True),
            "matching": feature_distance(*([a[:half] for a in x.activations] for x in (of_real, of_fake))),
            "digit_recognised": digit_loss(of_fake.digits, asked),
        }

    def sound_terms(self, real, fake):
        """The terms that compare waveforms, real and fake [n, samples]: decoded ones with their recordings, how
        periodic the frames of all are, whatever their pitch, and how faint they are."""
        half = ops.shape(real)[0] // 2
        rms = ops.sqrt(ops.mean(fake**2, axis=1) + 1e-8)
        pitch = [self.discriminators.correlogram(x) for x in (real, fake)]  # [n, frames, lags, 1]
        periodicity = [ops.max(x, axis=(2, 3)) for x in pitch]
        return {
            "reconstruction": ops.mean(multiscale_spectral_loss(real[:half], fake[:half], self.windows)),
            "pitch": ops.mean(ops.abs(pitch[0][:half] - pitch[1][:half])),
            "voicing": ops.mean(ops.abs(periodicity[0][:half] - periodicity[1][:half]))
            + sorted_distance(periodicity[0][half:], periodicity[1][half:]),
            "quiet": quiet_loss(rms, LEAST_RMS),
        }

    def code_terms(self, codes, prior, fake, digit):
        """The terms of latent vectors: codes of recordings of `digit` and draws of the prior [n, latent_dim], fake [n,
        samples], whose second half was made from those draws."""
        half = ops.shape(prior)[0] // 2
        directions = keras.random.normal((self.latent_dim, self.latent_dim), seed=self.seeds)
        draws = keras.random.uniform((QUEUE + ops.shape(codes)[0], self.latent_dim), -1, 1, seed=self.seeds)
        distances = distribution_terms(codes, digit, self.queue, self.queue_digits, draws, directions)
        self.queue.assign(ops.concatenate([ops.stop_gradient(codes), self.queue])[:QUEUE])
        self.queue_digits.assign(ops.concatenate([digit, self.queue_digits])[:QUEUE])
        return distances | {
            "latent": ops.mean((self.encode(fake[half:]) - prior[half:]) ** 2),
            "digit_code": digit_loss(digit_log_probabilities(codes, at_step(SHARPNESS, self.step)), digit),
        }

    def r1_gradients(self, views, digit):
        """Gradients, by the discriminators' weights, of the mean squared gradient of each logit by what its
        discriminator saw."""
        variables = self.discriminators.trainable_variables
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(views)
                total = sum(ops.sum(ops.mean(logits, axis=1)) for logits in self.discriminators(views, digit).logits)
            gradients = inner.gradient(total, views)
            squares = [ops.mean(ops.sum(ops.reshape(g, (ops.shape(g)[0], -1)) ** 2, axis=1)) for g in gradients]
            penalty = 0.5 * self.r1 * self.r1_interval * sum(squares) / len(squares)
        gradients = outer.gradient(penalty, variables)
        return [tf.zeros_like(v) if g is None else g for g, v in zip(gradients, variables)]  # the last biases have none

    def follow(self):
        """Moves the average towards the generator, faster while it is young, and counts the step."""
        age = ops.cast(self.step - self.average_start, "float32")
        decay = ops.minimum(self.average, (1.0 + age) / (4.0 + age))
        for average, weight in zip(self.averaged.weights, self.generator.trainable_variables):
            average.assign(decay * average + (1 - decay) * weight)
        self.step.assign_add(1)
