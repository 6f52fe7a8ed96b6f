"""What happens to sounds on their way: levels, offsets, fewer bits, noise, other rates, lossy coding, shifts, cuts.

Each damage takes samples [n] float64 at a rate in Hz and a NumPy random generator, and writes the file that is left.
"""

import librosa
import numpy as np
import soundfile

CODED_RATE = 16000  # Hz; MP3 knows no 16,384
NARROW_RATE = 8000  # Hz, of telephones
GAIN_DB = 20.0  # up or down, at most
OFFSET = 0.2  # at most, of full scale
LARGEST_SHIFT = 0.05  # seconds, either way


def _wav(path, samples, rate, subtype="FLOAT"):
    """A WAV file; integers hold no more than full scale, so samples above it are levelled."""
    if subtype != "FLOAT":
        samples = samples / max(1.0, np.abs(samples).max())
    soundfile.write(path.with_suffix(".wav"), samples, rate, subtype=subtype)
    return path.with_suffix(".wav")


def _untouched(samples, rate, rng, path):
    return _wav(path, samples, rate)


def _bits(subtype):
    return lambda samples, rate, rng, path: _wav(path, samples, rate, subtype)


def _gain(samples, rng):
    return samples * 10 ** (rng.uniform(-GAIN_DB, GAIN_DB) / 20)


def _shifted(samples, by):
    """Moved by samples: zeros come in at one end, the other end is cut."""
    kept = samples[max(0, -by) : len(samples) - max(0, by)]
    return np.pad(kept, (max(0, by), max(0, -by)))


def _moved(by):
    return lambda samples, rate, rng, path: _wav(path, _shifted(samples, by * rng.choice([-1, 1])), rate)


def _levelled(samples, rate, rng, path):
    centred = samples - samples.mean()
    return _wav(path, centred / np.abs(centred).max(), rate, "PCM_16")


def _together(samples, rate, rng, path):
    by = int(rng.integers(-LARGEST_SHIFT * rate, LARGEST_SHIFT * rate + 1))
    samples = _shifted(_gain(samples, rng), by) + rng.uniform(-OFFSET, OFFSET)
    return _wav(path, samples, rate, "PCM_16")


def _resampled(to):
    return lambda samples, rate, rng, path: _wav(path, librosa.resample(samples, orig_sr=rate, target_sr=to), to)


def _noise(below):
    def damage(samples, rate, rng, path):
        noise = rng.normal(size=len(samples)) * np.sqrt((samples**2).mean()) * 10 ** (-below / 20)
        return _wav(path, samples + noise, rate)

    return damage


def _coded(ending, kind, subtype, level, **mode):
    def damage(samples, rate, rng, path):
        """In a lossy format, at CODED_RATE; some delay the sound, which is left as it is."""
        narrow = librosa.resample(samples, orig_sr=rate, target_sr=CODED_RATE)
        narrow, path = narrow / max(1.0, np.abs(narrow).max()), path.with_suffix(ending)
        soundfile.write(path, narrow, CODED_RATE, format=kind, subtype=subtype, compression_level=level, **mode)
        return path

    return damage


def _narrow(samples, rate, rng, path):
    narrow = librosa.resample(samples, orig_sr=rate, target_sr=NARROW_RATE)
    return _wav(path, librosa.resample(narrow, orig_sr=NARROW_RATE, target_sr=rate), rate)


def _half(samples, rate, rng, path):
    """The half second that holds the most energy, alone."""
    half = rate // 2
    energy = np.concatenate([[0], np.cumsum(samples**2)])
    start = int(np.argmax(energy[half:] - energy[:-half])) if len(samples) > half else 0
    return _wav(path, samples[start : start + half], rate)


DAMAGES = {
    "none": _untouched,
    "16 bits": _bits("PCM_16"),
    "gain, up to 20 dB": lambda samples, rate, rng, path: _wav(path, _gain(samples, rng), rate),
    "mean removed, peak 1, 16 bits": _levelled,
    "offset": lambda samples, rate, rng, path: _wav(path, samples + rng.uniform(-OFFSET, OFFSET), rate),
    "moved by 1 sample": _moved(1),
    "moved by 37 samples": _moved(37),
    "moved by 800 samples": _moved(800),
    "gain, offset, shift and 16 bits": _together,
    "resampled to 16,000 Hz": _resampled(16000),
    "resampled to 22,050 Hz": _resampled(22050),
    "resampled to 44,100 Hz": _resampled(44100),
    "8 bits": _bits("PCM_U8"),
    "noise at 40 dB": _noise(40),
    "noise at 30 dB": _noise(30),
    "noise at 20 dB": _noise(20),
    "MP3, 64 kbit/s": _coded(".mp3", "MP3", "MPEG_LAYER_III", 0.6, bitrate_mode="CONSTANT"),
    "MP3, 24 kbit/s": _coded(".mp3", "MP3", "MPEG_LAYER_III", 0.9, bitrate_mode="CONSTANT"),
    "Ogg Vorbis, 40 kbit/s": _coded(".ogg", "OGG", "VORBIS", 0.0),
    "8 kHz and back": _narrow,
    "half a second": _half,
}


def damaged(samples, rate, name, rng, path):
    """Writes samples [n] at a rate in Hz after the damage `name`, one of DAMAGES → the file, `path` with its ending."""
    return DAMAGES[name](np.asarray(samples, np.float64), rate, rng, path)
