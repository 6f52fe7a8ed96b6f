"""Writes small generators as other software does, each with the sound that it makes of them, for the setting `exported`
of benchmarks/generators.py. It runs in an environment of its own, which has what is to be tried: torch and onnxscript,
or tf_keras, or keras, tf2onnx and onnxruntime; rows whose software is missing are left out. Imports nothing here.

    python benchmarks/exporters.py FOLDER
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np

LATENT, STEPS, CHANNELS, CLIPS = 8, 32, 8, 4
LABELS, LABEL = 4, 2


def vectors():
    return np.random.default_rng(1).uniform(-1, 1, (CLIPS, LATENT)).astype(np.float32)


def torch_generators():
    """{kind: (module, what it takes besides z)} of PyTorch, z [1, 8] → [1, 1, 512]."""
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch.nn.utils.parametrizations import spectral_norm, weight_norm

    torch.manual_seed(0)

    class Generator(nn.Module):
        """Dense, two times four samples, between them what is tried."""

        def __init__(self, middle, up=None, wrap=lambda layer: layer, last=None):
            super().__init__()
            self.dense = nn.Linear(LATENT, CHANNELS * STEPS)
            self.up = up or wrap(nn.ConvTranspose1d(CHANNELS, CHANNELS, 9, 4, 3, 1))
            self.middle = middle
            self.last = last or wrap(nn.ConvTranspose1d(CHANNELS, 1, 9, 4, 3, 1))

        def forward(self, z, *more):
            x = F.leaky_relu(self.dense(z).view(-1, CHANNELS, STEPS), 0.2)
            x = self.middle(self.up(x), *(more or [z])) if getattr(self.middle, "takes", 0) else self.middle(self.up(x))
            return torch.tanh(self.last(x))

    class Made(nn.Module):
        """A module of a function and its parameters."""

        def __init__(self, function, takes=0, **parts):
            super().__init__()
            self.function, self.takes = function, takes
            for name, part in parts.items():
                setattr(self, name, part)

        def forward(self, *inputs):
            return self.function(self, *inputs)

    def modulated(self, x, z):
        weight = self.weight[None] * self.style(z)[:, None, :, None]
        weight = weight * torch.rsqrt((weight**2).sum([2, 3], keepdim=True) + 1e-6)
        n, out, channels, taps = weight.shape
        return F.conv1d(x.reshape(1, n * channels, -1), weight.reshape(n * out, channels, taps), padding=1, groups=n
                        ).reshape(n, out, -1)  # fmt: skip

    def attention(self, x):
        q, k, v = (layer(x) for layer in (self.q, self.k, self.v))
        return x + torch.bmm(v, torch.softmax(torch.bmm(q.transpose(1, 2), k), -1).transpose(1, 2))

    def transformer(self, x):
        y = self.norm(x.transpose(1, 2))
        return x + self.heads(y, y, y, need_weights=False)[0].transpose(1, 2)

    def recurrent(self, x):
        return self.layer(x.transpose(1, 2))[0].transpose(1, 2)

    def upsampled():
        return nn.Sequential(nn.ConvTranspose1d(CHANNELS, CHANNELS, 9, 4, 3, 1), nn.ReLU())

    def one_hot(self, x, label):
        return x + self.table(F.one_hot(label, LABELS).float())[:, :, None]

    def projected(self, x, label):
        return x * torch.einsum("bk,kc->bc", F.one_hot(label, LABELS).float(), self.table)[:, :, None]

    frames, hop = 64, 16

    def inverse_stft(self, x):
        real, imaginary = self.real(x), self.imaginary(x)
        y = torch.complex(real, imaginary)
        return torch.istft(y, frames, hop, window=self.window, center=True)[:, None]

    conv = nn.Conv1d
    rows = {
        "weight_norm": Generator(nn.ReLU(), wrap=weight_norm),
        "spectral_norm": Generator(nn.ReLU(), wrap=spectral_norm),
        'nn.Upsample(mode="linear")': Generator(nn.ReLU(), up=nn.Upsample(scale_factor=4, mode="linear")),
        "GroupNorm": Generator(nn.Sequential(nn.GroupNorm(2, CHANNELS), nn.ReLU())),
        "InstanceNorm": Generator(nn.Sequential(nn.InstanceNorm1d(CHANNELS, affine=True), nn.ReLU())),
        "LayerNorm, multi-head attention": Generator(
            Made(transformer, norm=nn.LayerNorm(CHANNELS), heads=nn.MultiheadAttention(CHANNELS, 2, batch_first=True))
        ),
        "Snake": Generator(Made(lambda self, x: x + torch.sin(self.a * x) ** 2 / self.a,
                                a=nn.Parameter(torch.rand(CHANNELS, 1) + 0.5))),
        "pixel norm": Generator(Made(lambda self, x: x * torch.rsqrt((x**2).mean(1, keepdim=True) + 1e-4))),
        "modulated convolution": Generator(
            Made(modulated, 1, weight=nn.Parameter(torch.randn(CHANNELS, CHANNELS, 3)),
                 style=nn.Linear(LATENT, CHANNELS))
        ),
        "self-attention": Generator(Made(attention, **{name: conv(CHANNELS, CHANNELS, 1) for name in "qkv"})),
        "GELU": Generator(nn.GELU()),
        "GELU, tanh": Generator(nn.GELU("tanh")),
        "Softplus": Generator(nn.Softplus()),
        "clamp": Generator(Made(lambda self, x: torch.clamp(x, max=0.3))),
        "F.one_hot": Generator(Made(one_hot, 1, table=nn.Linear(LABELS, CHANNELS))),
        "projection by label": Generator(Made(projected, 1, table=nn.Parameter(torch.rand(LABELS, CHANNELS) + 0.5))),
        "LSTM": Generator(upsampled(), up=Made(recurrent, layer=nn.LSTM(CHANNELS, CHANNELS, batch_first=True))),
        "GRU": Generator(upsampled(), up=Made(recurrent, layer=nn.GRU(CHANNELS, CHANNELS, batch_first=True))),
        "inverse STFT": Generator(nn.ReLU(), up=nn.Identity(), last=Made(
            inverse_stft, real=conv(CHANNELS, frames // 2 + 1, 1), imaginary=conv(CHANNELS, frames // 2 + 1, 1),
            window=nn.Parameter(torch.hann_window(frames), requires_grad=False))),
    }  # fmt: skip
    return {kind: module.eval() for kind, module in rows.items()}


def write_torch(folder):
    import torch

    z, label = torch.tensor(vectors()), torch.tensor([LABEL])
    for kind, module in torch_generators().items():
        labelled = getattr(module.middle, "takes", 0) and "modulated" not in kind
        for exporter, options in (("default", {}), ("old", {"dynamo": False, "opset_version": 17})):
            place = folder / f"{kind}, {exporter} exporter".replace("/", " ")
            inputs = (z[:1], label) if labelled else (z[:1],)
            names = ["z", "label"][: len(inputs)]

            def write(place, module=module, inputs=inputs, names=names, options=options):
                torch.onnx.export(module, inputs, str(place / "generator.onnx"), input_names=names, **options)

            with torch.no_grad():
                sound = torch.cat([module(z[i : i + 1], *inputs[1:]) for i in range(CLIPS)]).numpy()
            keep(place, f"PyTorch {torch.__version__}", write, sound, labelled)


def write_keras_2(folder):
    """Keras 2's two formats, of a model with transposed convolutions."""
    import tf_keras

    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    model = tf_keras.Sequential([
        tf_keras.Input((LATENT,)), layers.Dense(STEPS * CHANNELS), layers.Reshape((STEPS, CHANNELS)),
        layers.BatchNormalization(), layers.LeakyReLU(0.2), layers.Conv1DTranspose(CHANNELS, 9, 4, "same"),
        layers.ReLU(), layers.Conv1DTranspose(1, 9, 4, "same", activation="tanh"),
    ])  # fmt: skip
    for kind in ("h5", "keras"):
        keep(folder / f"Conv1DTranspose, .{kind} of Keras 2", f"Keras {tf_keras.__version__}",
             lambda place, kind=kind: model.save(place / f"generator.{kind}"), model(vectors()).numpy())  # fmt: skip


