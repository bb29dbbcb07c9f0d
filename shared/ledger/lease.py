"""Leases: a worker's hold on an import, or on one shard of it, and how it is renewed or lost.

A lease is a record of an owner and a time. An import that is loaded by one task carries the lease
of its worker. The shards of a large file carry a lease each; meanwhile the lease of the import
itself is in the name of the splitting, and the shards renew it together. The import that holds a
lease also holds its feed, so that no other import of the type begins.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.core import LeaseLost, SplitLost, TryAgain
from shared.ledger.feeds import Feed, Running
from shared.ledger.imports import Import, Lease, Progress, RowCounts
from shared.ledger.paths import feed_path, import_path, shard_path
from shared.ledger.shards import Shard, recounted
from shared.ledger.split import HELD, TOLD, Split
from shared.ledger.store import LedgerStore, LedgerTransaction

BEAT_SECONDS = 2.0
"""Seconds between two renewals, which also write the progress into the ledger."""


def new_owner() -> str:
    """Return a unique name for a worker: 32 hexadecimal digits."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Claimed:
    """The records that a worker has claimed: an import, or one shard of it."""

    import_: Import
    shard: Shard | None = None
    """None: the import as a whole."""

    @property
    def lease(self) -> Lease | None:
        """The worker's lease."""
        return self.import_.lease if self.shard is None else self.shard.lease

    @property
    def attempt(self) -> int:
        """Number of this attempt, counted from 1."""
        return self.import_.attempt if self.shard is None else self.shard.attempt

    @property
    def started_at(self) -> datetime | None:
        """The start of this attempt."""
        return self.import_.started_at if self.shard is None else self.shard.started_at

    @property
    def split(self) -> Split:
        """The splitting of the import's file."""
        if self.import_.split is None:
            raise ValueError("the import has no shards")
        return self.import_.split

    @property
    def shared(self) -> bool:
        """True while the import's lease is in the name of its splitting."""
        return self.import_.lease is not None and self.import_.lease.owner == self.split.id

    def recounted(self, rows: RowCounts) -> Claimed:
        """Return the records with `rows` as the shard's share in the import's count."""
        return self if self.shard is None else Claimed(*recounted(self.import_, self.shard, rows))


ClaimedChange = Callable[[LedgerTransaction, Claimed], Claimed]


