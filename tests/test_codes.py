"""Latent vectors with a code beside their noise: layouts, drawing, and which code a clip has."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import tf1_wavegan
from run_script import run_script

from common.columns import OF_ALTERNATIVES, alternatives_in_words
from common.recovering import recovered
from models.audio.clip import Clip
from models.generator.codes import Codes
from models.generator.generator import generate, random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, latent_mse
from models.recovery.alternatives import Code
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.recover import recovered_clips


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny WaveGAN of 12 latent dimensions."""
    folder = tmp_path_factory.mktemp("coded")
    tf1_wavegan.write(folder, latent_dim=12, width=4, seed=5)
    return folder


def coded(folder, layout):
    return load_generator(folder, {"code": layout}, check_derivative=False)


def found(generator, clips, hold="", scale=1.0):
    """What is recovered of clips [n, num_samples, num_channels] with their codes."""
    clips = [Clip(np.asarray(clip, np.float32)) for clip in clips]
    return recovered_clips(clips, generator, solver=LevenbergMarquardt(), code=Code(hold, scale))[0]


@pytest.mark.parametrize(
    "layout, places, text, numbers",
    [
        ("onehot:10", slice(0, 10), "2", [0, 0, 1] + [0] * 7),
        ("bits:3", slice(0, 3), "101", [1, 0, 1]),
        ("onehot:2,onehot:3@end", slice(95, None), "1,0", [0, 1, 1, 0, 0]),
    ],
)
def test_a_layout_says_where_the_code_is_and_what_is_valid(layout, places, text, numbers):
    codes = Codes.parsed(layout, 100)
    assert codes.places == places and codes.text(codes.code(text)) == text
    assert np.array_equal(codes.code(text), numbers)
    relaxed = 0.7 * codes.code(text) + 0.1
    near = codes.nearest(relaxed, 3)
    assert codes.text(near[0]) == text and len({codes.text(code) for code in near}) == 3
    distances = ((near - relaxed) ** 2).sum(axis=1)
    assert (np.diff(distances) >= 0).all()
    z = codes.drawn(np.full((200, 100), 7.0), np.random.default_rng(0))
    rest = np.delete(z, np.arange(100)[codes.places], axis=1)
    assert (rest == 7).all() and {codes.text(code) for code in z[:, codes.places]} >= {text}
    assert all(np.array_equal(codes.code(codes.text(code)), code) for code in z[:, codes.places])


@pytest.mark.parametrize("layout", ["onehot:3", "bits:2", "onehot:2,bits:1@end"])
def test_codes_are_the_same_where_the_nearest_valid_ones_are(layout):
    codes, rng = Codes.parsed(layout, 12), np.random.default_rng(1)
    z, other = rng.normal(0.5, 1, (2, 300, 12)).astype(np.float32)
    texts = [[codes.text(codes.nearest(one, 1)[0]) for one in some[:, codes.places]] for some in (z, other)]
    expected = np.array([one == two for one, two in zip(*texts)])
    assert np.array_equal(codes.same(z, other), expected) and 30 < expected.sum() < 150


@pytest.mark.parametrize("layout", ["onehot", "onehot:0", "onehot:10@start", "bits:3,", "onehot:101", "words:3"])
def test_a_layout_that_is_none_is_one_line(layout):
    with pytest.raises(ValueError) as said:
        Codes.parsed(layout, 100)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("text", ["10", "-1", "two", "1,1", ""])
def test_a_code_that_the_layout_lacks_is_one_line(text):
    with pytest.raises(ValueError, match="a number from 0 to 9"):
        Codes.parsed("onehot:10", 100).code(text)


def test_samples_have_the_code_that_is_asked_for(folder, tmp_path, capsys):
    options = f"--checkpoint={folder}", f"--output={tmp_path}", "--facts=code=onehot:4@end", "--num_samples=3"
    assert run_script("generate.py", *options) == 0
    for i in range(3):
        code = np.load(tmp_path / f"{i}.npy")[8:]
        assert sorted(code) == [0, 0, 0, 1]
    assert run_script("generate.py", *options, "--code_index=2", "--code_value=10") == 0
    assert all(np.array_equal(np.load(tmp_path / f"{i}.npy")[8:], [0, 0, 10, 0]) for i in range(3))
    assert run_script("generate.py", *options, "--code_index=4") == 1
    assert "a number from 0 to 3" in capsys.readouterr().err


def test_one_coordinate_is_swept_and_the_others_stay(folder, tmp_path, capsys):
    options = f"--checkpoint={folder}", f"--output={tmp_path}", f"--judge_checkpoint={tmp_path}"
    assert run_script("generate.py", *options, "--vary=7", "--vary_range=-5,5", "--steps=3") == 0
    z = np.load(tmp_path / "walk.npy")
    assert np.array_equal(z[:, 7], [-5, 0, 5]) and (np.delete(z, 7, axis=1) == np.delete(z[:1], 7, axis=1)).all()
    waves = np.concatenate([soundfile.read(tmp_path / f"{i}.wav", dtype="float32")[0] for i in range(3)])
    assert np.array_equal(soundfile.read(tmp_path / "walk.wav", dtype="float32")[0], waves)
    page = (tmp_path / "index.html").read_text()
    assert page.count("<audio") == 4 and "z7 = -5" in page
    for wrong in (["--vary=12"], ["--vary=7", "--vary_range=1"]):
        assert run_script("generate.py", *options, *wrong) == 1
    assert capsys.readouterr().err.count("generate.py: vary") == 2


