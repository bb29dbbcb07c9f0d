"""Notes about refused names, left in the bucket for the ledger.

A job that uploads under a wrong name gets an SFTP error that perhaps nobody reads. So the gateway
leaves a note for each name it refuses, such as `refusals/au/20241120T03-6f1c2a9d04be77aa.json`:

    {"object": "pending/au/cust_20nov.csv"}

`classify` takes it like an upload of that name. A name is noted once an hour, however often it is
tried.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from gateway.bucket import Bucket, BucketError, Changed
from gateway.workers import Workers
from shared.core import log
from shared.files import LONGEST_OBJECT, REFUSALS, Arrival, Misnamed, read_name

MOST_PER_HOUR = 20
"""Notes of one user in an hour; further names are counted in the log."""


class Refusals:
    """Notes of the present hour."""

    def __init__(
        self, bucket: Bucket, workers: Workers, *, now: Callable[[], datetime] | None = None
    ) -> None:
        self._bucket = bucket
        self._workers = workers
        self._now = now or _utc_now
        self._hour = ""
        self._noted: set[str] = set()
        self._notes: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._writing: set[asyncio.Task[None]] = set()

    def note(self, user: str, object_name: str, arrival: Arrival) -> None:
        """Leave a note about a name that was refused to a user, without waiting for the bucket.

        Paths that are refused for another reason than their name are not noted.
        """
        named = read_name(object_name, arrival)
        if not isinstance(named, Misnamed) or len(object_name.encode()) > LONGEST_OBJECT:
            return
        hour = f"{self._now():%Y%m%dT%H}"
        if hour != self._hour:
            self._begin(hour)
        name = f"{REFUSALS}/{named.connection}/{hour}-{_hash(object_name)}.json"
        if name in self._noted:
            return
        if self._notes[user] >= MOST_PER_HOUR:
            self._left_out[user] += 1
            return
        self._notes[user] += 1
        self._noted.add(name)
        task = asyncio.get_running_loop().create_task(self._write(name, object_name))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def written(self, *, timeout: float) -> None:
        """Wait until every note is in the bucket, at most for `timeout` seconds."""
        if self._writing:
            await asyncio.wait(self._writing, timeout=timeout)

    def _begin(self, hour: str) -> None:
        """Forget the names of the last hour, and log how many had no note."""
        for user, number in self._left_out.items():
            log(
                "WARNING",
                f"{number} refused names of {user} have no note: more than {MOST_PER_HOUR} in an "
                "hour.",
                event="refusals_left_out",
                user=user,
                left_out=number,
            )
        self._hour = hour
        for kept in (self._noted, self._notes, self._left_out):
            kept.clear()

    async def _write(self, name: str, object_name: str) -> None:
        data = json.dumps({"object": object_name}).encode()
        try:
            await self._workers.bucket(self._put, name, data)
        except Changed:
            pass  # left before a restart of the gateway
        except BucketError as error:
            self._noted.discard(name)  # the next try leaves it
            log("WARNING", f"A refused name could not be noted: {error}", event="refusal_lost")

    def _put(self, name: str, data: bytes) -> None:
        self._bucket.begin(name, generation=0).finish(data)


def _hash(object_name: str) -> str:
    return hashlib.sha256(object_name.encode()).hexdigest()[:16]


def _utc_now() -> datetime:
    return datetime.now(UTC)
