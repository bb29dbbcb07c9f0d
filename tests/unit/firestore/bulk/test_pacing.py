"""Firestore is sent as many writes as it takes: few at first, more with time, fewer when told."""

from __future__ import annotations

import random

import pytest

from shared.firestore.bulk.pacing import (
    LATE_SECONDS,
    RECOVERY,
    SLOWEST,
    STEP,
    Gate,
    Pace,
    Ramp,
    first_rate,
)


def sent(ramp: Ramp, *, began: float, seconds: float, batch: int = 100) -> int:
    """Send batches as fast as they are let for so many seconds; return the documents sent."""
    now, documents = began, 0
    while True:
        now += ramp.reserve(batch, now)
        if now >= began + seconds:
            return documents
        documents += batch


def test_a_load_begins_at_its_rate() -> None:
    """As many documents are sent a second as it begins with, and a second's worth at once."""
    ramp = Ramp(500, now=0)

    waits = [ramp.reserve(100, 0) for _ in range(8)]

    assert [pytest.approx(wait) for wait in waits] == [0, 0, 0, 0, 0, 0, 0.2, 0.4]


def test_a_load_is_let_grow() -> None:
    """Every five minutes half as many again are sent, as long as they are."""
    ramp = Ramp(500, now=0)

    per_step = [sent(ramp, began=step * STEP, seconds=STEP) for step in range(4)]

    assert [pytest.approx(documents / STEP, rel=0.06) for documents in per_step] == [
        500,
        750,
        1125,
        1687,
    ]


def test_what_is_not_made_use_of_does_not_grow() -> None:
    """A load that sends little, or nothing for a long time, is allowed no more than before."""
    ramp = Ramp(500, now=0)
    for second in range(0, 3600, 10):
        ramp.reserve(100, float(second))

    assert ramp.rate(3600) == 500
    assert ramp.rate(36_000) == 500


def test_after_a_pause_a_second_is_caught_up() -> None:
    """What was not sent is not saved up but for a second's worth."""
    ramp = Ramp(500, now=0)
    ramp.reserve(100, 0)

    waits = [ramp.reserve(50, 1000.0) for _ in range(13)]

    assert [round(wait, 6) for wait in waits[:11]] == [0.0] * 11
    assert [pytest.approx(wait) for wait in waits[11:]] == [0.1, 0.2]


def test_the_server_pushes_back() -> None:
    """Half as much is sent, and as much as before after a while, but no more for five minutes."""
    ramp = Ramp(800, now=0)
    sent(ramp, began=0, seconds=200)

    ramp.pushed_back(200)

    assert ramp.rate(200) == 400
    assert pytest.approx(ramp.rate(200 + RECOVERY / 4)) == 600
    assert ramp.rate(200 + RECOVERY) == 800
    assert ramp.rate(200 + STEP - 1) == 800
    assert ramp.ceiling == 800


def test_the_server_pushes_back_for_ever() -> None:
    """However often it does, a little is sent; of a load that began with less, that."""
    ramp, slow = Ramp(500, now=0), Ramp(10, now=0)
    for _ in range(100):
        ramp.pushed_back(0)
        slow.pushed_back(0)

    assert (ramp.rate(0), slow.rate(0)) == (SLOWEST, 10)


@pytest.mark.parametrize(
    ("before", "idle", "rate"),
    [(2000.0, 60.0, 2000), (2000.0, 3600.0, 500), (100.0, 60.0, 500)],
)
def test_the_rate_a_load_begins_with(before: float, idle: float, rate: float) -> None:
    """A load goes on from the pace of the one before it, unless there was a pause."""
    assert rate == first_rate(500, before=before, idle=idle)


def test_a_second_is_never_overdrawn() -> None:
    """Whatever batches are asked for when, no second sees more than two seconds' worth."""
    chance = random.Random(3)
    ramp = Ramp(500, now=0)
    now, times = 0.0, []
    for _ in range(2_000):
        now += chance.random() * 0.3
        size = chance.randrange(1, 100)
        times.append((now + ramp.reserve(size, now), size))

    for begin in range(0, int(now), 5):
        within = sum(size for at, size in times if begin <= at < begin + 1)
        assert within <= 2 * 500 + 100


def test_late_answers_take_room_away() -> None:
    """While answers take much longer than quick ones, fewer calls are under way, then more."""
    pace = Pace(8)
    for _ in range(8):
        pace.answered(0.1)
    for _ in range(20):
        pace.answered(LATE_SECONDS + 1)
    slowed = pace.allowed
    for _ in range(60):
        pace.answered(0.1)

    assert slowed < 6
    assert pace.allowed == 8


def test_a_server_that_is_always_slow_is_not_late() -> None:
    """Answers that take long each time say nothing about the pace."""
    pace = Pace(8)
    for _ in range(50):
        pace.answered(3.0)

    assert pace.allowed == 8


def test_a_gate_without_a_ramp() -> None:
    """Where nothing has to be led up to anything, nothing waits."""
    assert Gate(Pace(4)).delay(10_000) == 0.0


def test_a_gate_slows_down_when_the_server_pushes_back() -> None:
    """One answer that pushes back halves what is sent; others of the same time do not again."""
    ramp = Ramp(800, now=0)
    gate = Gate(Pace(8), ramp, clock=lambda: 0.0)
    with gate.turn() as first, gate.turn() as second:
        first.pushed_back = second.pushed_back = True

    assert ramp.rate(0) == 400
