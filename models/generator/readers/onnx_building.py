"""An ONNX graph becomes one of TensorFlow's operations, node by node.

A value that depends on the latent vector is a tensor [n, …]: the clips, then the axes that ONNX has, its own first axis
among them, whatever a node does to that. Any other value is an array, worked out here by the standard's reference
implementation (`onnx.reference`), whose size is known before it runs. A node without a rule in OPERATIONS becomes the
body that the standard gives it. Nothing is run that depends on the latent vector.
"""

import time

import numpy as np
import onnx
import onnx.inliner
import onnx.reference
import onnx.version_converter
import tensorflow as tf
from onnx import helper

from models.files.errors import CheckpointError, first_line
from models.generator.readers.allow_list import MOST_BYTES, MOST_BYTES_A_CLIP, MOST_NODES, SMALL
from models.generator.readers.onnx_layers import of_one_rank, shape_of, to_first, to_last
from models.generator.readers.onnx_operations import OPERATIONS, single

# What is worked out where nothing depends on the latent vector, in time that grows with the sizes.
FOLDED = frozenset(
    "Abs Acos Acosh Add And Asin Asinh Atan Atanh BitwiseAnd Ceil Clip Concat Cos Cosh CumSum DepthToSpace Div Einsum "
    "Elu Equal Erf Exp Expand EyeLike Flatten Floor Gather GatherElements GatherND Gemm Greater GreaterOrEqual "
    "Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log MatMul Max Mean Min Mod Mul Neg Not OneHot Or Pad "
    "Pow PRelu Range Reciprocal ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape Round ScatterElements "
    "ScatterND Sigmoid Sign Sin Sinh Slice Softmax Softplus SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh Tile "
    "Transpose Trilu Unsqueeze Where Xor".split()
)
ONE_BY_ONE = frozenset("GatherND GatherElements ScatterElements ScatterND".split())  # loops of Python over indices
PRODUCTS = frozenset("MatMul Gemm Einsum".split())
MOST_ONE_BY_ONE = 2**20  # indices
MOST_PRODUCTS = 2**31  # multiplications of one product of matrices
MOST_SECONDS = 10.0  # of computing, for all that is worked out
MOST_DEPTH = 50  # bodies within bodies
EXPANDING = 21  # the opset in which a node gets a body that its own opset does not give it
RANDOM = frozenset("RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial".split())
OF_ARRAYS = frozenset("Cast CastLike Constant ConstantOfShape Dropout Identity Shape Size".split())
WRITTEN = frozenset(FOLDED | OPERATIONS.keys())  # never replaced by their bodies


