"""Every metric against an independent computation, on random and on extreme clips; calculate_metrics.py from start to
end.
"""

import json
import warnings

import numpy as np
import pytest
import soundfile
import tf1_wavegan
from run_script import run_script

from models.audio import spectrogram
from models.classifier import PerceptualLoss, build_classifier
from models.evaluation import Evaluation
from models.inverse_mapping import InverseMapping
from models.metrics import (
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
from models.saving import save_network
from models.wavegan import load_wavegan

SCRIPT = "calculate_metrics.py"
ROW = set(
    "num_clips inception_score mse snr_db ssim accuracy "
    "log_spectral_distance perceptual_loss seconds_per_clip method synth".split()
)
LATENT = {"latent_mse", "latent_mae", "identical", "identifiable", "exact"}


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
    found = harmonicity(clips)
    assert found[0] > 0.9 and found[1] < 0.3 and found[1] < found[2] < found[0]
    assert found[3] == found[4] == 0  # a constant holds no period
    assert np.allclose(found[:3], [harmonicity_by_hand(clip) for clip in clips[:3]], rtol=1e-9)
    assert np.allclose(harmonicity(1e-3 * clips[:3, :, None]), found[:3])


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
    for a, b, found in zip(x, y, log_spectral_distance(x, y)):
        a, b = np.abs(stft(a)), np.abs(stft(b))
        floor = a.max() / 1e4
        difference = 20 * np.log10(np.maximum(a, floor) / np.maximum(b, floor))
        frames = np.sqrt(np.mean(difference**2, axis=1))[(a > floor).any(axis=1)]
        assert found == pytest.approx(frames.mean(), rel=1e-3)
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
    for a, b, found in zip(x, y, ssim(x, y)):
        a, b = stft(a).real, stft(b).real
        assert found == pytest.approx(gaussian_ssim(a, b, max(a.max(), b.max()) - min(a.min(), b.min())), abs=1e-3)
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


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A tiny generator, an untrained inverse mapping and classifier, and 12 recordings of the test split."""
    folder = tmp_path_factory.mktemp("weights")
    for name in ("checkpoint", "recordings"):
        (folder / name).mkdir()
    tf1_wavegan.write(folder / "checkpoint", latent_dim=8, width=2, seed=5)
    generator = load_wavegan(folder / "checkpoint")
    save_network(
        InverseMapping(8, width=1, generator_sha256=generator.sha256), folder / "mapping/inverse_mapping.keras"
    )
    resnet = InverseMapping(8, "resnet", 1, generator_sha256=generator.sha256)
    save_network(resnet, folder / "resnet/inverse_mapping.keras")
    save_network(build_classifier(width=2), folder / "classifier/classifier.keras")
    for i in range(12):
        soundfile.write(
            folder / f"recordings/{i % 4}_anna_{i // 4}.wav", 0.3 * np.sin(np.arange(3000) * (0.1 + i / 20)), 8000
        )
    return folder


def arguments(weights, output, *more):
    names = {
        "checkpoint": "checkpoint",
        "classifier_checkpoint": "classifier",
        "inverse_mapping_checkpoint": "mapping",
        "resnet_checkpoint": "resnet",
        "datasets": "recordings",
    }
    return [*(f"--{name}={weights / folder}" for name, folder in names.items()), f"--output={output}", *more]


def finite(value):
    return (
        all(map(finite, value.values()))
        if isinstance(value, dict)
        else not isinstance(value, float) or np.isfinite(value)
    )


@pytest.mark.parametrize(
    "synth, mapping, gradient, name",
    [
        (True, True, True, "hybrid"),
        (False, True, False, "inverse mapping"),
        (False, False, False, "random latent vector"),
    ],
)
def test_a_combination_of_flags_writes_what_the_paper_has(weights, tmp_path, capsys, synth, mapping, gradient, name):
    flags = [
        f"--synth={synth}",
        f"--inverse_mapping={mapping}",
        f"--gradient={gradient}",
        "--num_clips=4",
        "--max_iter=3",
        "--restarts=0",
    ]
    assert run_script(SCRIPT, *arguments(weights, tmp_path / "m", *flags)) == 0
    result = json.loads((tmp_path / "m/metrics.json").read_text())
    assert result["method"] == name and result["synth"] == synth and result["num_clips"] == 4 and finite(result)
    assert ROW | (LATENT if synth else set()) <= set(result)
    assert [floor["method"] for floor in result["floors"]] == ["silence", "random latent vector"][
        : 1 if name.startswith("random") else 2
    ]
    assert "right digit, judge" in capsys.readouterr().out


def test_the_table_and_going_on_where_a_run_was_stopped(weights, tmp_path, capsys, monkeypatch):
    import common.recovering

    flags = ["--table", "--num_clips=6", "--max_iter=2", "--restarts=0", "--batch_size=2"]
    own, calls = common.recovering.recover, []

    def stopped(*clips, **how):
        calls.append(1)
        if len(calls) == 8:  # three batches of each network's predictions, one with the gradient
            raise KeyboardInterrupt
        return own(*clips, **how)

    monkeypatch.setattr(common.recovering, "recover", stopped)
    assert run_script(SCRIPT, *arguments(weights, tmp_path / "m", *flags)) == 130
    assert "run it again to go on" in capsys.readouterr().err and not (tmp_path / "m/metrics.json").exists()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert run_script(SCRIPT, *arguments(weights, tmp_path / "m", *flags)) == 0
    printed = capsys.readouterr().out
    assert (
        "inverse mapping real: 6 of 6 clips were recovered before" in printed
        and "gradient real: 2 of 6 clips" in printed
    )
    rows = json.loads((tmp_path / "m/metrics.json").read_text())["rows"]
    methods = ["silence", "random latent vector", "inverse mapping, ResNet", "inverse mapping", "gradient", "hybrid"]
    assert [row["method"] for row in rows] == [*methods, "hybrid, first layer free", *methods]
    assert [row["synth"] for row in rows] == [False] * 7 + [True] * 6
    assert {row["num_clips"] for row in rows} == {6} and all(map(finite, rows))
    table = (tmp_path / "m/metrics.md").read_text()
    assert table in printed and table.count("| hybrid |") == 2 and "**Real clips**" in table
    assert (tmp_path / "m/metrics.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("wrong", ["--datasets=/nowhere", "--classifier_checkpoint=/nowhere"])
def test_what_cannot_be_done_is_one_line(weights, tmp_path, capsys, wrong):
    assert run_script(SCRIPT, *arguments(weights, tmp_path / "m", wrong)) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"{SCRIPT}: ") and error.count("\n") == 1
