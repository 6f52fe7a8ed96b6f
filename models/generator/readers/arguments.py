"""What WaveGAN's training script was run with: args.txt, a line `key,value` for each option, beside its checkpoints."""

from pathlib import Path

ARGUMENTS = "args.txt"


def wavegan_arguments(folder):
    """{option: text} of the args.txt in `folder`; {} where there is none, or none that is text."""
    try:
        lines = (Path(folder) / ARGUMENTS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.partition(",") for line in lines)
    return {key.strip(): value.strip() for key, comma, value in pairs if comma}


def whole_number(arguments, key):
    """The whole number that args.txt gives for an option, or None."""
    text = arguments.get(key, "")
    return int(text) if text.isdecimal() else None
