"""Networks against a plain evaluation of the authors' layer definitions, through checkpoints with their names."""

import numpy as np
import pytest
import tensorflow as tf
from reference_resnet import evaluate, random_arrays, write_checkpoint

from models.networks.classifier import PerceptualLoss, build_classifier, load_classifier, tapped
from models.networks.published_weights import load_published_weights
from models.networks.resnet import BLOCKS, BOTTLENECKS, block_names, resnet


@pytest.fixture(scope="module")
def waveform():
    """Two clips of noise at the level of speech."""
    return np.random.default_rng(1).normal(0, 0.05, (2, 16384)).astype(np.float32)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder with the authors' download, in random numbers, and these."""
    folder, arrays = tmp_path_factory.mktemp("published"), random_arrays()
    write_checkpoint(arrays, folder / "model.ckpt")
    return folder, arrays


def relative_error(a, b):
    return np.abs(np.asarray(a) - np.asarray(b)).max() / max(1, np.abs(np.asarray(b)).max())


def test_resnet_18_from_the_authors_files_is_their_network_taps_included(published, waveform):
    folder, arrays = published
    assert len(arrays) == 122
    classifier = load_classifier(folder)
    logits, taps = evaluate(arrays, waveform)
    assert np.abs(classifier(waveform) - tf.nn.softmax(logits)).max() < 1e-4
    blocks = [taps[name] for name in taps if name.startswith("layer")]
    ours = tapped(classifier)(waveform)
    assert len(ours) == len(blocks) == 8
    assert max(relative_error(a, b) for a, b in zip(ours, blocks)) < 1e-4
    expected = np.mean([np.mean(np.abs(b[0] - b[1])) for b in blocks])
    assert float(PerceptualLoss(classifier)(waveform[:1], waveform[1:])[0]) == pytest.approx(expected, rel=1e-4)
    _, taps = evaluate(arrays, waveform, relu=lambda x: x)
    theirs = [taps[name] for name in ("features", "conv1", "bn1", "pool1", "layer1_block1", "layer2_block1")]
    expected = np.mean([np.mean((b[0] - b[1]) ** 2) for b in theirs])
    loss = float(PerceptualLoss(classifier, "published")(waveform[:1], waveform[1:])[0])
    assert loss == pytest.approx(expected, rel=1e-4)
    expected = np.mean(np.abs(theirs[-1][0] - theirs[-1][1]))
    assert float(PerceptualLoss(classifier, "stage2")(waveform[:1], waveform[1:])[0]) == pytest.approx(
        expected, rel=1e-4
    )


def test_bottlenecks_too(waveform, tmp_path):
    arrays = random_arrays(50, filters=4, outputs=100)
    write_checkpoint(arrays, tmp_path / "deep.ckpt")
    network = resnet(100, depth=50, width=4, features="real")
    load_published_weights(network, tmp_path / "deep.ckpt", 50)
    assert relative_error(network(waveform), evaluate(arrays, waveform, 50)[0]) < 1e-4


def test_depths_are_counted_in_convolutions():
    for depth in BLOCKS:
        assert len(block_names(depth)) * (3 if depth in BOTTLENECKS else 2) + 2 == depth  # with conv1 and fc


def test_every_missing_and_misshapen_variable_is_named(tmp_path):
    arrays = random_arrays(filters=4)
    del arrays["layer2/layer_with_weights-0/downsample/layer_with_weights-1/gamma"], arrays["bn1/beta"]
    arrays["fc/kernel"] = arrays["fc/kernel"][:, :7]
    write_checkpoint(arrays, tmp_path / "model.ckpt")
    network = build_classifier(width=4, features="real")
    before = [w.copy() for w in network.get_weights()]
    with pytest.raises(ValueError) as error:
        load_published_weights(network, tmp_path / "model.ckpt")
    message = str(error.value)
    assert "layer2/layer_with_weights-0/downsample/layer_with_weights-1/gamma is missing" in message
    assert "bn1/beta is missing" in message and "fc/kernel is [32, 7] where the network has [32, 10]" in message
    assert message.count(" is ") == 3 and "\n" not in message
    assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights()))


def test_half_a_download_and_damaged_files_are_said(tmp_path):
    write_checkpoint(random_arrays(filters=4), tmp_path / "model.ckpt")
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    network = build_classifier(width=4, features="real")
    with pytest.raises(ValueError, match="not a readable checkpoint") as error:
        load_published_weights(network, tmp_path / "model.ckpt")
    assert "\n" not in str(error.value)
    data.unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.ckpt\.data"):
        load_published_weights(network, tmp_path / "model.ckpt")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    arrays = random_arrays(filters=4)
    arrays["layer3/layer_with_weights-1/conv2/bias"][2] = np.nan
    write_checkpoint(arrays, tmp_path / "model.ckpt")
    network = build_classifier(width=4, features="real")
    before = [w.copy() for w in network.get_weights()]
    with pytest.raises(ValueError, match="layer3/layer_with_weights-1/conv2/bias is not finite"):
        load_published_weights(network, tmp_path / "model.ckpt")
    assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights()))
