"""Runs a script of the project in this process, as the shell would."""

import runpy
import sys

from conftest import ROOT


def run_script(name, *arguments):
    """→ the exit status of `python name arguments…`; what it prints goes to pytest's capture."""
    before = sys.argv
    sys.argv = [name, *map(str, arguments)]
    try:
        runpy.run_path(str(ROOT / name), run_name="__main__")
    except SystemExit as end:
        return end.code or 0
    finally:
        sys.argv = before
    return 0
