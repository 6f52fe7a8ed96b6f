"""A TensorFlow graph that was made for so many clips at once, 64 say, as one for one clip, which is extended to any
number like every other (models/generator/jacobian/graph_walk.py).

The number stands in placeholders and in constants that are shapes; both are replaced, and the result is compared with
the graph as it was.
"""

import numpy as np
import tensorflow as tf

from models.generator.jacobian.graph_walk import GraphWalk

SHAPES = {"Reshape": 1, "BroadcastTo": 1, "Fill": 0, "Conv2DBackpropInput": 0, "Tile": 1}  # the input that is a shape
SAME = float(np.sqrt(np.finfo(np.float32).eps))


def for_one_clip(graph, batch):
    """A frozen GraphDef of placeholders [batch, …] → the same of [1, …]."""
    result = tf.compat.v1.GraphDef()
    result.CopyFrom(graph)
    nodes, shapes = {node.name: node for node in result.node}, set()
    for node in result.node:
        if node.op in SHAPES:
            shapes.add(node.input[SHAPES[node.op]].partition(":")[0])
        elif node.op == "Placeholder" and [d.size for d in node.attr["shape"].shape.dim[:1]] == [batch]:
            node.attr["shape"].shape.dim[0].size = 1
    for name in list(shapes):
        if nodes[name].op in ("Pack", "ConcatV2"):  # a shape of numbers side by side
            shapes |= {source.partition(":")[0] for source in nodes[name].input[:1]}
    for name in shapes:
        if nodes[name].op == "Const":
            value = tf.make_ndarray(nodes[name].attr["value"].tensor)
            if value.ndim < 2 and value.size and value.reshape(-1)[0] == batch:
                changed = value.reshape(-1).copy()
                changed[0] = 1
                nodes[name].attr["value"].tensor.CopyFrom(tf.make_tensor_proto(changed.reshape(value.shape)))
    return result


def is_alike(function, graph, roles, names, output):
    """True if a function for one clip at a time, extended to several, is what the graph makes of as many as it is for.

    names: the placeholders of `graph`, in the order of `roles`' inputs; without a label.
    """
    if roles.label:
        return False
    whole = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(graph, name=""), [])
    whole = whole.prune([f"{name}:0" for name in names], f"{output}:0")
    batch = roles.latent[0].batch
    z = np.random.default_rng(0).uniform(-1, 1, (batch, roles.latent_dim)).astype(np.float32)
    values = roles.values(tf.constant(z), None, batch)
    order = [roles.latent[0].name, *(name for name in values if name != roles.latent[0].name)]
    theirs = tf.cast(whole(*(values[name] for name in order)), tf.float32).numpy()
    ours = GraphWalk(function).compiled()(z).numpy()
    return ours.shape == theirs.shape and np.abs(ours - theirs).max() <= SAME * np.abs(theirs).max()
