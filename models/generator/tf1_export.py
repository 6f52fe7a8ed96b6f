"""Writes a generator as WaveGAN's own TensorFlow 1 checkpoint: infer.meta and model.ckpt.*, to the last tensor name
(its `infer`).

What this writes is read by models/generator/loading.py, and by every tool that reads the published SC09 model.
"""

import errno
import os
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from models.audio.clip import NUM_SAMPLES
from models.files.file_set import check_room
from models.generator.layers import DENSE, DENSE_BIAS, FILTER, upconvolutions

v1 = tf.compat.v1
WAVEGAN_FILES = ("model.ckpt.data-00000-of-00001", "model.ckpt.index", "infer.meta")


def wavegan_variables(generator):
    """The weights of a `build_generator` model as {WaveGAN's variable name: array}."""
    kernel, bias = generator.get_layer("z_project").get_weights()
    variables = {DENSE: kernel, DENSE_BIAS: bias}
    for i in range(5):
        kernel, bias = generator.get_layer(f"upconv_{i}").get_weights()
        variables |= {f"G/upconv_{i}/conv1d/kernel": kernel, f"G/upconv_{i}/conv1d/bias": bias}
    return variables


def _upconvolution(x, v, layer):
    """One layer: a convolution behind nearest-neighbour upsampling, or a transposed convolution."""
    longer = int(x.shape[1]) * layer.stride
    kernel, bias = v[layer.kernel], v[layer.bias]
    if layer.nearest:
        x = v1.image.resize_nearest_neighbor(x[:, None], (1, longer))[:, 0]
        return tf.nn.conv1d(x, kernel, 1, "SAME") + bias
    shape = [tf.shape(x)[0], 1, longer, int(kernel.shape[2])]
    return tf.nn.conv2d_transpose(x[:, None], kernel, shape, [1, 1, layer.stride, 1], "SAME")[:, 0] + bias


def _generator_graph(z, variables):
    """WaveGAN's generator in TensorFlow 1 operations, with reference variables of the given names and shapes."""
    v = {
        name: v1.get_variable(name, value.shape, initializer=v1.zeros_initializer(), use_resource=False)
        for name, value in variables.items()
    }
    x = tf.matmul(z, v[DENSE]) + v[DENSE_BIAS]
    x = tf.nn.relu(tf.reshape(x, [-1, 16, int(x.shape[1]) // 16]))
    for layer in upconvolutions(v):
        x = getattr(tf.nn, layer.activation)(_upconvolution(x, v, layer))
    if FILTER in v:
        taps = int(v[FILTER].shape[0])
        before = (taps - 1) // 2
        x = tf.nn.conv1d(tf.pad(x, [[0, 0], [before, taps - 1 - before], [0, 0]]), v[FILTER], 1, "VALID")
    return v, x


def _to_int16(x, name):
    return tf.cast(tf.clip_by_value(x * 32767.0, -32767.0, 32767.0), tf.int16, name=name)


def export_wavegan(folder, variables, step=0):
    """Writes the variables of a 16,384-sample generator of kernel 25 into `folder` as infer.meta and model.ckpt.*; each
    file appears whole, all three as one only in a folder of models/files/file_set.py. Raises OSError for a full disk.

    variables: as `wavegan_variables` returns them, or with transposed convolutions as the published model has them,
    with or without FILTER. step: the number of training steps, kept as
    global_step.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    check_room(folder / WAVEGAN_FILES[0], sum(value.nbytes for value in variables.values()))  # TensorFlow crashes there
    latent_dim = variables[DENSE].shape[0]
    with (
        tf.Graph().as_default(),
        v1.Session() as session,
        tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as partial,
    ):
        sample_count = v1.placeholder(tf.int32, [], name="samp_z_n")
        v1.random_uniform([sample_count, latent_dim], -1.0, 1.0, dtype=tf.float32, name="samp_z")
        z = v1.placeholder(tf.float32, [None, latent_dim], name="z")
        flat_pad = v1.placeholder(tf.int32, [], name="flat_pad")
        v, x = _generator_graph(z, variables)
        waveform = tf.identity(tf.ensure_shape(x, [None, NUM_SAMPLES, 1]), name="G_z")
        flat = tf.reshape(tf.pad(waveform, [[0, 0], [0, flat_pad], [0, 0]]), [-1, 1], name="G_z_flat")
        _to_int16(waveform, "G_z_int16")
        _to_int16(flat, "G_z_flat_int16")
        global_step = v1.get_variable("global_step", initializer=np.int64(step), trainable=False, use_resource=False)
        saver = v1.train.Saver([*v.values(), global_step], write_version=v1.train.SaverDef.V2)
        v1.train.export_meta_graph(
            os.path.join(partial, "infer.meta"), clear_devices=True, saver_def=saver.as_saver_def()
        )
        session.run(v1.global_variables_initializer())
        for name, value in variables.items():
            v[name].load(value, session)  # not as an initial value: the MetaGraph would hold it a second time
        try:
            saver.save(session, os.path.join(partial, "model.ckpt"), write_meta_graph=False, write_state=False)
        except tf.errors.OpError as error:  # a full disk, for the most part
            cause = error.message.splitlines()[0].rpartition("; ")[2]
            raise OSError(errno.EIO, f"cannot be written ({cause})", str(folder / WAVEGAN_FILES[0])) from error
        for name in WAVEGAN_FILES:
            os.replace(os.path.join(partial, name), folder / name)
