"""Training the inverse mapping: its objectives (paper section 3.2). The generator and the classifier are frozen;
gradients pass through both.

For synthesized clips the latent vector is known, and its mean squared error is the first objective. For every
clip, recorded or synthesized, the second is the perceptual loss between the clip and what the generator makes of
the prediction. Beyond the paper there is a spectral term, the mean absolute difference of log magnitudes at two
resolutions, far cheaper than the perceptual one; and refined predictions have a loss at each stage.
"""

import keras
import tensorflow as tf
from keras import ops

from models.audio.features import spectral_loss
from models.audio.second import Second

KINDS = ("real", "synthesized")


def decibels(original, reconstruction):
    """SNR in dB of waveforms [n, …] twice → [n]."""
    axes = tuple(range(1, len(original.shape)))
    noise = ops.sum((original - reconstruction) ** 2, axis=axes) + 1e-10
    return 10 / ops.log(10.0) * ops.log(ops.sum(original**2, axis=axes) / noise + 1e-10)


def spectral_difference(original, reconstruction):
    """`spectral_loss` of waveforms [n, num_samples], or of each channel of [n, num_samples, num_channels] → [n] or
    [n num_channels]."""
    if len(original.shape) == 3:
        original, reconstruction = (
            ops.reshape(ops.transpose(x, (0, 2, 1)), (-1, x.shape[1])) for x in (original, reconstruction)
        )
    return spectral_loss(original, reconstruction)


class InverseMappingTraining(keras.Model):
    """Trains a `models.networks.inverse_mapping.InverseMapping` by `fit`, on (recordings [r, num_samples], latent
    vectors [s, latent_dim]), or on the second alone.

    generator: models.generator.generator.Generator. perceptual_loss: models.networks.classifier.PerceptualLoss, or
    None to go without it. latent_weight, perceptual_weight: of the paper's two terms. perceptual_synthesized: whether
    synthesized clips have the perceptual term too, as in the paper, or recordings only. spectral_weight: of the
    spectral term, which recordings have at each stage, as they have no latent vector. separate_updates: one
    update for the recordings and one for the synthesized clips, as published, instead of one for both.
    """

    def __init__(
        self,
        mapping,
        generator,
        perceptual_loss=None,
        *,
        latent_weight=1.0,
        perceptual_weight=1.0,
        spectral_weight=0.0,
        perceptual_synthesized=True,
        separate_updates=False,
    ):
        super().__init__(name="inverse_mapping_training")
        self.mapping, self.generator, self.perceptual_loss = mapping, generator, perceptual_loss
        self.second = Second(generator.num_samples, generator.sample_rate)
        self.latent_weight, self.perceptual_weight, self.spectral_weight = (
            latent_weight,
            perceptual_weight,
            spectral_weight,
        )
        self.perceptual_synthesized, self.separate_updates = perceptual_synthesized, separate_updates
        names = [
            "loss",
            "latent",
            "first_latent",
            *(f"{kind}_{term}" for kind in KINDS for term in ("perceptual", "spectral", "snr_db")),
        ]
        if generator.codes:
            names.append("code_accuracy")
        self.means = {name: keras.metrics.Mean(name) for name in names}
        self.built = True

    @property
    def metrics(self):
        return list(self.means.values())

    def call(self, waveform):
        return self.mapping(waveform)

    def _render(self, z):
        return self.mapping.shaped(self.generator(self.mapping.bound(z)))

    def objective(self, real, z, training=False, everything=False):
        """Recordings [r, num_samples] and latent vectors [s, latent_dim], either may be None → the loss, and {name:
        value} of all that was measured.

        everything: measure what has no part in the loss as well.
        """
        synthesized = None if z is None else ops.stop_gradient(self.mapping.shaped(self.generator(z)))
        count = 0 if real is None else ops.shape(real)[0]
        clips = (
            ops.concatenate([real, synthesized])
            if real is not None and z is not None
            else synthesized
            if real is None
            else real
        )
        early = []  # what the recordings' earlier predictions sound like

        def render(latent):
            """As the network's own, but the recordings' part carries gradients."""
            parts = []
            if real is not None:
                early.append(self._render(latent[:count]))
                parts.append(early[-1])
            if z is not None:
                parts.append(self._render(latent[count:]))
            return ops.concatenate(parts) if len(parts) > 1 else parts[0]

        stages = self.mapping.stages(clips, training, render)
        loss, measured = 0.0, {}
        if z is not None:
            errors = [ops.mean((stage[count:] - z) ** 2) for stage in stages]
            loss += self.latent_weight * sum(errors)
            measured |= {"latent": errors[-1]} | ({"first_latent": errors[0]} if len(errors) > 1 else {})
            if everything and self.generator.codes:
                right = self.generator.codes.same(self.mapping.bound(stages[-1][count:]), z)
                measured["code_accuracy"] = ops.mean(ops.cast(right, "float32"))
            if everything or (self.perceptual_synthesized and self.perceptual_loss and self.perceptual_weight):
                measured |= self._compared("synthesized", synthesized, self._render(stages[-1][count:]), everything)
            if self.perceptual_synthesized:
                loss += self.perceptual_weight * measured.get("synthesized_perceptual", 0.0)
        if real is not None:
            measured |= self._compared(
                "real", real, self._render(stages[-1][:count]), everything or self.spectral_weight > 0
            )
            loss += self.perceptual_weight * measured.get("real_perceptual", 0.0)
            if self.spectral_weight:
                spectral = [ops.mean(spectral_difference(real, again)) for again in early]
                loss += self.spectral_weight * (measured["real_spectral"] + sum(spectral))
        return loss, {"loss": loss, **measured}

    def _compared(self, kind, clips, again, spectral):
        """{kind_term: value} of clips and their reconstructions [n, …]."""
        terms = {"snr_db": decibels(clips, again)}
        if self.perceptual_loss and (self.perceptual_weight or spectral):
            begin = self.second.begin(clips)
            terms["perceptual"] = self.perceptual_loss(self.second(clips, begin), self.second(again, begin))
        if spectral:
            terms["spectral"] = spectral_difference(clips, again)
        return {f"{kind}_{name}": ops.mean(values) for name, values in terms.items()}

    def _update(self, real, z):
        with tf.GradientTape() as tape:
            loss, measured = self.objective(real, z, training=True)
            scaled = self.optimizer.scale_loss(loss)
        self.optimizer.apply(tape.gradient(scaled, self.mapping.trainable_variables), self.mapping.trainable_variables)
        return measured

    def _log(self, measured):
        for name, value in measured.items():
            self.means[name].update_state(value)
        return {name: self.means[name].result() for name in measured}

    def train_step(self, data):
        """One update (two with separate_updates) → {name: mean over the epoch so far}."""
        real, z = data if isinstance(data, (tuple, list)) else (None, data)
        if self.separate_updates and real is not None:
            first, second = self._update(real, None), self._update(None, z)
            return self._log({**first, **second, "loss": first["loss"] + second["loss"]})
        return self._log(self._update(real, z))

    def test_step(self, data):
        """→ {name: mean so far} of every term, weighted or not."""
        real, z = data if isinstance(data, (tuple, list)) else (None, data)
        return self._log(self.objective(real, z, everything=True)[1])
