"""The table of what is recovered: a result belongs to its input, nothing is lost, two runs never share a folder."""

import csv
import os

import numpy as np
import pytest
import soundfile
import tf1_wavegan
from conftest import ROOT
from run_script import run_script

from common.columns import RECORDINGS
from common.files import result_names
from common.lock import locked
from common.recovering import recover_all, sounds_of
from common.settings import declared
from common.solvers import method_of
from common.store import Store
from models.files.hashing import content_hash
from models.generator.codes import Codes
from models.generator.generator import generate, random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import snr_db
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.layer import Layer
from models.recovery.perceptual import Perceptual
from models.recovery.published import LBFGSB

SETTINGS = {"solver": "levenberg_marquardt"}


def recording(path, value=0.1):
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, np.full(100, value), 8000)
    return path


def record(paths, folder, settings=SETTINGS):
    """Records in a table of `folder` what is not there as it is → the paths of which earlier rows counted."""
    table = Store(folder, "recovery", RECORDINGS, settings)
    rows = {row["file"]: row for row in table.rows()}
    facts = {path: rows.get(str(path), {}) for path in paths}
    done = [path for path, row in facts.items() if table.is_as_it_was(path, row.get("size"), row.get("sha256"))]
    for path in (p for p in paths if p not in done):
        table.add([table.recording(path) | {"name": path.stem, "snr_db": 1.25, "explained": np.nan}])
    return done


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


def test_a_row_counts_as_long_as_its_recording_has_the_same_content(tmp_path, output):
    path = recording(tmp_path / "in/x.wav")
    assert record([path], output) == [] and record([path], output) == [path]
    recording(path, 0.3)
    assert record([path], output) == [], "another content of the same size under the same name"
    assert len(Store(output, "recovery", RECORDINGS, SETTINGS)) == 1


def test_other_settings_or_a_damaged_table_are_set_aside_with_a_word(tmp_path, output, capsys):
    path, others = recording(tmp_path / "in/x.wav"), {"solver": "l_bfgs_b"}
    record([path], output)
    assert record([path], output, others) == [] and "other settings" in capsys.readouterr().out
    assert (output / "recovery_previous.csv").exists()
    (output / "recovery.csv").write_bytes(b"\xff\xfe\x00 no table\n1,2\n")
    assert record([path], output, others) == [] and "cannot be read" in capsys.readouterr().out
    assert (output / "recovery_damaged.csv").exists()
    table = (output / "recovery.csv").read_bytes()
    (output / "recovery.csv").write_bytes(table + b"half a ro")  # a kill while a row was written
    assert record([path], output, others) == [path] and not capsys.readouterr().out
    assert (output / "recovery.csv").read_bytes() == table


