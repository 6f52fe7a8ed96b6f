"""Trains the inverse mapping: recordings + generator + classifier → inverse_mapping_checkpoint/, logs/, waves/.

Each step takes a batch of recordings and a batch synthesized on the fly. Killed at any time and started again, it goes
on after the last whole epoch.
"""

# What it is trained on, and where the result goes
recipe = "ours"  # "published": every setting below that is not given as in the paper ["ours", "published"]
datasets = "datasets/"  # folders of recordings, with commas between them; without any: synthesized clips only
balanced = True  # draw the digits evenly, and the data sets evenly within a digit
checkpoint = "checkpoint/"  # folder with the generator
facts = ""  # in place of what clip.json says: sample_rate=22050,code=onehot:10, … (checkpoint/README.md)
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier, for the perceptual loss
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder: inverse_mapping.keras; training/, the run's state
logs = "logs/inverse_mapping/"  # folder for TensorBoard: losses, sounds, spectrograms
waves = "waves/training/"  # folder for {epoch}/: pairs of originals and reconstructions of the last epochs
start = ""  # folder with an inverse mapping of this network, whose weights the run begins with; "": random ones
fresh = False  # begin anew; the state of the run that was there moves to previous/

# Network
network = "waveform"  # "waveform": convolutions on the samples; "resnet": the paper's ["waveform", "resnet"]
width = 16  # filters of the first layer, of each network; the paper's ResNet has 64 [1 to 1024]
spectrogram = False  # waveform: a branch on the log-magnitude spectrogram beside the one on the samples
refinements = 2  # waveform: times that a second network corrects the prediction, from its reconstruction [0 to 16]
depth = 18  # resnet: layers [18, 34, 50, 101, 152]
resnet_features = "real"  # resnet: what it sees of a clip, models/audio/features.py ["real", "complex", "log"]

# Loss
latent_weight = 10.0  # of the mean squared error of the latent vector, synthesized clips [0 to 1e6]
perceptual_weight = 1.0  # of the perceptual loss [0 to 1e6]
perceptual_synthesized = False  # whether synthesized clips have the perceptual loss too, as in the paper
spectral_weight = 0.5  # of the difference of log magnitudes, recordings [0 to 1e6]
taps = "blocks"  # of the perceptual loss: the paper's words, or the authors' code ["blocks", "published"]

# Augmentation
augmented = False  # recordings vary in pace, pitch, microphone, room and noise, as those from elsewhere do

# Training
epochs = 20  # at most [1 to 1,000,000]
steps = 50  # an epoch; 0: one pass over the recordings [0 to 1,000,000]
batch_size = 32  # synthesized clips a step [1 to 65,536]
real_batch_size = 8  # recordings a step [1 to 65,536]
learning_rate = 0.001  # Adam's [0 to 10]
largest_gradient = 3.0  # norm over all weights that a gradient is cut to; 0: as it comes [0 to 1e6]
schedule = "cosine"  # "cosine": up in 100 steps, down to a hundredth over all epochs ["cosine", "constant"]
separate_updates = False  # one update for the recordings and one for the synthesized clips, as published
mixed_precision = ""  # for GPUs ["", "mixed_float16", "mixed_bfloat16"]
devices = ""  # for example "GPU:0,GPU:1"; by default every GPU there is
seed = 0  # of the weights, the latent vectors and the order of the recordings [0 to 2,147,483,647]

PUBLISHED = {
    "network": "resnet",
    "width": 64,
    "resnet_features": "real",
    "latent_weight": 1.0,
    "perceptual_weight": 1.0,
    "perceptual_synthesized": True,
    "spectral_weight": 0.0,
    "steps": 0,
    "batch_size": 64,
    "real_batch_size": 64,
    "schedule": "constant",
    "largest_gradient": 0.0,
    "separate_updates": True,
    "facts": "sample_rate=16384",
    "balanced": False,
}  # paper section 3.2 and the authors' script

from common.settings import from_shell

settings = from_shell(globals(), recipes={"published": PUBLISHED})

import functools
import math
from pathlib import Path

from common.networks import clip_of, open_generator, open_inverse_mapping, open_perceptual_loss

import keras
import numpy as np
import tensorflow as tf

