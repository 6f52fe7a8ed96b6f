"""An ONNX file, as PyTorch exports a generator, rebuilt of TensorFlow's own operations.

So it is served by all that serves a graph: the list of what a generator may use, forward mode, smoothing. How is in
models/generator/readers/onnx_building.py. The file is data: nothing of it is run, and arrays in other files are read
from its own folder only.
"""

from pathlib import Path

import numpy as np
import onnx
import tensorflow as tf
from google.protobuf.message import DecodeError

from models.files.errors import CheckpointError
from models.generator.inputs import Input, told_apart
from models.generator.readers.allow_list import MOST_BYTES, MOST_NODES, check_declared, subgraph
from models.generator.readers.onnx_building import Building
from models.generator.readers.onnx_operations import computed_in, single

OPSETS = range(11, onnx.defs.onnx_opset_version() + 1)
NUMBERS = {  # ONNX's element types that weights have
    onnx.TensorProto.FLOAT: tf.float32,
    onnx.TensorProto.DOUBLE: tf.float64,
    onnx.TensorProto.FLOAT16: tf.float16,
    onnx.TensorProto.BFLOAT16: tf.bfloat16,
    onnx.TensorProto.INT32: tf.int32,
    onnx.TensorProto.INT64: tf.int64,
    onnx.TensorProto.BOOL: tf.bool,
}
Z, OUTPUT, LABEL = "z", "G_z", "label"  # names in the rebuilt graph


def read_onnx(path, latent="", output="", inputs=None):
    """An ONNX file → (GraphDef of G_z from z [n, latent_dim], and label [n, …] where it has one, {name of a weight:
    array}).

    latent, output: the latent vector and the waveform, where the file has several; inputs: what the others are
    (models/generator/inputs.py). Raises CheckpointError, in one line, for what is no ONNX file, does more than a
    generator may, or claims more than it holds.
    """
    path = Path(path)
    model, opset = _model(path)
    graph = model.graph
    made = _one(graph.output, output, "output", path)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes = _needed(graph, made.name, path)
    used = {name for node in nodes for name in node.input}
    takes = [value for value in graph.input if value.name not in weights and value.name in used]
    roles = told_apart([_input(value, path) for value in takes], latent, inputs)
    arrays, total = {}, 0
    for name in sorted(used & weights.keys()):
        arrays[name] = _array(weights[name], path)
        total += arrays[name].nbytes
        if total > MOST_BYTES:
            raise CheckpointError(f"{path}: more than {MOST_BYTES >> 20} MiB of weights; no generator has")
    for node in nodes:
        for attribute in node.attribute if node.op_type == "Constant" else []:
            if attribute.type == onnx.AttributeProto.TENSOR:
                arrays[node.output[0]] = _array(attribute.t, path)

    def build(z, label=None):
        count = tf.shape(z)[0]
        own = {value.name: _sizes(value) for value in takes}
        given = roles._replace(held={}).values(z, label, count)
        values = arrays | {name: tf.reshape(x, [-1, *own[name]]) for name, x in given.items()}
        values |= {item.name: x.reshape(own[item.name]) for item, x in roles.held.items()}
        batch = roles.latent[0].batch or 1
        building = Building(values, {(f.domain, f.name): f for f in model.functions}, count, batch)
        for node in nodes:
            try:
                building.add(node, opset)
            except CheckpointError as error:
                raise CheckpointError(f"{path}: {error}") from error
        result = building.values[made.name]
        if not tf.is_tensor(result):
            raise CheckpointError(f"{path}: {made.name} does not depend on {roles.latent[0].name}")
        if batch > 1 and result.shape[1:2] == [batch]:
            raise CheckpointError(
                f"{path}: its input {roles.latent[0].name} is for {batch:,} clips at once: export it for one, "
                f"as with torch.zeros(1, {roles.latent[0].numbers})"
            )
        whole = result.shape[1:2] != [1] or result.shape.rank < 3  # ONNX's own first axis, of one clip
        return tf.identity(result if whole else tf.squeeze(result, 1), name=OUTPUT)

    signature = [tf.TensorSpec([None, roles.latent_dim], name=Z)]
    if roles.label:
        signature.append(tf.TensorSpec([None, *roles.label.sizes], roles.label.dtype, name=LABEL))
    function = tf.function(build, input_signature=signature, autograph=False).get_concrete_function()
    floats = {name: array for name, array in arrays.items() if array.dtype.kind == "f" and array.ndim}
    return subgraph(function.graph.as_graph_def(), path, OUTPUT), floats


