"""TensorFlow 1 graphs in TensorFlow 2: a MetaGraph and its checkpoint become one frozen GraphDef, and a GraphDef
becomes a function.

The original imports the MetaGraph into a session; here the variables are folded into constants, so what is left is a
pure, differentiable function of the latent vector without sessions, savers or training flags. Only what leads from z to
G_z is taken, and only what models/generator/readers/allow_list.py lets through.
"""

import re
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from models.files.errors import CheckpointError, first_line
from models.generator.readers.allow_list import MOST_BYTES, MOST_LATENT, check_declared, check_sizes, subgraph

VARIABLE_OPS = ("Variable", "VariableV2", "VarHandleOp")
RESOURCE_OPS = (*VARIABLE_OPS, "ReadVariableOp")
DAMAGE = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    RuntimeError,
    OverflowError,
    tf.errors.OpError,
)  # what TensorFlow raises for damaged files


def checkpoint_prefix(folder):
    """The checkpoint in `folder`: `model.ckpt`, or the latest `model.ckpt-N` of a training run. Raises CheckpointError
    if it is not whole.
    """
    folder = Path(folder)
    if (folder / "model.ckpt.index").exists():
        prefix = folder / "model.ckpt"
    else:
        steps = [
            int(m[1])
            for p in folder.glob("model.ckpt-*.index")
            if (m := re.fullmatch(r"model\.ckpt-(\d+)\.index", p.name))
        ]
        if not steps:
            raise CheckpointError(f"{folder}/model.ckpt.index: not there, only half of the generator is")
        prefix = folder / f"model.ckpt-{max(steps)}"
    if not list(folder.glob(f"{prefix.name}.data-*")):
        raise CheckpointError(f"{prefix}.data-00000-of-00001: not there, only half of the checkpoint is")
    return str(prefix)


def _parsed(path, message, kind):
    """A protobuf file as `message`. Raises CheckpointError if it is none, or larger than any generator."""
    if Path(path).stat().st_size > MOST_BYTES:
        raise CheckpointError(f"{path}: larger than {MOST_BYTES >> 20} MiB; no generator is")
    try:
        message.ParseFromString(Path(path).read_bytes())
    except DecodeError as error:
        raise CheckpointError(f"{path}: not a {kind}, or cut short") from error
    return message


def _constant(node, value):
    """Turns `node` into a constant in place."""
    name = node.name
    node.Clear()
    node.name, node.op = name, "Const"
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))


def _read(reader, held, node, prefix, meta_path):
    """The value of a variable's node, from the checkpoint that `reader` has open and that holds arrays of the shapes
    `held`.
    """
    shape = [d.size for d in node.attr["shape"].shape.dim]
    check_declared(node.name, shape, tf.as_dtype(node.attr["dtype"].type), meta_path)
    if node.name not in held:
        raise CheckpointError(f"{prefix}: variable {node.name} is not in it; {meta_path} belongs to another checkpoint")
    if list(held[node.name]) != shape:
        raise CheckpointError(f"{prefix}: variable {node.name} has shape {held[node.name]}, {meta_path} wants {shape}")
    try:
        value = reader.get_tensor(node.name)
    except DAMAGE as error:
        raise CheckpointError(
            f"{prefix}: variable {node.name} cannot be read, the data file is cut or damaged"
        ) from error
    if not np.isfinite(value).all():
        raise CheckpointError(f"{prefix}: variable {node.name} is not finite")
    return value


def freeze(meta_path, prefix, output="G_z"):
    """A MetaGraph file and a checkpoint prefix → (GraphDef of what `output` needs, {variable name: array}).

    Nodes and variables that `output` does not need are ignored: discriminator, optimizer slots, summaries, whatever
    stands beside the generator. Raises CheckpointError for a file that is not a MetaGraph, lacks `output` or does what
    a generator may not (models/generator/readers/allow_list.py), and for variables that are not finite, or that the
    checkpoint does not hold in their shape.
    """
    meta = _parsed(meta_path, tf.compat.v1.MetaGraphDef(), "MetaGraph")
    graph = subgraph(meta.graph_def, meta_path, output, RESOURCE_OPS)
    try:
        reader = tf.train.load_checkpoint(prefix)
        held = reader.get_variable_to_shape_map()
    except DAMAGE as error:
        raise CheckpointError(f"{prefix}: not a readable checkpoint ({first_line(error)})") from error
    variables, total = {}, 0
    for node in graph.node:
        if node.op in VARIABLE_OPS:
            variables[node.name] = _read(reader, held, node, prefix, meta_path)
            _constant(node, variables[node.name])
            total += variables[node.name].nbytes
            if total > MOST_BYTES:
                raise CheckpointError(f"{prefix}: more than {MOST_BYTES >> 20} MiB of variables; no generator has")
        elif node.op == "ReadVariableOp":
            source, dtype = node.input[0], node.attr["dtype"].type
            node.attr.clear()
            node.op = "Identity"
            node.input[:] = [source]
            node.attr["T"].type = dtype
    return graph, variables


