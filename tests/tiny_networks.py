"""Tiny networks that nothing was trained for: what inverse mappings are tested with."""

import numpy as np
import tf1_wavegan

from models.files.saving import save_network
from models.generator.loading import load_generator
from models.networks.classifier import build_classifier
from models.networks.inverse_mapping import InverseMapping
from models.networks.judge import build_judge


def untrained(generator, **settings):
    """With predictions that are not all zero."""
    settings = {"width": 1, "refinements": 1} | settings
    mapping = InverseMapping(generator.latent_dim, generator_sha256=generator.sha256, **settings).attach(generator)
    rng = np.random.default_rng(2)
    mapping.set_weights(
        [
            rng.normal(0, 1.5 / np.sqrt(max(w.size // w.shape[-1], 1)), w.shape) if w.ndim > 1 else w
            for w in mapping.get_weights()
        ]
    )
    return mapping


def write_weights(folder):
    """Two WaveGANs of 8 latent dimensions, an inverse mapping of the first, a classifier and a judge, in `folder`."""
    for name, seed in (("checkpoint", 5), ("other", 6)):
        tf1_wavegan.write(folder / name, latent_dim=8, width=2, seed=seed, sample_rate=16384)
    save_network(untrained(load_generator(folder / "checkpoint")), folder / "mapping/inverse_mapping.keras")
    save_network(build_classifier(width=2), folder / "classifier/classifier.keras")
    save_network(build_judge(2), folder / "judge/judge.keras")
    return folder
