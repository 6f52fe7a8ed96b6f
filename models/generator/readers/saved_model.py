"""A SavedModel's folder, read as data: `tf.saved_model.load`, which would build and run what is in it, is not called.

The function of a signature is inlined into the graph. The variables that it takes are found through the two object
graphs: that of saved_model.pb says which object each of them is, and that of the checkpoint in variables/ under which
key the same object, reached by the same names from the root, has its value.
"""

from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2, trackable_object_graph_pb2

from models.files.errors import CheckpointError
from models.generator.inlining import CALLS, InliningError, inline_calls
from models.generator.readers.allow_list import subgraph
from models.generator.readers.tf1 import DAMAGE, RESOURCE_OPS, parsed, with_variables

OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "VARIABLE_VALUE"
INITIALISATION = "__saved_model_init_op"
PREFERRED = ("serving_default", "serve")
OUTPUT = "G_z"  # the name that its output has in the result


def read_saved_model(path, output=""):
    """saved_model.pb → (frozen GraphDef of G_z, {name of an input's placeholder: its name in the signature}, {key of a
    variable: array}).

    output: of the signature's outputs, where it has several. Raises CheckpointError, in one line, for what is no
    SavedModel, has no such signature, or does what a generator may not.
    """
    path = Path(path)
    meta = _meta_graph(parsed(path, saved_model_pb2.SavedModel(), "SavedModel"), path)
    signature = _signature(meta, path)
    output = _chosen(signature.outputs, output, path)
    try:
        graph, resolved = inline_calls(meta.graph_def)
        names = {info.name.partition(":")[0]: name for name, info in signature.inputs.items()}
        last = graph.node.add(name=OUTPUT, op="Identity", input=[resolved(output.name)])
    except InliningError as error:
        raise CheckpointError(f"{path}: {error}") from error
    last.attr["T"].type = output.dtype
    for node in graph.node:
        if node.op == "Placeholder" and node.name not in names:
            node.name = f"{node.name}_outside_of_the_signature"  # so that what needs it is refused
    graph = subgraph(graph, path, OUTPUT, (*RESOURCE_OPS, "ResourceGather"))
    prefix = str(path.parent / "variables" / "variables")
    if not Path(f"{prefix}.index").exists() and any(node.op in RESOURCE_OPS for node in graph.node):
        raise CheckpointError(f"{path}: its variables are not beside it, in variables/")
    keys = _keys(meta, prefix, path) if meta.HasField("object_graph_def") else None
    graph, variables = with_variables(graph, prefix, path, keys)
    return graph, names, variables


def _meta_graph(model, path):
    """The MetaGraph for serving, or the only one."""
    graphs = [graph for graph in model.meta_graphs if "serve" in graph.meta_info_def.tags] or model.meta_graphs
    if len(graphs) != 1:
        raise CheckpointError(f"{path}: a SavedModel of {len(graphs)} MetaGraphs, none of them the one for serving")
    return graphs[0]


def _signature(meta, path):
    signatures = {name: value for name, value in meta.signature_def.items() if name != INITIALISATION and value.outputs}
    for name in PREFERRED:
        if name in signatures:
            return signatures[name]
    if len(signatures) != 1:
        listed = ", ".join(sorted(signatures)) or "nothing"
        raise CheckpointError(
            f"{path}: a SavedModel with the signatures {listed}; serving_default is the one that counts"
        )
    return next(iter(signatures.values()))


def _chosen(infos, name, path):
    """The output of a signature that is named, or the only one."""
    listed = ", ".join(sorted(infos)) or "nothing"
    if name and name not in infos:
        raise CheckpointError(f"{path}: output is {name}, its signature has {listed}")
    if not name and len(infos) != 1:
        raise CheckpointError(f"{path}: its signature has {listed}: set output to one of them")
    return infos[name] if name else next(iter(infos.values()))


def _keys(meta, prefix, path):
    """{name of a variable's node: its key in the checkpoint}."""
    saved = meta.object_graph_def
    stored = trackable_object_graph_pb2.TrackableObjectGraph()
    try:
        stored.ParseFromString(tf.train.load_checkpoint(prefix).get_tensor(OBJECTS))
        same, waiting = {0: 0}, [0]
        while waiting:  # the objects that both graphs reach by the same names
            place = waiting.pop()
            children = {child.local_name: child.node_id for child in stored.nodes[same[place]].children}
            for child in saved.nodes[place].children:
                if child.node_id not in same and child.local_name in children:
                    same[child.node_id] = children[child.local_name]
                    waiting.append(child.node_id)
        keys = {}
        for node in meta.graph_def.node:
            if node.op not in CALLS or node.attr["f"].func.name not in saved.concrete_functions:
                continue
            bound = saved.concrete_functions[node.attr["f"].func.name].bound_inputs
            inputs = [name for name in node.input if not name.startswith("^")]
            for name, place in zip(inputs[len(inputs) - len(bound) :], bound):
                attributes = stored.nodes[same[place]].attributes if place in same else []
                for attribute in attributes:
                    if attribute.name == VALUE:
                        keys[name.partition(":")[0]] = attribute.checkpoint_key
    except DAMAGE as error:
        raise CheckpointError(f"{prefix}: not the variables of {path}, or damaged") from error
    return keys
