"""The inverse mapping: a network that predicts the latent vector of a waveform (paper section 3.2), by forward
passes only.

Two kinds. "resnet" is the paper's, a ResNet on the spectrogram. "waveform", the default, is WaveGAN's generator
backwards, five strided convolutions on the samples themselves: a latent vector decides the phase of every sample,
which a spectrogram hardly tells. A branch on the log-magnitude spectrogram may stand beside it: a recording has its
magnitudes in common with the generator's clips, and no phase. The prediction may be refined: a second network compares
the clip with what the generator makes of the prediction so far, and predicts the correction (ReStyle, Alaluf et al.,
ICCV 2021), as often as wanted.
"""

import math

import keras
from keras import layers, ops

from models.audio.clip import NUM_SAMPLES
from models.files.errors import CheckpointError
from models.files.file_set import read_together
from models.files.hashing import network_hash
from models.files.saving import load_network
from models.networks.encoder import STRIDE, downconvolutions, spectrogram_convolutions
from models.networks.published_weights import is_published, load_published_weights
from models.networks.resnet import resnet

NETWORKS = ("waveform", "resnet")
INVERSE_MAPPING_FILE = "inverse_mapping.keras"  # what `models.files.saving.save_network` writes
AUTHORS_PREFIX = "generated_and_real_training.ckpt"  # of the authors' download
INVERSE_MAPPING_FILES = (INVERSE_MAPPING_FILE, f"{AUTHORS_PREFIX}.index", f"{AUTHORS_PREFIX}.data-00000-of-00001")
LEAST_SAMPLES = STRIDE**5  # that five strided convolutions make one place of
GAIN = 5.0  # brings samples of an RMS near 0.1 to the order of 1


def _waveform_network(inputs, latent_dim, width, shape, name, spectrogram=False):
    """From `inputs` waveforms [n, *shape] side by side to [n, latent_dim].

    spectrogram: a branch on the log-magnitude spectrogram, joined to the other at each place.
    """
    waveforms = [keras.Input(shape, name=f"waveform_{i}") for i in range(inputs)]
    side_by_side = ops.stack(waveforms, axis=-1) if len(shape) == 1 else ops.concatenate(waveforms, axis=-1)
    x = downconvolutions(layers.Rescaling(GAIN)(side_by_side), width)  # [n, num_samples / 1024, 16 width]
    # Nearly zero at first: the first prediction is the middle of the cube, the first correction none.
    small = keras.initializers.RandomNormal(stddev=1e-3, seed=0)
    if spectrogram:
        x = ops.concatenate([x, spectrogram_convolutions(side_by_side, 8 * width)], axis=-1)
        x = layers.LeakyReLU(0.2)(layers.Dense(16 * width, kernel_initializer="he_normal", name="joined")(x))
    x = layers.Flatten()(x)
    latent = layers.Dense(latent_dim, kernel_initializer=small, dtype="float32", name="latent")(x)
    return keras.Model(waveforms if inputs > 1 else waveforms[0], latent, name=name)


