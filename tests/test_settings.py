"""Settings from the shell, through a script of their own."""

import pytest

from common.settings import declared, from_shell

SCRIPT = '''"""Does nothing."""

files = "waves/"  # a folder
max_iter = 200  # iterations
rate = 0.5  # a share
gradient = False  # optimise
CONSTANT = 3  # no setting
hidden = 4
'''


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)

    def run(*arguments):
        names = {"__file__": str(path)}
        exec(compile(SCRIPT, str(path), "exec"), names)
        names["__file__"] = str(path)
        return from_shell(names, list(arguments)), names

    return run


def test_only_commented_lower_case_names_are_settings():
    assert declared(SCRIPT) == {
        "files": ("waves/", "a folder"),
        "max_iter": (200, "iterations"),
        "rate": (0.5, "a share"),
        "gradient": (False, "optimise"),
    }


def test_values_take_the_type_of_the_default(script):
    settings, names = script("--files=a=b", "--max_iter=7", "--rate=2", "--gradient")
    assert settings == {"files": "a=b", "max_iter": 7, "rate": 2.0, "gradient": True}
    assert names["max_iter"] == 7 and isinstance(names["rate"], float)
    assert script("--gradient=False")[0]["gradient"] is False
    assert script()[0]["max_iter"] == 200


@pytest.mark.parametrize(
    "argument, words",
    [
        ("--maxiter=3", "did you mean 'max_iter'"),
        ("--max_iter=3.5", "max_iter is a whole number, not '3.5'"),
        ("--rate=fast", "rate is a number"),
        ("--gradient=yes", "gradient is True or False"),
        ("--files", "files needs a value"),
        ("waves/", "'waves/' is not understood"),
        ("--CONSTANT=4", "there is no setting 'CONSTANT'"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(script, capsys, argument, words):
    with pytest.raises(SystemExit) as end:
        script(argument)
    error = capsys.readouterr().err
    assert end.value.code == 2 and words in error and error.count("\n") == 1


def test_help_lists_name_default_and_comment(script, capsys):
    with pytest.raises(SystemExit) as end:
        script("--help")
    out = capsys.readouterr().out
    assert end.value.code == 0 and "Does nothing." in out
    assert "--max_iter=200" in out and "iterations" in out and "hidden" not in out
