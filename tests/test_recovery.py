"""Recovering latent vectors: the solvers on tiny generators, and the script with good and bad recordings."""

import csv
import resource

import numpy as np
import pytest
import scipy.optimize
import soundfile
import tensorflow as tf
import tf1_wavegan
from run_script import run_script

from common.recovering import COLUMNS
from models.audio import write_wav
from models.generator import random_latent
from models.levenberg_marquardt import minimise
from models.metrics import condition_number, latent_mse
from models.published_solver import PublishedObjective, SideBySide
from models.recovery import recover
from models.residual import Residual
from models.wavegan import load_wavegan

SCRIPT = "latent_vector_recovery.py"
GRADIENT = ("--gradient=True", "--inverse_mapping=False")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny WaveGAN of 8 latent dimensions."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tf1_wavegan.write(folder, latent_dim=8, width=2, seed=5)
    return folder


@pytest.fixture(scope="module")
def generator(folder):
    return load_wavegan(folder)


class Linear:
    """The linear least-squares problem matrix @ z = right, for `minimise`; it counts what is asked of it."""

    def __init__(self, matrix, right):
        self.matrix, self.right = matrix, right
        self.jacobians = self.gradients_taken = 0

    def unsettled(self, index):
        return np.zeros(len(index), bool)

    def settle(self, z, index):
        return self.evaluate(z, index)

    def evaluate(self, z, index):
        return 0.5 * ((z @ self.matrix.T - self.right) ** 2).sum(axis=1)

    def linearise(self, z, index, smoothing):
        self.jacobians += len(index)

    def normals(self, index):
        return np.repeat((self.matrix.T @ self.matrix)[None], len(index), axis=0)

    def gradients(self, z, index, smoothing):
        self.gradients_taken += len(index)
        return (z @ self.matrix.T - self.right) @ self.matrix


class Bent(Linear):
    """The same with a residual that bends: tanh(matrix @ z) = right, whose Jacobian changes with z."""

    def evaluate(self, z, index):
        return 0.5 * ((np.tanh(z @ self.matrix.T) - self.right) ** 2).sum(axis=1)

    def linearise(self, z, index, smoothing):
        super().linearise(z, index, smoothing)
        slopes = 1 - np.tanh(z @ self.matrix.T) ** 2
        found = np.einsum("sk,ns,sl->nkl", self.matrix, slopes**2, self.matrix)
        self.kept = getattr(self, "kept", {}) | dict(zip(index.tolist(), found))

    def normals(self, index):
        return np.stack([self.kept[i] for i in index])

    def gradients(self, z, index, smoothing):
        self.gradients_taken += len(index)
        value = np.tanh(z @ self.matrix.T)
        return ((value - self.right) * (1 - value**2)) @ self.matrix


def test_levenberg_marquardt_solves_a_linear_problem_in_the_box():
    from scipy.optimize import lsq_linear

    rng = np.random.default_rng(0)
    matrix, inside, outside = rng.normal(size=(30, 6)), rng.uniform(-0.9, 0.9, 6), rng.uniform(-3, 3, 6)
    for true in (inside, outside):
        expected = lsq_linear(matrix, matrix @ true, (-1, 1), tol=1e-14)
        found = minimise(Linear(matrix, matrix @ true), np.zeros((2, 6)), max_iter=60)
        assert np.abs(found.z - expected.x).max() < 1e-4 and np.abs(found.z).max() <= 1
        assert found.objective[0] == pytest.approx(expected.cost, rel=1e-4, abs=1e-8)


def test_most_steps_take_no_new_jacobian():
    rng = np.random.default_rng(1)
    matrix, true = rng.normal(size=(40, 6)) / 4, rng.uniform(-0.9, 0.9, (5, 6))
    problem = Bent(matrix, None)
    for one in true:  # each by itself: the right sides differ
        problem.right = np.tanh(matrix @ one)
        found = minimise(problem, np.zeros((1, 6)), max_iter=60, target=1e-20)
        assert np.abs(found.z[0] - one).max() < 1e-6
    assert problem.jacobians < problem.gradients_taken / 2


