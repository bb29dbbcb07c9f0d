"""Notes about refused names: folded by name and hour, bounded by user and hour."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.refusals import MOST_PER_HOUR, Refusals
from gateway.workers import Workers
from shared.files.names import Arrival
from tests.support.gateway import MemoryBucket

WRONG = "pending/au/cust_20nov.csv"


@dataclass(slots=True)
class Desk:
    """Notes over a bucket in memory, at a time that the test sets."""

    bucket: MemoryBucket = field(default_factory=MemoryBucket)
    now: datetime = datetime(2024, 11, 20, 3, 12, tzinfo=UTC)

    def run(self, act: Callable[[Refusals], None]) -> None:
        """Let notes be taken, and wait until they are in the bucket."""

        async def do() -> None:
            workers = Workers()
            refusals = Refusals(self.bucket, workers, now=lambda: self.now)
            act(refusals)
            await refusals.written(timeout=30)
            workers.close()

        asyncio.run(do())

    def arrival(self) -> Arrival:
        """Return an arrival at the present time."""
        return Arrival(self.now, timedelta(minutes=15), ZoneInfo("Australia/Sydney"))


@pytest.fixture(name="desk")
def _desk() -> Desk:
    return Desk()


def test_a_note(desk: Desk) -> None:
    """A note lies in the folder of the connection, names its hour, and says the object only."""
    desk.run(lambda refusals: refusals.note("erp", WRONG, desk.arrival()))

    ((name, (data, _)),) = desk.bucket.objects.items()
    assert name.startswith("refusals/au/20241120T03-")
    assert json.loads(data) == {"object": WRONG}
    assert desk.bucket.open_sendings == 0


def test_one_note_an_hour(desk: Desk) -> None:
    """However often a name is tried, also after a restart of the gateway, it is noted once an
    hour."""

    def often(refusals: Refusals) -> None:
        for _ in range(50):
            refusals.note("erp", WRONG, desk.arrival())

    desk.run(often)
    desk.run(often)
    assert len(desk.bucket.history) == 1

    desk.now += timedelta(hours=1)
    desk.run(often)
    assert len(desk.bucket.history) == 2


def test_a_flood(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a user who invents names only the first are noted; the others are counted in the log."""

    def flood(refusals: Refusals) -> None:
        for number in range(MOST_PER_HOUR + 5):
            refusals.note("erp", f"pending/au/wrong_{number}.csv", desk.arrival())
        refusals.note("other", WRONG, desk.arrival())
        desk.now += timedelta(hours=1)
        refusals.note("erp", WRONG, desk.arrival())

    desk.run(flood)

    assert len(desk.bucket.objects) == MOST_PER_HOUR + 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (said,) = [line for line in lines if line.get("event") == "refusals_left_out"]
    assert (said["user"], said["left_out"]) == ("erp", 5)


@pytest.mark.parametrize(
    "path",
    [
        "pending/au/customers_20241120T031200Z.csv",
        "processed/au/cust.csv",
        "state/x",
        "refusals/au/x.json",
        "pending/au/x.csv.part",
        f"pending/au/{'x' * 1_024}.csv",
    ],
)
def test_what_is_not_noted(desk: Desk, path: str) -> None:
    """Right and temporary names, the pipeline's folders and names that no object has need no
    note."""
    desk.run(lambda refusals: refusals.note("erp", path, desk.arrival()))

    assert not desk.bucket.objects


def test_a_bucket_that_is_down(desk: Desk) -> None:
    """A note that could not be written is left at the next try."""

    def twice(refusals: Refusals) -> None:
        refusals.note("erp", WRONG, desk.arrival())

    async def do() -> None:
        workers = Workers()
        refusals = Refusals(desk.bucket, workers, now=lambda: desk.now)
        desk.bucket.down = True
        twice(refusals)
        await refusals.written(timeout=30)
        desk.bucket.down = False
        twice(refusals)
        await refusals.written(timeout=30)
        workers.close()

    asyncio.run(do())

    assert len(desk.bucket.objects) == 1
