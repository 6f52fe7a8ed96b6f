"""Settings from the shell: every module-level name of a script can be given as --name=value.

A script's settings are the plain assignments at its top, one a line, each with a comment behind it. `from_shell(globals())` reads the command
line and changes them in place: numbers, strings and booleans are checked against the default's type, `--help` lists them all.
"""

import ast
import difflib
import io
import sys
import tokenize

EXIT_USAGE = 2  # an unknown name or a value of the wrong type


def declared(source):
    """The settings of a script's source: {name: (default, comment)}, in order; lower-case names assigned a literal at the top level."""
    comments = {t.start[0]: t.string.lstrip("# ") for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.COMMENT}
    settings = {}
    for node in ast.parse(source).body:
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)):
            continue
        try:
            value = ast.literal_eval(node.value)
        except ValueError:
            continue
        if node.targets[0].id.islower() and node.end_lineno in comments:
            settings[node.targets[0].id] = (value, comments[node.end_lineno])
    return settings


def parsed(text, default):
    """The shell's text as a value of the default's type. Raises ValueError naming the type that is wanted."""
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError("True or False")
        return text.lower() == "true"
    if isinstance(default, int):
        try:
            return int(text)
        except ValueError:
            raise ValueError("a whole number") from None
    if isinstance(default, float):
        try:
            return float(text)
        except ValueError:
            raise ValueError("a number") from None
    return text


def _help(script, summary, settings):
    lines = [f"usage: python {script} [--name=value ...]", "", summary, "", "settings (edit them at the top of the script, or give them here):"]
    width = max(len(f"--{name}={value!r}") for name, (value, _) in settings.items())
    lines += [f"  {f'--{name}={value!r}':{width}}  {comment}" for name, (value, comment) in settings.items()]
    return "\n".join(lines)


def from_shell(names, arguments=None):
    """Changes a script's settings in place as the command line says; call it first, with the script's `globals()`.

    names: the module's namespace, with __file__ and __doc__. arguments: the command line, by default sys.argv[1:].
    A bare `--name` sets a boolean to True. Exits with status 2 and one line for an unknown name or a value of the wrong type,
    with status 0 after `--help`.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    script = names["__file__"].rsplit("/", 1)[-1]
    with open(names["__file__"], encoding="utf-8") as file:
        settings = declared(file.read())

    def refuse(problem):
        print(f"{script}: {problem}; see python {script} --help", file=sys.stderr)
        raise SystemExit(EXIT_USAGE)

    if any(argument in ("-h", "--help") for argument in arguments):
        print(_help(script, (names["__doc__"] or "").strip(), settings))
        raise SystemExit(0)
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--"):
            refuse(f"{argument!r} is not understood; settings are given as --name=value")
        if name not in settings:
            close = difflib.get_close_matches(name, settings, 1)
            refuse(f"there is no setting {name!r}" + (f", did you mean {close[0]!r}?" if close else ""))
        default = settings[name][0]
        if not equals and not isinstance(default, bool):
            refuse(f"{name} needs a value: --{name}={default!r}")
        try:
            names[name] = parsed(text, default) if equals else True
        except ValueError as wanted:
            refuse(f"{name} is {wanted}, not {text!r}")
    return {name: names[name] for name in settings}
