"""Trains the inverse mapping: datasets/ + checkpoint/ (generator) + classifier_checkpoint/ → inverse_mapping_checkpoint/, logs/, waves/.

Each step takes a batch of recordings and a batch synthesized on the fly. Killed at any time and started again, it goes on after the last whole epoch.
"""

datasets = "datasets/"  # folder of SC09, Speech Commands or FSDD recordings; without any, it trains on synthesized clips only
checkpoint = "checkpoint/"  # folder with the generator
classifier_checkpoint = "classifier_checkpoint/"  # folder with the classifier, for the perceptual loss
inverse_mapping_checkpoint = "inverse_mapping_checkpoint/"  # folder: inverse_mapping.keras after each epoch, and training/, the run's own state
logs = "logs/inverse_mapping/"  # folder for TensorBoard: losses, sounds, spectrograms
waves = "waves/training/"  # folder for pairs of originals and reconstructions after each epoch
network = "waveform"  # "waveform": five strided convolutions on the samples; "resnet": on the spectrogram, the paper's
width = 16  # filters of the first layer, of each network; the paper's ResNet has 64
refinements = 2  # waveform: how often a second network corrects the prediction, having heard what the generator makes of it
depth = 18  # resnet: 18, 34, 50, 101 or 152 layers
features = "real"  # resnet: what it sees, "real" (the paper's), "complex" or "log" (models/features.py)
latent_weight = 1.0  # of the mean squared error of the latent vector, synthesized clips
perceptual_weight = 0.1  # of the perceptual loss
perceptual_synthesized = False  # whether synthesized clips have the perceptual loss too, as in the paper
spectral_weight = 0.05  # of the difference of log magnitudes, recordings
epochs = 20  # at most
steps = 50  # an epoch
batch_size = 32  # synthesized clips a step
real_batch_size = 8  # recordings a step
learning_rate = 0.001  # Adam's
schedule = "cosine"  # of the learning rate: "cosine", up in 100 steps and down to a hundredth over all epochs; "constant", the paper's
separate_updates = False  # one update for the recordings and one for the synthesized clips, as published
taps = "blocks"  # of the perceptual loss: after each residual block, the paper's words; "published": the authors' code
mixed_precision = ""  # "mixed_float16" or "mixed_bfloat16" for GPUs
devices = ""  # for example "GPU:0,GPU:1"; by default every GPU there is
seed = 0  # of the weights, the latent vectors and the order of the recordings

from common.settings import from_shell

settings = from_shell(globals())

import common.startup  # noqa: F401

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from common.devices import training_strategy
from common.networks import perceptual_loss
from common.pairs import Pairs
from common.recordings import writable_folder
from common.script import ScriptError, one_line_errors
from common.training import backup, epochs_done, make_room, run_of
from datasets.layouts import find_dataset
from datasets.pipeline import decoded, displaced_batches, evaluation_batches
from models.audio import NUM_SAMPLES
from models.errors import CheckpointError
from models.generator import random_latent
from models.inverse_mapping import WEIGHTS, InverseMapping
from models.inverse_mapping_training import InverseMappingTraining
from models.saving import save_network
from models.wavegan import load_wavegan

NUM_TEST = 300  # clips of the fixed synthesized test batch, and at most as many validation recordings
NEVER_TRAINED_ON = 2**31 - 1  # seed of the test batch's latent vectors
TEST_BATCH = 50
WARM_UP = 100  # steps


class Export(keras.callbacks.Callback):
    """Writes the model after each epoch."""

    def on_epoch_end(self, epoch, logs=None):
        make_room(inverse_mapping_checkpoint, (WEIGHTS,))
        save_network(self.model.mapping, Path(inverse_mapping_checkpoint) / WEIGHTS)


def check_settings(generator):
    if (generator.num_samples, generator.num_channels) != (NUM_SAMPLES, 1):
        raise ScriptError(f"{checkpoint}: its clips have {generator.num_samples} samples; an inverse mapping is for {NUM_SAMPLES}, one channel")
    for name in ("width", "epochs", "steps", "batch_size", "real_batch_size"):
        if settings[name] < 1:
            raise ScriptError(f"{name} is {settings[name]}; at least 1")
    if schedule not in ("cosine", "constant"):
        raise ScriptError(f'schedule is "cosine" or "constant", not {schedule!r}')


