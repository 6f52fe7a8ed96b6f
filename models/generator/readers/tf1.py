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
from models.generator.labelled import LabelInput
from models.generator.readers.allow_list import MOST_BYTES, MOST_LATENT, check_declared, check_sizes, subgraph

VARIABLE_OPS = ("Variable", "VariableV2", "VarHandleOp")
RESOURCE_OPS = (*VARIABLE_OPS, "ReadVariableOp")
AUDIO_SUMMARIES = ("AudioSummary", "AudioSummaryV2")  # what WaveGAN's training graph calls G_z
# What TensorFlow raises for damaged files.
DAMAGE = (ValueError, KeyError, IndexError, TypeError, RuntimeError, OverflowError, tf.errors.OpError)


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
            raise CheckpointError(
                f"{folder}: a graph without its variables; model.ckpt.index and model.ckpt.data-* belong beside it"
            )
        prefix = folder / f"model.ckpt-{max(steps)}"
    if not list(folder.glob(f"{prefix.name}.data-*")):
        raise CheckpointError(f"{prefix}.index: half of a checkpoint; {prefix.name}.data-* belongs beside it")
    return str(prefix)


def parsed(path, message, kind):
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


def _read(reader, held, node, key, prefix, meta_path):
    """The value of a variable's node, under `key` in the checkpoint that `reader` has open and that holds arrays of the
    shapes `held`.
    """
    shape = [d.size for d in node.attr["shape"].shape.dim]
    check_declared(node.name, shape, tf.as_dtype(node.attr["dtype"].type), meta_path)
    if key not in held:
        raise CheckpointError(f"{prefix}: variable {key} is not in it; {meta_path} belongs to another checkpoint")
    if list(held[key]) != shape:
        raise CheckpointError(f"{prefix}: variable {key} has shape {held[key]}, {meta_path} wants {shape}")
    try:
        value = reader.get_tensor(key)
    except DAMAGE as error:
        raise CheckpointError(f"{prefix}: variable {key} cannot be read, the data file is cut or damaged") from error
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise CheckpointError(f"{prefix}: variable {key} is not finite")
    return value


def freeze(meta_path, prefix, output="G_z"):
    """A MetaGraph file and a checkpoint prefix → (GraphDef of what `output` needs, {variable name: array}).

    Nodes and variables that `output` does not need are ignored: discriminator, optimizer slots, summaries, whatever
    stands beside the generator. Raises CheckpointError for a file that is not a MetaGraph, lacks `output` or does what
    a generator may not (models/generator/readers/allow_list.py), and for variables that are not finite, or that the
    checkpoint does not hold in their shape.
    """
    meta = parsed(meta_path, tf.compat.v1.MetaGraphDef(), "MetaGraph")
    if any(node.name == output and node.op in AUDIO_SUMMARIES for node in meta.graph_def.node):
        raise CheckpointError(
            f"{meta_path}: the graph of a training run, not of its generator; take it away, and the checkpoint "
            "alone is read"
        )
    return with_variables(subgraph(meta.graph_def, meta_path, output, RESOURCE_OPS), prefix, meta_path)


def with_variables(graph, prefix, meta_path, keys=None):
    """A GraphDef with constants in place of its variables, from the checkpoint `prefix` → (GraphDef, {key: array}).

    keys: {name of a variable's node: its key in the checkpoint}; None: the name is the key. Raises CheckpointError, as
    `freeze` does.
    """
    if not any(node.op in VARIABLE_OPS for node in graph.node):
        return graph, {}
    try:
        reader = tf.train.load_checkpoint(prefix)
        held = reader.get_variable_to_shape_map()
    except DAMAGE as error:
        raise CheckpointError(f"{prefix}: not a readable checkpoint ({first_line(error)})") from error
    variables, total = {}, 0
    for node in graph.node:
        if node.op in VARIABLE_OPS:
            key = node.name if keys is None else keys.get(node.name, node.name)
            variables[key] = _read(reader, held, node, key, prefix, meta_path)
            _constant(node, variables[key])
            total += variables[key].nbytes
            if total > MOST_BYTES:
                raise CheckpointError(f"{prefix}: more than {MOST_BYTES >> 20} MiB of variables; no generator has")
        elif node.op == "ReadVariableOp":
            _become(node, "Identity", T=node.attr["dtype"].type)
        elif node.op == "ResourceGather":
            if node.attr["batch_dims"].i:
                raise CheckpointError(f"{meta_path}: {node.name} looks up in batches, which is not supported")
            _become(node, "Gather", Tparams=node.attr["dtype"].type, Tindices=node.attr["Tindices"].type)
    return graph, variables


