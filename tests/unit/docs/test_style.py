"""The check of plain English finds what it is meant to find, and nothing else."""

from __future__ import annotations

import pytest

from tools import style


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"""How rows are read."""\n', [(1, "How")]),
        ('x = 1\n\n\ndef f() -> None:\n    """Whether it is."""\n', [(5, "Whether")]),
        ('class Row:\n    """What a row is."""\n', [(2, "What")]),
        ('def f() -> None:\n    """Return rows.\n\n    What follows is kept.\n    """\n', []),
        ('"""Reads rows."""\n# Read anew.\nx = 1\n', [(2, "anew")]),
        ('"""Reads rows.\n\nThis row stands\nhere.\n"""\n', [(3, "stands")]),
        ('raise ValueError("an error that nobody "\n    "foresaw")\n', [(1, "nobody foresaw")]),
        ('x = f"{y} goes on"\n', [(1, "goes on")]),
        ('anew = "again"\n', []),
    ],
)
def test_in_module(source: str, found: list[tuple[int, str]]) -> None:
    """Docstrings, comments and messages are read, names are not; each finding has its line."""
    actual = list(style.in_module(source))
    assert [(line, advice.rpartition("not ")[2].strip('"')) for line, advice in actual] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The import goes\non.", [(0, 'write "continue", not "goes on"')]),
        ("Fine.\nMend the row.", [(1, 'write "fix", not "Mend"')]),
        ("`mend` is a field.", []),
        ("```python\nmend()\n```\nfix", []),
        ("No stands for none; amended.", []),
    ],
)
def test_avoided(text: str, found: list[tuple[int, str]]) -> None:
    """A phrase is found over a line break; code and other words are left alone."""
    assert list(style.avoided(text)) == found


LONG = " ".join(["word"] * (style.LONGEST + 1))
SHORT = " ".join(["word"] * style.LONGEST)


@pytest.mark.parametrize(
    ("page", "lines"),
    [
        (f"# Title\n\n{LONG}.\n", [2]),
        (f"{SHORT}. {SHORT}.\n", []),
        (f"* short\n* {LONG}\n", [1]),
        (f"1. {SHORT}\n2. {SHORT}\n", []),
        (f"```\n{LONG}\n```\n\n    {LONG}\n\n| {LONG} |\n# {LONG}\n", []),
        (f"[{LONG}](page.md)\n", [0]),
    ],
)
def test_long_sentences(page: str, lines: list[int]) -> None:
    """A sentence of more words than allowed is found; lists, code and tables are told apart."""
    assert [line for line, _ in style.long_sentences(page)] == lines


def test_findings_of_a_page() -> None:
    """A page's finding names its file and line."""
    page = style.ROOT / "docs" / "contributing.md"
    assert style.findings(page) == []
