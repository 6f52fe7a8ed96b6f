"""The classifier that comes with the project, on real speech it was not trained on: FSDD's takes 0 to 4."""

import re

import common.networks  # noqa: F401

import numpy as np
import pytest
from cards import claimed, hashes, least_share
from conftest import ROOT

from benchmarks.shipped_classifier import chosen_triples, triple_losses, variants
from datasets.layouts import find_dataset
from models.files.hashing import network_hash
from models.networks.classifier import PerceptualLoss, load_classifier

FOLDER = "classifier_checkpoint"


@pytest.fixture(scope="module")
def classifier():
    return load_classifier(ROOT / FOLDER)


@pytest.fixture(scope="module")
def takes(fsdd):
    """The recordings of the test split, and their variants."""
    recordings = [r for r in find_dataset(fsdd)[2] if r.split == "test"]
    return recordings, variants(recordings)


def test_its_accuracy_is_what_its_card_says(classifier, takes):
    recordings, clips = takes
    spoken = np.array([r.digit for r in recordings])
    for name, waveforms in clips.items():
        shown = claimed(FOLDER, "accuracy", f"FSDD, test part, {name}", "right digit")
        right, count = map(int, re.search(r"\((\d+) of (\d+)\)", shown).groups())
        share = np.mean(classifier.predict(waveforms, 60, verbose=0).argmax(axis=1) == spoken)
        assert share >= least_share(right, count), name


def test_the_perceptual_loss_orders_identical_other_take_other_digit(classifier, takes):
    recordings, clips = takes
    losses = triple_losses(PerceptualLoss(classifier), clips["as recorded"], chosen_triples(recordings, 30, 0))
    identical, other_take, other_digit = losses.mean(axis=0)
    assert identical < 1e-3 * other_take and 0 < other_take < other_digit


def test_the_figures_in_the_card_are_of_these_weights(classifier):
    assert hashes(FOLDER) == {"classifier": {network_hash(classifier)[:16]}}


def test_the_weights_are_small_on_disk():
    assert sum(path.stat().st_size for path in (ROOT / FOLDER).glob("*.keras")) < 3e6
