"""A frozen generator, whatever it is made of: a differentiable function from latent vectors to waveforms."""

import copy
import functools

import numpy as np
import tensorflow as tf

from models.audio import precision  # noqa: F401
from models.files.errors import CheckpointError, first_line
from models.generator.codes import Codes, draw_latent
from models.generator.derived import Keeper
from models.generator.excerpts import EXCERPTS, ExcerptWaveGAN
from models.generator.facts import PUBLISHED_FACTS
from models.generator.jacobian.forward_mode import ForwardMode
from models.generator.jacobian.graph_walk import UnknownOperation, as_concrete
from models.generator.jacobian.smoothed import Smoothed

BATCH = 64  # waveforms generated, or latent vectors predicted, at once
KEPT = 32  # generators, one for each label or code, of which what was compiled is kept
MOST_CHANNELS = 8  # what has more of them along its shorter axis is a picture and no waveform
# Half the digits of float32: far above rounding, far below what a wrong derivative differs by.
ALLOWANCE = float(np.sqrt(np.finfo(np.float32).eps))
TRIALS, DIRECTIONS = 2, 3  # latent vectors, and directions at each, in which a derivative is checked
ANEW = 4  # times that it is checked at other latent vectors, where the modes differ at all of these


READ_WITH = ("num_samples", "label", "latent", "output", "inputs")  # facts that count at loading only


class Value(Keeper):
    """A generator is a value: its facts and all else that it says of itself stay. `with_facts` gives another.

    facts: models.generator.facts.Facts. warnings: what a user should know about how it was loaded, each a phrase.
    rate_is_known: False where its sample rate was assumed. codes: where its latent vectors hold a code, a
    models.generator.codes.Codes, or None.
    """

    def _describe(self, facts, warnings=(), rate_is_known=True):
        """Sets what the facts say. Raises CheckpointError, in one line, for a code that does not fit."""
        try:
            codes = Codes.parsed(facts.code, self.latent_dim)
        except ValueError as error:
            raise CheckpointError(str(error)) from error
        vars(self).update(facts=facts, codes=codes, warnings=warnings, rate_is_known=rate_is_known)

    def __setattr__(self, name, value):
        if "_derived" in vars(self):  # the last that a constructor sets
            raise AttributeError(f"a generator's {name} stays as it is; with_facts gives a generator of other facts")
        super().__setattr__(name, value)

    def with_facts(self, warnings=None, rate_is_known=None, **facts):
        """Another generator of the same weights with other facts, as models.generator.facts.Facts takes them; what was
        compiled is shared, what was derived is not.

        warnings, rate_is_known: in place of its own, where they are not None. Raises ValueError, in one line, for facts
        that are not allowed, and for those that say how a file is read.
        """
        stated = self.facts.changed(facts)
        if names := [name for name in READ_WITH if getattr(stated, name) != getattr(self.facts, name)]:
            raise ValueError(f"{', '.join(names)}: these facts count when a generator is loaded, and not later")
        other = copy.copy(self)
        warnings = self.warnings if warnings is None else warnings
        other._describe(stated, warnings, self.rate_is_known if rate_is_known is None else rate_is_known)
        vars(other).update(_derived={})
        return other

    @property
    def preparation(self):
        """How recordings are prepared for it, as models.audio.clip takes it: its facts."""
        return self.facts

    @property
    def sample_rate(self):
        """Of its waveforms, in Hz."""
        return self.facts.sample_rate

    @property
    def bounds(self):
        """The largest absolute coordinate that a recovered latent vector may have, or infinite."""
        return self.facts.bounds

    @property
    def prior(self):
        """What its latent vectors are drawn from: "uniform" on [-1, 1], or "normal"."""
        return self.facts.prior


