"""Predictions as the start of optimisation, in the library and in the script."""

import csv

import numpy as np
import soundfile
from run_script import run_script

from models.audio.clip import prepare, write_wav
from models.generator.generator import generate, random_latent
from models.metrics.metrics import latent_mse
from models.networks.inverse_mapping import load_inverse_mapping
from models.recovery.perceptual import Perceptual
from models.recovery.recover import recover
from models.recovery.starts import predict

SCRIPT = "latent_vector_recovery.py"


def test_a_hybrid_begins_at_the_prediction(weights, generator):
    true = random_latent(generator, 4, 8)
    clips = generate(generator, true)

    class Near:
        def predict_on_batch(self, waveforms):
            assert waveforms.shape == (4, 16384)
            return true + 0.02

    start = predict(clips, Near())
    predicted = recover(clips, generator, start=start)
    assert (
        np.allclose(predicted.z, true + 0.02, atol=1e-6)
        and (predicted.iterations == 0).all()
        and (predicted.objective > 0).all()
    )
    hybrid = recover(clips, generator, solver=Perceptual(), start=start)
    cold = recover(clips, generator, solver=Perceptual())
    assert (latent_mse(true, hybrid.z) < 1e-8).all() and hybrid.iterations.sum() < cold.iterations.sum()


def test_the_script_predicts_many_recordings_and_starts_a_hybrid(weights, generator, tmp_path, capsys):
    files, output = tmp_path / "in", tmp_path / "out"
    files.mkdir()
    z = random_latent(generator, 2, 9)
    for i, waveform in enumerate(generate(generator, z)):
        write_wav(files / f"made_{i}.wav", waveform)
        np.save(files / f"made_{i}.npy", z[i])
    for i in range(6):
        soundfile.write(files / f"{i}.wav", 0.1 * np.sin(np.arange(4000) / (2 + i)), 8000)
    arguments = [
        f"--files={files}",
        f"--checkpoint={weights / 'checkpoint'}",
        f"--inverse_mapping_checkpoint={weights / 'mapping'}",
        f"--judge_checkpoint={weights / 'judge'}",
    ]
    assert run_script(SCRIPT, *arguments, f"--output={output}", "--batch_size=3", "--report") == 0
    rows = list(csv.DictReader(open(output / "recovery.csv")))
    assert (
        len(rows) == 8
        and {row["method"] for row in rows} == {"inverse_mapping"}
        and {row["solver"] for row in rows} == {""}
    )
    mapping, forms = load_inverse_mapping(weights / "mapping", generator), {row["name"]: row["form"] for row in rows}
    for i in range(2):
        clip = prepare(files / f"made_{i}.wav", preparation=generator.preparation)
        waveform = clip.as_it_is if forms[f"made_{i}"] == "as it is" else clip.samples
        assert np.abs(np.load(output / f"made_{i}.npy") - predict(waveform[None], mapping)).max() < 1e-4
    page = (output / "index.html").read_text()
    assert page.count("<audio") == 16 and (output / "made_0_original.wav").exists() and 'class="true"' in page
    capsys.readouterr()
    for i in range(6):
        (files / f"{i}.wav").unlink()
    assert run_script(SCRIPT, *arguments, f"--output={tmp_path / 'hybrid'}", "--gradient", "--max_iter=60") == 0
    printed = capsys.readouterr().out
    assert printed.count("(exact; identifiable") == 2
    assert {row["method"] for row in csv.DictReader(open(tmp_path / "hybrid/recovery.csv"))} == {"hybrid"}
    arguments[1] = f"--checkpoint={weights / 'other'}"
    assert run_script(SCRIPT, *arguments, f"--output={output}") == 1
    error = capsys.readouterr().err
    assert "trained for the generator" in error and error.count("\n") == 1
