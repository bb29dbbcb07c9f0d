"""Cells with numbers and amounts of money."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from shared.files.cells.kind import REMEMBERED, Context, Kind, bad_cell, vectorized

read_cents, read_decimals = vectorized("read_cents"), vectorized("read_decimals")
read_whole = vectorized("read_whole")

INT64_MAX = 2**63 - 1
"""Largest integer that Firestore holds."""
_LONGEST_NUMBER = 40

_NUMBER = re.compile(r"([+-]?)([0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)?(?:\.([0-9]*))?")
_MISWRITTEN_NUMBERS = (
    (re.compile(r"[+-]?[0-9.,]+[eE][+-]?[0-9]+"), "it is in the short form of a spreadsheet"),
    (re.compile(r"#+"), "a spreadsheet has put # in place of it"),
    (re.compile(r".*[$€£¥].*", re.DOTALL), "it holds a currency sign"),
    (re.compile(r"\([0-9.,]+\)|[0-9.,]+-"), "its minus sign is not in front"),
    (re.compile(r"[+-]?[0-9.]*,[0-9]*"), "it holds a comma where a decimal point is expected"),
    (re.compile(r"[+-]?[0-9]+(?:[ '\u00a0\u202f][0-9]+)+.*"), "it holds blanks between digits"),
)


def _parts(text: str, code: str, wanted: str, commas: bool) -> tuple[bool, str, str]:
    """Split a number into (is negative, whole digits, decimals without trailing zeros).

    `commas` is True if a single comma is certainly one between thousands.
    """
    match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST_NUMBER else None
    if match is None or not (match[2] or match[3]):
        raise bad_cell(code, f"The cell is not {wanted}: {_describe_number(text)}.")
    if not commas and text.count(",") == 1 and "." not in text:
        what = "its comma may be before decimals or between thousands"
        raise bad_cell(code, f"The cell is not certainly {wanted}: {what}.")
    whole = (match[2] or "0").replace(",", "")
    return match[1] == "-", whole, (match[3] or "").rstrip("0")


def _describe_number(text: str) -> str:
    if len(text) > _LONGEST_NUMBER:
        return "it is too long for a number"
    for form, what in _MISWRITTEN_NUMBERS:
        if form.fullmatch(text):
            return what
    return "it holds letters or other signs"


def _within(number: int, code: str, wanted: str) -> int:
    if abs(number) > INT64_MAX:
        raise bad_cell(code, f"The cell is not {wanted}: it is too large.")
    return number


def _commas(context: Context) -> bool:
    """Return True if a comma cannot be a decimal comma, because it separates the cells."""
    return context.delimiter == ","


def _read_money(text: str, context: Context) -> int:
    return _money(text, _commas(context))


@lru_cache(maxsize=REMEMBERED)
def _money(text: str, commas: bool) -> int:
    code, wanted = "row.bad_amount", "an amount of money such as 1234.50"
    negative, whole, decimals = _parts(text, code, wanted, commas)
    if len(decimals) > 2:
        raise bad_cell(code, f"The cell is not {wanted}: it has parts of a cent.")
    cents = int(whole) * 100 + int(decimals.ljust(2, "0"))
    return _within(-cents if negative else cents, code, wanted)


def _read_decimal(text: str, context: Context) -> float:
    return _decimal(text, _commas(context))


@lru_cache(maxsize=REMEMBERED)
def _decimal(text: str, commas: bool) -> float:
    code, wanted = "row.bad_number", "a number such as 2 or -1.5"
    negative, whole, decimals = _parts(text, code, wanted, commas)
    _within(int(whole), code, wanted)
    return float(f"{'-' if negative else ''}{whole}.{decimals}") + 0.0  # and no -0.0


def _read_percent(text: str, context: Context) -> float:
    return _read_decimal(text.removesuffix("%").rstrip() or text, context)


def _read_whole(text: str, context: Context) -> int:
    code, wanted = "row.bad_number", "a whole number"
    negative, whole, decimals = _parts(text, code, wanted, _commas(context))
    if decimals:
        raise bad_cell(code, f"The cell is not {wanted}: it has decimals.")
    return _within(-int(whole) if negative else int(whole), code, wanted)


def round_cents(cents: Decimal) -> int:
    """Round to whole cents, half a cent away from zero."""
    return int(cents.quantize(Decimal(1), rounding=ROUND_HALF_UP))


MONEY = Kind(
    name="money",
    form="decimal point, at most two decimals; stored as whole cents",
    type=int,
    read_in=_read_money,
    numbers=read_cents,
    examples=(
        ("-12.30", -1230),
        (".5", 50),
        ("1,234.50", 123450),
        ("12.00", 1200),
        ("12.3400", 1234),
    ),
)
DECIMAL = Kind(
    name="number",
    form="number with a decimal point; negative for a return",
    type=float,
    read_in=_read_decimal,
    numbers=read_decimals,
    examples=(("2", 2.0), ("-1.00", -1.0), ("0.75", 0.75)),
)
PERCENT = Kind(
    name="percent",
    form="number; 12.5 is 12.5 %",
    type=float,
    read_in=_read_percent,
    numbers=read_decimals,
    examples=(("10", 10.0), ("12.5", 12.5), ("10 %", 10.0)),
)
WHOLE = Kind(
    name="whole number",
    form="number without decimals",
    type=int,
    read_in=_read_whole,
    numbers=read_whole,
    examples=(("120", 120), ("1,200.00", 1200)),
)

NUMBERS = (MONEY, DECIMAL, PERCENT, WHOLE)
"""Kinds of numbers, in the order of docs/formats.md."""
