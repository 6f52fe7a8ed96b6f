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
from models.generator.inputs import Input, told_apart
from models.generator.readers.allow_list import MOST_BYTES, check_declared, check_sizes, subgraph
from models.generator.readers.fixed_batch import for_one_clip, is_alike

Z = "z"  # the name of the latent vector in WaveGAN's graphs
NAMES = re.compile(r"(model\.ckpt|best_score)(-(?P<step>\d+))?(?P<index>\.index)?")  # of a checkpoint's files
TABLE = bytes.fromhex("57fb808b247547db")  # what a table ends with
VARIABLE_OPS = ("Variable", "VariableV2", "VarHandleOp")
RESOURCE_OPS = (*VARIABLE_OPS, "ReadVariableOp")
AUDIO_SUMMARIES = ("AudioSummary", "AudioSummaryV2")  # what WaveGAN's training graph calls G_z
# What TensorFlow raises for damaged files.
DAMAGE = (ValueError, KeyError, IndexError, TypeError, RuntimeError, OverflowError, tf.errors.OpError)


def checkpoints(folder):
    """{prefix: path of the file that shows it} of the checkpoints of a tf.train.Saver in `folder`, the newest last:
    `model.ckpt`, `model.ckpt-N` of a training run, or `best_score-N` of WaveGAN's inception scores; of format V2, with
    an .index, or V1, one file.
    """
    found = {}
    for path in sorted(Path(folder).glob("*")):
        if (named := NAMES.fullmatch(path.name)) and (named["index"] or _is_v1(path)):
            found[path.with_name(path.name.removesuffix(".index"))] = (
                int(named["step"] or 0),
                named["step"] is None,
                path,
            )
    return {prefix: found[prefix][-1] for prefix in sorted(found, key=lambda prefix: found[prefix][1::-1])}


def _is_v1(path):
    """True for a table of TensorFlow's, which a checkpoint of format V1 is, and no pickle is."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - len(TABLE), 0))
        return file.read() == TABLE


def checkpoint_prefix(folder):
    """The newest checkpoint in `folder`. Raises CheckpointError if it is not whole."""
    found = checkpoints(folder)
    if not found:
        raise CheckpointError(
            f"{folder}: a graph without its variables; model.ckpt.index and model.ckpt.data-* belong beside it"
        )
    prefix, shown = list(found.items())[-1]
    shards = sorted(path.name for path in prefix.parent.glob(f"{prefix.name}.data-*-of-*"))
    if shown != prefix and not shards:
        raise CheckpointError(f"{prefix}.index: half of a checkpoint; {prefix.name}.data-* belongs beside it")
    if shards and (count := shards[0].rpartition("-")[2]).isdecimal() and len(shards) < int(count):
        raise CheckpointError(f"{prefix}.index: {len(shards)} of its {int(count)} files {prefix.name}.data-* are here")
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


def as_function(graph, source, z="z", output="G_z", names=None, stated=None):
    """A frozen GraphDef → a tf.ConcreteFunction of z [n, latent_dim], and of a label [n, …] where the graph has one →
    G_z.

    z, output: names of nodes, or of an input in `names`; "": what tells itself. names: {name of a placeholder: what its
    owner calls it}. stated: what other inputs are (models/generator/inputs.py). Raises CheckpointError without a usable
    placeholder for the latent vector, and where it is not certain what another one is.
    """
    placeholders = {(names or {}).get(n.name, n.name): n for n in graph.node if n.op == "Placeholder"}
    if z not in placeholders and (z or not placeholders):
        others = f"; it takes {', '.join(sorted(placeholders))}, which the fact latent chooses" if placeholders else ""
        raise CheckpointError(
            f"{source}: no placeholder {z or Z}:0 leads to {output}:0{others}; "
            "a generator is a function of its latent vector"
        )
    roles = told_apart([_input(name, node, graph) for name, node in sorted(placeholders.items())], z, stated)
    batch = roles.latent[0].batch
    graph, original = (for_one_clip(graph, batch), graph) if (batch or 1) > 1 else (graph, None)
    order = [roles.latent[0].name, *(name for name in placeholders if name != roles.latent[0].name)]
    try:
        function = _pruned(graph, source, [placeholders[name].name for name in order], output)
        if not roles.is_plain():
            function = roles._replace(
                latent=[i._replace(batch=1 if original else i.batch) for i in roles.latent]
            ).joined(function, order)
        if original and not is_alike(function, original, roles, [placeholders[name].name for name in order], output):
            raise CheckpointError(
                f"{source}: {roles.latent[0].name} is for {batch:,} clips at once, and what is written down for so "
                "many does not extend to others; export it for any number, [None, …], or for one"
            )
        return function
    except CheckpointError:
        raise
    except DAMAGE as error:
        raise CheckpointError(f"{source}: damaged, its graph cannot be built ({first_line(error)})") from error


def _pruned(graph, source, names, output):
    """The tf.ConcreteFunction of the placeholders of these names."""
    check_sizes(graph, source)
    whole = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(graph, name=""), [])
    return whole.prune([f"{name}:0" for name in names], f"{output}:0")


def _input(name, node, graph):
    """A placeholder as an Input; WaveGAN's, of no shape, has as many numbers as its first layer takes. The node gets
    the sizes that are found."""
    shape = node.attr["shape"].shape
    sizes = [] if "shape" not in node.attr or shape.unknown_rank else [d.size for d in shape.dim]
    dense = [node for node in graph.node if node.name == "G/z_project/dense/kernel"]
    if (not sizes or sizes[1:] == [-1]) and dense and node.attr["dtype"].type == tf.float32.as_datatype_enum:
        sizes = [-1, dense[0].attr["value"].tensor.tensor_shape.dim[0].size]
    del shape.dim[:]
    shape.unknown_rank = False
    for size in sizes:
        shape.dim.add().size = size
    batch = sizes[0] if sizes and sizes[0] > 0 else None
    return Input(
        name, tuple(size if size > 0 else None for size in sizes[1:]), tf.as_dtype(node.attr["dtype"].type), batch
    )


@tf.RegisterGradient("ResizeNearestNeighborGrad")
def _resize_nearest_neighbor_grad_grad(op, gradient):
    """Forward-mode differentiation differentiates each gradient; TensorFlow lacks this one, of WaveGAN's
    nearest-neighbour upsampling.
    """
    return [tf.raw_ops.ResizeNearestNeighbor(images=gradient, size=tf.shape(op.inputs[0])[1:3]), None]
