"""What an attempt knows of its documents without reading them, and what it leaves to the next.

The index of a type is what the last import that ended well has left: see `records`. It is
never believed about what is stored: every write is on condition that it was right. It is believed
about what need not be written, and that only while nobody can have written since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.core import Problem, TryAgain, Undecidable, log
from shared.firestore.bulk import (
    Expectations,
    Leave,
    Left,
    Outcome,
    Put,
    Refused,
    Stored,
    Written,
    nanoseconds,
)
from shared.gcp.storage import Unusable
from shared.index import objects
from shared.index.merge import NEWER, OWN, Age, Origin, decide, fresh_sources, needs, source_age
from shared.index.records import (
    UNKNOWN,
    IndexRecords,
    Places,
    Stamps,
    Table,
    age_of,
    content_hashes,
    dropped,
    merged,
    stamp_of,
)
from shared.ledger import (
    Feed,
    Hold,
    Holder,
    Import,
    Index,
    LedgerTransaction,
    Newest,
    Paced,
    Span,
    StateObject,
)
from shared.parsing import Block, Incoming, Keys
from shared.services import Services

PROGRAM = ("core", "files", "firestore", "index", "loading", "parsing")
"""The packages whose source decides what becomes of a row. A change in any of them has every row
compared with its document again; one in a page, a report or a command does not."""


@dataclass(slots=True)
class SeenDocument:
    """A document that is to be written, with what the index says of it."""

    incoming: Incoming
    content: int
    """The hash of what the file says."""
    confirmed: Age | None
    """The age of the latest file that is known to have held it."""


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A block of documents, with what the index says of them."""

    unchanged: Block
    """Those of which nothing has changed."""
    changed: Block
    """All others; each of them is also in one of these."""
    written: Block
    """Those that an earlier task of this import has written."""
    expected: Expectations[SeenDocument]
    """What to write without reading."""
    others: list[SeenDocument]
    """Those of which nothing can be expected."""


@dataclass(frozen=True, slots=True)
class Successor:
    """The index that an import or a task leaves, written but not pointed at yet."""

    before: Index | None
    mark: Holder | None
    """The mark under which the documents were written that it tells of."""
    after: Index
    holder: Holder | None
    """Who goes on writing; None at the import's end."""
    pace: Paced | None = None
    """How fast documents have been written; None where nobody had to know."""

    def settle(self, feed: Feed) -> Feed:
        """Return the feed that points at it.

        Raises:
            TryAgain: the index that it was made from is no longer the feed's, or another import
                has written since.
        """
        if (feed.index, feed.index_held_by) != (self.before, self.mark):
            raise TryAgain("The index has been replaced in the meantime.")
        pace = self.pace or feed.pace
        return replace(feed, index=self.after, index_held_by=self.holder, pace=pace)

    def clean_up(self, services: Services) -> None:
        """Remove the index that it has replaced."""
        for part in self.before.parts if self.before else ():
            objects.delete(services.bucket, part)


