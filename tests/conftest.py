"""What tests share: recordings, tiny networks that are written once, and networks that are opened once."""

import functools
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
import common.networks


@pytest.fixture(scope="session")
def fsdd():
    """The folder of FSDD recordings; tests that need real speech are skipped without it."""
    for folder in (
        os.environ.get("FSDD"),
        ROOT / "datasets/fsdd",
        ROOT / "datasets/fsdd/recordings",
        ROOT / "../shared/fsdd",
    ):
        if folder and any(Path(folder).glob("0_*.wav")):
            return Path(folder)
    pytest.skip("no FSDD recordings: set FSDD to their folder, or put them into datasets/fsdd (datasets/README.md)")


@pytest.fixture(autouse=True)
def plain_training(request, monkeypatch):
    """Networks are trained without XLA, which takes longer to compile one than a test to train it; in slow tests with
    it, as users do.
    """
    if not request.node.get_closest_marker("slow"):
        monkeypatch.setattr("keras.src.trainers.trainer.model_supports_jit", lambda model: False)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """Servers on the loopback address are asked directly."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A folder of tiny networks that tests read only: checkpoint/ and other/ (two WaveGANs of 8 latent dimensions),
    mapping/ (an inverse mapping of the first), classifier/ and judge/.
    """
    from tiny_networks import write_weights

    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def generator(weights):
    """The generator in weights/checkpoint."""
    return common.networks.load_generator(weights / "checkpoint")


@pytest.fixture(scope="session")
def perceptual_loss(weights):
    """That of the classifier in weights/classifier."""
    return common.networks.PerceptualLoss(common.networks.load_classifier(weights / "classifier"))


@pytest.fixture
def few_steps(monkeypatch):
    """Descents by ear of a few steps from few sounds, for tests of what lies around them."""
    from models.recovery import perceptual
    from models.recovery.ear import RATE, Descent

    def run(self, parameters, originals, steps=0, rate=RATE, run=Descent.run):
        return run(self, parameters, originals, 3, rate)

    monkeypatch.setattr(Descent, "run", run)
    monkeypatch.setattr(perceptual, "POOL", 16)


def _signature(folder):
    """What changes when a file in a folder does."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return str(Path(folder).resolve()), *((str(path), path.stat().st_mtime_ns, path.stat().st_ino) for path in files)


def _opened_once(load):
    """`load(folder, …)` that returns the network of an earlier call where no file has changed, with all that was
    compiled for it: compiling takes longer than most tests.
    """
    opened = {}

    @functools.wraps(load)
    def opening(folder, *args, **kwargs):
        key = _signature(folder), repr((args, kwargs))
        if key not in opened:
            if len(opened) == 8:
                del opened[next(iter(opened))]
            opened[key] = load(folder, *args, **kwargs)
        return opened[key]

    return opening


@pytest.fixture(autouse=True, scope="session")
def networks_opened_once():
    """The scripts that tests run open each network once."""
    names = ("load_generator", "load_classifier", "load_judge", "load_inverse_mapping")
    with pytest.MonkeyPatch.context() as patched:
        for name in names:
            patched.setattr(common.networks, name, _opened_once(getattr(common.networks, name)))
        patched.setattr(common.networks, "PerceptualLoss", functools.lru_cache(4)(common.networks.PerceptualLoss))
        yield
