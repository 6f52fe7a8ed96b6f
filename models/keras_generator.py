"""A Keras model as a generator."""

import keras

from models.errors import CheckpointError
from models.generator import Generator, fingerprint


def load_keras(path, preparation):
    try:
        model = keras.models.load_model(path, compile=False)
    except (ValueError, OSError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path}: not a Keras model that loads ({str(error).splitlines()[0]})") from error
    shape = model.input_shape
    if not (isinstance(shape, tuple) and len(shape) == 2 and shape[1]):
        raise CheckpointError(f"{path}: its input has shape {shape}; a generator takes latent vectors [n, latent_dim]")
    sha256 = fingerprint({f"{i} {v.path}": v.numpy() for i, v in enumerate(model.variables)})
    return Generator(lambda z: model(z, training=False), shape[1], f"Keras model {path.name}", sha256, preparation)
