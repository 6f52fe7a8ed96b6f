"""How recordings were prepared for a generator: `clip.json`, beside its weights."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from models.files.writing import written_whole


@dataclass(frozen=True)
class Preparation:
    """How recordings were prepared for a generator: the contents of `clip.json` beside its weights.

    A generator only knows the levels and positions it was trained on, so both are repeated on every recording that it
    shall imitate.

    peak: the largest absolute sample after preparation, in (0, 1]; None multiplies by 1.414 instead, as published.
    position: "start" keeps the recording where it is; "center" moves the middle of its audible part to the middle of
    the clip. shift: the largest random displacement during training, in samples; reading ignores it.
    """

    peak: float | None = None
    position: str = "start"
    shift: int = 0

    def __post_init__(self):
        if self.position not in ("start", "center"):
            raise ValueError(f'position is "start" or "center", not {self.position!r}')
        if self.peak is not None and not 0 < self.peak <= 1:
            raise ValueError(f"peak is in (0, 1] or null, not {self.peak!r}")

    def write(self, path, generator=""):
        """Writes `clip.json`, whole. generator: SHA-256 of the generator that it belongs to, "" for whichever lies
        there.
        """
        with written_whole(path, "w") as file:
            file.write(json.dumps(asdict(self) | ({"generator": generator} if generator else {}), indent=2) + "\n")

    @classmethod
    def read(cls, path):
        """Reads `clip.json` → the Preparation and the SHA-256 of the generator that it belongs to, "" where it names
        none.

        Without such a file the published behaviour. Raises ValueError, in one line, if it is not understood.
        """
        path = Path(path)
        if not path.exists():
            return cls(), ""
        try:
            values = json.loads(path.read_text())
            generator = str(values.pop("generator", ""))
            return cls(**values), generator
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path}: not a description of how clips were prepared ({error})") from error


PUBLISHED = Preparation()
