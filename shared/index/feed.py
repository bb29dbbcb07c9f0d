"""The index in a feed: its mark while an import writes, its replacement, and forgotten records.

A feed points at the index of its type. An import marks the feed before its first write. At its end
the import replaces the index, and with it the mark. Another import that finds the mark knows that
documents may have been written which the index does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from shared.core import TryAgain, log
from shared.gcp.storage import Unusable
from shared.index import objects
from shared.index.records import dropped
from shared.ledger import (
    Age,
    Feed,
    Holder,
    Import,
    Index,
    LedgerTransaction,
    Paced,
    StateObject,
)
from shared.services import Services


@dataclass(frozen=True, slots=True)
class Successor:
    """The index that an import or a task leaves: written, but no feed points at it yet."""

    before: Index | None
    """The index that it replaces."""
    mark: Holder | None
    """The feed's mark while the recorded documents were written."""
    after: Index
    holder: Holder | None
    """The mark of the task that continues; None at the import's end."""
    pace: Paced | None = None
    """Rate at which documents were written; None leaves the feed's rate unchanged."""

    def installed_in(self, feed: Feed) -> Feed:
        """Return the feed with the new index.

        Raises:
            TryAgain: the feed no longer has the old index, or another import has written since.
        """
        if (feed.index, feed.index_held_by) != (self.before, self.mark):
            raise TryAgain("The index has been replaced in the meantime.")
        pace = self.pace or feed.pace
        return replace(feed, index=self.after, index_held_by=self.holder, pace=pace)

    def clean_up(self, services: Services) -> None:
        """Delete the objects of the index that are no longer in it."""
        for part in self.before.parts if self.before else ():
            if part not in self.after.parts:
                objects.delete(services.bucket, part)


def following(
    before: Index | None,
    *,
    parts: tuple[StateObject, ...],
    newest: Age,
    clean: bool,
    now: datetime,
) -> Index:
    """Return the index that an import leaves.

    Args:
        before: the index that it replaces.
        parts: the objects of the index.
        newest: the age of the file.
        clean: False if the import has found the mark of another import.
        now: the time.
    """
    doubted_until = before.doubted_until if before else None
    return Index(
        parts=parts,
        newest=newest if before is None else max(before.newest, newest),
        doubted_until=doubted_until if clean else now,
    )


def marked(
    feed: Feed,
    import_: Import,
    *,
    read: Index | None,
    index: Index | None,
    until: Age | None,
    under: str,
) -> tuple[Feed, Holder]:
    """Return the feed, marked as being written to by an import, and the mark.

    Args:
        feed: the feed, as it is.
        import_: the import that is going to write.
        read: the feed's index, as it was read.
        index: the same, or None if the index is lost.
        until: the age of the latest file in a lost index.
        under: the `fingerprint` of the code and settings that read the rows.

    Raises:
        TryAgain: the feed no longer has the index that was read.
    """
    if feed.index != read:
        raise TryAgain("The index has been replaced in the meantime.")
    holder = Holder(
        import_id=import_.import_id, generation=import_.generation, under=under, clean=True
    )
    before = feed.index_held_by
    continued = before is not None and before.continued
    same = before == replace(holder, continued=continued)
    held = replace(holder, clean=before is None or same, continued=same and continued)
    return replace(feed, index=index, index_held_by=held, confirmed_until=until), held


def look_at(
    feed: Feed, services: Services, *, tick: Callable[[], None]
) -> tuple[Index | None, Age | None]:
    """Return a feed's index (None if it is lost) and the age that `marked` takes as `until`.

    `tick` is called before each part is checked.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    index = feed.index
    for part in index.parts if index else ():
        tick()
        if not objects.usable(services.bucket, part):
            say_lost(part.object)
            return None, latest_age(feed.confirmed_until, index.newest if index else None)
    return index, feed.confirmed_until


def forget(services: Services, connection: str, type: str, keys: Sequence[str]) -> None:
    """Remove the records of some documents from the index of a type.

    A document without a record is written again by the next file that holds it, even by an old file
    that arrives late.

    Raises:
        TryAgain: a file of the type is being loaded, or a service could not be reached.
    """
    feed = services.ledger.feed(connection, type)
    _make_sure_of_rest(feed, services)
    before = feed.index
    if before is None:
        return

    blocks = objects.layered(before.parts, partial(objects.read, services.bucket))
    try:
        part = objects.write(
            services.bucket, objects.folder(connection, type), dropped(blocks, keys)
        )
    except Unusable:
        return  # the index is lost already, and the next import handles that
    after = replace(before, parts=(part,))

    def point(ledger: LedgerTransaction) -> None:
        current = ledger.feed(connection, type)
        if current.index == after:
            return  # an earlier attempt of this transaction succeeded, but its answer was lost
        _make_sure_of_rest(current, services)
        if current.index != before:
            raise TryAgain("The index has been replaced in the meantime.")
        ledger.put_feed(replace(current, index=after))

    services.ledger.transact(point)
    for old in before.parts:
        objects.delete(services.bucket, old)


def _make_sure_of_rest(feed: Feed, services: Services) -> None:
    running = feed.live(services.now())
    if running is not None:
        raise TryAgain(f"{running} is being loaded.")


def say_lost(object: str) -> None:
    """Log that an index is lost, at this object."""
    log(
        "ERROR",
        "The index is lost or was changed: every row will be compared and written again.",
        object=object,
    )


def latest_age(*ages: Age | None) -> Age | None:
    """Return the latest of these ages; None if there is none."""
    return max((age for age in ages if age is not None), default=None)
