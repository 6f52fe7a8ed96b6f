"""Settings from the shell, through a script of their own."""

import pytest
from conftest import ROOT

from common.settings import declared, from_shell
from models.generator.facts import stated_facts

SCRIPT = '''"""Does nothing."""

# Places
files = "waves/"  # a folder

# Method
recipe = "ours"  # which ["ours", "theirs"]
max_iter = 2 * 10**2  # iterations [1 to 1,000]
rate = 0.5  # a share [0 to 1]
scale = 3.0  # a factor
gradient = False  # optimise
CONSTANT = 3  # no setting
hidden = 4
'''
RECIPES = {"theirs": {"max_iter": 7, "rate": 0.25}}


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)

    def run(*arguments, recipes=None):
        names = {"__file__": str(path)}
        exec(compile(SCRIPT, str(path), "exec"), names)
        names["__file__"] = str(path)
        return from_shell(names, list(arguments), recipes), names

    return run


def test_only_commented_lower_case_names_are_settings_each_with_its_heading_and_range():
    declarations = declared(SCRIPT)
    assert {name: (setting.default, setting.heading) for name, setting in declarations.items()} == {
        "files": ("waves/", "Places"),
        "recipe": ("ours", "Method"),
        "max_iter": (200, "Method"),
        "rate": (0.5, "Method"),
        "scale": (3.0, "Method"),
        "gradient": (False, "Method"),
    }
    assert declarations["max_iter"].bounds == (1, 1000) and declarations["recipe"].choices == ("ours", "theirs")
    assert declarations["files"].comment == "a folder" and declarations["scale"].bounds is None


def test_values_take_the_type_of_the_default(script):
    settings, names = script("--files=a=b", "--max_iter=7", "--rate=1", "--gradient")
    assert settings["files"] == "a=b" and settings["max_iter"] == 7 and settings["gradient"] is True
    assert names["max_iter"] == 7 and isinstance(names["rate"], float)
    assert script("--gradient=False")[0]["gradient"] is False
    assert script()[0]["max_iter"] == 200
    assert script("--max_iter=2**4")[0]["max_iter"] == 16
    assert script("--max_iter=1e2")[0]["max_iter"] == 100 and script("--scale=-1/4")[0]["scale"] == -0.25


def test_a_recipe_sets_what_is_not_given_and_says_so(script, capsys):
    settings, names = script("--recipe=theirs", "--rate=0.75", recipes=RECIPES)
    assert settings["max_iter"] == 7 and names["max_iter"] == 7 and settings["rate"] == 0.75
    assert capsys.readouterr().out == "Recipe theirs: max_iter=7\n"


def test_defaults_are_found_from_any_folder(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert script()[0]["files"] == f"{ROOT}/waves/" and script("--files=waves/")[0]["files"] == "waves/"


@pytest.mark.parametrize(
    "argument, words",
    [
        ("--maxiter=3", "did you mean 'max_iter'"),
        ("--max_iter=3.5", "max_iter is a whole number, not '3.5'"),
        ("--max_iter=0", "max_iter is a number from 1 to 1,000, not 0"),
        ("--max_iter=9**99", "max_iter is a number from 1 to 1,000"),
        ("--max_iter=2**2**40", "max_iter is a whole number"),
        ("--rate=fast", "rate is a number"),
        ("--rate=-0.1", "rate is a number from 0 to 1, not -0.1"),
        ("--rate=nan", "rate is a number"),
        ("--scale=1e999", "scale is a number"),
        ("--scale=__import__('os')", "scale is a number"),
        ("--recipe=mine", "recipe is 'ours' or 'theirs', not 'mine'"),
        ("--gradient=yes", "gradient is True or False"),
        ("--files", "files needs a value"),
        ("waves/", "'waves/' is not understood"),
        ("--CONSTANT=4", "there is no setting 'CONSTANT'"),
        ("--max_iter=((9**999)**999)**999", "max_iter is a whole number"),
        ("--max_iter=" + "-" * 20000 + "1", "max_iter is a whole number"),
        ("--rate=" + "+".join(["1"] * 5000), "rate is a number"),
        ("--recipe=" + "x" * 5000, "recipe is 'ours' or 'theirs', not 'xxx"),
        ("--scale='a'*10**9", "scale is a number"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(script, capsys, argument, words):
    with pytest.raises(SystemExit) as end:
        script(argument)
    error = capsys.readouterr().err
    assert end.value.code == 2 and words in error and error.count("\n") == 1 and len(error) < 300


def test_of_a_setting_that_is_given_twice_the_last_counts_and_that_is_said(script, capsys):
    assert script("--max_iter=3", "--rate=0.5", "--max_iter=4")[0]["max_iter"] == 4
    assert capsys.readouterr().err == "max_iter is given twice; the last counts, '4'\n"


def test_help_lists_name_default_and_comment(script, capsys):
    with pytest.raises(SystemExit) as end:
        script("--help")
    out = capsys.readouterr().out
    assert end.value.code == 0 and "Does nothing." in out
    assert "--max_iter=200" in out and "iterations [1 to 1,000]" in out and "hidden" not in out
    assert out.index("Places:") < out.index("--files") < out.index("Method:") < out.index("--max_iter")


@pytest.mark.parametrize(
    "argument, words",
    [
        ("--sample_rate=22050", "give --facts=sample_rate=…"),
        ("--num_samples=32768", "give --facts=num_samples=…"),
        ("--input_name", "give --facts=latent=…"),
        ("--facts=bound=1", "there is no fact 'bound'; there are peak, position, "),
        ("--facts=sample_rate=fast", "sample_rate is a whole number from 8,000 to 48,000 Hz, not 'fast'"),
        ("--facts=22050", "facts are given as name=value"),
        ("--facts=code=onehot:2,bits", "code is such as"),
        ("--facts=label=1,label=2", "label is given twice"),
    ],
)
def test_a_fact_that_was_a_setting_and_one_that_is_wrong_are_one_line(capsys, argument, words):
    with pytest.raises(SystemExit) as end:
        from_shell({"__file__": str(ROOT / "train.py"), "__doc__": ""}, [argument])
    error = capsys.readouterr().err
    assert end.value.code == 2 and error.count("\n") == 1 and words in error


def test_a_recipes_facts_and_those_that_are_given_come_together(capsys):
    names = {"__file__": str(ROOT / "train.py"), "__doc__": ""}
    recipes = {"published": {"facts": "sample_rate=16384,peak=0.5"}}
    given = from_shell(names, ["--recipe=published", "--facts=code=onehot:2,bits:3@end,peak=1"], recipes)["facts"]
    assert stated_facts(given) == {"sample_rate": 16384, "code": "onehot:2,bits:3@end", "peak": 1}