@keras.saving.register_keras_serializable("latent_vector_recovery")
class InverseMapping(keras.Model):
    """Waveforms [n, num_samples], of more than one channel [n, num_samples, num_channels] → latent vectors [n,
    latent_dim].

    network: "waveform" or "resnet". width: filters of its first layer. depth, features: of the ResNet, see
    models.networks.resnet. refinements: how often a second network corrects the prediction; only "waveform" has one,
    and only with a generator, `attach`ed, to listen to. spectrogram: whether "waveform" has a branch on the
    log-magnitude spectrogram. bounded: predictions are clipped to [-1, 1], where WaveGAN's latent vectors come from;
    the published ones are not. generator_sha256: of the variables of the generator it was trained for, "" where that
    is not known. num_samples, a multiple of 1,024, and num_channels: of the waveforms; other than 16,384 and 1 with
    "waveform" only. Raises ValueError for settings that do not exist or do not go together.
    """

    def __init__(
        self,
        latent_dim=100,
        network="waveform",
        width=16,
        depth=18,
        features="complex",
        refinements=0,
        bounded=True,
        bounds=1.0,
        generator_sha256="",
        num_samples=NUM_SAMPLES,
        num_channels=1,
        spectrogram=False,
        name=None,
    ):
        super().__init__(name=name or "inverse_mapping")
        if network not in NETWORKS:
            raise ValueError(f"network is one of {', '.join(NETWORKS)}, not {network!r}")
        if refinements and network != "waveform":
            raise ValueError("only the waveform network is refined; refinements is 0 with resnet")
        if spectrogram and network != "waveform":
            raise ValueError("only the waveform network has a spectrogram branch; spectrogram is False with resnet")
        if network == "resnet" and (num_samples, num_channels) != (NUM_SAMPLES, 1):
            raise ValueError(f"a resnet takes {NUM_SAMPLES} samples of one channel; the waveform network takes others")
        if num_samples % LEAST_SAMPLES:
            raise ValueError(f"the waveform network takes multiples of {LEAST_SAMPLES} samples, not {num_samples}")
        self.settings = {
            "latent_dim": latent_dim,
            "network": network,
            "width": width,
            "depth": depth,
            "features": features,
        }
        self.settings |= {"refinements": refinements, "bounded": bounded and math.isfinite(bounds)}
        self.settings |= {"bounds": bounds if math.isfinite(bounds) else 1.0, "generator_sha256": generator_sha256}
        self.settings |= {"num_samples": num_samples, "num_channels": num_channels}
        self.settings |= {"spectrogram": spectrogram}
        self.refinements, self.generator_sha256 = refinements, generator_sha256
        self.bounds = self.settings["bounds"] if self.settings["bounded"] else math.inf
        self._generator = None
        self.waveform_shape = (num_samples,) if num_channels == 1 else (num_samples, num_channels)
        if network == "resnet":
            self.predictor = resnet(latent_dim, depth=depth, width=width, features=features, name="predictor")
        else:
            self.predictor = _waveform_network(1, latent_dim, width, self.waveform_shape, "predictor", spectrogram)
        self.refiner = None
        if refinements:
            self.refiner = _waveform_network(2, latent_dim, width, self.waveform_shape, "refiner", spectrogram)
        self.built = True

    @property
    def sha256(self):
        """Of its variables as they are now."""
        return network_hash(self)

    def attach(self, generator):
        """Gives refinement the generator it listens to. Raises CheckpointError if its latent vectors or sounds
        are of another shape.
        """
        names = ("latent_dim", "num_samples", "num_channels")
        have, want = [getattr(generator, name) for name in names], [self.settings[name] for name in names]
        if have != want:
            raise CheckpointError(
                f"the inverse mapping predicts {want[0]} numbers from {want[1]} samples in {want[2]} channel(s), "
                f"the generator turns {have[0]} into {have[1]} in {have[2]}"
            )
        self._generator = generator
        return self

    def shaped(self, waveform):
        """Waveforms [n, num_samples, num_channels] as the network takes them: [n, *waveform_shape]."""
        return ops.reshape(waveform, (-1, *self.waveform_shape))

    def bound(self, z):
        return ops.clip(z, -self.bounds, self.bounds) if math.isfinite(self.bounds) else z

    def stages(self, waveform, training=False, render=None):
        """waveform [n, *waveform_shape] → the prediction and each refinement of it, [n, latent_dim] each, not clipped;
        no gradient from one to another.

        render: latent vectors [n, latent_dim] → waveforms [n, *waveform_shape], in place of the attached generator.
        """
        render = render or (self._generator and (lambda z: self.shaped(self._generator(z))))
        predictions = [self.predictor(waveform, training=training)]
        for _ in range(self.refinements if render else 0):
            z = self.bound(predictions[-1])
            reconstruction = ops.stop_gradient(render(z))
            predictions.append(ops.stop_gradient(z) + self.refiner([waveform, reconstruction], training=training))
        return predictions

    def call(self, waveform, training=False):
        return self.bound(self.stages(waveform, training)[-1])

    def get_config(self):
        return dict(self.settings)


def load_inverse_mapping(folder, generator=None):
    """The inverse mapping in `folder`: a Keras model, waveforms [n, num_samples], prepared as the generator's training
    clips were → z [n, latent_dim].

    The authors' checkpoint, generated_and_real_training.ckpt.*, is taken if it is there, else inverse_mapping.keras.
    generator: a models.generator.generator.Generator, the one it was trained for; without one the prediction is not
    refined. Raises CheckpointError, in one line, for a folder without one, a file that is none, or one that was
    trained for another generator.
    """
    return read_together(folder, lambda place: _load(place, generator))


def _load(folder, generator):
    try:
        if is_published(folder / AUTHORS_PREFIX):
            mapping = InverseMapping(network="resnet", width=64, depth=18, features="real", bounded=False)
            load_published_weights(mapping.predictor, folder / AUTHORS_PREFIX)
        else:
            mapping = load_network(folder / INVERSE_MAPPING_FILE, "inverse mapping")
    except (FileNotFoundError, ValueError) as error:
        raise CheckpointError(str(error)) from error
    if not isinstance(mapping, InverseMapping):
        raise CheckpointError(f"{folder / INVERSE_MAPPING_FILE}: another network, not an inverse mapping")
    theirs, ours = mapping.generator_sha256, generator.sha256 if generator else ""
    if theirs and ours and theirs != ours:
        where = folder / INVERSE_MAPPING_FILE
        raise CheckpointError(f"{where}: trained for the generator {theirs[:12]}…, the one here is {ours[:12]}…")
    return mapping.attach(generator) if generator else mapping
