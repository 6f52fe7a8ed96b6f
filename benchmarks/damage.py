"""What happens to sounds on their way: levels, offsets, fewer bits, noise, other rates, lossy coding, shifts, cuts.

Each damage takes samples [n] float64 at a rate in Hz and a NumPy random generator, and writes the file that is left.
"""

import shutil
import subprocess

import librosa
import numpy as np
import scipy.interpolate
import scipy.ndimage
import scipy.signal
import soundfile

CODED_RATE = 16000  # Hz; MP3 knows no 16,384
NARROW_RATE = 8000  # Hz, of telephones
GAIN_DB = 20.0  # up or down, at most
OFFSET = 0.2  # at most, of full scale
LARGEST_SHIFT = 0.05  # seconds, either way
ECHO = 0.3, 0.092  # of the sound, after seconds
APART = 0.7, 0.012  # the level and the delay in seconds of a second channel
CLIPPED_DB = 6.0  # below a sound's own peak


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


def _turned(samples, rate, rng, path):
    return _wav(path, -samples, rate, "PCM_16")


def _filtered(sections):
    """sections: a rate in Hz → second-order sections of a filter; the file has 16 bits."""

    def damage(samples, rate, rng, path):
        return _wav(path, scipy.signal.sosfilt(sections(rate), samples), rate, "PCM_16")

    return damage


def _high_pass(corner, order=2):
    return _filtered(lambda rate: scipy.signal.butter(order, corner, "high", fs=rate, output="sos"))


def _low_pass(corner, order=8):
    return _filtered(lambda rate: scipy.signal.butter(order, corner, "low", fs=rate, output="sos"))


def _peak(centre, change, quality=1.0):
    """An equaliser's peak of `change` dB about `centre` Hz (Bristow-Johnson, Audio EQ Cookbook)."""

    def sections(rate):
        amplitude, angle = 10 ** (change / 40), 2 * np.pi * centre / rate
        alpha = np.sin(angle) / (2 * quality)
        above = [1 + alpha * amplitude, -2 * np.cos(angle), 1 - alpha * amplitude]
        below = [1 + alpha / amplitude, -2 * np.cos(angle), 1 - alpha / amplitude]
        return np.array([*above, *below])[None] / below[0]

    return _filtered(sections)


def _shelf(corner, change, high):
    """An equaliser's shelf of `change` dB above (high) or below `corner` Hz, of slope 1 (the same source)."""

    def sections(rate):
        amplitude, angle = 10 ** (change / 40), 2 * np.pi * corner / rate
        cosine, root = np.cos(angle) * (1 if high else -1), np.sqrt(2 * amplitude) * np.sin(angle)
        more, less = amplitude + 1, amplitude - 1
        side = -1 if high else 1
        above = np.array([more + less * cosine + root, 0, more + less * cosine - root])
        above[1] = 2 * side * (less + more * cosine)
        below = np.array([more - less * cosine + root, 0, more - less * cosine - root])
        below[1] = -2 * side * (less - more * cosine)
        return np.concatenate([amplitude * above, below])[None] / below[0]

    return _filtered(sections)


def _telephone(samples, rate, rng, path):
    """300 to 3,400 Hz, at 8 kHz in 8 bits by the µ-law."""
    band = scipy.signal.butter(4, (300, 3400), "band", fs=rate, output="sos")
    narrow = librosa.resample(scipy.signal.sosfilt(band, samples), orig_sr=rate, target_sr=NARROW_RATE)
    return _wav(path, narrow, NARROW_RATE, "ULAW")


def _echo(samples, rate, rng, path):
    delay = int(ECHO[1] * rate)
    late = np.concatenate([np.zeros(delay), samples[:-delay]])
    return _wav(path, samples + ECHO[0] * late, rate, "PCM_16")


