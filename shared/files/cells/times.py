"""Cells with dates and times."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache

from shared.files.cells.kind import REMEMBERED, Context, Kind, bad_cell, vectorized

born_between, days = vectorized("born_between"), vectorized("days")
no_time, read_moments = vectorized("no_time"), vectorized("read_moments")

YEARS = range(1900, 2101)
"""Years that are accepted. A year outside is a placeholder or a mistake."""
PLACEHOLDER = "1900-01-01"
"""Day that programs write for no date."""

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


@lru_cache(maxsize=REMEMBERED)
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

TIMES = (DATE, BIRTH_DATE, TIME, DAY, TIME_OF_DAY)
"""Kinds of dates and times, in the order of docs/formats.md."""
