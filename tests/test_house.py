"""The house: walls between its rooms, weights that belong to their cards, the library's own example."""

import ast
import re

import pytest
from conftest import ROOT

from common.settings import declared

SCRIPTS = sorted(path.name for path in ROOT.glob("*.py"))
LIBRARY = sorted((ROOT / "models").glob("*.py"))


def imported(path):
    """Names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.name)
def test_the_library_imports_nothing_above_it_prints_nothing_and_names_no_script(path):
    above = {"common", "datasets", "benchmarks", "tests", *(name.removesuffix(".py") for name in SCRIPTS)}
    assert not {name.split(".")[0] for name in imported(path)} & above
    source = path.read_text(encoding="utf-8")
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    assert "print" not in {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    named = [name for name in (*SCRIPTS, "README") if re.search(rf"(?<![\w-]){re.escape(name)}", source)]
    assert named == [] and not re.search(r"--[a-z_]{3,}", source)


def test_nothing_below_imports_a_script():
    scripts = {name.removesuffix(".py") for name in SCRIPTS}
    for folder in ("common", "datasets", "models"):
        for path in (ROOT / folder).glob("*.py"):
            assert not {name.split(".")[0] for name in imported(path)} & scripts, path


def test_every_python_file_is_small_enough_to_read_in_one_sitting():
    folders = ("", "common", "datasets", "models", "benchmarks")
    paths = [path for folder in folders for path in (ROOT / folder).glob("*.py")]
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    long = {name: count for name, count in lengths.items() if count > 250}
    assert long == {}
    assert len((ROOT / "README.md").read_bytes()) <= 8192


def test_every_name_that_a_script_gives_a_literal_before_it_reads_the_shell_is_a_setting():
    for path in [*ROOT.glob("*.py"), *(ROOT / "benchmarks").glob("*.py"), ROOT / "datasets/fetch.py"]:
        source = path.read_text(encoding="utf-8")
        known = declared(source)
        for line in source.split("from common.settings import")[0].splitlines():
            if found := re.match(r"([a-z_]+) = ", line):
                assert found[1] in known, f"{path.name}: {found[1]} has no comment behind it on its own line"


def test_the_librarys_own_example_runs(tmp_path, monkeypatch):
    import models

    example = "\n".join(line[4:] for line in models.__doc__.splitlines() if line.startswith("    "))
    for name in ("checkpoint", "inverse_mapping_checkpoint", "Audio_Examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "models/__init__.py", "exec"), {})
    assert (tmp_path / "reconstruction.wav").stat().st_size > 16384 * 4


def documented_commands():
    """(file, script, settings) of every command line in the Markdown files, the recipes and the Makefile."""
    files = [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("recipes/*.sh"), ROOT / "Makefile"]
    for file in files:
        text = file.read_text(encoding="utf-8").replace("\\\n", " ")
        for script, rest in re.findall(r"python\S* ([\w/]+\.py)((?: +[-\w./=\"$@{}(),:]+)*)", text):
            yield file.relative_to(ROOT), script, re.findall(r"--(\w+)(?:=(\S+))?", rest)


def test_every_documented_command_has_its_script_and_its_settings():
    seen = set()
    for file, script, given in documented_commands():
        assert (ROOT / script).exists(), f"{file}: {script}"
        known = declared((ROOT / script).read_text(encoding="utf-8"))
        for name, value in given:
            assert name in {*known, "help", "name"}, f"{file}: {script} --{name}"
            if name in known and value and not re.search(r"[A-Z$]", value):
                known[name].check(known[name].parsed(value.strip("`\"'")))
        seen.add(script)
    assert {"generate.py", "latent_vector_recovery.py", "train.py", "calculate_metrics.py"} <= seen
