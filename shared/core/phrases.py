"""Numbers, sizes, times and lengths of time, as people write and mean them."""

from __future__ import annotations

import textwrap
from datetime import UTC, date, datetime, time, timedelta, tzinfo


def moment(time: datetime, zone: tzinfo = UTC) -> str:
    """Return a time to the second with its zone, e.g. `24 Apr 2023 20:12:30 UTC`."""
    local = time.astimezone(zone)
    return f"{local.day} {local:%b %Y %H:%M:%S} {zone_name(local)}"


def zone_name(time: datetime) -> str:
    """Return the name of a time's zone, e.g. `AEST`; a zone without a name gives `UTC+07`."""
    name = time.tzname() or "UTC"
    return f"UTC{name}" if name[0] in "+-" else name


def midnight(day: date, zone: tzinfo) -> datetime:
    """Return the UTC time at which a day begins in a zone.

    Example: 2023-04-24 in Australia/Sydney begins at 2023-04-23 14:00 UTC.
    """
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def size(number: int) -> str:
    """Return a number of bytes with its unit (powers of 1000), e.g. `512 bytes`, `1.2 MB`."""
    if number < 1000:
        return count(number, "byte")
    value = float(number)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95 or unit == "GB":
            break
    return f"{value:,.1f} {unit}"


def every(cadence: timedelta) -> str:
    """Return a cadence in words, e.g. `every day`, `every 30 minutes`."""
    return f"every {length(cadence).removeprefix('1 ')}"


def about(span: timedelta) -> str:
    """Return a length of time rounded down to its largest unit: 100 minutes is `1 hour`."""
    seconds = abs(round(span.total_seconds()))
    for size, noun in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return count(seconds // size, noun)
    return count(seconds, "second")


def percent(share: float) -> str:
    """Return a share of a whole, e.g. `35%`, `20.01%`."""
    return f"{100 * share:.4g}%"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun, e.g. `1 row`, `12,000 rows`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def length(span: timedelta) -> str:
    """Return a length of time in the largest unit that divides it, e.g. `6 hours`, `90 minutes`."""
    seconds = round(span.total_seconds())
    for size, noun in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return count(seconds // size, noun)
    return count(seconds, "second")


def wrapped(text: str, width: int, *, first: str = "", rest: str = "") -> list[str]:
    """Return the lines of a text, at most `width` characters each; names are never broken.

    The first line begins with `first`, all others with `rest`.
    """
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
