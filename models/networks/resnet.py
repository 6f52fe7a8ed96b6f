"""ResNet-18, -34, -50, -101 and -152 on spectrogram pictures (He et al., arXiv 1512.03385), as the paper's
networks are built.

Every convolution has a bias, and the layers carry the names of the authors' checkpoints: conv1, bn1, layer{1..4},
downsample, fc.
"""

import keras
from keras import layers

from models.audio.clip import NUM_SAMPLES
from models.audio.features import SpectrogramFeatures

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # per stage
BOTTLENECKS = (50, 101, 152)


class _Block(layers.Layer):
    """What both kinds of residual block share: convolutions with batch normalisation, a shortcut, their sum
    through a ReLU.

    The sublayers are attributes conv{i}, bn{i}, downsample_conv, downsample_bn, with the weights of the authors'
    conv{i}, bn{i}, downsample/0 and downsample/1.
    """

    def __init__(self, filters, stride=1, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.stride = filters, stride
        self.depth = 0
        for size, own_stride, own_filters in self.convolutions():
            self.depth += 1
            setattr(
                self,
                f"conv{self.depth}",
                layers.Conv2D(own_filters, size, own_stride, "same", name=f"conv{self.depth}"),
            )
            setattr(self, f"bn{self.depth}", layers.BatchNormalization(name=f"bn{self.depth}"))
        if self.has_projection:
            self.downsample_conv = layers.Conv2D(own_filters, 1, stride, "valid", name="downsample_conv")
            self.downsample_bn = layers.BatchNormalization(name="downsample_bn")

    def build(self, input_shape):
        shape = input_shape
        for i in range(1, self.depth + 1):
            conv, norm = getattr(self, f"conv{i}"), getattr(self, f"bn{i}")
            conv.build(shape)
            shape = conv.compute_output_shape(shape)
            norm.build(shape)
        if self.has_projection:
            self.downsample_conv.build(input_shape)
            self.downsample_bn.build(shape)

    def compute_output_shape(self, input_shape):
        for i in range(1, self.depth + 1):
            input_shape = getattr(self, f"conv{i}").compute_output_shape(input_shape)
        return input_shape

    def call(self, x, training=False):
        shortcut = x
        if self.has_projection:
            shortcut = self.downsample_bn(self.downsample_conv(x), training=training)
        for i in range(1, self.depth + 1):
            x = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x), training=training)
            if i < self.depth:
                x = keras.ops.relu(x)
        return keras.ops.relu(x + shortcut)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "stride": self.stride}


@keras.saving.register_keras_serializable("latent_vector_recovery")
class BasicBlock(_Block):
    """Two 3×3 convolutions: [n, h, w, c] → [n, ceil(h / stride), ceil(w / stride), filters]; a 1×1 shortcut where
    the stride is not 1.
    """

    @property
    def has_projection(self):
        return self.stride != 1

    def convolutions(self):
        return (3, self.stride, self.filters), (3, 1, self.filters)


@keras.saving.register_keras_serializable("latent_vector_recovery")
class Bottleneck(_Block):
    """1×1, 3×3 and 1×1 convolutions to four times the filters, always with a 1×1 shortcut: [n, h, w, c] → [n,
    h/stride, w/stride, 4 filters].
    """

    has_projection = True

    def convolutions(self):
        return (1, 1, self.filters), (3, self.stride, self.filters), (1, 1, 4 * self.filters)


def block_names(depth):
    """Names of the residual blocks of a ResNet in order: layer1_block0, layer1_block1, layer2_block0 …"""
    return [f"layer{stage}_block{block}" for stage, count in enumerate(BLOCKS[depth], 1) for block in range(count)]


def resnet(outputs, *, depth=18, width=64, features="log", activation=None, name=None):
    """A network from waveforms [n, 16384] to [n, outputs] (paper section 3.2).

    depth: 18, 34, 50, 101 or 152. width: filters of the first stage, doubled in each of the next; 64 in the
    paper, fewer for small networks. features: what it sees, see models.audio.features. activation: of the output, for
    example "softmax". Returns a Keras model whose layers' names are those of the authors' checkpoints. Raises
    ValueError for an unknown depth or features.
    """
    if depth not in BLOCKS:
        raise ValueError(f"a ResNet has {', '.join(map(str, BLOCKS))} layers, not {depth!r}")
    block = Bottleneck if depth in BOTTLENECKS else BasicBlock
    waveform = keras.Input((NUM_SAMPLES,), name="waveform")
    # With mixed precision the first and the last layer stay in 32 bits: decibels and latent vectors need them.
    x = SpectrogramFeatures(features, name="features", dtype="float32")(waveform)  # [n, 128, 129, channels]
    x = layers.Conv2D(width, 7, 2, "same", name="conv1")(x)  # [n, 64, 65, f]
    x = layers.BatchNormalization(name="bn1")(x)
    x = layers.ReLU(name="relu1")(x)
    x = layers.MaxPooling2D(3, 2, "same", name="pool1")(x)  # [n, 32, 33, f]
    for block_name in block_names(
        depth
    ):  # [n, 32, 33, f], [n, 16, 17, 2f], [n, 8, 9, 4f], [n, 4, 5, 8f]; bottlenecks four times as many
        stage, index = int(block_name[5]), int(block_name.split("block")[1])
        stride = 2 if stage > 1 and index == 0 else 1
        x = block(width * 2 ** (stage - 1), stride, name=block_name)(x)
    x = layers.GlobalAveragePooling2D(name="average_pool")(x)  # [n, 8f]
    return keras.Model(
        waveform, layers.Dense(outputs, activation, name="fc", dtype="float32")(x), name=name or f"resnet{depth}"
    )
