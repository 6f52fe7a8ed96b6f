"""What benchmarks/fuzz.py damages, and what reads it: each case is called with random numbers and a folder to write
into, and returns "" for a result, or words for one that is wrong; whatever it raises is looked at by the caller.
"""

import contextlib
import io
import os
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import soundfile

from common.settings import declared, from_shell

ROOT = Path(__file__).resolve().parents[1]
LATENT = 4  # dimensions
WIDTH = 4  # of the generator: of width 1, one in some hundred has a dead layer
PEAK = 0.9  # of prepared clips
FORMATS = {  # name: (ending, soundfile's format, its subtype)
    "WAV, 16 bits": ("wav", "WAV", "PCM_16"),
    "WAV, 24 bits": ("wav", "WAV", "PCM_24"),
    "WAV, float": ("wav", "WAV", "FLOAT"),
    "WAV, 64-bit float": ("wav", "WAV", "DOUBLE"),
    "WAV, ADPCM": ("wav", "WAV", "IMA_ADPCM"),
    "FLAC": ("flac", "FLAC", "PCM_16"),
    "OGG": ("ogg", "OGG", "VORBIS"),
    "MP3": ("mp3", "MP3", "MPEG_LAYER_III"),
    "AIFF": ("aiff", "AIFF", "PCM_16"),
    "AU": ("au", "AU", "PCM_16"),
    "CAF": ("caf", "CAF", "PCM_16"),
    "W64": ("w64", "W64", "FLOAT"),
}
ODD = (
    *("nan", "inf", "-inf", "1e999", "-1", "-1e-9", "0", "2**70", "9**9**9", "1e308", "1e-400", "1/0", "", " ", "None"),
    *(
        "True",
        "0x10",
        "1_000",
        "\u0661",
        "\u00e9",
        "[1]",
        "1e5",
        "100000000",
        "3.5",
        "-0.0",
        "a" * 5000,
        "\n",
        "=",
        "1j",
    ),
    *("/dev/null", "/dev/full", "/proc/self/mem", "/proc/self", "..", "~", ".", "no/such/folder", "\udce9", "a\0b"),
)


def damage(content, rng):
    """Bytes with one kind of damage: cut, bits flipped, a stretch of zeros or of noise, bytes left out or put in."""
    kind, at = rng.integers(6), int(rng.integers(len(content)))
    length = int(rng.integers(1, 64))
    if kind == 0:
        return content[:at]
    if kind == 1:
        flipped = bytearray(content)
        for position in rng.integers(min(len(content), int(rng.choice([64, len(content)]))), size=8):
            flipped[position] ^= 1 << rng.integers(8)
        return bytes(flipped)
    middle = {2: bytes(length), 3: rng.bytes(length), 4: b"", 5: content[at : at + length] + rng.bytes(length)}
    return content[:at] + middle[int(kind)] + content[at + length :]


def make_audio(folder):
    """A recording of a second in each format."""
    folder.mkdir(parents=True, exist_ok=True)
    tone = 0.3 * np.sin(np.cumsum(np.linspace(0.05, 0.5, 12_000)))
    for name, (ending, form, subtype) in FORMATS.items():
        soundfile.write(folder / f"{name}.{ending}", tone, 12_000, subtype, format=form)


def _prepared(path, leveled=True):
    """Prepares a recording as the scripts do; words where the clip, or its way back, is not one.

    leveled: whether it has to come to the generator's level, which a clip that a generator made does not.
    """
    from models.audio.clip import prepare
    from models.audio.preparation import Preparation

    clip = prepare(path, preparation=Preparation(PEAK, "center"))
    if not np.isfinite(clip.samples).all() or clip.samples.shape != (16384,):
        return "its clip is not finite, or of another length"
    if leveled and not clip.warnings and not np.isclose(np.abs(clip.samples).max(), PEAK, rtol=1e-5):
        return f"its peak is {np.abs(clip.samples).max()}"
    return "" if np.isfinite(clip.undo(clip.samples)).all() else "its way back is not finite"


def _format(name):
    ending = FORMATS[name][0]

    def case(rng, place):
        (place / f"x.{ending}").write_bytes(damage((place.parent / f"whole/{name}.{ending}").read_bytes(), rng))
        return _prepared(place / f"x.{ending}")

    return case


def _levels(rng, place):
    """Float files of any level that a float can have, at any rate, with a few samples that stick out."""
    samples = rng.normal(size=int(rng.integers(1, 5000))) * 10.0 ** rng.uniform(-46, 38)
    samples[rng.integers(len(samples), size=2)] *= 10.0 ** rng.uniform(0, 20)
    samples = np.clip(samples, -3.4e38, 3.4e38).astype(np.float32)
    soundfile.write(place / "level.wav", samples, int(rng.choice([8000, 16384, 44100])), "FLOAT")
    return _prepared(place / "level.wav")


