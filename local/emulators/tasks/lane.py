"""One queue in memory, which chooses the next task to send and its time.

Takes the time as an argument throughout, as Unix seconds.
"""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass
from typing import Any

from local.emulators.tasks.messages import PAUSED, seconds
from local.emulators.tasks.pace import TokenBucket
from local.emulators.tasks.store import Held

_tickets = itertools.count(1)


@dataclass(slots=True, eq=False)
class Entry:
    """A task of a lane."""

    held: Held
    ticket: int = 0
    """Number of its place in the plan; 0 while it is not planned."""


class Lane:
    """Tasks of a queue, with the limits and the state of the queue."""

    def __init__(self, queue: Any, now: float) -> None:
        """Start with a full bucket and no task."""
        self.queue = queue
        """The `Queue` message."""
        self.entries: dict[str, Entry] = {}
        """Tasks by full name, under way or not."""
        self.under_way = 0
        """Number of attempts under way."""
        # A heap. An item is void if its ticket is no longer that of its task.
        self._plan: list[tuple[float, int, Entry]] = []
        self._bucket = TokenBucket(
            rate=queue.rate_limits.max_dispatches_per_second,
            size=queue.rate_limits.max_burst_size,
            now=now,
        )

    def change(self, queue: Any, now: float) -> None:
        """Continue with another configuration or state."""
        self.queue = queue
        self._bucket.change(
            rate=queue.rate_limits.max_dispatches_per_second,
            size=queue.rate_limits.max_burst_size,
            now=now,
        )

    def add(self, held: Held) -> None:
        """Take a task, planned for its schedule time."""
        entry = self.entries[held.task.name] = Entry(held)
        self.plan(entry)

    def plan(self, entry: Entry) -> None:
        """Plan a task for its schedule time, instead of any other time."""
        entry.ticket = next(_tickets)
        when = seconds(entry.held.task.schedule_time)
        heapq.heappush(self._plan, (when, entry.ticket, entry))

    def remove(self, name: str) -> None:
        """Forget a task."""
        self.entries.pop(name).ticket = 0

    def clear(self) -> None:
        """Forget every task."""
        self.entries.clear()
        self._plan.clear()

    def due(self, now: float) -> tuple[Entry | None, float]:
        """Return the task to send now, or None and the time to check again.

        The time is infinite if only a change of the lane can make a task due.
        """
        while self._plan and self._plan[0][1] != self._plan[0][2].ticket:
            heapq.heappop(self._plan)
        if not self._plan or self.queue.state == PAUSED:
            return None, math.inf
        when, _, entry = self._plan[0]
        if when > now:
            return None, when
        if self.under_way >= self.queue.rate_limits.max_concurrent_dispatches:
            return None, math.inf
        ready = self._bucket.ready_at(now)
        return (None, ready) if ready > now else (entry, now)

    def sent(self, now: float) -> None:
        """Count a task against the rate."""
        self._bucket.take(now)
