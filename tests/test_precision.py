"""Full float32 on any device: who sees to it, and what TF32 would do."""

import ast

import pytest
import tensorflow as tf
from conftest import ROOT
from test_house import KNOWN, SCRIPTS, imported

from models.audio.precision import fast_products

UNIT = 2.0**-11  # of rounding to 10 bits of mantissa: relative to a number, half the distance to the next


def reached(path):
    """Dotted names of all that a file of the project imports, what that imports included."""
    known, waiting = (
        {*KNOWN, *(f"{place}.{f.stem}" for place in ("common", "datasets") for f in (ROOT / place).glob("*.py"))},
        [path],
    )
    found = set()
    while waiting:
        one = waiting.pop()
        module = ".".join(one.relative_to(ROOT).with_suffix("").parts)
        for name in set(imported(one.read_text(encoding="utf-8"), module, known)) - found:
            found.add(name)
            file = (ROOT / name.replace(".", "/")).with_suffix(".py")
            waiting += [file] if file.exists() else []
    return found


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_runs_in_full_float32(script):
    assert "models.audio.precision" in reached(ROOT / script)


@pytest.mark.parametrize("module", ["recovery/recover", "metrics/metrics", "metrics/evaluation", "generator/loading"])
def test_the_library_does_wherever_it_is_imported(module):
    assert "models.audio.precision" in reached(ROOT / f"models/{module}.py")


def test_training_and_only_training_may_be_coarse():
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    assert not enabled()
    with pytest.raises(KeyError), fast_products():
        assert enabled()
        raise KeyError
    assert not enabled()
    for path in [*ROOT.glob("*.py"), *(ROOT / "models").rglob("*.py"), *(ROOT / "common").glob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        coarse = [node for node in ast.walk(tree) if isinstance(node, ast.With)]
        coarse = [node for node in coarse if ast.unparse(node.items[0].context_expr) == "fast_products()"]
        inside = {ast.unparse(node.func) for one in coarse for node in ast.walk(one) if isinstance(node, ast.Call)}
        assert not coarse or any(name.endswith(".fit") for name in inside), path