from common.files import writable_folder
from common.lock import hold
from common.memory import check_step
from common.runs import Logs, StopAtNaN, begin_run, training_strategy
from common.script import ScriptError, one_line_errors
from common.state import STATE, Saved
from common.view import Pairs
from datasets.augmentation import Elsewhere
from datasets.layouts import find_datasets
from datasets.pipeline import displaced_batches, evaluation_batches
from datasets.reading import read_clips
from models.audio.clip import NUM_SAMPLES
from models.audio.precision import fast_products
from models.files.saving import save_network
from models.generator.generator import by_channel, random_latent
from models.networks.inverse_mapping import INVERSE_MAPPING_FILE, INVERSE_MAPPING_FILES, InverseMapping
from models.training.inverse_mapping import InverseMappingTraining

NUM_TEST = 300  # clips of the fixed synthesized test set, and at most as many validation recordings
TEST_LATENTS = 2**31 - 1  # seed of the test set's latent vectors, which no training run has
TEST_BATCHES = 6
WARM_UP = 100  # steps
UNIFORM = functools.partial(tf.random.stateless_uniform, minval=-1, maxval=1)


def export(model, place, epoch, logs):
    """Writes the inverse mapping of an epoch into the folder `place`."""
    save_network(model.mapping, place / INVERSE_MAPPING_FILE)


def check_settings(generator):
    if (generator.num_samples, generator.num_channels) == (NUM_SAMPLES, 1):
        return
    shape = f"{checkpoint}: its clips have {generator.num_samples} samples and {generator.num_channels} channel(s)"
    if network == "resnet":
        raise ScriptError(f"{shape}; a ResNet takes {NUM_SAMPLES}, one channel. --network=waveform takes others")
    if augmented:
        raise ScriptError(f"{shape}; augmentation is for {NUM_SAMPLES}, one channel. --augmented=False does without")


def read_recordings(generator):
    """{split: (clips, recordings)} of training and validation recordings; empty where there are none."""
    try:
        words, recordings = find_datasets(datasets)
    except FileNotFoundError as error:
        print(f"Training on synthesized clips only: {error}")
        return {}
    parts = {}
    for split in ("train", "valid"):
        part = [r for r in recordings if r.split == split]
        if split == "valid":  # those that come first in the folder are of one or two digits
            part = [part[i] for i in np.random.default_rng(0).permutation(len(part))[:NUM_TEST]]
        parts[split] = read_clips(part, split, wanted_in=datasets, **clip_of(generator))
    count = {split: len(readable) for split, (_, readable) in parts.items()}
    print(f"{words}: {count['train']} recordings to train on, {count['valid']} to validate")
    return parts


def with_codes(codes):
    """A function of latent vectors that gives them valid codes, drawn from a seed that their own numbers are."""

    def fill(z):
        return codes.drawn(z, np.random.default_rng(np.abs(z[0, :4]).view(np.uint32)))

    return fill


def training_data(recordings, generator, skipped):
    """Endless (recordings [real_batch_size, …], latent vectors [batch_size, latent_dim]), or the second alone. skipped:
    how many of them an earlier run has had."""
    seeds = tf.data.Dataset.random(seed + 1).batch(2).skip(skipped)
    shape = (batch_size, generator.latent_dim)
    draw = tf.random.stateless_normal if generator.prior == "normal" else UNIFORM
    latent = seeds.map(lambda fresh: tf.clip_by_value(draw(shape, fresh), -generator.bounds, generator.bounds))
    if generator.codes:
        drawn = latent  # the noise; NumPy draws the codes, from the first numbers of it
        latent = drawn.map(
            lambda z: tf.ensure_shape(tf.numpy_function(with_codes(generator.codes), [z], tf.float32), shape)
        )
    if not recordings:
        return latent
    clips, readable = recordings["train"]
    augmentation = Elsewhere() if augmented else None
    shift = generator.preparation.shift
    real = displaced_batches(clips, readable, real_batch_size, shift, seed, augmentation, balanced, skipped)
    return tf.data.Dataset.zip(real.map(lambda waveform, digit: waveform), latent)


