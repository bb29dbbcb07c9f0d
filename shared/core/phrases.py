"""Phrases for numbers, sizes, times and lengths of time, as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo


def moment(at: datetime, zone: tzinfo = UTC) -> str:
    """Return a time to the second with its zone, e.g. `24 Apr 2023 20:12:30 UTC`."""
    there = at.astimezone(zone)
    return f"{there.day} {there:%b %Y %H:%M:%S} {zone_name(there)}"


def zone_name(at: datetime) -> str:
    """Return the name of a time's zone, e.g. `AEST`; one that has no name is `UTC+07`."""
    name = at.tzname() or "UTC"
    return f"UTC{name}" if name[0] in "+-" else name


def size(number: int) -> str:
    """Return a number of bytes for people, e.g. `512 bytes`, `1.2 MB`."""
    if number < 1000:
        return count(number, "byte")
    value = float(number)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95 or unit == "GB":
            break
    return f"{value:,.1f} {unit}"


def every(cadence: timedelta) -> str:
    """Return how often something comes, e.g. `every day`, `every 30 minutes`."""
    return f"every {length(cadence).removeprefix('1 ')}"


def about(span: timedelta) -> str:
    """Return a length of time as people say it, e.g. `5 minutes`, `3 hours`, `2 days`."""
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
    """Return a length of time in its largest whole unit, e.g. `6 hours`, `90 minutes`."""
    seconds = round(span.total_seconds())
    for size, noun in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return count(seconds // size, noun)
    return count(seconds, "second")
