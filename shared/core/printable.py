r"""Makes text from outside safe to show in a report, a log, a terminal or a page.

A file's header and an object's name may hold any character. `ESC[2J` clears a terminal, U+202E
reverses the text, and half a surrogate pair cannot be stored. So each unprintable character is
written as its number. Example: `EMAIL`, ESC, `[2J` is shown as `EMAIL\x1b[2J`.
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
"""Digits from which a text is taken for a cell of data, not for a column's name."""
_HIDDEN = re.compile(r"[^\x20-\x7e]")
"""Characters that may be unprintable: all except visible ASCII."""


def printable(text: str, *, keep: str = "") -> str:
    """Return a text with unprintable characters as `\\x1b`, `\\u202e`, … except those in `keep`."""
    return text if text.isprintable() else _replaced(text, _escape, keep)


def printable_json(document: object, **options: Any) -> str:
    """Return JSON without unprintable characters; read again, it gives the same document.

    `options` are those of `json.dumps`.
    """
    text = json.dumps(document, ensure_ascii=False, **options)
    return text if text.isprintable() else _replaced(text, _escape_in_json, "\n")


def finalized(value: object) -> object:
    """Return a template's value with unprintable characters escaped.

    Line breaks are kept. Values that are not a plain `str`, such as safe HTML, are unchanged.
    """
    return printable(value, keep="\n") if type(value) is str else value


def looks_like_data(cell: str) -> bool:
    """True if a cell of a header may be personal data: an e-mail address, a phone number, an id."""
    return "@" in cell or sum(map(str.isdigit, cell)) >= _DIGITS or cell.strip().isdigit()


@lru_cache(maxsize=1_000)
def column_name(name: str) -> str:
    """Return a column's name, safe to quote: printable, at most 60 characters, never data."""
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
