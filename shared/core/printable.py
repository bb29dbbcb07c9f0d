r"""Makes text from outside safe to show: in a report, a log, a terminal or a page.

A file's header and an object's name are whatever somebody has written. `ESC[2J` in one of them
clears the terminal of whoever reads it, U+202E turns the text around, and half a surrogate pair
cannot be stored at all. So each character that cannot be seen is written as its number.
Example: `EMAIL`, ESC, `[2J` is shown as `EMAIL\x1b[2J`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

LONGEST_NAME = 60
"""Characters of a column's name that are quoted."""

_DIGITS = 5
"""Digits from which a text is no longer taken for the name of a column."""
_HIDDEN = re.compile(r"[^\x20-\x7e]")
"""Characters that may be unprintable: all but those of ASCII that can be seen."""


def printable(text: str, *, keep: str = "") -> str:
    """Return a text with its unprintable characters as `\\x1b`, `\\u202e`, … but for `keep`."""
    return text if text.isprintable() else _replaced(text, _escape, keep)


def printable_json(document: object, **options: Any) -> str:
    """Return JSON in which a terminal finds nothing to obey; read back it is the same document."""
    text = json.dumps(document, ensure_ascii=False, **options)
    return text if text.isprintable() else _replaced(text, _escape_in_json, "\n")


def finalized(value: object) -> object:
    """Make what a template shows printable; line breaks, and HTML of our own, stay."""
    return printable(value, keep="\n") if type(value) is str else value


def looks_like_data(cell: str) -> bool:
    """Whether a cell of a header may be a cell of a row: an address, a phone number, an id."""
    return "@" in cell or sum(map(str.isdigit, cell)) >= _DIGITS or cell.strip().isdigit()


@lru_cache(maxsize=1_000)
def column_name(name: str) -> str:
    """Return the name of a column as it may be quoted; what looks like data is not quoted."""
    if looks_like_data(name):
        return "(not quoted: looks like data)"
    plain = printable(name)
    return plain if len(plain) <= LONGEST_NAME else f"{plain[: LONGEST_NAME - 1]}…"


def _replaced(text: str, escape: Callable[[str], str], keep: str) -> str:
    def one(found: re.Match[str]) -> str:
        character = found[0]
        return character if character.isprintable() or character in keep else escape(character)

    return _HIDDEN.sub(one, text)


def _escape(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _escape_in_json(character: str) -> str:
    return json.dumps(character)[1:-1] if ord(character) > 0x7F else f"\\u{ord(character):04x}"
