"""Did the generator make this sound? Evidence that survives what happens to sounds, and a score from it.

What a generator made comes back: a network that predicts latent vectors finds one whose sound is nearly the clip's own,
once it is shown the clip at the position and the level at which the generator made it. So the clip is tried at several
positions; the best prediction's sound says by how much to move it, how loud it should be, and what was there that a cut
or a shift took away; it is predicted again. Of any other sound a large residual is left.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from models.audio.clip import audible_middle, spectrogram
from models.files.writing import written_whole
from models.generator.generator import generate
from models.recovery.starts import predict

POSITIONS = tuple(range(-1200, 1201, 400))  # samples from the expected one, tried first
NEAR = 400  # samples by which a sound found may lie elsewhere at the first trial
ROUNDS = 3  # of moving, levelling, completing and predicting again
CLOSE = 64  # samples by which it may move then
PEAK = 0.9  # of a clip before its level is known
SMALLEST = 1e-4  # residual that counts, -40 dB
FACE = 0.98  # a coordinate beyond this lies on a face of the cube
MEASURES = ("residual", "spectral_residual", "mean_square", "on_faces")
RIDGE = 1e-2  # weight of the logistic regression's squared coefficients, so that they stay finite
PROVENANCE_FILE = "provenance.json"


@dataclass
class _Fit:
    """The best that was found for each of n segments: correlation with its sound, where it lies in the clip, the gain
    of the sound, the sound [n, num_samples] and the latent vector [n, latent_dim]."""

    correlation: np.ndarray
    position: np.ndarray
    gain: np.ndarray
    sound: np.ndarray
    z: np.ndarray

    def improve(self, other):
        better = other.correlation > self.correlation
        for name in vars(self):
            getattr(self, name)[better] = getattr(other, name)[better]


def _placed(segment, position, background):
    """A segment at a position in a clip, over a background [num_samples]; what leaves the clip is cut."""
    clip = background.copy()
    start, end = max(0, position), min(len(clip), position + len(segment))
    if start < end:
        clip[start:end] = segment[start - position : end - position]
    return clip


def _aligned(segment, sound, about, most):
    """Where a segment lies in a sound [num_samples] best, at most `most` samples from `about` → correlation, position,
    gain."""
    size = 2 * len(sound) + len(segment)
    products = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(segment, size)), size)
    energies = np.concatenate([[0.0], np.cumsum(sound.astype(np.float64) ** 2)])
    positions = np.arange(about - most, about + most + 1)
    first, last = (np.clip(edge, 0, len(sound)) for edge in (positions, positions + len(segment)))
    energy = np.maximum(energies[last] - energies[first], 1e-12)
    correlation = products[positions] / np.sqrt(energy * max(float((segment**2).sum()), 1e-12))
    best = int(np.argmax(correlation))
    return float(correlation[best]), int(positions[best]), float(products[positions[best]] / energy[best])


def _fitted(segments, clips, about, most, generator, inverse_mapping):
    """Predicts clips [n, num_samples] and finds their segments in the predictions' sounds."""
    z = predict(clips, inverse_mapping)
    sounds = generate(generator, z)[..., 0]
    found = [_aligned(s, y, a, most) for s, y, a in zip(segments, sounds, about)]
    correlation, position, gain = (np.array(column) for column in zip(*found))
    return _Fit(correlation, position, gain, sounds, z)


