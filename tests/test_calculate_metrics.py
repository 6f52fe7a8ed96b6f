"""calculate_metrics.py with tiny networks: the tables of every combination of flags, and a run that was stopped."""

import json
import shutil
import warnings

import numpy as np
import pytest
import soundfile
from run_script import run_script

from common.store import Store
from common.view import markdown_table
from models.files.saving import save_network
from models.networks.inverse_mapping import InverseMapping

SCRIPT = "calculate_metrics.py"
ROW = set(
    "num_clips inception_score mse snr_db ssim accuracy "
    "log_spectral_distance log_spectral_distance_below_4_khz perceptual_loss seconds_per_clip method synth".split()
)
LATENT = {"latent_mse", "latent_mae", "identical", "identifiable", "exact"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, weights, generator):
    """Tiny networks, a second inverse mapping in resnet/, and 12 recordings of the test split."""
    folder = tmp_path_factory.mktemp("inputs")
    shutil.copytree(weights, folder, dirs_exist_ok=True)
    resnet = InverseMapping(8, "resnet", 1, generator_sha256=generator.sha256)
    save_network(resnet, folder / "resnet/inverse_mapping.keras")
    (folder / "recordings").mkdir()
    for i in range(12):
        soundfile.write(
            folder / f"recordings/{i % 4}_anna_{i // 4}.wav", 0.3 * np.sin(np.arange(3000) * (0.1 + i / 20)), 8000
        )
    return folder


def arguments(inputs, output, *more):
    names = {
        "checkpoint": "checkpoint",
        "classifier_checkpoint": "classifier",
        "judge_checkpoint": "judge",
        "inverse_mapping_checkpoint": "mapping",
        "resnet_checkpoint": "resnet",
        "datasets": "recordings",
    }
    return [*(f"--{name}={inputs / folder}" for name, folder in names.items()), f"--output={output}", *more]


def finite(value):
    return (
        all(map(finite, value.values()))
        if isinstance(value, dict)
        else not isinstance(value, float) or np.isfinite(value)
    )


@pytest.mark.parametrize(
    "synth, mapping, gradient, space, name",
    [
        (True, True, True, "latent", "hybrid"),
        (False, True, False, "latent", "inverse mapping"),
        (False, True, False, "layer", "inverse mapping, first layer free"),
        (False, False, True, "layer", "gradient, first layer free"),
        (False, False, False, "latent", "random latent vector"),
    ],
)
def test_a_combination_of_flags_writes_what_the_paper_has(
    inputs, tmp_path, few_steps, capsys, synth, mapping, gradient, space, name
):
    flags = [
        f"--synth={synth}",
        f"--inverse_mapping={mapping}",
        f"--gradient={gradient}",
        f"--space={space}",
        "--num_clips=4",
        "--max_iter=3",
        "--restarts=0",
    ]
    assert run_script(SCRIPT, *arguments(inputs, tmp_path / "m", *flags)) == 0
    result = json.loads((tmp_path / "m/metrics.json").read_text())
    assert result["method"] == name and result["synth"] == synth and result["num_clips"] == 4 and finite(result)
    assert ROW | (LATENT if synth else set()) <= set(result)
    assert [floor["method"] for floor in result["floors"]] == ["silence", "random latent vector"][
        : 1 if name.startswith("random") else 2
    ]
    assert "right digit, judge" in capsys.readouterr().out


def test_right_codes_are_counted_and_shown(inputs, tmp_path, capsys):
    flags = ["--synth", "--num_clips=5", "--facts=code=onehot:3", "--inverse_mapping"]
    assert run_script(SCRIPT, *arguments(inputs, tmp_path, *flags)) == 0
    result = json.loads((tmp_path / "metrics.json").read_text())
    shares = [row["code_accuracy"] for row in (result, result["floors"][1])]
    assert all(share * 5 == pytest.approx(round(share * 5)) and 0 <= share <= 1 for share in shares)
    printed = capsys.readouterr().out
    assert printed.count("right code") == 2 and f"{shares[0]:.0%}" in printed


