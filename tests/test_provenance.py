"""Whether the generator made a sound: what is measured, what it becomes, and whose calibration counts."""

import json
import shutil

import common.networks  # noqa: F401

import numpy as np
import pytest
import soundfile
from run_script import run_script

from models.audio.damage import DAMAGES, LARGEST_SHIFT, NOISE_DB, damaged
from models.audio.preparation import Preparation
from models.files.hashing import network_hash
from models.generator.generator import generate, random_latent
from models.generator.wavegan import load_wavegan
from models.metrics.metrics import snr_db
from models.networks.inverse_mapping import load_inverse_mapping
from models.recovery.provenance import MEASURES, PROVENANCE_FILE, Calibration, area_under_roc, calibrate, evidence

COUNT = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory, weights):
    """A tiny WaveGAN of 8 latent dimensions and an inverse mapping that learnt nothing."""
    folder = tmp_path_factory.mktemp("checkpoint")
    shutil.copytree(weights / "checkpoint", folder, dirs_exist_ok=True)
    shutil.copytree(weights / "mapping", folder / "mapping")
    return folder


class Oracle:
    """An inverse mapping that knows some clips, and finds the one that a waveform is most like, if not too far off."""

    def __init__(self, clips, z):
        self.clips, self.z = clips / np.linalg.norm(clips, axis=1, keepdims=True), z

    def predict_on_batch(self, waveforms):
        return self.z[np.argmax(waveforms @ self.clips.T, axis=1)]


@pytest.fixture(scope="module")
def made(folder):
    """Clips that the generator made, a network that knows them, and the generator."""
    generator = load_wavegan(folder)
    generator.preparation = Preparation(0.9, "center")
    z = random_latent(generator, COUNT, 1)
    clips = generate(generator, z)[..., 0]
    return clips, Oracle(clips, z), generator


def noise(count=COUNT):
    return np.random.default_rng(3).normal(0, 0.1, (count, 16384)).astype(np.float32)


@pytest.mark.parametrize("damage", ["none", "gain, up to 20 dB", "16 bits", "noise at 20 dB"])
def test_little_is_left_of_what_the_generator_made_and_nearly_all_of_what_it_did_not(made, damage):
    clips, oracle, generator = made
    left = {}
    for kind, waves in (("made", clips), ("other", noise())):
        rng = np.random.default_rng(2)
        measures = evidence([damaged(wave, damage, rng) for wave in waves], generator, oracle)
        assert measures.shape == (COUNT, len(MEASURES)) and np.isfinite(measures).all()
        left[kind] = measures[:, 0]
    allowed = -NOISE_DB + 1 if damage == "noise at 20 dB" else -30  # dB; all but what the damage itself adds
    assert left["made"].max() < allowed and left["other"].min() > -3


def test_a_clip_is_found_where_it_was_moved_to(made, monkeypatch):
    clips, oracle, generator = made
    monkeypatch.setattr(generator, "preparation", Preparation())  # expected where it is
    for by in (-700, 1350):
        kept = [clip[max(0, -by) : len(clip) - max(0, by)] for clip in clips]
        moved = [np.pad(clip, (max(0, by), max(0, -by))) for clip in kept]
        assert evidence(moved, generator, oracle)[:, 0].max() < -30
    half = [clip[400 : 400 + 8192] for clip in clips]
    assert evidence(half, generator, oracle)[:, 0].max() < -30


def test_the_score_orders_as_it_was_calibrated_and_is_kept(tmp_path):
    rng = np.random.default_rng(0)
    made, others = rng.normal(-10, 2, (60, 4)), rng.normal(-1, 1, (20, 4))
    found = calibrate(made, others, "one", "two")
    assert found.score(made).min() > 0.5 > found.score(others).max()
    middle = found.score((made.mean(axis=0) + others.mean(axis=0))[None] / 2)
    assert 0.1 < middle[0] < 0.9  # the two kinds count alike, whatever their numbers
    found.write(tmp_path)
    again = Calibration.read(tmp_path)
    assert again == found and np.array_equal(again.score(made), found.score(made))
    for spoilt in (
        "{}",
        "[1]",
        "no json",
        json.dumps(json.loads((tmp_path / PROVENANCE_FILE).read_text()) | {"bias": None}),
    ):
        (tmp_path / PROVENANCE_FILE).write_text(spoilt)
        with pytest.raises(ValueError, match=PROVENANCE_FILE) as refused:
            Calibration.read(tmp_path)
        assert "\n" not in str(refused.value)


