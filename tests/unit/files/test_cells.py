"""Cells as they come, and the values or the reasons that come of them."""

from __future__ import annotations

import ast
import inspect
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic_core import PydanticCustomError

from shared.core.codes import CODES
from shared.files.cells import KINDS, Context, Kind, flags, numbers, texts, times
from shared.files.cells.flags import CONSENT, YES_NO
from shared.files.cells.numbers import DECIMAL, INT64_MAX, MONEY, PERCENT, WHOLE, round_cents
from shared.files.cells.texts import (
    CODE,
    CURRENCY,
    DASHED,
    DOCUMENT_ID,
    EMAIL,
    LOWER_EMAIL,
    NAME_OR_DASH,
    PERSON_ID,
    SIZE,
)
from shared.files.cells.times import BIRTH_DATE, DATE, DAY, TIME, TIME_OF_DAY

SYDNEY = Context(ZoneInfo("Australia/Sydney"))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def read(kind: Kind, cell: str) -> tuple[Any, PydanticCustomError | None]:
    """Return what becomes of a cell: its value, or the refusal."""
    try:
        return kind.reader(SYDNEY)(cell), None
    except PydanticCustomError as error:
        return None, error


ACCEPTED: list[tuple[Kind, str, Any]] = [
    *((kind, cell, value) for kind in KINDS for cell, value in kind.examples),
    (PERSON_ID, "1234567890123456789012", "1234567890123456789012"),
    (DOCUMENT_ID, "ä" * 750, "ä" * 750),
    (DOCUMENT_ID, "__", "__"),
    (DOCUMENT_ID, "_a_", "_a_"),
    (DOCUMENT_ID, "...", "..."),
    (DOCUMENT_ID, "3E12", "3E12"),
    (EMAIL, "Jo.O'Neill+shop@mail.example.co.nz", "Jo.O'Neill+shop@mail.example.co.nz"),
    (EMAIL, "zoë@exämple.com", "zoë@exämple.com"),
    (LOWER_EMAIL, "ZOË@Exämple.com", "zoë@exämple.com"),
    (LOWER_EMAIL, "Zoe\u0308@x.com\u200b", "zoë@x.com"),
    (LOWER_EMAIL, "A" * 314 + "@X.COM", "a" * 314 + "@x.com"),
    (LOWER_EMAIL, "A" * 315 + "@X.COM", None),
    *((YES_NO, cell, True) for cell in ("Yes", "YES", "yes", "Y", "y", "True", "1")),
    *((YES_NO, cell, False) for cell in ("No", "NO", "no", "N", "n", "FALSE", "0")),
    *((CONSENT, cell, False) for cell in ("Yes", "y", "TRUE", "1")),
    *((CONSENT, cell, True) for cell in ("No", "n", "False", "0")),
    (DATE, "2024-02-29", "2024-02-29"),
    (DATE, "1900-01-02", "1900-01-02"),
    (DATE, "2100-12-31", "2100-12-31"),
    (DATE, "2024-02-29T00:00:00.000", "2024-02-29"),
    (TIME, "2023-01-24T20:12:30", utc(2023, 1, 24, 9, 12, 30)),
    (TIME, "2023-04-24T00:00:00", utc(2023, 4, 23, 14)),
    (TIME, "2023-04-24T20:12:30.999Z", utc(2023, 4, 24, 20, 12, 30, 999_000)),
    (TIME, "2023-04-24 20:12:30.1234567 +10:00", utc(2023, 4, 24, 10, 12, 30, 123_456)),
    (TIME, "2023-04-24T20:12Z", utc(2023, 4, 24, 20, 12)),
    (TIME, "2023-04-24 20:12+10", utc(2023, 4, 24, 10, 12)),
    (TIME, "2023-04-24T20:12:30-0330", utc(2023, 4, 24, 23, 42, 30)),
    # Daylight saving ends at 3:00 on 2 April 2023: 2:30 comes twice. It began on 2 October 2022
    # at 2:00: there was no 2:30.
    (TIME, "2023-04-02T02:30:00", utc(2023, 4, 1, 15, 30)),
    (TIME, "2022-10-02T02:30:00", utc(2022, 10, 1, 16, 30)),
    (DAY, "2023-04-24 00:00:00.0", "2023-04-24"),
    (DAY, "2023-04-24T00:00:01", "2023-04-24"),
    (DAY, "2023-04-24T00:00:00Z", "2023-04-24"),
    (DAY, "2023-04-24T20:12:30+10:00", "2023-04-24"),
    (DAY, "2023-04-24 20:12+08", "2023-04-24"),
    (TIME_OF_DAY, "2023-04-24 00:00:00.0", None),
    (TIME_OF_DAY, "2023-04-24T00:00:01", utc(2023, 4, 23, 14, 0, 1)),
    (TIME_OF_DAY, "2023-04-24 20:12", utc(2023, 4, 24, 10, 12)),
    (TIME_OF_DAY, "2023-04-24T10:61:00", None),
    (TIME_OF_DAY, "20/11/2024", None),
    (CODE, "12E5", "12E5"),
    (CODE, "1E10", "1E10"),
    (CODE, "12-45.5", "12-45.5"),
    (CODE, "12345.5", "12345.5"),
    (CODE, "#12", "#12"),
    (CODE, "S'", "S'"),
    (CODE, '="0800"', "0800"),
    (CODE, '="04""x"', '04"x'),
    (CODE, "'0800", "0800"),
    (CODE, '\'="0800"', "0800"),
    (CODE, "\u200b'+61 491", "+61 491"),
    (CODE, '=""', None),
    (CODE, "\u200b", None),
    (SIZE, "8.0", "8.0"),
    (NAME_OR_DASH, "8.0", "8.0"),
    (PERSON_ID, "\ufeff12", "12"),
    (PERSON_ID, '="0012"', "0012"),
    (DOCUMENT_ID, "D1\u200b", "D1"),
    (DOCUMENT_ID, "D\u00a01", "D 1"),
    (DOCUMENT_ID, "Cafe\u03011", "Café1"),
    (CODE, "0412\u202f345\u00a0678", "0412 345 678"),
    (EMAIL, "Zoe\u0308@x.com", "Zoë@x.com"),
    (DOCUMENT_ID, "D\u00ad1\ufe0f", "D1"),
    (EMAIL, "b\u200bo@example.com\u200e", "bo@example.com"),
    (MONEY, "0", 0),
    (MONEY, "-0", 0),
    (MONEY, "5.", 500),
    (MONEY, "+7.10", 710),
    (MONEY, "-.95", -95),
    (MONEY, "-1,234,567.8", -123456780),
    (MONEY, "0.29", 29),
    (MONEY, "92233720368547758.07", 2**63 - 1),
    (DECIMAL, "1.50", 1.5),
    (DECIMAL, "3.000", 3.0),
    (DECIMAL, "-0.0", 0.0),
    (DECIMAL, "9223372036854775807", float(2**63)),
    (PERCENT, "12.5%", 12.5),
    (WHOLE, "-3", -3),
    (WHOLE, "12.00", 12),
]


