"""A generator's own sounds anywhere in a recording of any length.

What a generator's sounds have in common is a few waveforms, those that explain the most of a sample of its sounds. They
run along the recording, by FFT, a block at a time, and say of every place what share of the energy of a clip there they
explain. Where that is as much as they explain of the generator's sounds, and more than around it, a clip may lie; more
such waveforms then tell most other sounds from the generator's. What is left is solved, the most alike first.
"""

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage

from models.audio.clip import Clip
from models.generator.generator import generate, random_latent
from models.metrics.metrics import IDENTICAL_DB
from models.recovery.alignment import unit
from models.recovery.sketch import FARTHEST

STREAM = 20_141  # separates the sounds that are drawn here from every other use of a seed
DRAWN, JUDGED = 512, 256  # sounds that the common waveforms are made from, and others that say how much they explain
FEW, MANY = 20, 60  # common waveforms that run along a recording, and that look at each place found
RECOGNISED = (
    0.7,
    0.8,
)  # of the least share that the few and that all explain of own sounds; noise and cut ends cost some
LEAST = 1e-6  # power, relative to the first's, below which a common waveform is rounding
SPAN = 4  # clip's lengths of an FFT
SILENT = 1e-10  # energy of a clip, relative to that of the block that it lies in, below which there is only rounding
TOGETHER = 64  # places of a cluster at most, so that memory is bounded whatever the recording
SIDE_BY_SIDE = 8  # clips that are solved at once
EXPLAINED = 0.8  # share of a clip that a latent vector explains, above which a clip was found
MOVED = 0.5  # samples from where a clip was cut out, from which on it is cut out anew


@dataclass(frozen=True)
class Common:
    """What a generator's sounds have in common. rows [MANY, num_samples]: orthonormal, channels summed, the first ones
    explain the most. few, many: the least shares that the first FEW and that all explain of a sound.
    """

    rows: np.ndarray
    few: float
    many: float


def common(generator):
    """What the sounds of a generator have in common → Common, made once. It draws several hundred of them."""
    return generator.derived(("common",), lambda: _common(generator))


def _common(generator):
    drawn, judged = (
        unit(generate(generator, random_latent(generator, count, [STREAM, i])).sum(axis=2, dtype=np.float64))
        for i, count in enumerate((DRAWN, JUDGED))
    )
    powers, mixtures = np.linalg.eigh(drawn @ drawn.T)  # far less work than the singular values of all samples
    powers, mixtures = powers[::-1][:MANY], mixtures[:, ::-1][:, :MANY]
    rows = (mixtures.T @ drawn)[powers > LEAST * powers[0]]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    shares = np.cumsum((judged[judged.any(axis=1)] @ rows.T) ** 2, axis=1)  # [JUDGED or less, MANY], none of silence
    return Common(rows.astype(np.float32), *shares[:, [min(FEW, len(rows)) - 1, len(rows) - 1]].min(axis=0))


@dataclass(frozen=True)
class Place:
    """A place where a clip may lie. start: in samples from the recording's beginning. share: of its energy that the
    common waveforms explain. around: the samples [margin + num_samples + margin, num_channels] there.
    """

    start: int
    share: float
    around: np.ndarray


@dataclass(frozen=True)
class Found:
    """A clip that was found. start: of the recording's samples, where the clip's first one lies, a real number.
    clip: what was recovered, a Clip that begins at the whole number nearest to it. answer: its
    models.recovery.recover.Recovered.
    """

    start: float
    clip: Clip
    answer: object

    @property
    def snr_db(self):
        return self.answer.snr_db


