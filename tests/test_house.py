"""The house: walls between its rooms, weights that belong to their cards, the library's own example."""

import ast
import re

import pytest
from conftest import ROOT

from common.columns import in_markdown
from common.settings import declared

SCRIPTS = sorted(path.name for path in ROOT.glob("*.py"))
LIBRARY = sorted((ROOT / "models").rglob("*.py"))
ROOMS = ("files", "audio", "generator", "networks", "metrics", "recovery", "training")  # each knows those before it


def modules_below(root):
    """Dotted names of all packages and modules below a folder."""
    paths = [path.relative_to(root).with_suffix("") for path in root.rglob("*.py")]
    paths += [path.relative_to(root) for path in root.rglob("*") if path.is_dir()]
    return {".".join(path.parts).removesuffix(".__init__") for path in paths}


def imported(source, module, modules):
    """Dotted names of what the source of `module` imports, wherever in it; of `from a import b` a.b where that is one
    of the known `modules`, else a."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(module.split(".")[: -node.level]) if node.level else ""
            base = ".".join(part for part in (base, node.module) if part)
            inside = [f"{base}.{alias.name}" for alias in node.names]
            yield from (name if name in modules else base for name in inside)


def imports_of(path):
    """Dotted names of the project's and other modules that one of the project's files imports."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return set(imported(path.read_text(encoding="utf-8"), module, KNOWN))


KNOWN = {f"models.{name}" for name in modules_below(ROOT / "models")}


def room(name):
    """The number of the room of models/ that a dotted name lies in, or None for another."""
    parts = name.split(".")
    return ROOMS.index(parts[1]) if parts[0] == "models" and parts[1:] and parts[1] in ROOMS else None


@pytest.mark.parametrize(
    "source, expected",
    [
        ("from models import recovery", {"models.recovery"}),
        ("def f():\n    from models.recovery import recover", {"models.recovery.recover"}),
        ("from models.recovery.recover import recover", {"models.recovery.recover"}),
        ("from ..recovery import recover", {"models.recovery.recover"}),
        ("from . import windows", {"models.audio.windows"}),
        ("import models.recovery.recover as r", {"models.recovery.recover"}),
    ],
)
def test_an_import_is_seen_however_it_is_written(source, expected):
    assert set(imported(source, "models.audio.clip", KNOWN)) == expected


@pytest.mark.parametrize(
    "path", [p for p in LIBRARY if p.name != "__init__.py"], ids=lambda path: str(path.relative_to(ROOT / "models"))
)
def test_a_room_imports_only_rooms_before_it(path):
    own = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for name in imports_of(path):
        if name.split(".")[0] == "models":
            assert room(name) is not None and room(name) <= own, f"{path}: {name}"


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT / "models")))
def test_the_library_imports_nothing_above_it_prints_nothing_and_names_no_script(path):
    above = {"common", "datasets", "benchmarks", "tests", *(name.removesuffix(".py") for name in SCRIPTS)}
    assert not {name.split(".")[0] for name in imports_of(path)} & above
    source = path.read_text(encoding="utf-8")
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    assert "print" not in {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    named = [name for name in (*SCRIPTS, "README") if re.search(rf"(?<![\w-]){re.escape(name)}", source)]
    assert named == [] and not re.search(r"--[a-z_]{3,}", source)


def test_nothing_below_imports_a_script_and_common_imports_no_data_set():
    scripts = {name.removesuffix(".py") for name in SCRIPTS}
    for folder, above in (("common", scripts | {"datasets"}), ("datasets", scripts)):
        for path in (ROOT / folder).glob("*.py"):
            assert not {name.split(".")[0] for name in imports_of(path)} & above, path


def test_the_manual_has_the_columns_that_a_row_has():
    assert in_markdown() in (ROOT / "recipes/README.md").read_text(encoding="utf-8")


def test_the_front_page_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= 8192


def test_every_name_that_a_script_gives_a_literal_before_it_reads_the_shell_is_a_setting_of_its_own():
    for path in [*ROOT.glob("*.py"), *(ROOT / "benchmarks").glob("*.py"), ROOT / "datasets/fetch.py"]:
        source = path.read_text(encoding="utf-8")
        known = declared(source)
        names = re.findall(r"^([a-z_]+) = ", source.split("from common.settings import")[0], re.MULTILINE)
        assert set(names) <= set(known), f"{path.name}: {set(names) - set(known)} have no comment behind them"
        assert len(names) == len(set(names)), f"{path.name}: two settings have the same name"


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
    for file, script, options in documented_commands():
        assert (ROOT / script).exists(), f"{file}: {script}"
        known = declared((ROOT / script).read_text(encoding="utf-8"))
        for name, value in options:
            assert name in {*known, "help", "name"}, f"{file}: {script} --{name}"
            if name in known and value and not re.search(r"[A-Z$]", value):
                known[name].check(known[name].parsed(value.strip("`\"'")))
        seen.add(script)
    assert {"generate.py", "latent_vector_recovery.py", "train.py", "calculate_metrics.py"} <= seen
