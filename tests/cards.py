"""Figures that model cards claim, and the sampling error that a test of a claim has to allow for."""

import math
import re

from conftest import ROOT

DEVIATIONS = 4  # of a figure's sampling error: a right claim fails one test in 16,000


def card(name):
    return (ROOT / name / "README.md").read_text(encoding="utf-8")


def hashes(name):
    """{what: first digits of the SHA-256} of the weights that the figures in a card were measured on, each a set."""
    by_weights = {}
    for what, sha256 in re.findall(r"(?:on |, )([a-z ]+) `([0-9a-f]{16})`", card(name)):
        by_weights.setdefault(what, set()).add(sha256)
    return by_weights


def claimed(name, mark, row, column, table=0):
    """A cell of a table in a card, as text: of the table number `table` between the marks."""
    part = re.search(rf"<!-- {mark} -->\n(.*?)<!-- /{mark} -->", card(name), re.DOTALL)[1]
    tables, lines = [], []
    for line in [*part.splitlines(), ""]:
        if line.startswith("|"):
            lines.append([cell.strip() for cell in line.strip("|").split("|")])
        elif lines:
            tables.append(lines)
            lines = []
    header, _, *rows = tables[table]
    return next(cells for cells in rows if cells[0] == row)[header.index(column)]


def least_share(right, count):
    """The least true share that `right` of `count` leaves possible (Wilson's interval)."""
    p, z = right / count, DEVIATIONS
    centre = p + z * z / (2 * count)
    spread = z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return (centre - spread) / (1 + z * z / count)
