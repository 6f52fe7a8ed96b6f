"""A corpus through Ray: every recording once, the same latent vectors as without it, also when a process is killed."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
import tf1_wavegan
from conftest import ROOT
from run_script import run_script

pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-cluster.txt")

from common.networks import clip_of

import pyarrow as pa
import pyarrow.parquet as pq

from common.corpus import SCHEMA, CorpusTable, Recoverer
from common.lock import locked
from models.audio.clip import prepare, read_clip
from models.files.saving import save_network
from models.generator.generator import random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, latent_mse
from models.networks.inverse_mapping import InverseMapping, load_inverse_mapping
from models.recovery.recover import recover
from models.recovery.starts import predict

COUNT = 12
HALF_THE_DIGITS = float(np.sqrt(np.finfo(np.float32).eps))  # far above rounding, far below another clip's answer
WEIGHTS = ("checkpoint", "inverse_mapping_checkpoint", "classifier_checkpoint", "judge_checkpoint")


@pytest.fixture
def corpus(tmp_path):
    """A tiny generator, an inverse mapping that learnt nothing, twelve recordings and one file that is none."""
    tf1_wavegan.write(tmp_path, latent_dim=8, width=2, seed=5)
    sha256 = load_generator(tmp_path).sha256
    mapping = InverseMapping(8, width=1, generator_sha256=sha256)
    save_network(mapping, tmp_path / "networks/inverse_mapping.keras")
    rng = np.random.default_rng(0)
    for i in range(COUNT):
        path = tmp_path / f"in/{i % 3}/{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.normal(0, 0.1, 4000), 8000, subtype="PCM_16")
    (tmp_path / "in/bad.wav").write_bytes(b"no recording")
    return tmp_path


def weights(corpus):
    """{setting: folder}."""
    return {name: str(corpus if name == "checkpoint" else corpus / "networks") for name in WEIGHTS}


def rows(folder):
    """All rows of the Parquet files in a folder."""
    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def started(corpus):
    """The script, begun."""
    folders = [f"--{name}={folder}" for name, folder in weights(corpus).items()]
    where = [f"--files={corpus / 'in'}", f"--output={corpus / 'out'}", "--batch_size=3", "--workers=2", "--waves"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(ROOT / "recover_corpus.py"), *where, *folders]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def actors(driver):
    """Process numbers of Ray's actors that recover, below a driver."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout.splitlines()
    found = [int(line.split()[0]) for line in listed if "ray::" in line and "Recoverer" in line]
    return [pid for pid in found if f"/{driver.pid}/" in parents(pid)]


def parents(pid):
    """The numbers of a process's ancestors, as /a/b/c/."""
    path = "/"
    while pid > 1:
        path += f"{pid}/"
        with open(f"/proc/{pid}/stat") as file:
            pid = int(file.read().rpartition(")")[2].split()[1])
    return path


def test_a_process_finds_what_the_library_finds_and_names_what_it_cannot_read(corpus):
    paths = [str(corpus / name) for name in ("in/0/0.wav", "in/bad.wav", "in/none.wav", "in/1/1.wav")]
    found = Recoverer(True, False, 0, True, "", **weights(corpus)).rows(paths)
    assert [row["file"] for row in found] == paths
    assert "not a readable recording" in found[1]["error"] and "none.wav" in found[2]["error"]
    generator = load_generator(corpus)
    clips = np.stack([read_clip(paths[i], preparation=generator.preparation) for i in (0, 3)])
    start = predict(clips, load_inverse_mapping(corpus / "networks", generator))
    alone = recover(clips, generator, start=start)
    z = np.stack([found[i]["z"] for i in (0, 3)])
    np.testing.assert_allclose(z, alone.z, atol=HALF_THE_DIGITS)
    assert pa.Table.from_pylist(found, SCHEMA)["z"].null_count == 2
    assert found[0]["snr_db"] == alone.snr_db[0] != round(float(found[0]["snr_db"]), 2), "as measured"
    clip = prepare(paths[0], **clip_of(generator))
    expected = clip.undo(generator(np.stack([found[0]["z"]])).numpy()[0])[:, 0]
    np.testing.assert_allclose(found[0]["reconstruction"], expected, atol=HALF_THE_DIGITS)


@pytest.mark.slow
def test_every_recording_once_and_as_without_ray_though_a_process_is_killed(corpus):
    driver = started(corpus)
    while driver.poll() is None and not (running := actors(driver)):
        time.sleep(0.2)
    assert driver.poll() is None, driver.stdout.read()
    os.kill(running[0], signal.SIGKILL)
    said, _ = driver.communicate()
    assert driver.returncode == 1, said  # one file is no recording
    found = {row["file"]: row for row in rows(corpus / "out")}
    assert len(rows(corpus / "out")) == len(found) == COUNT + 1
    bad = found.pop(str(corpus / "in/bad.wav"))
    assert "not a readable recording" in bad["error"] and bad["z"] is None
    alone = Recoverer(True, False, 0, False, "", **weights(corpus)).rows(sorted(found))
    for row in alone:
        assert found[row["file"]]["error"] is None
        np.testing.assert_allclose(found[row["file"]]["z"], row["z"], atol=HALF_THE_DIGITS)
        assert len(found[row["file"]]["reconstruction"]) == 16384 and "reconstruction" not in row
    again = started(corpus)
    assert "13 of 13 recordings are done already" in again.communicate()[0] and again.returncode == 0


