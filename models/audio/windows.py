"""Recordings of any length: read in blocks, cut into windows of a clip's length, put together again by overlap-add."""

from math import ceil, gcd

import librosa
import numpy as np

from models.audio.clip import FILTER_MARGIN, SAMPLE_RATE, fitted, mixed
from models.audio.decoding import ends_early, nothing_in, opened, read

BLOCK_SECONDS = 10.0  # read at once, at least


def samples_of(path, num_channels=1, sample_rate=SAMPLE_RATE):
    """The samples of a recording at its own level, in blocks float32 [n, num_channels] at `sample_rate` in Hz, one
    after another.

    Each block is resampled together with its neighbours' edges, so that the blocks are those of the whole recording.
    Raises AudioError, one line with file and cause, for what cannot be read.
    """
    with opened(path) as file:
        rate = file.samplerate
        unit = rate // gcd(rate, sample_rate)  # samples after which both rates meet
        block, margin = (unit * ceil(seconds * rate / unit) for seconds in (BLOCK_SECONDS, FILTER_MARGIN))
        before = np.zeros((0, num_channels), np.float32)
        ahead = mixed(read(file, block + margin, path), num_channels, path)
        while len(ahead):
            now = ahead[:block] if len(ahead) == block + margin else ahead  # fewer are the last
            piece = _resampled(np.concatenate([before, ahead]), rate, sample_rate)
            start = len(before) * sample_rate // rate
            end = start + len(now) * sample_rate // rate if len(now) < len(ahead) else None
            yield piece[start:end]
            before = np.concatenate([before, now])[-margin:]
            ahead = ahead[len(now) :]
            if len(ahead):
                ahead = np.concatenate([ahead, mixed(read(file, block, path), num_channels, path)])


def _resampled(samples, rate, wanted):
    return samples if rate == wanted else librosa.resample(samples, orig_sr=rate, target_sr=wanted, axis=0)


def duration_of(path, sample_rate=SAMPLE_RATE, tell=None):
    """The duration of a recording in samples at `sample_rate` in Hz, counted by reading it, since what its header says
    may be wrong. tell: called with a phrase if it ends early. Raises AudioError for a file without samples."""
    frames = 0
    with opened(path) as file:
        rate = file.samplerate
        while len(samples := read(file, ceil(BLOCK_SECONDS * rate), path)):
            frames += len(samples)
    if not frames:
        raise nothing_in(path)
    if tell and file.ends_early:
        tell(ends_early(frames / rate))
    return ceil(frames * sample_rate / rate)


def window_count(duration, num_samples, hop):
    """How many windows of `num_samples`, `hop` samples apart, it takes to reach the end of `duration` samples."""
    return 1 + max(0, ceil((duration - num_samples) / hop))


def windows(path, count, hop, *, num_samples, num_channels, preparation, prepared=False):
    """The first `count` windows of a recording, `hop` samples apart, each prepared as a recording of its own → Clips.

    preparation, prepared: as in models.audio.clip.fitted. The last windows are padded with silence.
    """
    blocks = samples_of(path, num_channels, preparation.sample_rate)
    held, ended = np.zeros((0, num_channels), np.float32), False
    for _ in range(count):
        while len(held) < num_samples and not ended:
            block = next(blocks, None)
            ended = block is None
            held = held if ended else np.concatenate([held, block])
        yield fitted(held[:num_samples], num_samples, preparation, prepared)
        held = held[hop:]


class OverlapAdd:
    """Puts windows of [num_samples, num_channels], `hop` samples apart, together again.

    Each counts with the square of a sine over its length, divided by what all windows there add up to, so the weights
    of every sample sum to one. A window that its preparation moved does not count where it has no samples; where none
    counts there is silence.
    """

    def __init__(self, num_samples, num_channels, hop):
        self.hop = hop
        self.shape = num_samples, num_channels
        self.taper = np.sin(np.pi * (np.arange(num_samples) + 0.5) / num_samples)[:, None] ** 2  # nowhere zero
        self.sums = np.zeros(self.shape)
        self.weights = np.zeros((num_samples, 1))

    def add(self, clip, waveform):
        """Adds the next window: its Clip, and the waveform [num_samples, …] that takes its place, for a silent clip
        silence → the samples [hop, num_channels] that are finished now.
        """
        covered = clip.undo(np.ones((self.shape[0], 1), np.float32)) > 0
        weights = self.taper * covered
        self.weights += weights
        if np.any(clip.samples):
            self.sums += weights * clip.undo(np.reshape(waveform, self.shape))
        finished = self._mean()[: self.hop]
        for kept in (self.sums, self.weights):
            kept[: -self.hop or None] = kept[self.hop :]
            kept[len(kept) - self.hop :] = 0
        return finished

    def rest(self):
        """The samples that the last window left, [num_samples - hop, num_channels]."""
        return self._mean()[: self.shape[0] - self.hop]

    def _mean(self):
        return (self.sums / np.where(self.weights > 0, self.weights, 1)).astype(np.float32)
