"""Workers that begin a task and fall silent."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.ledger.imports import Lease
from shared.ledger.lease import Claimed
from shared.ledger.store import LedgerTransaction
from shared.ledger.tasks import LoadTask
from shared.scheduling.claims import claim
from tests.support.pipeline import Pipeline


def seize(pipeline: Pipeline, task: LoadTask, *, until: datetime, attempt: int = 1) -> None:
    """Let a worker begin a task and fall silent."""
    begun = claim(task, pipeline.services)
    assert isinstance(begun, Claimed)

    def change(ledger: LedgerTransaction) -> None:
        current = ledger.import_(task.connection, task.import_id)
        assert current is not None
        assert current.lease is not None
        ledger.put(
            replace(
                current,
                attempt=attempt,
                lease=Lease(owner=current.lease.owner, expires_at=until),
            )
        )

    pipeline.services.ledger.transact(change)
