"""What loaders raise, and an exception or a value in one line."""

LONGEST = 200  # characters of a line; what wraps another exception's text may be a page long
LONGEST_VALUE = 60  # characters of a value that is not allowed; it may be a page long, too


class CheckpointError(ValueError):
    """Weights that cannot be loaded; the message names the file and the cause in one line."""


def first_line(error):
    """The first line of what an exception says, or its name if it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:LONGEST]


def shown(value):
    """A value as a message repeats it: as Python writes it, its middle left out where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a number of thousands of digits"
    half = LONGEST_VALUE // 2
    return text if len(text) <= LONGEST_VALUE else f"{text[:half]}…{text[-half:]} ({len(text):,} characters)"
