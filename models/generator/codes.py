"""Latent vectors that hold a code beside their noise, as ciwGAN's and fiwGAN's do (Beguš, Neural Networks 2021), and a
generator as a function of the noise alone.

A layout is written "onehot:10", "bits:3" or, of several parts, "onehot:2,onehot:3"; the code comes first, or last with
"@end" behind the whole layout. The rest of a latent vector is noise of the generator's prior.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from models.generator.derived import Keeper
from models.generator.facts import layout_of

FLIPPED = 4  # bits of a part whose flips are looked at, the least certain ones
LARGEST_SCALE = 20.0  # of a code whose scale is free


def draw_latent(rng, shape, prior):
    """Numbers of a prior, "uniform" on [-1, 1] or "normal": float32 of a shape. rng: NumPy's random generator."""
    return (rng.normal(size=shape) if prior == "normal" else rng.uniform(-1, 1, shape)).astype(np.float32)


@dataclass(frozen=True)
class Codes:
    """Where the code of a latent vector lies and which codes are valid.

    parts: of the code, (kind, size), kind "onehot" or "bits". at_end: whether it follows the noise. latent_dim: of the
    latent vector. A code is written as the index of its one-hot or as its bits, "2" or "101", several parts with commas
    between them.
    """

    parts: tuple
    at_end: bool
    latent_dim: int

    @classmethod
    def parsed(cls, layout, latent_dim):
        """The layout written as text; None for "". Raises ValueError, in one line."""
        if not layout:
            return None
        codes = cls(*layout_of(layout), latent_dim)
        if codes.size > latent_dim:
            raise ValueError(f"code {layout!r} takes {codes.size} numbers, the latent vector has {latent_dim}")
        return codes

    @property
    def size(self):
        """Numbers that the code takes."""
        return sum(size for _, size in self.parts)

    @property
    def places(self):
        """Of the code in a latent vector."""
        return slice(self.latent_dim - self.size, None) if self.at_end else slice(0, self.size)

    @property
    def noise(self):
        """The places of the noise in a latent vector."""
        return slice(0, self.latent_dim - self.size) if self.at_end else slice(self.size, None)

    @property
    def mean(self):
        """The mean of all valid codes, float32 [size]."""
        return np.concatenate([np.full(n, 1 / n if kind == "onehot" else 0.5) for kind, n in self.parts]).astype("f")

    def _split(self, code):
        ends = np.cumsum([size for _, size in self.parts])[:-1]
        return np.split(np.asarray(code), ends)

    def text(self, code):
        """A valid code [size], times any scale above 0 → as it is written."""
        words = []
        for (kind, _), part in zip(self.parts, self._split(code)):
            bits = "".join(str(int(bit > part.max() / 2)) for bit in part)
            words.append(str(int(part.argmax())) if kind == "onehot" else bits)
        return ",".join(words)

    def code(self, text):
        """A code as it is written → float32 [size]. Raises ValueError, in one line, for one that this layout lacks."""
        words = [word.strip() for word in str(text).split(",")]
        code = []
        for (kind, size), word in zip(self.parts, words):
            if kind == "onehot" and word.isdecimal() and int(word) < size:
                code += [float(i == int(word)) for i in range(size)]
            elif kind == "bits" and len(word) == size and set(word) <= {"0", "1"}:
                code += [float(bit) for bit in word]
        if len(code) != self.size or len(words) != len(self.parts):
            raise ValueError(f"{text!r} is no code of this layout: it takes {self.wanted()}")
        return np.array(code, np.float32)

    def wanted(self):
        """What a code of this layout looks like, in words."""
        kinds = [f"a number from 0 to {n - 1}" if kind == "onehot" else f"{n} bits" for kind, n in self.parts]
        return " and ".join(kinds) + ", with a comma between them" * (len(kinds) > 1)

    def drawn(self, z, rng):
        """Latent vectors [n, latent_dim] with valid codes, each as likely as any other, in place of theirs."""
        z = np.array(z, np.float32)
        columns = []
        for kind, size in self.parts:
            if kind == "onehot":
                columns.append(np.eye(size, dtype=np.float32)[rng.integers(size, size=len(z))])
            else:
                columns.append(rng.integers(2, size=(len(z), size)).astype(np.float32))
        z[:, self.places] = np.concatenate(columns, axis=1)
        return z

    def same(self, z, other):
        """Whether the codes of latent vectors z and other [n, latent_dim], any numbers, are nearest to the same valid
        one, a tensor [n] of booleans; TensorFlow's counterpart of comparing their texts."""
        pairs = zip(*(tf.split(latent[:, self.places], [size for _, size in self.parts], 1) for latent in (z, other)))
        agree = []
        for (kind, _), (one, two) in zip(self.parts, pairs):
            if kind == "onehot":
                agree.append(tf.argmax(one, 1) == tf.argmax(two, 1))
            else:
                agree.append(tf.reduce_all((one > 0.5) == (two > 0.5), 1))
        return tf.reduce_all(tf.stack(agree), 0)

    def nearest(self, relaxed, count):
        """The valid codes nearest to any numbers [size], nearest first: float32 [at most count, size]."""
        choices = []
        for (kind, size), part in zip(self.parts, self._split(relaxed)):
            if kind == "onehot":
                valid = np.eye(size)[np.argsort(-part, kind="stable")[:count]]
            else:
                unsure = np.argsort(np.abs(part - 0.5), kind="stable")[:FLIPPED]
                valid = np.repeat((part > 0.5)[None].astype(float), 2 ** len(unsure), axis=0)
                valid[:, unsure] = list(itertools.product((0.0, 1.0), repeat=len(unsure)))
            distances = ((valid - part) ** 2).sum(axis=1)
            order = np.argsort(distances, kind="stable")[:count]
            choices.append([(distances[i], valid[i]) for i in order])
        both = [(sum(d for d, _ in chosen), [c for _, c in chosen]) for chosen in itertools.product(*choices)]
        both.sort(key=lambda one: one[0])
        return np.array([np.concatenate(code) for _, code in both[:count]], np.float32)


