"""train.py: killed and resumed it gives what an unbroken run gives; what it writes, and what it does without
recordings or with two devices.
"""

import json
import shutil

import h5py
import keras
import numpy as np
import pytest
import soundfile
import tf1_wavegan
from run_script import run_killed, run_on_two_devices, run_script, scalars

from common.runs import begin_run
from common.state import Saved, epochs_done
from models.generator.generator import generate, random_latent
from models.generator.loading import load_generator
from models.networks.inverse_mapping import load_inverse_mapping
from models.recovery.starts import predict


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, weights):
    """Tiny networks, and 40 recordings of tones in FSDD's layout."""
    folder = tmp_path_factory.mktemp("inputs")
    shutil.copytree(weights, folder, dirs_exist_ok=True)
    (folder / "recordings").mkdir()
    for digit in range(4):
        for take in range(5, 15):
            soundfile.write(
                folder / f"recordings/{digit}_anna_{take}.wav",
                0.3 * np.sin(np.arange(3000) * (0.1 + digit / 10) + take),
                8000,
            )
    return folder


FROM = {"datasets": "recordings", "checkpoint": "checkpoint", "classifier_checkpoint": "classifier"}
INTO = {"inverse_mapping_checkpoint": "mapping", "logs": "logs", "waves": "waves"}


def settings(inputs, folder, *more):
    return [
        *[f"--{name}={inputs / place}" for name, place in FROM.items()],
        *[f"--{name}={folder / place}" for name, place in INTO.items()],
        *["--width=1", "--refinements=1", "--steps=3", "--batch_size=4", "--real_batch_size=2", "--epochs=3"],
        *more,
    ]


def logged(folder, epoch):
    """{name: value} of the losses that a run logged at the end of an epoch, counted from 1; val_ for validation."""
    losses = {}
    for part, prefix in (("train", ""), ("validation", "val_")):
        for name, values in scalars(folder / "logs" / part).items():
            if name.startswith("epoch_") and epoch - 1 in values and "learning_rate" not in name:
                losses[prefix + name.removeprefix("epoch_")] = values[epoch - 1]
    return losses


def distance(first, second):
    """Root mean square of the relative differences of two sets of losses."""
    assert set(first) == set(second)
    return np.sqrt(np.mean([((first[n] - second[n]) / (abs(first[n]) + abs(second[n]) + 1e-9)) ** 2 for n in first]))


@pytest.mark.slow
def test_killed_and_resumed_it_is_an_unbroken_run(inputs, tmp_path, capsys):
    assert run_script("train.py", *settings(inputs, tmp_path / "whole")) == 0
    run_killed("train.py", *settings(inputs, tmp_path / "killed"), after_epochs=1)
    keras.backend.clear_session()
    capsys.readouterr()
    assert run_script("train.py", *settings(inputs, tmp_path / "killed")) == 0
    resumed = capsys.readouterr().out
    assert "Going on after epoch 1" in resumed and "Epoch 1/" not in resumed
    for epoch in (2, 3):
        whole, continued = logged(tmp_path / "whole", epoch), logged(tmp_path / "killed", epoch)
        assert {"loss", "latent", "real_perceptual", "val_latent", "val_synthesized_snr_db"} <= set(whole)
        # Sums in another order make less of a difference than an epoch of training, by far.
        assert distance(whole, continued) < 0.05 * distance(whole, logged(tmp_path / "whole", 1))

    kinds, parts = ("real", "synthesized"), ("original", "reconstruction")
    names = {f"{kind}_{i}_{part}.wav" for kind in kinds for i in range(2) for part in parts}
    assert {p.name for p in (tmp_path / "whole/waves").iterdir()} == {"1", "2", "3"}
    for epoch in (tmp_path / "whole/waves").iterdir():
        assert {p.name for p in epoch.iterdir()} == names
        assert all(soundfile.info(p).frames == 16384 for p in epoch.iterdir())


def finished_epoch(folder, run):
    """As an epoch of a run leaves a state."""
    (folder / "training").mkdir(exist_ok=True)
    with h5py.File(folder / "training/latest.weights.h5", "w") as file:
        file["weights"] = np.zeros(1)
        file.attrs["run"] = json.dumps(run | {"epoch": 1})


def test_a_run_for_another_generator_makes_way(tmp_path, capsys):
    for sha256 in ("one", "one", "two"):
        finished_epoch(tmp_path, begin_run(tmp_path, {"width": 1}, generator=sha256))
        (tmp_path / "training" / sha256).touch()
        printed = capsys.readouterr().out
        assert ("begins anew" in printed) == (sha256 == "two")
    assert not (tmp_path / "training/one").exists() and (tmp_path / "previous/training/one").exists()


def test_a_run_belongs_to_its_settings(tmp_path, capsys):
    finished_epoch(tmp_path, begin_run(tmp_path, {"perceptual_weight": 1.0, "epochs": 2}))
    begin_run(tmp_path, {"perceptual_weight": 1.0, "epochs": 5})
    with pytest.raises(ValueError, match="perceptual_weight was 1.0 and is 2.0") as refused:
        begin_run(tmp_path, {"perceptual_weight": 2.0, "epochs": 5})
    assert "--fresh" in str(refused.value) and "\n" not in str(refused.value)
    begin_run(tmp_path, {"perceptual_weight": 2.0, "epochs": 5}, fresh=True)
    assert (tmp_path / "previous/training/latest.weights.h5").exists() and epochs_done(tmp_path) == 0
    assert "begins anew" in capsys.readouterr().out