def _beside(rng, place):
    """Something odd beside a recording, under the name of its latent vector."""
    from common.files import known_latent

    recording, beside = place / "beside.wav", place / "beside.npy"
    shutil.rmtree(beside, ignore_errors=True) if beside.is_dir() else beside.unlink(missing_ok=True)
    shutil.copy(place.parent / "whole/WAV, 16 bits.wav", recording)
    whole = io.BytesIO()
    dtype = rng.choice(["f4", "f8", "i8", "S4", "c8", "?"])
    shape = [(LATENT,), (1, LATENT), (0,), (), (LATENT, LATENT)][rng.integers(5)]
    np.save(whole, np.full(shape, rng.choice([0.0, 0.5, 1e30])).astype(dtype))
    kind = rng.integers(5)
    if kind == 0:
        beside.mkdir()
    elif kind == 1:
        np.savez(place / "archive.npz", z=np.zeros(LATENT))
        beside.write_bytes((place / "archive.npz").read_bytes())
    elif kind == 2:
        beside.write_bytes(whole.getvalue().replace(b"(4,)", b"(4000000000,)"))
    else:
        beside.write_bytes(damage(whole.getvalue(), rng) if kind == 3 else whole.getvalue())
    if wrong := _prepared(recording, leveled=False):
        return wrong
    known = known_latent(recording, LATENT)
    return "" if known.shape == (1, LATENT) and np.isfinite(known).all() else "no latent vector"


def _names(rng, place):
    """Names that are no text, or nearly as long as a name may be."""
    from common.files import find_recordings, printable, result_names

    folder = place / "names"
    shutil.rmtree(os.fsencode(folder), ignore_errors=True)
    folder.mkdir()
    for _ in range(3):
        raw = bytes(rng.choice([c for c in range(1, 256) if c not in b"/."], size=int(rng.integers(1, 251))).tolist())
        shutil.copy(place.parent / "whole/WAV, 16 bits.wav", os.fsencode(folder) + b"/" + raw + b".wav")
    paths = find_recordings(folder)
    names = result_names(paths)
    for path, name in names.items():
        printable(path).encode("utf-8")
        (folder / f".{name}_reconstruction.wav").touch()
        if wrong := _prepared(path):
            return wrong
    return "" if len(set(names.values())) == len(paths) == 3 else "names are shared"


AUDIO = {name: _format(name) for name in FORMATS} | {"levels": _levels, "beside": _beside, "names": _names}


def _setting(script):
    """An odd value for a setting: refused with status 2 and one line, or of its type and in its range."""
    source = (ROOT / script).read_text(encoding="utf-8")
    known = declared(source)

    def case(rng, place):
        name, text = str(rng.choice(list(known))), ODD[rng.integers(len(ODD))]
        names, error = {"__file__": str(ROOT / script), "__doc__": ""}, io.StringIO()
        try:
            with contextlib.redirect_stderr(error):
                value = from_shell(names, [f"--{name}={text}"])[name]
        except SystemExit:
            assert error.getvalue().count("\n") == 1 and name in error.getvalue(), error.getvalue()
            raise
        known[name].check(value)
        return "" if type(value) is type(known[name].default) else f"{name} is {value!r}"

    return case


def _run(script, **settings):
    """A run of a script with an odd value for one of its settings that are text."""

    def case(rng, place):
        whole = place.parent / "whole"
        given = {name: str(value).format(whole=whole, place=place) for name, value in settings.items()}
        texts = [
            name for name, setting in declared((ROOT / script).read_text()).items() if setting.default.__class__ is str
        ]
        given |= {str(rng.choice(texts)): ODD[rng.integers(len(ODD))]}
        error, before = io.StringIO(), sys.argv
        sys.argv = [script, *(f"--{name}={value}" for name, value in given.items())]
        here = os.getcwd()
        os.chdir(place)
        try:
            with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
                runpy.run_path(str(ROOT / script), run_name="__main__")
        except SystemExit as end:
            if end.code:
                said = [line for line in error.getvalue().splitlines() if ": warning: " not in line]
                assert len(said) == 1, f"{sys.argv}: {error.getvalue()}"
                raise SystemExit(2) from None
        finally:
            sys.argv = before
            os.chdir(here)
        return ""

    return case


SCRIPTS = sorted(path.name for path in ROOT.glob("*.py")) + ["datasets/fetch.py"]
SETTINGS = {script: _setting(script) for script in SCRIPTS}
RUNS = {
    "generate.py": _run("generate.py", checkpoint="{whole}/wavegan", output="{place}/out", num_samples=1),
    "latent_vector_recovery.py": _run(
        "latent_vector_recovery.py", files="{whole}/WAV, 16 bits.wav", output="{place}/out",
        checkpoint="{whole}/wavegan", classifier_checkpoint="{whole}/classifier",
        judge_checkpoint="{whole}/judge", inverse_mapping_checkpoint="{whole}/mapping",
    ),
}  # fmt: skip
