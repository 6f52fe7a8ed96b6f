"""The facts of a generator that its weights do not say: `clip.json`, beside them, or stated in its place."""

import json
import math
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from models.audio.preparation import OUR_RATE, USUAL_RATE, Preparation, is_number
from models.files.errors import first_line, shown
from models.files.writing import written_whole

CLIP = "clip.json"
PRIORS = ("uniform", "normal")
MOST_SAMPLES = 65536  # of a clip
MOST_LABELS = 4096
PART = re.compile(r"(onehot|bits):([1-9]\d{0,3})")  # of a code's layout


@dataclass(frozen=True)
class Facts(Preparation):
    """What a generator's clips, its latent vectors, its inputs and its output are: the contents of `clip.json`.

    bounds: the largest absolute coordinate that a latent vector may have, or infinite ("inf"); 0: 1 for a uniform
    prior, infinite for a normal one. prior: what latent vectors are drawn from, "uniform" on [-1, 1] or "normal" with
    deviation 1. code: the layout of a latent vector that holds a code beside its noise, which alone the bounds concern,
    such as "onehot:10" or "onehot:2,bits:3@end" (models/generator/codes.py), or "". num_samples: of a clip, where a
    WaveGAN's checkpoint leaves that open and no args.txt says it, else 0. label: of a generator that takes one besides
    its latent vector, a whole number from 0 on; None where it is not known. latent, output: what the file calls the
    latent vector and the waveform; "" for its only one, or WaveGAN's name. inputs: what other inputs are, {name: a
    word, a number or several}, as the reader of the format takes it. Raises ValueError, in one line, for anything else.
    """

    bounds: float = 0.0
    prior: str = "uniform"
    code: str = ""
    num_samples: int = 0
    label: int | None = None
    latent: str = ""
    output: str = ""
    inputs: dict = field(default_factory=dict)

    def __post_init__(self):
        super().__post_init__()
        if self.prior not in PRIORS:
            raise ValueError(f"prior is one of {', '.join(PRIORS)}, not {shown(self.prior)}")
        bounds = math.inf if self.bounds == "inf" else self.bounds  # JSON has no number for it
        if not (is_number(bounds) and 0 <= bounds) or math.inf > bounds > 1e6:
            raise ValueError(f'bounds is a number from 0 to 1,000,000 or "inf", not {shown(self.bounds)}')
        by_prior = 1.0 if self.prior == "uniform" else math.inf
        object.__setattr__(self, "bounds", float(bounds) or by_prior)
        layout_of(self.code)
        if not (is_number(self.num_samples, int) and 0 <= self.num_samples <= MOST_SAMPLES):
            raise ValueError(f"num_samples is a whole number from 0 to {MOST_SAMPLES:,}, not {shown(self.num_samples)}")
        if self.label is not None and not (is_number(self.label, int) and 0 <= self.label < MOST_LABELS):
            raise ValueError(f"label is a whole number from 0 to {MOST_LABELS - 1:,} or null, not {shown(self.label)}")
        for name in ("latent", "output"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} is the name of an input or an output, not {shown(getattr(self, name))}")
        if not (isinstance(self.inputs, dict) and all(map(_says_what_an_input_is, self.inputs.values()))):
            raise ValueError(f"inputs is a word, a number or numbers for each name, not {shown(self.inputs)}")

    def write(self, path, generator=""):
        """Writes `clip.json`, whole, with every fact that says something. generator: SHA-256 of the generator that it
        belongs to, "" for whichever lies beside it.
        """
        values = asdict(self) | {"bounds": self.bounds if math.isfinite(self.bounds) else "inf", "generator": generator}
        values["num_samples"] = self.num_samples or None
        with written_whole(path, "w") as file:
            file.write(json.dumps({n: v for n, v in values.items() if v not in ("", None, {})}, indent=2) + "\n")

    def changed(self, stated):
        """These facts with others in their place, {name: value}; of another prior the bounds are that prior's, unless
        they are stated too."""
        return Facts(**asdict(self) | ({"bounds": 0.0} if "prior" in stated else {}) | stated)


NAMES = tuple(one.name for one in fields(Facts))
TEXTS = tuple(one.name for one in fields(Facts) if one.type is str)


def read_facts(path, assumed_rate=USUAL_RATE):
    """Reads `clip.json` → the Facts, and the file's own dictionary, {} where there is none.

    assumed_rate: in Hz, where the file says none; but one that names its generator and no rate was written by this
    project, for 16,384 Hz. Raises ValueError, in one line, if it is not understood.
    """
    path = Path(path)
    if not path.exists():
        return Facts(sample_rate=assumed_rate), {}
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(said, dict):
            raise ValueError("it holds no names with values")
        facts = {name: value for name, value in said.items() if name != "generator"}
        _check_names(facts)
        return Facts(**{"sample_rate": OUR_RATE if said.get("generator") else assumed_rate} | facts), said
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"{path}: not the facts of a generator ({first_line(error)})") from error


def layout_of(code):
    """A code's layout as it is written → its parts, ((kind, size), …), and whether they follow the noise; no parts for
    "". Raises ValueError, in one line, for what is none."""
    text, mark, end = code.partition("@") if isinstance(code, str) else ("", "", "")
    parts = [PART.fullmatch(part.strip()) for part in text.split(",")] if code != "" else []
    if not all(parts) or (mark and end != "end"):
        raise ValueError(f'code is such as "onehot:10", "bits:3" or "onehot:2,onehot:3@end", not {shown(code)}')
    return tuple((part[1], int(part[2])) for part in parts), bool(mark)


def stated_facts(text):
    """Facts as a user states them, "sample_rate=22050,code=onehot:2,bits:3@end" → {name: value}.

    A comma ends a value where a name and = follow. Raises ValueError, in one line, for an unknown name, a name that
    comes twice and a value that is not allowed.
    """
    facts = {}
    for part in re.split(r",(?=\s*\w+\s*=)", text) if text.strip() else ():
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals:
            raise ValueError(f"facts are given as name=value, with commas between them, not {shown(part)}")
        _check_names([name])
        if name in facts:
            raise ValueError(f"{name} is given twice")
        facts[name] = value if name in TEXTS else _parsed(value)
    Facts(**facts)
    return facts


def _check_names(names):
    for name in names:
        if name not in NAMES:
            raise ValueError(f"there is no fact {shown(name)}; there are {', '.join(NAMES)}")


def _says_what_an_input_is(value):
    numbers = value if isinstance(value, list) else [value]
    return isinstance(value, str) or all(is_number(number) for number in numbers)


def _parsed(text):
    """A number, null or inputs as JSON has them; other text as it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


PUBLISHED_FACTS = Facts()