class Affine(Keeper):
    """A generator as a function of other numbers u [n, k], its latent vectors being z = u @ matrix + offset.

    matrix: [k, latent_dim]. offset: [latent_dim]. What solvers need of a Generator is here with u in place of z; all
    else is the generator's own.
    """

    def __init__(self, generator, matrix, offset):
        self.generator = generator
        self.matrix, self.offset = np.asarray(matrix, np.float32), np.asarray(offset, np.float32)
        self.latent_dim, self.codes = len(self.matrix), None

    def __getattr__(self, name):
        return getattr(self.generator, name)

    def latent(self, u):
        """u [n, k] → latent vectors [n, latent_dim], a tensor."""
        return tf.convert_to_tensor(u, tf.float32) @ self.matrix + self.offset

    def inverse(self, z):
        """Latent vectors [n, latent_dim] → the u [n, k] nearest to theirs."""
        return ((np.asarray(z) - self.offset) @ np.linalg.pinv(self.matrix)).astype(np.float32)

    def __call__(self, u):
        return self.generator(self.latent(u))

    def first_layer(self, u):
        return self.generator.first_layer(self.latent(u))

    def draw(self, rng, n):
        """u [n, k] of latent vectors from the generator's own prior."""
        return self.inverse(self.generator.draw(rng, n))

    def jacobian(self, u, smoothing, directions=None, excerpts=None):
        """As models.generator.generator.Generator.jacobian, by u."""
        z = self.latent(u)
        if directions is not None:
            along = tf.cast(directions, tf.float32) @ self.matrix
            return self.generator.jacobian(z, smoothing, along, excerpts)
        output, tangents, widths = self.generator.jacobian(z, smoothing, None, excerpts)
        return output, tf.einsum("kz,nzs->nks", self.matrix, tangents), widths

    def smoothed(self, u, smoothing, widths, excerpts=None):
        """As models.generator.generator.Generator.smoothed, of u."""
        return self.generator.smoothed(self.latent(u), smoothing, widths, excerpts)


def _unit(generator):
    """The bounds of a coordinate, 1 where there are none."""
    return generator.bounds if np.isfinite(generator.bounds) else 1.0


def relaxed(generator, scale=1.0):
    """The generator with its code free around the mean of all codes, as far as `scale` either way at its bounds, or at
    1 where it has none; made once."""
    return generator.derived(("code relaxed", scale), lambda: _relaxed(generator, scale))


def _relaxed(generator, scale):
    codes = generator.codes
    matrix, offset = np.eye(codes.latent_dim), np.zeros(codes.latent_dim)
    matrix[codes.places] *= scale / _unit(generator)
    offset[codes.places] = scale * codes.mean
    return Affine(generator, matrix, offset)


def held(generator, text, scale=1.0):
    """The generator as a function of its noise, with the code `text` times a scale; made once. scale "free": the scale
    is one more unknown, the last, between 0 and 20 at the generator's bounds."""
    return generator.derived(("code held", text, scale), lambda: _held(generator, text, scale))


def _held(generator, text, scale):
    codes = generator.codes
    matrix, offset = np.eye(codes.latent_dim)[codes.noise], np.zeros(codes.latent_dim)
    code = codes.code(text)
    if scale == "free":
        along = np.zeros((1, codes.latent_dim))
        along[0, codes.places] = code * LARGEST_SCALE / 2 / _unit(generator)
        matrix, scale = np.concatenate([matrix, along]), LARGEST_SCALE / 2
    offset[codes.places] = code * scale
    function = Affine(generator, matrix, offset)
    function.draw = lambda rng, n: draw_latent(rng, (n, function.latent_dim), generator.prior)
    return function
