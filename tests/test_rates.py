"""A generator's sample rate, bounds and prior: where they are read, and that everything follows them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import tensorflow as tf
import tf1_wavegan
from conftest import ROOT
from run_script import run_script

from common.closeness import Closeness
from common.columns import in_words
from common.recovering import recovered
from models.audio.clip import AudioError, prepare
from models.audio.preparation import Preparation
from models.audio.second import Second
from models.audio.windows import duration_of, windows
from models.files.errors import CheckpointError
from models.generator.facts import Facts, read_facts
from models.generator.generator import generate, random_latent
from models.generator.loading import load_generator
from models.recovery.ear import inside, unbounded


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny WaveGAN of 8 latent dimensions at 22,050 Hz."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tf1_wavegan.write(folder, latent_dim=8, width=2, seed=5, sample_rate=22050)
    return folder


def test_the_rate_is_clip_jsons_else_args_txts_else_16000(folder, tmp_path):
    (tmp_path / "infer.meta").write_bytes((folder / "infer.meta").read_bytes())
    for path in folder.glob("model.ckpt*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    generator = load_generator(tmp_path)
    assert generator.sample_rate == 16000 and not generator.rate_is_known
    (tmp_path / "clip.json").write_text(json.dumps({"peak": 0.5, "generator": generator.sha256}))
    assert load_generator(tmp_path).sample_rate == 16384, "a clip.json without a rate is this project's"
    (tmp_path / "args.txt").write_text("data_dir,x,y\ndata_sample_rate,22050\n")
    contradicted = load_generator(tmp_path)
    assert contradicted.sample_rate == 16384 and "22,050" in contradicted.warnings[0]
    (tmp_path / "clip.json").write_text(json.dumps({"peak": 0.5}))
    assert load_generator(tmp_path).sample_rate == 22050 and load_generator(tmp_path).rate_is_known
    inner = tmp_path / "infer"
    inner.mkdir()
    for path in [*tmp_path.glob("infer.meta"), *tmp_path.glob("model.ckpt*")]:
        (inner / path.name).write_bytes(path.read_bytes())
    assert load_generator(inner).sample_rate == 22050, "args.txt lies above infer/"
    (tmp_path / "args.txt").write_text("data_sample_rate,4000\n")
    with pytest.raises(CheckpointError, match="args.txt: data_sample_rate is 4,000 Hz"):
        load_generator(inner)
    Facts(sample_rate=44100, bounds=float("inf"), prior="normal").write(tmp_path / "clip.json")
    (tmp_path / "args.txt").unlink()
    loaded = load_generator(tmp_path)
    assert (loaded.sample_rate, loaded.bounds, loaded.prior) == (44100, np.inf, "normal")
    assert "Infinity" not in (tmp_path / "clip.json").read_text()


@pytest.mark.parametrize("wrong", [{"sample_rate": 4000}, {"sample_rate": "x"}, {"bounds": -1}, {"prior": "gamma"}])
def test_a_clip_json_that_is_none_is_one_line(tmp_path, wrong):
    (tmp_path / "clip.json").write_text(json.dumps(wrong))
    with pytest.raises(ValueError, match="clip.json") as refused:
        read_facts(tmp_path / "clip.json")
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_scripts_write_and_read_at_the_generators_rate(folder, tmp_path, capsys):
    arguments = f"--checkpoint={folder}", f"--output={tmp_path / 'made'}", "--num_samples=2"
    assert run_script("generate.py", *arguments) == 0 and "22,050 Hz" in capsys.readouterr().out
    samples, rate = soundfile.read(tmp_path / "made/0.wav", dtype="float32")
    assert rate == 22050
    generator = load_generator(folder)
    clip = prepare(tmp_path / "made/0.wav", preparation=generator.preparation, prepared=True)
    assert np.array_equal(clip.samples, samples)
    gradient = "--gradient", "--inverse_mapping=False", "--max_iter=40"
    recover = f"--files={tmp_path / 'made'}", f"--checkpoint={folder}", *gradient
    assert run_script("latent_vector_recovery.py", *recover, f"--output={tmp_path / 'out'}") == 0
    assert capsys.readouterr().out.count("(exact") == 2
    assert soundfile.info(tmp_path / "out/0_reconstruction.wav").samplerate == 22050
    assert run_script("generate.py", *arguments, "--facts=sample_rate=8000") == 0
    assert "8,000" in (error := capsys.readouterr().err) and "22,050" in error and error.count("\n") == 1


@pytest.mark.parametrize("rate, num_samples", [(16000, 16384), (44100, 65536), (16384, 32768), (8000, 8192)])
def test_the_networks_second_is_the_loudest_at_their_rate(rate, num_samples):
    time = np.arange(num_samples) / rate
    loud = time > time[-1] - 0.4
    tone = (np.sin(2 * np.pi * 440 * time) * (0.1 + 0.9 * loud)).astype(np.float32)
    targets = np.stack([tone, tone[::-1]])
    second = Second(num_samples, rate)
    begin = second.begin(targets).numpy()
    (clips,) = second.of(targets)
    assert clips.shape == (2, 16384)
    assert begin[0] + 16384 == max(second.length, 16384) or begin[0] >= second.length - 16384 - 0.6 * 16384
    spectrum = np.abs(np.fft.rfft(clips, axis=1))
    assert (np.abs(spectrum.argmax(axis=1) - 440) <= 1).all(), "a tone keeps its pitch"


def test_a_second_that_is_one_already_stays_and_gradients_pass_through_any():
    clips = np.random.default_rng(0).normal(size=(2, 16384)).astype(np.float32)
    assert np.array_equal(Second().of(clips)[0], clips)
    second, x = Second(16384, 16000), tf.constant(clips[..., None])
    weights = np.random.default_rng(1).normal(size=(2, 16384)).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(second(x, second.begin(x)) * weights)
    terms = tape.gradient(total, x).numpy() * clips[..., None]
    rounding = 100 * np.finfo(np.float32).eps * np.sqrt((terms.astype(np.float64) ** 2).sum())
    assert abs(terms.sum(dtype=np.float64) - float(total)) < rounding * 100, "the map is linear"
    assert (np.abs(terms).sum(axis=(1, 2)) > 0).all()


def test_bounds_and_priors(folder):
    z = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    for bounds in (1.0, 2.0, np.inf):
        again = np.asarray(inside(unbounded(z, bounds), bounds))
        assert np.abs(again).max() <= bounds and np.allclose(
            again, np.clip(z, -0.97 * bounds, 0.97 * bounds), atol=1e-5
        )
    generator = load_generator(folder)
    assert np.abs(random_latent(generator, 500, 0)).max() <= 1
    generator = generator.with_facts(prior="normal")
    drawn = random_latent(generator, 500, 0)
    assert 2 < np.abs(drawn).max() < 6 and generate(generator, drawn[:2]).shape == (2, 16384, 1)
    assert generator.bounds == np.inf, "of a normal prior, unless they are given"
    assert np.abs(random_latent(generator.with_facts(bounds=2), 500, 0)).max() == 2


@pytest.mark.parametrize("rate, num_samples", [(8000, 8192), (16000, 16384), (22050, 16384), (44100, 65536)])
def test_16_bit_clips_at_the_generators_rate_are_read_sample_for_sample(rate, num_samples, tmp_path):
    whole = np.random.default_rng(rate).integers(-32767, 32768, num_samples)
    soundfile.write(tmp_path / "clip.wav", whole.astype(np.int16), rate, subtype="PCM_16")
    preparation = Preparation(0.9, "center", sample_rate=rate)
    clip = prepare(tmp_path / "clip.wav", num_samples=num_samples, preparation=preparation, prepared=True)
    assert not clip.warnings and np.array_equal(np.rint(clip.samples * 32767.0), whole)
    shape = {"num_samples": num_samples, "num_channels": 1, "preparation": preparation, "prepared": True}
    (window,) = windows(tmp_path / "clip.wav", 1, num_samples, **shape)
    assert np.array_equal(window.samples, clip.samples)
    assert duration_of(tmp_path / "clip.wav", rate) == num_samples


@pytest.mark.parametrize("rate", [1, 999, 800_000])
def test_a_rate_that_no_recording_has_is_refused_in_one_line(rate, tmp_path):
    soundfile.write(tmp_path / "clip.wav", np.ones(3000) / 2, rate)
    for read in (prepare, duration_of):
        with pytest.raises(AudioError, match=f"clip.wav: a sample rate of {rate:,} Hz") as refused:
            read(tmp_path / "clip.wav")
        assert "\n" not in str(refused.value)


def test_a_constant_is_no_sound_and_the_line_says_so(tmp_path):
    soundfile.write(tmp_path / "clip.wav", np.full(8000, 0.25), 8000)
    assert prepare(tmp_path / "clip.wav").warnings == ("a constant, no sound",)


def test_coordinates_at_the_bounds_are_counted_and_a_wrong_answer_is_never_called_identical(folder):
    generator = load_generator(folder)
    z = np.array([[1, -1, 0.5, 0, 0, 0, 0, 0.99]], np.float32)
    mapping = SimpleNamespace(predict_on_batch=lambda waveforms: z)
    how = {"generator": generator, "inverse_mapping": mapping}
    ((_, clips, answers, _),) = recovered(list(generate(generator, z)), lambda clip: clip, 1, **how)
    (row,) = Closeness(generator, None, None).of(clips, answers)
    assert row["at_bound"] == 2 and "2 coordinates at the bounds" in in_words(row)
    inner = row | {"at_bound": 0}
    assert "identical" in in_words(inner) and "identical" not in in_words(inner, wrong=True)
    assert "bounds" not in in_words(inner) and "identical" not in in_words(row)


def test_the_shipped_generator_says_its_rate():
    assert json.loads((ROOT / "checkpoint/clip.json").read_text())["sample_rate"] == 16384