def _model(path):
    """The ONNX file's model and its opset. Raises CheckpointError."""
    if path.stat().st_size > MOST_BYTES:
        raise CheckpointError(f"{path}: larger than {MOST_BYTES >> 20} MiB; no generator is")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise CheckpointError(f"{path}: not an ONNX file, or cut short") from error
    versions = [opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")]
    if not model.graph.node or not versions:
        raise CheckpointError(f"{path}: not an ONNX file, or cut short")
    if versions[0] not in OPSETS:
        raise CheckpointError(
            f"{path}: ONNX of opset {versions[0]}; {OPSETS[0]} to {OPSETS[-1]} are read (opset_version of the export)"
        )
    return model, versions[0]


def _one(values, name, setting, path):
    """The value of this name, or the only one."""
    names = [value.name for value in values]
    if name and name not in names:
        raise CheckpointError(f"{path}: {setting} is {name}, the file has {', '.join(names)}")
    if not name and len(names) != 1:
        raise CheckpointError(f"{path}: it has {', '.join(names) or 'nothing'}: set {setting} to one of them")
    return values[names.index(name)] if name else values[0]


def _needed(graph, output, path):
    """The nodes that an output needs, in their order."""
    makers = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    needed, waiting = set(), [output]
    while waiting:
        i = makers.get(waiting.pop())
        if i is not None and i not in needed:
            needed.add(i)
            waiting += graph.node[i].input
    nodes = [graph.node[i] for i in sorted(needed)]
    if len(nodes) > MOST_NODES:
        raise CheckpointError(f"{path}: more than {MOST_NODES:,} operations lead to {output}")
    known = {value.name for value in (*graph.input, *graph.initializer)}
    for node in nodes:
        if missing := [name for name in node.input if name and name not in known]:
            raise CheckpointError(f"{path}: damaged, {missing[0]} is missing where {node.op_type} takes it")
        known |= set(node.output)
    if output not in makers:
        raise CheckpointError(f"{path}: nothing in it makes {output}")
    return nodes


def _sizes(value):
    """Sizes of an input, 1 along its first axis, which is the clips, unless it has no other."""
    sizes = [size.dim_value for size in value.type.tensor_type.shape.dim]
    return [1, *sizes[1:]] if sizes else []


def _input(value, path):
    """An input of the file as an Input."""
    kind, axes = value.type.tensor_type, value.type.tensor_type.shape.dim
    if kind.elem_type not in NUMBERS:
        raise CheckpointError(f"{path}: its input {value.name} holds no numbers; a latent vector is [n, latent_dim]")
    sizes = tuple(axis.dim_value or None for axis in axes)
    return Input(value.name, sizes[1:], computed_in(NUMBERS[kind.elem_type]), sizes[0] if sizes else None)


def _array(tensor, path):
    """A weight as an array, as large as it says. Raises CheckpointError."""
    shape, dtype = list(tensor.dims), NUMBERS.get(tensor.data_type)
    if dtype is None:
        kind = onnx.TensorProto.DataType.Name(tensor.data_type) if tensor.data_type else "nothing"
        raise CheckpointError(f"{path}: {tensor.name} holds {kind}, which is not read; weights are floats")
    size = check_declared(tensor.name, shape, dtype, path)
    copy = onnx.TensorProto()
    copy.CopyFrom(tensor)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        copy.ClearField("external_data")
        copy.data_location = onnx.TensorProto.DEFAULT
        copy.raw_data = _external(tensor, size, path)
    try:
        array = single(onnx.numpy_helper.to_array(copy))
    except Exception as error:  # whatever a damaged array makes of it
        raise CheckpointError(f"{path}: damaged, {tensor.name} does not hold the {size} bytes it claims") from error
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise CheckpointError(f"{path}: its weights {tensor.name} are not finite")
    return array


def _external(tensor, size, path):
    """The bytes of an array that lies in another file of the same folder."""
    about = {entry.key: entry.value for entry in tensor.external_data}
    folder, location = path.parent.resolve(), about.get("location", "")
    place = (folder / location).resolve()
    if not location or not place.is_relative_to(folder):
        raise CheckpointError(f"{path}: its array {tensor.name} lies outside its folder, in {location}; it is not read")
    if not place.is_file():
        raise CheckpointError(f"{path}: its arrays lie in {location}, which has to be beside it")
    offset, length = (about.get(key, default) for key, default in (("offset", "0"), ("length", str(size))))
    if not (offset.isdecimal() and length.isdecimal()) or int(length) != size:
        raise CheckpointError(f"{path}: damaged, {tensor.name} claims {length} bytes of {location}, not {size}")
    if int(offset) + size > place.stat().st_size:
        raise CheckpointError(f"{place}: cut short, {tensor.name} ends behind it")
    with open(place, "rb") as file:
        file.seek(int(offset))
        return file.read(size)
