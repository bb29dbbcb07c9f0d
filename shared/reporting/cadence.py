"""Cadence of a feed: the test for an expected file that is missing."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.ledger import Feed


def slack(cadence: timedelta) -> timedelta:
    """Return the time by which a file may be late: a quarter of its cadence, at least an hour."""
    return max(timedelta(hours=1), cadence / 4)


def stopped(
    feed: Feed, *, cadence: timedelta, expected_since: datetime | None, now: datetime
) -> bool:
    """True if a file of the feed is missing.

    `expected_since` is the time at which the connection was set up. It counts as the last arrival
    until the first file arrives.

    Example: with a cadence of 1 day, a file is missing 30 hours after the last one.
    """
    last = feed.received_at or expected_since
    return last is not None and now > last + cadence + slack(cadence)
