"""Writes small generators as other software does, each with the sound that it makes of them, for the setting `exported`
of benchmarks/generators.py. It runs in an environment of its own, which has what is to be tried: torch and onnxscript,
or tensorflow, tf_keras, tf2onnx and onnxruntime; rows whose software is missing are left out. Imports nothing here.

    python benchmarks/exporters.py FOLDER
"""

import importlib.util
import json
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
            keep(place, f"PyTorch {torch.__version__}", write, sound, {"label": LABEL} if labelled else {})


def write_torch_details(folder):
    """One of PyTorch's generators in half precision, in several opsets, of latent vectors of three axes and in double
    precision, and for many clips at once."""
    import torch
    from torch import nn

    class Seen(nn.Module):
        """A generator that takes z in another form."""

        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, z):
            return self.module(z.reshape(-1, LATENT).to(self.module.dense.weight.dtype))

    module = torch_generators()["weight_norm"]
    z = torch.tensor(vectors())
    forms = {
        "half precision": (lambda z: z.half(), {}),
        "z of three axes": (lambda z: z[:, None], {}),
        "z in float64": (lambda z: z.double(), {}),
        "64 clips at once": (lambda z: z.repeat(64, 1), {}),
        "opset 11": (lambda z: z, {"dynamo": False, "opset_version": 11}),
        "opset 23": (lambda z: z, {"opset_version": 23}),
    }
    for kind, (form, options) in forms.items():
        seen = Seen(module.half() if kind == "half precision" else module.float())

        def write(place, seen=seen, form=form, options=options):
            torch.onnx.export(seen, (form(z[:1]),), str(place / "generator.onnx"), input_names=["z"], **options)

        with torch.no_grad():
            sound = torch.cat([seen(form(z[i : i + 1]))[:1] for i in range(CLIPS)]).float().numpy()
        keep(folder / f"weight_norm, {kind}", f"PyTorch {torch.__version__}", write, sound)


def keras_model(layers, takes=(LATENT,)):
    """A model of Keras 3 or 2 (its layers are given), z → [512, 1]."""
    keras = importlib.import_module(layers.__name__.split(".")[0])
    keras.utils.set_random_seed(0)
    shape = [layers.Reshape((LATENT,))] if len(takes) > 1 else []
    return as_trained(keras.Sequential([
        keras.Input(takes), *shape, layers.Dense(STEPS * CHANNELS), layers.Reshape((STEPS, CHANNELS)),
        layers.BatchNormalization(), layers.LeakyReLU(0.2), layers.Conv1DTranspose(CHANNELS, 9, 4, "same"),
        layers.ReLU(), layers.Conv1DTranspose(1, 9, 4, "same", activation="tanh"),
    ]))  # fmt: skip


def write_keras_3(folder):
    """Keras 3's format, of latent vectors of two and of three axes, and in half precision."""
    import keras

    for kind, takes in (
        ("Conv1DTranspose", (LATENT,)),
        ("z of three axes", (LATENT, 1)),
        ("half precision", (LATENT,)),
    ):
        keras.mixed_precision.set_global_policy("mixed_float16" if kind == "half precision" else "float32")
        model = keras_model(keras.layers, takes)
        keep(folder / f"{kind}, .keras of Keras 3", f"Keras {keras.__version__}",
             lambda place, model=model: model.save(place / "generator.keras"),
             np.float32(model(vectors().reshape(CLIPS, *takes))))  # fmt: skip
    keras.mixed_precision.set_global_policy("float32")


