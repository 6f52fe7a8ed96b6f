"""Settings from the shell: every name at a script's top with a comment behind it can be given as --name=value.

A script's settings are the plain assignments at its top, one a line, each with a comment behind it that says what it
does; a comment on a line of its own is the heading of those that follow. The comment may end with the values that are
allowed: `[1 to 100,000]`, or a list such as `["one", "other"]`. `from_shell(globals())` reads the command line,
checks types and ranges, and changes the names in place; `--help` lists them all.
"""

import ast
import difflib
import io
import math
import operator
import os
import re
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path

from common.script import end_quietly
from models.files.errors import shown
from models.generator.facts import stated_facts

EXIT_USAGE = 2  # an unknown name, a value of the wrong type or out of its range
CHECKS = {"facts": stated_facts}  # of settings that hold several values
GONE = {"clip_samples": "num_samples", "input_name": "latent", "output_name": "output"}  # facts, as they were called
GONE |= {name: name for name in ("sample_rate", "bounds", "prior", "code", "num_samples", "label")}
PROJECT = Path(__file__).resolve().parents[1]  # defaults that are paths count from here
RANGE = re.compile(r"\s*\[([-+\d.,e_]+) to ([-+\d.,e_]+|inf)\]$")
CHOICES = re.compile(r"\[[^][]*\]$")
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
LARGEST_POWER = 1000  # a power's exponent, so that no expression keeps the machine busy
LONGEST_NUMBER = 100  # characters, so that none is deeper than Python's parser goes


@dataclass(frozen=True)
class Setting:
    """One setting: its default, its comment, the heading above it, and what is allowed.

    bounds: (least, most) of a number, or None. choices: the words allowed, or () for any.
    """

    default: object
    comment: str
    heading: str = ""
    bounds: tuple | None = None
    choices: tuple = ()

    def parsed(self, text):
        """The shell's text as a value of the default's type. Raises ValueError, saying what is wanted."""
        if isinstance(self.default, bool):
            if text.lower() not in ("true", "false"):
                raise ValueError("True or False")
            return text.lower() == "true"
        if not isinstance(self.default, (int, float)):
            return text
        whole = isinstance(self.default, int)
        if text == "inf" and self.bounds and self.bounds[1] == math.inf:
            return math.inf
        try:
            value = _number(text)
        except (ValueError, SyntaxError, ArithmeticError):
            raise ValueError("a whole number" if whole else "a number") from None
        if whole and value != int(value):
            raise ValueError("a whole number")
        return int(value) if whole else float(value)

    def check(self, value):
        """Raises ValueError, saying what is wanted, for a value that is not allowed."""
        unbounded = self.bounds and self.bounds[1] == math.inf
        if isinstance(value, float) and not math.isfinite(value) and not (unbounded and value == math.inf):
            raise ValueError("a finite number")
        if self.bounds and not self.bounds[0] <= value <= self.bounds[1]:
            raise ValueError(f"a number from {self.bounds[0]:,g} to {self.bounds[1]:,g}")
        if self.choices and value not in self.choices:
            raise ValueError(" or ".join(repr(choice) for choice in self.choices))


def _evaluated(node):
    """The value of a literal, or of arithmetic on numbers such as 2**4. Raises ValueError for anything else."""
    if isinstance(node, ast.BinOp):
        left, right = _evaluated(node.left), _evaluated(node.right)
        if not all(isinstance(side, (int, float)) for side in (left, right)):
            raise ValueError("not a number")
        if isinstance(node.op, ast.Pow) and abs(right) <= LARGEST_POWER:
            value = left**right
        elif type(node.op) in OPERATORS:
            value = OPERATORS[type(node.op)](left, right)
        else:
            raise ValueError("not a literal")
        float(value)  # OverflowError beyond the largest float, before the next power makes it longer
        return value
    return ast.literal_eval(node)


def _number(text):
    """A number as text, or arithmetic on numbers → int or float. Raises ValueError for anything else, nan and inf."""
    if len(text) > LONGEST_NUMBER:
        raise ValueError("not a number")
    value = _evaluated(ast.parse(text.strip(), mode="eval").body)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("not a number")
    return value


def _setting(default, comment, heading):
    if match := RANGE.search(comment):
        bounds = tuple(float(text.replace(",", "")) for text in match.groups())
        return Setting(default, comment, heading, bounds=bounds)
    if match := CHOICES.search(comment):
        return Setting(default, comment, heading, choices=tuple(ast.literal_eval(match[0])))
    return Setting(default, comment, heading)


