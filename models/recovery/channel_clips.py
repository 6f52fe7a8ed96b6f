"""Clips that may have gone through more than another level, offset and position: a linear filter, or another speed.
Their descents, and what was found, as a Solution holds it.

A filter has the level, the sign and the position of a sound among its special cases, so it is looked for where those
alone do not explain a clip that the generator seems to have made. Only the product of all is known. The convention is
the generator's own level and place, and a filter of unit energy whose largest tap is positive and lies at 0.
"""

import numpy as np

from models.generator.generator import generate
from models.recovery.channel import Channelled
from models.recovery.clips import EXPLAINED, NEARER, Clips
from models.recovery.covariance import deviations
from models.recovery.filters import ORIGIN, filters
from models.recovery.placement import PROMISING, centred, inside, sketch
from models.recovery.speed import Played, place_by_speed
from models.recovery.starts import predict
from models.recovery.stretching import at, in_recording

NEEDED = 0.1  # share of an objective without a channel that one with it has at most, where there is one: 10 dB
HELPED = 0.5  # share of the objective of a clip, explained for the most part, that a channel leaves at once, at most
TRIES = 3  # reweighted descents of a clip with a channel; each costs about ten Jacobians
ALIGNMENTS = 4  # of a clip by its speed, at most
PLACED = 0.01  # samples by which speed and position move a clip's ends, below which it needs no other
ALIGNED = 1e-3  # noise behind an alignment


class ChannelClips(Clips):
    """The descents of targets [n, num_samples, num_channels], each a sound of the generator through a channel.

    shifts [n]: samples that they are later, about. speeds [n]: how many times longer they last, or None for 1. start,
    bounds, options: of Clips.
    """

    def __init__(self, targets, generator, shifts, start, bounds, options, speeds=None):
        super().__init__(targets, generator, start, bounds, options)
        waveforms, self.offset = centred(self.targets)
        self.gain = np.maximum(waveforms.std(axis=(1, 2)), 1e-6) / sketch(generator).level
        self.shift = np.array(shifts, float)
        self.speed = np.ones(len(targets)) if speeds is None else np.array(speeds, float)
        self.align(np.arange(len(targets)))

    def problem(self, index):
        """Least squares with a channel each, for the clips `index`."""
        present = self.present[index].reshape(len(index), -1)
        return Channelled(self.generator, self.aligned[index], self.basis(), present)

    def sounds(self, index):
        """The generator's waveforms of the clips `index` [m], each through its best channel."""
        problem, waveforms = self.problem(index), generate(self.generator, self.z[index].astype(np.float32))
        return np.stack([problem.fit(wave, i).fitted.reshape(wave.shape) for i, wave in enumerate(waveforms)])

    def solve(self, inverse_mapping, **patience):
        """Descends with every clip: from where it stands, or what an inverse mapping predicts, if there is one, where a
        channel makes one of them explain the clip; else, and where that leads nowhere, from zero. Those that are
        explained then are aligned by what is known now.
        """
        every = np.arange(len(self.targets))
        problem, starts = self.problem(every), [self.z]
        if inverse_mapping is not None:
            starts.append(np.clip(predict(self.aligned, inverse_mapping), *self.bounds))
        values = np.stack([problem.evaluate(start, every) for start in starts])  # [starts, n]
        near = values.min(axis=0) < PROMISING
        self.x[:, : self.k] = np.where(near[:, None], np.stack(starts)[values.argmin(axis=0), every], 0)
        self.descend(every, problem, smoothing=np.where(near, NEARER, np.inf)[:, None], **patience)
        lost = every[near & (self.objective >= EXPLAINED)]
        if len(lost):
            self.descend(lost, x=np.zeros_like(self.x[lost]), **patience)
        self.follow(every)

    def follow(self, index):
        """Nothing more is known of the clips `index` after their descents."""

    def answers(self, rows):
        """Of each of the clips `rows`: its waveform through its best channel, and the filters.Fit."""
        problem, waveforms = self.problem(rows), generate(self.generator, self.z[rows].astype(np.float32))
        for number, (row, waveform) in enumerate(zip(rows, waveforms)):
            yield row, waveform, problem.fit(waveform, number)

    def into(self, solution, rows, index):
        """Writes what was found for its own clips `rows` [m] into those numbered `index` [m] of a Solution."""
        for i, (row, waveform, fit) in zip(index, self.answers(rows)):
            offset, known = fit.coefficients[-1], self.present[row] > 0
            fitted, free = fit.fitted.reshape(waveform.shape) - offset, self.lower[row] < self.upper[row]
            std = deviations(fitted, self.aligned[row] - offset, known, self.normal[row], free)
            solution.z[i], solution.z_std[i] = self.z[row], std[: self.k]
            solution.objective[i], solution.at_bound[i] = self.objective[row], self.at_bound()[row]
            solution.offset[i] = self.offset[row] + self.gain[row] * offset
            solution.explained[i] = np.clip(1 - 2 * self.objective[row], 0, 1)
            self.put(solution, i, row, fit)


