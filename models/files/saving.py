"""Small `.keras` files: the kernels as 16-bit floats on disk, 32-bit again once loaded.

A Keras file is a zip of a configuration and an HDF5 file of arrays, and loading casts every array to the type that its
variable has. So halving the arrays halves the file and nothing else has to know. Vectors (biases, batch statistics,
whose range 16 bits may not hold) stay as they are.
"""

import io
import tempfile
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np

from models.files.errors import first_line
from models.files.writing import written_whole

ARRAYS = "model.weights.h5"  # the member of a .keras file that holds the arrays


def _halved(content):
    """The HDF5 file `content` with every array of two or more dimensions as float16."""
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as h5:
        kernels = []
        h5.visititems(
            lambda name, item: kernels.append(name) if isinstance(item, h5py.Dataset) and item.ndim > 1 else None
        )
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused
            arrays = {name: h5[name][()].astype(np.float16) for name in kernels}
        if unfit := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
            raise ValueError(f"weights too large for 16 bits: {', '.join(unfit)}")
    fresh = io.BytesIO()  # deleting inside an HDF5 file does not free its space
    with h5py.File(io.BytesIO(content), "r") as h5, h5py.File(fresh, "w") as small:

        def copy(name, item):
            if isinstance(item, h5py.Group):
                target = small.require_group(name)
            else:
                target = small.create_dataset(name, data=arrays[name] if name in arrays else item[()])
            for key, value in item.attrs.items():
                target.attrs[key] = value

        h5.visititems(copy)
    return fresh.getvalue()


def save_network(network, path):
    """Writes a Keras model, without its optimizer, to `path` (ending in .keras), kernels as float16; whole or not at
    all.

    Raises ValueError if a weight is not finite or does not fit into 16 bits.
    """
    bare = type(network).from_config(network.get_config())  # not compiled: nothing of the training goes into the file
    bare.set_weights(network.get_weights())
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "network.keras"
        bare.save(whole)
        with zipfile.ZipFile(whole) as source, written_whole(path) as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
                for name in source.namelist():
                    content = source.read(name)
                    target.writestr(name, _halved(content) if name == ARRAYS else content)


def load_network(path, what):
    """The network that `save_network` wrote to `path`. what: it should be, for the messages.

    Raises FileNotFoundError if it is not there, ValueError if it cannot be read or holds weights that are not finite;
    one line each.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: no {what} there")
    try:
        network = keras.models.load_model(path, compile=False)
    except Exception as error:  # what a damaged file leads to is of many kinds: zipfile, zlib, h5py, Keras, JSON
        cause = first_line(error)
        raise ValueError(f"{path}: not a readable {what} ({cause})") from error
    if not all(np.isfinite(variable.numpy()).all() for variable in network.variables):
        raise ValueError(f"{path}: weights that are not finite in it")
    return network
