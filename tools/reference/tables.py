"""Tables in Markdown, compact: cells have no blanks around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table: `|head|head|`, a line between, and a line per row."""
    return "\n".join([_line(head), "|" + "---|" * len(head), *map(_line, rows)])


def _line(cells: Iterable[str]) -> str:
    return "|" + "|".join(cell.replace("|", "\\|") for cell in cells) + "|"
