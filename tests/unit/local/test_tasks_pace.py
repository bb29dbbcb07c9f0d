"""The arithmetic of waits, ends and rates of the local tasks server."""

from __future__ import annotations

import pytest

from local.emulators.tasks.pace import RETENTION, TokenBucket, backoff, exhausted


@pytest.mark.parametrize(
    ("minimum", "maximum", "doublings", "waits"),
    [
        pytest.param(10, 300, 3, [10, 20, 40, 80, 160, 240, 300, 300], id="documented-example"),
        pytest.param(1, 100, 16, [1, 2, 4, 8, 16, 32, 64, 100, 100], id="doubles-to-the-maximum"),
        pytest.param(5, 100, 0, [5, 10, 15, 20, 25], id="linear-without-doublings"),
        pytest.param(2, 100, 1, [2, 4, 8, 12, 16], id="linear-by-the-last-step"),
        pytest.param(0.1, 0.1, 16, [0.1, 0.1, 0.1], id="constant"),
    ],
)
def test_backoff(minimum: float, maximum: float, doublings: int, waits: list[float]) -> None:
    """A wait doubles as often as told, then grows linearly, and stops at the maximum."""
    actual = [
        backoff(failures=failures, minimum=minimum, maximum=maximum, doublings=doublings)
        for failures in range(1, len(waits) + 1)
    ]

    assert waits == actual


def test_backoff_after_very_many_failures() -> None:
    """The thousandth doubling is still the maximum and no overflow."""
    assert backoff(failures=5000, minimum=0.1, maximum=3600, doublings=2**31 - 1) == 3600


@pytest.mark.parametrize(
    ("attempts", "max_attempts", "age", "max_duration", "given_up"),
    [
        pytest.param(2, 3, 0, 0, False, id="attempts-left"),
        pytest.param(3, 3, 0, 0, True, id="attempts-used-up"),
        pytest.param(1000, -1, 9999, 0, False, id="unlimited"),
        pytest.param(3, 3, 10, 60, False, id="attempts-used-up-but-time-left"),
        pytest.param(2, 3, 60, 60, False, id="time-used-up-but-attempts-left"),
        pytest.param(3, 3, 60, 60, True, id="both-used-up"),
        pytest.param(1, -1, 59, 60, False, id="only-time-limited-and-left"),
        pytest.param(1, -1, 60, 60, True, id="only-time-limited-and-used-up"),
        pytest.param(1, -1, RETENTION, 0, True, id="kept-for-31-days"),
    ],
)
def test_exhausted(
    attempts: int, max_attempts: int, age: float, max_duration: float, given_up: bool
) -> None:
    """A task is given up when every limit that is set has been reached, or after 31 days."""
    actual = exhausted(
        attempts=attempts,
        max_attempts=max_attempts,
        created=1000.0,
        first_attempt=1000.0,
        max_duration=max_duration,
        now=1000.0 + age,
    )

    assert given_up == actual


def _passes(bucket: TokenBucket, *, count: int, now: float) -> list[float]:
    """Give the times at which `count` get through that all wait from `now` on."""
    times = []
    for _ in range(count):
        now = bucket.ready_at(now)
        bucket.take(now)
        times.append(round(now, 6))
    return times


def test_bucket_lets_a_burst_pass_and_then_the_rate() -> None:
    """A full bucket of 3 lets 3 pass at once and then one each half second at 2 a second."""
    bucket = TokenBucket(rate=2.0, size=3, now=100.0)

    assert _passes(bucket, count=6, now=100.0) == [100.0, 100.0, 100.0, 100.5, 101.0, 101.5]


def test_bucket_holds_no_more_than_its_size() -> None:
    """After a long rest a bucket of 2 lets no more than 2 pass at once."""
    bucket = TokenBucket(rate=1.0, size=2, now=0.0)
    _passes(bucket, count=2, now=0.0)

    assert _passes(bucket, count=3, now=1000.0) == [1000.0, 1000.0, 1001.0]


def test_bucket_changes_its_rate() -> None:
    """A bucket made smaller and faster keeps what fits and goes on at the new rate."""
    bucket = TokenBucket(rate=1.0, size=10, now=0.0)
    bucket.change(rate=10.0, size=1, now=0.0)

    assert _passes(bucket, count=3, now=0.0) == [0.0, 0.1, 0.2]


def test_bucket_survives_a_clock_set_back() -> None:
    """A clock set back by an hour neither adds tokens nor takes any."""
    bucket = TokenBucket(rate=1.0, size=1, now=3600.0)
    bucket.take(3600.0)

    assert bucket.ready_at(0.0) == 1.0
