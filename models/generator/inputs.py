"""What each input of a generator is: its latent vector, noise, a label, or a condition.

Told by what can be told for certain: numbers that are whole, names, and what the user says. Where neither decides,
nothing is guessed: noise that is taken for a latent vector makes every answer wrong.
"""

import re
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.files.errors import CheckpointError
from models.generator.inlining import inlined
from models.generator.labelled import LabelInput

MOST_LATENT = 4096  # numbers that are looked for
MOST_HELD = 2**24  # numbers of an input that is held
LATENT_WORDS = frozenset("z zs latent latents".split())
NOISE_WORDS = frozenset("noise noises eps epsilon".split())
LABEL_WORDS = frozenset("label labels class classes onehot".split())
RECOVERED, LABEL = "recovered", "label"  # what the user may say of an input, besides its numbers
SAY = "say in inputs what it is: NAME=label, NAME=recovered (looked for beside the latent vector), or its numbers"


class Input(NamedTuple):
    """One input. name: as the file calls it. sizes: of its axes behind the clips, None where one is not known. dtype: a
    tf.DType. batch: clips that it is for, None for any number.
    """

    name: str
    sizes: tuple
    dtype: tf.DType
    batch: int | None = None

    def __str__(self):
        return f"{self.name} [{', '.join(['n', *('?' if size is None else str(size) for size in self.sizes)])}]"

    @property
    def numbers(self):
        """How many it has for one clip."""
        return int(np.prod(self.sizes, dtype=object)) if None not in self.sizes else 0

    @property
    def is_vector(self):
        """True for one long axis at most."""
        return self.numbers > 0 and sum(size > 1 for size in self.sizes) <= 1

    def words(self):
        return frozenset(re.findall(r"[a-z]+", self.name.lower().replace("one_hot", "onehot")))


class Roles(NamedTuple):
    """latent: the Inputs that z is made of, side by side; the first is the latent vector. label: an Input or None.
    held: {name: array of an input's sizes}.
    """

    latent: list
    label: Input | None
    held: dict

    @property
    def latent_dim(self):
        return sum(item.numbers for item in self.latent)

    def values(self, z, label, count):
        """{name: tensor [n, *sizes]} of every input, of z [n, latent_dim], labels [n, …] or None, and n, a tensor."""
        parts = tf.split(z, [item.numbers for item in self.latent], axis=1) if len(self.latent) > 1 else [z]
        values = {item.name: tf.cast(part if item.sizes == (item.numbers,) else tf.reshape(part, [-1, *item.sizes]),
                                     item.dtype) for item, part in zip(self.latent, parts)}  # fmt: skip
        for name, array in self.held.items():
            repeated = tf.tile(tf.constant(array[None]), tf.stack([count] + [1] * array.ndim))
            values[name] = tf.ensure_shape(repeated, [z.shape[0], *array.shape])
        return values | ({self.label.name: label} if self.label else {})

    def is_plain(self):
        """True where z is the latent vector as the file takes it, and nothing is held."""
        latent = self.latent[0]
        return len(self.latent) == 1 and not self.held and len(latent.sizes) == 1 and latent.dtype == tf.float32

    def joined(self, function, names):
        """A function of the inputs called `names`, in their order → the tf.ConcreteFunction of z [n, latent_dim], and
        of a label where there is one, its output in float32.
        """
        batch = 1 if self.latent[0].batch == 1 else None

        def run(z, *label):
            values = self.values(z, label[0] if label else None, tf.raw_ops.Shape(input=z)[0])
            return tf.cast(function(*(values[name] for name in names)), tf.float32)

        signature = [tf.TensorSpec([batch, self.latent_dim], name="z")]
        if self.label:
            signature.append(tf.TensorSpec([batch, *self.label.sizes], self.label.dtype, name=self.label.name))
        return inlined(tf.function(run, input_signature=signature, autograph=False).get_concrete_function())


def told_apart(inputs, named="", stated=None):
    """The Roles of Inputs.

    named: which of them is the latent vector; "": the only one of numbers that are not whole, or the only one whose
    name says so. stated: {name: "label", "recovered", or its numbers, one for all or as many as it has} of others.
    Noise that is not mentioned is held at zero. Raises CheckpointError, in one line that lists them, where it is not
    certain what an input is, or where what is stated does not fit.
    """
    stated, shown = dict(stated or {}), ", ".join(map(str, inputs)) or "nothing"
    by_name = {item.name: item for item in inputs}
    if named and named not in by_name:
        raise CheckpointError(f"latent is {named}, its inputs are {shown}")
    if unknown := [name for name in stated if name not in by_name]:
        raise CheckpointError(f"inputs names {unknown[0]}, its inputs are {shown}")
    latent = by_name[named] if named else _latent([i for i in inputs if i.name not in stated], shown)
    parts, label, held = [latent], None, {}
    for item in inputs:
        if item is latent:
            continue
        said = stated.get(item.name)
        if said is None:
            said = _said_by_itself(item, shown)
        if said == LABEL:
            if label is not None:
                raise CheckpointError(
                    f"its inputs are {shown}; one of them can be a label, not {label.name} and {item.name}"
                )
            label = item
        elif said == RECOVERED:
            parts.append(item)
        else:
            held[item.name] = _array(item, said)
    if not all(item.numbers and item.dtype.is_floating for item in parts) or not latent.is_vector:
        raise CheckpointError(f"its inputs are {shown}; a generator takes latent vectors [n, latent_dim]")
    roles = Roles(parts, label, held)
    if roles.latent_dim > MOST_LATENT:
        raise CheckpointError(
            f"its inputs are {shown}; a generator takes latent vectors of {MOST_LATENT:,} numbers at most"
        )
    if label is not None:
        LabelInput(label.name, label.sizes, label.dtype)  # raises CheckpointError for what is no label
    return roles


def _latent(inputs, shown):
    """Which of the inputs is the latent vector."""
    floats = [item for item in inputs if item.dtype.is_floating]
    for candidates in (
        floats,
        [item for item in floats if not item.words() & LABEL_WORDS],
        [item for item in floats if item.words() & LATENT_WORDS],
    ):
        if len(candidates) == 1:
            return candidates[0]
    if not floats:
        raise CheckpointError(f"its inputs are {shown}; a generator takes latent vectors [n, latent_dim]")
    raise CheckpointError(f"its inputs are {shown}: set latent to the name of the latent vector")


def _said_by_itself(item, shown):
    """What an input is that nothing is stated about."""
    if item.dtype.is_integer or item.words() & LABEL_WORDS:
        return LABEL
    if item.words() & NOISE_WORDS and item.numbers:
        return 0.0
    raise CheckpointError(f"its inputs are {shown}, and {item.name} may be anything: {SAY.replace('NAME', item.name)}")


def _array(item, said):
    """An input's numbers as they are stated, in its shape."""
    try:
        array = np.asarray(said, np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise CheckpointError(f"inputs gives {item.name} {said!r}; {SAY.replace('NAME', item.name)}") from None
    if not 0 < item.numbers <= MOST_HELD or array.size not in (1, item.numbers) or not np.isfinite(array).all():
        raise CheckpointError(f"inputs gives {item.name} {array.size} numbers; it is {item}")
    return np.broadcast_to(array, item.numbers).astype(item.dtype.as_numpy_dtype).reshape(item.sizes)
