"""The lease of a worker on its import: renewed during the work, lost to another worker."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from shared.core import LeaseLost, TryAgain
from shared.ledger.feeds import Feed, Running, without
from shared.ledger.imports import Import, Lease, Progress, RowCounts
from shared.ledger.store import LedgerStore, LedgerTransaction

BEAT_SECONDS = 2.0
"""Seconds between two renewals, which also write the progress into the ledger."""


def new_owner() -> str:
    """Return a unique name for a worker: 32 hexadecimal digits."""
    return uuid.uuid4().hex


class Hold:
    """The lease of a worker during its work.

    `check` is cheap, and may be called from any thread; it renews the lease when that is due.
    """

    def __init__(
        self,
        ledger: LedgerStore,
        import_: Import,
        *,
        now: Callable[[], datetime],
        lease: timedelta,
        held: Lease | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the import, and the worker's lease if it is not the import's (for a shard)."""
        held_now = held or import_.lease
        if held_now is None:
            raise ValueError("the import must have been begun")
        self.import_ = import_
        self.rows = RowCounts()
        self.progress = Progress()
        self._owner = held_now.owner
        self._ledger = ledger
        self._now = now
        self._lease = lease
        self._monotonic = monotonic
        # Counted from the request to the ledger, not from its answer.
        age = now() - (held_now.expires_at - lease)
        self._due = monotonic() + BEAT_SECONDS - max(0.0, age.total_seconds())
        self._lock = threading.Lock()
        self._lost: LeaseLost | None = None

    def check(self) -> None:
        """Check that the import is still this worker's; renew the lease if that is due.

        Raises:
            LeaseLost: another worker has the import; write nothing more.
            TryAgain: the lease could not be renewed, or another import of the type has begun.
        """
        if self._lost is not None:
            raise self._lost
        if self._monotonic() < self._due:
            return
        with self._lock:
            while self._monotonic() >= self._due:
                asked = self._monotonic()
                self._beat()
                # After an answer that took longer than the lease, the lease may be lost again.
                if self._monotonic() - asked < self._lease.total_seconds():
                    break

    def confirm(self) -> None:
        """Check in the ledger that the import is still this worker's, and renew the lease.

        Raises:
            LeaseLost: another worker has the import; write nothing more.
            TryAgain: the lease could not be renewed, or another import of the type has begun.
        """
        with self._lock:
            self._beat()

    def change(self, change: Callable[[LedgerTransaction, Import], Import]) -> Import:
        """Change the import in a transaction, if it is still this worker's; return the result.

        Raises:
            LeaseLost: another worker has the import; nothing was changed.
            TryAgain: Firestore could not be reached.
        """
        held = self.import_

        def owned(ledger: LedgerTransaction) -> Import | None:
            current = ledger.import_(held.connection, held.import_id)
            if (
                current is None
                or current.generation != held.generation
                or current.lease is None
                or current.lease.owner != self._owner
            ):
                return None
            changed = change(ledger, current)
            ledger.put(changed)
            return changed

        changed = self._ledger.transact(owned)
        if changed is None:
            raise self._lose()
        return changed

    def _lose(self) -> LeaseLost:
        self._lost = LeaseLost(f"{self.import_.import_id} has been taken over.")
        return self._lost

    def _beat(self) -> None:
        asked = self._monotonic()
        self.import_ = self._renew()
        self._due = asked + BEAT_SECONDS

    def _renew(self) -> Import:
        def renew(ledger: LedgerTransaction, current: Import) -> Import:
            expires_at = self._now() + self._lease
            if current.mode != "test" and current.type is not None:
                feed = ledger.feed(current.connection, current.type)
                if feed.running is not None and feed.running.owner != self._owner:
                    raise TryAgain(f"{feed.running.import_id} has begun in the meantime.")
                running = Running(
                    import_id=current.import_id, owner=self._owner, expires_at=expires_at
                )
                ledger.put_feed(replace(feed, running=running))
            return replace(
                current,
                lease=Lease(owner=self._owner, expires_at=expires_at),
                rows=self.rows,
                progress=self.progress,
            )

        return self.change(renew)


def release_feed(ledger: LedgerTransaction, current: Import) -> Feed:
    """Remove the import from its feed, so that the next import of the type can begin.

    Return the changed feed. The caller ends the import's lease in the same transaction.
    """
    if current.type is None:
        raise ValueError("only export files are loaded")
    feed = ledger.feed(current.connection, current.type)
    if current.lease is not None and current.mode != "test":
        feed = without(feed, current.lease.owner)
        ledger.put_feed(feed)
    return feed
