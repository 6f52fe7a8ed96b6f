"""The table of what is recovered: a result belongs to its input, nothing is lost, two runs never share a folder."""

import os

import numpy as np
import pytest
import soundfile
import tf1_wavegan
from conftest import ROOT

from common.files import result_names, write_array, write_clip
from common.recovering import RecoveryTable, recover_all, waveforms_of
from common.settings import declared
from common.solvers import solver_of
from models.files.latents import known_latent
from models.generator.codes import Codes
from models.generator.generator import generate, random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import snr_db
from models.recovery.exact import LevenbergMarquardt
from models.recovery.layer import Layer
from models.recovery.lbfgsb import LBFGSB
from models.recovery.perceptual import Perceptual
from models.recovery.recover import Recovery

SETTINGS = {"solver": "levenberg_marquardt"}


def recording(path, value=0.1):
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, np.full(100, value), 8000)
    return path


def recover(paths, folder, settings=SETTINGS, **options):
    """As the script does, the recovery left out → {path: name}, and which paths were done before."""
    table = RecoveryTable(folder, settings, **options)
    names = table.names(paths)
    done = [path for path in paths if table.is_done(path)]
    for path in (p for p in paths if p not in done):
        write_clip(folder, f"{names[path]}_reconstruction", np.zeros(100), 16384)
        write_array(folder / f"{names[path]}.npy", np.zeros(8, np.float32))
        table.add(path, {"name": names[path], "snr_db": 1.0})
    table.close()
    return names, done


