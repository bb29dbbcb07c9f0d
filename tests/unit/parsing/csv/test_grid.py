"""Grid: cells lie where they are said to, and what is strange about one is known."""

from __future__ import annotations

import csv
import io
import sys

import numpy as np
import pytest

from shared.parsing.csv.grid import Grid, lay_out
from shared.parsing.csv.records import Splitter

BLANKS = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
LETTERS = ("a", "é", "ß", "€", "ﬁ", "漢", "🥇", "\u2010", "\u2060", "\u3001", "\u0084", "\u00a1")


def grid(cells: list[list[str]], *, line_end: str = "\n", quoting: int = csv.QUOTE_ALL) -> Grid:
    """Write rows, and lay them out."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=line_end, quoting=quoting).writerows(cells)  # type: ignore[arg-type]
    records = Splitter(",").split(text.getvalue().encode(), final=True)
    width = len(cells[0])
    return lay_out(records, np.arange(len(cells)), width, width, irregular=np.empty(0, np.int64))


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
def test_strange_cells(line_end: str, quoting: int) -> None:
    """Every blank that `str.strip` takes off makes a cell strange, at either end, and no letter
    of several bytes does; nor does what is inside."""
    signs = [*BLANKS, *LETTERS]
    if quoting == csv.QUOTE_MINIMAL:  # csv does not put all line ends into quotes
        signs = [sign for sign in signs if sign not in "\r\n"]
    around = [[f"{sign}x", f"x{sign}", sign, f"x{sign}x"] for sign in signs]

    found = grid(around, line_end=line_end, quoting=quoting)

    assert [[cell != cell.strip() for cell in row] for row in around] == found.strange.T.tolist()
    assert not found.doubled.any()
    assert found.regular.all()


def test_doubled_quotes() -> None:
    """Quotes inside a cell are known, and blank cells in quotes hold none."""
    cells = [["", 'a "b"', '"'], ['""', "", "x"], ["a,b", "c\nd", ""]]

    found = grid(cells)

    assert [['"' in cell for cell in row] for row in cells] == found.doubled.T.tolist()
    assert cells == [[found.cell(row, column) for column in range(3)] for row in range(3)]


@pytest.mark.parametrize("width", [8, 16, 64])
def test_words(width: int) -> None:
    """The first bytes of cells come with zeros behind their ends."""
    cells = [["x" * length, "y"] for length in range(70)]

    words = grid(cells).words(0, width)

    assert [("x" * min(length, width)).encode().ljust(width, b"\0") for length in range(70)] == [
        row.tobytes() for row in words
    ]
