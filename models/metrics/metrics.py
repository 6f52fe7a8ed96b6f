"""How close a reconstruction is: the definitions that every table here uses."""

import numpy as np
import tensorflow as tf

from models.audio.clip import FRAME_LENGTH, HOP_LENGTH, SAMPLE_RATE, spectrogram

EXACT = 1e-4  # latent MSE below which a latent vector counts as recovered exactly
IDENTICAL_DB = 40.0  # SNR above which a reconstruction is identical to the ear
IDENTIFIABLE = 1e4  # condition number of the Jacobian below which the waveform determines the latent vector
BINS_BELOW_4_KHZ = 63  # of the STFT, 0 to 62: what recordings of 8 kHz hold too
DYNAMIC_RANGE_DB = 80.0  # of a spectrogram; what lies further below its maximum is silence
LARGEST_DB = 200.0  # in place of an infinite SNR
PITCH_FRAME, PITCH_HOP = 1024, 256  # samples, of the frames in which harmonicity is measured
PITCH_LAGS = (41, 272)  # samples: periods of 400 Hz down to 60 Hz
LOUD_SHARE = 0.25  # of the loudest frame's energy, which a frame must hold to count


def _flat(a):
    a = np.asarray(a, np.float64)
    return a.reshape(len(a), -1)


