"""Every metric against an independent computation, on random and on extreme clips; calculate_metrics.py from start to
end.
"""

import numpy as np
import pytest

from models.audio.clip import spectrogram
from models.metrics.evaluation import Evaluation
from models.metrics.metrics import (
    energy_above,
    frechet_distance,
    harmonicity,
    inception_score,
    latent_mae,
    latent_mse,
    log_spectral_distance,
    noise_floor,
    snr_db,
    ssim,
    waveform_mse,
)
from models.networks.classifier import PerceptualLoss, build_classifier


@pytest.fixture
def clips():
    """Three pairs: noise and other noise, noise and itself made fainter, a tone and silence."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.1, (3, 16384)).astype(np.float32)
    y = rng.normal(0, 0.1, (3, 16384)).astype(np.float32)
    x[2], y[1], y[2] = np.sin(np.arange(16384) / 9), 0.5 * x[1], 0
    return x, y


def stft(waveform):
    """An STFT by hand: 128 frames of 256 samples, 128 apart, periodic Hann window, zeros at the end."""
    window, padded = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256), np.pad(waveform, (0, 128))
    return np.stack([np.fft.rfft(window * padded[128 * i : 128 * i + 256]) for i in range(128)])


def harmonicity_by_hand(clip):
    """The definition, one frame and one lag at a time."""
    frames = [clip[start : start + 1024].astype(np.float64) for start in range(0, len(clip) - 1023, 256)]
    loudest, values = max((frame**2).sum() for frame in frames), []
    for frame in frames:
        if (frame**2).sum() >= 0.25 * loudest:
            frame = frame - frame.mean()
            values.append(
                max((frame[lag:] * frame[:-lag]).sum() / (1 - lag / 1024) for lag in range(41, 273)) / (frame**2).sum()
            )
    return np.median(values)


def test_harmonicity_is_high_for_a_voice_low_for_noise_and_nothing_for_silence():
    rng = np.random.default_rng(0)
    time = np.arange(16384) / 16384
    pulses = (np.diff(np.floor(120 * time), prepend=0) > 0) * np.exp(-(((time - 0.5) / 0.1) ** 2))
    voice = np.convolve(pulses, np.exp(-np.arange(200) / 30) * np.sin(np.arange(200) / 5))[:16384]
    noise = rng.normal(size=16384)
    clips = np.stack([voice, noise, voice + 0.1 * noise, 0 * time, 0.3 + 0 * time])
    values = harmonicity(clips)
    assert values[0] > 0.9 and values[1] < 0.3 and values[1] < values[2] < values[0]
    assert values[3] == values[4] == 0  # a constant holds no period
    assert np.allclose(values[:3], [harmonicity_by_hand(clip) for clip in clips[:3]], rtol=1e-9)
    assert np.allclose(harmonicity(1e-3 * clips[:3, :, None]), values[:3])


def test_the_frechet_distance_of_normal_distributions():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6))
    assert frechet_distance(one, one[::-1]) == pytest.approx(0, abs=1e-6 * np.trace(np.cov(one.T)))
    assert frechet_distance(one, one + 2) == pytest.approx(6 * 2**2, rel=1e-6)
    variances = one.var(axis=0, ddof=1)
    scaled = one.mean(axis=0) + 3 * (one - one.mean(axis=0))  # (3 - 1)² of each variance
    assert frechet_distance(one, scaled) == pytest.approx(4 * variances.sum(), rel=1e-6)


def test_what_lies_between_the_words_and_above_the_band():
    time = np.arange(16384) / 16384
    tone = np.sin(2 * np.pi * 1000 * time)
    word = np.where(time < 0.5, tone, 0)
    hiss = 1e-3 * np.random.default_rng(0).choice([-1.0, 1.0], 16384)
    levels = noise_floor(np.stack([tone, word, word + hiss, 0 * tone, 5 * (word + hiss)]))
    assert levels[0] == pytest.approx(20 * np.log10(np.sqrt(0.5)), abs=0.1) and levels[1] == -200 and levels[3] == 0
    assert levels[2] == pytest.approx(20 * np.log10(1e-3 / np.abs(word + hiss).max()), abs=1e-6)
    assert levels[4] == pytest.approx(levels[2], abs=1e-6)
    high = np.sin(2 * np.pi * 6000 * time)
    shares = energy_above(np.stack([tone, high, tone + high, 0 * tone]), 4000)
    assert shares[0] < -190 and abs(shares[1]) < 1e-6 and shares[2] == pytest.approx(-3.01, abs=0.01) and shares[3] == 0


def test_waveform_and_latent_metrics(clips):
    x, y = (a.astype(np.float64) for a in clips)
    noise = ((x - y) ** 2).sum(axis=1)
    assert np.allclose(waveform_mse(*clips), noise / 16384) and np.allclose(
        snr_db(*clips), 10 * np.log10((x**2).sum(axis=1) / noise), atol=1e-5
    )
    assert snr_db(*clips)[1] == pytest.approx(20 * np.log10(2), abs=1e-4) and snr_db(*clips)[2] == pytest.approx(
        0, abs=1e-6
    )
    assert (snr_db(x, x) == 200).all() and (snr_db(0 * x, x) == -200).all() and (waveform_mse(x, x) == 0).all()
    z, again = x[:, :100], y[:, :100]
    assert np.allclose(latent_mse(z, again), np.mean((z - again) ** 2, axis=1)) and np.allclose(
        latent_mae(z, again), np.mean(abs(z - again), axis=1)
    )


def test_log_spectral_distance(clips):
    x, y = clips
    for a, b, distance in zip(x, y, log_spectral_distance(x, y)):
        a, b = np.abs(stft(a)), np.abs(stft(b))
        floor = a.max() / 1e4
        difference = 20 * np.log10(np.maximum(a, floor) / np.maximum(b, floor))
        frames = np.sqrt(np.mean(difference**2, axis=1))[(a > floor).any(axis=1)]
        assert distance == pytest.approx(frames.mean(), rel=1e-3)
    above = np.sin(2 * np.pi * 6000 * np.arange(x.shape[1]) / 16384)[None]  # 6 kHz, which the lower bins do not hold
    assert log_spectral_distance(x[:1], x[:1] + above).item() > 10 * log_spectral_distance(x[:1], x[:1] + above, 63)
    assert np.allclose(log_spectral_distance(x, x), 0) and (log_spectral_distance(0 * x, x) == 0).all()
    assert log_spectral_distance(x[:2], 10 * x[:2]) == pytest.approx(20, abs=0.1)


def gaussian_ssim(a, b, data_range, sigma=1.5, size=11):
    """SSIM after Wang et al. 2004, with an 11 × 11 Gaussian window, over the windows that lie inside."""
    from scipy.signal import convolve2d

    g = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
    window = np.outer(g, g) / g.sum() ** 2
    mean = lambda p: convolve2d(p, window, mode="valid")  # noqa: E731
    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    return np.mean((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))


def test_ssim(clips):
    x, y = clips
    assert np.abs(np.asarray(spectrogram(x)[0])[0] - stft(x[0]).real).max() < 1e-4
    for a, b, similarity in zip(x, y, ssim(x, y)):
        a, b = stft(a).real, stft(b).real
        assert similarity == pytest.approx(gaussian_ssim(a, b, max(a.max(), b.max()) - min(a.min(), b.min())), abs=1e-3)
    assert np.allclose(ssim(x, x), 1) and np.allclose(ssim(0 * x, 0 * x), 1)


def test_inception_score():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(10), 60)
    score = lambda part: np.exp(np.mean([np.sum(q * np.log(q / part.mean(axis=0))) for q in part]))  # noqa: E731
    expected = [score(part) for part in (p[:20], p[20:40], p[40:])]
    assert inception_score(p, 3) == pytest.approx((np.mean(expected), np.std(expected)))
    certain = np.tile(np.eye(10), (6, 1))
    assert inception_score(certain) == pytest.approx((10, 0)) and inception_score(certain[[3] * 20]) == pytest.approx(
        (1, 0)
    )
    assert inception_score(np.full((8, 10), 0.1), 4) == pytest.approx((1, 0))


def test_a_row_is_made_of_them(clips):
    x, y = clips
    classifier = build_classifier(width=2)
    perceptual = PerceptualLoss(classifier)
    evaluation = Evaluation(classifier, classifier, perceptual)
    predicted = np.asarray(classifier(y)).argmax(axis=1)
    true, z = np.zeros((3, 4)), np.array([[0.0] * 4, [0.001] * 4, [0.5] * 4])
    spoken = [predicted[0], predicted[1], (predicted[2] + 1) % 10]
    row = evaluation.row(x, y, spoken, z=z, true=true, conditions=np.array([10, 1e5, 10]))
    assert (
        row["accuracy"] == pytest.approx(2 / 3) and row["exact"] == 0.5 and row["identifiable"] == pytest.approx(2 / 3)
    )
    assert row["perceptual_loss"] == pytest.approx(float(np.mean(perceptual(x, y))), rel=1e-5)
    assert row["snr_db"] == pytest.approx(np.median(snr_db(x, y))) and row["latent_mae"] == pytest.approx(
        (0.004 + 2) / 12
    )
    assert evaluation.row(x, x)["accuracy"] == 1 and evaluation.row(x, x)["identical"] == 1, (
        "against its own answer, where no digit is known"
    )
