"""Who made a sound: what is left behind its latent vector says more than how much that explains.

Another state of a generator's training, or the same weights a thousandth off, explains 99.9 % of its sounds too. But
what it leaves follows the sound: it is loud where the sound is loud, again and again. Rounding is as small as the
file's last bit, and noise does not care about the sound. An unknown change of the sound, such as a filter, follows it
as well; whether that is all that follows is known only where such changes were looked for.
"""

from dataclasses import dataclass

import numpy as np

from models.audio.clip import FRAME_LENGTH, HOP_LENGTH
from models.recovery.descents import BLOCKS, STEADY
from models.recovery.errors import CONVERGED, margin_db

# What is said of a sound. The first three: the generator made it.
UNTOUCHED, NOISE, CHANNEL = "untouched", "noise", "channel"
NEAR, UNSURE, OTHER, SILENT = "near", "cannot tell", "other", "silence"
OWN = UNTOUCHED, NOISE, CHANNEL

EXPLAINED = 0.8  # share that a latent vector explains, below which the generator had no part in a sound
DITHER = 4.0  # times the power of rounding: triangular dither has 3; a relative that can be told has 10 or more
ACCURACY = 10 * 2 * CONVERGED  # of a sound's energy, what a solver leaves that is done at a tenth of this: 90 dB
FOLLOWS = 0.15, 0.6  # correlation of amplitudes in the spectrogram, and of levels over time, above which one follows
STEPS = 1 / 128, 1 / 32767, 1 / 32768  # of samples of 8 bits, and of 16 in both of their units
SURROGATES = 16  # of a residual: steady noise of its spectrum


@dataclass(frozen=True)
class Remainder:
    """What a sound's latent vector leaves of a target. power: its mean square; floor: the largest that is rounding.
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

    @property
    def is_rounding(self):
        return self.power <= self.floor

    @property
    def is_steady(self):
        """Whether it changes far less with time than the sound."""
        return self.change < STEADY * self.sound_change

    @property
    def can_tell(self):
        """Whether steady noise would be seen to be steady: not with a sound that hardly changes itself."""
        return self.noise_change < STEADY * self.sound_change

    @property
    def follows(self):
        """Whether it is loud where the sound is."""
        return any(correlation > limit for correlation, limit in zip(self.alike, FOLLOWS))


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
    return Remainder(power, floor, *changes, float(np.mean(noises)), alike)


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


def verdict(explained, left, channel=None):
    """Who made a sound → one of UNTOUCHED, NOISE, CHANNEL, which all mean this generator, NEAR, UNSURE, OTHER.

    explained: share of the sound that a latent vector explains, NaN if that is not known. left: Remainder, behind the
    channel if one was found. channel: what was done to the sound beside its level, offset and position, in words, ""
    where it was looked for in vain, None where it was not looked for.
    """
    if not explained >= EXPLAINED:
        return OTHER
    if left.is_rounding:
        return CHANNEL if channel else UNTOUCHED
    if not left.can_tell:
        return UNSURE
    if left.is_steady or not left.follows:
        return CHANNEL if channel else NOISE
    return UNSURE if channel is None else NEAR


def is_silent(target, step=0.0):
    """Whether there is no sound in a target [samples, channels]: it is constant but for its last bit."""
    return float(np.ptp(target, axis=0).max()) <= step


def step_of(samples):
    """The step of samples [...] that come from a file of 8 or 16 bits as they are: of which all are whole multiples; 0
    where there is none, as in floating point, or in 24 bits, whose rounding is below what a solver leaves.
    """
    values = np.asarray(samples, np.float64)
    for step in STEPS:
        multiples = values / step
        if np.abs(multiples - np.round(multiples)).max(initial=0) <= 2**-23 * max(np.abs(multiples).max(initial=0), 1):
            return step
    return 0.0


def nearest(energies):
    """Which of several generators made a sound → its name, that of the next best, and how many dB that leaves more.

    energies: {name: energy that its best latent vector leaves of the sound}, two at least.
    """
    first, second = sorted(energies, key=energies.get)[:2]
    return first, second, float(margin_db(energies[first], energies[second]))