def read_recordings(preparation):
    """{split: (clips, number of clips)} of training and validation recordings; empty where there are none."""
    try:
        layout, folder, recordings = find_dataset(datasets)
    except FileNotFoundError as error:
        print(f"Training on synthesized clips only: {error}")
        return {}
    found = {}
    for split in ("train", "valid"):
        part = [r for r in recordings if r.split == split]
        with tqdm(total=len(part), desc=f"reading {split}", unit="recording", disable=None) as bar:
            clips, left, unreadable = decoded(part, preparation=preparation, tell=lambda done, total, bar=bar: bar.update(done - bar.n))
        for reason in unreadable:
            print(f"left out: {reason}")
        if not left:
            raise ScriptError(f"{folder}: no recordings in its {split} split; datasets/README.md says how they are divided")
        found[split] = clips, len(left)
    print(f"{folder}: {layout}, {found['train'][1]} recordings to train on, {found['valid'][1]} to validate")
    return found


def training_data(recordings, generator):
    """Endless (recordings [real_batch_size, 16384], latent vectors [batch_size, latent_dim]), or the second alone."""
    seeds = tf.data.Dataset.random(seed + 1).batch(2)
    latent = seeds.map(lambda fresh: tf.random.stateless_uniform((batch_size, generator.latent_dim), fresh, -1, 1))
    if not recordings:
        return latent
    real = displaced_batches(*recordings["train"], real_batch_size, generator.preparation.shift, seed).map(lambda waveform, digit: waveform)
    return tf.data.Dataset.zip(real, latent)


def test_data(recordings, generator):
    """The fixed synthesized test clips, and beside them the validation recordings."""
    z = tf.data.Dataset.from_tensor_slices(random_latent(generator, NUM_TEST, NEVER_TRAINED_ON)).batch(TEST_BATCH)
    if not recordings:
        return z
    return tf.data.Dataset.zip(evaluation_batches(recordings["valid"][0], TEST_BATCH).map(lambda waveform, digit: waveform), z)


def rate():
    """The learning rate, or its schedule."""
    if schedule == "constant":
        return learning_rate
    warm = min(WARM_UP, epochs * steps // 2)
    return keras.optimizers.schedules.CosineDecay(0.0, epochs * steps - warm, alpha=0.01, warmup_target=learning_rate, warmup_steps=warm)


def main():
    generator = load_wavegan(checkpoint)
    print(f"Generator: {generator.description}, from {checkpoint}")
    check_settings(generator)
    writable_folder(inverse_mapping_checkpoint)
    recordings = read_recordings(generator.preparation)
    heard = perceptual_loss(classifier_checkpoint, generator, taps)
    keras.utils.set_random_seed(seed)
    if mixed_precision:
        keras.mixed_precision.set_global_policy(mixed_precision)
    strategy = training_strategy(devices)
    with strategy.scope():
        mapping = InverseMapping(
            generator.latent_dim, network, width, depth, features, refinements, network == "waveform", generator.sha256
        ).attach(generator)  # fmt: skip
        model = InverseMappingTraining(
            mapping, generator, heard, latent_weight=latent_weight, perceptual_weight=perceptual_weight, spectral_weight=spectral_weight,
            perceptual_synthesized=perceptual_synthesized, separate_updates=separate_updates,
        )  # fmt: skip
        model.compile(keras.optimizers.Adam(rate()))
    print(f"{network}, {mapping.count_params():,} weights, on {strategy.num_replicas_in_sync} device(s)")
    run_of(inverse_mapping_checkpoint, generator.sha256)
    state, done = backup(inverse_mapping_checkpoint), epochs_done(inverse_mapping_checkpoint)
    if done:
        print(f"Going on after epoch {done}")
    print(f"State: {state.backup_dir}/. Pairs to listen to: {waves}. Losses, sounds, pictures: tensorboard --logdir {logs}")
    pairs = next(iter(test_data(recordings, generator).as_numpy_iterator()))
    real, z = pairs if recordings else (None, pairs)
    originals = {"synthesized": np.asarray(generator(z[:2]))[..., 0]} | ({} if real is None else {"real": real[:2]})
    model.fit(
        training_data(recordings, generator).skip(done * steps),
        validation_data=test_data(recordings, generator),
        steps_per_epoch=steps,
        epochs=epochs,
        shuffle=False,  # the batches are shuffled already
        callbacks=[Export(), Pairs(originals, waves, logs), keras.callbacks.TensorBoard(logs, write_graph=False), state],
    )
    print(f"{epochs} epochs done; the inverse mapping is in {inverse_mapping_checkpoint}. Use it: python latent_vector_recovery.py")


if __name__ == "__main__":
    with one_line_errors(__file__, CheckpointError, ValueError, interrupted="stopped; started again, it goes on after the last whole epoch"):
        main()