@pytest.fixture
def output(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_names_are_never_shared(tmp_path):
    paths = [tmp_path / name for name in ("a.wav", "a.flac", "a.wav.ogg", "A.aiff", "b.wav", "n" * 240 + ".wav")]
    paths.append(tmp_path / os.fsdecode(b"caf\xe9.wav"))
    names = result_names(paths, taken=["b"])
    assert len({name.casefold() for name in names.values()}) == len(paths)
    assert names[paths[0]] == "a.wav" and names[paths[1]] == "a.flac" and names[paths[4]] == "b.wav"
    for name in names.values():
        assert len(os.fsencode(f".{name}_reconstruction.wav")) < 255 and "/" not in name
        name.encode("utf-8")


def test_two_folders_with_the_same_names_into_one(tmp_path, output):
    first, second = recording(tmp_path / "A/x.wav", 0.1), recording(tmp_path / "B/x.wav", 0.2)
    (one, _), (two, done) = recover([first], output), recover([second], output)
    assert one[first] != two[second] and not done
    assert recover([first], output)[1] == [first] and recover([second], output)[1] == [second]
    assert len(list(output.glob("*.npy"))) == 2


def test_done_means_that_input_and_results_are_as_they_were(tmp_path, output):
    path = recording(tmp_path / "in/x.wav")
    recover([path], output)
    assert recover([path], output)[1] == [path]
    recording(path, 0.3)
    assert recover([path], output)[1] == [], "another content under the same name"
    for spoil in (
        lambda: (output / "x_reconstruction.wav").unlink(),
        lambda: (output / "x.npy").write_bytes(b""),
        lambda: (output / "x_reconstruction.wav").write_bytes(b"RIFF"),
    ):
        assert recover([path], output)[1] == [path]
        spoil()
        assert recover([path], output)[1] == []


def test_other_settings_or_a_damaged_table_are_set_aside_with_a_word(tmp_path, output, capsys):
    path = recording(tmp_path / "in/x.wav")
    recover([path], output)
    assert recover([path], output, {"solver": "l_bfgs_b"})[1] == [] and "other settings" in capsys.readouterr().out
    assert (output / "recovery_previous.csv").exists()
    (output / "recovery.csv").write_bytes(b"\xff\xfe\x00 no table\n1,2\n")
    assert recover([path], output, {"solver": "l_bfgs_b"})[1] == [] and "cannot be read" in capsys.readouterr().out
    assert (output / "recovery_damaged.csv").exists()
    table = (output / "recovery.csv").read_bytes()
    (output / "recovery.csv").write_bytes(table + b"half a ro")  # a kill while a row was written
    assert recover([path], output, {"solver": "l_bfgs_b"})[1] == [path] and not capsys.readouterr().out


def test_two_runs_into_one_folder_are_refused_in_one_line(tmp_path, output):
    table = RecoveryTable(output, SETTINGS)
    with pytest.raises(ValueError, match="another run is writing there") as refused:
        RecoveryTable(output, SETTINGS)
    assert "\n" not in str(refused.value)
    table.close()
    RecoveryTable(output, SETTINGS).close()


class Three:
    """Stands for a generator of three latent dimensions."""

    takes_label = False
    latent_dim, sha256 = 3, "a"


def test_batches_that_are_done_are_kept_and_half_a_row_is_done_again(output, monkeypatch, capsys):
    calls = []

    def recover(clips, generator, report, **options):
        calls.append(len(clips))
        z = np.stack([clip.samples[:3] for clip in clips]).astype(np.float32)
        return Recovery(z, np.zeros(len(z)), np.ones(len(z), int), snr_db=np.zeros(len(z))), clips

    monkeypatch.setattr("common.recovering.recover_clips", recover)
    clips = np.random.default_rng(0).normal(size=(5, 16)).astype(np.float32)
    z = np.array(recover_all(clips, "gradient real", output / "new", 2, generator=Three)["z"])
    assert np.array_equal(z, clips[:, :3]) and calls == [2, 2, 1]
    again = recover_all(clips, "gradient real", output / "new", 2, generator=Three)["z"]
    assert np.array_equal(again, z) and calls == [2, 2, 1]
    (path,) = (output / "new").glob("*.rows")
    path.write_bytes(path.read_bytes()[:-80])  # a kill: the last row is gone, the one before cut short
    again = recover_all(clips, "gradient real", output / "new", 2, generator=Three)["z"]
    assert np.array_equal(again, z) and calls[3:] == [2]


def scripts_settings(script):
    """{name: default} of a script."""
    return {name: setting.default for name, setting in declared((ROOT / script).read_text(encoding="utf-8")).items()}


def test_rows_hold_the_level_and_the_position_that_were_recovered(tmp_path, output):
    tf1_wavegan.write(tmp_path, latent_dim=8, width=2, seed=5)
    generator = load_generator(tmp_path, check_derivative=False)
    clip = 0.2 * np.roll(generate(generator, random_latent(generator, 1, 3)), 37, axis=1) + 0.01
    clip[:, :37] = 0.01
    rows = recover_all(clip, "gradient", output, 1, generator=generator, solver=LevenbergMarquardt())
    assert rows["gain"] == pytest.approx(0.2, rel=1e-3) and rows["shift"] == pytest.approx(37, abs=0.01)
    assert rows["explained"] > 0.99 and snr_db(clip, waveforms_of(rows, generator))[0] > 40


@pytest.mark.parametrize("script", ["latent_vector_recovery.py", "calculate_metrics.py"])
def test_a_scripts_defaults_are_the_solvers_own(script):
    defaults = scripts_settings(script) | {"gradient": True}
    solvers = {"perceptual": Perceptual(), "levenberg_marquardt": LevenbergMarquardt(), "l_bfgs_b": LBFGSB()}
    for name, solver in solvers.items():
        assert solver_of(defaults | {"solver": name}, None) == solver


def test_the_first_layers_space_has_the_perceptual_loss_with_and_without_a_solver_before_it():
    class Loss:
        sha256, taps = "a", "blocks"

    loss, defaults = Loss(), scripts_settings("latent_vector_recovery.py") | {"space": "layer"}
    assert solver_of(defaults | {"gradient": False}, loss) == Layer(None, loss)
    assert solver_of(defaults | {"gradient": True}, loss) == Layer(Perceptual(loss), loss)


@pytest.mark.parametrize(
    "layout, setting, words",
    [
        ("", {"hold_code": "2"}, "no layout says where the code is"),
        ("", {"code_scale": "free"}, "no layout says where the code is"),
        ("onehot:2", {"hold_code": "2"}, "a number from 0 to 1"),
        ("onehot:2", {"code_scale": "21"}, "code_scale is a number above 0, up to 20"),
        ("onehot:2", {"code_scale": "freely"}, "code_scale is a number above 0, up to 20"),
    ],
)
def test_settings_of_codes_that_do_not_fit_are_one_line(layout, setting, words):
    defaults = scripts_settings("latent_vector_recovery.py")
    with pytest.raises(ValueError, match=words) as said:
        solver_of(defaults | setting, None, Codes.parsed(layout, 8))
    assert "\n" not in str(said.value)


DAMAGED_HEADER = b"\x93NUMPY\x01\x00\x04\x00{(\n\n"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", DAMAGED_HEADER, "nan", "far too long", "folder", "pickle"])
def test_what_lies_beside_a_recording_and_is_no_latent_vector_is_one_line(tmp_path, content):
    path = tmp_path / "x.npy"
    if content == "folder":
        path.mkdir()
    elif content == "nan":
        np.save(path, np.full(8, np.nan))
    elif content == "far too long":
        np.save(path, np.zeros(100_000))
    elif content == "pickle":
        np.save(path, np.array([{}], object), allow_pickle=True)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError) as refused:
        known_latent(tmp_path / "x.wav", 8)
    assert "\n" not in str(refused.value) and "x.npy" in str(refused.value)
    assert known_latent(tmp_path / "other.wav", 8) is None
