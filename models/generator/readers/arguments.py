"""What WaveGAN's training script was run with: args.txt, a line `key,value` for each option, beside its checkpoints."""

from pathlib import Path

from models.audio.preparation import FASTEST, SLOWEST
from models.files.errors import CheckpointError, shown

ARGUMENTS = "args.txt"
LONGEST = 15  # digits of a number there


def wavegan_arguments(folder):
    """{option: text} of the args.txt in `folder`, or above a folder infer/; {} where there is none, or none that is
    text.
    """
    folder = Path(folder)
    above = folder.name == "infer" and not (folder / ARGUMENTS).exists()
    try:
        lines = ((folder.parent if above else folder) / ARGUMENTS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.partition(",") for line in lines)
    return {key.strip(): value.strip() for key, comma, value in pairs if comma}


def whole_number(folder, key):
    """The whole number that args.txt gives for an option, or None where it gives none. Raises CheckpointError, in one
    line, for what is no whole number from 0 on."""
    text = wavegan_arguments(folder).get(key, "None")
    if text == "None":
        return None
    if not (text.isdecimal() and len(text) <= LONGEST):
        raise CheckpointError(f"{Path(folder) / ARGUMENTS}: {key} is {shown(text)}, not a whole number")
    return int(text)


def trained_rate(folder):
    """The sample rate in Hz that args.txt gives, or None. Raises CheckpointError for one that no generator has."""
    rate = whole_number(folder, "data_sample_rate")
    if rate is not None and not SLOWEST <= rate <= FASTEST:
        raise CheckpointError(
            f"{Path(folder) / ARGUMENTS}: data_sample_rate is {rate:,} Hz, not {SLOWEST:,} to {FASTEST:,}"
        )
    return rate
