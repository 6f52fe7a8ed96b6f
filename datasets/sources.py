"""What `fetch.py` downloads, and from which official address."""

from dataclasses import dataclass

GIB = 1 << 30  # bytes
WAVEGAN = "https://s3.amazonaws.com/wavegan-v1/models"


@dataclass(frozen=True)
class Source:
    """A data set, or the published generator.

    title: what it is, with its licence where there is one. files: {name here: address}.
    sha256: of its file; None where none is published, or the server may make the archive anew.
    layout: the name that `datasets.layouts` has for what is unpacked, "" for files that are used as they are.
    recordings: of digits, as its authors count them. most_bytes: the most that its archive may unpack to.
    """

    title: str
    files: dict[str, str]
    sha256: str | None = None
    layout: str = ""
    recordings: int = 0
    most_bytes: int = 2 * GIB


SOURCES = {
    "sc09": Source(
        "SC09, the ten digits of Speech Commands as WaveGAN and the paper use them (CC BY 4.0)",
        {"sc09.tar.gz": "http://deepyeti.ucsd.edu/cdonahue/wavegan/data/sc09.tar.gz"},
        layout="SC09",
        recordings=23_666,
    ),
    "speech_commands": Source(
        "Speech Commands, version 0.02, 35 words (CC BY 4.0)",
        {"speech_commands_v0.02.tar.gz": "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"},
        sha256="af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",  # as torchaudio has it
        layout="Speech Commands",
        recordings=38_908,
        most_bytes=6 * GIB,
    ),
    "fsdd": Source(
        "the Free Spoken Digit Dataset, version 1.0.10 (CC BY-SA 4.0)",
        {"fsdd.tar.gz": "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz"},
        layout="FSDD",
        recordings=3_000,
    ),
    "wavegan": Source(
        "the published WaveGAN, trained on SC09",
        {
            "model.ckpt.data-00000-of-00001": f"{WAVEGAN}/sc09.ckpt.data-00000-of-00001",
            "model.ckpt.index": f"{WAVEGAN}/sc09.ckpt.index",
            "infer.meta": f"{WAVEGAN}/sc09_infer.meta",
        },
    ),
}
