"""TensorFlow 1 graphs in TensorFlow 2: a MetaGraph and its checkpoint become one frozen GraphDef, and a GraphDef becomes a function.

The original imports the MetaGraph into a session; here the variables are folded into constants, so what is left is a pure, differentiable
function of the latent vector without sessions, savers or training flags.
"""

import re
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError

from models.errors import CheckpointError

VARIABLE_OPS = ("Variable", "VariableV2", "VarHandleOp")


def checkpoint_prefix(folder):
    """The checkpoint in `folder`: `model.ckpt`, or the latest `model.ckpt-N` of a training run. Raises CheckpointError if it is not whole."""
    folder = Path(folder)
    if (folder / "model.ckpt.index").exists():
        prefix = folder / "model.ckpt"
    else:
        steps = [int(m[1]) for p in folder.glob("model.ckpt-*.index") if (m := re.fullmatch(r"model\.ckpt-(\d+)\.index", p.name))]
        if not steps:
            raise CheckpointError(f"{folder}/model.ckpt.index: not there, only half of the generator is; README.md says where to get it")
        prefix = folder / f"model.ckpt-{max(steps)}"
    if not list(folder.glob(f"{prefix.name}.data-*")):
        name = f"{prefix}.data-00000-of-00001"
        raise CheckpointError(f"{name}: not there, only half of the checkpoint is; put the data file beside its index")
    return str(prefix)


def _constant(node, name, value):
    """Turns `node` into a constant in place."""
    node.Clear()
    node.name, node.op = name, "Const"
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))


def freeze(meta_path, prefix, output="G_z"):
    """A MetaGraph file and a checkpoint prefix → (GraphDef of what `output` needs, {variable name: array}).

    Nodes and variables that `output` does not need are ignored: discriminator, optimizer slots, summaries, whatever stands beside the generator.
    Raises CheckpointError for a file that is not a MetaGraph, lacks `output`, or whose variables the checkpoint does not hold in their shape.
    """
    meta = tf.compat.v1.MetaGraphDef()
    try:
        meta.ParseFromString(Path(meta_path).read_bytes())
        graph = tf.compat.v1.graph_util.extract_sub_graph(meta.graph_def, [output])
    except DecodeError as error:
        raise CheckpointError(f"{meta_path}: not a MetaGraph, or cut short; fetch it again") from error
    except AssertionError as error:
        raise CheckpointError(f"{meta_path}: no tensor {output}:0 in it; WaveGAN's infer.meta has one") from error
    try:
        reader = tf.train.load_checkpoint(prefix)
        held = reader.get_variable_to_shape_map()
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{prefix}: not a readable checkpoint; fetch it again ({str(error).splitlines()[0]})") from error
    variables = {}
    for node in graph.node:
        node.device = ""
        if node.op in VARIABLE_OPS:
            shape = [d.size for d in node.attr["shape"].shape.dim]
            if node.name not in held:
                raise CheckpointError(f"{prefix}: variable {node.name} is not in it; {meta_path} belongs to another checkpoint")
            if list(held[node.name]) != shape:
                raise CheckpointError(f"{prefix}: variable {node.name} has shape {held[node.name]}, {meta_path} wants {shape}")
            try:
                variables[node.name] = reader.get_tensor(node.name)
            except (tf.errors.OpError, RuntimeError, IndexError) as error:
                raise CheckpointError(f"{prefix}: variable {node.name} cannot be read, the data file is cut or damaged; fetch it again") from error
            _constant(node, node.name, variables[node.name])
        elif node.op == "ReadVariableOp":
            source, dtype = node.input[0], node.attr["dtype"].type
            node.attr.clear()
            node.op = "Identity"
            node.input[:] = [source]
            node.attr["T"].type = dtype
    return graph, variables


def read_graph_def(path):
    """A plain frozen `.pb` GraphDef, reduced to what G_z needs. Raises CheckpointError if it is none, or is not frozen."""
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(Path(path).read_bytes())
        graph = tf.compat.v1.graph_util.extract_sub_graph(graph, ["G_z"])
    except DecodeError as error:
        raise CheckpointError(f"{path}: not a GraphDef, or cut short") from error
    except AssertionError as error:
        raise CheckpointError(f"{path}: no tensor G_z:0 in it; a generator has z:0 and G_z:0") from error
    if unfrozen := [node.name for node in graph.node if node.op in VARIABLE_OPS]:
        raise CheckpointError(f"{path}: not frozen, {unfrozen[0]} is still a variable; freeze it, or give its MetaGraph and checkpoint")
    return graph


def as_function(graph, source):
    """A frozen GraphDef → a function z [n, latent_dim] → G_z, and latent_dim. Raises CheckpointError without a usable placeholder z."""
    inputs = [node for node in graph.node if node.name == "z" and node.op == "Placeholder"]
    if not inputs:
        raise CheckpointError(f"{source}: no placeholder z:0 leads to G_z:0; a generator is a function of its latent vector z")
    function = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(graph, name=""), []).prune("z:0", "G_z:0")
    shape = function.inputs[0].shape
    latent_dim = shape[1] if shape.rank == 2 else None
    if latent_dim is None:
        dense = [node for node in graph.node if node.name == "G/z_project/dense/kernel"]
        if not dense:
            raise CheckpointError(f"{source}: z:0 has shape {shape}, which does not say how many dimensions the latent vector has")
        latent_dim = dense[0].attr["value"].tensor.tensor_shape.dim[0].size
    return function, int(latent_dim)


@tf.RegisterGradient("ResizeNearestNeighborGrad")
def _resize_nearest_neighbor_grad_grad(op, gradient):
    """Forward-mode differentiation differentiates each gradient; TensorFlow lacks this one, of WaveGAN's nearest-neighbour upsampling."""
    return [tf.raw_ops.ResizeNearestNeighbor(images=gradient, size=tf.shape(op.inputs[0])[1:3]), None]