def margin_of(generator):
    """Samples about a place that are kept, and within which there is one place only."""
    return min(FARTHEST, generator.num_samples // 8)


def shares_along(samples, rows):
    """The share of the energy of every clip in samples [n, num_channels], about its mean, that orthonormal rows [r, s]
    of mean 0 explain: [n - s + 1], in [0, 1], 0 where there is silence.
    """
    mono, length = samples.sum(axis=1, dtype=np.float64), rows.shape[1]
    sums = [np.append(0.0, np.cumsum(values)) for values in (mono, mono**2)]
    mean, energy = (total[length:] - total[:-length] for total in sums)
    energy = energy - mean**2 / length
    size = scipy.fft.next_fast_len(len(mono), real=True)
    spectrum, explained = scipy.fft.rfft(mono.astype(np.float32), size), np.zeros(len(energy), np.float32)
    for row in rows:
        alike = scipy.fft.irfft(np.conj(scipy.fft.rfft(row, size)) * spectrum, size)[: len(energy)]
        explained += alike**2
    sounding = energy > SILENT * max(sums[1][-1], 1e-30)
    return np.where(sounding, np.minimum(explained / np.where(sounding, energy, 1), 1), 0)


def places(blocks, generator):
    """The places in a recording where a clip may lie, in order, with where the search has come to: pairs of a Place, or
    None, and a number of samples, before which no other is found.

    blocks: float32 [n, num_channels], one behind another, at the generator's rate. Clips that were cut off at either
    end of the recording, by an eighth of their length at most, are found too.
    """
    known, length, margin = common(generator), generator.num_samples, margin_of(generator)
    edge = np.zeros((2 * margin, generator.num_channels), np.float32)
    held, start, scores = edge, -2 * margin, np.zeros(0)  # the samples and the shares that both begin at `start`
    for block in _joined(blocks, (SPAN - 1) * length, edge, length):
        held = np.concatenate([held, block])
        if len(held) < length + len(scores):
            continue
        scores = np.append(scores, shares_along(held[len(scores) :], known.rows[:FEW]))
        highest = scipy.ndimage.maximum_filter1d(scores, 2 * margin + 1)
        peaks = np.flatnonzero((scores == highest) & (scores > RECOGNISED[0] * known.few))
        end = len(scores) - margin  # beyond it a peak is none yet
        for peak in peaks[(peaks >= margin) & (peaks < end)]:
            around = held[peak - margin : peak + length + margin]
            share = float(np.sum((known.rows @ unit(around[margin:][:length].sum(axis=1)[None])[0]) ** 2))
            if share > RECOGNISED[1] * known.many:
                yield Place(start + int(peak), share, around), start + end
        yield None, start + end
        done = max(end - margin, 0)
        held, scores, start = held[done:], scores[done:], start + done


def _joined(blocks, size, edge, least):
    """Blocks joined until they have `size` samples; behind the last, zeros up to `least` samples in all and an edge."""
    parts, total = [], 0
    for block in blocks:
        parts.append(block)
        total += len(block)
        if sum(map(len, parts)) >= size:
            yield np.concatenate(parts)
            parts = []
    padding = np.zeros((max(least - total, 0), edge.shape[1]), np.float32)
    yield np.concatenate([*parts, padding, edge])


def find(blocks, generator, solve):
    """The clips of a generator in a recording → each as a Found, as soon as what it overlaps with is decided.

    blocks, generator: as of `places`. solve: function of models.audio.clip.Clips, a list → their Recovery and the
    Clips, as models.recovery.recover.recovered_clips has it; its solver has least squares on the waveform, and gives up
    what no latent vector explains. Of clips that lie on each other by more than an eighth only the one that is
    recovered best is found.
    """
    cluster = []
    for place, come_to in places(blocks, generator):
        closed = cluster and (place.start if place else come_to) >= cluster[-1].start + generator.num_samples
        if closed or len(cluster) == TOGETHER:
            yield from _resolved(cluster, generator, solve)
            cluster = []
        cluster += [place] if place else []
    yield from _resolved(cluster, generator, solve)


def _resolved(cluster, generator, solve):
    """The clips among places that overlap, as Found, in order."""
    apart = generator.num_samples - margin_of(generator)
    waiting, found = sorted(cluster, key=lambda place: -place.share), []

    def free(place, others):
        return all(abs(place.start - other.start) >= apart for other in others)

    while waiting:
        batch = []
        for place in waiting:
            if len(batch) < SIDE_BY_SIDE and free(place, batch):
                batch.append(place)
        waiting = [place for place in waiting if place not in batch]
        found += _solved(batch, generator, solve)
        sure = [one for one in found if one.snr_db > IDENTICAL_DB]
        waiting = [place for place in waiting if free(place, sure)]
    kept = []
    for one in sorted(found, key=lambda one: -one.snr_db):
        if free(one, kept):
            kept.append(one)
    return sorted(kept, key=lambda one: one.start)


def _solved(batch, generator, solve):
    """Those places that a latent vector explains, as Found; where one lies elsewhere than it was cut out, anew."""
    margin, length = margin_of(generator), generator.num_samples
    at, found = {i: 0 for i in range(len(batch))}, []
    for again in (True, False):
        if not at:
            break
        cut = [batch[i].around[margin + by : margin + by + length] for i, by in at.items()]
        shaped = [piece[:, 0] if generator.num_channels == 1 else piece for piece in cut]
        answers, clips = solve([Clip(piece, as_it_is=piece) for piece in shaped])
        later = {}
        for number, (i, by) in enumerate(at.items()):
            if not (answers[number].explained or 0) > EXPLAINED:
                continue
            shift = answers[number].shift
            moved = by + round(shift)
            if again and abs(shift) > MOVED and abs(moved) <= margin:
                later[i] = moved
            else:
                found.append(Found(batch[i].start + by + shift, clips[number], answers[number]))
        at = later
    return found