def write_tf2onnx(folder):
    """Keras 3's own export to ONNX, which is tf2onnx's: crops at run time, and upsampling as Tile."""
    import keras
    import tf2onnx
    from keras import layers

    keras.utils.set_random_seed(0)
    for kind, up in (("Conv1DTranspose", layers.Conv1DTranspose(CHANNELS, 9, 4, "same")),
                     ("UpSampling1D", layers.UpSampling1D(4))):  # fmt: skip
        model = keras.Sequential([
            keras.Input((LATENT,)), layers.Dense(STEPS * CHANNELS), layers.Reshape((STEPS, CHANNELS)),
            layers.LeakyReLU(0.2), up, layers.ReLU(), layers.Conv1DTranspose(1, 9, 4, "same", activation="tanh"),
        ])  # fmt: skip
        keep(folder / f"{kind}, export to ONNX", f"Keras {keras.__version__}, tf2onnx {tf2onnx.__version__}",
             lambda place, model=model: model.export(place / "generator.onnx", format="onnx", verbose=False),
             model(vectors()).numpy())  # fmt: skip


def keep(place, software, write, sound, labelled=False):
    """Writes one generator and beside it, in right.npz, latent vectors, its own software's sound, the label and who
    wrote it; says so where that software fails."""
    place.mkdir(parents=True, exist_ok=True)
    try:
        write(place)
    except Exception as error:  # whatever another's exporter raises
        print(f"{place.name}: {software} cannot write it ({str(error).strip().splitlines()[0][:150]})", flush=True)
        return
    label = LABEL if labelled else -1
    np.savez(place / "right.npz", z=vectors(), sound=sound.reshape(CLIPS, -1, 1), label=label, software=software)
    print(f"{place.name}: {software}", flush=True)


if __name__ == "__main__":
    wanted = {"torch": write_torch, "tf_keras": write_keras_2, "tf2onnx": write_tf2onnx}
    for package, write in wanted.items():
        if importlib.util.find_spec(package):
            write(Path(sys.argv[1]))
