"""Decoding: a recording's samples as they are stored, from the first to the last that can be read.

A header's word on the length is never taken: a file that was written into a pipe says none, or a wrong one.
"""

import os
from pathlib import Path

import numpy as np
import soundfile

PCM_16_SCALE = np.float32(32768 / 32767)  # the paper's scripts divide 16-bit samples by 32,767, libsndfile by 32,768
LOUDEST = 2.0**32  # full scale is 1; float files in units of 32-bit integers reach 2**31, what is above is no sound
RECORDING_RATES = 1000, 768_000  # Hz, of files: what lies outside is a damaged header
OPEN_LENGTH = 0x7FFF0000  # bytes; a WAV header that promises more was written before its length was known
STRETCH = 1000  # times that an MP3 file seems as long as it is; its bit rates differ by 40 at most
LONGEST = 1e6  # seconds; a header that says more leaves the length open
AUDIO_EXTENSIONS = frozenset(
    ".wav .wave .flac .ogg .oga .opus .aif .aiff .aifc .w64 .rf64 .caf .au .snd .mp1 .mp2 .mp3 .sph .nist".split()
)
UNREAD = (  # what libsndfile cannot read: where in the file, which bytes tell it, what it is
    (4, b"ftyp", "MPEG-4 audio"),
    (0, b"\x1aE\xdf\xa3", "WebM or Matroska"),
    (0, b"#!AMR", "AMR"),
    (28, b"\x7fFLAC", "FLAC in Ogg"),
    (28, b"Speex", "Speex"),
    (0, b"ajkg", "Shorten"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"\x30\x26\xb2\x75", "Windows Media"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
)
INSIDE = ((b"caff", b"alac", "ALAC in CAF"), (b"NIST_1A", b"shorten", "SPHERE with Shorten"))  # beginning, within, name
HEAD = 4096  # bytes in which they stand


class AudioError(ValueError):
    """A recording that cannot be used; the message names the file and the cause in one line."""


class Recording(soundfile.SoundFile):
    """An open recording that is read once, from its first sample on; `read` returns fewer samples only at its end.

    soundfile itself reads no farther than the header says, and looks for its place after every block, which FLAC of
    unknown length refuses and MP3 answers with damaged frames.

    seconds: how long it is by its header, None where that is open.
    """

    def __init__(self, path):
        path = os.fsencode(path) if os.name == "posix" else path  # its name may be no text
        super().__init__(path)
        open_length = self.format == "MP3" and not _says_its_length(path)
        if open_length:
            self.close()
            super().__init__(_Stretched(path))
        seconds = self.frames / max(self.samplerate, 1)
        self.seconds = None if open_length or seconds > LONGEST else seconds

    def seekable(self):
        return False


class _Stretched:
    """A file that seems to be longer than it is: where an MP3 file says no length, libsndfile guesses it from its size
    and reads no farther, but ends where the bytes end."""

    def __init__(self, path):
        self.file, self.size = open(path, "rb"), os.path.getsize(path)  # noqa: SIM115  closed with the recording

    def seek(self, offset, whence=os.SEEK_SET):
        return self.file.seek(offset + (0, self.file.tell(), STRETCH * self.size)[whence])

    def tell(self):
        return self.file.tell()

    def read(self, count):
        return bytes(count) if self.file.tell() > self.size else self.file.read(count)

    def write(self, data):
        raise OSError("a recording is read only")


def _says_its_length(path):
    """True for an MP3 file whose first frame holds the number of frames, behind a tag of names and pictures."""
    with open(path, "rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3" and len(head) == 10:
            size = 0
            for byte in head[6:]:
                size = size << 7 | byte & 0x7F
            file.seek(10 + size)
            head = b""
        first = head + file.read(HEAD)
    return b"Xing" in first or b"Info" in first


def opened(path):
    """A recording as an open Recording. Raises AudioError, one line with file and cause, for what cannot be read."""
    path = Path(path)
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty")
    try:
        file = Recording(path)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise unreadable(path, error) from error
    least, most = RECORDING_RATES
    if not least <= file.samplerate <= most:
        file.close()
        raise AudioError(f"{path}: a sample rate of {file.samplerate:,} Hz, where {least:,} to {most:,} are possible")
    return file


def read(file, count, path):
    """The next `count` samples of an open Recording, fewer at its end → float32 [n, channels]. Raises AudioError, which
    names the `path`, for what cannot be read or is no sound."""
    try:
        samples = file.read(count, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise unreadable(path, error) from error
    if not np.isfinite(samples).all():
        raise AudioError(f"{path}: NaN or infinite samples in it")
    if (loudest := float(np.abs(samples).max(initial=0))) > LOUDEST:
        raise AudioError(f"{path}: samples of up to {loudest:.0e}, where full scale is 1")
    return samples * PCM_16_SCALE if file.subtype == "PCM_16" else samples


def unreadable(path, error):
    """The AudioError of a file that soundfile cannot read, with what to do where another program can."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    kinds = [name for place, mark, name in UNREAD if head[place : place + len(mark)] == mark]
    kinds += [name for begin, mark, name in INSIDE if head.startswith(begin) and mark in head]
    if kinds:
        return AudioError(
            f"{path}: {kinds[0]}, which libsndfile {soundfile.__libsndfile_version__} does not read; "
            f"make a WAV of it first: ffmpeg -i {Path(path).name} {Path(path).stem}.wav"
        )
    cause = str(error).split(": ")[-1].strip().rstrip(".")
    return AudioError(f"{path}: not a readable recording ({cause})")


def is_cut(path):
    """True for a RIFF WAV that promises more samples than it has (libsndfile reads it in silence)."""
    promised, there = _bytes_of_samples(path)
    return there < promised < OPEN_LENGTH


def nothing_in(path):
    """The AudioError of a recording without samples."""
    promised, there = _bytes_of_samples(path)
    if there > promised == 0:
        said = f"its header says that it has no samples, and {there:,} bytes follow"
        return AudioError(f"{path}: {said}; with the header mended it is read: ffmpeg -i {Path(path).name} mended.wav")
    return AudioError(f"{path}: no samples in it")


def _bytes_of_samples(path):
    """How many bytes of samples a RIFF WAV promises and how many follow, (0, 0) for another file."""
    size = Path(path).stat().st_size
    with open(path, "rb") as file:
        if file.read(4) != b"RIFF" or file.seek(4, 1) < 0 or file.read(4) != b"WAVE":
            return 0, 0
        while len(header := file.read(8)) == 8:
            length = int.from_bytes(header[4:], "little")
            if header[:4] == b"data":
                return length, size - file.tell()
            file.seek(length + length % 2, 1)
    return 0, 0