class Indexing:
    """The index, as one attempt at an import uses it: from its first write to its end."""

    def __init__(
        self,
        services: Services,
        hold: Hold,
        *,
        keys: Keys,
        origin: Origin,
        consent: frozenset[str],
        create_only: bool,
        skip: bool,
        under: str,
        exported: Sequence[NDArray[np.int64]] = (),
    ) -> None:
        """Read the index and mark the feed as about to be written to.

        Args:
            services: everything outside.
            hold: the hold on the import.
            keys: the keys of the documents that the file holds.
            origin: the file.
            consent: paths of the fields that hold consent.
            create_only: the file creates documents and never changes one.
            skip: whether what has not changed may be left out.
            under: the `fingerprint` of what the rows are read with.
            exported: layer -> when what it says of each document was exported, see
                `shared.parsing.plan.Plan`; empty where all documents are as old as the file.

        Raises:
            Undecidable: the index was lost, and nobody can tell what newer files have confirmed.
            TryAgain: Cloud Storage or Firestore could not be reached.
            LeaseLost: the import is no longer this worker's.
        """
        import_ = hold.import_
        if import_.type is None:
            raise ValueError("only export files are loaded")
        self._services = services
        self._hold = hold
        self._folder = objects.folder(import_.connection, import_.type)
        self._origin = origin
        self._layers = exported
        self._exported = exported[0] if exported else None
        self._consent = consent
        self._create_only = create_only
        feed = self._feed_before(import_.connection, import_.type)
        self.pace = feed.pace
        """How fast the documents were written last."""
        index = feed.index
        table = self._learn(keys, index)
        self._table = table or Table(keys)
        lost = index.newest if index is not None and table is None else None
        self._until = _latest(feed.confirmed_until, lost)
        if not create_only and not import_.force:
            self._make_sure()
        self._index = index if table is not None else None
        self._holder = self._mark(import_, index, under)
        self._clean = self._holder.clean
        if not self._clean:
            self._table.forget_contents()
        elif import_.replay and not self._holder.continued:
            # What this import has written when it was not a replay is to be written again.
            self._table.forget_contents(self._table.held_by(self._stamp(slice(None))))
        self._confirmed = np.zeros(len(keys.high), dtype=bool)
        self._skip = skip and self._clean and not (create_only or import_.replay)
        self._read_next: set[int] = set()
        """Documents that must not be written without reading them: their consent was withdrawn at
        a later time than they were exported."""
        self._doubted = np.zeros(len(keys.high), dtype=bool)
        # Where documents may be of which the index says nothing, they are read before they are
        # written: to find out by a write that fails would cost one more call.
        self._reads_unknown = self._index is None and feed.latest is not None

    def begin_layer(self, number: int) -> None:
        """Go on to what another layer of the file says, once the one before is settled."""
        self._confirm()
        self._exported = self._layers[number] if self._layers else None

    def look(self, block: Block, written: Callable[[Block], None]) -> Sighting:
        """Say what is to be done about a block of documents.

        `written` is told which of them have been written as expected.
        """
        table = self._table
        places = np.array(block.places, np.int64)
        contents = content_hashes(block.wires, block.keep, create_only=self._create_only)
        known = table.known[places]
        same, age = table.compare(places, contents, self._stamp(places))
        mine = same & (age == 0)
        unchanged = same & (age < 0) if self._skip else np.zeros(len(block), bool)
        self._confirmed[places[unchanged]] = True
        updates = table.updates(places)
        if self._create_only:
            expected = ~known
        else:
            open_ = np.fromiter(map(bool, block.keep), bool, len(block))
            expected = known & (age < 0) & (updates != 0) & ~open_
            if not self._reads_unknown:
                expected |= ~known
        if self._exported is not None and not self._create_only:
            # What is stored may be of the same export, and then it has a say.
            expected[:] = False
        if block.incomplete:
            expected &= ~(known & np.array(block.incomplete, bool))
        expected &= ~(mine | unchanged)
        others = np.flatnonzero(~(expected | mine | unchanged)).tolist()
        return Sighting(
            unchanged=block.some(unchanged),
            changed=block.some(~unchanged),
            written=block.some(mine),
            expected=self._expectations(
                block.some(expected), contents[expected], updates[expected], written
            ),
            others=[self._seen(block[at], int(contents[at])) for at in others],
        )

    def _expectations(
        self,
        block: Block,
        contents: NDArray[np.uint64],
        updates: NDArray[np.int64],
        written: Callable[[Block], None],
    ) -> Expectations[SeenDocument]:
        places = np.array(block.places, np.int64)

        def settled(which: slice | list[int], updates: NDArray[np.int64]) -> None:
            own = places[which]
            self._table.put(own, content=contents[which], updated=updates, stamp=self._stamp(own))
            written(block.part(which))

        return Expectations(
            keys=block.keys,
            wires=block.wires,
            sources=self._sources(block),
            updates=updates.tolist(),
            document=lambda at: self._seen(block[at], int(contents[at])),
            written=settled,
        )

    def _seen(self, incoming: Incoming, content: int) -> SeenDocument:
        """Return a document as the writer is to have it, to be read and decided on."""
        table, place = self._table, incoming.place
        if table.known[place]:
            return SeenDocument(incoming, content, age_of(table.stamp(place)))
        # Of the very age of this file, it only says that an earlier task of it had begun.
        age = self._origin_of(place).age
        until = self._until if self._until is not None and self._until < age else None
        return SeenDocument(incoming, content, until)

    def decide(self, seen: SeenDocument, stored: Stored | None) -> Put | Leave:
        """Say what to do about a document that has been read; see `shared.index.merge.decide`."""
        origin = self._origin_of(seen.incoming.place)
        decision = decide(
            seen.incoming,
            stored,
            origin=origin,
            consent=self._consent,
            create_only=self._create_only,
            confirmed=seen.confirmed,
        )
        if isinstance(decision, Put):
            kept = decision.data.get("source", {}).get("kept", {})
            if any(kept[path] > origin.exported_at for path in self._consent & kept.keys()):
                # The next file, too, has to read what it may not change.
                self._read_next.add(seen.incoming.place)
        return decision

    def needs(self, seen: SeenDocument) -> frozenset[str]:
        """Return the paths of the stored fields that `decide` looks at, besides `source`."""
        return needs(seen.incoming, self._consent)

    def _stamp(self, places: Places | NDArray[np.bool_] | slice) -> Stamps:
        """Return the ages of what the file says of documents."""
        if self._exported is None:
            return stamp_of(self._origin.age)
        return self._exported[places], self._origin.generation

    def _origin_of(self, place: int) -> Origin:
        """Return the file, as old as what it says of a document."""
        if self._exported is None:
            return self._origin
        exported_at, _ = age_of((int(self._exported[place]), 0))
        return replace(self._origin, exported_at=exported_at, corrected=True)

    def _confirm(self) -> None:
        """Record that the file has held what it was found to have left unchanged."""
        self._table.confirm(self._confirmed, self._stamp(self._confirmed))
        self._confirmed[:] = False

    def _ages(self) -> tuple[Age, Age]:
        """Return the age of the oldest and of the newest that the file says of any document."""
        said = [layer[layer > 0] for layer in self._layers if layer.any()]
        if not said:
            return self._origin.age, self._origin.age
        oldest, newest = min(map(np.min, said)), max(map(np.max, said))
        generation = self._origin.generation
        return age_of((int(oldest), generation)), age_of((int(newest), generation))

    def _sources(self, block: Block) -> list[bytes]:
        """Return what `fresh_sources` makes of the documents of a block."""
        lines = [of[-1] for of in block.lines]
        if self._exported is None:
            return fresh_sources(lines, block.keep, self._origin, self._consent)
        return [
            fresh_sources((line,), (keep,), self._origin_of(place), self._consent)[0]
            for line, keep, place in zip(lines, block.keep, block.places, strict=True)
        ]

    def settled(self, seen: SeenDocument, outcome: Outcome) -> None:
        """Record what has become of a document."""
        table, place = self._table, seen.incoming.place
        match outcome:
            case Written(update_time, stored=None):
                stamp = stamp_of(self._origin_of(place).age)
                if self._create_only and table.known[place]:
                    stamp = max(stamp, table.stamp(place))
                read_next = place in self._read_next
                updated = 0 if read_next else nanoseconds(update_time)
                content = UNKNOWN if read_next else seen.content
                table.put(place, content=content, updated=updated, stamp=stamp)
            case Written(update_time, stored=Stored() as stored):  # filled in what was open
                self._newer(place, stored, nanoseconds(update_time))
            case Left(reason, Stored() as stored) if reason == OWN:
                # Written by an earlier attempt: this one would write the same, if it is as clean.
                content = seen.content if self._clean else UNKNOWN
                updated = nanoseconds(stored.update_time)
                stamp = stamp_of(self._origin_of(place).age)
                table.put(place, content=content, updated=updated, stamp=stamp)
            case Left(reason, stored) if reason == NEWER:
                if stored is None:
                    self._newer(place, None, 0)
                elif nanoseconds(stored.update_time) != table.updated(place):
                    self._newer(place, stored, nanoseconds(stored.update_time))
            case Left() | Refused():
                pass

    def doubt(self, places: Sequence[int]) -> None:
        """Have documents written again by the next file that holds them, whatever that says."""
        self._doubted[np.array(places, np.int64)] = True

    def successor(self) -> Successor:
        """Write the index as it is after this import.

        Raises:
            TryAgain: Cloud Storage could not be reached.
            LeaseLost: the import is no longer this worker's.
        """
        self._confirm()
        self._table.forget_contents(self._doubted)
        return self._write(None)

    def checkpoint(self) -> Successor:
        """Write the index as it is now, for the next task of this import to go on from.

        What this task has found unchanged is not in it: the next one finds it unchanged again.

        Raises:
            TryAgain: Cloud Storage could not be reached.
            LeaseLost: the import is no longer this worker's.
        """
        return self._write(replace(self._holder, clean=True, continued=True))

    # -- what there is before -----------------------------------------------------------------

    _span: Span | None = None
    """The keys that it is about; None: all."""

    def _feed_before(self, connection: str, type: str) -> Feed:
        return self._services.ledger.feed(connection, type)

    def _learn(self, keys: Keys, index: Index | None) -> Table | None:
        """Return what the index says of these keys; None where it is lost."""
        table = Table(keys)
        try:
            for part in index.parts if index else ():
                for block in self._read(part):
                    table.learn(block)
        except Unusable as error:
            _say_lost(str(error))
            return None
        return table

    def _read(self, part: StateObject) -> Iterator[IndexRecords]:
        return objects.read(self._services.bucket, part, span=self._span, tick=self._hold.check)

    # -- small parts --------------------------------------------------------------------------

    def _write(self, holder: Holder | None) -> Successor:
        before = self._index
        blocks = merged(self._blocks(before), self._table, trusted=self._clean)
        part = objects.write(self._services.bucket, self._folder, blocks, tick=self._hold.check)
        exported_at, generation = self._origin.age
        own = Newest(exported_at=exported_at, generation=generation)
        newest = own if before is None or _age(before.newest) < _age(own) else before.newest
        return Successor(before, self._holder, Index(parts=(part,), newest=newest), holder)

    def _make_sure(self) -> None:
        """Refuse a file of which newer ones may have confirmed what is no longer known."""
        until = self._until
        oldest, newest = self._ages()
        if until is None or until <= oldest or self._table.all_newer_than(stamp_of(newest)):
            return
        raise Undecidable(
            Problem(
                code="system.index_lost",
                message=(
                    "What newer files have confirmed of the rows of this file is not known: the "
                    "index was lost after files exported up to "
                    f"{until[0]:%Y-%m-%dT%H:%M:%SZ} had been loaded."
                ),
            )
        )

    def _mark(self, import_: Import, read: Index | None, under: str) -> Holder:
        """Mark the feed as being written to; the mark says whether the index is still the truth."""
        until = self._until
        held: Holder | None = None

        def mark(ledger: LedgerTransaction, current: Import) -> Import:
            nonlocal held
            feed = ledger.feed(import_.connection, str(import_.type))
            feed, held = marked(
                feed, current, read=read, index=self._index, until=until, under=under
            )
            ledger.put_feed(feed)
            return current

        self._hold.change(mark)
        assert held is not None
        return held

    def _newer(self, place: int, stored: Stored | None, updated: int) -> None:
        """Record of a document of a newer file that something else is stored than was thought."""
        stamps = [self._table.stamp(place)] if self._table.known[place] else []
        age = source_age(stored) if stored is not None else None
        if age is not None:
            stamps.append(stamp_of(age))
        if stamps:
            self._table.put(place, content=UNKNOWN, updated=updated, stamp=max(stamps))

    def _blocks(self, index: Index | None) -> Iterator[IndexRecords]:
        try:
            for part in index.parts if index else ():
                yield from self._read(part)
        except Unusable as error:
            raise TryAgain("The index was lost in the meantime.") from error