@pytest.mark.parametrize("spectral", [0.0, 0.5])
def test_the_residuals_gradient_is_that_of_its_objective(generator, spectral):
    z = random_latent(generator, 2, 1)
    problem = Residual(generator, generator(random_latent(generator, 2, 2)), spectral)
    problem.linearise(z, np.arange(2), np.zeros(2))
    gradient, normal = problem.gradients(z, np.arange(2), np.zeros(2)), problem.normals(np.arange(2))
    step = 1e-3 * np.sign(gradient)
    change = problem.evaluate(z + step, np.arange(2)) - problem.evaluate(z - step, np.arange(2))
    assert np.allclose((gradient * step).sum(axis=1), change / 2, rtol=0.02)
    assert (np.linalg.eigvalsh(normal) > -1e-9).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_averaged_gradients_are_those_of_the_averaged_jacobian(generator, smoothing):
    z, targets = random_latent(generator, 3, 1), generator(random_latent(generator, 3, 2)).numpy().reshape(3, -1)
    noise, index = np.full(3, smoothing, np.float32), np.arange(3)
    problem = Residual(generator, targets)
    problem.linearise(z, index, noise)
    waveform, jacobian, _ = (np.asarray(a, np.float64) for a in (*generator.jacobian(z, noise)[:2], 0))
    energy = (targets.astype(np.float64) ** 2).sum(axis=1)[:, None]
    terms = jacobian * ((waveform - targets) / energy)[:, None]
    rounding = 1000 * np.finfo(np.float32).eps * np.sqrt((terms**2).sum(axis=2))  # a sum of 16,384, layer by layer
    assert (np.abs(problem.gradients(z, index, noise) - terms.sum(axis=2)) < rounding).all()
    assert (np.abs(terms.sum(axis=2)) > rounding).mean() > 0.9  # so that a wrong one would show


def test_levenberg_marquardt_recovers_synthesized_clips_exactly(generator):
    true = random_latent(generator, 12, 3)
    assert (condition_number(generator, true) < 1e4).all()
    found = recover(generator(true), generator, max_iter=60, restarts=3)
    assert (latent_mse(true, found.z) < 1e-8).all() and (found.snr_db > 80).all()
    assert (np.abs(found.z) <= 1).all() and found.iterations.shape == (12,)


def test_l_bfgs_b_is_the_published_objective(generator):
    true = random_latent(generator, 1, 4)
    target, other = generator(true).numpy(), random_latent(generator, 1, 5)
    published = PublishedObjective(generator)
    (objective,), (gradient,) = published.values_and_gradients(other, published.originals(target))
    wave, sound = generator(other).numpy()[0, :, 0], target[0, :, 0]
    real = [tf.math.real(tf.signal.stft(a, 256, 128, pad_end=True)).numpy() for a in (wave, sound)]
    assert objective == pytest.approx(np.abs(wave - sound).mean() + np.abs(real[0] - real[1]).mean(), rel=1e-5)
    assert gradient.shape == (8,)
    found = recover(target, generator, solver="l_bfgs_b", max_iter=200, start=true + 0.05)
    assert found.snr_db[0] > 20 and found.objective[0] < objective


def rosenbrock(z, scale):
    """Values [m] and gradients [m, 2] of Rosenbrock's functions, each with its own scale [m]."""
    x, y = z.T
    bend = y - x**2
    return (1 - x) ** 2 + scale * bend**2, np.stack([-2 * (1 - x) - 4 * scale * bend * x, 2 * scale * bend], axis=1)


def test_descents_side_by_side_are_those_one_by_one():
    starts, scales = np.random.default_rng(0).uniform(-2, 2, (7, 2)), np.logspace(0, 3, 7)

    def descend(function, start):
        return scipy.optimize.minimize(function, start, method="L-BFGS-B", jac=True, tol=1e-8)

    alone = []
    for start, scale in zip(starts, scales):
        alone.append(descend(lambda z, s=scale: [a[0] for a in rosenbrock(z[None], np.array([s]))], start))
    assert len({found.nfev for found in alone}) > 1  # they end at different times
    for order in (np.arange(7), np.arange(7)[::-1]):
        left, sizes = [], []

        def batch(z, index, order=order, sizes=sizes):
            sizes.append(len(z))
            return rosenbrock(z, scales[order][index])

        found = SideBySide(batch).run(descend, starts[order], left.append)
        for i, result in zip(order, found):
            assert (result.x == alone[i].x).all() and result.nfev == alone[i].nfev
        assert len(sizes) == max(result.nfev for result in alone) and left == sorted(left, reverse=True)
        assert sizes[0] == 7 and sum(sizes) == sum(result.nfev for result in alone) and left[-1] == 0


