"""From latent vectors to sounds: saved ones, and the straight line between two."""

import numpy as np
import pytest
import soundfile
from run_script import loaded_by, run_script


@pytest.fixture
def generate(weights, tmp_path):
    """generate.py with tiny networks and further arguments, into out/ → its exit status."""
    networks = f"--checkpoint={weights / 'checkpoint'}", f"--judge_checkpoint={weights / 'judge'}"
    return lambda *more: run_script("generate.py", *networks, f"--output={tmp_path / 'out'}", *more)


def read(path):
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == 16384
    return samples


def test_without_a_setting_it_writes_ten_samples_and_their_latent_vectors(generate, generator, tmp_path):
    assert generate() == 0
    waves = np.stack([read(tmp_path / f"out/{i}.wav") for i in range(10)])
    z = np.stack([np.load(tmp_path / f"out/{i}.npy") for i in range(10)])
    np.testing.assert_allclose(waves, generator(z).numpy()[..., 0], atol=1e-5 * np.abs(waves).max())


def test_the_way_between_two_latent_vectors_is_straight_and_ends_at_both(generate, generator, tmp_path, capsys):
    ends = np.random.default_rng(1).uniform(-1, 1, (2, 8)).astype(np.float32)
    for name, end in zip("ab", ends):
        np.save(tmp_path / f"{name}.npy", end)
    assert generate(f"--between={tmp_path / 'a.npy'},{tmp_path / 'b.npy'}", "--steps=5") == 0
    z = np.stack([np.load(tmp_path / f"out/{i}.npy") for i in range(5)])
    assert np.array_equal(z[0], ends[0]) and np.array_equal(z[-1], ends[1])
    steps = np.diff(z.astype(np.float64), axis=0)
    np.testing.assert_allclose(steps, np.broadcast_to((ends[1] - ends[0]) / 4, steps.shape), atol=1e-6)  # float32's
    waves = np.stack([read(tmp_path / f"out/{i}.wav") for i in range(5)])
    assert np.array_equal(read(tmp_path / "out/walk.wav"), waves.ravel())
    assert np.array_equal(np.load(tmp_path / "out/walk.npy"), z)
    np.testing.assert_allclose(waves, generator(z).numpy()[..., 0], atol=1e-5 * np.abs(waves).max())
    page, said = (tmp_path / "out/index.html").read_text(), capsys.readouterr().out
    assert page.count("<audio") == 6 and page.count('class="figure"') == 1 and "25% of the way" in page
    assert said.count("of the way, sounds like") == 5


def test_many_latent_vectors_in_a_file_are_sounded_one_after_another(generate, generator, tmp_path, capsys):
    z = np.random.default_rng(2).uniform(-1, 1, (3, 8)).astype(np.float32)
    np.save(tmp_path / "long.npy", z)
    assert generate(f"--latents={tmp_path / 'long.npy'}") == 0
    assert "3 latent vectors; long.wav has their sounds one after another" in capsys.readouterr().out
    expected = generator(z).numpy().ravel()
    np.testing.assert_allclose(read(tmp_path / "out/long.wav"), expected, atol=1e-5 * np.abs(expected).max())


def test_saved_latent_vectors_lie_beside_their_sounds_and_no_others(generate, tmp_path):
    z = np.random.default_rng(3).uniform(-1, 1, (2, 8)).astype(np.float32)
    (tmp_path / "in").mkdir()
    for name, array in (("0", z[0]), ("both", z), ("0_std", np.full(8, 0.1))):
        np.save(tmp_path / f"in/{name}.npy", array)
    assert generate("--num_samples=1") == 0
    np.save(tmp_path / "out/both.npy", z[0])
    assert generate(f"--latents={tmp_path / 'in'}") == 0
    assert np.array_equal(np.load(tmp_path / "out/0.npy"), z[0]) and not (tmp_path / "out/both.npy").exists()
    assert sorted(path.name for path in (tmp_path / "out").glob("*.wav")) == ["0.wav", "both.wav"]
    assert generate(f"--latents={tmp_path / 'in'}", f"--output={tmp_path / 'in'}") == 0
    assert np.array_equal(np.load(tmp_path / "in/both.npy"), z), "what is sounded is kept"


@pytest.mark.parametrize(
    "argument, words",
    [("--between=one.npy", "two files of one"), ("--between=one.npy,other.npy", "no latent vectors of 8 numbers"),
     ("--latents=other.npy", "no latent vectors of"), ("--latents=none.npy", "no latent vectors there")],
)  # fmt: skip
def test_what_is_no_latent_vector_is_one_line(generate, tmp_path, monkeypatch, capsys, argument, words):
    monkeypatch.chdir(tmp_path)
    np.save("one.npy", np.zeros(8))
    np.save("other.npy", np.zeros(9))
    assert generate(argument) == 1
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_a_script_loads_what_it_needs_and_no_more(weights, tmp_path):
    packages = ("tensorflow", "librosa.core", "matplotlib", "scipy.signal", "tensorboard")
    arguments = f"--checkpoint={weights / 'checkpoint'}", f"--output={tmp_path / 'out'}", "--num_samples=1"
    assert loaded_by(packages, "generate.py", *arguments) == ["tensorflow"]
