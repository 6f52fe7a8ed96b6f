"""What a network sees of a waveform: its spectrogram as the channels of a picture. Part of the network's own
configuration, saved with it.
"""

import keras
import numpy as np
from keras import layers, ops

from models.audio.clip import FRAME_LENGTH, spectrogram

BINS = FRAME_LENGTH // 2 + 1
RANGE_DB = 60.0  # what lies further below a clip's loudest bin is as good as silence
TINY = 1e-10  # keeps the all-zero clip finite: far below the power of the last bit of 16-bit samples


def _real(real, imaginary):
    """The paper's features (section 3.1): the real part, three times, at the level of the recording."""
    return [real, real, real]


def _relative(power):
    """Power of each bin relative to the clip's loudest, floored smoothly at -60 dB (silence is all floor), and
    that loudest power.
    """
    loudest = ops.max(power, axis=(1, 2), keepdims=True) + TINY
    return power / loudest + 10 ** (-RANGE_DB / 10), loudest


def power_spectrogram(waveform):
    """Waveforms [n, 16384] → power [n, 128 frames, 129 bins]."""
    real, imaginary = spectrogram(waveform)
    return real**2 + imaginary**2


def log_power(power):
    """Power [n, frames, bins] → what a network of "log" features sees: power above the floor in units of 10 dB, 0 at
    -60 dB, 6 at the clip's loudest bin.

    The unit makes activations of the order of 1, where batch normalisation's moving statistics start.
    """
    return ops.log(_relative(power)[0]) / ops.log(10.0) + RANGE_DB / 10


def warped_bins(warp):
    """Weights [n, 129 bins, 129 bins] that multiply the frequencies of a power spectrogram by `warp` [n, 1, 1]."""
    bins = np.arange(BINS, dtype=np.float32)
    return ops.relu(1.0 - ops.abs(bins[:, None] - bins / warp))


def _log(real, imaginary):
    """See `log_power`: no level, no phase."""
    return [log_power(real**2 + imaginary**2)]


def _complex(real, imaginary):
    """Real and imaginary part, compressed to the square root of the magnitude, and the log-magnitude. No level,
    but phase.
    """
    relative, loudest = _relative(real**2 + imaginary**2)
    scale = (RANGE_DB / 10) * relative**-0.25 / ops.sqrt(loudest)
    return [real * scale, imaginary * scale, *_log(real, imaginary)]


def scaled_spectrogram(waveform, frame_length, hop_length):
    """waveform [n, num_samples] → real part and power of its STFT [n, frames, bins], of order 1 for speech at any
    window length.
    """
    real, imaginary = spectrogram(waveform, frame_length, hop_length)
    scale = frame_length**-0.5
    return scale * real, scale**2 * (real**2 + imaginary**2)


def multiscale_spectral_loss(original, reconstruction, windows, floor=1e-8):
    """Mean absolute difference of log magnitudes of waveforms [n, num_samples] twice → [n], averaged over several
    windows; 1 is 17 dB.

    windows: (frame, hop) in samples, each. floor: power that counts as silence; 1e-8 lies about 85 dB below a
    full-scale vowel.
    """
    errors = []
    for frame, hop in windows:
        a, b = (ops.log(scaled_spectrogram(waveform, frame, hop)[1] + floor) for waveform in (original, reconstruction))
        errors.append(0.25 * ops.mean(ops.abs(a - b), axis=(1, 2)))
    return sum(errors) / len(errors)


def spectral_loss(original, reconstruction):
    """`multiscale_spectral_loss` of waveforms [n, 16384] twice → [n], at two resolutions.

    What lies about 75 dB below a full-scale vowel counts as silence, so a hiss that is barely heard is still told
    from none.
    """
    return multiscale_spectral_loss(original, reconstruction, ((256, 128), (1024, 256)), 1e-7)


KINDS = {"real": _real, "complex": _complex, "log": _log}


@keras.saving.register_keras_serializable("latent_vector_recovery")
class SpectrogramFeatures(layers.Layer):
    """Waveforms [n, 16384] → pictures [n, 128, 129, channels].

    kind: "real", the paper's: real part of the STFT, three times. "log": magnitude in dB below the clip's loudest
    bin, one channel. "complex": compressed real and imaginary part and the log-magnitude. The last two do not
    change with the clip's level. Raises ValueError for any other kind.
    """

    def __init__(self, kind="log", **kwargs):
        super().__init__(**kwargs)
        if kind not in KINDS:
            raise ValueError(f"features are one of {', '.join(KINDS)}, not {kind!r}")
        self.kind = kind

    def call(self, waveform):
        return ops.stack(KINDS[self.kind](*spectrogram(waveform)), axis=-1)  # [n, 128, 129, channels]

    def get_config(self):
        return {**super().get_config(), "kind": self.kind}
