"""What loaders raise."""


class CheckpointError(ValueError):
    """Weights that cannot be loaded; the message names the file and the cause in one line."""
