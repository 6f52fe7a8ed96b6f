"""Finds labelled recordings in the three layouts that people have, and says which split each belongs to.

- SC09:            {train,valid,test}/{Zero…Nine}_{…}.wav
- Speech Commands: one folder a word (zero/ … nine/ are taken), validation_list.txt and testing_list.txt beside
                   them, or, as Kaggle packs it, beside the folder audio/ that they are in
- FSDD:            {digit}_{speaker}_{take}.wav, takes 0–4 test, from 5 on train; every ninth training take is the
validation part
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from models.audio.decoding import AUDIO_EXTENSIONS
from models.audio.digits import DIGITS

SPLITS = ("train", "valid", "test")
FSDD_NAME = re.compile(r"(\d)_([^_]+)_(\d+)\.wav", re.IGNORECASE)
FSDD_TEST_TAKES = range(5)
FSDD_VALID_TAKES = range(5, 10_000, 9)


@dataclass(frozen=True)
class Recording:
    """One labelled recording: its path, the digit spoken (0 to 9), the speaker ("" where the layout does not say), the
    split, and the name of its data set, which is its layout's.
    """

    path: Path
    digit: int
    speaker: str
    split: str
    dataset: str = ""


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
    lists = folder.parent if folder.name == "audio" else folder
    listed = {}
    for name, split in (("validation_list.txt", "valid"), ("testing_list.txt", "test")):
        if (lists / name).exists():
            listed.update(dict.fromkeys((lists / name).read_text().split(), split))
    for digit, word in enumerate(DIGITS):
        for path in sorted((folder / word).glob("*.wav")):
            yield Recording(path, digit, path.stem.partition("_")[0], listed.get(f"{word}/{path.name}", "train"))


# Another layout: a function folder → Recordings, and a line here; the first that finds any wins.
LAYOUTS = {"SC09": _sc09, "Speech Commands": _speech_commands, "FSDD": _fsdd}


def _folders(folder):
    """`folder`, the folders right below it, and those below them: archives often unpack one level deeper than
    expected.
    """
    yield folder
    below = (
        sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(("_", ".")))
        if folder.is_dir()
        else []
    )
    yield from below
    for child in below:
        yield from sorted(p for p in child.iterdir() if p.is_dir())


def find_dataset(folder):
    """Recognises the layout of `folder`, or of the first folder up to two levels below it that has one.

    Returns (layout, folder, recordings). Raises FileNotFoundError, in one line, where there is none.
    """
    for candidate in _folders(Path(folder)):
        for layout, find in LAYOUTS.items():
            if recordings := [replace(r, dataset=layout) for r in find(candidate)]:
                return layout, candidate, recordings
    raise FileNotFoundError(
        f"{folder}: no SC09, Speech Commands or FSDD recordings there; datasets/README.md says how to get some"
    )


def find_datasets(folders):
    """The recordings of one or several data sets, each divided by its own layout's rule.

    folders: one folder, or several with commas between them. Returns a line that says which layout is in which folder,
    and the recordings. A second data set of the same layout is named with its folder. Raises FileNotFoundError, in one
    line, for a folder without any.
    """
    words, recordings = {}, []
    for name in filter(None, (part.strip() for part in str(folders).split(","))):
        layout, folder, more = find_dataset(name)
        if folder in words:
            continue
        dataset = f"{layout} ({folder})" if layout in (r.dataset for r in recordings) else layout
        places = {recording.path.parent for recording in more}
        beside = sum(path.suffix.lower() in AUDIO_EXTENSIONS for place in places for path in place.iterdir()) - len(
            more
        )
        words[folder] = f"{layout} in {folder}" + f" (sound files beside them, left out: {beside:,})" * bool(beside)
        recordings += [replace(r, dataset=dataset) for r in more]
    if not words:
        raise FileNotFoundError("no folder of recordings is named; datasets/README.md says how to get some")
    return ", ".join(words.values()), recordings


def counts(recordings):
    """How many clips of each digit are in each split, as the lines of a table."""
    lines = ["        " + "".join(f"{digit:>7}" for digit in DIGITS) + "    all"]
    for split in SPLITS:
        row = [sum(r.split == split and r.digit == digit for r in recordings) for digit in range(len(DIGITS))]
        lines.append(f"  {split:6}" + "".join(f"{n:7}" for n in row) + f"{sum(row):7}")
    return "\n".join(lines)