def write_saved_models(folder):
    """SavedModels of TensorFlow: of one input in several forms, and of a latent vector beside other inputs."""
    import keras
    import tensorflow as tf

    model = keras_model(keras.layers)
    spec = tf.TensorSpec
    noise, features = (np.random.default_rng(i).normal(size=(n, STEPS * CHANNELS)).astype(np.float32) / 4
                       for i, n in ((2, 16), (3, 7)))  # fmt: skip
    condition = [0.2, 0.5, -0.3, 0.9, 0.1, -0.7, 0.4]

    def moved(z, by):  # the first layer's output, moved by what else is taken
        x = model.layers[0](z) + by
        for layer in model.layers[1:]:
            x = layer(x)
        return x

    forms = {  # kind: (function, its signature, its other inputs, facts)
        "z of three axes": (lambda z: model(tf.reshape(z, [-1, LATENT])), [spec([None, 1, 1, LATENT], name="z")], {}),
        "z in float64": (lambda z: model(tf.cast(z, tf.float32)), [spec([None, LATENT], tf.float64, "z")], {}),
        "64 clips at once": (model, [spec([64, LATENT], name="z")], {}),
        "z and noise": (lambda z, noise_: moved(z, noise_ @ noise),
                        [spec([None, LATENT], name="z"), spec([None, 16], name="noise")], {}),
        "z and seven features": (lambda z, features_: moved(z, features_ @ features),
                                 [spec([None, LATENT], name="z"), spec([None, 7], name="features")],
                                 {"inputs": {"features": condition}}),
        "z and truncation": (lambda z, psi: model(psi * z),
                             [spec([None, LATENT], name="z"), spec([], name="psi")], {"inputs": {"psi": 0.8}}),
    }  # fmt: skip
    for kind, (function, signature, facts) in forms.items():
        module = tf.Module()
        module.model, module.noise, module.features = model, tf.constant(noise), tf.constant(features)
        module.call = tf.function(function, input_signature=signature)
        shape, dtype, given = signature[0].shape.as_list()[1:], signature[0].dtype, facts.get("inputs", {})
        z = tf.cast(vectors().reshape(CLIPS, *shape), dtype)
        z = tf.repeat(z, 64 // CLIPS, axis=0) if signature[0].shape[0] == 64 else z
        others = [tf.constant(given.get(s.name, [0.0] * 16), tf.float32) for s in signature[1:]]
        others = [x if x.shape == s.shape else tf.repeat(x[None], CLIPS, axis=0) for x, s in zip(others, signature[1:])]
        sound = module.call(z, *others).numpy()[:: len(z) // CLIPS]
        keep(folder / f"{kind}, SavedModel", f"TensorFlow {tf.__version__}",
             lambda place, module=module: tf.saved_model.save(module, place, module.call), sound, facts)  # fmt: skip


def as_trained(model):
    """A Keras model with weights such as training leaves: none is zero, as Keras's first biases are, without which a
    sound's level and the length of its latent vector cannot be told apart."""
    rng = np.random.default_rng(0)
    model.set_weights([w + rng.uniform(0.05, 0.3, w.shape) * (w.ndim == 1) for w in model.get_weights()])
    return model


def write_keras_2(folder):
    """Keras 2's two formats, of a model with transposed convolutions."""
    import tf_keras

    model = keras_model(tf_keras.layers)
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
        model = as_trained(model)
        keep(folder / f"{kind}, export to ONNX", f"Keras {keras.__version__}, tf2onnx {tf2onnx.__version__}",
             lambda place, model=model: model.export(place / "generator.onnx", format="onnx", verbose=False),
             model(vectors()).numpy())  # fmt: skip


def keep(place, software, write, sound, facts=None):
    """Writes one generator and beside it, in right.npz, latent vectors, its own software's sound and who wrote it, and
    in clip.json what its weights do not say; says so where that software fails."""
    place.mkdir(parents=True, exist_ok=True)
    try:
        write(place)
    except Exception as error:  # whatever another's exporter raises
        print(f"{place.name}: {software} cannot write it ({str(error).strip().splitlines()[0][:150]})", flush=True)
        return
    (place / "clip.json").write_text(json.dumps({"sample_rate": 16000} | (facts or {})))
    np.savez(place / "right.npz", z=vectors(), sound=sound.reshape(CLIPS, -1, 1), software=software)
    print(f"{place.name}: {software}", flush=True)


if __name__ == "__main__":
    wanted = {
        "torch": [write_torch, write_torch_details],
        "tensorflow": [write_keras_3, write_saved_models],
        "tf_keras": [write_keras_2],
        "tf2onnx": [write_tf2onnx],
    }
    for package, writers in wanted.items():
        for write in writers if importlib.util.find_spec(package) else []:
            write(Path(sys.argv[1]))
