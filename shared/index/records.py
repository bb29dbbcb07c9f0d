"""What an index records of the documents of one type: a record a key, sorted by the key's hash.

A record says what the pipeline has last written under a key, when, and which file has last held
it. It holds no text: a key is 128 bits of its hash, a document's content is 64.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.firestore.bulk import ENCODING
from shared.index.merge import Age
from shared.parsing import Keys, halves, hash64

RECORD = np.dtype(
    [
        ("high", "<u8"),
        ("low", "<u8"),
        ("content", "<u8"),
        ("updated", "<i8"),
        ("exported", "<i8"),
        ("generation", "<i8"),
    ]
)
"""48 bytes: the key, the content's hash, the update time in nanoseconds since 1970, and the age of
the latest file that held the key, its time of export in microseconds since 1970."""

BLOCK = 65_536
"""Records handled at a time, 3 MiB."""

UNKNOWN = 0
"""The content's hash where it is not known what is stored; no content has it."""

_OPAQUE = np.dtype(("V", RECORD.itemsize))
"""A record as numpy moves it fastest: in one piece."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Stamp = tuple[int, int]
"""An age as the index records it: time of export in microseconds since 1970, and generation."""

Stamps = tuple[int | NDArray[np.int64], int]
"""The ages of several documents of a file, all of one generation, or the one that all have."""

IndexRecords = NDArray[Any]
"""An array of `RECORD`, sorted by key, each key once."""

Places = NDArray[np.int64]
"""Documents of a file, by their places among its keys."""


def content_hashes(
    wires: Iterable[bytes], keep: Iterable[frozenset[str]], *, create_only: bool = False
) -> NDArray[np.uint64]:
    """Return what tells one content of each of some documents from another.

    It is of the bytes that would be written and of what the row leaves open, so that whatever
    makes a row mean something else (a setting, a mended schema) makes another hash of it. What a
    first load creates is never the same as what another file says.
    """
    key = f"doc{ENCODING:06}{'created' if create_only else 'written'}"
    contents = [
        wire + b"".join(b"\0" + path.encode() for path in sorted(paths)) if paths else wire
        for wire, paths in zip(wires, keep, strict=True)
    ]
    hashes = hash64(contents, key)
    return np.where(hashes == UNKNOWN, np.uint64(1), hashes)


class Table:
    """The documents of one file, and what is known of each; 49 bytes a document.

    A document is named by its place among the file's keys.
    """

    def __init__(self, keys: Keys) -> None:
        count = len(keys.high)
        self.keys = keys
        self.known = np.zeros(count, dtype=bool)
        """Whether there is a record of the document."""
        self._content = np.zeros(count, dtype=np.uint64)
        self._updated = np.zeros(count, dtype=np.int64)
        self._exported = np.zeros(count, dtype=np.int64)
        self._generation = np.zeros(count, dtype=np.int64)

    def learn(self, records: IndexRecords) -> None:
        """Take over what the index records of the documents of the file; leave the others."""
        places = find(self.keys, records)
        own = places >= 0
        places = places[own]
        records = records[own]
        self.known[places] = True
        self._content[places] = records["content"]
        self._updated[places] = records["updated"]
        self._exported[places] = records["exported"]
        self._generation[places] = records["generation"]

    def forget_contents(self, which: NDArray[np.bool_] | None = None) -> None:
        """Take it that nobody knows what is stored, of all documents or of those marked."""
        self._content[slice(None) if which is None else which] = UNKNOWN

    def content(self, place: int) -> int:
        """Return the hash of what is stored of a known document."""
        return int(self._content[place])

    def updated(self, place: int) -> int:
        """Return the update time of a known document, in nanoseconds."""
        return int(self._updated[place])

    def stamp(self, place: int) -> Stamp:
        """Return the age of the latest file that held a known document."""
        return int(self._exported[place]), int(self._generation[place])

    def compare(
        self, places: Places, contents: NDArray[np.uint64], stamp: Stamps
    ) -> tuple[NDArray[np.bool_], NDArray[np.int8]]:
        """Compare what a file of an age says of documents with what is known of them.

        Returns where the content is known to be the same, and whether the latest file that held
        the document is older (-1), that very file (0) or newer (1); of unknown ones, nothing true.
        """
        known = self.known[places]
        if not known.any():
            return known, np.zeros(len(places), np.int8)
        exported, generation = stamp
        its, own = self._exported[places], self._generation[places]
        age = np.where(its == exported, np.sign(own - generation), np.sign(its - exported))
        same = known & (self._content[places] == contents)
        return same, age.astype(np.int8)

    def updates(self, places: Places) -> NDArray[np.int64]:
        """Return the update times of known documents, in nanoseconds; 0 of all others."""
        return np.where(self.known[places], self._updated[places], 0)

    def put(
        self,
        which: int | Places,
        *,
        content: int | NDArray[np.uint64],
        updated: int | NDArray[np.int64],
        stamp: Stamps,
    ) -> None:
        """Record what is now known of a document, or of several."""
        self.known[which] = True
        self._content[which] = content
        self._updated[which] = updated
        self.confirm(which, stamp)

    def confirm(self, which: int | Places | NDArray[np.bool_], stamp: Stamps) -> None:
        """Record that a file of this age has held known documents, and nothing else of them."""
        self._exported[which], self._generation[which] = stamp

    def held_by(self, stamp: Stamps) -> NDArray[np.bool_]:
        """Mark the known documents that a file of just this age was the latest to hold."""
        exported, generation = stamp
        held: NDArray[np.bool_] = (
            self.known & (self._exported == exported) & (self._generation == generation)
        )
        return held

    def all_newer_than(self, stamp: Stamp) -> bool:
        """Whether a newer file than that is known to have held every document."""
        exported, generation = stamp
        newer = (self._exported > exported) | (
            (self._exported == exported) & (self._generation > generation)
        )
        return bool((newer & self.known).all())

    def records(self, start: int, stop: int) -> IndexRecords:
        """Return the records of the known documents among these places."""
        span = slice(start, stop)
        known = self.known[span]
        records = np.empty(int(known.sum()), dtype=RECORD)
        for name, column in (
            ("high", self.keys.high),
            ("low", self.keys.low),
            ("content", self._content),
            ("updated", self._updated),
            ("exported", self._exported),
            ("generation", self._generation),
        ):
            records[name] = column[span][known]
        return records


def find(keys: Keys, records: IndexRecords) -> NDArray[np.int64]:
    """Return the place of each record's key among the keys, -1 where it is not one of them."""
    places, there = _seek(keys, records)
    places[~there] = -1
    return places