@pytest.mark.parametrize(("kind", "cell", "value"), ACCEPTED)
def test_reads(kind: Kind, cell: str, value: Any) -> None:
    """A cell that is written as agreed becomes the value that Firestore will hold."""
    actual = TypeAdapter(kind.annotation(SYDNEY)).validate_python(cell)

    assert (value, type(value)) == (actual, type(actual))


REFUSED: list[tuple[Kind, str, str, str]] = [
    (PERSON_ID, "1.2E+12", "row.bad_key", "a spreadsheet has shortened"),
    (PERSON_ID, "123.0", "row.bad_key", "it holds decimals"),
    (PERSON_ID, "12345678901234567890123", "row.bad_key", "it has 23 digits"),
    (PERSON_ID, "90O042", "row.bad_key", "other than digits"),
    (PERSON_ID, "-12", "row.bad_key", "other than digits"),
    (PERSON_ID, "１２", "row.bad_key", "other than digits"),
    (PERSON_ID, "1²", "row.bad_key", "other than digits"),
    (DOCUMENT_ID, "a/b", "row.bad_key", "a slash"),
    (DOCUMENT_ID, ".", "row.bad_key", "dots"),
    (DOCUMENT_ID, "..", "row.bad_key", "dots"),
    (DOCUMENT_ID, "__x__", "row.bad_key", "underscores"),
    (DOCUMENT_ID, "__x\ny__", "row.bad_key", "underscores"),
    (DOCUMENT_ID, "____", "row.bad_key", "underscores"),
    (DOCUMENT_ID, "ä" * 751, "row.bad_key", "longer than 1500 bytes"),
    (DOCUMENT_ID, "5.555E+11", "row.bad_key", "a spreadsheet has shortened"),
    (EMAIL, "jo.example.com", "row.bad_email", "no @"),
    (EMAIL, "jo@example", "row.bad_email", "is missing"),
    (EMAIL, "@example.com", "row.bad_email", "is missing"),
    (EMAIL, "jo@.com", "row.bad_email", "is missing"),
    (EMAIL, "jo@example.com.", "row.bad_email", "is missing"),
    (EMAIL, "jo smith@example.com", "row.bad_email", "a blank"),
    (EMAIL, "jo@example.com\n", "row.bad_email", "a blank"),
    (EMAIL, "jo@example.com;al@example.com", "row.bad_email", "more than one"),
    (EMAIL, "Jo <jo@example.com>", "row.bad_email", "more than an address"),
    *(
        (EMAIL, cell, "row.bad_email", "more than an address")
        for cell in (
            *("mailto:jo@example.com", "'jo@example.com'", '"jo@example.com"', "'jo@example.com"),
            *("<jo@example.com>", "(jo@example.com)", "“jo@example.com”", "`jo@example.com`"),
        )
    ),
    (EMAIL, "jo@exam'ple.com", "row.bad_email", "holds a sign"),
    (EMAIL, "j\x01o@example.com", "row.bad_email", "holds a sign"),
    (EMAIL, "jo@ex\x7fample.com", "row.bad_email", "holds a sign"),
    *(
        (kind, cell, code, words)
        for kind, code in (
            *((CODE, "row.bad_code"), (DASHED, "row.bad_code")),
            *((DOCUMENT_ID, "row.bad_key"), (PERSON_ID, "row.bad_key")),
        )
        for cell, words in (
            ("6.14916E+10", "shortened"),
            ("1E+05", "shortened"),
            ("6,14e+10", "shortened"),
            ("+61.4E+9", "shortened"),
            ("6.1491570006E10", "shortened"),
            ("12345.0", "decimals"),
            ("12345.", "decimals"),
            ("800,0", "decimals"),
            ("-12345.000", "decimals"),
            ("########", "# or an error"),
            ("#N/A", "slash" if kind is DOCUMENT_ID else "# or an error"),
            ("#REF!", "# or an error"),
            ("#UNKNOWN!", "# or an error"),
            ("#WERT!", "# or an error"),
            ("#¡VALOR!", "# or an error"),
            ("#NOMBRE?", "# or an error"),
            ("Err:502", "# or an error"),
            ("=A1+1", "a formula"),
            ("'0800'", "quotes"),
            *(
                (cell, "control characters")
                for cell in ("0800\x01", "\x1b800", "A\x7f800", "8\x0b00", "A\x85800")
            ),
            ('="6.14916E+10"', "shortened"),
        )
    ),
    (SIZE, "#N/A", "row.bad_code", "# or an error"),
    (DOCUMENT_ID, "D1\x7f", "row.bad_key", "control characters"),
    (CURRENCY, "A$", "row.bad_currency", "three letters"),
    (CURRENCY, "DOLLARS", "row.bad_currency", "three letters"),
    (YES_NO, "maybe", "row.bad_flag", "neither Yes nor No"),
    (CONSENT, "maybe", "row.consent_unknown", "stored consent is unchanged"),
    (CONSENT, "2", "row.consent_unknown", "stored consent is unchanged"),
    (DATE, "24/04/2023", "row.bad_date", "DD/MM/YYYY"),
    (DATE, "04/24/2023", "row.bad_date", "MM/DD/YYYY"),
    (DATE, "04/05/2023", "row.bad_date", "DD/MM or MM/DD/YYYY"),
    (DATE, "24.04.2023 00:00", "row.bad_date", "DD/MM/YYYY"),
    (DATE, "24/04/23", "row.bad_date", "two digits"),
    (DATE, "24-APR-23", "row.bad_date", "DD-MON-YYYY"),
    (DATE, "20230424", "row.bad_date", "without dashes"),
    (DATE, "2023/04/24", "row.bad_date", "not written with dashes"),
    (DATE, "2023-4-24", "row.bad_date", "two digits each"),
    (DATE, "45040", "row.bad_date", "day number of a spreadsheet"),
    (DATE, "########", "row.bad_date", "#"),
    (DATE, "2023-02-30", "row.bad_date", "no such day"),
    (DATE, "2023-02-29", "row.bad_date", "no such day"),
    (DATE, "0000-00-00", "row.bad_date", "no such day"),
    (DATE, "1900-01-01", "row.bad_date", "stands for no date"),
    (TIME, "1900-01-01T10:00:00", "row.bad_time", "stands for no date"),
    (BIRTH_DATE, "1900-01-01", "row.bad_date", "stands for no date"),
    (DATE, "1899-12-31", "row.bad_date", "not between 1900 and 2100"),
    (DATE, "2101-01-01", "row.bad_date", "not between 1900 and 2100"),
    (DATE, "2023-04-24T09:00:00", "row.bad_date", "a time of day"),
    (DATE, "2023-04-24\n", "row.bad_date", "what follows the day"),
    (DATE, "२०२३-०४-२४", "row.bad_date", "something else"),
    (DATE, "unknown", "row.bad_date", "something else"),
    (TIME, "2023-04-24", "row.bad_time", "no time of day"),
    (TIME, "24/04/2023 10:00", "row.bad_time", "DD/MM/YYYY"),
    (TIME, "2023-04-24T25:00:00", "row.bad_time", "no such time of day"),
    (TIME, "2023-04-24T23:59:60", "row.bad_time", "no such time of day"),
    (TIME, "2023-04-31T10:00:00", "row.bad_time", "no such day"),
    (TIME, "1899-04-30T10:00:00", "row.bad_time", "not between 1900 and 2100"),
    (TIME, "2023-04-24T10", "row.bad_time", "something else"),
    (TIME, "2023-04-24T10:00:00+99:00", "row.bad_time", "no such offset"),
    (TIME, "2023-04-24T10:00:00+10:75", "row.bad_time", "no such offset"),
    (TIME, "2023-04-24T10:00:00 PM", "row.bad_time", "what follows the day"),
    (DAY, "20/11/2024", "row.bad_date", "DD/MM/YYYY"),
    (DAY, "2023-02-30T00:00:00", "row.bad_time", "no such day"),
    (DAY, "2023-04-24T10:61:00", "row.bad_time", "no such time of day"),
    *(
        (MONEY, cell, "row.bad_amount", "")
        for cell in ("", ".", "-", "+", "--1", "1.2.3", "NaN", "inf", "Infinity", "1_000", "٣")
    ),
    (MONEY, "1e5", "row.bad_amount", "short form of a spreadsheet"),
    (MONEY, "$12.00", "row.bad_amount", "a currency sign"),
    (MONEY, "12,50", "row.bad_amount", "a comma"),
    (MONEY, "1,23,456.00", "row.bad_amount", "letters or other signs"),
    (MONEY, "12.00-", "row.bad_amount", "minus sign"),
    (MONEY, "(12.00)", "row.bad_amount", "minus sign"),
    (MONEY, "1 234.00", "row.bad_amount", "blanks between digits"),
    (MONEY, "12.345", "row.bad_amount", "parts of a cent"),
    (MONEY, "92233720368547758.08", "row.bad_amount", "too large"),
    (MONEY, "9" * 5000, "row.bad_amount", "too long"),
    (DECIMAL, "1e5", "row.bad_number", "short form of a spreadsheet"),
    (DECIMAL, "nan", "row.bad_number", "letters"),
    (DECIMAL, "9223372036854775808", "row.bad_number", "too large"),
    (PERCENT, "%", "row.bad_number", "other signs"),
    (WHOLE, "1.5", "row.bad_number", "it has decimals"),
    (WHOLE, "1E+3", "row.bad_number", "short form of a spreadsheet"),
]


