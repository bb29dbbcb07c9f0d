"""Which task of a queue of the local tasks server goes out next, and when."""

from __future__ import annotations

import math
from typing import Any

import pytest

from local.emulators.tasks.lane import Lane
from local.emulators.tasks.messages import PAUSED, RUNNING, Queue, Task, set_time
from local.emulators.tasks.store import Held

NOW = 1_700_000_000.0


def _queue(*, rate: float = 500, burst: int = 100, concurrent: int = 1000) -> Any:
    queue = Queue(name="q", state=RUNNING)
    queue.rate_limits.max_dispatches_per_second = rate
    queue.rate_limits.max_burst_size = burst
    queue.rate_limits.max_concurrent_dispatches = concurrent
    return queue


def _held(name: str, when: float) -> Held:
    task = Task(name=name)
    set_time(task.schedule_time, when)
    return Held(task)


def _lane(*times: float, **limits: Any) -> Lane:
    lane = Lane(_queue(**limits), NOW)
    for number, when in enumerate(times):
        lane.add(_held(f"t{number}", when))
    return lane


def _due(lane: Lane, now: float) -> tuple[str | None, float]:
    entry, wake = lane.due(now)
    return entry.held.task.name if entry else None, wake


def test_empty_lane_waits_for_ever() -> None:
    """A lane without tasks has nothing to send at any time."""
    assert _due(_lane(), NOW) == (None, math.inf)


def test_task_is_due_at_its_time() -> None:
    """A task is due at its time and not a microsecond earlier, when the lane says to wait."""
    lane = _lane(NOW + 5)

    assert _due(lane, NOW + 4.999999) == (None, NOW + 5)
    assert _due(lane, NOW + 5) == ("t0", NOW + 5)


def test_tasks_go_by_time_and_then_by_creation() -> None:
    """The earliest task goes first; of two of the same time, the one that was made first."""
    lane = _lane(NOW - 1, NOW - 3, NOW - 1, NOW - 2)
    order = []
    while (entry := lane.due(NOW)[0]) is not None:
        order.append(entry.held.task.name)
        lane.remove(entry.held.task.name)

    assert order == ["t1", "t3", "t0", "t2"]


def test_task_planned_anew_leaves_its_old_place() -> None:
    """A task that is planned for another time is no longer due at the first."""
    lane = _lane(NOW)
    entry = lane.entries["t0"]
    set_time(entry.held.task.schedule_time, NOW + 60)
    lane.plan(entry)

    assert _due(lane, NOW) == (None, NOW + 60)
    assert _due(lane, NOW + 60) == ("t0", NOW + 60)


def test_paused_lane_waits_for_ever() -> None:
    """A paused lane sends nothing until it is changed."""
    lane = _lane(NOW)
    paused = _queue()
    paused.state = PAUSED
    lane.change(paused, NOW)
    before = _due(lane, NOW)
    lane.change(_queue(), NOW)

    assert before == (None, math.inf)
    assert _due(lane, NOW) == ("t0", NOW)


@pytest.mark.parametrize(("under_way", "expected"), [(1, "t0"), (2, None), (3, None)])
def test_full_lane_waits_for_an_end(under_way: int, expected: str | None) -> None:
    """A lane that may make two attempts at once sends only while there are fewer."""
    lane = _lane(NOW, concurrent=2)
    lane.under_way = under_way

    assert _due(lane, NOW)[0] == expected


def test_rate_says_when_the_next_may_go() -> None:
    """After the burst, a lane names the time at which the next token is there."""
    lane = _lane(NOW, rate=4, burst=1)
    lane.sent(NOW)

    assert _due(lane, NOW) == (None, NOW + 0.25)
    assert _due(lane, NOW + 0.25) == ("t0", NOW + 0.25)


def test_cleared_lane_is_empty() -> None:
    """A cleared lane has no task and nothing to send."""
    lane = _lane(NOW, NOW + 1)
    lane.clear()

    assert lane.entries == {}
    assert _due(lane, NOW + 2) == (None, math.inf)
