"""The usual distance of a feed's files, and files that are missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.reporting.cadence import late, usual

MONDAY = datetime(2024, 11, 18, 16, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("arrivals", "cadence"),
    [
        ([MONDAY + number * DAY for number in range(4)], None),
        ([MONDAY + number * DAY for number in range(5)], DAY),
        ([MONDAY + number * (DAY + timedelta(minutes=7)) for number in range(9)], DAY),
        ([MONDAY + number * DAY for number in (0, 1, 2, 3, 4, 7, 8)], 3 * DAY),
        ([MONDAY + number * HOUR for number in range(6)], HOUR),
        ([MONDAY + number * 6 * HOUR for number in range(6)], 6 * HOUR),
        ([MONDAY + timedelta(minutes=number) for number in range(12)], None),
    ],
)
def test_usual(arrivals: list[datetime], cadence: timedelta | None) -> None:
    """Five deliveries tell a cadence: the longest gap. Files of one half hour are one delivery."""
    assert cadence == usual(arrivals)


def test_usual_without_order() -> None:
    """Arrivals are sorted first."""
    assert usual([MONDAY + number * DAY for number in (3, 0, 4, 2, 1)]) == DAY


def test_late() -> None:
    """A daily file is late a quarter of a day after its time; a feed without files never is."""
    assert not late(MONDAY, cadence=DAY, now=MONDAY + 30 * HOUR)
    assert late(MONDAY, cadence=DAY, now=MONDAY + 30 * HOUR + timedelta(seconds=1))
    assert not late(None, cadence=DAY, now=MONDAY)
