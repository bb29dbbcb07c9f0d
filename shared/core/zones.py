"""Start of a day in a time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, tzinfo


def midnight(day: date, zone: tzinfo) -> datetime:
    """Return the UTC time at which a day begins in a zone.

    Example: 2023-04-24 in Australia/Sydney begins at 2023-04-23 14:00 UTC.
    """
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
