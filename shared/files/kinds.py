"""Kinds of cells: the accepted forms in a file, and the values in a document.

A kind gets a cell that is trimmed and not blank. It returns a value that Firestore can hold, or
raises a `bad_cell`. The message describes the form of the cell and never quotes it.

Every function knows the types, but few read cells. So numpy and pydantic are imported with the
first cell.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

from shared.files.damage import PLAIN, UNMARKED, VISIBLE, Repair, describe, repaired

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from shared.core.arrays import Mask, Numbers, Octets

    ReadNumbers = Callable[
        [Octets, npt.NDArray[np.int64]], tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]
    ]

INT64_MAX = 2**63 - 1
"""Largest integer that Firestore holds."""

YEARS = range(1900, 2101)
"""Years that are accepted. A year outside is a placeholder or a mistake."""
PLACEHOLDER = "1900-01-01"
"""Day that programs write for no date."""


@dataclass(frozen=True, slots=True)
class Context:
    """The facts about a file that its cells' meaning depends on."""

    zone: ZoneInfo
    """Zone of times without a zone."""
    delimiter: str = ","
    exported_on: date | None = None
    """Day of the export in that zone; None if unknown."""


_LONGEST_NUMBER = 40
_REMEMBERED = 32_768


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Kind:
    """One kind of cell."""

    name: str
    """Name in a word or two, as in docs/formats.md."""
    form: str
    """Accepted form, in the words of docs/formats.md."""
    type: Any
    """Type of the value in Python."""
    examples: tuple[tuple[str, Any], ...]
    """Accepted cells and their values; times as in Australia/Sydney."""
    read: Callable[[str], Any] | None = None
    """Reads a cell; None if the text is the value."""
    read_in: Callable[[str, Context], Any] | None = None
    """Reads a cell whose meaning depends on the file; used instead of `read`."""
    repairs: tuple[Repair, ...] = ()
    """Changes to a cell that are undone before the cell is read."""
    plain: re.Pattern[str] | None = None
    """Pattern of cells that are certainly unchanged by reading. Other cells may be unchanged
    too."""
    blanks: frozenset[str] = frozenset()
    """Texts that count as a blank cell."""
    certain: Callable[[Octets, Numbers, Context], Mask] | None = None
    """Returns, for many cells at once, True for cells that are certainly unchanged by reading."""
    moments: Callable[[Octets, ZoneInfo], Numbers] | None = None
    """Reads many cells of `MOMENT_BYTES` as seconds since 1970, as `read_in` would; UNREAD where
    that is not certain. If `certain` is set too, the value of such a cell is its day."""
    blank: Callable[[Octets, Numbers], Mask] | None = None
    """Returns True for cells that certainly have no value, for kinds with `moments`."""
    numbers: ReadNumbers | None = None
    """Reads many cells of at most `NUMBER_BYTES` at once, as `read` would: as whole numbers or as
    doubles; UNREAD and NaN where neither is certain."""
    lower: bool = False
    """True if a certain cell of the column that is read becomes the same text in lower case."""
    identifies: bool = False
    """True if the value names a document, so that a row without it cannot be used."""

    def reader(self, context: Context) -> Callable[[str], Any]:
        """Return the function that reads one cell of a file. A result of None means no value."""
        read_in, read, repairs = self.read_in, self.read or str, self.repairs
        if read_in is not None:
            return lambda text: read_in(text, context)
        if not repairs:
            return read

        def repair_and_read(text: str) -> Any:
            text, _ = repaired(text, repairs)
            return read(text) if text else None

        return repair_and_read

    def repaired(self, text: str) -> tuple[str, list[Repair]]:
        """Return a trimmed cell without the changes that are undone, and the repairs."""
        return repaired(text, self.repairs)

    def annotation(self, context: Context) -> Any:
        """Return the type for a field of a pydantic model."""
        if self.read is None and self.read_in is None:
            return self.type
        from pydantic import PlainValidator

        return Annotated[self.type, PlainValidator(self.reader(context))]


def bad_cell(code: str, message: str) -> ValueError:
    """Return the error to raise for a cell that has no value of its kind."""
    from pydantic_core import PydanticCustomError

    return PydanticCustomError(code, message)


def _at_once(name: str) -> Callable[..., Any]:
    """Return the function of that name in `shared.files.certain`, for many cells."""

    def call(*arguments: Any, **named: Any) -> Any:
        return getattr(import_module("shared.files.certain"), name)(*arguments, **named)

    return call