def test_the_area_under_the_curve_counts_pairs():
    assert area_under_roc([3, 4], [1, 2]) == 1 and area_under_roc([1, 2], [3, 4]) == 0
    assert area_under_roc([1, 2], [1, 2]) == 0.5 and area_under_roc([2, 5, 1], [1, 3]) == pytest.approx(3.5 / 6)


@pytest.mark.parametrize("name", DAMAGES)
def test_damages_are_what_they_are_called(name):
    time = np.arange(16384) / 16384
    clip = (0.3 * np.sin(2 * np.pi * 300 * time) * np.sin(np.pi * time) ** 2).astype(np.float32)
    after = damaged(clip, name, np.random.default_rng(1))
    assert after.dtype == np.float32 and np.isfinite(after).all()
    if name == "half a second":
        assert len(after) == 8192 and (after**2).sum() > 0.8 * (clip**2).sum()
        return
    assert len(after) == len(clip)
    ratio = snr_db(clip[None], after[None])[0]
    bounds = {"none": (200, 200), "16 bits": (80, 120), "8 bits": (35, 60), "noise at 20 dB": (20 - 1e-3, 20 + 1e-3)}
    products = np.fft.irfft(np.fft.rfft(after, 32768) * np.conj(np.fft.rfft(clip, 32768)))
    if name in bounds:
        assert bounds[name][0] <= ratio <= bounds[name][1]
    elif name.startswith("shift"):
        lag = (int(np.argmax(products)) + 16384) % 32768 - 16384
        assert 0 < abs(lag) <= LARGEST_SHIFT * 16384
    elif name.startswith("gain"):
        assert np.corrcoef(clip, after)[0, 1] > 1 - 1e-6 and not np.allclose(clip, after)
    else:  # coding and resampling keep a tone of 300 Hz, some with a delay
        assert products.max() > 0.97 * np.linalg.norm(clip) * np.linalg.norm(after)


def recover(folder, output, *more):
    where = f"--files={folder / 'in'}", f"--output={output}", f"--checkpoint={folder}"
    mapping = f"--inverse_mapping_checkpoint={folder / 'mapping'}"
    return run_script("latent_vector_recovery.py", *where, mapping, "--provenance", "--report", *more)


def test_the_score_is_in_the_line_the_table_and_the_page_and_another_generators_is_not(folder, tmp_path, capsys):
    (folder / "in").mkdir()
    soundfile.write(folder / "in/a.wav", noise(1)[0], 16384)
    assert recover(folder, tmp_path / "none") == 0
    assert "calibrate_provenance.py makes one" in capsys.readouterr().out
    generator = load_wavegan(folder)
    networks = generator.sha256, network_hash(load_inverse_mapping(folder / "mapping", generator))
    Calibration([-1.0, 0, 0, 0], [-5.0, 0, 0, 0], [1.0] * 4, 0.0, *networks).write(folder)
    assert recover(folder, tmp_path / "out") == 0 and "made by this generator" in capsys.readouterr().out
    assert "made by this generator" in (tmp_path / "out/index.html").read_text()
    header, row = (line.split(",") for line in (tmp_path / "out/recovery.csv").read_text().splitlines())
    assert 0 < float(row[header.index("provenance")]) < 0.5
    assert recover(folder, tmp_path / "windows", "--hop=0.5") == 0
    assert ",provenance," in (tmp_path / "windows/a.csv").read_text()
    Calibration([-1.0, 0, 0, 0], [-5.0, 0, 0, 0], [1.0] * 4, 0.0, "other", networks[1]).write(folder)
    capsys.readouterr()
    assert recover(folder, tmp_path / "other") == 0 and "belongs to another generator" in capsys.readouterr().out
