"""Tables in Markdown, compact: cells have no blanks around them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SMALL_WORDS = {"a", "of", "the"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table: `|head|head|`, a line between, and a line per row."""
    return "\n".join([_line(head), "|" + "---|" * len(head), *map(_line, rows)])


def unless_said(meaning: str, name: str) -> str:
    """Return a meaning; nothing if the name says it, as `taxReason` says "Reason of the tax."."""
    words = re.findall(r"[a-z]+", meaning.lower().replace("'s", ""))
    said = all(word in _SMALL_WORDS or word in name.lower() for word in words)
    return "" if said else meaning


def _line(cells: Iterable[str]) -> str:
    return "|" + "|".join(cell.replace("|", "\\|") for cell in cells) + "|"
