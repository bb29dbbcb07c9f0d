"""Damage to cells by a spreadsheet or an editor: its repair, and its description.

A spreadsheet that saves a CSV file shortens long numbers (`1.23E+11`), adds decimals (`12345.0`),
puts `####` or `#N/A` in place of a value, and marks texts: `="0800"`, `'0800`. Only the marks can
be removed. Copied text may hold characters that are not visible, or that look like others.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Repair:
    """A change to a cell that is undone when the cell is read, with a warning."""

    code: str
    message: str
    apply: Callable[[str], str]
    """Returns the text as it was before the change; the same text if there was no such change."""


def repaired(text: str, repairs: Sequence[Repair]) -> tuple[str, list[Repair]]:
    """Return a trimmed text without the changes, and the repairs that had an effect."""
    done: list[Repair] = []
    if PLAIN.fullmatch(text):  # as nearly always
        return text, done
    for repair in repairs:
        after = repair.apply(text)
        if after != text:
            text = after.strip()
            done.append(repair)
    return text, done


_ALSO_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
"""Characters outside category Cf that are not shown either."""


def _is_invisible(sign: str) -> bool:
    return not sign.isascii() and (
        unicodedata.category(sign) == "Cf"
        or sign in _ALSO_INVISIBLE
        or any(ord(sign) in selectors for selectors in _SELECTORS)
    )


def _visible(text: str) -> str:
    """Return the text without characters that are not shown, and with the usual ones of those that
    look alike: ordinary blanks, and letters that hold their accents."""
    if text.isascii():
        return text
    shown = (sign for sign in text if not _is_invisible(sign))
    plain = (" " if unicodedata.category(sign) == "Zs" else sign for sign in shown)
    return unicodedata.normalize("NFC", "".join(plain))


_FORMULA = re.compile(r'="((?:[^"]|"")*)"')


def _unmarked(text: str) -> str:
    """Remove the marks of a text: `="0800"` and `'0800` become `0800`."""
    while True:
        before = text
        if match := _FORMULA.fullmatch(text):
            text = match[1].replace('""', '"').strip()
        elif text.startswith("'") and not text.endswith("'"):
            text = text[1:].strip()
        if text == before:
            return text


VISIBLE = Repair(
    "row.invisible_characters",
    "The cell holds characters that are not shown, such as a zero-width space, or that look like "
    "others, such as a no-break space: they were removed or replaced.",
    _visible,
)
UNMARKED = Repair(
    "row.text_mark",
    'A spreadsheet has marked the cell as text (="…" or \'…): it was read without the mark.',
    _unmarked,
)

_SHORTENED = re.compile(r"[+-]?[0-9]{1,3}(?:[.,][0-9]+)?[eE]\+[0-9]{1,3}")
_SHORTENED_BY_A_PROGRAM = re.compile(r"[+-]?[0-9]\.[0-9]+[eE]-?[0-9]{1,3}")
_WITH_DECIMALS = re.compile(r"[+-]?[0-9]+(?:\.0*|,0+)")
_PLACEHOLDER = re.compile(
    # An error is `#VALUE!` in one language and `#¡VALOR!` in another.
    r"#+|#(?:n/[ad]|nv|[¡¿]?[^\W\d_][\w/.]*[!?]|getting_data)|err:[0-9]{3}",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"(['\"]).*\1", re.DOTALL)
CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
"""Control characters but tabs and line ends, for a class of a pattern."""
_CONTROL = re.compile(f"[{CONTROLS}]")


PLAIN = re.compile(r"(?:(?![Ee][Rr][Rr]:)[A-Za-z][ -~]*|[+-]?[0-9][0-9A-Za-z _/-]*)?")
"""Texts that `describe` and the repairs certainly leave unchanged. Other texts may be unchanged
too."""


def describe(text: str, *, decimals: bool = False) -> str:
    """Describe the damage to the text of an id or a code; "" if none is found.

    `decimals` are part of the text: 8.0 is a size.
    """
    if _SHORTENED.fullmatch(text) or (not decimals and _SHORTENED_BY_A_PROGRAM.fullmatch(text)):
        return "it looks like a number that a spreadsheet has shortened"
    if not decimals and _WITH_DECIMALS.fullmatch(text):
        return "it holds decimals, as if a spreadsheet had taken it for a number"
    if _PLACEHOLDER.fullmatch(text):
        return "a spreadsheet has put # or an error in place of it"
    if text.startswith("="):
        return "it is a formula of a spreadsheet"
    if _QUOTED.fullmatch(text):
        return "it has quotes around it"
    if _CONTROL.search(text):
        return "it holds control characters"
    return ""
