"""A generator that takes a label, or another condition, besides its latent vector."""

import hashlib
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from models.files.errors import CheckpointError, first_line
from models.generator.facts import PUBLISHED_FACTS
from models.generator.generator import Generator, Value
from models.generator.inlining import inlined

# Operations behind which a label is still the label, and those that look it up: where the number of labels stands.
PASSING = frozenset("Identity Cast Reshape Squeeze ExpandDims StridedSlice Snapshot EnsureShape Tile SelectV2".split())
TABLES = {"GatherV2": 0, "Gather": 0, "ResourceGather": 0, "OneHot": 1}  # the input that has as many rows
MOST_CONDITION = 4096  # numbers in one condition


@dataclass(frozen=True)
class LabelInput:
    """A generator's second input. name: as the file calls it. shape: of one label, () or (1,) for a number, (k,) for a
    one-hot vector of k labels or a condition of k numbers. dtype: a tf.DType.
    """

    name: str
    shape: tuple
    dtype: tf.DType

    def __post_init__(self):
        if len(self.shape) > 1 or any(size is None or not 0 < size <= MOST_CONDITION for size in self.shape):
            raise CheckpointError(
                f"its input {self.name} has shape [n, {self.shape}]; a label is [n], [n, 1] or [n, k]"
            )
        if not (self.dtype.is_floating or self.dtype.is_integer):
            raise CheckpointError(f"its input {self.name} is {self.dtype.name}; a label is a number")

    @property
    def is_vector(self):
        return self.shape not in ((), (1,))


class LabelledGenerator(Value):
    """A generator of a latent vector and a label; `with_label` makes it a Generator of the latent vector alone.

    num_labels: labels are 0 … num_labels - 1; None where the file does not say (a number that enters a layer).
    latent_dim, description, sha256: as a Generator's; num_samples and num_channels, too, are those of its first label.

    function: z [n, latent_dim] and labels [n, *label.shape] → waveforms, as tf.function takes it or a
    tf.ConcreteFunction. label: LabelInput. batch: 1 for a function of one latent vector at a time.
    """

    takes_label = True

    def __init__(
        self, function, latent_dim, label, description, sha256, facts=PUBLISHED_FACTS, check_derivative=True, batch=None
    ):
        self.latent_dim, self.label, self.description, self.sha256 = latent_dim, label, description, sha256
        self._describe(facts)
        self._check_derivative, self._batch = check_derivative, batch
        self.function = function  # keeps its variables alive
        signature = [tf.TensorSpec([batch, latent_dim]), tf.TensorSpec([batch, *label.shape], label.dtype)]
        self._function = inlined(tf.function(function, input_signature=signature).get_concrete_function())
        self.num_labels = label.shape[0] if label.is_vector else _rows(self._function.graph, self._function.inputs[1])
        self._derived = {}

    @property
    def num_samples(self):
        return self.with_label(0).num_samples

    @property
    def num_channels(self):
        return self.with_label(0).num_channels

    def with_label(self, label):
        """The Generator of latent vectors alone whose label is always this one; made once, then kept.

        label: a whole number of 0 … num_labels - 1, which becomes a one-hot vector where the generator takes one; or
        the condition itself, an array of `self.label.shape`. Its sha256 is the weights' and the label's. Raises
        ValueError for a label that the generator does not have, CheckpointError for a generator that cannot be used.
        """
        value = self._value(label)
        return self.derived(("label", value.tobytes()), lambda: self._with(value, label))

    def _with(self, value, label):
        def function(z):
            # The operation itself, as tf.shape is a constant where the function is for one latent vector at a time.
            count = tf.raw_ops.Shape(input=z)[0]
            repeated = tf.tile(tf.constant(value[None]), tf.stack([count] + [1] * value.ndim))
            repeated.set_shape([self._batch, *value.shape])
            return self._function(z, repeated)

        signature = [tf.TensorSpec([self._batch, self.latent_dim])]
        concrete = tf.function(function, input_signature=signature).get_concrete_function()
        sha256 = hashlib.sha256(f"{self.sha256} {value.tolist()}".encode()).hexdigest()
        shown = f"label {label}" if np.ndim(label) == 0 else "a condition"
        description = f"{self.description}, {shown}"
        options = self.facts, self._check_derivative, self
        try:
            generator = Generator(concrete, self.latent_dim, description, sha256, *options)
        except (tf.errors.OpError, TypeError, RuntimeError) as error:
            raise CheckpointError(f"{description}: it cannot be run ({first_line(error)})") from error
        return generator.with_facts(self.warnings, self.rate_is_known)

    def _value(self, label):
        """A label as an array of the shape and type of the generator's second input."""
        array, dtype = np.asarray(label), self.label.dtype.as_numpy_dtype
        if array.ndim and array.shape != self.label.shape:
            raise ValueError(f"the label has shape {list(array.shape)}; this generator takes {list(self.label.shape)}")
        number = array.reshape(-1)
        if not np.isfinite(number.astype(np.float64)).all():
            raise ValueError("the label is not a finite number")
        if self.label.is_vector and array.ndim:
            return number.astype(dtype)
        if self.num_labels is not None and (number[0] != int(number[0]) or not 0 <= number[0] < self.num_labels):
            raise ValueError(f"label {label}: this generator has the labels 0 to {self.num_labels - 1}")
        if self.label.is_vector:
            return np.eye(self.num_labels, dtype=dtype)[int(number[0])]
        return number.astype(dtype).reshape(self.label.shape)


def _rows(graph, label):
    """The number of rows of the table in which a label [n] or [n, 1] is looked up, or None if it is in none."""
    tensors, seen = {label.name}, {label.name}
    while tensors:
        name = tensors.pop()
        for op in graph.get_tensor_by_name(name).consumers():
            if op.type in TABLES and (rows := _table_rows(op)) is not None:
                return rows
            if op.type in PASSING:
                new = {tensor.name for tensor in op.outputs} - seen
                tensors, seen = tensors | new, seen | new
    return None


def _table_rows(op):
    table = op.inputs[TABLES[op.type]]
    if op.type == "OneHot":
        depth = tf.get_static_value(table)
        return None if depth is None else int(depth)
    if table.dtype == tf.resource:
        data = getattr(table, "_handle_data", None)
        return data.shape_and_type[0].shape.dim[0].size if data is not None and data.is_set else None
    return table.shape[0] if table.shape.rank else None
