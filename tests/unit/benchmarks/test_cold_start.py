"""The measurement of cold starts."""

from __future__ import annotations

from benchmarks.cold_start import CASES, measure, table


def test_an_event_of_no_concern() -> None:
    """An event of no concern is answered for less than half of what importing everything costs."""
    (start,) = measure(CASES[:1], repeats=1)

    assert start.function == "classify"
    assert 0 < start.both < start.everything / 2
    assert ("classify", start.request) == tuple(table([start], repeats=1).rows[0][:2])
