"""From latent vectors to sounds: saved ones, and the straight line between two."""

import numpy as np
import pytest
import soundfile
import tf1_wavegan
from run_script import loaded_by, run_script

from models.files.saving import save_network
from models.generator.wavegan import load_wavegan
from models.networks.judge import build_judge


@pytest.fixture
def folder(tmp_path):
    """A tiny WaveGAN of 8 latent dimensions, and a judge that learnt nothing."""
    tf1_wavegan.write(tmp_path, latent_dim=8, width=2, seed=5)
    save_network(build_judge(2), tmp_path / "judge/judge.keras")
    return tmp_path


def generate(folder, *more):
    weights = f"--checkpoint={folder}", f"--judge_checkpoint={folder / 'judge'}"
    return run_script("generate.py", *weights, f"--output={folder / 'out'}", *more)


def read(path):
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == 16384
    return samples


def test_the_way_between_two_latent_vectors_is_straight_and_ends_at_both(folder, capsys):
    ends = np.random.default_rng(1).uniform(-1, 1, (2, 8)).astype(np.float32)
    for name, end in zip("ab", ends):
        np.save(folder / f"{name}.npy", end)
    assert generate(folder, f"--between={folder / 'a.npy'},{folder / 'b.npy'}", "--steps=5") == 0
    z = np.stack([np.load(folder / f"out/{i}.npy") for i in range(5)])
    assert np.array_equal(z[0], ends[0]) and np.array_equal(z[-1], ends[1])
    steps = np.diff(z.astype(np.float64), axis=0)
    np.testing.assert_allclose(steps, np.broadcast_to((ends[1] - ends[0]) / 4, steps.shape), atol=1e-6)  # float32's
    waves = np.stack([read(folder / f"out/{i}.wav") for i in range(5)])
    assert np.array_equal(read(folder / "out/walk.wav"), waves.ravel())
    assert np.array_equal(np.load(folder / "out/walk.npy"), z)
    np.testing.assert_allclose(waves, load_wavegan(folder)(z).numpy()[..., 0], atol=1e-5 * np.abs(waves).max())
    page, said = (folder / "out/index.html").read_text(), capsys.readouterr().out
    assert page.count("<audio") == 6 and page.count('class="figure"') == 1 and "25% of the way" in page
    assert said.count("of the way, sounds like") == 5


def test_many_latent_vectors_in_a_file_are_sounded_one_after_another(folder, capsys):
    z = np.random.default_rng(2).uniform(-1, 1, (3, 8)).astype(np.float32)
    np.save(folder / "long.npy", z)
    assert generate(folder, f"--latents={folder / 'long.npy'}") == 0
    assert "3 latent vectors; long.wav has their sounds one after another" in capsys.readouterr().out
    expected = load_wavegan(folder)(z).numpy().ravel()
    np.testing.assert_allclose(read(folder / "out/long.wav"), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    "given, words",
    [("--between=one.npy", "two .npy files"), ("--between=one.npy,other.npy", "no array of 8 numbers"),
     ("--latents=other.npy", "no array of"), ("--latents=none.npy", "no .npy files there")],
)  # fmt: skip
def test_what_is_no_latent_vector_is_one_line(folder, monkeypatch, capsys, given, words):
    monkeypatch.chdir(folder)
    np.save("one.npy", np.zeros(8))
    np.save("other.npy", np.zeros(9))
    assert generate(folder, given) == 1
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_a_script_loads_what_it_needs_and_no_more(folder):
    packages = ("tensorflow", "librosa.core", "matplotlib", "scipy.signal", "tensorboard")
    given = f"--checkpoint={folder}", f"--output={folder / 'out'}", "--num_samples=1"
    assert loaded_by(packages, "generate.py", *given) == ["tensorflow"]
