"""The clip: a generator's number of samples at its rate. Reading, writing, and the spectrogram.

Every recording, whatever its format, becomes a clip here and nowhere else, so that training, recovery and metrics hear
the same thing.
"""

import io
from dataclasses import dataclass, replace
from pathlib import Path

import librosa
import numpy as np
from keras import ops
from scipy.io import wavfile

from models.audio import precision  # noqa: F401
from models.audio.channels import one_channel
from models.audio.decoding import AudioError, ends_early, nothing_in, opened, read
from models.audio.preparation import OUR_RATE, PUBLISHED

SAMPLE_RATE = OUR_RATE  # of what the classifier, the judge and the metrics take
NUM_SAMPLES = 16384  # one second at that rate
FRAME_LENGTH = 256  # STFT window, samples
HOP_LENGTH = 128  # STFT hop, samples
PUBLISHED_GAIN = 1.414  # the paper's scripts multiply each recording by this; peaks may pass 1
FILTER_MARGIN = 0.05  # seconds read beyond a clip's ends, for the resampling filter
LONGER = 1.05  # clip's lengths beyond which a recording counts as longer than a clip
FAINTEST = 1e-20  # what is below is silence, and too small to be brought to a level in float32
SPEECH_RANGE_DB = 40.0  # what lies further below the loudest frame does not count when a clip is centred
CONSTANT = "a constant, no sound"  # a warning
CODED_PADDING = 2400  # samples that MP3 may add to a recording, before it and behind it


@dataclass(frozen=True)
class Clip:
    """A prepared recording and the way back.

    samples: float32 [num_samples], or [num_samples, num_channels] where num_channels > 1.
    gain: what the recording was multiplied by; 0 never occurs.
    offset: where sample 0 of the recording lies in the clip, in samples, negative if it was cut at its beginning.
    warnings: what a user should know about it (silence, nearly nothing in it, cut inside its samples), each a phrase.
    cut: whether the recording goes on beyond the clip. as_it_is: float32 of the same shape, a recording of exactly the
    generator's length without any preparation but its rate, since the generator may have made it; None for others.
    """

    samples: np.ndarray
    gain: float = 1.0
    offset: int = 0
    warnings: tuple = ()
    cut: bool = False
    as_it_is: np.ndarray | None = None

    @property
    def has_sound(self):
        """False for silence and for a constant, whose reconstruction is silence."""
        return bool(np.ptp(self.samples, axis=0).any())

    def unprepared(self):
        """The recording as it is, as a Clip of its own."""
        return Clip(self.as_it_is, warnings=self.warnings, as_it_is=self.as_it_is)

    def undo(self, reconstruction):
        """A waveform for the prepared clip [num_samples, ...] → the same at the recording's own level and position."""
        return _place(np.asarray(reconstruction, np.float32), -self.offset) / np.float32(self.gain)


def _place(samples, offset):
    """Moves samples [n, ...] by `offset`, keeping the length: zeros come in at one end, the other end is cut."""
    moved = np.zeros_like(samples)
    if offset >= 0:
        moved[offset:] = samples[: len(samples) - offset]
    else:
        moved[:offset] = samples[-offset:]
    return moved