class Hold:
    """The lease of a worker at work.

    `check` is cheap and may be called from any thread; it renews the lease when that is due.

    Attributes:
        claimed: the records as the last renewal left them.
        owner: the worker's name in the lease.
        rows, progress: what the next renewal writes into the ledger.
    """

    def __init__(
        self,
        ledger: LedgerStore,
        claimed: Claimed,
        *,
        now: Callable[[], datetime],
        lease: timedelta,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        held = claimed.lease
        if held is None:
            raise ValueError("the import must have been begun")
        self.claimed = claimed
        self.owner = held.owner
        self.rows = RowCounts()
        self.progress = Progress()
        self._ledger = ledger
        self._now = now
        self._lease = lease
        self._monotonic = monotonic
        # Counted from the request to the ledger, not from its answer.
        age = now() - (held.expires_at - lease)
        self._due = monotonic() + BEAT_SECONDS - max(0.0, age.total_seconds())
        self._lock = threading.Lock()
        self._lost: LeaseLost | None = None

    @property
    def import_(self) -> Import:
        """The import as the last renewal left it."""
        return self.claimed.import_

    def check(self) -> None:
        """Check that the lease is still this worker's; renew it if that is due.

        Raises:
            LeaseLost: another worker has the lease; write nothing more.
            SplitLost: the shards of the file cannot continue.
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
        """Check in the ledger, right now, that the lease of the import is still this worker's.

        Raises what `check` raises.
        """
        self.check()
        mine = self.import_
        current = self._ledger.import_(mine.connection, mine.import_id)
        if (
            current is None
            or current.generation != mine.generation
            or current.lease is None
            or current.lease.owner != self.owner
        ):
            raise self._lose()

    def change(
        self,
        change: ClaimedChange,
        *,
        done: Callable[[Shard], bool] | None = None,
        needs: Iterable[str] = (),
    ) -> Claimed:
        """Change the records in a transaction, if the lease is still this worker's.

        `needs` are the paths of documents that `change` reads, besides the import and its feed.
        `done` says of the shard whether an earlier try was committed although its answer was lost.

        Raises:
            LeaseLost: another worker has the lease; nothing was changed.
            TryAgain: Firestore could not be reached.
        """

        mine, paths = self.import_, [*needs]
        paths.append(import_path(mine.connection, mine.import_id))
        if mine.type is not None and mine.mode != "test":
            paths.append(feed_path(mine.connection, mine.type))
        if (shard := self.claimed.shard) is not None:
            paths.append(shard_path(mine.connection, mine.import_id, shard.split, shard.number))

        def owned(ledger: LedgerTransaction) -> Claimed | None:
            ledger.fetch(*paths)
            current = self._current(ledger)
            if current is None:
                return None
            if done is not None and current.shard is not None and done(current.shard):
                return current
            if current.lease is None or current.lease.owner != self.owner:
                return None
            changed = change(ledger, current)
            if changed.import_ != current.import_:
                ledger.put(changed.import_)
            if changed.shard is not None:
                ledger.put_shard(changed.shard)
            return changed

        changed = self._ledger.transact(owned)
        if changed is None:
            raise self._lose()
        return changed

    def _lose(self) -> LeaseLost:
        self._lost = LeaseLost(f"{self.import_.import_id} has been taken over.")
        return self._lost

    def _current(self, ledger: LedgerTransaction) -> Claimed | None:
        """Read the records; None where they are another upload's, or of another splitting."""
        mine = self.import_
        current = ledger.import_(mine.connection, mine.import_id)
        if current is None or current.generation != mine.generation:
            return None
        shard = self.claimed.shard
        if shard is None:
            return Claimed(current)
        if current.status != "loading" or current.split is None or current.split.id != shard.split:
            return None
        found = ledger.shard(mine.connection, mine.import_id, shard.split, shard.number)
        return None if found is None else Claimed(current, found)

    def _beat(self) -> None:
        asked = self._monotonic()
        self.claimed = self.change(self._renew)
        self._due = asked + BEAT_SECONDS

    def _renew(self, ledger: LedgerTransaction, current: Claimed) -> Claimed:
        now, import_, shard = self._now(), current.import_, current.shard
        until = now + self._lease
        if shard is None and import_.status != "loading":
            # A file that is judged while it waits is not loaded, so it needs no feed.
            return Claimed(replace(import_, lease=Lease(owner=self.owner, expires_at=until)))
        if shard is None:
            import_ = lease_to(ledger, import_, self.owner, until=until)
            return Claimed(replace(import_, rows=self.rows, progress=self.progress))
        renewed = replace(
            current, shard=replace(shard, lease=Lease(owner=self.owner, expires_at=until))
        )
        held = import_.lease
        if held is None:
            raise TryAgain("The import is not held.")
        due = current.shared and held.expires_at < now + HELD - TOLD
        if held.live(now) and not due:
            return renewed
        feed = ledger.feed_of(import_)
        if feed.base() != current.split.base:
            raise SplitLost("Another file was loaded in the meantime.")
        renewed = renewed.recounted(self.rows)
        return replace(renewed, import_=lease_to_shards(ledger, renewed.import_, feed, now=now))


def lease_to(
    ledger: LedgerTransaction,
    import_: Import,
    owner: str,
    *,
    until: datetime,
    feed: Feed | None = None,
) -> Import:
    """Return the import leased to `owner`, who gets its feed too; a check takes no feed.

    `feed` is the feed as it is to be otherwise, if it was read before.

    Raises:
        TryAgain: another import of the type has begun.
    """
    if import_.mode != "test":
        feed = feed or ledger.feed_of(import_)
        if feed.running is not None and feed.running.import_id != import_.import_id:
            raise TryAgain(f"{feed.running.import_id} has begun in the meantime.")
        running = Running(import_id=import_.import_id, owner=owner, expires_at=until)
        ledger.put_feed(replace(feed, running=running))
    return replace(import_, lease=Lease(owner=owner, expires_at=until))


def lease_to_shards(
    ledger: LedgerTransaction, import_: Import, feed: Feed, *, now: datetime
) -> Import:
    """Return the import leased in the name of its splitting; see `lease_to`."""
    return lease_to(ledger, import_, Claimed(import_).split.id, until=now + HELD, feed=feed)


def taken(import_: Import, *, now: datetime) -> bool:
    """Return True while one worker has the whole import, and not its shards."""
    return import_.lease is not None and import_.lease.live(now) and not Claimed(import_).shared


def stay_leased(ledger: LedgerTransaction, import_: Import, feed: Feed, *, now: datetime) -> Import:
    """Return the import leased on in the name of its splitting, unless one worker has it.

    Raises:
        TryAgain: another import of the type has begun.
    """
    if taken(import_, now=now):
        ledger.put_feed(feed)
        return import_
    return lease_to_shards(ledger, import_, feed, now=now)


def release_feed(ledger: LedgerTransaction, import_: Import) -> Feed:
    """Remove the import from its feed, so that the next import of the type can begin.

    Return the changed feed. The caller ends the import's lease in the same transaction.
    """
    if import_.type is None:
        raise ValueError("only export files are loaded")
    feed = ledger.feed(import_.connection, import_.type)
    if feed.running is not None and feed.running.import_id == import_.import_id:
        feed = replace(feed, running=None)
        ledger.put_feed(feed)
    return feed
