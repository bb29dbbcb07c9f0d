"""Keeps the tasks of all queues, and sends each task when it is due."""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import grpc

from local.emulators.tasks import rules
from local.emulators.tasks.attempt import Attempt, Outcome, no_response
from local.emulators.tasks.lane import Entry, Lane
from local.emulators.tasks.messages import RUNNING, Queue, Task, seconds, set_time
from local.emulators.tasks.pace import backoff, exhausted
from local.emulators.tasks.requests import Mint, request_of
from local.emulators.tasks.rules import Refused
from local.emulators.tasks.store import Held, Store

log = logging.getLogger("local.emulators.tasks")

_NO_QUEUE = (
    "Queue does not exist. If you just created the queue, wait at least a minute for the queue to"
    " initialize."
)
_GONE = (
    "The task no longer exists, though a task with this name existed recently. The task either"
    " successfully completed or was deleted."
)

_LONGEST_WAIT = 60.0
"""Seconds after which the clock is read again, in case it was changed."""


class Queues:
    """Queues and tasks of a server. Every method may be called from any thread.

    A task is sent at least once. It leaves the store only after a handler has accepted it, after
    its last attempt, or when it is deleted.
    """

    def __init__(self, *, store: Store, mint: Mint, tombstone_seconds: float) -> None:
        """Load the stored queues and tasks, and start to send.

        Args:
            store: where everything is kept; closed by `stop`.
            mint: makes the tokens of tasks that ask for one.
            tombstone_seconds: how long the name of a finished task or deleted queue stays refused.
        """
        self._store = store
        self._mint = mint
        self._tombstone_seconds = tombstone_seconds
        self._tickets = itertools.count(1)
        self._lanes: dict[str, Lane] = {}
        self._deadlines: list[tuple[float, int, Attempt]] = []
        self._attempts: set[Attempt] = set()
        self._changed = threading.Condition()
        self._closed = False
        now = time.time()
        for queue in store.queues():
            self._lanes[queue.name] = Lane(queue, now)
        for held in store.tasks():
            self._lanes[_queue_of(held.task.name)].add(held)
        self._sender = threading.Thread(target=self._send, name="sender", daemon=True)
        self._sender.start()

    def stop(self) -> None:
        """Stop sending, drop the attempts under way (they are repeated later), close the store."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            attempts = list(self._attempts)
        for attempt in attempts:
            attempt.cut()
        self._sender.join()
        with self._changed:
            self._store.close()

    # -- queues ---------------------------------------------------------------------------

    def create_queue(self, sent: Any) -> Any:
        """Make a new, running queue."""
        queue = rules.changed_queue(None, sent, [])
        queue.state = RUNNING
        with self._changed:
            now = time.time()
            if queue.name in self._lanes:
                raise Refused(grpc.StatusCode.ALREADY_EXISTS, "Queue already exists")
            self._refuse_buried_queue(queue.name, now)
            self._keep_queue(queue, now)
        return queue

    def update_queue(self, sent: Any, paths: list[str]) -> Any:
        """Change the fields `paths` of a queue (all if empty), or make the queue."""
        with self._changed:
            now = time.time()
            lane = self._lanes.get(sent.name)
            queue = rules.changed_queue(lane.queue if lane else None, sent, paths)
            if lane is None:
                self._refuse_buried_queue(queue.name, now)
                queue.state = RUNNING
            self._keep_queue(queue, now)
        return queue

    def queue(self, name: str) -> Any:
        """Give a queue."""
        with self._changed:
            return self._lane(name).queue

    def queues_after(self, last: str, *, location: str, limit: int) -> list[Any]:
        """Give up to `limit` queues of a location by name, those after the name `last`."""
        with self._changed:
            names = (
                name
                for name in self._lanes
                if name.startswith(f"{location}/queues/") and name > last
            )
            return [self._lanes[name].queue for name in heapq.nsmallest(limit, names)]

    def set_state(self, name: str, state: int) -> Any:
        """Pause or resume a queue."""

        def change(queue: Any) -> None:
            queue.state = state

        with self._changed:
            return self._change_queue(name, change)

    def purge_queue(self, name: str) -> Any:
        """Remove every task of a queue."""
        with self._changed:
            now = time.time()
            lane = self._lane(name)
            self._bury(list(lane.entries), now)
            lane.clear()
            return self._change_queue(name, lambda queue: set_time(queue.purge_time, now))

    def delete_queue(self, name: str) -> None:
        """Remove a queue and its tasks."""
        with self._changed:
            lane = self._lanes.get(name)
            if lane is None:
                raise Refused(grpc.StatusCode.NOT_FOUND, "Requested entity was not found.")
            self._bury([name, *lane.entries], time.time())
            del self._lanes[name]
            lane.clear()

    def _lane(self, name: str) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            raise Refused(grpc.StatusCode.NOT_FOUND, _NO_QUEUE)
        return lane

    def _refuse_buried_queue(self, name: str, now: float) -> None:
        if self._store.is_buried(name, now=now):
            raise Refused(
                grpc.StatusCode.FAILED_PRECONDITION,
                "The queue cannot be created because a queue with this name existed too recently.",
            )

    def _change_queue(self, name: str, change: Callable[[Any], None]) -> Any:
        # Messages that were handed out are never changed: others may be reading them.
        queue = Queue()
        queue.CopyFrom(self._lane(name).queue)
        change(queue)
        self._keep_queue(queue, time.time())
        return queue

    def _keep_queue(self, queue: Any, now: float) -> None:
        self._store.put_queue(queue)
        if queue.name in self._lanes:
            self._lanes[queue.name].change(queue, now)
        else:
            self._lanes[queue.name] = Lane(queue, now)
        self._changed.notify_all()

    # -- tasks ----------------------------------------------------------------------------

    def create_task(self, sent: Any, *, queue: str) -> Any:
        """Accept a task. Once this returns, the task is stored and will be sent."""
        with self._changed:
            now = time.time()
            lane = self._lane(queue)
            task = rules.new_task(
                sent, queue=queue, task_id=str(10**18 + secrets.randbelow(9 * 10**18)), now=now
            )
            if task.name in lane.entries or self._store.is_buried(task.name, now=now):
                raise Refused(grpc.StatusCode.ALREADY_EXISTS, "Requested entity already exists")
            held = Held(task)
            self._store.put_task(held)
            lane.add(held)
            self._changed.notify_all()
            return task

    def task(self, name: str) -> Any:
        """Give a task with its body."""
        with self._changed:
            return self._find(name)[1].held.task

    def tasks_after(self, last: str, *, queue: str, limit: int) -> list[Any]:
        """Give up to `limit` tasks of a queue by name, those after the name `last`."""
        with self._changed:
            entries = self._lane(queue).entries
            names = heapq.nsmallest(limit, (name for name in entries if name > last))
            return [entries[name].held.task for name in names]

    def delete_task(self, name: str) -> None:
        """Remove a task. An attempt under way continues, but is the last."""
        with self._changed:
            lane, _ = self._find(name)
            self._bury([name], time.time())
            lane.remove(name)

    def run_task(self, name: str) -> Any:
        """Send a task now, whatever its time, the limits and state of its queue."""
        with self._changed:
            lane, entry = self._find(name)
            self._start(lane, entry, time.time())
            self._changed.notify_all()
            return entry.held.task

    def _find(self, name: str) -> tuple[Lane, Entry]:
        lane = self._lanes.get(_queue_of(name))
        entry = lane.entries.get(name) if lane else None
        if lane is None or entry is None:
            recent = self._store.is_buried(name, now=time.time())
            raise Refused(
                grpc.StatusCode.NOT_FOUND, _GONE if recent else "Requested entity was not found."
            )
        return lane, entry

    def _bury(self, names: list[str], now: float) -> None:
        self._store.bury(names, now=now, until=now + self._tombstone_seconds)

    # -- sending --------------------------------------------------------------------------

    def _send(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.time()
                try:
                    wake = min(
                        (self._send_due(lane, now) for lane in self._lanes.values()),
                        default=math.inf,
                    )
                except Exception:
                    # A full disk, or no thread left: due tasks stay due.
                    log.exception("A task could not be sent; trying again in a second.")
                    wake = now + 1.0
                wake = min(wake, self._cut_overdue(now), now + _LONGEST_WAIT)
                self._changed.wait(max(0.0, wake - time.time()))

    def _send_due(self, lane: Lane, now: float) -> float:
        """Send all tasks that are due; return the time to check again."""
        while True:
            entry, wake = lane.due(now)
            if entry is None:
                return wake
            self._start(lane, entry, now)
            lane.sent(now)

    def _cut_overdue(self, now: float) -> float:
        while self._deadlines and self._deadlines[0][0] <= now:
            heapq.heappop(self._deadlines)[2].cut()
        return self._deadlines[0][0] if self._deadlines else math.inf

    def _forget_deadlines(self) -> None:
        # Most attempts end long before their deadline: clean up when most of the heap is obsolete.
        if len(self._deadlines) > 2 * len(self._attempts) + 64:
            self._deadlines = [item for item in self._deadlines if item[2] in self._attempts]
            heapq.heapify(self._deadlines)

    def _start(self, lane: Lane, entry: Entry, now: float) -> None:
        task = Task()
        task.CopyFrom(entry.held.task)
        task.dispatch_count += 1
        task.ClearField("last_attempt")
        task.last_attempt.schedule_time.CopyFrom(task.schedule_time)
        set_time(task.last_attempt.dispatch_time, now)
        if not task.HasField("first_attempt"):
            set_time(task.first_attempt.dispatch_time, now)
        held = Held(task, entry.held.executions, entry.held.previous)
        self._store.put_task(held)

        deadline = seconds(task.dispatch_deadline)
        attempt = Attempt(deadline=deadline)
        # The attempt cannot end before this method, which holds the lock. If it fails to start,
        # nothing in memory has changed yet.
        threading.Thread(
            target=self._attend, args=(lane, entry, held, attempt), daemon=True
        ).start()
        entry.held, entry.ticket = held, 0
        heapq.heappush(self._deadlines, (now + deadline, next(self._tickets), attempt))
        self._attempts.add(attempt)
        lane.under_way += 1

    def _attend(self, lane: Lane, entry: Entry, held: Held, attempt: Attempt) -> None:
        try:
            request = request_of(held, mint=self._mint, now=datetime.now(UTC))
            outcome = attempt.run(request)
        except Exception:
            log.exception("%s could not be sent", held.task.name)
            outcome = no_response("INTERNAL", "the request could not be made")
        with self._changed:
            if self._closed:
                return
            self._attempts.discard(attempt)
            self._forget_deadlines()
            lane.under_way -= 1
            self._changed.notify_all()
            name = entry.held.task.name
            # Deleted, purged, or done by another attempt in the meantime.
            if lane.entries.get(name) is not entry:
                return
            try:
                self._conclude(lane, entry, outcome)
            except sqlite3.Error:
                # The state in memory is correct. At worst, a task whose outcome was not written is
                # sent again.
                log.exception("The outcome of %s could not be kept.", name)

    def _conclude(self, lane: Lane, entry: Entry, outcome: Outcome) -> None:
        now = time.time()
        name = entry.held.task.name
        task = Task()
        task.CopyFrom(entry.held.task)
        set_time(task.last_attempt.response_time, now)
        task.last_attempt.response_status.code = outcome.code
        task.last_attempt.response_status.message = outcome.message
        if outcome.http_status is not None:
            task.response_count += 1

        retry = task.retry_config if task.HasField("retry_config") else lane.queue.retry_config
        given_up = not outcome.succeeded and exhausted(
            attempts=task.dispatch_count,
            max_attempts=retry.max_attempts,
            created=seconds(task.create_time),
            first_attempt=seconds(task.first_attempt.dispatch_time),
            max_duration=seconds(retry.max_retry_duration),
            now=now,
        )
        log.log(
            logging.INFO if outcome.succeeded else logging.WARNING,
            "%s attempt %d: %s%s",
            name,
            task.dispatch_count,
            outcome.message,
            "; given up" if given_up else "",
        )
        if outcome.succeeded or given_up:
            # Removed from memory first: if the store fails, this process does not send it twice.
            lane.remove(name)
            self._bury([name], now)
            return

        wait = backoff(
            failures=task.dispatch_count,
            minimum=seconds(retry.min_backoff),
            maximum=seconds(retry.max_backoff),
            doublings=retry.max_doublings,
        )
        set_time(task.schedule_time, now + max(wait, outcome.retry_after))
        answered = outcome.http_status is not None and outcome.http_status < 500
        entry.held = Held(
            task,
            entry.held.executions + (1 if answered else 0),
            outcome.http_status if outcome.http_status is not None else 504,
        )
        lane.plan(entry)
        self._store.put_task(entry.held)


def _queue_of(task_name: str) -> str:
    return task_name.partition("/tasks/")[0]