def _become(node, op, **types):
    """Turns `node` into another operation of the same inputs, in place."""
    node.op = op
    node.attr.clear()
    for name, dtype in types.items():
        node.attr[name].type = dtype


def read_graph_def(path, output="G_z"):
    """A plain frozen `.pb` GraphDef, reduced to what `output` needs → (GraphDef, {name of a constant: array}, those of
    one axis or more).

    Raises CheckpointError if it is none, is not frozen, or does what a generator may not.
    """
    graph = subgraph(parsed(path, tf.compat.v1.GraphDef(), "GraphDef"), path, output, RESOURCE_OPS)
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


def as_function(graph, source, z="z", output="G_z"):
    """A frozen GraphDef → a tf.ConcreteFunction of z [n, latent_dim], and of a label [n, …] where the graph has a
    second placeholder → G_z.

    z, output: names of nodes. Raises CheckpointError without a usable placeholder for the latent vector, or with more
    than one beside it.
    """
    placeholders = {node.name: node for node in graph.node if node.op == "Placeholder"}
    if z not in placeholders:
        others = f"; it takes {', '.join(sorted(placeholders))}, which the fact latent chooses" if placeholders else ""
        raise CheckpointError(
            f"{source}: no placeholder {z}:0 leads to {output}:0{others}; "
            "a generator is a function of its latent vector"
        )
    _declare(placeholders[z], _latent_sizes(placeholders[z], graph, source))
    names = [z, *sorted(placeholders.keys() - {z})]
    if len(names) > 2:
        raise CheckpointError(
            f"{source}: {', '.join(names[1:])} have to be fed besides {z}; "
            "a generator takes its latent vector and one label"
        )
    try:
        for name in names[1:]:
            _declare(placeholders[name], _label_sizes(placeholders[name]))
        check_sizes(graph, source, placeholders[z].attr["shape"].shape.dim[1].size, z)
        whole = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(graph, name=""), [])
        return whole.prune([f"{name}:0" for name in names], f"{output}:0")
    except CheckpointError:
        raise
    except DAMAGE as error:
        raise CheckpointError(f"{source}: damaged, its graph cannot be built ({first_line(error)})") from error


def _sizes(node):
    """The declared sizes of a placeholder, -1 where one is not known; None where nothing is."""
    shape = node.attr["shape"].shape
    return None if "shape" not in node.attr or shape.unknown_rank else [d.size for d in shape.dim]


def _declare(node, sizes):
    del node.attr["shape"].shape.dim[:]
    node.attr["shape"].shape.unknown_rank = False
    for size in sizes:
        node.attr["shape"].shape.dim.add().size = size


def _latent_sizes(node, graph, source):
    """[-1 or 1, latent_dim] of the placeholder of the latent vector."""
    sizes = _sizes(node) or []
    if tf.as_dtype(node.attr["dtype"].type) != tf.float32 or (sizes and len(sizes) != 2):
        raise CheckpointError(f"{source}: {node.name}:0 has shape {sizes}; a latent vector is float32 [n, latent_dim]")
    if len(sizes) != 2 or sizes[1] < 1:
        dense = [node for node in graph.node if node.name == "G/z_project/dense/kernel"]
        if not dense:
            raise CheckpointError(f"{source}: {node.name}:0 does not say how many dimensions the latent vector has")
        sizes = [-1, dense[0].attr["value"].tensor.tensor_shape.dim[0].size]
    if sizes[1] > MOST_LATENT or sizes[0] not in (-1, 1):
        raise CheckpointError(f"{source}: {node.name}:0 has shape {sizes}; a latent vector is [n, latent_dim]")
    return sizes


def _label_sizes(node):
    """[-1 or 1, …] of the placeholder of a label."""
    sizes, dtype = _sizes(node), tf.as_dtype(node.attr["dtype"].type)
    if not sizes or sizes[0] not in (-1, 1):
        raise CheckpointError(
            f"the placeholder {node.name} has to be fed besides the latent vector, and its shape is {sizes}; "
            "a label is [n], [n, 1] or [n, k]"
        )
    LabelInput(node.name, tuple(sizes[1:]), dtype)  # raises CheckpointError for what is no label
    return sizes


@tf.RegisterGradient("ResizeNearestNeighborGrad")
def _resize_nearest_neighbor_grad_grad(op, gradient):
    """Forward-mode differentiation differentiates each gradient; TensorFlow lacks this one, of WaveGAN's
    nearest-neighbour upsampling.
    """
    return [tf.raw_ops.ResizeNearestNeighbor(images=gradient, size=tf.shape(op.inputs[0])[1:3]), None]