def test_a_state_cut_short_gives_way_to_its_spare(tmp_path, capsys):
    state = tmp_path / "training"
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    x = np.ones((4, 1), np.float32)
    model.fit(x, x, epochs=2, verbose=0, callbacks=[Saved(tmp_path, (), known=begin_run(tmp_path, {}))])
    weights = (state / "latest.weights.h5").read_bytes()
    (state / "latest.weights.h5").write_bytes(weights[: len(weights) // 2])
    assert begin_run(tmp_path, {})["epoch"] == 1
    assert "the state of the epoch before" in capsys.readouterr().out and epochs_done(tmp_path) == 1
    (state / "latest.weights.h5.bkp").unlink()
    (state / "latest.weights.h5").write_bytes(b"")
    assert begin_run(tmp_path, {})["epoch"] == 0 and "begins anew" in capsys.readouterr().out


@pytest.mark.slow
def test_the_papers_objective_on_two_devices_without_recordings(inputs, tmp_path):
    more = ["--recipe=published", "--network=waveform", "--refinements=0", "--epochs=2", f"--datasets={tmp_path}"]
    printed = run_on_two_devices("train.py", *settings(inputs, tmp_path, *more))
    assert "Recipe published: " in printed and "perceptual_synthesized=True" in printed
    assert "on 2 device(s)" in printed and "synthesized clips only" in printed
    assert "synthesized_perceptual" in logged(tmp_path, 1)
    assert load_inverse_mapping(tmp_path / "mapping").settings["refinements"] == 0


@pytest.mark.slow
def test_mixed_precision_trains_and_what_it_saves_is_float32(inputs, tmp_path):
    try:
        assert run_script("train.py", *settings(inputs, tmp_path, "--mixed_precision=mixed_float16", "--epochs=1")) == 0
    finally:
        keras.mixed_precision.set_global_policy("float32")
    mapping = load_inverse_mapping(tmp_path / "mapping", load_generator(inputs / "checkpoint"))
    assert mapping.predictor.layers[2].compute_dtype == "float32"
    assert np.isfinite(mapping(np.zeros((1, 16384), np.float32))).all()


@pytest.mark.slow
def test_a_resnet_needs_no_other_setting(inputs, tmp_path, capsys):
    arguments = [a for a in settings(inputs, tmp_path, "--network=resnet", "--epochs=1") if "refinements" not in a]
    assert run_script("train.py", *arguments) == 0
    mapping = load_inverse_mapping(tmp_path / "mapping", load_generator(inputs / "checkpoint"))
    assert mapping.settings["network"] == "resnet" and mapping.settings["refinements"] == 0


@pytest.mark.slow
def test_a_generator_of_two_channels_and_two_seconds(inputs, tmp_path, capsys):
    """It gets an inverse mapping of its own, hybrid recovery, and figures; a classifier hears its loudest second."""
    (tmp_path / "stereo").mkdir()
    tf1_wavegan.write(tmp_path / "stereo", latent_dim=8, width=2, seed=5, length=32768, channels=2)
    stereo = f"--checkpoint={tmp_path / 'stereo'}"
    assert run_script("train.py", *settings(inputs, tmp_path, stereo, "--epochs=1")) == 0
    generator = load_generator(tmp_path / "stereo")
    mapping = load_inverse_mapping(tmp_path / "mapping", generator)
    clips = generate(generator, random_latent(generator, 3, 0))
    assert clips.shape == (3, 32768, 2) and np.std(clips[..., 0] - clips[..., 1]) > 0
    assert predict(clips, mapping).shape == (3, 8)
    pair = soundfile.read(tmp_path / "waves/1/real_0_reconstruction.wav")[0]
    assert pair.shape == (32768, 2)
    more = [stereo, f"--inverse_mapping_checkpoint={tmp_path / 'mapping'}", f"--output={tmp_path / 'metrics'}"]
    more += ["--synth", "--num_clips=2", "--gradient", "--max_iter=3", "--restarts=0"]
    capsys.readouterr()
    assert run_script("calculate_metrics.py", *more) == 0
    out = capsys.readouterr().out
    assert "latent MSE" in out and "right digit, judge" in out
    metrics = json.loads((tmp_path / "metrics/metrics.json").read_text())
    assert metrics["method"] == "hybrid" and np.isfinite(metrics["log_spectral_distance"])
    assert run_script("train.py", *settings(inputs, tmp_path, stereo, "--network=resnet")) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "32768 samples and 2 channel(s)" in err


@pytest.mark.parametrize(
    "wrong, status", [("--network=mlp", 2), ("--schedule=linear", 2), ("--steps=-1", 2), ("--devices=GPU:7", 1)]
)
def test_wrong_settings_are_one_line(inputs, tmp_path, capsys, wrong, status):
    assert run_script("train.py", *settings(inputs, tmp_path, wrong)) == status
    error = capsys.readouterr().err
    assert error.startswith("train.py: ") and error.count("\n") == 1
