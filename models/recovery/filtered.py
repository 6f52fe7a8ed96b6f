"""Clips that may have gone through a linear filter, beside level, offset and position: their descents, and what was
found, as a Solution holds it.

A filter has the level, the sign and the position of a sound among its special cases, so it is looked for where those
alone do not explain a clip that the generator seems to have made. Only the product of all is known. The convention is
the generator's own level and place, and a filter of unit energy whose largest tap is positive and lies at 0.
"""

import numpy as np

from models.generator.generator import generate
from models.recovery.channel import Filtered
from models.recovery.clips import EXPLAINED, NEARER, Clips
from models.recovery.covariance import deviations
from models.recovery.filters import ORIGIN
from models.recovery.placement import PROMISING, centred, sketch
from models.recovery.starts import predict

NEEDED = 0.1  # share of an objective without a filter that one with a filter has at most, where there is one: 10 dB
HELPED = 0.5  # share of the objective of a clip, explained for the most part, that a filter leaves at once, at most
TRIES = 3  # reweighted descents of a filtered clip; each costs about ten Jacobians


class FilteredClips(Clips):
    """The descents of targets [n, num_samples, num_channels], each a sound of the generator about `shifts` [n] samples
    later, through a filter. start, bounds, options: of Clips."""

    def __init__(self, targets, generator, shifts, start, bounds, options):
        super().__init__(targets, generator, start, bounds, options)
        waveforms, self.offset = centred(self.targets)
        self.gain = np.maximum(waveforms.std(axis=(1, 2)), 1e-6) / sketch(generator).level
        self.shift = np.round(np.asarray(shifts, float))
        self.align(np.arange(len(targets)))

    def problem(self, index):
        """Least squares with a filter each, for the clips `index`."""
        present = self.present[index].reshape(len(index), -1)
        return Filtered(self.generator, self.aligned[index], present)

    def sounds(self, index):
        """The generator's waveforms of the clips `index` [m], each through its best filter."""
        problem, waveforms = self.problem(index), generate(self.generator, self.z[index].astype(np.float32))
        return np.stack([problem.fit(wave, i).fitted.reshape(wave.shape) for i, wave in enumerate(waveforms)])

    def solve(self, inverse_mapping, stream, **patience):
        """Descends with every clip: from where it stands, or what an inverse mapping predicts, if there is one, where a
        filter makes one of them explain the clip; else, and where that leads nowhere, from zero. Those that are
        explained then are led out of local minima.
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
        self.reweigh(TRIES, stream, EXPLAINED)

    def into(self, solution, rows, index):
        """Writes what was found for its own clips `rows` [m] into those numbered `index` [m] of a Solution."""
        if solution.filter is None:
            solution.filter = np.zeros((len(solution.z), self.generator.num_samples), np.float32)
        problem = self.problem(rows)
        for number, (row, i) in enumerate(zip(rows, index)):
            z = self.z[row]
            waveform = np.asarray(self.generator(z[None].astype(np.float32)), np.float64)[0]
            fit = problem.fit(waveform, number)
            response, size = problem.basis.response(fit.coefficients), np.linalg.norm
            peak = np.abs(response[: ORIGIN + 1]).argmax()  # the largest of the first taps: it will lie at ORIGIN
            level = np.copysign(size(response), response[peak])
            taps = np.zeros(len(response))
            taps[ORIGIN - peak :] = response[: len(response) - ORIGIN + peak] / level
            offset = fit.coefficients[-1]
            fitted, known = fit.fitted.reshape(waveform.shape) - offset, self.present[row] > 0
            free = self.lower[row] < self.upper[row]
            std = deviations(fitted, self.aligned[row] - offset, known, self.normal[row], free)
            solution.filter[i], solution.z[i], solution.z_std[i] = taps, z, std[: self.k]
            solution.gain[i] = self.gain[row] * level
            solution.offset[i] = self.offset[row] + self.gain[row] * offset
            solution.shift[i] = self.shift[row] + peak - problem.basis.before
            solution.objective[i], solution.at_bound[i] = self.objective[row], self.at_bound()[row]
            solution.explained[i] = np.clip(1 - 2 * self.objective[row], 0, 1)


def look_for_filters(clips, index, shifts, inverse_mapping, stream, **patience):
    """Descents with a filter for the clips `index` of models.recovery.clips.Clips, about `shifts` [n] samples late.
    What they find is kept there, and settled, where it explains a clip that nothing else did, or NEEDED more of it.

    Clips that are explained for the most part are left out where a filter changes little: those are in a local minimum.
    """
    if len(index):
        z, bounds = clips.z[index], [bound[index] for bound in clips.bounds]
        filtered = FilteredClips(clips.targets[index], clips.generator, shifts[index], z, bounds, clips.options)
        every = np.arange(len(index))
        helped = filtered.problem(every).evaluate(z, every) < HELPED * clips.objective[index]
        rows = every[helped | (clips.objective[index] >= EXPLAINED)]
        if len(rows) < len(index):
            look_for_filters(clips, index[rows], shifts, inverse_mapping, stream, **patience)
            return
        filtered.solve(inverse_mapping, stream, **patience)
        clips.iterations[index] += filtered.iterations
        found = (filtered.objective < EXPLAINED) & (filtered.objective < NEEDED * clips.objective[index])
        clips.objective[index[found]], clips.settled[index[found]] = filtered.objective[found], True
        clips.found.append((filtered, every[found], index[found]))
