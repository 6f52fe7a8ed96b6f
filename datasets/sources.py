"""What `fetch.py` downloads, and from which official address.

A size or a SHA-256 of None is not known: none is published for that file, or its server may make the archive anew.
"""

from dataclasses import dataclass

from datasets.download import GIB, Remote

MIB = 1 << 20  # bytes


@dataclass(frozen=True)
class Source:
    """A data set, or the published generator.

    title: what it is, with its licence where there is one. remotes: its files.
    layout: how `datasets.layouts` calls what is unpacked, "" for files that are used as they are.
    recordings: of digits, as its authors count them.
    most_bytes, most_files: the most that its archive may unpack to.
    """

    title: str
    remotes: tuple[Remote, ...]
    layout: str = ""
    recordings: int = 0
    most_bytes: int = GIB
    most_files: int = 0


SPEECH_COMMANDS = Remote(  # as torchaudio (SHA-256) and ESPnet (size) have them
    "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
    "speech_commands_v0.02.tar.gz",
    size=2_428_923_189,
    sha256="af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
    at_most=3 * GIB,
)
WAVEGAN = "https://s3.amazonaws.com/wavegan-v1/models"

SOURCES = {
    "sc09": Source(
        "SC09, the ten digits of Speech Commands as WaveGAN and the paper use them (CC BY 4.0)",
        (Remote("http://deepyeti.ucsd.edu/cdonahue/wavegan/data/sc09.tar.gz", "sc09.tar.gz", at_most=2 * GIB),),
        layout="SC09",
        recordings=23_666,
        most_bytes=2 * GIB,
        most_files=40_000,
    ),
    "speech_commands": Source(
        "Speech Commands, version 0.02, 35 words (CC BY 4.0)",
        (SPEECH_COMMANDS,),
        layout="Speech Commands",
        recordings=38_908,
        most_bytes=6 * GIB,
        most_files=150_000,
    ),
    "fsdd": Source(
        "the Free Spoken Digit Dataset, version 1.0.10 (CC BY-SA 4.0)",
        (
            Remote(
                "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz",
                "free-spoken-digit-dataset-1.0.10.tar.gz",
                at_most=256 * MIB,
            ),
        ),
        layout="FSDD",
        recordings=3_000,
        most_bytes=512 * MIB,
        most_files=10_000,
    ),
    "wavegan": Source(
        "the published WaveGAN, trained on SC09",
        (  # in the order in which they are put in place: the graph, which makes a generator of them, at the end
            Remote(f"{WAVEGAN}/sc09.ckpt.data-00000-of-00001", "model.ckpt.data-00000-of-00001", at_most=256 * MIB),
            Remote(f"{WAVEGAN}/sc09.ckpt.index", "model.ckpt.index", at_most=16 * MIB),
            Remote(f"{WAVEGAN}/sc09_infer.meta", "infer.meta", at_most=64 * MIB),
        ),
    ),
}