class Building:
    """The graph so far. values: {name: an array, or a tensor [n, …]}; it begins with weights and inputs. functions:
    the file's own, {(domain, name): FunctionProto}. clips: their number, a tensor. batch: how many clips at once the
    file is for, where it says so.
    """

    def __init__(self, values, functions, clips, batch=1):
        self.values, self.functions, self.clips, self.batch = values, functions, clips, batch
        self.channels_last = {}  # {name of a value: the same with its channels last and without ONNX's first axis}
        self._bytes, self._seconds, self._nodes = 0, 0.0, 0

    def add(self, node, opset, depth=0):
        """Adds the outputs of one node. Raises CheckpointError, in one phrase, for one that is not supported."""
        self.grow(1 if depth <= MOST_DEPTH else MOST_NODES)
        inputs = [self.values[name] if name else None for name in node.input]
        standard, is_known = node.domain in ("", "ai.onnx"), not any(tf.is_tensor(value) for value in inputs)
        try:
            if standard and is_known and inputs and node.op_type in FOLDED:
                results = self.reference(node, inputs, opset, many=True)
            elif standard and node.op_type in OPERATIONS:
                call = Call(self, node, inputs, opset)
                if is_known and inputs and node.op_type not in OF_ARRAYS:
                    call.inputs[0] = call.tensor(0)
                results = OPERATIONS[node.op_type](call, *call.inputs)
            else:
                for inner, version in self._body(node, inputs, opset):
                    self.add(inner, version, depth + 1)
                return
        except CheckpointError:
            raise
        except Exception as error:  # of an operation that does not fit its inputs, whatever is raised
            raise CheckpointError(f"damaged, {node.op_type} ({node.output[0]}): {first_line(error)}") from error
        for name, value in zip(node.output, results if isinstance(results, list) else [results]):
            if tf.is_tensor(value) and 4 * int(np.prod(value.shape[1:], dtype=object)) > MOST_BYTES_A_CLIP:
                raise CheckpointError(
                    f"{node.op_type} ({name}) has shape {value.shape}, more than a generator may take"
                )
            self.values[name] = value

    def grow(self, count):
        """Counts operations that one node becomes, beyond a few. Raises CheckpointError where they are too many."""
        self._nodes += count
        if self._nodes > MOST_NODES:
            raise CheckpointError(f"it describes more than {MOST_NODES:,} operations")

    def count(self, size, node):
        """Counts so many bytes of a node's results among what is worked out."""
        self._bytes += size
        if self._bytes > MOST_BYTES or self._seconds > MOST_SECONDS:
            raise CheckpointError(f"{node.op_type} ({node.output[0]}) makes more than a generator may take")

    def reference(self, node, inputs, opset, many=False):
        """The output of a node whose inputs are arrays, by the standard's reference implementation; many: a list of
        them. Raises CheckpointError where it is too large, or its size is not known beforehand.
        """
        model = _alone(node, inputs, opset)
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph.output
        sizes = [[dim.dim_value if dim.HasField("dim_value") else -1 for dim in v.type.tensor_type.shape.dim]
                 for v in inferred if v.type.tensor_type.HasField("shape")]  # fmt: skip
        elements = sum(int(np.prod(size, dtype=object)) for size in sizes)
        if len(sizes) < len(inferred) or any(n < 0 for size in sizes for n in size):
            raise CheckpointError(f"the size of {node.op_type} ({node.output[0]}) is not known before it is run")
        slow = node.op_type in ONE_BY_ONE and inputs[1].size > MOST_ONE_BY_ONE
        if slow or node.op_type in PRODUCTS and _products(node, inputs, elements) > MOST_PRODUCTS:
            raise CheckpointError(f"{node.op_type} ({node.output[0]}) takes more time than a generator may")
        if not many and 4 * elements > MOST_BYTES_A_CLIP:
            raise CheckpointError(f"{node.op_type} ({node.output[0]}) makes more than a generator may take")
        self.count(elements * many * max([x.itemsize for x in inputs if x is not None], default=1), node)
        begin = time.thread_time()  # a busy machine is no reason to refuse a file
        with np.errstate(all="ignore"):
            results = onnx.reference.ReferenceEvaluator(model).run(
                None, {f"x{i}": value for i, value in enumerate(inputs) if value is not None}
            )
        self._seconds += time.thread_time() - begin
        results = [single(np.asarray(result)) for result in results]
        return results if many else results[0]

    def _body(self, node, inputs, opset):
        """The nodes that a node is made of, and the opset of each: of the file's own function, or of the standard's."""
        named = f"{node.domain + '.' if node.domain else ''}{node.op_type} ({node.output[0]})"
        if function := self.functions.get((node.domain, node.op_type)):
            version = next((o.version for o in function.opset_import if o.domain in ("", "ai.onnx")), opset)
            given = {a.name: a for a in (*function.attribute_proto, *node.attribute)}
            names = dict(zip((*function.input, *function.output), (*node.input, *node.output)))
            return [(_renamed(inner, names, node.output[0], given), version) for inner in function.node]
        if node.op_type in RANDOM:
            raise CheckpointError(
                f"the operation {named} draws random numbers, so a latent vector has no sound of its own; export it "
                "with the noise as an input, or without it"
            )
        for version in (opset, EXPANDING):
            try:
                model = _alone(node, [x if x is None or not tf.is_tensor(x) else x[0] for x in inputs], opset)
                if version > opset:
                    model = onnx.version_converter.convert_version(model, version)
                model = onnx.inliner.inline_selected_functions(model, [("", op) for op in WRITTEN], True, True)
            except Exception:  # noqa: S112, the standard has no such operation, or no body of it
                continue
            nodes = model.graph.node
            if any(inner.op_type != node.op_type for inner in nodes):
                names = {f"x{i}": name for i, name in enumerate(node.input)}
                names |= {f"y{i}": name for i, name in enumerate(node.output)}
                weights = [helper.make_node("Constant", [], [w.name], value=w) for w in model.graph.initializer
                           if w.name not in names]  # fmt: skip
                return [(_renamed(inner, names, node.output[0], {}), version) for inner in (*weights, *nodes)]
        raise CheckpointError(
            f"the operation {named} is not one that a generator may use; nothing of it was run"
            + (" (it repeats or chooses what to run)" if node.op_type in ("Loop", "Scan", "If") else "")
        )


