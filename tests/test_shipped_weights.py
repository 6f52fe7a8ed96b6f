"""What comes with the project fits together: generator, inverse mapping, cards, examples, page."""

import re

import common.networks  # noqa: F401

import numpy as np
import pytest
import soundfile
from cards import DEVIATIONS, claimed, hashes
from conftest import ROOT

from models.files.hashing import network_hash
from models.generator.generator import generate, random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import latent_mse, snr_db
from models.networks.inverse_mapping import load_inverse_mapping
from models.recovery.starts import predict

NEVER_USED = 77  # a seed of latent vectors that no table and no training has


@pytest.fixture(scope="module")
def generator():
    return load_generator(ROOT / "checkpoint")


@pytest.fixture(scope="module")
def mapping(generator):
    return load_inverse_mapping(ROOT / "inverse_mapping_checkpoint", generator)


def test_the_inverse_mapping_is_as_good_as_its_card_says(generator, mapping):
    true = random_latent(generator, 128, NEVER_USED)
    errors = latent_mse(true, predict(generate(generator, true), mapping))
    says = float(claimed("inverse_mapping_checkpoint", "metrics", "inverse mapping", "latent MSE", table=1))
    rounding = 0.05 * says  # the card has two digits
    assert abs(errors.mean() - says) < DEVIATIONS * errors.std() / np.sqrt(len(errors)) + rounding
    assert sum(path.stat().st_size for path in (ROOT / "inverse_mapping_checkpoint").glob("*.keras")) < 8e6


def test_the_figures_in_the_cards_are_of_these_weights(generator, mapping):
    ours = {"generator": {generator.sha256[:16]}, "inverse mapping": {network_hash(mapping)[:16]}}
    for card in ("checkpoint", "inverse_mapping_checkpoint", "."):
        named = hashes(card)
        assert named["generator"] == ours["generator"]
        assert named.get("inverse mapping", ours["inverse mapping"]) == ours["inverse mapping"]


def test_the_page_and_the_examples_are_the_generators(generator):
    page = (ROOT / "Audio_Examples/index.html").read_text()
    assert generator.sha256[:16] in page
    for source in re.findall(r'<audio[^>]* src="([^"]*)"', page):
        assert soundfile.info(ROOT / "Audio_Examples" / source).frames == 16384
    folder = ROOT / "Audio_Examples/recovered/synthesized"
    true, hybrid = (np.load(folder / method / "3.npy")[None] for method in ("original", "hybrid"))
    waveform, _ = soundfile.read(folder / "original/3.wav", dtype="float32")
    again = generate(generator, true)[0, :, 0]
    # float32 sums of a few thousand products in another order: a relative error far below 1e-4, that is 80 dB
    assert snr_db(waveform[None], again[None])[0] > 80 and latent_mse(true, hybrid)[0] < 1e-4