# -- keys -------------------------------------------------------------------------------------

_ID_LIMIT_BYTES = 1500
_RESERVED_ID = re.compile(r"__.*__", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _read_person_id(text: str) -> str:
    if text.isascii() and text.isdigit() and len(text) <= 22:
        return text
    what = describe(text)
    if what:
        pass
    elif re.fullmatch(r"[0-9]+[.,][0-9]*", text):
        what = "it holds decimals, as if a spreadsheet had taken it for a number"
    elif text.isascii() and text.isdigit():
        what = f"it has {len(text)} digits"
    else:
        what = "it holds something other than digits"
    raise bad_cell("row.bad_key", f"The key is not a number of 1 to 22 digits: {what}.")


def _read_document_id(text: str) -> str:
    # https://firebase.google.com/docs/firestore/quotas#collections_documents_and_fields
    if "/" in text:
        what = "it holds a slash"
    elif text in (".", ".."):
        what = "it is nothing but dots"
    elif _RESERVED_ID.fullmatch(text):
        what = "it begins and ends with two underscores"
    elif len(text) * 4 > _ID_LIMIT_BYTES and len(text.encode()) > _ID_LIMIT_BYTES:
        what = f"it is longer than {_ID_LIMIT_BYTES} bytes"
    elif _CONTROL.search(text):
        what = "it holds control characters"
    # A spreadsheet turns several keys into the same one. Loading that key would merge the
    # documents.
    elif not (what := describe(text)):
        return text
    raise bad_cell("row.bad_key", f"The key cannot name a document: {what}.")


# -- texts ------------------------------------------------------------------------------------


def _read_code(text: str) -> str:
    return _undamaged(text, describe(text))


def _read_size(text: str) -> str:
    return _undamaged(text, describe(text, decimals=True))


def _undamaged(text: str, what: str) -> str:
    if what:
        raise bad_cell("row.bad_code", f"The cell is not an id or a code: {what}.")
    return text


_NOT_IN_ADDRESS = r"@\s,;:<>()\[\]\\\"“”„‟‘’‚‛«»‹›"
_LABEL = rf"[^{_NOT_IN_ADDRESS}.!#$%&'*+/=?^`{{|}}~]+"
_EMAIL = re.compile(rf"(?!['`])[^{_NOT_IN_ADDRESS}]+@{_LABEL}(?:\.{_LABEL})+")
_DECORATED = re.compile(r"(?i:mailto:|smtp:|e-?mail:).*|[<('\"`“„‘‚«‹\[].*|.*[>)'\"`”’»›\]]")


def _read_email(text: str) -> str:
    if _EMAIL.fullmatch(text):
        return text
    signs = text.count("@")
    if signs == 0:
        what = "it has no @"
    elif signs == 1 and _DECORATED.fullmatch(text):
        what = "it holds more than an address: quotes, brackets or a word such as mailto:"
    elif re.search(r"[,;<>]", text) or signs > 1:
        what = "it holds more than one address, or more than an address"
    elif re.search(r"\s", text):
        what = "it holds a blank"
    elif not re.fullmatch(r"[^@]+@[^@.]+(?:\.[^@.]+)+", text):
        what = "a part before or after the @ is missing"
    else:
        what = "it holds a sign that no address holds there"
    raise bad_cell("row.bad_email", f"The cell is not an e-mail address: {what}.")


LONGEST_ADDRESS = 320
"""Characters of the longest address that is looked up: 64, the @, and 255. Firestore indexes the
first 1,500 bytes of a text."""


def lower_email(text: str) -> str:
    """Return an e-mail address in the one spelling by which it is looked up.

    Example: `Jo.Smith@Example.com` is `jo.smith@example.com`.
    """
    return unicodedata.normalize("NFKC", text).lower().strip()


def _read_lower_email(text: str) -> str | None:
    return lower_email(_read_email(text)) if len(text) <= LONGEST_ADDRESS else None


def _read_currency(text: str) -> str:
    if re.fullmatch(r"[A-Za-z]{3}", text):
        return text.upper()
    raise bad_cell("row.bad_currency", "The cell is not a currency of three letters such as AUD.")


# -- flags ------------------------------------------------------------------------------------

_FLAGS = {
    **dict.fromkeys(("yes", "y", "true", "1"), True),
    **dict.fromkeys(("no", "n", "false", "0"), False),
}


def _read_flag(text: str) -> bool:
    flag = _FLAGS.get(text.lower())
    if flag is None:
        raise bad_cell("row.bad_flag", "The cell is neither Yes nor No.")
    return flag


def _read_consent(text: str) -> bool:
    private = _FLAGS.get(text.lower())
    if private is None:
        raise bad_cell(
            "row.consent_unknown",
            "The consent is neither Yes nor No, so the stored consent is unchanged.",
        )
    return not private


# -- dates and times --------------------------------------------------------------------------

_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]00:00(?::00(?:\.0+)?)?)?")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?)"
    r"(?: ?(?:(Z)|([+-])([0-9]{2})(?::?([0-9]{2}))?))?"
)
_MIDNIGHT = re.compile(r"00:00(?::00(?:[.,]0+)?)?")
_FOREIGN_DATES = (
    (re.compile(r"[0-9]{4}[/.][0-9]{1,2}[/.][0-9]{1,2}"), "it is not written with dashes"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"), "month and day need two digits each"),
    (re.compile(r"[0-9]{8}"), "it looks like YYYYMMDD without dashes"),
    (re.compile(r"[0-9]{4,6}(?:\.[0-9]+)?"), "it looks like the day number of a spreadsheet"),
    (re.compile(r"[0-9]{1,2}[-/. ][A-Za-z]{3,9}[-/. ][0-9]{2,4}"), "it looks like DD-MON-YYYY"),
    (re.compile(r"[0-9]{1,2}([-/.])[0-9]{1,2}\1[0-9]{2}"), "its year has two digits"),
    (re.compile(r"#+"), "a spreadsheet has put # in place of it"),
)


@lru_cache(maxsize=_REMEMBERED)
def _read_date(text: str) -> str:
    match = _DATE.fullmatch(text)
    if match and _is_day(match[1]):
        return match[1]
    if match is None and _TIME.fullmatch(text):
        what = "it holds a time of day"
    else:
        what = _describe_date(text)
    raise bad_cell("row.bad_date", f"The cell is not a date as YYYY-MM-DD: {what}.")


def _read_birth_date(text: str, context: Context) -> str:
    day = _read_date(text)
    if context.exported_on is not None and day > context.exported_on.isoformat():
        raise bad_cell(
            "row.bad_date", "The cell is not a date of birth: it is later than the export."
        )
    return day


def _read_time(text: str, context: Context) -> datetime:
    """Read a time of the connection's zone. For an hour that occurs twice, the first is used."""
    match = _TIME.fullmatch(text)
    what = ""
    if match and _is_day(match[1]):
        try:
            moment = datetime.fromisoformat(f"{match[1]}T{match[2]}")
        except ValueError:
            what = "there is no such time of day"
        else:
            if match[3]:
                return moment.replace(tzinfo=UTC)
            if not match[4]:
                return moment.replace(tzinfo=context.zone).astimezone(UTC)
            offset = timedelta(hours=int(match[5]), minutes=int(match[6] or 0))
            if offset <= timedelta(hours=18) and int(match[6] or 0) < 60:
                offset = -offset if match[4] == "-" else offset
                return moment.replace(tzinfo=timezone(offset)).astimezone(UTC)
            what = "there is no such offset from UTC"
    if not what and _DATE.fullmatch(text) and "T" not in text and " " not in text:
        what = "it holds no time of day"
    raise bad_cell(
        "row.bad_time",
        f"The cell is not a time as YYYY-MM-DDTHH:MM:SS: {what or _describe_date(text)}.",
    )


def _read_day(text: str, context: Context) -> str:
    match = _TIME.fullmatch(text)
    if match is None:
        return _read_date(text)
    # Apparel21 writes 00:00:00 for a day without a time (Retail API Guide 2025.1, p. 155).
    if _MIDNIGHT.fullmatch(match[2]) and _is_day(match[1]):
        return match[1]
    moment = _read_time(text, context)
    told = match[3] or match[4]
    return moment.astimezone(context.zone).date().isoformat() if told else match[1]


def _read_time_of_day(text: str, context: Context) -> datetime | None:
    """Read the time beside the day of `_read_day`, which reports the problems of the cell."""
    match = _TIME.fullmatch(text)
    if match is None or _MIDNIGHT.fullmatch(match[2]):
        return None
    try:
        return _read_time(text, context)
    except ValueError:
        return None


def _is_day(text: str) -> bool:
    """Return True if YYYY-MM-DD is a day in an accepted year, and no placeholder."""
    try:
        return date.fromisoformat(text).year in YEARS and text != PLACEHOLDER
    except ValueError:
        return False


def _describe_date(text: str) -> str:
    """Describe the text in place of a date, without quoting it."""
    day = re.split(r"[T ](?=[0-9]{1,2}:)", text, maxsplit=1)[0].strip()
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", day):
        try:
            date.fromisoformat(day)
        except ValueError:
            return "there is no such day"
        if day == PLACEHOLDER:
            return f"{PLACEHOLDER} stands for no date"
        if not _is_day(day):
            return f"its year is not between {YEARS[0]} and {YEARS[-1]}"
        return "what follows the day cannot be read"
    if match := re.fullmatch(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2[0-9]{4}", day):
        first, second = int(match[1]), int(match[3])
        if second > 12 >= first:
            return "it looks like MM/DD/YYYY"
        return "it looks like DD/MM/YYYY" if first > 12 else "it looks like DD/MM or MM/DD/YYYY"
    for form, what in _FOREIGN_DATES:
        if form.fullmatch(day):
            return what
    return "it is something else"


# -- numbers ----------------------------------------------------------------------------------

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


@lru_cache(maxsize=_REMEMBERED)
def _money(text: str, commas: bool) -> int:
    code, wanted = "row.bad_amount", "an amount of money such as 1234.50"
    negative, whole, decimals = _parts(text, code, wanted, commas)
    if len(decimals) > 2:
        raise bad_cell(code, f"The cell is not {wanted}: it has parts of a cent.")
    cents = int(whole) * 100 + int(decimals.ljust(2, "0"))
    return _within(-cents if negative else cents, code, wanted)


def _read_decimal(text: str, context: Context) -> float:
    return _decimal(text, _commas(context))


@lru_cache(maxsize=_REMEMBERED)
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


# -- the kinds --------------------------------------------------------------------------------

addresses, born_between, codes = map(_at_once, ("addresses", "born_between", "codes"))
days, digits, no_time = map(_at_once, ("days", "digits", "no_time"))
letters_and_digits, read_moments = map(_at_once, ("letters_and_digits", "read_moments"))
read_cents, read_decimals = map(_at_once, ("read_cents", "read_decimals"))
read_whole = _at_once("read_whole")

PERSON_ID = Kind(
    name="person id",
    form="1 to 22 digits",
    type=str,
    read=_read_person_id,
    repairs=(VISIBLE, UNMARKED),
    certain=lambda signs, lengths, _: digits(signs, lengths) & (lengths <= 22),
    identifies=True,
    examples=(("65432", "65432"), ("0065432", "0065432")),
)
DOCUMENT_ID = Kind(
    name="key",
    form="text without a slash, kept letter by letter",
    type=str,
    read=_read_document_id,
    repairs=(VISIBLE, UNMARKED),
    certain=lambda signs, lengths, _: letters_and_digits(signs, lengths),
    identifies=True,
    examples=(("D55500000135", "D55500000135"),),
)
TEXT = Kind(
    name="text",
    form="text; line breaks are part of it",
    type=str,
    examples=(("O'CONNELL ST", "O'CONNELL ST"),),
)
CODE = Kind(
    name="code",
    form="text, kept letter by letter: leading zeros stay",
    type=str,
    read=_read_code,
    repairs=(VISIBLE, UNMARKED),
    plain=PLAIN,
    certain=lambda signs, lengths, _: codes(signs, lengths),
    examples=(("0800", "0800"), ("+61491570006", "+61491570006")),
)
DASHED = Kind(
    name="code or dash",
    form="text, kept letter by letter; a single - means none",
    type=str,
    read=_read_code,
    repairs=(VISIBLE, UNMARKED),
    plain=PLAIN,
    certain=lambda signs, lengths, _: codes(signs, lengths),
    blanks=frozenset({"-"}),
    examples=(("NVY", "NVY"),),
)
SIZE = Kind(
    name="size or dash",
    form="text, kept letter by letter, decimals too; a single - means none",
    type=str,
    read=_read_size,
    repairs=(VISIBLE, UNMARKED),
    plain=PLAIN,
    certain=lambda signs, lengths, _: codes(signs, lengths, decimals=True),
    blanks=frozenset({"-"}),
    examples=(("S", "S"), ("8.0", "8.0")),
)
NAME_OR_DASH = Kind(
    name="text or dash",
    form="text; a single - means none",
    type=str,
    blanks=frozenset({"-"}),
    examples=(("Navy", "Navy"),),
)
EMAIL = Kind(
    name="e-mail",
    form="one e-mail address",
    type=str,
    read=_read_email,
    repairs=(VISIBLE,),
    certain=lambda signs, lengths, _: addresses(signs, lengths),
    examples=(("jo.smith@example.com", "jo.smith@example.com"),),
)
LOWER_EMAIL = Kind(
    name="e-mail in lower case",
    form="the e-mail address in one spelling, for look-ups: Unicode form NFKC, lower case, trimmed",
    type=str | None,
    read=_read_lower_email,
    repairs=(VISIBLE,),
    lower=True,
    examples=(
        ("Jo.Smith@Example.com", "jo.smith@example.com"),
        ("ｊｏ@EXAMPLE.com", "jo@example.com"),
    ),
)
CURRENCY = Kind(
    name="currency",
    form="three letters (ISO 4217)",
    type=str,
    read=_read_currency,
    examples=(("AUD", "AUD"), ("nzd", "NZD")),
)
YES_NO = Kind(
    name="yes or no",
    form="Yes or No; also Y/N, True/False, 1/0, in any case",
    type=bool,
    read=_read_flag,
    examples=(("Yes", True), ("n", False), ("TRUE", True), ("0", False)),
)
CONSENT = Kind(
    name="consent",
    form="Yes = unsubscribed, No = subscribed; also Y/N, True/False, 1/0, in any case",
    type=bool,
    read=_read_consent,
    examples=(("Yes", False), ("No", True)),
)
DATE = Kind(
    name="date",
    form="YYYY-MM-DD",
    type=str,
    read=_read_date,
    certain=lambda signs, lengths, _: days(signs, lengths),
    examples=(("1990-04-24", "1990-04-24"), ("1990-04-24 00:00:00", "1990-04-24")),
)
BIRTH_DATE = Kind(
    name="date of birth",
    form="YYYY-MM-DD, not later than the export",
    type=str,
    read_in=_read_birth_date,
    certain=lambda signs, lengths, context: born_between(
        signs, lengths, (context.exported_on or date.max).year
    ),
    examples=(("1990-04-24", "1990-04-24"),),
)
TIME = Kind(
    name="time",
    form="YYYY-MM-DDTHH:MM:SS in the connection's time zone; or with Z or an offset. Seconds may "
    "be missing",
    type=datetime,
    read_in=_read_time,
    moments=read_moments,
    examples=(
        ("2023-04-24T20:12:30", datetime(2023, 4, 24, 10, 12, 30, tzinfo=UTC)),
        ("2023-04-24T20:12:30+12:00", datetime(2023, 4, 24, 8, 12, 30, tzinfo=UTC)),
        ("2023-04-24 20:12:30.5", datetime(2023, 4, 24, 10, 12, 30, 500_000, tzinfo=UTC)),
        ("2023-04-24 20:12", datetime(2023, 4, 24, 10, 12, tzinfo=UTC)),
        ("2023-04-24T20:12:30Z", datetime(2023, 4, 24, 20, 12, 30, tzinfo=UTC)),
        ("2023-04-24T20:12:30+12", datetime(2023, 4, 24, 8, 12, 30, tzinfo=UTC)),
    ),
)
DAY = Kind(
    name="date or time",
    form="YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS; the day is stored, in the connection's time zone",
    type=str,
    read_in=_read_day,
    certain=lambda signs, lengths, _: days(signs, lengths),
    moments=read_moments,
    examples=(
        ("2023-04-24", "2023-04-24"),
        ("2023-04-24T20:12:30", "2023-04-24"),
        ("2023-04-24T20:12:30Z", "2023-04-25"),
        ("2023-04-24T00:00:00", "2023-04-24"),
    ),
)
TIME_OF_DAY = Kind(
    name="time beside the date",
    form="the time of a cell that holds more than a date; 00:00:00 counts as none",
    type=datetime | None,
    read_in=_read_time_of_day,
    moments=read_moments,
    blank=no_time,
    examples=(
        ("2023-04-24", None),
        ("2023-04-24T00:00:00", None),
        ("2023-04-24T20:12:30", datetime(2023, 4, 24, 10, 12, 30, tzinfo=UTC)),
    ),
)
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

KINDS = (
    *(PERSON_ID, DOCUMENT_ID, TEXT, CODE, DASHED, SIZE, NAME_OR_DASH, EMAIL, LOWER_EMAIL, CURRENCY),
    *(YES_NO, CONSENT, DATE, BIRTH_DATE, TIME, DAY, TIME_OF_DAY, MONEY, DECIMAL, PERCENT, WHOLE),
)
"""All kinds, in the order of docs/formats.md."""
