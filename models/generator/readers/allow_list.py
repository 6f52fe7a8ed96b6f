"""What a graph from a stranger may do: compute. Checked on its description, before any of it is built, run or
allocated.

A TensorFlow graph is a program. It can read and write files, call Python, or ask for more memory than there is; a
generator needs none of that, so only operations that turn tensors into tensors are let through, and only with tensors
of a size that a generator of waveforms has.

DIFFERENTIATED have a rule of their own in models/generator/jacobian/rules.py: an exact derivative, which is also
averaged over latent noise, as recovery wants it. Layers of Keras that are made of them: Dense (of vectors),
Conv1D/2D/3D, Conv1DTranspose, Conv2DTranspose, DepthwiseConv, UpSampling (nearest, bilinear, bicubic), Reshape,
Flatten, Permute, ZeroPadding, Cropping, Concatenate, Add, Multiply, average pooling, BatchNormalization,
LayerNormalization, ReLU, LeakyReLU, PReLU, ELU, SELU, ReLU6, tanh, sigmoid, softplus, softsign, Dropout (idle),
Rescaling, nested models.
BY_TENSORFLOW are differentiated by TensorFlow, exactly and without an average; Dense along the last of several axes is
such a layer. WITHOUT_DERIVATIVE are shapes, comparisons and roundings, which pass on what does not depend on the latent
vector or is held fixed. Every other operation is refused: files, Python, random numbers, loops, calls.
"""

import numpy as np
import tensorflow as tf

from models.files.errors import CheckpointError
from models.generator.jacobian.graph_walk import BATCH_NORMALISATION
from models.generator.jacobian.rules import (
    BILINEAR,
    COMPARISONS,
    ELEMENTWISE,
    JOINTLY_LINEAR,
    KINKED,
    LINEAR,
    PARTIAL,
    SHAPES,
)

DIFFERENTIATED = {*LINEAR, *JOINTLY_LINEAR, *BILINEAR, *ELEMENTWISE, *PARTIAL, *KINKED, *BATCH_NORMALISATION} | {
    *"PadV2 Select SelectV2 Softmax".split()
}
BY_TENSORFLOW = {
    *"LogSoftmax MaxPool MaxPoolV2 AvgPool3D MaxPool3D LRN GatherNd Cumprod Max Min Prod StopGradient".split(),
    *"Asin Acos Tan Asinh Acosh Atanh Atan2 DivNoNan MulNoNan L2Loss Diag DiagPart MatrixDiagPart IdentityN".split(),
    *"Complex Real Imag ComplexAbs Angle Conj FFT IFFT RFFT IRFFT".split(),
}
WITHOUT_DERIVATIVE = {
    *SHAPES,
    *COMPARISONS,
    *"Const Placeholder PlaceholderWithDefault Fill Range LinSpace OneHot ConcatOffset InvertPermutation".split(),
    *"BroadcastArgs Equal NotEqual LogicalAnd LogicalOr LogicalNot Floor Ceil Round FloorDiv FloorMod Mod".split(),
    *"TruncateDiv Any All ArgMax ArgMin".split(),
}
ALLOWED = frozenset(DIFFERENTIATED | BY_TENSORFLOW | WITHOUT_DERIVATIVE)
ONLY_CHECKS = frozenset({"Assert", "NoOp"})  # may stand before an operation, and are left out
TYPES = (
    *(tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.complex64, tf.bool),
    *(tf.int8, tf.uint8, tf.int16, tf.int32, tf.int64),
)

# Of all weights, and of all that is computed from weights alone; WaveGAN's largest, of width 64 and 4 s, has 2**28.
MOST_BYTES = 2**29
# Of any one tensor on the way from a latent vector to a waveform; WaveGAN's largest has 2**22.
MOST_BYTES_A_CLIP = 2**25
MOST_NODES = 20_000
MOST_NAMED = 5  # nodes that a message lists
MOST_LATENT = 4096  # dimensions
SMALL = 1024  # elements up to which a constant may be a shape, and TensorFlow looks at its values


def _tensor_name(name):
    """An input as a node writes it → (name of the node it comes from, number of its output, whether it only has to come
    before).
    """
    if name.startswith("^"):
        return name[1:], 0, True
    node, _, index = name.partition(":")
    return node, int(index or 0), False


def _size(shape, dtype):
    """Bytes of a tensor, as Python's integers, which do not overflow."""
    total = tf.as_dtype(dtype).size
    for size in shape:
        total *= int(size)
    return total