def _room(decay):
    """A small room's tail of noise that falls by 60 dB in `decay` seconds, 6 dB below the direct sound."""

    def damage(samples, rate, rng, path):
        times = np.arange(1, int(decay * rate)) / rate
        tail = rng.normal(size=len(times)) * 10 ** (-3 * times / decay)
        response = np.concatenate([[1], tail * 10 ** (-6 / 20) / np.linalg.norm(tail)])
        return _wav(path, scipy.signal.fftconvolve(samples, response)[: len(samples)], rate, "PCM_16")

    return damage


def _played(speed):
    """Played faster (above 1) or slower, as a tape is: so much shorter or longer, and higher or lower."""

    def damage(samples, rate, rng, path):
        places = np.arange(int(len(samples) / speed)) * speed
        return _wav(path, _interpolated(samples, places), rate, "PCM_16")

    return damage


def _interpolated(samples, places):
    """Samples at real places, by their Fourier series 16 times as dense and a cubic between them."""
    dense, size = 16, len(samples) + 2 * 512
    fine = scipy.signal.resample(np.pad(samples, 512), dense * size)
    return scipy.interpolate.CubicSpline(np.arange(len(fine)), fine)((places + 512) * dense)


def _wrong_rate(samples, rate, rng, path):
    return _wav(path, samples, CODED_RATE, "PCM_16")


def _apart(samples, rate, rng, path):
    """Two channels, the second later and quieter."""
    late = np.concatenate([np.zeros(int(APART[1] * rate)), samples])[: len(samples)]
    soundfile.write(path.with_suffix(".wav"), np.column_stack([samples, APART[0] * late]), rate, subtype="PCM_16")
    return path.with_suffix(".wav")


def _clipped(samples, rate, rng, path):
    most = np.abs(samples).max() * 10 ** (-CLIPPED_DB / 20)
    return _wav(path, np.clip(samples, -most, most), rate, "PCM_16")


def _gated(samples, rate, rng, path):
    """Zero where its level over 10 ms is 40 dB or more below the loudest."""
    size = rate // 100
    level = np.sqrt(scipy.ndimage.uniform_filter1d(samples**2, size))
    return _wav(path, np.where(level > level.max() / 100, samples, 0), rate, "PCM_16")


def _half_cut(samples, rate, rng, path):
    """Two quarters, of four, of what there is between the first and the last sample above -60 dB, zero."""
    kept, loud = np.array(samples), np.flatnonzero(np.abs(samples) > np.abs(samples).max() / 1000)
    quarters = np.linspace(loud[0], loud[-1] + 1, 5).astype(int)
    for part in rng.choice(4, 2, replace=False):
        kept[quarters[part] : quarters[part + 1]] = 0
    return _wav(path, kept, rate, "PCM_16")


