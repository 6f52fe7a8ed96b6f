"""What happens to sounds on their way: levels, fewer bits, noise, lossy coding, fewer samples, shifts, cuts."""

import io

import librosa
import numpy as np
import soundfile

from models.audio.clip import SAMPLE_RATE

CODED_RATE = 16000  # Hz; MP3 knows no 16,384
NARROW_RATE = 8000  # Hz, of telephones
NOISE_DB = 20.0  # of the sound above the noise
GAIN_DB = 20.0  # up or down, at most
LARGEST_SHIFT = 0.05  # seconds, either way


def _gain(samples, rng):
    return samples * 10 ** (rng.uniform(-GAIN_DB, GAIN_DB) / 20)


def _rounded(bits):
    def damage(samples, rng):
        """To `bits` bits, full scale at the clip's peak and a bit more, as a recording that is levelled well."""
        scale = 0.7 * 2 ** (bits - 1) / max(np.abs(samples).max(), 1e-9)
        return np.round(samples * scale) / scale

    return damage


def _noise(samples, rng):
    noise = rng.normal(size=len(samples))
    return samples + noise * np.sqrt((samples**2).mean() / (noise**2).mean()) * 10 ** (-NOISE_DB / 20)


def _coded(kind, subtype, level, **mode):
    def damage(samples, rng):
        """Written and read in a lossy format, at CODED_RATE; some delay the sound, which is left as it is."""
        narrow = librosa.resample(samples, orig_sr=SAMPLE_RATE, target_sr=CODED_RATE)
        peak, file = max(1.0, np.abs(narrow).max()), io.BytesIO()
        soundfile.write(file, narrow / peak, CODED_RATE, format=kind, subtype=subtype, compression_level=level, **mode)
        read, rate = soundfile.read(io.BytesIO(file.getvalue()))
        return _as_long(librosa.resample(read * peak, orig_sr=rate, target_sr=SAMPLE_RATE), len(samples))

    return damage


def _narrow(samples, rng):
    narrow = librosa.resample(samples, orig_sr=SAMPLE_RATE, target_sr=NARROW_RATE)
    return _as_long(librosa.resample(narrow, orig_sr=NARROW_RATE, target_sr=SAMPLE_RATE), len(samples))


def _shifted(samples, rng):
    by = int(rng.integers(-LARGEST_SHIFT * SAMPLE_RATE, LARGEST_SHIFT * SAMPLE_RATE + 1))
    kept = samples[max(0, -by) : len(samples) - max(0, by)]
    return np.pad(kept, (max(0, by), max(0, -by)))


def _half(samples, rng):
    """The half second that holds the most energy, alone."""
    half = SAMPLE_RATE // 2
    if len(samples) <= half:
        return samples
    energy = np.concatenate([[0], np.cumsum(samples.astype(np.float64) ** 2)])
    start = int(np.argmax(energy[half:] - energy[:-half]))
    return samples[start : start + half]


def _as_long(samples, length):
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


# function of samples [n] at 16,384 Hz and a NumPy random generator → samples
DAMAGES = {
    "none": lambda samples, rng: samples,
    "gain, up to 20 dB": _gain,
    "16 bits": _rounded(16),
    "8 bits": _rounded(8),
    "noise at 20 dB": _noise,
    "MP3, 64 kbit/s": _coded("MP3", "MPEG_LAYER_III", 0.6, bitrate_mode="CONSTANT"),
    "MP3, 40 kbit/s": _coded("MP3", "MPEG_LAYER_III", 0.8, bitrate_mode="CONSTANT"),
    "MP3, 24 kbit/s": _coded("MP3", "MPEG_LAYER_III", 0.9, bitrate_mode="CONSTANT"),
    "Ogg Vorbis, 40 kbit/s": _coded("OGG", "VORBIS", 0.0),
    "Ogg Vorbis, 18 kbit/s": _coded("OGG", "VORBIS", 1.0),
    "8 kHz and back": _narrow,
    "shift, up to 50 ms": _shifted,
    "half a second": _half,
}


def damaged(samples, name, rng):
    """Samples [n] at 16,384 Hz after the damage `name`, one of DAMAGES → float32 [m], m below n for a cut."""
    return np.asarray(DAMAGES[name](np.asarray(samples, np.float64), rng), np.float32)
