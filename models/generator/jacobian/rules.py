"""How each operation of a graph is differentiated in forward mode: which are linear, and rules for the others."""

import numpy as np
import tensorflow as tf

from models.generator.jacobian.graph_walk import parameters

# Linear in the inputs at these positions; the others are shapes, axes and weights.
LINEAR = {
    **dict.fromkeys("Identity Reshape Transpose Squeeze ExpandDims StridedSlice Slice Pad MirrorPad".split(), (0,)),
    **dict.fromkeys("Conv2D Conv3D DepthwiseConv2dNative AvgPool Sum Mean Neg Cast Tile BroadcastTo".split(), (0,)),
    **dict.fromkeys("ResizeNearestNeighbor ResizeBilinear ResizeBicubic ResizeArea".split(), (0,)),
    **dict.fromkeys("SpaceToDepth DepthToSpace SpaceToBatchND BatchToSpaceND GatherV2 Gather Cumsum".split(), (0,)),
    **dict.fromkeys("ReverseV2 Roll SplitV Unpack Snapshot PreventGradient EnsureShape CheckNumerics".split(), (0,)),
    **dict.fromkeys("Conv2DBackpropInput Conv3DBackpropInputV2 DepthwiseConv2dNativeBackpropInput".split(), (2,)),
    "Split": (1,),
}
JOINTLY_LINEAR = frozenset("Add AddV2 Sub BiasAdd AddN ConcatV2 Pack".split())  # in all inputs that are no axis
BILINEAR = frozenset("MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 Einsum".split())
# Functions of one number. The first are defined for every number, so they can be averaged over noise.
AVERAGED = frozenset("Tanh Sigmoid Softplus Softsign Elu Selu Sin Cos Erf".split())
ELEMENTWISE = AVERAGED | frozenset("Exp Expm1 Log Log1p Sqrt Rsqrt Square Reciprocal Inv Sinh Cosh Atan Erfc".split())
SHAPES = frozenset("Shape ShapeN Size Rank ZerosLike OnesLike".split())  # depend on the number of clips alone
# Without a derivative: what is compared or rounded, for Select and the like, and what is held fixed on purpose.
COMPARISONS = frozenset(
    "Greater GreaterEqual Less LessEqual Equal NotEqual Floor Ceil Round Sign IsNan IsInf IsFinite StopGradient".split()
)


NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(7)  # of the normal distribution
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def _with_slope(op, x):
    """A function of one number at x → its values and its derivative, by TensorFlow."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = getattr(tf.raw_ops, op.type)(**parameters(op, [x]))
    return y, tape.gradient(y, x, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def averaged(op, x, deviation=None):
    """A function of one number → its mean and the mean of its derivative over normal noise of this deviation around x.

    Averages differences to the value at x, so that without noise nothing is rounded.
    """
    y, slope = _with_slope(op, x)
    if deviation is None:
        return y, slope
    nodes, weights = (np.reshape(a, [-1] + [1] * x.shape.rank).astype(np.float32) for a in (NODES, WEIGHTS))
    values, slopes = _with_slope(op, x + nodes * deviation)  # [7, *x.shape]
    mean, mean_slope = (a + tf.reduce_sum(weights * (b - a), axis=0) for a, b in ((y, values), (slope, slopes)))
    return mean, mean_slope


def scaled(width, smoothing, x):
    """A width [n, m, …] times the smoothing [n] of its clip, in the shape of x [n m, …]."""
    return tf.reshape(tf.reshape(smoothing, [-1] + [1] * (width.shape.rank - 1)) * width, [-1, *x.shape[1:]])


def positive_part(x, deviation):
    """E max(x, 0) and the probability of x > 0, for normal x of this mean and deviation; 0 averages nothing."""
    score = x / (deviation + 1e-20)
    probability = 0.5 * (1 + tf.math.erf(score / np.sqrt(2)))
    mean = x * probability + deviation * tf.exp(-0.5 * score**2) / np.sqrt(2 * np.pi)
    noisy = deviation > 0
    return tf.where(noisy, mean, tf.nn.relu(x)), tf.where(noisy, probability, tf.cast(x > 0, tf.float32))


def _larger(at, values, tangents):
    """Of two operands, one or both with tangents: E max(a - b, 0), and the probability of a > b."""
    t = [tangent if tangent is None or sign > 0 else -tangent for tangent, sign in zip(tangents, (1, -1))]
    difference = values[0] - values[1]
    total = sum(tangent for tangent in t if tangent is not None)
    return at.positive_part(difference, tf.broadcast_to(total, [tf.shape(total)[0], *difference.shape[1:]]))


def _maximum(op, at, values, tangents):
    excess, first = _larger(at, values, tangents)
    return values[1] + excess, (first, 1 - first)


def _minimum(op, at, values, tangents):
    excess, first = _larger(at, values, tangents)
    return values[0] - excess, (1 - first, first)


def _leaky(slope):
    """max(x, 0) - slope * max(-x, 0), as slope * x + (1 - slope) * max(x, 0)."""

    def rule(op, at, values, tangents):
        s = slope(op)
        mean, share = at.positive_part(values[0], tangents[0])
        return s * values[0] + (1 - s) * mean, (s + (1 - s) * share,)

    return rule


def _relu6(op, at, values, tangents):
    (low, above), (high, beyond) = (at.positive_part(values[0] - edge, tangents[0]) for edge in (0.0, 6.0))
    return low - high, (above - beyond,)


PARTIAL = {
    "Mul": lambda a, b: (b, a),
    "RealDiv": lambda a, b: (1 / b, -a / b**2),
    "Div": lambda a, b: (1 / b, -a / b**2),
    "SquaredDifference": lambda a, b: (2 * (a - b), 2 * (b - a)),
    "Pow": lambda a, b: (b * a ** (b - 1), a**b * tf.math.log(tf.maximum(a, 1e-30))),
}
# Piecewise linear: the slope is averaged over the noise.
KINKED = {
    "Relu": _leaky(lambda op: 0.0),
    "LeakyRelu": _leaky(lambda op: op.get_attr("alpha")),
    "Abs": _leaky(lambda op: -1.0),
    "Relu6": _relu6,
    "Maximum": _maximum,
    "Minimum": _minimum,
}