def test_an_error_in_a_batch_ends_the_descents():
    def fails(z, index):
        raise MemoryError("no room")

    with pytest.raises(MemoryError):
        SideBySide(fails).run(lambda function, start: function(start), np.zeros((3, 2)), None)


def test_a_clips_published_objective_does_not_depend_on_its_place(generator):
    targets, z = generator(random_latent(generator, 5, 4)).numpy(), random_latent(generator, 5, 5)
    published, rounding = PublishedObjective(generator), 100 * float(np.finfo(np.float32).eps)  # of means over 16,384
    values, gradients = published.values_and_gradients(z, published.originals(targets))
    for i in range(5):
        (value,), (gradient,) = published.values_and_gradients(z[i : i + 1], published.originals(targets[i : i + 1]))
        assert value == pytest.approx(values[i], rel=rounding)
        assert min(abs(np.delete(values, i) - value)) > 10 * rounding * value  # another clip's would show
        # where a difference is all rounding its sign may fall otherwise: a few of 16,384
        assert np.abs(gradient - gradients[i]).max() < 1e-2 * np.abs(gradients[i]).max()


def test_the_perceptual_term_joins_the_published_objective(generator):
    from models.classifier import PerceptualLoss, build_classifier

    heard = PerceptualLoss(build_classifier(width=2))
    target, z = generator(random_latent(generator, 1, 4)).numpy(), random_latent(generator, 1, 5)
    objective = {}
    for weight, loss in ((0, None), (0.5, heard)):
        published = PublishedObjective(generator, loss, weight)
        (objective[weight],), gradient = published.values_and_gradients(z, published.originals(target))
    term = float(heard(target[..., 0], generator(z)[..., 0])[0])
    assert (
        term > 0
        and objective[0.5] == pytest.approx(objective[0] + 0.5 * term, rel=1e-5)
        and np.isfinite(gradient).all()
    )


def test_a_start_is_used_and_an_unknown_solver_refused(generator):
    true = random_latent(generator, 1, 6)
    assert recover(generator(true), generator, start=true).iterations[0] <= 2
    with pytest.raises(ValueError, match="solver"):
        recover(generator(true), generator, solver="adam")
    with pytest.raises(ValueError, match="samples"):
        recover(np.zeros((1, 100)), generator)
    with pytest.raises(ValueError, match="inverse_mapping"):
        recover(generator(true), generator, gradient=False)


def recordings(folder, generator):
    """A folder with what users have: two good recordings of one name, a synthesized one, and every kind of trouble."""
    folder.mkdir()
    tone = 0.3 * np.sin(np.arange(8000) / 9) * np.hanning(8000)
    soundfile.write(folder / "same.wav", tone, 8000)
    soundfile.write(folder / "same.flac", tone, 8000)
    z = random_latent(generator, 1, 9)
    write_wav(folder / "made.wav", generator(z)[0])
    np.save(folder / "made.npy", z[0])
    soundfile.write(folder / "silence.wav", 0 * tone, 8000)
    soundfile.write(folder / "short.wav", tone[4000:4080], 8000)
    (folder / "cut.wav").write_bytes((folder / "same.wav").read_bytes()[:9000])
    (folder / "notes.txt").write_text("not looked at")
    return folder