def merged(
    blocks: Iterable[IndexRecords], table: Table, *, trusted: bool = True
) -> Iterator[IndexRecords]:
    """Give the records of the next index: those of the table, and the others of the present one.

    Args:
        blocks: the present index, in order.
        table: the documents of the file, as they are now.
        trusted: whether what the present index says of contents still holds.
    """
    done = 0
    for block in blocks:
        if not len(block):
            continue
        places, own = _seek(table.keys, block)
        others = block.view(_OPAQUE)[~own].view(RECORD)
        if not trusted:
            others["content"] = UNKNOWN
        upto = int(places[-1]) + int(own[-1])
        yield from _joined(others, places[~own], table, done, upto)
        done = upto
    if done < len(table.known):
        nothing = np.empty(0, dtype=RECORD)
        yield from _joined(nothing, np.empty(0, np.int64), table, done, len(table.known))


def dropped(blocks: Iterable[IndexRecords], keys: Iterable[str]) -> Iterator[IndexRecords]:
    """Give the records of an index without those of some keys."""
    gone = sorted({halves(key) for key in keys})
    table = Keys(
        np.array([high for high, _ in gone], dtype=np.uint64),
        np.array([low for _, low in gone], dtype=np.uint64),
    )
    for block in blocks:
        yield block[find(table, block) < 0]


def stamp_of(age: Age) -> Stamp:
    """Return an age as the index records it."""
    span = age[0] - _EPOCH
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds, age[1]


def age_of(stamp: Stamp) -> Age:
    """Return the age that the index records so."""
    return _EPOCH + timedelta(microseconds=stamp[0]), stamp[1]


def _joined(
    others: IndexRecords, places: NDArray[np.int64], table: Table, start: int, stop: int
) -> Iterator[IndexRecords]:
    """Give the table's records from `start` to `stop`, and others before the places they have."""
    taken = 0
    for first in range(start, max(stop, start + 1), BLOCK):
        last = min(first + BLOCK, stop)
        upto = len(others) if last == stop else int(np.searchsorted(places, last))
        records = table.records(first, last)
        if upto > taken:
            known = np.append(0, table.known[first:last].cumsum())
            where = known[places[taken:upto] - first]
            before, after = records.view(_OPAQUE), others[taken:upto].view(_OPAQUE)
            records = np.insert(before, where, after).view(RECORD)
            taken = upto
        if len(records):
            yield records


def _seek(keys: Keys, records: IndexRecords) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return for each record how many keys come before its key, and whether its key is a key.

    The keys are looked up among the records, because a small file has few of them.

    Example: of the keys 3 and 7, the records 2, 3 and 9 have 0, 0 and 2 before them; 3 is a key.
    """
    count = len(records)
    own = np.zeros(count, dtype=bool)
    if not count:
        return np.zeros(0, dtype=np.int64), own
    heads = np.ascontiguousarray(records["high"])
    first = int(np.searchsorted(keys.high, heads[0]))
    last = int(np.searchsorted(keys.high, heads[-1], "right"))
    high, low = keys.high[first:last], keys.low[first:last]
    places = np.searchsorted(heads, high)
    while True:
        at = np.minimum(places, count - 1)
        same = (places < count) & (heads[at] == high)
        behind = same & (records["low"][at] < low)
        if not behind.any():
            break
        places += behind
    own[places[same & (records["low"][at] == low)]] = True
    before = first + np.bincount(places, minlength=count + 1)[:count].cumsum()
    return before - own, own
