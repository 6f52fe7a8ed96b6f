"""Small generators as GraphDefs, sound ones and hostile ones, built with tf.compat.v1 alone."""

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
LATENT, SAMPLES = 6, 512
RNG = np.random.default_rng(3)
VECTORS = [RNG.uniform(0.5, 1.5, 8).astype("f") for _ in range(4)]
KERNEL = RNG.normal(0, 0.4, (1, 9, 8, 8)).astype("f")
LAST = RNG.normal(0, 0.3, (1, 9, 8, 1)).astype("f")


def dense(z, width=SAMPLES, seed=0):
    rng = np.random.default_rng(seed)
    return tf.tanh(
        z @ tf.constant(rng.normal(0, 0.4, (LATENT, width)).astype("f"))
        + tf.constant(rng.normal(0, 0.1, width).astype("f"))
    )


def picture(z):
    """z [n, LATENT] → [n, 1, 64, 8]."""
    return tf.reshape(dense(z), [-1, 1, 64, 8])


def sound(x):
    """[n, 1, length, 8] → [n, length, 1], behind two convolutions."""
    x = tf.nn.leaky_relu(tf.nn.conv2d(x, KERNEL, 1, "SAME"), 0.2)
    return tf.tanh(tf.nn.conv2d(x, LAST, 1, "SAME"))[:, 0]


def graph_def(build, batch=None):
    """GraphDef of build(z) named G_z, z [batch, LATENT]."""
    with tf.Graph().as_default() as graph:
        z = v1.placeholder(tf.float32, [batch, LATENT], "z")
        tf.identity(build(z), "G_z")
    return graph.as_graph_def()


def write_pb(folder, build, batch=None):
    """A frozen graph in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = build if isinstance(build, v1.GraphDef) else graph_def(build, batch)
    (folder / "gan.pb").write_bytes(graph.SerializeToString())
    return folder


def write_meta(folder, build):
    """A MetaGraph in `folder`, with a checkpoint of one variable that the graph does not use."""
    folder.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default(), v1.Session() as session:
        z = v1.placeholder(tf.float32, [None, LATENT], "z")
        tf.identity(build(z), "G_z")
        v1.get_variable("unused", [1], use_resource=False)
        saver = v1.train.Saver()
        v1.train.export_meta_graph(str(folder / "infer.meta"), saver_def=saver.as_saver_def())
        session.run(v1.global_variables_initializer())
        saver.save(session, str(folder / "model.ckpt"), write_meta_graph=False)
    return folder
