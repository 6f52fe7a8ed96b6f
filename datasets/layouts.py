"""Finds labelled recordings in the three layouts that people have, and says which split each belongs to.

- SC09:            {train,valid,test}/{Zero…Nine}_{…}.wav
- Speech Commands: one folder a word (zero/ … nine/ are taken), validation_list.txt and testing_list.txt
- FSDD:            {digit}_{speaker}_{take}.wav, takes 0–4 test, from 5 on train; every ninth training take is the validation part
"""

import re
from dataclasses import dataclass
from pathlib import Path

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPLITS = ("train", "valid", "test")
FSDD_NAME = re.compile(r"(\d)_([^_]+)_(\d+)\.wav", re.IGNORECASE)
FSDD_TEST_TAKES = range(5)
FSDD_VALID_TAKES = range(5, 10_000, 9)


@dataclass(frozen=True)
class Recording:
    """One labelled recording: its path, the digit spoken (0 to 9), the speaker ("" where the layout does not say) and the split."""

    path: Path
    digit: int
    speaker: str
    split: str


def _fsdd(folder):
    for path in sorted(folder.glob("*.wav")):
        if match := FSDD_NAME.fullmatch(path.name):
            take = int(match[3])
            split = "test" if take in FSDD_TEST_TAKES else "valid" if take in FSDD_VALID_TAKES else "train"
            yield Recording(path, int(match[1]), match[2], split)


def _sc09(folder):
    for split in SPLITS:
        for path in sorted((folder / split).glob("*.wav")):
            word, _, rest = path.stem.partition("_")
            if word.lower() in DIGITS:
                yield Recording(path, DIGITS.index(word.lower()), rest.partition("_")[0], split)


def _speech_commands(folder):
    listed = {}
    for name, split in (("validation_list.txt", "valid"), ("testing_list.txt", "test")):
        if (folder / name).exists():
            listed.update(dict.fromkeys((folder / name).read_text().split(), split))
    for digit, word in enumerate(DIGITS):
        for path in sorted((folder / word).glob("*.wav")):
            yield Recording(path, digit, path.stem.partition("_")[0], listed.get(f"{word}/{path.name}", "train"))


LAYOUTS = {"SC09": _sc09, "Speech Commands": _speech_commands, "FSDD": _fsdd}


def find_dataset(folder):
    """Recognises the layout of `folder`, or of the first folder right below it that has one.

    Returns (layout, folder, recordings). Raises FileNotFoundError, in one line, where there is none.
    """
    folder = Path(folder)
    below = sorted(p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    for candidate in (folder, *below):
        for layout, find in LAYOUTS.items():
            if recordings := list(find(candidate)):
                return layout, candidate, recordings
    raise FileNotFoundError(f"{folder}: no SC09, Speech Commands or FSDD recordings there; datasets/README.md says how to get some")
