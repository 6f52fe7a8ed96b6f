"""An ONNX file, as PyTorch exports a generator, rebuilt of TensorFlow's own operations.

So it is served by all that serves a graph: the list of what a generator may use, forward mode, smoothing. What each
operation does is in models/generator/readers/onnx_operations.py. The file is data: nothing of it is run, and arrays in
other files are read from its own folder only.
"""

from pathlib import Path

import numpy as np
import onnx
import tensorflow as tf
from google.protobuf.message import DecodeError

from models.files.errors import CheckpointError, first_line
from models.generator.readers.allow_list import MOST_BYTES, MOST_LATENT, MOST_NODES, check_declared, subgraph
from models.generator.readers.onnx_operations import OPERATIONS, Building

OPSETS = range(11, 22)
NUMBERS = {  # ONNX's element types that weights have
    onnx.TensorProto.FLOAT: tf.float32,
    onnx.TensorProto.DOUBLE: tf.float64,
    onnx.TensorProto.FLOAT16: tf.float16,
    onnx.TensorProto.INT32: tf.int32,
    onnx.TensorProto.INT64: tf.int64,
    onnx.TensorProto.BOOL: tf.bool,
}
Z, OUTPUT, LABEL = "z", "G_z", "label"  # names in the rebuilt graph


def read_onnx(path, input_name="", output_name=""):
    """An ONNX file → (GraphDef of G_z from z [1, latent_dim], and label [1, …] where it has a second input, {name of a
    weight: array}).

    input_name, output_name: the latent vector and the waveform, where the file has several; "": the only output, and of
    two inputs the longer one of floating-point numbers. Raises CheckpointError, in one line, for what is no ONNX file,
    does more than a generator may, or claims more than it holds.
    """
    path = Path(path)
    graph = _graph(path)
    output = _one(graph.output, output_name, "output", path)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes = _needed(graph, output.name, path)
    used = {name for node in nodes for name in node.input}
    inputs = [value for value in graph.input if value.name not in weights and value.name in used]
    latent, label = _inputs(inputs, input_name, path)
    arrays, total = {}, 0
    for name in sorted(used & weights.keys()):
        arrays[name] = _array(weights[name], path)
        total += arrays[name].nbytes
        if total > MOST_BYTES:
            raise CheckpointError(f"{path}: more than {MOST_BYTES >> 20} MiB of weights; no generator has")
    constants = {node.output[0]: node for node in nodes if node.op_type == "Constant"}
    for name, node in constants.items():
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                arrays[name] = _array(attribute.t, path)

    def build(*tensors):
        values = dict(arrays)
        values[latent.name] = tf.reshape(tensors[0], _sizes(latent)) if len(_sizes(latent)) > 2 else tensors[0]
        if label is not None:
            values[label.name] = tensors[1]
        building = Building(values)
        for node in nodes:
            try:
                building.add(node)
            except CheckpointError as error:
                raise CheckpointError(f"{path}: {error}") from error
            except Exception as error:  # of an operation that does not fit its inputs, whatever TensorFlow raises
                words = first_line(error)
                raise CheckpointError(f"{path}: damaged, {node.op_type} ({node.output[0]}): {words}") from error
        return tf.identity(building.values[output.name], name=OUTPUT)

    signature = [tf.TensorSpec([1, _sizes(latent)[1]], name=Z)]
    if label is not None:
        signature.append(tf.TensorSpec(_sizes(label), NUMBERS[label.type.tensor_type.elem_type], name=LABEL))
    function = tf.function(build, input_signature=signature, autograph=False).get_concrete_function()
    floats = {name: array for name, array in arrays.items() if array.dtype.kind == "f" and array.ndim}
    return subgraph(function.graph.as_graph_def(), path, OUTPUT), floats


def _graph(path):
    """The graph of an ONNX file. Raises CheckpointError."""
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
    return model.graph


