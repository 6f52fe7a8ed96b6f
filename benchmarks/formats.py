"""Which containers and codecs are read, with what length and delay: two seconds of noise in every kind of file that
libsndfile writes and, where they are installed, that ffmpeg, sox and lame write, into files and into pipes.

Prints a Markdown table. The delay is where the sound begins after coding; both are in samples.
"""

rate = 16000  # of the noise, Hz [8000 to 48,000]
seed = 0  # of the noise [0 to 2,147,483,647]
card = ""  # Markdown file to write the table into, between its marks

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

from_shell(globals())

import common.networks  # noqa: F401  first, so that TensorFlow starts without its noise

import numpy as np
import soundfile

from common.script import one_line_errors
from common.view import markdown, show_figures
from models.audio.decoding import AUDIO_EXTENSIONS, AudioError
from models.audio.windows import samples_of

SECONDS = 2
LONGEST_DELAY = 4000  # samples
NOT_TOLD = ("RAW",)  # a file of it says nothing of itself
COMMANDS = {  # what other programs write from in.wav: {kind: (name of the file, command)}
    "FLAC by ffmpeg, into a pipe": ("a.flac", "ffmpeg -v error -i in.wav -f flac - | cat > a.flac"),
    "WAV by ffmpeg, into a pipe": ("a.wav", "ffmpeg -v error -i in.wav -f wav - | cat > a.wav"),
    "WAV by sox, into a pipe": ("a.wav", "cat in.wav | sox -V1 -t wav - -t wav - trim 0 | cat > a.wav"),
    "FLAC by sox, into a pipe": ("a.flac", "cat in.wav | sox -V1 -t wav - -t flac - trim 0 | cat > a.flac"),
    "MP3 by lame, VBR": ("a.mp3", "lame --quiet -V4 in.wav a.mp3"),
    "MP3 by lame, VBR, into a pipe": ("a.mp3", "lame --quiet -V4 in.wav - | cat > a.mp3"),
    "MP3 by lame, CBR, into a pipe": ("a.mp3", "lame --quiet -b 64 in.wav - | cat > a.mp3"),
    "MP2 by ffmpeg": ("a.mp2", "ffmpeg -v error -i in.wav -c:a mp2 a.mp2"),
    "Opus by ffmpeg": ("a.opus", "ffmpeg -v error -i in.wav -c:a libopus a.opus"),
    "Vorbis by ffmpeg": ("a.ogg", "ffmpeg -v error -i in.wav -c:a libvorbis a.ogg"),
    "SPHERE by sox": ("a.sph", "sox -V1 in.wav a.sph"),
    "AIFF-C by sox": ("a.aifc", "sox -V1 in.wav a.aifc"),
    "FLAC in Ogg": ("a.ogg", "ffmpeg -v error -i in.wav -c:a flac a.ogg"),
    "ALAC in CAF": ("a.caf", "ffmpeg -v error -i in.wav -c:a alac a.caf"),
    "AAC in MPEG-4": ("a.m4a", "ffmpeg -v error -i in.wav -c:a aac a.m4a"),
    "AAC": ("a.aac", "ffmpeg -v error -i in.wav -c:a aac a.aac"),
    "Opus in WebM": ("a.webm", "ffmpeg -v error -i in.wav -c:a libopus a.webm"),
    "WavPack": ("a.wv", "ffmpeg -v error -i in.wav -c:a wavpack a.wv"),
    "Windows Media": ("a.wma", "ffmpeg -v error -i in.wav -c:a wmav2 a.wma"),
}


def noise():
    """Noise, faint at first, as 16-bit samples: float64 [n]."""
    samples = np.random.default_rng(seed).normal(0, 0.1, SECONDS * rate)
    samples[: rate // 10] *= 1e-3
    return np.round(np.clip(samples, -0.99, 0.99) * 32767) / 32767


def what_comes_back(path, samples):
    """How many samples more than were written are read, and the delay, as two cells; for what is not read, why."""
    try:
        read = np.concatenate([block[:, 0] for block in samples_of(path, 1, rate)] or [np.zeros(0)])
    except AudioError as error:
        return "not read", "ffmpeg first" if "ffmpeg -i" in str(error) else str(error).partition(": ")[2]
    size = 2 * max(len(read), len(samples))
    likeness = np.fft.irfft(np.fft.rfft(read, size) * np.conj(np.fft.rfft(samples, size)), size)
    delay = int(np.argmax(np.roll(likeness, LONGEST_DELAY)[: 2 * LONGEST_DELAY])) - LONGEST_DELAY
    return f"{len(read) - len(samples):+,}" if len(read) != len(samples) else "as written", f"{delay:,}"


def by_libsndfile(folder, samples):
    """The rows of all that libsndfile writes, codecs of a container together that come back alike."""
    for kind in sorted(soundfile.available_formats()):
        alike = {}
        for codec in soundfile.available_subtypes(kind) if kind not in NOT_TOLD else ():
            path = folder / f"a.{kind.lower()}"
            try:
                soundfile.write(path, samples, rate, format=kind, subtype=codec)
            except (soundfile.LibsndfileError, ValueError):
                continue  # not at this rate, or not at all
            alike.setdefault(what_comes_back(path, samples), []).append(codec.replace("_", " "))
        for cells, codecs in alike.items():
            yield [f"{kind}: {', '.join(codecs)}", *cells]


def by_others(folder, samples):
    """The rows of what other programs write, of those that are installed."""
    soundfile.write(folder / "in.wav", samples, rate)
    for kind, (name, command) in COMMANDS.items():
        (folder / name).unlink(missing_ok=True)
        program = next(word for word in command.split() if word in ("ffmpeg", "sox", "lame"))
        if shutil.which(program):
            subprocess.run(command, shell=True, cwd=folder, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        if (folder / name).exists() and (folder / name).stat().st_size:
            yield [kind, *what_comes_back(folder / name, samples)]


def main():
    samples = noise()
    with tempfile.TemporaryDirectory() as place:
        rows = [*by_libsndfile(Path(place), samples), *by_others(Path(place), samples)]
    figures = f"soundfile {soundfile.__version__}, libsndfile {soundfile.__libsndfile_version__}, {rate:,} Hz.\n\n"
    figures += markdown(["container: codecs", "samples read", "delay"], rows)
    figures += f"\n\nOf a folder {', '.join(sorted(AUDIO_EXTENSIONS))} are taken; others are read where they are named."
    show_figures(card, "formats", figures)


if __name__ == "__main__":
    with one_line_errors(__file__):
        main()
