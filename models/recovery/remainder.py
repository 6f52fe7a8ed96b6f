"""What a latent vector leaves of a sound: how much, and whether it is loud where the sound is."""

from dataclasses import dataclass

import numpy as np

from models.audio.clip import FRAME_LENGTH, HOP_LENGTH
from models.generator.excerpts import BLOCKS
from models.recovery.errors import MISSED

STEADY = 0.3  # of how a sound's power changes with time: what remains and changes less is noise
DITHER = 4.0  # times the power of rounding: triangular dither has 3; a relative that can be told has 10 or more
ACCURACY = 2 * MISSED  # of a sound's energy, up to which an answer counts as exact
FOLLOWS = 0.15, 0.6  # correlation of amplitudes in the spectrogram, and of levels over time, above which one follows
SURROGATES = 16  # of a residual: steady noise of its spectrum


@dataclass(frozen=True)
class Remainder:
    """What a sound's latent vector leaves of a target. power: its mean square; floor: the largest that is rounding;
    share: its power relative to the sound's.
    change, sound_change, noise_change: how the powers of the remainder, of the sound and of steady noise with the
    remainder's spectrum change over time, standard deviations relative to their means. alike: the correlations of the
    amplitudes of remainder and sound, each about its mean at that frequency, and of their levels over time.
    """

    power: float
    floor: float
    change: float
    sound_change: float
    noise_change: float
    alike: tuple
    share: float

    @property
    def is_rounding(self):
        return self.power <= self.floor

    @property
    def is_steady(self):
        """Whether it changes far less with time than the sound."""
        return self.change < STEADY * self.sound_change

    @property
    def is_noise(self):
        """Whether the sound has no part in it: it is not loud where the sound is, or it is steady, and as loud as the
        sound at the same times or at the same frequencies only, which happens by chance."""
        return not self.follows or self.is_steady and not all(self._alike_in)

    @property
    def can_tell(self):
        """Whether steady noise would be seen to be steady: not with a sound that hardly changes itself."""
        return self.noise_change < STEADY * self.sound_change

    @property
    def follows(self):
        """Whether it is loud where the sound is."""
        return any(self._alike_in)

    @property
    def _alike_in(self):
        """In which of both, frequency and time, it is loud where the sound is."""
        return [correlation > limit for correlation, limit in zip(self.alike, FOLLOWS)]


def remainder(sound, target, known=None, step=0.0):
    """sound: what was recovered, as it lies in the target [samples, channels]. known: 1 where a sample of the target
    counts, else 0, of the same shape; None: all do. step: of the target's samples, from one number that the file can
    hold to the next, in the target's units; 0 for floating point. → Remainder.
    """
    present = np.ones(np.shape(target), bool) if known is None else np.asarray(known) > 0
    left = np.where(present, np.subtract(target, sound, dtype=np.float64), 0).sum(axis=1)
    heard = np.where(present, sound, 0).sum(axis=1, dtype=np.float64)
    heard = heard - heard.mean()
    count = max(present.any(axis=1).sum(), 1)
    power, channels = np.sum(left**2) / count, np.shape(target)[1]
    floor = DITHER * channels * step**2 / 12 + ACCURACY * np.sum(heard**2) / count
    powers = [_over_time(left, present), _over_time(heard, present)]
    noises = [_change(_over_time(noise, present)) for noise in _surrogates(left)]
    changes = [_change(values) for values in powers]
    alike = _alike(*(_amplitudes(wave) + _least(step) for wave in (left, heard)))
    share = power / max(np.sum(heard**2) / count, np.finfo(np.float64).tiny)
    return Remainder(power, floor, *changes, float(np.mean(noises)), alike, share)


def _over_time(wave, present):
    """The mean squares of a wave [samples] in equal parts of its time, where anything of it is known."""
    parts = np.array_split(wave**2, BLOCKS), np.array_split(present.any(axis=1), BLOCKS)
    return np.array([power.sum() / there.sum() for power, there in zip(*parts) if there.any()])


def _change(powers):
    return float(np.std(powers) / max(np.mean(powers), np.finfo(np.float64).tiny))


def _surrogates(wave):
    """Steady noises with the spectrum of a wave [samples]: its Fourier transform with phases drawn at random."""
    spectrum, rng = np.abs(np.fft.rfft(wave)), np.random.default_rng(0)
    for _ in range(SURROGATES):
        yield np.fft.irfft(spectrum * np.exp(2j * np.pi * rng.uniform(size=len(spectrum))), len(wave))


def _amplitudes(wave):
    """[bins, frames] of a wave [samples]: its STFT with a Hann window."""
    length = min(FRAME_LENGTH, len(wave))
    frames = np.lib.stride_tricks.sliding_window_view(wave, length)[:: min(HOP_LENGTH, length)]
    return np.abs(np.fft.rfft(frames * np.hanning(length + 1)[:-1], axis=1)).T


def _least(step):
    """The amplitude that rounding has in `_amplitudes`: nothing below it counts."""
    return step * (3 / 8 * FRAME_LENGTH / 12) ** 0.5 + np.finfo(np.float32).tiny


def _alike(left, heard):
    """The correlations of amplitudes [bins, frames], about each bin's mean, and of the levels of the frames, in which
    every bin counts alike, in dB.
    """
    levels = [np.log(np.mean((a / a.mean(axis=1, keepdims=True)) ** 2, axis=0)) for a in (left, heard)]
    about = [a - a.mean(axis=1, keepdims=True) for a in (left, heard)]
    return tuple(_correlation(*pair) for pair in (about, [level - level.mean() for level in levels]))


def _correlation(a, b):
    return float(np.sum(a * b) / max(np.sqrt(np.sum(a**2) * np.sum(b**2)), np.finfo(np.float64).tiny))
