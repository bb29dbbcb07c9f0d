"""Cadence of a feed: what is usual, and the test for an expected file that is missing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from shared.ledger import Feed


def slack(cadence: timedelta) -> timedelta:
    """Return the time by which a file may be late: a quarter of its cadence, at least an hour."""
    return max(timedelta(hours=1), cadence / 4)


BURST = timedelta(minutes=30)
"""Files that arrive within this time are one delivery, e.g. an export and its correction."""

_LEAST = 5
"""Deliveries from which a cadence can be told."""

_HOUR = timedelta(hours=1)


def usual(arrivals: Sequence[datetime]) -> timedelta | None:
    """Return the cadence that past arrivals show: the longest gap, in hours or days.

    Return None if there are too few. Example: files from Monday to Friday night show 3 days.
    """
    deliveries: list[datetime] = []
    for at in sorted(arrivals):
        if not deliveries or at - deliveries[-1] > BURST:
            deliveries.append(at)
    if len(deliveries) < _LEAST:
        return None
    longest = max(later - earlier for earlier, later in pairwise(deliveries))
    unit = 24 * _HOUR if longest > 20 * _HOUR else _HOUR
    return max(1, round(longest / unit)) * unit


def late(last: datetime | None, *, cadence: timedelta, now: datetime) -> bool:
    """True if the last file of a feed is older than its cadence and the slack allow."""
    return last is not None and now > last + cadence + slack(cadence)


def stopped(
    feed: Feed, *, cadence: timedelta, expected_since: datetime | None, now: datetime
) -> bool:
    """True if a file of the feed is missing.

    `expected_since` is the time at which the connection was set up. It counts as the last arrival
    until the first file arrives.

    Example: with a cadence of 1 day, a file is missing 30 hours after the last one.
    """
    return late(feed.received_at or expected_since, cadence=cadence, now=now)
