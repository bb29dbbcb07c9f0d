"""Cadence of a feed: whether an expected file is overdue."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.ledger import Feed


def slack(cadence: timedelta) -> timedelta:
    """Return how much later than its cadence a file may come: a quarter, an hour at least."""
    return max(timedelta(hours=1), cadence / 4)


def stopped(
    feed: Feed, *, cadence: timedelta, expected_since: datetime | None, now: datetime
) -> bool:
    """Whether a file of the feed is missing.

    `expected_since` is when the connection was set up: until a first file has come, its absence
    counts from there.
    """
    last = feed.received_at or expected_since
    return last is not None and now > last + cadence + slack(cadence)
