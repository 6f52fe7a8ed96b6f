"""The compact state of a training run: all that is needed to go on, a few MB, so that it can be kept in version
control.

Weights as 16-bit floats, rounded by half a thousandth at most; without the optimizers' moments and without the moving
average of the generator, which form again within some thousand steps, and without the queue of codes, which is
full again after some dozens.
"""

import numpy as np

from models.files.errors import first_line

STEP = "step"


def _networks(model):
    return [model.generator, model.encoder, *model.discriminators.networks]


def packed(model):
    """A WaveGANTraining's compact state as {name: array}. Raises ValueError for weights that are not finite, or too
    large for 16 bits."""
    arrays = {STEP: np.int64(model.step)}
    for network in _networks(model):
        for i, weight in enumerate(network.get_weights()):
            with np.errstate(over="ignore"):
                arrays[f"{network.name}/{i}"] = weight.astype(np.float16)
    if bad := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
        raise ValueError(f"weights are not finite, or too large for 16 bits: {', '.join(bad)}")
    return arrays


def unpack(model, arrays):
    """Sets a WaveGANTraining to a compact state. Raises ValueError, in one line, for the state of other networks."""
    try:
        for network in _networks(model):
            network.set_weights([arrays[f"{network.name}/{i}"] for i in range(len(network.get_weights()))])
        model.start_from(int(arrays[STEP]))
    except (KeyError, ValueError) as error:
        raise ValueError(f"not the state of these networks ({first_line(error)})") from error


def read_state(path):
    """The arrays of a compact state from an .npz file. Raises ValueError, in one line, for a file that is none."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            state = {name: arrays[name] for name in arrays.files}
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # zipfile, zlib, NumPy and the system raise whatever the damage leads to
        raise ValueError(f"{path}: damaged, not the state of a training run ({type(error).__name__})") from error
    if STEP not in state or not all(np.isfinite(array).all() for array in state.values()):
        raise ValueError(f"{path}: not the state of a training run, or not finite")
    return state