def subgraph(graph, source, output="G_z", variables=()):
    """Those nodes of a GraphDef that `output` needs, in an order in which they can be run, checked against the list and
    copied without extras.

    variables: operations that are allowed beside the list, to be replaced by the caller. Returns a GraphDef without
    functions, devices, control inputs and hidden attributes. Raises CheckpointError for a missing node, a circle, and
    for an operation that is not allowed.
    """
    nodes = {node.name: node for node in graph.node}
    if output not in nodes:
        taken = {_tensor_name(name)[0] for node in graph.node for name in node.input}
        last = [name for name, node in nodes.items() if name not in taken and node.op not in ("Const", *ONLY_CHECKS)]
        named = f"; it ends in {', '.join(last[:MOST_NAMED])}, which the fact output chooses" if last else ""
        raise CheckpointError(f"{source}: no tensor {output}:0 in it{named}")
    order, state, waiting = [], {}, [(output, False)]
    while waiting:  # depth first, without recursion: the graph may be deep
        name, done = waiting.pop()
        if done:
            state[name] = "done"
            order.append(nodes[name])
            continue
        if name in state:
            if state[name] == "open":
                raise CheckpointError(f"{source}: the graph runs in a circle through {name}")
            continue
        if name not in nodes:
            raise CheckpointError(f"{source}: damaged, its node {name} is missing")
        node = nodes[name]
        if node.op == "XlaCallModule":
            raise CheckpointError(f"{source}: {name} is a program of JAX's; save the model as .keras where it was made")
        if node.op not in ALLOWED and node.op not in variables and node.op not in ONLY_CHECKS:
            raise CheckpointError(
                f"{source}: the operation {node.op} ({name}) is not one that a generator may use; nothing of it was run"
            )
        if len(state) > MOST_NODES:
            raise CheckpointError(f"{source}: more than {MOST_NODES:,} operations lead to {output}:0")
        state[name] = "open"
        waiting.append((name, True))
        waiting += [
            (_tensor_name(source_name)[0], False)
            for source_name in node.input
            if state.get(_tensor_name(source_name)[0]) != "done"
        ]
    return _cleaned(graph, order, source, variables)


def _cleaned(graph, order, source, variables):
    """A new GraphDef of these nodes, without what is not computation."""
    result = tf.compat.v1.GraphDef()
    result.versions.CopyFrom(graph.versions)
    for node in order:
        if node.op in ONLY_CHECKS:
            continue
        new = result.node.add()
        new.name, new.op = node.name, node.op
        new.input.extend(name for name in node.input if not name.startswith("^"))
        for key, value in node.attr.items():
            if not key.startswith("_"):
                new.attr[key].CopyFrom(value)
        if node.op == "PlaceholderWithDefault":  # nothing is ever fed but z
            new.op = "Identity"
            new.attr["T"].type = node.attr["dtype"].type
            del new.attr["dtype"], new.attr["shape"]
        if node.op.startswith("FusedBatchNorm") and ("is_training" not in node.attr or node.attr["is_training"].b):
            raise CheckpointError(
                f"{source}: {node.name} normalises by the batch's own statistics, so a clip depends on those beside it"
            )
    return result


def check_declared(name, shape, dtype, source):
    """Bytes of a constant or a variable as it is declared. Raises CheckpointError for a type or a size that no weight
    has.
    """
    if dtype not in TYPES:
        raise CheckpointError(f"{source}: {name} holds {dtype.name}; a generator's weights are numbers")
    if any(size < 0 for size in shape) or _size(shape, dtype) > MOST_BYTES:
        raise CheckpointError(
            f"{source}: {name} has shape {list(shape)}, more than the {MOST_BYTES >> 20} MiB that weights may have"
        )
    return _size(shape, dtype)


def check_sizes(graph, source):
    """Follows the shapes through a frozen GraphDef for one latent vector, node by node, without computing anything of
    that size.

    Raises CheckpointError where a tensor is too large, or its size is not known before the graph is run.
    """
    total, varying = 0, set()
    with tf.Graph().as_default():
        tensors = {}
        for node in graph.node:
            if node.op == "Const":
                value = node.attr["value"].tensor
                shape = [d.size for d in value.tensor_shape.dim]
                total += check_declared(node.name, shape, tf.as_dtype(node.attr["dtype"].type), source)
                outputs = None
                if np.prod(shape, dtype=object) > SMALL:
                    outputs = [tf.compat.v1.placeholder(node.attr["dtype"].type, shape)]
            elif node.op == "Placeholder":
                sizes = [d.size for d in node.attr["shape"].shape.dim][1:]
                outputs = [tf.compat.v1.placeholder(node.attr["dtype"].type, [1, *sizes])]
            else:
                outputs = None
            outputs = outputs if outputs is not None else _imported(node, graph.versions, tensors, source)
            from_z = node.op == "Placeholder" or any(_tensor_name(name)[0] in varying for name in node.input)
            varying |= {node.name} if from_z else set()
            # Batch normalisation's further outputs are its statistics, which no generator uses.
            for index, tensor in enumerate(outputs[:1] if node.op in BATCH_NORMALISATION else outputs):
                if not tensor.shape.is_fully_defined():
                    raise CheckpointError(
                        f"{source}: the size of {node.name} ({node.op}) is not known before it is run"
                    )
                size = _size(tensor.shape, tensor.dtype)
                total += size if not from_z and node.op != "Const" else 0
                if size > (MOST_BYTES_A_CLIP if from_z else MOST_BYTES) or total > 2 * MOST_BYTES:
                    raise CheckpointError(
                        f"{source}: {node.name} ({node.op}) has shape {tensor.shape}, more than a generator may take"
                    )
                tensors[f"{node.name}:{index}"] = tensor


def _imported(node, versions, tensors, source):
    """Adds one node to the current graph, with its inputs from `tensors` → its outputs."""
    single = tf.compat.v1.GraphDef()
    single.versions.CopyFrom(versions)
    single.node.add().CopyFrom(node)
    inputs = {}
    for i, name in enumerate(node.input):
        producer, index, _ = _tensor_name(name)
        inputs[f"input_{i}:0"] = tensors[f"{producer}:{index}"]
        single.node[0].input[i] = f"input_{i}"
    single.node[0].name = "node"
    return tf.graph_util.import_graph_def(single, input_map=inputs, return_elements=["node"], name="checked")[0].outputs