def evidence(segments, generator, inverse_mapping):
    """What speaks for and against the generator having made each of n segments → [n, len(MEASURES)].

    segments: a list of waveforms at 16,384 Hz and any level, each up to a clip long and not silent. The measures: what
    is left of the segment beside the best sound, in dB, of its waveform and of its magnitudes; the mean square of the
    latent vector, 1/3 for uniform ones; the share of its coordinates on a face of the cube.
    """
    size = generator.num_samples
    segments = [np.asarray(s[:size], np.float32) for s in segments]
    segments = [s * (PEAK / max(float(np.abs(s).max()), 1e-9)) for s in segments]
    centred = generator.preparation.position == "center"
    expected = [size // 2 - int(audible_middle(s[:, None])) if centred else 0 for s in segments]
    best = None
    for position in POSITIONS:
        about = [e + position for e in expected]
        clips = np.stack([_placed(s, a, np.zeros(size, np.float32)) for s, a in zip(segments, about)])
        fit = _fitted(segments, clips, about, NEAR, generator, inverse_mapping)
        if best is None:
            best = fit
        else:
            best.improve(fit)
    for _ in range(ROUNDS):
        levels = np.clip(best.gain, 0.3, 3.0)
        states = zip(segments, best.position, best.sound, levels)
        clips = np.stack([_placed(s / level, p, sound) for s, p, sound, level in states])
        best.improve(_fitted(segments, clips, best.position, CLOSE, generator, inverse_mapping))
    return np.array([_measured(s, best, i) for i, s in enumerate(segments)])


def _measured(segment, fit, i):
    """MEASURES of a segment."""
    again = _placed(fit.sound[i] * fit.gain[i], -fit.position[i], np.zeros(len(segment), np.float32))
    a, b = (np.hypot(*(np.asarray(part)[0] for part in spectrogram(x[None]))) for x in (segment, again))
    spectral = ((a - b) ** 2).sum() / max(float((a**2).sum()), 1e-12)
    left = 1 - max(fit.correlation[i], 0) ** 2
    z = fit.z[i]
    residuals = [10 * np.log10(max(share, SMALLEST)) for share in (left, spectral)]
    return [*residuals, np.mean(z**2), np.mean(np.abs(z) > FACE)]


@dataclass(frozen=True)
class Calibration:
    """How evidence becomes a score: a logistic regression on standardised measures.

    weights, means, scales: one number for each of MEASURES. bias: of the regression. generator, inverse_mapping:
    SHA-256 of the networks that it belongs to. made_on: on what, in words.
    """

    weights: list
    means: list
    scales: list
    bias: float
    generator: str
    inverse_mapping: str
    made_on: str = ""

    def score(self, measures):
        """Evidence [n, len(MEASURES)] → how likely the generator made each, [n], 0 to 1."""
        return expit((np.asarray(measures) - self.means) / self.scales @ self.weights + self.bias)

    def write(self, folder):
        """Writes provenance.json into a folder, whole."""
        with written_whole(Path(folder) / PROVENANCE_FILE, "w") as file:
            file.write(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, folder):
        """The calibration in a folder. Raises FileNotFoundError where there is none, ValueError where it is not
        understood; one line each."""
        path = Path(folder) / PROVENANCE_FILE
        if not path.exists():
            raise FileNotFoundError(f"{path}: no calibration of provenance there")
        try:
            found = cls(**json.loads(path.read_text()))
            numbers = np.array([found.weights, found.means, found.scales], float)
            if numbers.shape != (3, len(MEASURES)) or not np.isfinite([*numbers.ravel(), found.bias]).all():
                raise ValueError("other measures")
            return found
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path}: not a calibration of provenance ({error})") from error


def calibrate(made, others, generator, inverse_mapping, made_on=""):
    """Evidence of what the generator made [n, k] and of other sounds [m, k] → Calibration.

    The two count alike, however many of each there are. generator, inverse_mapping: SHA-256 of the networks.
    """
    measures = np.concatenate([made, others])
    truth = np.repeat([1.0, 0.0], [len(made), len(others)])
    weight = np.where(truth == 1, 0.5 / len(made), 0.5 / len(others))
    means, scales = measures.mean(axis=0), np.maximum(measures.std(axis=0), 1e-9)
    x = (measures - means) / scales

    def loss(parameters):
        logits = x @ parameters[:-1] + parameters[-1]
        likelihood = (weight * (np.logaddexp(0, logits) - truth * logits)).sum()
        slope = weight * (expit(logits) - truth)
        gradient = np.append(slope @ x, slope.sum())
        return likelihood + RIDGE * (parameters[:-1] ** 2).sum(), gradient + 2 * RIDGE * np.append(parameters[:-1], 0)

    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x
    networks = {"generator": generator, "inverse_mapping": inverse_mapping, "made_on": made_on}
    return Calibration(found[:-1].tolist(), means.tolist(), scales.tolist(), float(found[-1]), **networks)


def area_under_roc(made, others):
    """Area under the ROC curve of scores [n] of what was made and [m] of what was not: the share of pairs in the right
    order, equal ones by half."""
    made, others = np.asarray(made)[:, None], np.asarray(others)[None]
    return float(np.mean((made > others) + 0.5 * (made == others)))