@pytest.mark.parametrize(("kind", "cell", "code", "words"), REFUSED)
def test_refuses(kind: Kind, cell: str, code: str, words: str) -> None:
    """A cell that cannot be read is refused under its code, with what it looks like."""
    _, refused = read(kind, cell)

    assert refused is not None
    assert code == refused.type
    assert words in refused.message()


WORDS = [
    node.value
    for module in (flags, numbers, texts, times)
    for node in ast.walk(ast.parse(inspect.getsource(module)))
    if isinstance(node, ast.Constant) and isinstance(node.value, str)
]
"""The texts that messages are made of: a cell that repeats one tells nothing by standing in it."""

ANYTHING = st.text(min_size=6, alphabet=st.characters(exclude_categories=["Cs"]))
ALMOST_RIGHT = st.text(min_size=6, max_size=24, alphabet="0123456789-/:.,T Z+E@abe$#_")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@given(cell=ANYTHING | ALMOST_RIGHT)
def test_never_crashes_and_never_tells(kind: Kind, cell: str) -> None:
    """Whatever is in a cell, it is read or refused under a known code, and never repeated."""
    assume(not any(cell in words for words in WORDS))

    value, refused = read(kind, cell)

    if value is None and refused is None:
        assert kind is TIME_OF_DAY or kind.repairs
    elif refused is None:
        assert type(value) in (str, int, float, bool, datetime)
    else:
        assert refused.type in CODES
        assert cell not in refused.message()


