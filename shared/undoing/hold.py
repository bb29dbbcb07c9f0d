"""Hold on the feed while an import is undone, so that no import of its type begins meanwhile."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.core import LeaseLost, NotPossible, TryAgain
from shared.ledger import (
    BEAT_SECONDS,
    ENDED,
    Feed,
    Holder,
    Import,
    LedgerTransaction,
    Running,
    new_owner,
    without,
)
from shared.reporting import sentences
from shared.services import Services

UNDER = "undo"
"""Fingerprint in the mark of the index while an import is undone."""


def undoable(import_: Import | None, connection: str, import_id: str) -> Import:
    """Return an import, if it has loaded something and has ended.

    Raises:
        NotPossible: there is no such import, it never loaded anything, or it has not ended.
    """
    if import_ is None:
        raise NotPossible(f"There is no import {import_id} in the connection {connection}.")
    if import_.exported_at is None or import_.mode == "test":
        raise NotPossible(f"{import_id} has never loaded anything: there is nothing to undo.")
    if import_.status not in ENDED:
        raise NotPossible(f"{import_id} is {import_.status}. Try again when it has ended.")
    return import_


class FeedHold:
    """A lease of the feed, renewed while an import is undone."""

    def __init__(self, services: Services, import_: Import) -> None:
        self._services = services
        self._import = import_
        self._owner = new_owner()
        self._due: datetime | None = None
        self.mark: Holder | None = None
        """Mark of the index; None in a dry run."""

    def take(self) -> None:
        """Take the feed, mark its index as not to be trusted, and record both in the ledger.

        Raises:
            NotPossible: a file of the type is being loaded, or the import has changed.
        """

        def take(ledger: LedgerTransaction) -> Holder:
            mine, now = self._import, self._services.now()
            current = ledger.import_(mine.connection, mine.import_id)
            feed = ledger.feed_of(mine)
            if current is None or current.generation != mine.generation:
                raise NotPossible(f"{mine.import_id}: a newer upload has taken over.")
            undoable(current, mine.connection, mine.import_id)
            running = feed.running
            if running is not None and now < running.expires_at and running.owner != self._owner:
                raise NotPossible(
                    f"{running.import_id} is being loaded or undone. Try again when that has ended."
                )
            before = feed.index_held_by
            ours = (mine.import_id, mine.generation, UNDER)
            again = before is not None and ours == (
                before.import_id,
                before.generation,
                before.under,
            )
            clean = before is None or (again and before.clean)
            mark = Holder(
                import_id=mine.import_id, generation=mine.generation, under=UNDER, clean=clean
            )
            ledger.put_feed(replace(feed, running=self._running(now), index_held_by=mark))
            if sentences.BEING_UNDONE not in current.status_text:
                ledger.put(current.saying(sentences.undoing(), now=now))
            return mark

        asked = self._services.now()
        self.mark = self._services.ledger.transact(take)
        # After an answer that took longer than the lease, another import may have the feed.
        self._due = asked + timedelta(seconds=BEAT_SECONDS)

    def check(self) -> None:
        """Make sure that the feed is still held, and renew the lease when that is due.

        Raises:
            LeaseLost: another import has begun.
        """
        if self._due is None:
            return

        def renew(ledger: LedgerTransaction) -> None:
            held = self.held_feed(ledger)
            ledger.put_feed(replace(held, running=self._running(self._services.now())))

        while self._services.now() >= self._due:
            asked = self._services.now()
            self._services.ledger.transact(renew)
            self._due = asked + timedelta(seconds=BEAT_SECONDS)
            # If the answer took longer than the lease, the lease may be over already: renew again.
            if self._services.now() - asked < self._services.deployment.lease:
                break

    def held_feed(self, ledger: LedgerTransaction) -> Feed:
        """Return the feed, which is still held.

        Raises:
            LeaseLost: another import has begun.
        """
        feed = ledger.feed_of(self._import)
        if feed.running is None or feed.running.owner != self._owner:
            self._due = datetime.min.replace(tzinfo=UTC)
            raise LeaseLost(
                f"Another import has begun while {self._import.import_id} was undone. "
                "Undo it again: some documents may not be changed yet."
            )
        return feed

    def release(self) -> None:
        """Let other imports begin, if Firestore answers. The index keeps its mark."""

        def release(ledger: LedgerTransaction) -> None:
            feed = ledger.feed_of(self._import)
            ledger.put_feed(without(feed, self._owner))

        if self._due is not None:
            with suppress(TryAgain):  # the lease ends automatically
                self._services.ledger.transact(release)

    def _running(self, now: datetime) -> Running:
        return Running(
            import_id=self._import.import_id,
            owner=self._owner,
            expires_at=now + self._services.deployment.lease,
        )