def _click(samples, rate, rng, path):
    clicked, place = np.array(samples), rng.integers(len(samples) // 4, 3 * len(samples) // 4)
    clicked[place : place + 5] += 0.5 * np.abs(samples).max() * rng.choice([-1, 1], 5)
    return _wav(path, clicked, rate, "PCM_16")


def _compressed(samples, rate, rng, path):
    """Levels above -20 dB of the loudest, over 10 ms, come out at half as many dB above it."""
    level = np.sqrt(scipy.ndimage.uniform_filter1d(samples**2, rate // 100))
    threshold = level.max() / 10
    return _wav(path, samples / np.sqrt(np.maximum(level / threshold, 1)), rate, "PCM_16")


def _pink(below):
    def damage(samples, rate, rng, path):
        spectrum = np.fft.rfft(rng.normal(size=len(samples))) / np.sqrt(np.maximum(np.arange(len(samples) // 2 + 1), 1))
        return _wav(path, _beside(samples, np.fft.irfft(spectrum, len(samples)), below), rate)

    return damage


def _beside(samples, other, below):
    """Samples with another sound `below` dB below them."""
    return samples + other * np.sqrt((samples**2).mean() / (other**2).mean()) * 10 ** (-below / 20)


def _hum(below):
    def damage(samples, rate, rng, path):
        times = np.arange(len(samples)) / rate
        tones = [np.sin(2 * np.pi * (50 * k * times + rng.uniform())) / k for k in (1, 2, 3, 5)]
        return _wav(path, _beside(samples, sum(tones), below), rate)

    return damage


def _music(below):
    """A chord of decaying harmonics, struck anew every quarter of a second."""

    def damage(samples, rate, rng, path):
        times, sound = np.arange(len(samples)) / rate, np.zeros(len(samples))
        for start in np.arange(0, times[-1], 0.25):
            for note in rng.choice(24, 3, replace=False):
                later = np.maximum(times - start, 0)
                pitch = 110 * 2 ** (note / 12)
                tone = sum(np.sin(2 * np.pi * pitch * k * later) / k**1.5 for k in range(1, 9))
                sound += np.where(times >= start, tone * np.exp(-6 * later), 0)
        return _wav(path, _beside(samples, sound, below), rate)

    return damage


def _through_ffmpeg(ending, *options):
    """A codec that libsndfile does not have, by ffmpeg, and back to WAV with whatever delay it leaves."""

    def damage(samples, rate, rng, path):
        source, coded, back = path.with_suffix(".source.wav"), path.with_suffix(ending), path.with_suffix(".wav")
        _wav(source.with_suffix(""), samples, rate, "PCM_16").replace(source)
        for files in ([source, *options, coded], [coded, back]):
            subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", *map(str, files)], check=True)
        return back

    return damage


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
    "turned over": _turned,
    "high-pass, 20 Hz": _high_pass(20),
    "high-pass, 60 Hz": _high_pass(60),
    "high-pass, 300 Hz": _high_pass(300),
    "low-pass, 3.4 kHz": _low_pass(3400),
    "shelf, +3 dB above 2 kHz": _shelf(2000, 3, True),
    "shelf, -12 dB above 1 kHz": _shelf(1000, -12, True),
    "shelf, +6 dB below 200 Hz": _shelf(200, 6, False),
    "peak, +12 dB at 1 kHz": _peak(1000, 12),
    "peak, -6 dB at 300 Hz": _peak(300, -6),
    "telephone": _telephone,
    "echo": _echo,
    "room, 0.1 s": _room(0.1),
    "room, 0.3 s": _room(0.3),
    "speed, +0.1 %": _played(1.001),
    "speed, -0.1 %": _played(0.999),
    "speed, +1 %": _played(1.01),
    "speed, -1 %": _played(0.99),
    "speed, +3 %": _played(1.03),
    "speed, -3 %": _played(0.97),
    "header of 16,000 Hz": _wrong_rate,
    "channels 12 ms apart": _apart,
    "clipped by 6 dB": _clipped,
    "gated": _gated,
    "half cut to zero": _half_cut,
    "a click": _click,
    "compressed 2 : 1": _compressed,
    "pink noise at 40 dB": _pink(40),
    "pink noise at 30 dB": _pink(30),
    "pink noise at 20 dB": _pink(20),
    "pink noise at 10 dB": _pink(10),
    "hum at 20 dB": _hum(20),
    "music at 40 dB": _music(40),
    "music at 25 dB": _music(25),
    "music at 10 dB": _music(10),
    "MP3, 128 kbit/s": _coded(".mp3", "MP3", "MPEG_LAYER_III", 0.2, bitrate_mode="CONSTANT"),
    "Opus, 24 kbit/s": _through_ffmpeg(".opus", "-c:a", "libopus", "-b:a", "24k"),
    "AAC, 64 kbit/s": _through_ffmpeg(".m4a", "-c:a", "aac", "-b:a", "64k"),
}
if shutil.which("ffmpeg") is None:
    DAMAGES = {name: damage for name, damage in DAMAGES.items() if name.split(",")[0] not in ("Opus", "AAC")}


def damaged(samples, rate, name, rng, path):
    """Writes samples [n] at a rate in Hz after the damage `name`, one of DAMAGES → the file, `path` with its ending."""
    return DAMAGES[name](np.asarray(samples, np.float64), rate, rng, path)