def snr_db(original, reconstruction):
    """Signal-to-noise ratio in dB, without gain fitting: waveforms [n, ...] twice → [n], within ±200 dB (-200 for a
    silent original).
    """
    x, y = _flat(original), _flat(reconstruction)
    signal, noise = (x**2).sum(axis=1), ((x - y) ** 2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 10 * np.log10(signal / noise)
    return np.clip(np.where(noise == 0, LARGEST_DB, ratio), -LARGEST_DB, LARGEST_DB)


def waveform_mse(original, reconstruction):
    """Mean squared difference of waveforms [n, ...] → [n]."""
    return ((_flat(original) - _flat(reconstruction)) ** 2).mean(axis=1)


def latent_mse(true, recovered):
    """Mean over the coordinates of the squared difference of latent vectors [n, latent_dim] → [n]."""
    return ((_flat(true) - _flat(recovered)) ** 2).mean(axis=1)


def latent_mae(true, recovered):
    """Mean over the coordinates of the absolute difference of latent vectors [n, latent_dim] → [n]."""
    return np.abs(_flat(true) - _flat(recovered)).mean(axis=1)


def condition_number(generator, z):
    """Condition number [n] of the generator's Jacobian at z [n, latent_dim]; below 1e4 the latent vector is
    identifiable from the waveform.

    A Jacobian that float64 cannot tell from a singular one has 1e16. Raises ValueError for one that is zero or not
    finite, which has none.
    """
    conditions = []
    for i, one in enumerate(np.asarray(z, np.float32)):
        tangents = np.asarray(generator.jacobian(one[None], np.zeros(1, np.float32))[1][0], np.float64)
        if not np.isfinite(tangents).all() or not tangents.any():
            raise ValueError(
                f"no condition number at latent vector {i}: the generator's derivative there is zero or not finite"
            )
        values = np.linalg.svd(tangents, compute_uv=False)
        conditions.append(values[0] / max(values[-1], values[0] * 1e-16))
    return np.array(conditions)


def ssim(original, reconstruction):
    """Structural similarity (`tf.image.ssim`) of the real-part spectrograms of waveforms [n, num_samples] twice → [n],
    1 for identical clips.

    The dynamic range of a clip is the joint maximum minus the joint minimum of both spectrograms (paper section 4); two
    silences are alike.
    """
    # [n, frames, bins, 1]
    x, y = (np.asarray(spectrogram(np.asarray(a, np.float32))[0])[..., None] for a in (original, reconstruction))
    axes = (1, 2, 3)
    ranges = np.maximum(x.max(axes), y.max(axes)) - np.minimum(x.min(axes), y.min(axes))
    scale = np.where(ranges > 0, ranges, 1)[:, None, None, None]  # a range of 1, since SSIM has no unit
    return np.where(ranges > 0, tf.image.ssim(x / scale, y / scale, 1.0).numpy(), 1.0)


def log_spectral_distance(original, reconstruction, bins=None):
    """Log-spectral distance in dB of waveforms [n, num_samples] → [n]; of the lowest `bins` of the STFT, or of all.

    Magnitudes are floored 80 dB below the original's largest; the root mean square over the bins of a frame is averaged
    over the frames in which the original is above its floor. A silent original has no such frame and gives 0.
    """
    x, y = (
        np.hypot(*(np.asarray(part, np.float64) for part in spectrogram(np.asarray(a, np.float32))))[..., :bins]
        for a in (original, reconstruction)
    )
    floor = x.max(axis=(1, 2), keepdims=True) * 10 ** (-DYNAMIC_RANGE_DB / 20)  # [n, 1, 1]
    audible = (x > floor).any(axis=2)  # [n, frames]
    tiny = np.finfo(np.float64).tiny
    # [n, frames, bins]
    difference = 20 * np.log10(np.maximum(np.maximum(x, floor), tiny) / np.maximum(np.maximum(y, floor), tiny))
    frames = np.sqrt((difference**2).mean(axis=2))
    return np.where(audible, frames, 0).sum(axis=1) / np.maximum(audible.sum(axis=1), 1)


def harmonicity(waveform):
    """How periodic waveforms [n, num_samples] are → [n]: 1 for a steady tone, some 0.2 for noise, 0 for a silent clip.

    In each frame of 1,024 samples (hop 256) that holds at least a quarter of the loudest frame's energy: the largest
    autocorrelation at lags of 41 to 272 samples, the periods of 400 to 60 Hz, divided by that at lag 0 and by the share
    of the frame in which it overlaps itself, the mean removed first. Of these frames the median.
    """
    lags = np.arange(PITCH_LAGS[0], PITCH_LAGS[1] + 1)
    windows = np.lib.stride_tricks.sliding_window_view
    result = np.zeros(len(waveform))
    for i, clip in enumerate(_flat(waveform)):
        frames = windows(clip, PITCH_FRAME)[::PITCH_HOP]  # [frames, 1024]
        energy = (frames**2).sum(axis=1)
        loud = (energy >= LOUD_SHARE * energy.max()) & (energy > 0)
        frames = frames[loud] - frames[loud].mean(axis=1, keepdims=True)
        power = np.abs(np.fft.rfft(frames, 2 * PITCH_FRAME)) ** 2
        correlation = np.fft.irfft(power)[:, : lags[-1] + 1]
        overlap = 1 - lags / PITCH_FRAME
        varying = correlation[:, 0] > 1e-12 * energy[loud]  # a constant frame is zero but for rounding
        ratios = (correlation[varying][:, lags] / overlap).max(axis=1) / correlation[varying, 0]
        result[i] = np.median(ratios) if len(ratios) else 0
    return result


def noise_floor(waveform):
    """Level of the quietest quarter of each of the waveforms [n, num_samples] → [n], in dB below its peak, -200 at
    least.

    The root mean square over the frames of 256 samples, hop 128, that are the quietest quarter; a clip of silence gives
    0.
    """
    x = _flat(waveform)
    frames = np.lib.stride_tricks.sliding_window_view(x, FRAME_LENGTH, axis=1)[:, ::HOP_LENGTH]  # [n, frames, 256]
    energy = np.sort((frames**2).mean(axis=2), axis=1)
    floor = np.sqrt(energy[:, : max(1, energy.shape[1] // 4)].mean(axis=1))
    peak = np.abs(x).max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = 20 * np.log10(floor / peak)
    return np.where(peak > 0, np.maximum(level, -LARGEST_DB), 0.0)


def energy_above(waveform, frequency, sample_rate=SAMPLE_RATE):
    """Share of the energy of waveforms [n, num_samples] above a frequency in Hz → [n], in dB, -200 at least; 0 for
    silence."""
    power = np.abs(np.fft.rfft(_flat(waveform))) ** 2
    above = power[:, np.fft.rfftfreq(waveform.shape[1], 1 / sample_rate) > frequency].sum(axis=1)
    total = power.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = 10 * np.log10(above / total)
    return np.where(total > 0, np.maximum(level, -LARGEST_DB), 0.0)


def frechet_distance(one, other):
    """Fréchet distance of two sets of features [n, k], as if both were normally distributed (Heusel et al., arXiv
    1706.08500).

    Squared distance of the means plus the trace of A + B - 2 (A B)^(1/2), A and B the covariances.
    """
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    a, b = (np.cov(features, rowvar=False) for features in (one, other))
    roots = np.sqrt(np.maximum(np.linalg.eigvals(a @ b).real, 0))  # of a product of covariances: real, not negative
    return float(((one.mean(axis=0) - other.mean(axis=0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * roots.sum())


def inception_score(probabilities, splits=2):
    """Inception score of class probabilities [n, classes] → (mean, standard deviation) over `splits` equal parts of the
    clips, in order.

    exp of the mean over clips of KL(p(y|x) ‖ p(y)), natural logarithms (Salimans et al., arXiv 1606.03498). 1 is worst,
    the number of classes best.
    """
    scores = []
    for part in np.array_split(np.asarray(probabilities, np.float64), splits):
        marginal = part.mean(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(part > 0, part * (np.log(part) - np.log(marginal)), 0)
        scores.append(np.exp(terms.sum(axis=1).mean()))
    return float(np.mean(scores)), float(np.std(scores))