@pytest.mark.slow
@pytest.mark.parametrize("layout, bounds", [("onehot:4", 1.0), ("bits:2", 1.0), ("onehot:4", 2.0)])
def test_a_code_far_beyond_the_range_of_training_is_recovered_with_its_scale(folder, layout, bounds):
    generator = coded(folder, layout).with_facts(bounds=bounds)
    codes, z = generator.codes, random_latent(generator, 2, 5)
    z[:, codes.places] = [10 * codes.code(codes.text(codes.nearest(one, 1)[0])) for one in z[:, codes.places]]
    if layout == "bits:2":
        z[0, codes.places], z[1, codes.places] = 0, (0, 10)  # at a scale of 0 each code of bits sounds alike
    solution = found(generator, generate(generator, z), scale="free")
    assert list(solution.code) == [codes.text(code) for code in z[:, codes.places]]
    assert (latent_mse(z, solution.z) < EXACT).all()


def test_a_free_scale_wants_bounds(folder):
    generator = coded(folder, "onehot:4").with_facts(bounds=np.inf)
    with pytest.raises(ValueError, match="set bounds"):
        found(generator, np.zeros((1, generator.num_samples, 1)), scale="free")


def test_a_clip_with_a_code_is_tried_as_it_is_too(folder):
    generator = coded(folder, "onehot:4")
    z = random_latent(generator, 1, 8)
    wave = generate(generator, z)[0]
    clip = Clip(np.roll(1.4 * wave, 5000, axis=0), as_it_is=wave)  # farther than a position is looked for
    recovery, forms = recovered_clips([clip], generator, solver=LevenbergMarquardt())
    assert forms[0].samples is wave
    assert latent_mse(z, recovery.z)[0] < EXACT and np.array_equal(recovery.z[0, :4], z[0, :4])
    assert recovery.at_bound[0] == 0 and recovery.explained[0] > 0.99
    held, _ = recovered_clips([clip], generator, solver=LevenbergMarquardt(), code=Code(recovery.runner_up[0]))
    assert held.explained[0] == pytest.approx(1 - 10 ** (-held.snr_db[0] / 10), abs=0.02) and held.snr_db[0] < 20


def test_each_window_of_a_long_recording_has_its_code(folder, tmp_path):
    generator = coded(folder, "onehot:4")
    z = random_latent(generator, 2, 9)
    sound = np.concatenate(list(generate(generator, z)))
    soundfile.write(tmp_path / "long.wav", sound, generator.sample_rate, subtype="FLOAT")
    options = [f"--files={tmp_path / 'long.wav'}", f"--output={tmp_path / 'out'}", f"--checkpoint={folder}"]
    options += [f"--{name}_checkpoint={tmp_path}" for name in ("classifier", "judge")]
    options += ["--gradient", "--inverse_mapping=False", "--solver=levenberg_marquardt", "--prepared=True"]
    hop = generator.num_samples / generator.sample_rate
    assert run_script("latent_vector_recovery.py", *options, f"--hop={hop}", "--facts=code=onehot:4") == 0
    rows = list(csv.DictReader(open(tmp_path / "out/long.csv")))
    assert [int(row["code"]) for row in rows] == list(z[:, :4].argmax(axis=1))
    assert all(float(row["margin_db"]) > 20 and float(row["explained"]) > 0.99 for row in rows)


def test_a_code_is_at_no_bound(folder):
    generator = coded(folder, "onehot:4")
    z = 0.5 * np.ones((1, 12), np.float32)
    z[0, :5] = 0, 1, 0, 0, -1
    how = {"generator": generator, "inverse_mapping": SimpleNamespace(predict_on_batch=lambda waveforms: z)}
    ((_, _, (answer,), _),) = recovered(list(generate(generator, z)), lambda clip: clip, 1, **how)
    assert answer.at_bound == 1  # of the noise


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["onehot:4", "bits:2", "onehot:2,onehot:3@end"])
def test_a_clip_has_its_code_and_its_noise_back(folder, layout):
    generator = coded(folder, layout)
    codes, z = generator.codes, random_latent(generator, 3, 1)
    clips = generate(generator, z)
    solution = found(generator, clips)
    assert list(solution.code) == [codes.text(code) for code in z[:, codes.places]]
    assert np.array_equal(solution.z[:, codes.places], z[:, codes.places])
    assert (latent_mse(z, solution.z) < EXACT).all()
    assert (solution.margin_db > 20).all() and (solution.code != solution.runner_up).all()
    other = codes.text(codes.nearest(z[0, codes.places], 2)[1])
    held = found(generator, clips[:1], other)
    assert held.code[0] == other and held.objective[0] > 100 * solution.objective[0]


def test_a_sound_without_a_valid_code_is_said_to_have_none(folder):
    generator = coded(folder, "onehot:4")
    z = random_latent(generator, 2, 3)
    z[1, :4] = -0.4, 0.5, 0.3, -0.6  # drawn like noise, as in previews
    answers = found(generator, generate(generator, z))
    assert answers[0].without_code_db is None and answers[0].exact
    assert answers[1].without_code_db > 20
    said = alternatives_in_words({name: getattr(answers[1], name) for name in OF_ALTERNATIVES})
    assert "; " in said and f"no valid code explains it: {answers[1].without_code_db:.1f} dB better without" in said