class Generator(Value):
    """A frozen, differentiable generator.

    latent_dim, num_samples, num_channels: the shapes of its input and output.
    description: what it is, for people. sha256: of its variables, whatever form it runs in.
    smooths: whether its Jacobian can be averaged over latent noise; if not, `jacobian` returns the plain one.
    takes_label: False here; True for a models.generator.labelled.LabelledGenerator, whose `with_label` gives one of
    these, in which it is `labelled`.

    function: z [n, latent_dim] → waveforms [n, samples], [n, samples, channels] or [n, channels, samples], or axes of
    length 1 more; a tf.ConcreteFunction, which may be for n = 1 only, or anything that tf.function takes. Called on z
    [n, latent_dim], the generator returns waveforms [n, num_samples, num_channels]. check_derivative: False leaves the
    derivative unchecked, which takes a second, where only sounds are wanted. Raises CheckpointError, in one line, if
    the function's output is no waveform or not finite, or has no derivative that can be relied on.
    """

    takes_label = False

    def __init__(
        self, function, latent_dim, description, sha256, facts=PUBLISHED_FACTS, check_derivative=True, labelled=None
    ):
        self.function, self.latent_dim = function, latent_dim
        self.description, self.sha256, self.labelled = description, sha256, labelled
        self._describe(facts)
        concrete = as_concrete(function, latent_dim)
        one_at_a_time = concrete.inputs[0].shape[0] == 1
        try:
            forward = ForwardMode(concrete)
        except UnknownOperation as error:
            if one_at_a_time:
                raise CheckpointError(
                    f"it takes one latent vector at a time, and cannot be extended to several: {error}"
                ) from error
            forward = None
        self.smooths = forward is not None
        precisions = forward.walk.precisions if forward else {tf.float32}
        rewritten = one_at_a_time or bool(forward and forward.walk.subpixel) or precisions != {tf.float32}
        self._function = forward.walk.compiled() if rewritten else concrete
        self._differentiated = forward.compiled() if forward else tf.function(self._by_tensorflow)
        self._smoothed = Smoothed(forward) if forward else None
        z = tf.constant(random_latent(self, TRIALS, 0))
        output = self._function(z)
        if rewritten:
            rounded = precisions & {tf.float16, tf.bfloat16}  # too much to compare with
            single = self._function if rounded else concrete
            alone = [tf.cast(single(z[i : i + 1]), output.dtype) for i in range(TRIALS)]
            _check_alike(output, tf.concat(alone, axis=0))
        self._order, self.num_samples, self.num_channels = _waveform_axes(output)
        if check_derivative:
            both = (forward.run, forward.walk.run) if forward else (self._differentiated, self._function)
            self._check_derivative(*both)
        self._derived = {}

    def __call__(self, z):
        return self._as_waveform(self._function(tf.convert_to_tensor(z, tf.float32)))

    def draw(self, rng, n):
        """n latent vectors of its prior, no noise beyond its bounds, with valid codes: float32 [n, latent_dim].

        rng: NumPy's random generator.
        """
        z = np.clip(draw_latent(rng, (n, self.latent_dim), self.prior), -self.bounds, self.bounds)
        return self.codes.drawn(z, rng) if self.codes else z

    @property
    def has_first_layer(self):
        """True for a recognised WaveGAN: it can be run from what its first layer gives."""
        return hasattr(self.function, "from_first_layer")

    def first_layer(self, z):
        """z [n, latent_dim] → what the first layer makes of it, after its ReLU: [n, 16, 16d]."""
        return self.function.first_layer(tf.convert_to_tensor(z, tf.float32))

    def from_first_layer(self, x):
        """x [n, 16, 16d], of `first_layer` or near it → waveforms [n, num_samples, num_channels]."""
        return self._as_waveform(self.function.from_first_layer(tf.convert_to_tensor(x, tf.float32)))

    def _as_waveform(self, output):
        """What the function returns, or its tangents → [n, num_samples, num_channels]."""
        if self._order != sorted(self._order):
            output = tf.transpose(output, self._order)
        return tf.reshape(output, (-1, self.num_samples, self.num_channels))

    @property
    def has_excerpts(self):
        """True for a recognised WaveGAN: `jacobian` and `smoothed` can be had for excerpts of its waveforms alone."""
        return self.has_first_layer

    @functools.cached_property
    def _excerpts(self):
        """Excerpts of the waveforms, their derivative and their average; made when they are first asked for, since that
        takes seconds."""
        function, starts = ExcerptWaveGAN(self.function), tf.TensorSpec([None, EXCERPTS], tf.int32)
        forward = ForwardMode(as_concrete(function, self.latent_dim, starts))
        return function, forward.compiled(), Smoothed(forward)

    def excerpt_widths(self, widths, excerpts):
        """The widths of excerpts, int32 [n, EXCERPTS], from those of whole waveforms, as `jacobian` returns both."""
        return self._excerpts[0].widths(widths, excerpts)

    def jacobian(self, z, smoothing, directions=None, excerpts=None):
        """z [n, latent_dim] → waveforms [n, num_samples * num_channels], the derivatives [n, k, num_samples *
        num_channels], and the widths for `smoothed`, a list of arrays [n, …].

        directions: [n, k, latent_dim], along which derivatives are taken; None: along each coordinate. smoothing: [n],
        the standard deviation of the latent noise along each direction over which waveforms and derivatives are
        averaged (models/generator/jacobian/forward_mode.py); 0 averages nothing. excerpts: int32 [n, EXCERPTS], the
        blocks that excerpts begin with (models/generator/excerpts.py), where it `has_excerpts`: all is of these alone,
        num_samples being theirs, at about 40 % of the price; None: of the whole waveforms.
        """
        z, smoothing = tf.convert_to_tensor(z, tf.float32), tf.cast(smoothing, tf.float32)
        if directions is None:
            directions = tf.eye(self.latent_dim, batch_shape=[tf.shape(z)[0]])
        directions = tf.cast(directions, tf.float32)
        if excerpts is not None:
            output, tangents, widths = self._excerpts[1](z, smoothing, directions, excerpts)
            size = output.shape[1] * self.num_channels
            return tf.reshape(output, (-1, size)), tf.reshape(tangents, (-1, tf.shape(directions)[1], size)), widths
        output, tangents, widths = self._differentiated(z, smoothing, directions)
        size = self.num_samples * self.num_channels
        tangents = tf.reshape(self._as_waveform(tangents), (-1, tf.shape(directions)[1], size))
        return tf.reshape(self._as_waveform(output), (-1, size)), tangents, widths

    def smoothed(self, z, smoothing, widths, excerpts=None):
        """z [n, latent_dim] → waveforms [n, num_samples, num_channels] averaged over latent noise as `jacobian` does,
        differentiable.

        widths: from `jacobian` at a latent vector that is not far. excerpts: those that it was asked for; num_samples
        is theirs then. Where the generator's Jacobian cannot be averaged, nor is this.
        """
        if excerpts is not None:
            return self._excerpts[2](z, smoothing, widths, excerpts)
        if not self.smooths:
            return self(z)
        return self._as_waveform(self._smoothed(z, smoothing, widths))

    def _by_tensorflow(self, z, smoothing, directions):
        """As `ForwardMode.compiled`, by TensorFlow's own forward mode and without smoothing, for operations that have
        no rule there.
        """
        k = tf.shape(directions)[1]
        repeated = tf.repeat(z, k, axis=0)  # [n k, latent_dim]
        with tf.autodiff.ForwardAccumulator(repeated, tf.reshape(directions, tf.shape(repeated))) as forward:
            output = self._function(repeated)
        tangents = forward.jvp(output, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return output[::k], tangents, []

    def _check_derivative(self, differentiated, function):
        """Compares forward with reverse mode: both are exact, so where they differ one of them is wrong about an
        operation, and is so everywhere. At one latent vector they also differ where a unit lies within rounding of the
        kink of its ReLU, on whose sides the derivative is another. differentiated, function: as `_differentiated` and
        `_function`, and better not compiled, which takes seconds for hundreds of operations.
        """
        for number in range(1 + ANEW):
            difference = self._modes_differ(tf.constant(random_latent(self, TRIALS, number)), differentiated, function)
            if difference.min() <= ALLOWANCE:
                return
        raise CheckpointError(
            f"forward and reverse mode find derivatives that differ by {difference.min():.2%}, so neither can be "
            "relied on"
        )

    def _modes_differ(self, z, differentiated, function):
        """By how much derivatives of forward and of reverse mode differ at latent vectors z, the most of several random
        directions, relative to their size [TRIALS]. CheckpointError where there is no finite derivative at all."""
        rng = np.random.default_rng(1)
        directions = rng.normal(size=(DIRECTIONS, self.latent_dim)).astype(np.float32)
        weights = rng.normal(size=(TRIALS, 1, self.num_samples, self.num_channels))
        try:
            with tf.GradientTape() as tape:
                tape.watch(z)
                total = tf.reduce_sum(self._as_waveform(function(z)) * weights[:, 0].astype(np.float32))
            gradient = tape.gradient(total, z)
            alike = tf.constant(np.repeat(directions[None], TRIALS, axis=0))
            _, tangents, _ = differentiated(z, tf.zeros(TRIALS), alike)
        except LookupError as error:
            raise CheckpointError(f"one of its operations has no derivative ({first_line(error)})") from error
        if gradient is None:
            raise CheckpointError(
                "its output does not depend on the latent vector in any way that can be differentiated"
            )
        tangents = np.asarray(self._as_waveform(tangents), np.float64).reshape(
            TRIALS, DIRECTIONS, self.num_samples, self.num_channels
        )
        terms = (tangents * weights).reshape(TRIALS, DIRECTIONS, -1)
        forward, reverse = terms.sum(axis=2), np.asarray(gradient, np.float64) @ directions.T.astype(np.float64)
        if not np.isfinite(forward).all() or not np.isfinite(reverse).all():
            raise CheckpointError("its derivative is not finite")
        if not reverse.any():
            raise CheckpointError("its derivative by the latent vector is zero")
        sizes = np.abs(reverse) + np.sqrt((terms**2).sum(axis=2))
        return (np.abs(forward - reverse) / np.maximum(sizes, 1e-30)).max(axis=1)


def _check_alike(several, single):
    """Raises CheckpointError unless the outputs of several latent vectors at once, operation by operation, are those of
    one at a time.
    """
    if several.shape != single.shape or not np.abs(several - single).max() <= ALLOWANCE * np.abs(single).max():
        raise CheckpointError(
            "it takes one latent vector at a time, and what it does to the first axis does not extend to several"
        )


def _waveform_axes(output):
    """Output [TRIALS, …] → the order of its axes that puts time second and channels third, their sizes. CheckpointError
    if it is no waveform.
    """
    shape = tuple(output.shape)
    axes = sorted((axis for axis in range(1, len(shape)) if shape[axis] > 1), key=lambda axis: -shape[axis])
    if (
        len(shape) < 2
        or shape[0] != TRIALS
        or not axes
        or len(axes) > 2
        or (len(axes) == 2 and shape[axes[1]] > MOST_CHANNELS)
    ):
        sizes = ["n" if size == TRIALS and axis == 0 else str(size) for axis, size in enumerate(shape)]
        picture = len(axes) == 2 and shape[axes[1]] > MOST_CHANNELS
        raise CheckpointError(
            f"its output has shape [{', '.join(sizes)}]; a waveform is [n, samples] or [n, samples, channels]"
            + "; what makes spectrograms, as SpecGAN does, or pictures cannot be recovered from" * picture
        )
    if output.dtype != tf.float32:
        raise CheckpointError(f"its output is {output.dtype.name}; a waveform that can be differentiated is float32")
    if not np.isfinite(output).all():
        raise CheckpointError("its output is not finite")
    order = [0, *axes, *(axis for axis in range(1, len(shape)) if axis not in axes)]
    return order, shape[axes[0]], shape[axes[1]] if len(axes) == 2 else 1


def generate(generator, z):
    """Waveforms [n, num_samples, num_channels] of latent vectors [n, latent_dim], in batches."""
    z = np.asarray(z, np.float32)
    return np.concatenate([np.asarray(generator(z[i : i + BATCH])) for i in range(0, len(z), BATCH)])


def random_latent(generator, n, seed):
    """n latent vectors from the generator's prior, no noise beyond its bounds: float32 [n, latent_dim]."""
    rng = np.random.default_rng(seed)
    if hasattr(generator, "draw"):
        return generator.draw(rng, n)
    return draw_latent(rng, (n, generator.latent_dim), "uniform")  # of a network that is being trained


def by_channel(waveforms):
    """Waveforms [n, num_samples, num_channels] as recordings are held: of one channel [n, num_samples]."""
    waveforms = np.asarray(waveforms)
    return waveforms[..., 0] if waveforms.shape[2] == 1 else waveforms
