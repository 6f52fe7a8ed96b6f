"""Decoding: a recording's samples as they are stored, from the first to the last that can be read.

A header's word on the length is never taken: a file that was written into a pipe says none, or a wrong one.
"""

import os
import re
from pathlib import Path

import numpy as np
import soundfile

PCM_16_SCALE = np.float32(32768 / 32767)  # the paper's scripts divide 16-bit samples by 32,767, libsndfile by 32,768
LOUDEST = 2.0**32  # full scale is 1; float files in units of 32-bit integers reach 2**31, what is above is no sound
RECORDING_RATES = 1000, 768_000  # Hz, of files: what lies outside is a damaged header
OPEN_LENGTH = 0x7F000000  # bytes; a header that promises more was written before its length was known
STRETCH = 1000  # times that an MP3 file seems as long as it is; its bit rates differ by 40 at most
PROMISED = re.compile(r"(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)")  # bytes, in libsndfile's log
OF_RF64 = re.compile(r"frame count (\d+) does not match value from 'ds64' chunk of (\d+)")  # there, the other way
OF_SPHERE = re.compile(rb"sample_count -i (\d+)")  # in its header
OGG_PAGE, LAST_PAGE = 65_307, 4  # bytes of a page at most; the flag in its sixth byte
SMALL_BLOCK = 256  # samples that damage takes with it, at most
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

    seconds: how long it is by its header, None where that is open. ends_early: whether it has been read to an end that
    lies before the one that its header promises, or to damage, behind which nothing is read.
    """

    stretched, done, ends_early = None, 0, False

    def __init__(self, path):
        self.path = os.fsencode(path) if os.name == "posix" else path  # its name may be no text
        super().__init__(self.path)
        if self.format == "MP3" and not _says_its_length(self.path):
            self.close()
            self.stretched = _Stretched(self.path)
            super().__init__(self.stretched)
        seconds = self.frames / max(self.samplerate, 1)
        self.seconds = None if self.stretched or seconds > LONGEST else seconds

    def seekable(self):
        return False

    def read(self, count, **options):
        """The next `count` samples. Raises soundfile.LibsndfileError for a file without any that can be read."""
        damage = None
        try:
            samples = super().read(0 if self.ends_early else count, **options)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            damage, samples = error, self._before_damage(options)
        self.done += len(samples)
        if damage and not self.done:
            raise damage
        self.ends_early |= bool(damage) or (len(samples) < count and self._is_cut())
        return samples

    def _before_damage(self, options):
        """The samples from here to damage, in which soundfile loses a whole block."""
        with Recording(os.fsdecode(self.path)) as again:
            parts, options = [], {**options, "always_2d": True}
            try:
                soundfile.SoundFile.read(again, self.done, **options)
                while len(part := soundfile.SoundFile.read(again, SMALL_BLOCK, **options)):
                    parts.append(part)
            except (soundfile.LibsndfileError, RuntimeError):
                pass
        return np.concatenate([np.zeros((0, self.channels), options["dtype"]), *parts])

    def _is_cut(self):
        """Whether the header promises more than there is, which libsndfile passes over but for a line in its log."""
        if self.format == "OGG":
            return not _has_last_page(self.path)
        promised = [(self.frames, self.done)] if self.seconds else []
        promised += PROMISED.findall(self.extra_info) + [pair[::-1] for pair in OF_RF64.findall(self.extra_info)]
        if self.format == "NIST":
            with open(self.path, "rb") as file:
                promised += [(said, self.frames) for said in OF_SPHERE.findall(file.read(HEAD))]
        return any(int(there) < int(said) < OPEN_LENGTH for said, there in promised)

    def close(self):
        super().close()
        if self.stretched:
            self.stretched.file.close()


class _Stretched:
    """A file that seems to be longer than it is: where an MP3 file says no length, libsndfile guesses it from its size
    and reads no farther, but ends where the bytes end."""

    def __init__(self, path):
        self.file, self.size = open(path, "rb"), os.path.getsize(path)

    def seek(self, offset, whence=os.SEEK_SET):
        return self.file.seek(offset + (0, self.file.tell(), STRETCH * self.size)[whence])

    def tell(self):
        return self.file.tell()

    def read(self, count):
        return bytes(count) if self.file.tell() > self.size else self.file.read(count)


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


def _has_last_page(path):
    """Whether an Ogg file ends with the page that says it is the last."""
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - OGG_PAGE))
        end = file.read()
    place = end.rfind(b"OggS")
    return place >= 0 and bool(end[place + 5 : place + 6] and end[place + 5] & LAST_PAGE)


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
    more = f"; perhaps ffmpeg reads it: ffmpeg -i {Path(path).name} mended.wav" if "malformed" in cause else ""
    return AudioError(f"{path}: not a readable recording ({cause}){more}")


def ends_early(seconds):
    """A recording that ends early, of which so many seconds can be read, as a phrase."""
    return f"the file is cut or damaged, {seconds:.3g} s of it can be read"


def nothing_in(path):
    """The AudioError of a recording without samples."""
    if (size := os.path.getsize(path)) <= HEAD:
        return AudioError(f"{path}: no samples in it")
    name = Path(path).name
    return AudioError(
        f"{path}: libsndfile finds no samples in its {size:,} bytes; perhaps ffmpeg does: ffmpeg -i {name} mended.wav"
    )