class Call:
    """One node: its attributes, its inputs, and access to the other order of their axes. A node whose inputs are known
    and that is not FOLDED has its first input as a tensor, but for those that take arrays.
    """

    def __init__(self, building, node, inputs, opset):
        self.building, self.node, self.inputs, self.opset = building, node, list(inputs), opset
        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}

    def __getitem__(self, name):
        return self.attributes[name]

    def get(self, name, default=None):
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def refuse(self, what):
        raise CheckpointError(f"{self.node.op_type} ({self.node.output[0]}): {what} is not supported")

    def has(self, i):
        return i < len(self.inputs) and self.inputs[i] is not None

    def known(self, i, default=None):
        """Input i as a NumPy array; `default` where there is none."""
        if not self.has(i):
            return default
        if tf.is_tensor(self.inputs[i]):
            self.refuse(f"an input {self.node.input[i]} that depends on the latent vector")
        return self.inputs[i]

    def tensor(self, i):
        """Input i as a tensor [n, …], repeated for all clips if it is an array."""
        x = self.inputs[i]
        if tf.is_tensor(x):
            return x
        repeated = tf.tile(tf.constant(x[None]), tf.stack([self.building.clips] + [1] * x.ndim))
        return tf.ensure_shape(repeated, [None, *x.shape])

    def aligned(self):
        """Its inputs for an operation number by number."""
        return of_one_rank(*self.inputs)

    def all_last(self):
        """Its inputs with their channels last, if they are kept so or have one element; else None."""
        kept = [self.building.channels_last.get(name) for name in self.node.input]
        ranks = {last.shape.rank for last in kept if last is not None}
        if len(ranks) != 1:
            return None
        values = [x.reshape(()) if not tf.is_tensor(x) and x.size == 1 and x.ndim <= max(ranks) else last
                  for x, last in zip(self.inputs, kept)]  # fmt: skip
        return values if all(value is not None for value in values) else None

    def last(self, i=0):
        """Input i [n, clips of ONNX, channels, …] as [n, …, channels]."""
        kept = self.building.channels_last.get(self.node.input[i])
        if kept is not None:
            return kept
        x = self.tensor(i)
        x = tf.reshape(x, [-1, *x.shape[2:]])
        return tf.transpose(x, to_last(x.shape.rank)) if x.shape.rank > 2 else x

    def from_last(self, x):
        """A result [n, …, channels] as ONNX has it; both are kept. ONNX's first axis is that of the first input."""
        clips = shape_of(self.inputs[0])[0] if tf.is_tensor(self.inputs[0]) else 1
        self.building.channels_last[self.node.output[0]] = x
        x = tf.transpose(x, to_first(x.shape.rank)) if x.shape.rank > 2 else x
        return tf.reshape(x, [-1, clips, *x.shape[1:]])


def _alone(node, inputs, opset):
    """A model of one node, of inputs x0, x1, … and outputs y0, y1, …, its attributes with their defaults. Small inputs
    are part of it, so that shapes follow from them."""
    copy, known = onnx.NodeProto(), [i for i, x in enumerate(inputs) if x is not None]
    copy.CopyFrom(node)
    copy.input[:] = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    copy.output[:] = [f"y{i}" if name else "" for i, name in enumerate(node.output)]
    given = {attribute.name for attribute in node.attribute}
    schema = onnx.defs.get_schema(node.op_type, opset, "")
    copy.attribute.extend(
        a.default_value for name, a in schema.attributes.items() if name not in given and a.default_value.name
    )
    arrays = {f"x{i}": inputs[i] for i in known if not tf.is_tensor(inputs[i]) and inputs[i].size <= SMALL}
    model = helper.make_graph(
        [copy],
        "alone",
        [helper.make_tensor_value_info(f"x{i}", _type_of(inputs[i]), list(inputs[i].shape)) for i in known],
        [onnx.ValueInfoProto(name=name) for name in copy.output if name],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(model, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def _type_of(x):
    return helper.np_dtype_to_tensor_dtype(np.dtype(x.dtype.as_numpy_dtype if tf.is_tensor(x) else x.dtype))


def _renamed(node, names, prefix, given):
    """A copy of a body's node. names: {name in the body: that outside}; others get a prefix. given: {name: attribute}
    of the node that calls, for those of the body that refer to one."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, f"{prefix}/{name}") if name else "" for name in node.input]
    copy.output[:] = [names.get(name, f"{prefix}/{name}") if name else "" for name in node.output]
    del copy.attribute[:]
    for attribute in node.attribute:
        if attribute.ref_attr_name and attribute.ref_attr_name not in given:
            continue
        new = copy.attribute.add()
        new.CopyFrom(given[attribute.ref_attr_name] if attribute.ref_attr_name else attribute)
        new.name = attribute.name
    return copy


def _products(node, inputs, elements):
    """How many multiplications a product of matrices takes, at most."""
    if node.op_type == "Einsum":
        return int(np.prod([x.size for x in inputs if x is not None], dtype=object))
    return elements * (inputs[0].shape[-1] if node.op_type == "MatMul" else max(inputs[0].shape))
