"""What loaders raise, and an exception in one line."""

LONGEST = 200  # characters of a line; what wraps another exception's text may be a page long


class CheckpointError(ValueError):
    """Weights that cannot be loaded; the message names the file and the cause in one line."""


def first_line(error):
    """The first line of what an exception says, or its name if it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:LONGEST]