@given(cents=st.integers(min_value=-INT64_MAX, max_value=INT64_MAX))
def test_money_comes_back(cents: int) -> None:
    """Every number of cents that Firestore holds survives being written down, with commas too."""
    written = Decimal(cents).scaleb(-2)

    money = MONEY.reader(SYDNEY)

    assert cents == money(f"{written:f}") == money(f"{written:,f}")


@given(seconds=st.integers(min_value=-2_208_900_000, max_value=4_133_890_000))
def test_times_come_back(seconds: int) -> None:
    """A time with Z or with an offset is the same moment wherever the retailer is."""
    moment = utc(1970, 1, 1) + timedelta(seconds=seconds)

    time = TIME.reader(SYDNEY)

    assert moment == time(f"{moment:%Y-%m-%dT%H:%M:%S}Z") == time(moment.isoformat(sep=" "))


@pytest.mark.parametrize(
    ("cents", "rounded"), [("0.5", 1), ("-0.5", -1), ("1.49", 1), ("-2.5", -3), ("2.5", 3)]
)
def test_round_cents(cents: str, rounded: int) -> None:
    """Half a cent is rounded away from zero, so that a return mirrors its sale."""
    assert rounded == round_cents(Decimal(cents))


def test_every_kind_is_listed_once() -> None:
    """No two kinds share a name, and each shows at least one cell."""
    names = [kind.name for kind in KINDS]

    assert len(names) == len(set(names))
    assert all(kind.examples for kind in KINDS)
