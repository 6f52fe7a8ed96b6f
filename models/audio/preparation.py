"""What a generator's clips are like: `clip.json`, beside its weights."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from models.files.writing import written_whole

OUR_RATE = 16384  # Hz, of the paper's scripts and of every generator that this project trained
USUAL_RATE = 16000  # Hz, of nearly all WaveGANs
SLOWEST, FASTEST = 8000, 48000  # Hz
PRIORS = ("uniform", "normal")


@dataclass(frozen=True)
class Preparation:
    """How recordings were prepared for a generator, and what its latent vectors are: the contents of `clip.json`.

    A generator only knows the levels and positions it was trained on, so both are repeated on every recording that it
    shall imitate.

    peak: the largest absolute sample after preparation, in (0, 1]; None multiplies by 1.414 instead, as published.
    position: "start" keeps the recording where it is; "center" moves the middle of its audible part to the middle of
    the clip. shift: the largest random displacement during training, in samples; reading ignores it. sample_rate: in
    Hz, 8,000 to 48,000. bounds: the largest absolute coordinate that a latent vector may have, or infinite; 0: 1 for a
    uniform prior, infinite for a normal one. prior: what latent vectors are drawn from, "uniform" on [-1, 1] or
    "normal" with deviation 1. code: the layout of a latent vector that holds a code beside its noise, which alone the
    bounds concern (models/generator/codes.py), or "". Raises ValueError, in one line, for anything else.
    """

    peak: float | None = None
    position: str = "start"
    shift: int = 0
    sample_rate: int = OUR_RATE
    bounds: float = 0.0
    prior: str = "uniform"
    code: str = ""

    def __post_init__(self):
        object.__setattr__(self, "bounds", float(self.bounds))  # clip.json says "inf", which JSON has no number for
        if self.position not in ("start", "center"):
            raise ValueError(f'position is "start" or "center", not {self.position!r}')
        if self.peak is not None and not 0 < self.peak <= 1:
            raise ValueError(f"peak is in (0, 1] or null, not {self.peak!r}")
        if not (isinstance(self.sample_rate, int) and SLOWEST <= self.sample_rate <= FASTEST):
            raise ValueError(
                f"sample_rate is a whole number from {SLOWEST:,} to {FASTEST:,} Hz, not {self.sample_rate}"
            )
        if not self.bounds >= 0:
            raise ValueError(f'bounds is a number from 0 on or "inf", not {self.bounds}')
        if self.prior not in PRIORS:
            raise ValueError(f"prior is one of {', '.join(PRIORS)}, not {self.prior!r}")
        if not self.bounds:
            object.__setattr__(self, "bounds", 1.0 if self.prior == "uniform" else math.inf)

    def write(self, path, generator=""):
        """Writes `clip.json`, whole. generator: SHA-256 of the generator that it belongs to, "" for whichever lies
        beside it.
        """
        values = asdict(self) | {"bounds": self.bounds if math.isfinite(self.bounds) else "inf"}
        with written_whole(path, "w") as file:
            file.write(json.dumps(values | ({"generator": generator} if generator else {}), indent=2) + "\n")

    @classmethod
    def read(cls, path, assumed_rate=USUAL_RATE):
        """Reads `clip.json` → the Preparation and the SHA-256 of the generator that it belongs to, "" where it names
        none.

        Without such a file the published behaviour. assumed_rate: in Hz, where the file says none; but one that names
        its generator and no rate was written by this project, for 16,384 Hz. Raises ValueError, in one line, if it is
        not understood.
        """
        path = Path(path)
        if not path.exists():
            return cls(sample_rate=assumed_rate), ""
        try:
            values = json.loads(path.read_text())
            generator = str(values.pop("generator", ""))
            return cls(**{"sample_rate": OUR_RATE if generator else assumed_rate} | values), generator
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path}: not a description of how clips were prepared ({error})") from error


PUBLISHED = Preparation()