def test_a_table_of_before_without_a_column_is_read(tmp_path, output):
    path = recording(tmp_path / "in/x.wav")
    record([path], output)
    with open(output / "recovery.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    with open(output / "recovery.csv", "w", newline="") as file:
        before = csv.DictWriter(file, [name for name in rows[0] if name != "why"], "", "ignore", lineterminator="\n")
        before.writeheader()
        before.writerows(rows)
    assert record([path], output) == [path]
    table = Store(output, "recovery", RECORDINGS, SETTINGS)
    assert table[str(path)]["snr_db"] == 1.25 and "why" in (output / "recovery.csv").read_text().splitlines()[0]


def test_numbers_and_arrays_come_back_to_the_last_bit_and_what_is_not_known_does_not(output):
    z = np.random.default_rng(0).normal(size=(2, 300)).astype(np.float32)
    rows = [{"number": i, "z": z[i], "snr_db": float(z[i, 0]) / 3, "explained": np.nan, "why": None} for i in range(2)]
    names = ("number", "z", "snr_db", "explained", "why")
    Store(output, "some", names, {}, by="number", exact=True).add(rows)
    again = Store(output, "some", names, {}, by="number", exact=True)
    for i, row in enumerate(again.rows()):
        assert set(row) == {"number", "z", "snr_db"} and row["snr_db"] == rows[i]["snr_db"]
        assert row["z"].dtype == np.float32 and np.array_equal(row["z"], z[i])
    again.add([{"number": 0, "why": "once more"}])
    assert again[0] == {"number": 0, "why": "once more"} and len(again) == 2


def test_recordings_of_any_name_have_a_row_each_and_are_read_and_done_once(tmp_path, weights, capsys, monkeypatch):
    odd = ["a\rb.wav", "a\nb.wav", "\x1b[31mred.wav", 'a",b.wav']
    for value, name in enumerate(odd):
        recording(tmp_path / "in" / name, 0.1 + value / 10)
    hashed = []
    monkeypatch.setattr("common.store.content_hash", lambda path: hashed.append(path.name) or content_hash(path))
    names = {"checkpoint": "checkpoint", "classifier_checkpoint": "classifier", "judge_checkpoint": "judge"}
    names["inverse_mapping_checkpoint"] = "mapping"
    arguments = [f"--{name}={weights / folder}" for name, folder in names.items()]
    arguments += [f"--files={tmp_path / 'in'}", f"--output={tmp_path / 'out'}"]
    assert run_script("latent_vector_recovery.py", *arguments) == 0
    assert not set("\r\x1b") & set(capsys.readouterr().out) and sorted(hashed) == sorted(odd)
    assert run_script("latent_vector_recovery.py", *arguments) == 0
    assert "4 of 4 recordings are done" in capsys.readouterr().out and sorted(hashed) == sorted(2 * odd), "once a run"
    for table in ("recovery.csv", "latents.csv"):
        with open(tmp_path / "out" / table, newline="") as file:
            assert len(list(csv.DictReader(file, strict=True))) == 4


def test_two_runs_into_one_folder_are_refused_in_one_line(tmp_path, weights, capsys):
    (tmp_path / "out").mkdir()
    handle = locked(tmp_path / "out")
    arguments = f"--checkpoint={weights / 'checkpoint'}", f"--output={tmp_path / 'out'}"
    for script, more in (
        ("generate.py", ["--num_samples=1"]),
        ("latent_vector_recovery.py", [f"--files={recording(tmp_path / 'in/x.wav')}"]),
    ):
        assert run_script(script, *arguments, *more) == 1
        said = capsys.readouterr().err
        assert "another run is writing there" in said and said.count("\n") == 1
    os.close(handle)
    assert run_script("generate.py", *arguments, "--num_samples=1", f"--judge_checkpoint={weights / 'judge'}") == 0


@pytest.mark.parametrize("name", ["", "inverse_mapping_", "classifier_"])
def test_two_trainings_with_one_folder_of_logs_are_refused_in_one_line(tmp_path, weights, capsys, name):
    (tmp_path / "logs").mkdir()
    handle = locked(tmp_path / "logs")
    script = {"": "train_wavegan.py", "inverse_mapping_": "train.py"}.get(name, "train_sc09_classifier.py")
    recording(tmp_path / "in/3_anna_7.wav")
    places = [f"--{name}checkpoint={tmp_path / 'mine'}", f"--datasets={tmp_path / 'in'}"]
    read = [f"--checkpoint={weights / 'checkpoint'}"] * (script == "train.py") + [f"--logs={tmp_path / 'logs'}"]
    assert run_script(script, *places, *read) == 1
    said = capsys.readouterr().err
    os.close(handle)
    assert f"{tmp_path / 'logs'}: another run is writing there" in said and said.count("\n") == 1


def test_clips_that_are_done_are_kept_and_half_a_row_is_done_again(tmp_path, output, capsys):
    tf1_wavegan.write(tmp_path, latent_dim=8, width=2, seed=5)
    generator = load_generator(tmp_path, check_derivative=False)
    clips, method = generate(generator, random_latent(generator, 5, 3)), {"generator": generator}
    method["solver"] = LevenbergMarquardt(max_iter=2, restarts=0)
    whole = [row["z"] for row in recover_all(clips, "gradient real", output, 2, **method).rows(range(5))]
    path = output / "gradient_real.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]) + lines[4][:40])  # a kill: two rows are gone, the first of them cut short
    capsys.readouterr()
    again = recover_all(clips, "gradient real", output, 2, **method)
    assert "gradient real: 3 of 5 clips are done already" in capsys.readouterr().out
    assert path.read_bytes().splitlines(keepends=True)[:4] == lines[:4]
    np.testing.assert_allclose([row["z"] for row in again.rows(range(5))], whole, atol=1e-3)
    assert len(recover_all(clips + 1e-3, "gradient real", output, 2, **method)) == 5
    assert "was made with other settings" in capsys.readouterr().out


def scripts_settings(script):
    """{name: default} of a script."""
    return {name: setting.default for name, setting in declared((ROOT / script).read_text(encoding="utf-8")).items()}


def test_rows_hold_the_level_and_the_position_that_were_recovered(tmp_path, output):
    tf1_wavegan.write(tmp_path, latent_dim=8, width=2, seed=5)
    generator = load_generator(tmp_path, check_derivative=False)
    clip = 0.2 * np.roll(generate(generator, random_latent(generator, 1, 3)), 37, axis=1) + 0.01
    clip[:, :37] = 0.01
    store = recover_all(clip, "gradient", output, 1, generator=generator, solver=LevenbergMarquardt())
    assert store[0]["gain"] == pytest.approx(0.2, rel=1e-3) and store[0]["shift"] == pytest.approx(37, abs=0.01)
    assert store[0]["explained"] > 0.99 and snr_db(clip, sounds_of(store, generator))[0] > 40


@pytest.mark.parametrize("script", ["latent_vector_recovery.py", "calculate_metrics.py"])
def test_a_scripts_defaults_are_the_solvers_own(script):
    defaults = scripts_settings(script) | {"gradient": True}
    solvers = {"perceptual": Perceptual(), "levenberg_marquardt": LevenbergMarquardt(), "l_bfgs_b": LBFGSB()}
    for name, solver in solvers.items():
        assert method_of(defaults | {"solver": name}, None) == {"solver": solver, "layer": None, "code": None}


def test_the_first_layers_space_has_the_perceptual_loss_with_and_without_a_solver_before_it():
    class Loss:
        sha256, taps = "a", "blocks"

    loss, defaults = Loss(), scripts_settings("latent_vector_recovery.py") | {"space": "layer"}
    for gradient, solver in ((False, None), (True, Perceptual(loss))):
        found = method_of(defaults | {"gradient": gradient}, loss)
        assert (found["solver"], found["layer"]) == (solver, Layer(loss))
    weighted = method_of(defaults | {"gradient": True, "log_spectral_weight": 0.7}, loss)
    assert weighted["solver"].log_spectral_weight == weighted["layer"].log_spectral_weight == 0.7


@pytest.mark.parametrize(
    "layout, setting, words",
    [
        ("", {"hold_code": "2"}, "name no code"),
        ("", {"code_scale": "free"}, "name no code"),
        ("onehot:2", {"hold_code": "2"}, "a number from 0 to 1"),
        ("onehot:2", {"code_scale": "21"}, "code_scale is a number above 0, up to 20"),
        ("onehot:2", {"code_scale": "freely"}, "code_scale is a number above 0, up to 20"),
    ],
)
def test_settings_of_codes_that_do_not_fit_are_one_line(layout, setting, words):
    defaults = scripts_settings("latent_vector_recovery.py")
    with pytest.raises(ValueError, match=words) as said:
        method_of(defaults | setting, None, Codes.parsed(layout, 8))
    assert "\n" not in str(said.value)