@pytest.mark.slow
def test_the_table_and_going_on_where_a_run_was_stopped(inputs, tmp_path, few_steps, capsys, monkeypatch):
    flags = ["--table", "--num_clips=6", "--max_iter=2", "--restarts=0", "--batch_size=2"]
    added, own = [], Store.add

    def stopped(store, rows):
        if store.name == "gradient_FSDD" and "gradient_FSDD" in added:
            raise KeyboardInterrupt
        added.append(store.name)
        own(store, rows)

    monkeypatch.setattr(Store, "add", stopped)
    assert run_script(SCRIPT, *arguments(inputs, tmp_path / "m", *flags)) == 130
    assert "run it again to go on" in capsys.readouterr().err and not (tmp_path / "m/metrics.json").exists()
    done = len((tmp_path / "m/gradient_FSDD.csv").read_text().splitlines()) - 1
    monkeypatch.setattr(Store, "add", own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert run_script(SCRIPT, *arguments(inputs, tmp_path / "m", *flags)) == 0
    printed = capsys.readouterr().out
    assert (
        "inverse mapping FSDD: 6 of 6 clips are done already" in printed
        and f"gradient FSDD: {done} of 6 clips" in printed
    )
    rows = json.loads((tmp_path / "m/metrics.json").read_text())["rows"]
    methods = ["silence", "random latent vector", "inverse mapping, ResNet", "inverse mapping", "gradient", "hybrid"]
    assert [row["method"] for row in rows] == [*methods, "hybrid, first layer free", *methods]
    assert [row["synth"] for row in rows] == [False] * 7 + [True] * 6
    assert {row["num_clips"] for row in rows} == {6} and all(map(finite, rows))
    table = (tmp_path / "m/metrics.md").read_text()
    assert table in printed and table.count("| hybrid |") == 2 and "**Real clips**" in table
    assert (tmp_path / "m/metrics.png").read_bytes()[:4] == b"\x89PNG"


def test_each_data_set_has_a_row_of_its_own(inputs, tmp_path, capsys):
    other = tmp_path / "other"
    for speaker in "ab":
        (other / "seven").mkdir(parents=True, exist_ok=True)
        soundfile.write(other / f"seven/{speaker}_nohash_0.wav", 0.3 * np.sin(np.arange(9000) * 0.3), 16000)
    (other / "testing_list.txt").write_text("seven/b_nohash_0.wav\n")
    both = f"--datasets={inputs}/recordings,{other}"
    nothing = ["--inverse_mapping=False", "--gradient=False", "--num_clips=4"]
    assert run_script(SCRIPT, *arguments(inputs, tmp_path / "m", *nothing, both)) == 0
    result = json.loads((tmp_path / "m/metrics.json").read_text())
    rows = [*result["floors"], *result["others"], result]
    counted = [(row["method"], row["dataset"], row["num_clips"]) for row in rows]
    sets = [("FSDD", 4), ("Speech Commands", 1)]
    assert counted == [(method, *of) for method in ("silence", "random latent vector") for of in sets]
    assert "4 of 12 and 1 of 1 recordings of the test split" in capsys.readouterr().out
    table = markdown_table(rows)
    assert "| data set |" in table and table.count("| silence | Speech Commands | 1 |") == 1


NOTHING_TO_BEGIN_FROM = "--space=layer --gradient=False --inverse_mapping=False"


@pytest.mark.parametrize("wrong", ["--datasets=/nowhere", "--classifier_checkpoint=/nowhere", NOTHING_TO_BEGIN_FROM])
def test_what_cannot_be_done_is_one_line(inputs, tmp_path, capsys, wrong):
    assert run_script(SCRIPT, *arguments(inputs, tmp_path / "m", *wrong.split())) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"{SCRIPT}: ") and error.count("\n") == 1
