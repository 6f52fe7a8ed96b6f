"""Which code a recording has: solved with the code free, then with each near code held and the noise solved again."""

from dataclasses import dataclass, replace

import numpy as np

from models.generator.codes import LARGEST_SCALE, held, relaxed
from models.recovery.clips import EXPLAINED
from models.recovery.exact import LevenbergMarquardt, exact_part, residuals
from models.recovery.placement import as_generated
from models.recovery.solution import Solution, joined, margin_db, part

CANDIDATES = 3  # codes that are held, the nearest to the free answer's
REACHES = 4.0, LARGEST_SCALE  # how far a code whose scale is free is followed, and then where that leads nowhere
NOWHERE = 1e-3  # objective of such a code, -27 dB
LEAST_SCALE = 0.5  # of a code, in which the free answer is read
VANISHED = 1e-2  # largest number of a code whose scale is free, up to which it is the code of zeros


@dataclass(frozen=True)
class Coded:
    """The best valid code and the noise that goes with it, for a generator that has `codes`.

    after: the solver that is run with the code free and with codes held, or None, where the noise of the start is the
    answer and only codes are compared. hold: a code that every clip has, as it is written, or "". scale: of the codes,
    a number or "free", 0 to 20.
    """

    after: object = None
    hold: str = ""
    scale: float | str = 1.0

    def solve(self, targets, generator, start=None, *, seed=0, report=None):
        """targets: waveforms [n, num_samples, num_channels]. start: latent vectors [n, latent_dim], or None, only with
        `after`. seed, report: of `after`. → Solution with code, runner_up and margin_db; its objective is that which
        chose the code. Raises ValueError for a code that the layout lacks.
        """
        codes, n = generator.codes, len(targets)
        if self.scale == "free" and not np.isfinite(generator.bounds):
            raise ValueError("code_scale is free, and latent vectors have no bounds; set bounds, such as 4")
        targets = np.asarray(targets, np.float32)
        free, solution = relaxed(generator, REACHES[0] if self.scale == "free" else self.scale), None
        if self.after is not None:
            begin = None if start is None else free.inverse(start)
            solution = self.after.solve(targets, free, begin, seed=seed, report=report)
            start = free.latent(solution.z).numpy()
            if self.scale == "free":
                solution = self._further(targets, generator, solution, start, seed)
            targets = as_generated(targets, solution)
        if self.hold:
            candidates = [[codes.text(codes.code(self.hold))]] * n
        else:
            scale = self.scale
            if scale == "free":
                scale = np.maximum(start[:, codes.places].max(axis=1, keepdims=True), LEAST_SCALE)
            near = [codes.nearest(one, CANDIDATES) for one in start[:, codes.places] / scale]
            candidates = [[codes.text(code) for code in some] for some in near]
        exact = _exact(self.after)
        by_waveform = np.zeros(n, bool)  # the clips that least squares on the waveform explain
        if exact is not None and self.scale != "free":
            by_waveform[:] = isinstance(self.after, LevenbergMarquardt) or solution.objective < EXPLAINED
        answers = [{} for _ in range(n)]  # of each clip, {code: (objective, z, z_std)}
        pairs = [(i, code) for i in range(n) for code in candidates[i]]
        together = [(i, code) for i, code in pairs if by_waveform[i]]
        if together:
            self._hold_at_bounds(targets, generator, free, start, together, answers, seed)
        for code in dict.fromkeys(code for i, code in pairs if not by_waveform[i]):
            index = np.array([i for i, one in pairs if one == code and not by_waveform[i]])
            self._hold_by_itself(targets, generator, start, code, index, answers, seed)
        return self._best(targets, generator, answers, solution, by_waveform)

    def _further(self, targets, generator, solution, start, seed):
        """Follows codes as far as the largest scale, of clips that a code of a usual scale does not explain → the
        Solution; latent vectors that are better are written into start [n, latent_dim]."""
        again = np.flatnonzero(solution.objective > NOWHERE)
        if not len(again):
            return solution
        free = relaxed(generator, REACHES[1])
        other = self.after.solve(targets[again], free, None, seed=seed)
        better = other.objective < solution.objective[again]
        far, near = again[better], np.setdiff1d(np.arange(len(targets)), again[better])
        start[far] = free.latent(other.z[better]).numpy()
        return joined([(near, part(solution, near)), (far, part(other, better))], len(targets))

    def _hold_at_bounds(self, targets, generator, free, start, pairs, answers, seed):
        """Solves the noise of (clip, code) pairs side by side, the codes being bounds that are equal."""
        codes, exact = generator.codes, _exact(self.after)
        index, z = np.array([i for i, _ in pairs]), np.stack([start[i] for i, _ in pairs])
        z[:, codes.places] = [self.scale * codes.code(code) for _, code in pairs]
        begin = free.inverse(z)
        lower, upper = (np.full(begin.shape, bound) for bound in (-generator.bounds, generator.bounds))
        for bound in (lower, upper):
            bound[:, codes.places] = begin[:, codes.places]
        solution = exact.solve(targets[index], free, begin, seed=seed, bounds=(lower, upper))
        solved, z_std = free.latent(solution.z).numpy(), np.zeros(z.shape)
        solved[:, codes.places] = z[:, codes.places]  # without the rounding of the way there and back
        if solution.z_std is not None:
            z_std[:, codes.noise] = solution.z_std[:, codes.noise]
        for row, (i, code) in enumerate(pairs):
            answers[i][code] = solution.objective[row], solved[row], z_std[row]

    def _hold_by_itself(self, targets, generator, start, code, index, answers, seed):
        """Solves the noise of the clips `index` for one code, and its scale where that is free."""
        function = held(generator, code, self.scale)
        begin = function.inverse(start[index])
        if self.after is None:
            solution = Solution(begin, residuals(targets[index], function, begin), np.zeros(len(index), int))
        else:
            solution = _short(self.after).solve(targets[index], function, begin, seed=seed)
        z, nothing = function.latent(solution.z).numpy(), np.full(generator.latent_dim, np.nan)
        for row, i in enumerate(index):
            answers[i][code] = solution.objective[row], z[row], nothing

    def _best(self, targets, generator, answers, free, by_waveform):
        """The Solution of the best codes of all clips, of their answers {code: (objective, z, z_std)}. free: that of
        the free codes, or None. by_waveform [n]: whether the objectives of a clip are of its waveform."""
        rows, margin = [], np.full(len(answers), np.nan)
        for i, some in enumerate(answers):
            some = _without_vanished(generator.codes, some) if self.scale == "free" else some
            order = sorted(some, key=lambda code: some[code][0])
            rows.append((*some[order[0]], order[0], order[1] if len(order) > 1 else ""))
            if len(order) > 1:
                first, second = (some[code] for code in order[:2])
                values = first[0], second[0]
                if self.after is not None and first[0] < EXPLAINED <= second[0] and _exact(self.after):
                    both = np.stack([first[1], second[1]])  # one exact and one by ear: the waveform measures both
                    values = residuals(np.repeat(targets[i : i + 1], 2, axis=0), generator, both, 0.0)
                margin[i] = margin_db(*values)
        objective, z, z_std, code, runner_up = (np.array(column) for column in zip(*rows))
        best = Solution(z.astype(np.float32), objective, np.zeros(len(z), int)) if free is None else free
        best = replace(best, z=z.astype(np.float32), objective=objective, start=None)
        if best.explained is not None:  # so far explained, at_bound and z_std are those of the free codes
            left, rest = objective.copy(), by_waveform & (objective >= EXPLAINED)  # in part of STFT magnitudes
            if rest.any():
                left[rest] = residuals(targets[rest], generator, best.z[rest], 0.0)
            best.explained = np.where(by_waveform, np.clip(1 - 2 * left, 0, 1), best.explained)
            best.at_bound = (np.abs(best.z[:, generator.codes.noise]) >= generator.bounds).sum(axis=1)
            best.z_std = np.where(np.isfinite(best.z_std).all(axis=1, keepdims=True), z_std, np.nan)
        return replace(best, code=code, runner_up=runner_up, margin_db=margin)