def test_data(recordings, generator):
    """The fixed synthesized test set in a few batches, and beside them the validation recordings in as many."""
    z = random_latent(generator, NUM_TEST, TEST_LATENTS)
    z = tf.data.Dataset.from_tensor_slices(z).batch(NUM_TEST // TEST_BATCHES)
    if not recordings:
        return z
    clips, valid = recordings["valid"]
    real = evaluation_batches(clips, -(-len(valid) // TEST_BATCHES)).map(lambda waveform, digit: waveform)
    return tf.data.Dataset.zip(real.repeat(TEST_BATCHES).take(TEST_BATCHES), z)


def listening_pairs(recordings, generator):
    """{kind: waveforms [2, num_samples]} that are written after each epoch; two recordings of different digits."""
    z = random_latent(generator, 2, TEST_LATENTS)
    pairs = {"synthesized": by_channel(generator(z))}
    if recordings:
        clips, valid = recordings["valid"]
        other = next((i for i, r in enumerate(valid) if r.digit != valid[0].digit), len(valid) - 1)
        chosen = [waveform for i, (waveform, _) in enumerate(clips) if i in (0, other)]
        pairs["real"] = np.stack(chosen).astype(np.float32)
    return pairs


def steps_an_epoch(recordings):
    """The setting, or one pass over the recordings; over 50 batches where there are none."""
    if steps:
        return steps
    return max(1, len(recordings["train"][1]) // real_batch_size) if recordings else 50


def rate(count):
    """The learning rate, or its schedule over `count` steps."""
    if schedule == "constant":
        return learning_rate
    warm = min(WARM_UP, count // 2)
    cosine = {"alpha": 0.01, "warmup_target": learning_rate, "warmup_steps": warm}
    return keras.optimizers.schedules.CosineDecay(0.0, count - warm, **cosine)


def weights_to_begin_with(mapping, generator):
    """The weights of the inverse mapping in the folder `start`. Raises ScriptError unless it is of the same network."""
    before = open_inverse_mapping(start, generator)
    differ = [
        f"{name} is {value!r} there" for name, value in before.settings.items() if mapping.settings[name] != value
    ]
    if differ:
        raise ScriptError(f"{start}: another network; {', '.join(differ)}")
    return before.get_weights()


def build_model(generator, perceptual_loss, count):
    """The inverse mapping and its training, compiled for `count` steps."""
    of_network = {"network": network, "width": width, "depth": depth, "features": resnet_features}
    of_network["refinements"] = refinements if network == "waveform" else 0
    of_network["spectrogram"] = spectrogram and network == "waveform"
    of_network["bounds"] = generator.bounds if network == "waveform" else math.inf
    of_network |= {"num_samples": generator.num_samples, "num_channels": generator.num_channels}
    mapping = InverseMapping(generator.latent_dim, generator_sha256=generator.sha256, **of_network).attach(generator)
    if start:
        mapping.set_weights(weights_to_begin_with(mapping, generator))
    names = ("latent_weight", "perceptual_weight", "spectral_weight", "perceptual_synthesized", "separate_updates")
    options = {name: settings[name] for name in names}
    model = InverseMappingTraining(mapping, generator, perceptual_loss, **options)
    model.compile(keras.optimizers.Adam(rate(count), global_clipnorm=largest_gradient or None))
    return model


def main():
    generator = open_generator(checkpoint, facts)
    check_settings(generator)
    strategy = training_strategy(devices)
    for place in (inverse_mapping_checkpoint, logs, waves):
        hold(writable_folder(place))
    run = begin_run(inverse_mapping_checkpoint, settings, generator=generator.sha256, fresh=fresh)
    done = run["epoch"]
    recordings = read_recordings(generator)
    perceptual_loss = open_perceptual_loss(classifier_checkpoint, taps)
    keras.utils.set_random_seed(seed)
    if mixed_precision:
        keras.mixed_precision.set_global_policy(mixed_precision)
    count = steps_an_epoch(recordings)
    with strategy.scope():
        model = build_model(generator, perceptual_loss, epochs * count)
    check_step(max(batch_size, real_batch_size), model.mapping, name="batch_size or real_batch_size")
    print(f"{network}, {model.mapping.count_params():,} weights, on {strategy.num_replicas_in_sync} device(s)")
    if done:
        print(f"Going on after epoch {done}")
    state = Path(inverse_mapping_checkpoint) / STATE
    print(f"State: {state}/. Pairs to listen to: {waves}. Losses and sounds: tensorboard --logdir {logs}")
    with fast_products():
        model.fit(
            training_data(recordings, generator, done * count),
            validation_data=test_data(recordings, generator),
            steps_per_epoch=count,
            initial_epoch=done,
            epochs=epochs,
            shuffle=False,  # the batches are shuffled already
            callbacks=[
                StopAtNaN(),
                Pairs(listening_pairs(recordings, generator), waves, logs, generator.sample_rate),
                Logs(logs),
                Saved(inverse_mapping_checkpoint, INVERSE_MAPPING_FILES, export, known=run),
            ],
        )
    place = f"the inverse mapping is in {inverse_mapping_checkpoint}"
    print(f"{epochs} epochs done; {place}. Use it: python latent_vector_recovery.py")


if __name__ == "__main__":
    with one_line_errors(__file__, interrupted="stopped; started again, it goes on after the last whole epoch"):
        main()
