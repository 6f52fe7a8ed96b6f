"""What comes with the project fits together: generator, inverse mapping, examples, page."""

import re

import numpy as np
import pytest
import soundfile
from conftest import ROOT

from models.generator import generate, random_latent
from models.inverse_mapping import load_inverse_mapping
from models.metrics import latent_mse, snr_db
from models.recovery import predict
from models.wavegan import load_wavegan


@pytest.fixture(scope="module")
def generator():
    return load_wavegan(ROOT / "checkpoint")


def test_the_inverse_mapping_is_for_the_generator_and_good(generator):
    true = random_latent(generator, 64, 77)
    clips = generate(generator, true)
    found = predict(clips, load_inverse_mapping(ROOT / "inverse_mapping_checkpoint", generator))
    assert latent_mse(true, found).mean() < 0.12 and np.median(snr_db(clips, generate(generator, found))) > 15
    assert sum(path.stat().st_size for path in (ROOT / "inverse_mapping_checkpoint").glob("*.keras")) < 8e6


def test_the_page_and_the_examples_are_the_generators(generator):
    page = (ROOT / "Audio_Examples/index.html").read_text()
    assert generator.sha256[:16] in page
    for source in re.findall(r'<audio[^>]* src="([^"]*)"', page):
        assert soundfile.info(ROOT / "Audio_Examples" / source).frames == 16384
    folder = ROOT / "Audio_Examples/recovered/synthesized"
    true, hybrid = (np.load(folder / method / "3.npy")[None] for method in ("original", "hybrid"))
    waveform, _ = soundfile.read(folder / "original/3.wav", dtype="float32")
    assert snr_db(waveform[None], generate(generator, true)[..., 0])[0] > 60 and latent_mse(true, hybrid)[0] < 1e-4