def marked(
    feed: Feed,
    import_: Import,
    *,
    read: Index | None,
    index: Index | None,
    until: Age | None,
    under: str,
) -> tuple[Feed, Holder]:
    """Return the feed as being written to by an import, and the mark that says so.

    Args:
        feed: the feed, as it is.
        import_: who is going to write.
        read: the feed's index, as it was read.
        index: that, or None where it is lost.
        until: the age of the latest file that a lost index knew of.
        under: the `fingerprint` of what the rows are read with.

    Raises:
        TryAgain: the index is no longer the one that was read.
    """
    if feed.index != read:
        raise TryAgain("The index has been replaced in the meantime.")
    mine = Holder(
        import_id=import_.import_id, generation=import_.generation, under=under, clean=True
    )
    before = feed.index_held_by
    continued = before is not None and before.continued
    mine_too = before == replace(mine, continued=continued)
    held = replace(mine, clean=before is None or mine_too, continued=mine_too and continued)
    newest = until and Newest(exported_at=until[0], generation=until[1])
    return replace(feed, index=index, index_held_by=held, confirmed_until=newest), held


def look_at(
    feed: Feed, services: Services, *, tick: Callable[[], None]
) -> tuple[Index | None, Age | None]:
    """Return a feed's index, None where it is lost, and the age that `marked` takes as `until`.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    index = feed.index
    for part in index.parts if index else ():
        tick()
        if not objects.usable(services.bucket, part):
            _say_lost(part.object)
            return None, _latest(feed.confirmed_until, index.newest if index else None)
    return index, _latest(feed.confirmed_until)


def fingerprint(*parts: object) -> str:
    """Return what the same rows come out the same under: the program, and these settings."""
    hasher = hashlib.blake2b(_program(), digest_size=16)
    for part in parts:
        hasher.update(repr(part).encode() + b"\0")
    return hasher.hexdigest()


def forget(services: Services, connection: str, type: str, keys: Sequence[str]) -> None:
    """Drop what the index of a type remembers of some documents.

    A document of which nothing is remembered is written again by the next file that holds it,
    also by an old one that comes late.

    Raises:
        TryAgain: a file of the type is being loaded, or something could not be reached.
    """
    feed = services.ledger.feed(connection, type)
    _make_sure_of_rest(feed, services)
    before = feed.index
    if before is None:
        return

    def blocks() -> Iterator[IndexRecords]:
        for part in before.parts:
            yield from objects.read(services.bucket, part)

    try:
        part = objects.write(
            services.bucket, objects.folder(connection, type), dropped(blocks(), keys)
        )
    except Unusable:
        return  # nobody uses it any more, and the next import finds that out
    after = replace(before, parts=(part,))

    def point(ledger: LedgerTransaction) -> None:
        current = ledger.feed(connection, type)
        if current.index == after:
            return  # an earlier try, whose answer was lost
        _make_sure_of_rest(current, services)
        if current.index != before:
            raise TryAgain("The index has been replaced in the meantime.")
        ledger.put_feed(replace(current, index=after))

    services.ledger.transact(point)
    for old in before.parts:
        objects.delete(services.bucket, old)


def _say_lost(object: str) -> None:
    log(
        "ERROR",
        "The index is lost or was changed: every row will be compared and written anew.",
        object=object,
    )


def _make_sure_of_rest(feed: Feed, services: Services) -> None:
    running = feed.live(services.now())
    if running is not None:
        raise TryAgain(f"{running} is being loaded.")


def _latest(*ages: Newest | None) -> Age | None:
    return max((_age(age) for age in ages if age is not None), default=None)


def _age(newest: Newest) -> Age:
    # The client's own kind of datetime is one that no document takes.
    return age_of(stamp_of((newest.exported_at, newest.generation)))


@cache
def _program() -> bytes:
    """Return a hash of the source that decides what becomes of a row."""
    hasher = hashlib.blake2b(digest_size=32)
    root = Path(__file__).parents[1]
    for folder in PROGRAM:
        for path in sorted((root / folder).rglob("*.py")):
            hasher.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return hasher.digest()
