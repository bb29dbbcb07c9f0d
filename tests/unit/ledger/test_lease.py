"""A worker knows when its import may no longer be its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.core.errors import LeaseLost
from shared.ledger.imports import Lease
from shared.ledger.lease import BEAT_SECONDS, Claimed, Hold
from shared.ledger.paths import import_path
from shared.ledger.store import LedgerStore
from tests.simulation.firestore import SimulatedDatabase, Store
from tests.simulation.world import BEGINNING, Chances, World
from tests.support.imports import make_import

LEASE = timedelta(seconds=60)
MINE = make_import(
    "test_customers_20230501T115500Z",
    status="loading",
    lease=Lease(owner="me", expires_at=BEGINNING + LEASE),
)
PATH = import_path(MINE.connection, MINE.import_id)


class Ledger:
    """A ledger that holds one import, and whose answers may take their time."""

    def __init__(self) -> None:
        self.world = World(0, Chances())
        self.store = Store(lambda *_: None, self.world.now)
        self.store.put(PATH, MINE.to_document())
        self.asked = 0
        self.slow: list[float] = []
        """Seconds that the next answers take; the others take none."""
        self._database = SimulatedDatabase(self.world, self.store)

    def transact(self, change: Callable[[Any], Any]) -> Any:
        self.asked += 1
        result = self._database.transact(change)
        self.world.clock += self.slow.pop(0) if self.slow else 0.0
        return result

    def documents(self, paths: Iterable[str]) -> dict[str, Any]:
        self.asked += 1
        return self._database.documents(paths)

    def give_away(self) -> None:
        """Let another worker take the import over."""
        other = replace(MINE, lease=Lease(owner="another", expires_at=self.world.now() + LEASE))
        self.store.put(PATH, other.to_document())


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def hold(ledger: Ledger) -> Hold:
    """Return the hold of the worker that has begun the import."""
    database: Any = ledger
    world = ledger.world
    return Hold(
        LedgerStore(database), Claimed(MINE), now=world.now, lease=LEASE, monotonic=world.monotonic
    )


def test_the_ledger_is_asked_now_and_then(ledger: Ledger) -> None:
    """The lease is renewed when a beat is over, and not at every look."""
    mine = hold(ledger)

    for _ in range(3):
        mine.check()
    assert ledger.asked == 0
    ledger.world.clock += BEAT_SECONDS
    for _ in range(3):
        mine.check()

    assert ledger.asked == 1
    assert mine.import_.lease is not None
    assert ledger.world.now() + LEASE == mine.import_.lease.expires_at


def test_a_beginning_whose_answer_was_late(ledger: Ledger) -> None:
    """The time that the ledger took to answer when the import was begun counts."""
    ledger.world.clock = 30.0
    mine = hold(ledger)
    ledger.give_away()

    with pytest.raises(LeaseLost):
        mine.check()


def test_a_renewal_whose_answer_was_late(ledger: Ledger) -> None:
    """An answer that took longer than the lease says nothing: the ledger is asked again."""
    mine = hold(ledger)
    ledger.world.clock += BEAT_SECONDS
    ledger.slow = [LEASE.total_seconds() + 1]

    mine.check()

    assert ledger.asked == 2


def test_the_next_beat_counts_from_the_question(ledger: Ledger) -> None:
    """A slow answer makes the next look at the ledger due the sooner."""
    mine = hold(ledger)
    ledger.world.clock += BEAT_SECONDS
    ledger.slow = [BEAT_SECONDS + 1]
    mine.check()
    ledger.give_away()

    with pytest.raises(LeaseLost):
        mine.check()


def test_what_is_lost_stays_lost(ledger: Ledger) -> None:
    """A worker that has lost its import is told so at every look, without asking again."""
    mine = hold(ledger)
    ledger.give_away()
    with pytest.raises(LeaseLost):
        mine.confirm()

    with pytest.raises(LeaseLost):
        mine.check()

    assert ledger.asked == 1