def exact_only(solver, **changes):
    """The least-squares part of a solver, with codes where it looks for those, which gives up recordings that no latent
    vector explains; or None. changes: {field of LevenbergMarquardt: value}.
    """
    if isinstance(solver, Coded):
        after = exact_only(solver.after, **changes)
        return after and replace(solver, after=after)
    exact = exact_part(solver)
    return exact and replace(exact, give_up=True, **changes)


def _without_vanished(codes, answers):
    """Answers {code: (objective, z, z_std)} to one clip without those of a scale near 0, where the bits that are all 0
    are among them: at scale 0 every code of bits is that one.
    """
    zeros = codes.text(np.zeros(codes.size))
    if zeros not in answers or codes.code(zeros).any():
        return answers
    return {
        code: answer
        for code, answer in answers.items()
        if code == zeros or np.abs(answer[1][codes.places]).max() > VANISHED
    }


def _exact(solver):
    """The least-squares part of a solver, without further tries, for clips that are aligned; or None."""
    exact = exact_part(solver)
    return exact and replace(exact, restarts=0, free=False)


def _short(solver):
    """A solver without further tries, for clips that are aligned and begin near the answer."""
    if isinstance(solver, LevenbergMarquardt):
        return _exact(solver)
    return replace(solver, exact=_exact(solver)) if hasattr(solver, "exact") else solver
