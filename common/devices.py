"""Which devices a training run uses: every local GPU, or the ones named."""

import tensorflow as tf


def training_strategy(devices=""):
    """A tf.distribute strategy. devices: names such as "GPU:0,GPU:2", or "" for every GPU there is.

    With one device, or none but the CPU, TensorFlow's default strategy. Raises ValueError for a device that is not there.
    """
    present = [d.name.removeprefix("/device:") for d in tf.config.list_logical_devices()]
    names = [name.strip() for name in devices.split(",") if name.strip()] or [d for d in present if d.startswith("GPU")]
    if missing := [name for name in names if name not in present]:
        raise ValueError(f"devices: {', '.join(missing)} not there; there are {', '.join(present)}")
    return tf.distribute.MirroredStrategy(names) if len(names) > 1 else tf.distribute.get_strategy()