def test_weights_that_are_not_there_are_one_line_and_leave_the_folder_to_the_next_run(corpus, capsys):
    where = f"--files={corpus / 'in'}", f"--output={corpus / 'out'}"
    assert run_script("recover_corpus.py", *where, f"--checkpoint={corpus / 'gone'}") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "gone" in said and not (corpus / "out/corpus.json").exists()


def test_codes_are_recovered(corpus):
    generator = load_generator(corpus, "code=onehot:3")
    codes, true = generator.codes, random_latent(generator, 2, 0)
    paths = [str(corpus / f"{i}.wav") for i in range(2)]
    for path, wave in zip(paths, generator(true).numpy()):
        soundfile.write(path, wave, generator.sample_rate, subtype="FLOAT")
    options = weights(corpus) | {"facts": "code=onehot:3"}
    found = Recoverer(False, True, 0, False, **options).rows(paths)
    assert [row["code"] for row in found] == [codes.text(code) for code in true[:, codes.places]]
    assert latent_mse(true, np.stack([row["z"] for row in found])).max() < EXACT
    kept = pa.Table.from_pylist(found, SCHEMA)
    assert kept["code"].null_count == 0 and min(kept["margin_db"].to_pylist()) > 20
    held = Recoverer(False, True, 0, False, **options, hold_code="1").rows(paths[:1])[0]
    assert held["code"] == "1" and np.array_equal(held["z"][codes.places], [0, 1, 0])
    with pytest.raises(ValueError, match="name no code"):
        Recoverer(False, True, 0, False, "", **weights(corpus), hold_code="1")


def test_rows_are_kept_whole_and_other_settings_are_refused(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"1234")
    (tmp_path / "corpus.json").write_text('{"seed": 9}')  # of a run that ended before it had a row
    table = CorpusTable(tmp_path, {"seed": 0})
    row = table.recording(path) | {"z": [0.5, 1.0]}
    table.add(pa.Table.from_pylist([row], SCHEMA))
    assert not list(tmp_path.glob("*.parquet"))
    table.flush()
    (written,) = tmp_path.glob("*.parquet")
    assert pq.read_schema(written) == SCHEMA and rows(tmp_path)[0]["z"] == [0.5, 1.0]
    again = CorpusTable(tmp_path, {"seed": 0})
    assert again.is_done(path) and not again.is_done(tmp_path / "b.wav")
    path.write_bytes(b"4321")
    again = CorpusTable(tmp_path, {"seed": 0})
    assert not again.is_done(path), "another content of the same size"
    done_anew = [again.recording(path) | {"z": [0.25, 1.0]}, {"file": "b.wav", "size": 1, "z": [0.75, 1.0]}]
    again.add(pa.Table.from_pylist(done_anew, SCHEMA))
    again.flush()
    assert sorted(row["z"][0] for row in rows(tmp_path)) == [0.25, 0.75], "one row a recording"
    assert CorpusTable(tmp_path, {"seed": 0}).is_done(path)
    with pytest.raises(ValueError, match="other settings"):
        CorpusTable(tmp_path, {"seed": 1})


def test_what_is_known_of_a_recording_is_kept_in_a_corpus_too(corpus):
    generator = load_generator(corpus)
    wave = 0.5 * generator(random_latent(generator, 1, 0)).numpy()[0]
    soundfile.write(corpus / "made.wav", wave, generator.sample_rate, "FLOAT")
    found = Recoverer(False, True, 0, False, "", **weights(corpus)).rows([str(corpus / "made.wav")])
    (row,) = pa.Table.from_pylist(found, SCHEMA).to_pylist()
    assert row["form"] == "as it is" and row["explained"] > 0.99 and row["gain"] == pytest.approx(0.5, rel=1e-3)
    assert abs(row["offset"]) < 1e-3 and abs(row["shift"]) < 0.01 and 0 < row["z_std"] < 0.01 and row["at_bound"] == 0


def test_two_runs_into_one_folder_are_refused_in_one_line(corpus, capsys):
    (corpus / "out").mkdir()
    handle = locked(corpus / "out")
    assert run_script("recover_corpus.py", f"--files={corpus / 'in'}", f"--output={corpus / 'out'}") == 1
    said = capsys.readouterr().err
    assert "another run is writing there" in said and said.count("\n") == 1
    os.close(handle)