def test_the_script_end_to_end(tmp_path, folder, generator, capsys):
    files, output = recordings(tmp_path / "in", generator), tmp_path / "out"
    arguments = (
        f"--files={files}",
        f"--checkpoint={folder}",
        f"--output={output}",
        "--max_iter=40",
        "--restarts=2",
        "--batch_size=3",
        *GRADIENT,
    )
    assert run_script(SCRIPT, *arguments) == 0
    printed = capsys.readouterr()
    for words in (
        "warning: ",
        "silence.wav: silence",
        "short.wav: only 10 ms",
        "cut.wav: the file ends before its samples do",
    ):
        assert words in printed.err
    assert (
        "made.wav: identical, SNR" in printed.out
        and "(exact; identifiable" in printed.out
        and "log-spectral distance" in printed.out
    )
    for name in ("same.wav", "same.flac", "made", "silence", "short", "cut"):
        assert np.load(output / f"{name}.npy").shape == (8,) and np.load(output / f"{name}.npy").dtype == np.float32
        info = soundfile.info(output / f"{name}_reconstruction.wav")
        assert (info.samplerate, info.frames, info.subtype) == (16384, 16384, "FLOAT")
    rows = list(csv.DictReader(open(output / "recovery.csv")))
    assert list(rows[0]) == list(COLUMNS) and len(rows) == 6
    assert {row["method"] for row in rows} == {"gradient"} and {row["solver"] for row in rows} == {"perceptual"}
    assert not list(output.glob(".*"))

    (output / "cut.npy").unlink()
    assert run_script(SCRIPT, *arguments) == 0
    printed = capsys.readouterr().out
    assert "5 of 6 recordings are done" in printed and printed.count(" iterations") == 1
    assert run_script(SCRIPT, *arguments, "--seed=1", "--max_iter=1", "--restarts=0") == 0
    assert "other settings" in capsys.readouterr().out and (output / "recovery_previous.csv").exists()


def test_bad_recordings_are_named_and_the_others_done(tmp_path, folder, capsys):
    files = tmp_path / "in"
    files.mkdir()
    soundfile.write(files / "good.wav", 0.1 * np.sin(np.arange(4000)), 8000)
    for name, content in [
        ("empty.wav", b""),
        ("text.wav", b"hello " * 200),
        ("header.wav", (files / "good.wav").read_bytes()[:30]),
    ]:
        (files / name).write_bytes(content)
    soundfile.write(files / "nan.wav", np.full(4000, np.nan), 8000, subtype="FLOAT")
    assert (
        run_script(
            SCRIPT,
            f"--files={files}",
            f"--checkpoint={folder}",
            f"--output={tmp_path / 'out'}",
            "--max_iter=2",
            "--restarts=0",
            *GRADIENT,
        )
        == 1
    )
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and all(line.startswith(f"{SCRIPT}: {files}/") for line in lines)
    assert (tmp_path / "out" / "good_reconstruction.wav").exists() and len(list((tmp_path / "out").glob("*.npy"))) == 1


@pytest.mark.parametrize("case", ["no file", "no recording", "no generator", "unwritable", "own folder", "neither"])
def test_what_cannot_be_done_is_one_line_and_status_1(tmp_path, folder, capsys, case):
    files = tmp_path / "in"
    files.mkdir()
    soundfile.write(files / "good.wav", np.ones(100), 8000)
    (tmp_path / "file").write_text("")
    (tmp_path / "nothing").mkdir()
    arguments = {
        "no file": [f"--files={tmp_path / 'gone'}"],
        "no recording": [f"--files={tmp_path / 'nothing'}"],
        "no generator": [f"--checkpoint={tmp_path / 'nothing'}"],
        "unwritable": [f"--output={tmp_path / 'file' / 'out'}"],
        "own folder": [f"--output={files}"],
        "neither": ["--gradient=False", "--inverse_mapping=False"],
    }[case]
    assert (
        run_script(SCRIPT, f"--files={files}", f"--checkpoint={folder}", f"--output={tmp_path / 'out'}", *arguments)
        == 1
    )
    error = capsys.readouterr().err
    assert error.startswith(f"{SCRIPT}: ") and error.count("\n") == 1


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(tmp_path, folder, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # a file may hold 10 kB, a clip takes 64
        status = run_script("generate.py", f"--checkpoint={folder}", f"--output={tmp_path / 'out'}", "--num_samples=1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error = capsys.readouterr().err
    assert status == 1 and error.startswith("generate.py: ") and error.count("\n") == 1
    assert not list((tmp_path / "out").iterdir())