def read_graph_def(path):
    """A plain frozen `.pb` GraphDef, reduced to what G_z needs → (GraphDef, {name of a constant: array}, those of one
    axis or more).

    Raises CheckpointError if it is none, is not frozen, or does what a generator may not.
    """
    graph = subgraph(_parsed(path, tf.compat.v1.GraphDef(), "GraphDef"), path, variables=RESOURCE_OPS)
    if unfrozen := [node.name for node in graph.node if node.op in RESOURCE_OPS]:
        raise CheckpointError(f"{path}: not frozen, {unfrozen[0]} is still a variable")
    constants = {}
    for node in graph.node:
        if node.op != "Const":
            continue
        value = node.attr["value"].tensor
        dtype = tf.as_dtype(node.attr["dtype"].type)
        if check_declared(node.name, [d.size for d in value.tensor_shape.dim], dtype, path) and dtype.is_floating:
            try:
                array = tf.make_ndarray(value)
            except DAMAGE as error:
                raise CheckpointError(f"{path}: damaged, the constant {node.name} cannot be read") from error
            if not np.isfinite(array.astype(np.float32)).all():
                raise CheckpointError(f"{path}: the constant {node.name} is not finite")
            if array.ndim:
                constants[node.name] = array
    return graph, constants


def as_function(graph, source):
    """A frozen GraphDef → a tf.ConcreteFunction z [n, latent_dim] → G_z. Raises CheckpointError without a usable
    placeholder z.
    """
    inputs = [node for node in graph.node if node.name == "z" and node.op == "Placeholder"]
    if not inputs:
        raise CheckpointError(
            f"{source}: no placeholder z:0 leads to G_z:0; a generator is a function of its latent vector"
        )
    shape = inputs[0].attr["shape"].shape
    sizes = [] if shape.unknown_rank else [d.size for d in shape.dim]
    if tf.as_dtype(inputs[0].attr["dtype"].type) != tf.float32 or (sizes and len(sizes) != 2):
        raise CheckpointError(f"{source}: z:0 has shape {sizes}; a latent vector is float32 [n, latent_dim]")
    if len(sizes) != 2 or sizes[1] < 1:
        dense = [node for node in graph.node if node.name == "G/z_project/dense/kernel"]
        if not dense:
            raise CheckpointError(f"{source}: z:0 does not say how many dimensions the latent vector has")
        sizes = [-1, dense[0].attr["value"].tensor.tensor_shape.dim[0].size]
    if sizes[1] > MOST_LATENT or sizes[0] not in (-1, 1):
        raise CheckpointError(f"{source}: z:0 has shape {sizes}; a latent vector is [n, latent_dim]")
    del inputs[0].attr["shape"].shape.dim[:]
    inputs[0].attr["shape"].shape.unknown_rank = False
    for size in sizes:
        inputs[0].attr["shape"].shape.dim.add().size = size
    try:
        check_sizes(graph, source, sizes[1])
        return tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(graph, name=""), []).prune(
            "z:0", "G_z:0"
        )
    except CheckpointError:
        raise
    except DAMAGE as error:
        raise CheckpointError(f"{source}: damaged, its graph cannot be built ({first_line(error)})") from error


@tf.RegisterGradient("ResizeNearestNeighborGrad")
def _resize_nearest_neighbor_grad_grad(op, gradient):
    """Forward-mode differentiation differentiates each gradient; TensorFlow lacks this one, of WaveGAN's
    nearest-neighbour upsampling.
    """
    return [tf.raw_ops.ResizeNearestNeighbor(images=gradient, size=tf.shape(op.inputs[0])[1:3]), None]