def audible_middle(samples):
    """Middle of the part of samples [n, channels] that is within 40 dB of its loudest frame, in samples."""
    frames = {"frame_length": FRAME_LENGTH, "hop_length": FRAME_LENGTH // 4}
    _, (start, stop) = librosa.effects.trim(np.abs(samples).max(axis=1), top_db=SPEECH_RANGE_DB, **frames)
    return (start + stop) // 2


def _decode(path, seconds):
    """A recording → samples float32 [n, channels] of its first `seconds`, its rate, its duration in seconds as far as
    it was read, whether it goes on, warnings."""
    warnings = []
    with opened(path) as file:
        rate, said = file.samplerate, file.seconds
        most = LONGER * seconds * rate + (CODED_PADDING if file.format == "MP3" else 0)
        samples = read(file, int(np.ceil(max(most, (seconds + FILTER_MARGIN) * rate))) + 1, path)  # [n, channels]
    duration, longer = len(samples) / rate, len(samples) > most
    if len(samples) == 0:
        raise nothing_in(path)
    if file.ends_early:
        warnings.append(ends_early(duration))
    elif longer:
        length = f"more than {duration:.3g} s" if said is None else f"{said:.{2 if said < 10 else 0}f} s"
        warnings.append(f"{length} long, the first {seconds:.3g} s are used")
    samples = samples[: int(np.ceil((seconds + FILTER_MARGIN) * rate))]
    if samples.any() and not np.ptp(samples, axis=0).any():
        warnings.append(CONSTANT)
        samples = np.zeros_like(samples)  # resampled or padded it would begin and end with a click
    return samples, rate, duration, longer, warnings


def prepare(path, *, num_samples=NUM_SAMPLES, num_channels=1, preparation=PUBLISHED, prepared=None):
    """Reads a recording and prepares it as the generator's training clips were.

    Any format that soundfile reads, any rate; little more than the generator's length is ever read of it. As published:
    16-bit samples times 1/32767, times 1.414, resampled to the generator's rate, cut or zero-padded at the end. With
    several channels the recording is mixed down, or repeated, to `num_channels`. prepared: True takes a clip as it is,
    resampled, cut and padded only, for what a generator made; False prepares every recording; None prepares it and
    keeps one of exactly the generator's length, at any rate, `as_it_is` as well.

    Returns a Clip. Raises AudioError, one line with file and cause, for what cannot be read.
    """
    path = Path(path)
    own_rate = preparation.sample_rate
    samples, rate, duration, longer, warnings = _decode(path, num_samples / own_rate)
    samples = mixed(one_channel(samples) if num_channels == 1 else samples, num_channels, path)
    if rate != own_rate:
        samples = librosa.resample(samples, orig_sr=rate, target_sr=own_rate, axis=0)
    as_it_is = None
    if prepared is None and abs(duration * own_rate - num_samples) < (0.5 if rate == own_rate else 1):
        as_it_is = fitted(samples, num_samples, preparation, prepared=True).samples
    if len(samples) < 0.02 * own_rate:
        warnings.append(f"only {1000 * len(samples) / own_rate:.0f} ms long")
    clip = fitted(samples, num_samples, preparation, bool(prepared), warnings, longer)
    return clip if as_it_is is None else replace(clip, as_it_is=as_it_is)


def mixed(samples, num_channels, path):
    """Samples [n, channels] mixed down, or repeated, to [n, num_channels]. Raises AudioError, which names the `path`,
    for two or more channels where the generator has another number of them.
    """
    if num_channels == 1 or samples.shape[1] == 1:
        return np.repeat(samples.mean(axis=1, keepdims=True), num_channels, axis=1)
    if samples.shape[1] != num_channels:
        raise AudioError(f"{path}: {samples.shape[1]} channels where the generator has {num_channels}")
    return samples


def fitted(samples, num_samples, preparation=PUBLISHED, prepared=False, warnings=(), cut=False):
    """Samples [n, num_channels] at the generator's rate, cut or zero-padded at their end to `num_samples`, times 1.414,
    then at the level and the position that `preparation` says → Clip. prepared: True changes neither. warnings, cut: of
    the Clip, beside its own.
    """
    clip = np.zeros((num_samples, samples.shape[1]), np.float32)  # [num_samples, channels]
    clip[: len(samples)] = samples[:num_samples]
    gain, offset = 1.0, 0
    if np.abs(clip).max() < FAINTEST:
        clip[:] = 0
        warnings = (*warnings, *["silence"] * (CONSTANT not in warnings))
    elif not prepared:
        gain = PUBLISHED_GAIN
        clip *= np.float32(gain)
        if preparation.position == "center":
            length = min(len(samples), num_samples)
            offset = num_samples // 2 - int(audible_middle(clip[:length]))
            clip = _place(clip, offset)
        if preparation.peak is not None:
            level = preparation.peak / float(np.abs(clip).max())
            clip *= np.float32(level)
            gain *= level
    return Clip(clip[:, 0] if samples.shape[1] == 1 else clip, gain, offset, tuple(warnings), cut)


def read_clip(path, **options):
    """Reads a recording → float32 [num_samples] ([num_samples, num_channels] for several channels); see `prepare`."""
    return prepare(path, **options).samples


def write_wav(file, samples, sample_rate=SAMPLE_RATE):
    """Writes samples [n] or [n, channels] as 32-bit float WAV at a rate in Hz, so that nothing is clipped or rounded.

    file: a path, or an open binary file. The same samples are the same bytes: soundfile would put the time into the
    file (its PEAK chunk), and swallow the errors of a file object, a full disk among them.
    """
    encoded = io.BytesIO()
    wavfile.write(encoded, sample_rate, np.asarray(samples, np.float32))
    if hasattr(file, "write"):
        file.write(encoded.getvalue())
    else:
        Path(file).write_bytes(encoded.getvalue())


def spectrogram(waveform, frame_length=FRAME_LENGTH, hop_length=HOP_LENGTH):
    """STFT with a periodic Hann window, padded at the end (paper section 3.1).

    waveform: [n, num_samples]. Returns the real and the imaginary part, each [n, num_samples / hop, frame / 2 + 1]: [n,
    128, 129] for a clip.
    """
    waveform = ops.pad(waveform, [[0, 0], [0, frame_length - hop_length]])
    return ops.stft(waveform, frame_length, hop_length, frame_length, window="hann", center=False)
