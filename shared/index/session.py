"""Use of the index by one attempt at an import: skip unchanged rows, leave the index of the next.

The index of a type is written by the last import that ended well; see `records`. The index is only
used to skip work. Every write still checks on the server that the document is as the index says.
A document is skipped only while no other import can have written it since.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shared.core import Problem, SplitLost, TryAgain, Undecidable
from shared.files.types import file_type
from shared.firestore.bulk import (
    DocumentReader,
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
from shared.index import objects
from shared.index.choice import first_merged
from shared.index.feed import Successor, following, latest_age, marked
from shared.index.merge import NEWER, OWN, decide, needs
from shared.index.part import IndexPart
from shared.index.reading import IndexReader
from shared.index.records import (
    UNKNOWN,
    Places,
    Stamp,
    Stamps,
    Table,
    age_of,
    content_hashes,
    merged,
    stamp_of,
)
from shared.index.source import Origin, fresh_sources, source_age, source_content
from shared.ledger import (
    Age,
    Claimed,
    Feed,
    Hold,
    Holder,
    Import,
    Index,
    LedgerTransaction,
    Span,
)
from shared.parsing import INCOMPLETE, Block, Incoming, Plan
from shared.services import Services


@dataclass(slots=True)
class SeenDocument:
    """A document that may have to be written, with its record in the index."""

    incoming: Incoming
    content: int
    """Hash of the content in the file."""
    confirmed: Age | None
    """Age of the latest file that is known to have held the document."""
    incomplete: bool = False
    """True if the document was incomplete in that file."""
    until: Age | None = None
    """Age of the latest file that may have held the document, if that is not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A block of documents, divided by their records in the index."""

    unchanged: Block
    """Documents without a change, which need no write."""
    referring: Block
    """Documents whose references must be looked up. They include all documents that are not in
    `unchanged`. The index may doubt a document of which no record was read; see `doubt`."""
    written: Block
    """Documents that an earlier task of this import has written."""
    expected: Expectations[SeenDocument]
    """Documents to write without a read first."""
    others: list[SeenDocument]
    """Documents to read before the write."""


class Indexing:
    """The index during one attempt at an import, from the first write to the end."""

    def __init__(
        self,
        services: Services,
        hold: Hold,
        plan: Plan,
        feed: Feed,
        *,
        origin: Origin,
        consent: frozenset[str],
        skip: bool,
        under: str,
        part: IndexPart | None = None,
    ) -> None:
        """Read the index and mark the feed as being written to.

        Args:
            services: ledger, bucket and clock.
            hold: the hold on the import.
            plan: the documents of the file.
            feed: the feed, read while the import has held it. That it has the same index is made
                sure of with the mark.
            origin: the file.
            consent: paths of the fields that hold consent.
            skip: True if unchanged documents may be skipped.
            under: the `fingerprint` of the code and settings that read the rows.
            part: the part of the index of a shard; None: all of it.

        Raises:
            Undecidable: the index is lost, and newer files may have confirmed rows of this file.
            SplitLost: `part` has changed since the file was split.
            TryAgain: Cloud Storage or Firestore could not be reached.
            LeaseLost: the import is no longer this worker's.
        """
        import_ = hold.import_
        if import_.type is None:
            raise ValueError("only export files are loaded")
        self._services = services
        self._hold = hold
        self._folder = objects.folder(import_.connection, import_.type)
        self._span: Span | None = None
        if part is not None:
            self._folder, self._span = part.prefix, part.span
        self._origin = origin
        self._layers = plan.exported
        self._exported = plan.exported[0] if plan.exported else None
        self._consent = consent
        self._create_only = create_only = import_.mode == "bulk"
        self.pace = feed.pace
        """Rate at which the type's documents were last written."""
        keys = plan.keys
        index = feed.index if part is None else part.index(feed, own=origin.age)
        parts = index.parts if index else ()
        self._records = IndexReader(services.bucket, span=self._span, tick=hold.check)
        self._reader = DocumentReader(
            services.documents,
            f"connections/{import_.connection}/{file_type(import_.type).collection}",
            mask=("source", INCOMPLETE),
        )
        self._first_merged = first_merged(parts, len(keys.high)) if part is None else 0
        in_order = part is None and self._is_in_order(feed, plan, under)
        table = self._records.learn(keys, parts, merged=self._first_merged, all_=not in_order)
        if table is None and part is not None:
            raise SplitLost("The index was lost in the meantime.")
        self._table = table or Table(keys)
        lost = index.newest if index is not None and table is None else None
        self._until = latest_age(feed.confirmed_until, lost)
        if not create_only and not import_.force:
            self._make_sure()
        self._index = index if table is not None else None
        doubted_until = index.doubted_until if index else None
        self._doubted_until = stamp_of(Age(doubted_until, 0))[0] * 1_000 if doubted_until else 0
        self._holder = part.mark(feed, under) if part else self._mark(import_, index, under)
        self._clean = self._holder.clean
        if not self._clean:
            if self._records.unread:
                raise TryAgain("The index has been marked in the meantime.")
            self._table.forget_contents()
        elif import_.replay and not self._holder.continued:
            # A replay writes again what this import wrote before the replay.
            self._table.forget_contents(self._table.held_by(self._stamp(slice(None))))
        self._confirmed = np.zeros(len(keys.high), dtype=bool)
        self._skip = skip and self._clean and not (create_only or import_.replay)
        self._read_next: set[int] = set()
        """Places of documents that the next file must read before it writes them: their stored
        consent is not what the file says."""
        self._doubted = np.zeros(len(keys.high), dtype=bool)
        # Documents may be stored that the index does not have. They are read before they are
        # written: a write that fails first would cost one more call.
        self._reads_unknown = self._index is None and feed.latest is not None

    def begin_layer(self, number: int) -> None:
        """Begin another layer of the file, after the one before has been written."""
        self._confirm()
        self._exported = self._layers[number] if self._layers else None

    def look(self, block: Block, written: Callable[[int, int], None]) -> Sighting:
        """Divide a block of documents by what is to be done about each.

        `written` is called with the number of documents that were written without a read first, and
        of the rows that they were made from.
        """
        table = self._table
        places = np.array(block.places, np.int64)
        contents = content_hashes(block.wires, block.keep, create_only=self._create_only)
        asked = self._ask(block, places)
        known = table.known[places]
        same, age = table.compare(places, contents, self._stamp(places))
        done = same & (age == 0)
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
            # The stored document may be from the same export, so it has to be read.
            expected[:] = False
        if block.incomplete:
            expected &= ~(known & np.array(block.incomplete, bool))
        expected &= ~(done | unchanged)
        others = np.flatnonzero(~(expected | done | unchanged)).tolist()
        return Sighting(
            unchanged=block.some(unchanged),
            referring=block.some(~unchanged | asked),
            written=block.some(done),
            expected=self._expectations(
                block.some(expected), contents[expected], updates[expected], written
            ),
            others=[self._seen(block[number], int(contents[number])) for number in others],
        )

    def _ask(self, block: Block, places: Places) -> NDArray[np.bool_]:
        """Ask Firestore for documents of which no record was read, and record the answers.

        Returns a mask of the documents that were asked for.

        Raises:
            TryAgain: Firestore could not be reached.
            LeaseLost: the import is no longer this worker's.
        """
        asked: NDArray[np.bool_] = ~self._table.known[places] & self._records.unread
        which = np.flatnonzero(asked).tolist()
        if which:
            self._hold.check()
            found = self._reader.read([block.keys[number] for number in which])
            for number, stored in zip(which, found, strict=True):
                if stored is not None:
                    self._take_answer(int(places[number]), stored)
        return asked

    def _take_answer(self, place: int, stored: Stored) -> None:
        """Record what a document says about itself in `source`."""
        content, updated = source_content(stored), nanoseconds(stored.update_time)
        if content == UNKNOWN:
            updated = 0  # the document has to be read before it is written
        elif updated <= self._doubted_until:
            content = UNKNOWN
        age = source_age(stored)
        self._table.put(
            place,
            content=content,
            updated=updated,
            stamp=(0, 0) if age is None else stamp_of(age),
            incomplete=_incomplete(stored),
        )

    def _expectations(
        self,
        block: Block,
        contents: NDArray[np.uint64],
        updates: NDArray[np.int64],
        written: Callable[[int, int], None],
    ) -> Expectations[SeenDocument]:
        places = np.array(block.places, np.int64)

        def settled(which: slice | list[int], updates: NDArray[np.int64]) -> None:
            these = places[which]
            stamp = self._stamp(these)
            incomplete = np.array(block.incomplete, bool)[which] if block.incomplete else False
            self._table.put(
                these,
                content=contents[which],
                updated=updates,
                stamp=stamp,
                incomplete=incomplete,
            )
            rows = (
                block.lines[which]
                if isinstance(which, slice)
                else [block.lines[at] for at in which]
            )
            written(len(rows), sum(map(len, rows)))

        return Expectations(
            keys=block.keys,
            wires=block.wires,
            sources=self._sources(block, contents),
            updates=updates.tolist(),
            document=lambda number: self._seen(block[number], int(contents[number])),
            written=settled,
        )

    def _seen(self, incoming: Incoming, content: int) -> SeenDocument:
        """Return a document for the writer to read and decide on."""
        table, place = self._table, incoming.place
        if table.known[place]:
            confirmed, incomplete = age_of(table.stamp(place)), bool(table.incomplete[place])
            return SeenDocument(incoming, content, confirmed, incomplete)
        # An age equal to this file's only says that an earlier task of this import had begun.
        age = self._origin_of(place).age
        until = self._until if self._until is not None and self._until < age else None
        return SeenDocument(incoming, content, None, incoming.incomplete, until)

    def decide(self, seen: SeenDocument, stored: Stored | None) -> Put | Leave:
        """Decide on a document that has been read; see `shared.index.merge.decide`."""
        origin = self._origin_of(seen.incoming.place)
        confirmed, until = seen.confirmed, seen.until
        if stored is not None and seen.incomplete != _incomplete(stored):
            # A complete document of any age has replaced the incomplete one of that file.
            confirmed = until = None
        decision = decide(
            seen.incoming,
            stored,
            origin=origin,
            consent=self._consent,
            create_only=self._create_only,
            confirmed=confirmed,
            until=until,
            content=seen.content,
        )
        if isinstance(decision, Put) and decision.only is None:
            source = decision.data.get("source")
            if source is not None and "content" not in source:
                self._read_next.add(seen.incoming.place)
        return decision

    def needs(self, seen: SeenDocument) -> frozenset[str]:
        """Return the paths of the stored fields that `decide` reads, besides `source`."""
        return needs(seen.incoming, self._consent)

    def _stamp(self, places: Places | NDArray[np.bool_] | slice) -> Stamps:
        """Return the ages of documents in the file."""
        if self._exported is None:
            return stamp_of(self._origin.age)
        return self._exported[places], self._origin.generation

    def _origin_of(self, place: int) -> Origin:
        """Return the origin of one document: the file, with the document's export time."""
        if self._exported is None:
            return self._origin
        exported_at, _ = age_of((int(self._exported[place]), 0))
        return replace(self._origin, exported_at=exported_at, corrected=True)

    def _confirm(self) -> None:
        """Record the file as the latest one that held its unchanged documents."""
        self._table.confirm(self._confirmed, self._stamp(self._confirmed))
        self._confirmed[:] = False

    def _ages(self) -> tuple[Age, Age]:
        """Return the ages of the oldest and the newest document in the file."""
        times = [layer[layer > 0] for layer in self._layers if layer.any()]
        if not times:
            return self._origin.age, self._origin.age
        oldest, newest = min(map(np.min, times)), max(map(np.max, times))
        generation = self._origin.generation
        return age_of((int(oldest), generation)), age_of((int(newest), generation))

    def _sources(self, block: Block, contents: NDArray[np.uint64]) -> list[bytes]:
        """Return the encoded field `source` of each document of a block; see `fresh_sources`."""
        lines = [lines_of_document[-1] for lines_of_document in block.lines]
        if self._exported is None:
            return fresh_sources(lines, block.keep, contents, self._origin, self._consent)
        return [
            fresh_sources(
                (line,), (keep,), contents[at : at + 1], self._origin_of(place), self._consent
            )[0]
            for at, (line, keep, place) in enumerate(
                zip(lines, block.keep, block.places, strict=True)
            )
        ]

    def settled(self, seen: SeenDocument, outcome: Outcome) -> None:
        """Record the outcome of one document in the table."""
        table, place = self._table, seen.incoming.place
        match outcome:
            case Written(update_time, stored=None):
                stamp = stamp_of(self._origin_of(place).age)
                incomplete = seen.incoming.incomplete
                if self._create_only:
                    stamp = self._latest(place, stamp, incomplete)
                read_next = place in self._read_next
                table.put(
                    place,
                    content=UNKNOWN if read_next else seen.content,
                    updated=0 if read_next else nanoseconds(update_time),
                    stamp=stamp,
                    incomplete=incomplete,
                )
            case Written(update_time, stored=Stored() as stored):  # filled open fields only
                self._newer(place, stored, nanoseconds(update_time))
            case Left(reason, Stored() as stored) if reason == OWN:
                # Written by an earlier attempt, with the same content if no other import wrote.
                table.put(
                    place,
                    content=seen.content if self._clean else UNKNOWN,
                    updated=nanoseconds(stored.update_time),
                    stamp=stamp_of(self._origin_of(place).age),
                    incomplete=seen.incoming.incomplete,
                )
            case Left(reason, stored) if reason == NEWER:
                if stored is None:
                    self._newer(place, None, 0)
                elif nanoseconds(stored.update_time) != table.updated(place):
                    self._newer(place, stored, nanoseconds(stored.update_time))
            case Left() | Refused():
                pass

    def doubt(self, places: Sequence[int]) -> None:
        """Mark documents so that the next file that holds them writes them again."""
        self._doubted[np.array(places, np.int64)] = True

    def successor(self) -> Successor:
        """Write the index of this import's end.

        Raises:
            TryAgain: Cloud Storage could not be reached.
            LeaseLost: the import is no longer this worker's.
        """
        self._confirm()
        self._table.forget_contents(self._doubted)
        return self._write(None)

    def checkpoint(self) -> Successor:
        """Write a checkpoint: the present index, for the next task of this import.

        Documents that this task has found unchanged are not recorded: the next task finds them
        unchanged again.

        Raises:
            TryAgain: Cloud Storage could not be reached.
            LeaseLost: the import is no longer this worker's.
        """
        return self._write(replace(self._holder, clean=True, continued=True))

    # -- the present index --------------------------------------------------------------------

    def _is_in_order(self, feed: Feed, plan: Plan, under: str) -> bool:
        """Return True if the file is newer than everything that the index can know about.

        Then a document without a record is asked for what it says about itself. In all other cases
        only the index can say which documents newer files have left as they were.
        """
        import_, age, index = self._hold.import_, self._origin.age, feed.index
        if index is None or import_.mode == "bulk" or import_.replay or import_.force:
            return False
        if plan.exported or (feed.confirmed_until is not None and age <= feed.confirmed_until):
            return False
        _, mark = marked(feed, import_, read=index, index=index, until=None, under=under)
        return mark.clean and index.newest < age

    def _write(self, holder: Holder | None) -> Successor:
        before = self._index
        parts = before.parts if before else ()
        first = self._first_merged if self._clean else 0
        blocks = merged(self._records.blocks(parts[first:]), self._table, trusted=self._clean)
        part = objects.write(self._services.bucket, self._folder, blocks, tick=self._hold.check)
        if self._span is not None:
            part = replace(part, first=self._span.first, last=self._span.last)
        index = following(
            before,
            parts=(*parts[:first], part),
            newest=self._origin.age,
            clean=self._clean,
            now=self._services.now(),
        )
        return Successor(before, self._holder, index, holder)

    def _make_sure(self) -> None:
        """Check that no newer file may have confirmed rows of this file unrecorded.

        Raises:
            Undecidable: the index was lost after a newer file had been loaded.
        """
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
        """Mark the feed as being written to; return the mark, which tells if the index is valid."""
        until = self._until
        held: Holder | None = None

        def mark(ledger: LedgerTransaction, current: Claimed) -> Claimed:
            nonlocal held
            feed = ledger.feed(import_.connection, str(import_.type))
            feed, held = marked(
                feed, current.import_, read=read, index=self._index, until=until, under=under
            )
            ledger.put_feed(feed)
            return current

        self._hold.change(mark)
        assert held is not None
        return held

    def _newer(self, place: int, stored: Stored | None, updated: int) -> None:
        """Record that a document was written by a newer file, with unknown content."""
        table = self._table
        age = source_age(stored) if stored is not None else None
        if stored is not None and age is not None:
            incomplete = _incomplete(stored)
            stamp = self._latest(place, stamp_of(age), incomplete)
        elif table.known[place]:
            stamp, incomplete = table.stamp(place), bool(table.incomplete[place])
        else:
            return
        table.put(place, content=UNKNOWN, updated=updated, stamp=stamp, incomplete=incomplete)

    def _latest(self, place: int, stamp: Stamp, incomplete: bool) -> Stamp:
        """Return `stamp`, or the recorded age if that is later and of as complete a document."""
        table = self._table
        if not table.known[place] or table.incomplete[place] != incomplete:
            return stamp
        return max(stamp, table.stamp(place))


def holds_content(stored: Stored, incoming: Incoming) -> bool:
    """True if a document was written whole with the content that a file has."""
    (content,) = content_hashes((incoming.wire,), (incoming.keep,))
    return source_content(stored) == int(content)


def _incomplete(stored: Stored) -> bool:
    return stored.data.get(INCOMPLETE) is True