def declared(source):
    """The settings of a script's source, {name: Setting}, in order: lower-case names of literals, with a comment."""
    comments, headings = {}, {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            alone = not token.line[: token.start[1]].strip()
            (headings if alone else comments)[token.start[0]] = token.string.lstrip("# ")
    settings = {}
    for node in ast.parse(source).body:
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)):
            continue
        try:
            value = _evaluated(node.value)
        except (ValueError, ArithmeticError, TypeError):
            continue
        name = node.targets[0].id
        if name.islower() and node.end_lineno in comments:
            above = [line for line in headings if line < node.lineno]
            settings[name] = _setting(value, comments[node.end_lineno], headings[max(above)] if above else "")
    return settings


def _help(script, summary, settings):
    lines = [f"usage: python {script} [--name=value ...]", "", summary, ""]
    lines += ["Settings; edit them at the top of the script, or give them here:"]
    width = max(len(f"--{name}={setting.default!r}") for name, setting in settings.items())
    heading = ""
    for name, setting in settings.items():
        if setting.heading != heading:
            heading = setting.heading
            lines += ["", f"{heading}:"]
        lines.append(f"  {f'--{name}={setting.default!r}':{width}}  {setting.comment}")
    return "\n".join(lines)


def _from_arguments(settings, arguments, refuse):
    """{name: value} of what the command line says."""
    values = {}
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--"):
            refuse(f"{shown(argument)} is not understood; settings are given as --name=value")
        if name in GONE and name not in settings and "facts" in settings:
            refuse(f"{name} is a fact of the generator: write it into its clip.json, or give --facts={GONE[name]}=…")
        if name not in settings:
            close = difflib.get_close_matches(name[:LONGEST_NUMBER], settings, 1)
            refuse(f"there is no setting {shown(name)}" + (f", did you mean {close[0]!r}?" if close else ""))
        if name in values:
            print(f"{name} is given twice; the last counts, {shown(text)}", file=sys.stderr)  # a recipe's, then yours
        default = settings[name].default
        if not equals and not isinstance(default, bool):
            refuse(f"{name} needs a value: --{name}={default!r}")
        try:
            values[name] = settings[name].parsed(text) if equals else True
        except ValueError as wanted:
            refuse(f"{name} is {wanted}, not {shown(text)}")
        if name in CHECKS:
            try:
                CHECKS[name](text)
            except ValueError as error:
                refuse(f"{name}: {error}")
    return values


def _of_recipe(recipe, typed):
    """{name: value} of a recipe that the command line leaves to it; where both state facts, what it leaves of them."""
    chosen = {name: _anchored(value) for name, value in recipe.items() if name not in typed}
    if "facts" in recipe and "facts" in typed:
        stated = stated_facts(typed["facts"])
        left = [f"{name}={value}" for name, value in stated_facts(recipe["facts"]).items() if name not in stated]
        chosen["facts"] = ",".join([*left, typed["facts"]])
    return chosen


def _anchored(value):
    """A default that is a path, as seen from where the script is run, so that the project's files are found."""
    if not isinstance(value, str) or "/" not in value or os.path.isabs(value) or Path.cwd() == PROJECT:
        return value
    return str(PROJECT / value) + ("/" if value.endswith("/") else "")


def from_shell(names, arguments=None, recipes=None):
    """Changes a script's settings in place as the command line says; call it first, with the script's `globals()`.

    names: the module's namespace, with __file__ and __doc__. arguments: the command line, by default sys.argv[1:].
    recipes: {value of the setting `recipe`: {name: value}}, for scripts that have such a setting: it sets every setting
    named there that the command line does not set, and says so.
    A bare `--name` sets a boolean to True. Exits with status 2 and one line for an unknown name and for a value of the
    wrong type or out of its range, with status 0 after `--help`. Returns {name: value}.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    script = Path(names["__file__"]).name
    settings = declared(Path(names["__file__"]).read_text(encoding="utf-8"))

    def refuse(problem):
        print(f"{script}: {problem}; see python {script} --help", file=sys.stderr)
        raise SystemExit(EXIT_USAGE)

    if any(argument in ("-h", "--help") for argument in arguments):
        try:
            print(_help(script, (names["__doc__"] or "").strip(), settings), flush=True)
        except BrokenPipeError:  # its reader has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0)
    typed = _from_arguments(settings, arguments, refuse)
    values = {name: _anchored(setting.default) for name, setting in settings.items()} | typed
    chosen = _of_recipe((recipes or {}).get(values.get("recipe"), {}), typed)
    values |= chosen
    for name, value in values.items():
        try:
            settings[name].check(value)
        except ValueError as wanted:
            refuse(f"{name} is {wanted}, not {shown(value)}")
    if chosen:
        print(f"Recipe {values['recipe']}: " + ", ".join(f"{name}={value!r}" for name, value in chosen.items()))
    names.update(values)
    if names.get("__name__") == "__main__":
        end_quietly(script)
    return values