def _one(values, name, setting, path):
    """The value of this name, or the only one."""
    names = [value.name for value in values]
    if name and name not in names:
        raise CheckpointError(f"{path}: {setting} is {name}, the file has {', '.join(names)}")
    if not name and len(names) != 1:
        raise CheckpointError(f"{path}: it has {', '.join(names) or 'nothing'}: set {setting} to one of them")
    return values[names.index(name)] if name else values[0]


def _needed(graph, output, path):
    """The nodes that an output needs, in their order, each of them on the list."""
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
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATIONS:
            named = f"{node.domain + '.' if node.domain else ''}{node.op_type} ({node.output[0]})"
            raise CheckpointError(
                f"{path}: the operation {named} is not one that a generator may use; nothing of it was run"
            )
        if missing := [name for name in node.input if name and name not in known]:
            raise CheckpointError(f"{path}: damaged, {missing[0]} is missing where {node.op_type} takes it")
        known |= set(node.output)
    if output not in makers:
        raise CheckpointError(f"{path}: nothing in it makes {output}")
    return nodes


def _sizes(value):
    """Sizes of an input, 1 along its first axis, which is the clips; 0 where one is not known."""
    return [1, *(size.dim_value for size in value.type.tensor_type.shape.dim[1:])]


def _inputs(values, name, path):
    """The latent vector and the label, or None, among the inputs that are used."""
    shown = ", ".join(f"{value.name} {_sizes(value)}".replace("[1", "[n") for value in values) or "nothing"
    if name and name not in [value.name for value in values]:
        raise CheckpointError(f"{path}: latent is {name}, its inputs are {shown}")

    def rank(value):
        return (
            value.name == name,
            value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT,
            np.prod(_sizes(value)[1:]),
        )

    values = sorted(values, key=rank, reverse=True)
    if len(values) == 2 and rank(values[0]) == rank(values[1]):
        raise CheckpointError(f"{path}: its inputs are {shown}: set latent to the name of the latent vector")
    for value in values:
        first = value.type.tensor_type.shape.dim[:1]
        if first and first[0].dim_value > 1:
            raise CheckpointError(
                f"{path}: its input {value.name} is for {first[0].dim_value:,} clips at once: export it for one, "
                f"as with torch.zeros(1, {_sizes(value)[-1]})"
            )
        kind, axes = value.type.tensor_type, value.type.tensor_type.shape.dim
        if kind.elem_type not in NUMBERS or not axes or axes[0].dim_value not in (0, 1) or 0 in _sizes(value):
            raise CheckpointError(f"{path}: its inputs are {shown}; a latent vector is [n, latent_dim]")
    sizes = _sizes(values[0]) if values else []
    if len(values) not in (1, 2) or len(sizes) < 2 or sizes[1] > MOST_LATENT or any(size != 1 for size in sizes[2:]):
        raise CheckpointError(
            f"{path}: its inputs are {shown}; a generator takes latent vectors [n, latent_dim], and a label at most"
        )
    return values[0], values[1] if len(values) == 2 else None


def _array(tensor, path):
    """A weight as an array, as large as it says. Raises CheckpointError."""
    shape, dtype = list(tensor.dims), NUMBERS.get(tensor.data_type)
    if dtype is None:
        kind = onnx.TensorProto.DataType.Name(tensor.data_type) if tensor.data_type else "nothing"
        raise CheckpointError(f"{path}: {tensor.name} holds {kind}; a generator's weights are numbers")
    size = check_declared(tensor.name, shape, dtype, path)
    copy = onnx.TensorProto()
    copy.CopyFrom(tensor)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        copy.ClearField("external_data")
        copy.data_location = onnx.TensorProto.DEFAULT
        copy.raw_data = _external(tensor, size, path)
    try:
        array = onnx.numpy_helper.to_array(copy)
    except Exception as error:  # whatever a damaged array makes of it
        raise CheckpointError(f"{path}: damaged, {tensor.name} does not hold the {size} bytes it claims") from error
    array = array.astype(np.float32) if array.dtype == np.float16 else array
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
