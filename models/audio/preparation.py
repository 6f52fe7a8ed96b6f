"""How recordings are prepared for a generator: at the rate, the level and the position of what it was trained on."""

from dataclasses import dataclass

from models.files.errors import shown

OUR_RATE = 16384  # Hz, of the paper's scripts and of every generator that this project trained
USUAL_RATE = 16000  # Hz, of nearly all WaveGANs
SLOWEST, FASTEST = 8000, 48000  # Hz
POSITIONS = ("start", "center")


@dataclass(frozen=True)
class Preparation:
    """How recordings were prepared for a generator, which is repeated on every recording that it shall imitate.

    peak: the largest absolute sample after preparation, in (0, 1]; None multiplies by 1.414 instead, as published.
    position: "start" keeps the recording where it is; "center" moves the middle of its audible part to the middle of
    the clip. shift: the largest random displacement during training, in samples; reading ignores it. sample_rate: in
    Hz, 8,000 to 48,000. Raises ValueError, in one line, for anything else.
    """

    peak: float | None = None
    position: str = "start"
    shift: int = 0
    sample_rate: int = OUR_RATE

    def __post_init__(self):
        if self.position not in POSITIONS:
            raise ValueError(f'position is "start" or "center", not {shown(self.position)}')
        if self.peak is not None and not (is_number(self.peak) and 0 < self.peak <= 1):
            raise ValueError(f"peak is in (0, 1] or null, not {shown(self.peak)}")
        if not (is_number(self.shift, int) and 0 <= self.shift <= FASTEST):
            raise ValueError(f"shift is a whole number from 0 to {FASTEST:,} samples, not {shown(self.shift)}")
        if not (is_number(self.sample_rate, int) and SLOWEST <= self.sample_rate <= FASTEST):
            raise ValueError(
                f"sample_rate is a whole number from {SLOWEST:,} to {FASTEST:,} Hz, not {shown(self.sample_rate)}"
            )


def is_number(value, kind=(int, float)):
    """Whether a value is a number, which a truth value is not. kind: its type."""
    return isinstance(value, kind) and not isinstance(value, bool)


PUBLISHED = Preparation()