class FilteredClips(ChannelClips):
    """ChannelClips whose channel is a linear filter."""

    def basis(self):
        """The filters of the generator's rate."""
        return filters(self.generator.num_samples, self.generator.sample_rate)

    def align(self, index):
        """Moves the targets by whole samples, so that nothing of them is changed; the filter does the rest."""
        self.shift[index] = np.round(self.shift[index])
        super().align(index)

    def put(self, solution, i, row, fit):
        """Writes the filter of the clip `row`, by the convention, and its level and place into a Solution's clip i."""
        if solution.filter is None:
            solution.filter = np.zeros((len(solution.z), self.generator.num_samples), np.float32)
        response = self.basis().response(fit.coefficients)
        peak = np.abs(response[: ORIGIN + 1]).argmax()  # of the first taps, which will lie at ORIGIN
        level = np.copysign(np.linalg.norm(response), response[peak])
        solution.filter[i, ORIGIN - peak :] = response[: len(response) - ORIGIN + peak] / level
        solution.gain[i] = self.gain[row] * level
        solution.shift[i] = self.shift[row] + peak - self.basis().before


class PlayedClips(ChannelClips):
    """ChannelClips that were played faster or slower."""

    def basis(self):
        """Small changes of level, position and speed."""
        return Played(self.generator.num_samples)

    def align(self, index):
        """Brings the targets to the generator's own speed, level and position, as far as they are known."""
        for i in index:
            target = self.targets[i]
            places = in_recording(len(target), self.speed[i], self.shift[i])
            waveform, known = at((target - self.offset[i]) / self.gain[i] * inside(target), places)
            there = inside(target)[np.clip(np.round(places).astype(int), 0, len(target) - 1)]
            self.aligned[i], self.present[i] = waveform, known * there

    def follow(self, index):
        """Aligns the clips `index` that are explained by what their descents found of speed and position, and descends
        again, until nothing moves."""
        for _ in range(ALIGNMENTS):
            index = index[self.objective[index] < EXPLAINED]
            again = []
            for row, waveform, fit in self.answers(index) if len(index) else ():
                speed, shift = self.basis().refined(fit.coefficients, self.speed[row], self.shift[row])
                moves = abs(shift - self.shift[row]) + abs(speed / self.speed[row] - 1) * len(waveform) / 2
                if moves > PLACED:
                    again.append(row)
                    self.speed[row], self.shift[row] = speed, shift
            index = np.array(again, int)
            if not len(index):
                break
            self.align(index)
            self.descend(index, smoothing=ALIGNED, always=True)

    def put(self, solution, i, row, fit):
        """Writes the speed of the clip `row`, its level and its place into a Solution's clip i."""
        if solution.speed is None:
            solution.speed = np.ones(len(solution.z))
        found = self.basis().refined(fit.coefficients, self.speed[row], self.shift[row])
        solution.speed[i], solution.shift[i] = found
        solution.gain[i] = self.gain[row] * fit.coefficients[0]


def look_for_channels(clips, index, shifts, recognised, inverse_mapping, stream, **patience):
    """Descents with another speed or with a filter for the clips `index` of models.recovery.clips.Clips, about `shifts`
    [n] samples late. What they find is kept there, and settled, where it explains a clip that nothing else did, or
    NEEDED more of it.

    Clips that are explained for the most part are left out where a channel changes little at once: those are in a local
    minimum. Of the others those are tried that a sketch of the generator is like, as they are, `recognised` [n], or at
    another speed.
    """
    if not len(index):
        return
    explained, speeds = clips.objective[index] < EXPLAINED, np.ones(len(index))
    places = np.array(shifts[index], float)
    if not explained.all():
        rest = np.flatnonzero(~explained)
        other, found, place = place_by_speed(clips.targets[index[rest]], clips.generator)
        speeds[rest[other]], places[rest[other]] = found[other], place[other]
    played, filtered = (_at_once(kind, clips, index) for kind in (PlayedClips, FilteredClips))
    helped = np.minimum(played, filtered) < HELPED * clips.objective[index]
    simpler = played * HELPED < filtered  # a speed has fewer unknowns than a filter
    chosen = np.where(explained, helped & simpler, speeds != 1)
    _look(PlayedClips, clips, index[chosen], places[chosen], speeds[chosen], inverse_mapping, stream, patience)
    chosen = np.where(explained, helped, recognised[index]) & ~clips.settled[index]
    index = index[chosen]
    _look(FilteredClips, clips, index, shifts[index], None, inverse_mapping, stream, patience)


def _made(kind, clips, index, shifts, speeds=None):
    bounds = [bound[index] for bound in clips.bounds]
    arguments = clips.targets[index], clips.generator, shifts, clips.z[index], bounds, clips.options
    return kind(*arguments, speeds)


def _at_once(kind, clips, index):
    """What a channel leaves of each of the clips `index` [m] that are explained for the most part, with the sound and
    at the place that they are explained by; infinite for the others."""
    result = np.full(len(index), np.inf)
    rows = np.flatnonzero(clips.objective[index] < EXPLAINED)
    if len(rows):
        index = index[rows]
        tried = _made(kind, clips, index, clips.shift[index])
        result[rows] = tried.problem(np.arange(len(rows))).evaluate(clips.z[index], np.arange(len(rows)))
    return result


def _look(kind, clips, index, shifts, speeds, inverse_mapping, stream, patience):
    if not len(index):
        return
    tried = _made(kind, clips, index, shifts, speeds)
    tried.solve(inverse_mapping, **patience)
    found = (tried.objective < EXPLAINED) & (tried.objective < NEEDED * clips.objective[index])
    if found.any():
        tried.settled[:] = ~found
        tried.reweigh(TRIES, stream, EXPLAINED)
        clips.objective[index[found]], clips.settled[index[found]] = tried.objective[found], True
        clips.found.append((tried, np.flatnonzero(found), index[found]))
    clips.iterations[index] += tried.iterations
