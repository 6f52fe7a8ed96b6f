"""Builds WaveGAN checkpoints as WaveGAN's own training script leaves them, in every variant, and runs them in a
TensorFlow 1 session.

Written from the published architecture with tf.compat.v1 alone, so that the loader is compared with something it does
not share code with.
"""

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
LAYERS = {16384: (4,) * 5, 32768: (4,) * 5 + (2,), 65536: (4,) * 6}


def _variable(name, shape, rng, scale=None):
    scale = np.sqrt(2 / np.prod(shape[:-1])) if scale is None else scale
    return v1.get_variable(name, initializer=rng.normal(0, scale, shape).astype(np.float32))


def _batch_norm(x, rng):
    channels = int(x.shape[-1])
    with v1.variable_scope("batch_normalization"):
        gamma, variance = (
            v1.get_variable(n, initializer=rng.uniform(0.5, 1.5, channels).astype("f"))
            for n in ("gamma", "moving_variance")
        )
        beta, mean = (
            v1.get_variable(n, initializer=rng.normal(0, 0.3, channels).astype("f")) for n in ("beta", "moving_mean")
        )
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)


def _upsampled(x, filters, size, stride, upsample, rng):
    channels = int(x.shape[-1])
    if upsample == "nn":
        with v1.variable_scope("conv1d"):
            kernel, bias = _variable("kernel", (size, channels, filters), rng), _variable("bias", (filters,), rng, 0.05)
        x = v1.image.resize_nearest_neighbor(x[:, None], (1, int(x.shape[1]) * stride))[:, 0]
        return tf.nn.conv1d(x, kernel, 1, "SAME") + bias
    with v1.variable_scope("conv2d_transpose"):
        kernel = _variable("kernel", (1, size, filters, channels), rng, np.sqrt(2 * stride / (size * channels)))
        bias = _variable("bias", (filters,), rng, 0.05)
    shape = [tf.shape(x)[0], 1, int(x.shape[1]) * stride, filters]
    return tf.nn.conv2d_transpose(x[:, None], kernel, shape, [1, 1, stride, 1], "SAME")[:, 0] + bias


def generator(z, *, width, length, latent_dim, channels, kernel, batch_norm, upsample, filter_taps, rng):
    strides = LAYERS[length]
    multiple = 16 if length == 16384 else 32
    outs = [multiple * width // 2 ** (i + 1) for i in range(len(strides))][:-1] + [channels]
    norm = (lambda x: _batch_norm(x, rng)) if batch_norm else (lambda x: x)
    with v1.variable_scope("z_project"):
        with v1.variable_scope("dense"):
            x = tf.matmul(z, _variable("kernel", (latent_dim, 16 * multiple * width), rng))
            x = x + _variable("bias", (16 * multiple * width,), rng, 0.05)
        x = tf.nn.relu(norm(tf.reshape(x, [-1, 16, multiple * width])))
    for i, (out, stride) in enumerate(zip(outs, strides)):
        with v1.variable_scope(f"upconv_{i}"):
            x = _upsampled(x, out, kernel, stride, upsample, rng)
            x = tf.nn.relu(norm(x)) if i < len(strides) - 1 else tf.nn.tanh(x)
    if filter_taps:
        with v1.variable_scope("pp_filt/conv1d"):
            taps = _variable("kernel", (filter_taps, channels, 1), rng, filter_taps**-0.5)
        left = (filter_taps - 1) // 2
        x = tf.nn.conv1d(tf.pad(x, [[0, 0], [left, filter_taps - 1 - left], [0, 0]]), taps, 1, "VALID")
    return x


def write(
    folder, *, width=2, length=16384, latent_dim=100, channels=1, kernel=25, batch_norm=False, upsample="zeros",
    filter_taps=0, unrelated=False, training_run=False, resource=False, seed=0, trials=3, bias=None,
    sample_rate=16384,
):  # fmt: skip
    """Writes infer.meta and model.ckpt.* into `folder` → z [trials, latent_dim] and the session's G_z, both arrays.

    bias: value of the last layer's bias, in place of a random one. unrelated: other nodes and variables in the
    MetaGraph. sample_rate: in Hz, of args.txt; 0 writes none. training_run: model.ckpt-7 with a discriminator,
    ciwGAN's Q network and slots, the MetaGraph in infer/.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    if sample_rate:
        (folder / "args.txt").write_text(f"data_sample_rate,{sample_rate}\ndata_slice_len,{length}\n")
    with tf.Graph().as_default(), v1.Session() as session:
        v1.disable_resource_variables() if not resource else v1.enable_resource_variables()
        z = v1.placeholder(tf.float32, [None, latent_dim], name="z")
        with v1.variable_scope("G"):
            shape = {"width": width, "length": length, "latent_dim": latent_dim, "channels": channels, "kernel": kernel}
            x = generator(z, **shape, batch_norm=batch_norm, upsample=upsample, filter_taps=filter_taps, rng=rng)
        out = tf.identity(x, name="G_z")
        tf.cast(tf.clip_by_value(out * 32767.0, -32767.0, 32767.0), tf.int16, name="G_z_int16")
        step = v1.train.get_or_create_global_step()
        if unrelated:
            other = v1.get_variable("other/table", initializer=np.ones((3, 3), np.float32))
            tf.reduce_sum(other * v1.placeholder(tf.float32, [3, 3], name="unrelated"), name="nothing")
            v1.summary.audio("sounds", out, 16384)
        generator_saver = v1.train.Saver(
            v1.get_collection(v1.GraphKeys.GLOBAL_VARIABLES, "G") + [step] + ([other] if unrelated else [])
        )
        meta = folder / ("infer/infer.meta" if training_run else "infer.meta")
        meta.parent.mkdir(parents=True, exist_ok=True)
        v1.train.export_meta_graph(str(meta), clear_devices=True, saver_def=generator_saver.as_saver_def())
        if training_run:
            v1.get_variable("D/downconv_0/conv1d/kernel", initializer=np.zeros((25, 1, width), np.float32))
            v1.get_variable("Q/downconv_0/conv1d/kernel", initializer=np.zeros((25, 1, width), np.float32))
            v1.get_variable("G/z_project/dense/bias/Adam", initializer=np.zeros(3, np.float32))
        session.run(v1.global_variables_initializer())
        if bias is not None:
            last = [v for v in v1.global_variables("G/upconv_4") if v.op.name.endswith("bias")][0]
            last.load(np.full(last.shape, bias), session)
        v1.train.Saver(v1.global_variables()).save(
            session, str(folder / ("model.ckpt-7" if training_run else "model.ckpt")), write_meta_graph=False
        )
        values = rng.uniform(-1, 1, (trials, latent_dim)).astype(np.float32)
        return values, session.run(out, {z: values})
