"""Records of an index: one record per document of a type, sorted by the hash of its key.

A record has the last write of a document and the latest file that held the document. It holds no
text: a key is 128 bits of hash, a document's content 64 bits.

Example: the file of 24 April holds the customer `65432` unchanged. Then `exported` becomes that
day's, while `content` and `updated` are those of the write of 20 April.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.firestore.bulk import ENCODING
from shared.ledger import Age
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
"""One record, 48 bytes.

| field | meaning |
|---|---|
| high, low | hash of the key, 128 bits |
| content | hash of the content as it was written; `UNKNOWN` if something else may be stored |
| updated | the document's update time, in nanoseconds since 1970; 0 if it is not known |
| exported | export time of the latest file that held the key, in microseconds since 1970 |
| generation | generation of that file; negative if the document was incomplete in it |
"""

BLOCK = 16_384
"""Records handled at a time, 0.75 MiB. A larger block would get new memory, which takes longer."""

UNKNOWN = 0
"""Hash of an unknown content; no content has this hash."""

_OPAQUE = np.dtype(("V", RECORD.itemsize))
"""A record as numpy moves it fastest: in one piece."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Stamp = tuple[int, int]
"""An age in numbers: export time in microseconds since 1970, and generation."""

Stamps = tuple[int | NDArray[np.int64], int]
"""Ages of several documents of one generation: an export time for each, or one for all."""

IndexRecords = NDArray[Any]
"""An array of `RECORD`, sorted by key, each key once."""

Places = NDArray[np.int64]
"""Documents of a file, as positions in its sorted keys."""


def content_hashes(
    wires: Iterable[bytes], keep: Sequence[frozenset[str]], *, create_only: bool = False
) -> NDArray[np.uint64]:
    """Return a hash of each document's content, never `UNKNOWN`.

    The hash covers the bytes that would be written and the paths of open fields. So a change of a
    setting or a type that changes the document changes the hash, too. A first load has other
    hashes than any other file, so that none of its documents counts as unchanged.

    Args:
        wires: per document, its encoded fields.
        keep: per document, the paths of the fields that it leaves open.
        create_only: True for a first load (`bulk/`).
    """
    key = f"doc{ENCODING:06}{'created' if create_only else 'written'}"
    ends = {paths: b"".join(b"\0" + path.encode() for path in sorted(paths)) for paths in {*keep}}
    contents = [wire + ends[paths] for wire, paths in zip(wires, keep, strict=True)]
    hashes = hash64(contents, key)
    return np.where(hashes == UNKNOWN, np.uint64(1), hashes)


class Table:
    """The documents of one file and the index's records of them, 50 bytes per document.

    A document is named by its place: its position in the file's sorted keys.
    """

    def __init__(self, keys: Keys) -> None:
        count = len(keys.high)
        self.keys = keys
        self.known = np.zeros(count, dtype=bool)
        """Per document, True if it has a record."""
        self.incomplete = np.zeros(count, dtype=bool)
        """Per document, True if it was incomplete in the latest file that held it."""
        self._content = np.zeros(count, dtype=np.uint64)
        self._updated = np.zeros(count, dtype=np.int64)
        self._exported = np.zeros(count, dtype=np.int64)
        self._generation = np.zeros(count, dtype=np.int64)

    def learn(self, records: IndexRecords) -> None:
        """Store the records of documents that have none; ignore all others."""
        first, rows, same = _search(self.keys, records)
        found = np.flatnonzero(same)
        found = found[~self.known[first + found]]
        places = first + found
        records = records[rows[found]]
        self.known[places] = True
        self._content[places] = records["content"]
        self._updated[places] = records["updated"]
        self._exported[places] = records["exported"]
        self._generation[places] = np.abs(records["generation"])
        self.incomplete[places] = records["generation"] < 0

    def forget_contents(self, which: NDArray[np.bool_] | None = None) -> None:
        """Set the content of all documents, or of those marked in `which`, to unknown."""
        self._content[slice(None) if which is None else which] = UNKNOWN

    def content(self, place: int) -> int:
        """Return the hash of the stored content of a known document."""
        return int(self._content[place])

    def updated(self, place: int) -> int:
        """Return the update time of a known document, in nanoseconds since 1970."""
        return int(self._updated[place])

    def stamp(self, place: int) -> Stamp:
        """Return the age of the latest file that held a known document."""
        return int(self._exported[place]), int(self._generation[place])

    def compare(
        self, places: Places, contents: NDArray[np.uint64], stamp: Stamps
    ) -> tuple[NDArray[np.bool_], NDArray[np.int8]]:
        """Compare a file's contents with the records of its documents.

        Args:
            places: the documents.
            contents: per document, the hash of its content in the file.
            stamp: the age of the file, or per document.

        Returns:
            Per document: True if the stored content is the same; and the age of the latest file
            that held the document: older (-1), the same file (0) or newer (1). Of a document
            without a record the first is False and the second has no meaning.
        """
        known = self.known[places]
        if not known.any():
            return known, np.zeros(len(places), np.int8)
        exported, generation = stamp
        known_exported, known_generation = self._exported[places], self._generation[places]
        age = np.where(
            known_exported == exported,
            np.sign(known_generation - generation),
            np.sign(known_exported - exported),
        )
        same = known & (self._content[places] == contents)
        return same, age.astype(np.int8)

    def updates(self, places: Places) -> NDArray[np.int64]:
        """Return each document's update time in nanoseconds since 1970; 0 without a record."""
        return np.where(self.known[places], self._updated[places], 0)

    def put(
        self,
        which: int | Places,
        *,
        content: int | NDArray[np.uint64],
        updated: int | NDArray[np.int64],
        stamp: Stamps,
        incomplete: bool | NDArray[np.bool_] = False,
    ) -> None:
        """Set the record of one document, or of several."""
        self.known[which] = True
        self.incomplete[which] = incomplete
        self._content[which] = content
        self._updated[which] = updated
        self.confirm(which, stamp)

    def confirm(self, which: int | Places | NDArray[np.bool_], stamp: Stamps) -> None:
        """Set the age of the latest file that held known documents; change nothing else."""
        self._exported[which], self._generation[which] = stamp

    def held_by(self, stamp: Stamps) -> NDArray[np.bool_]:
        """Return a mask of known documents whose latest file has exactly this age."""
        exported, generation = stamp
        held: NDArray[np.bool_] = (
            self.known & (self._exported == exported) & (self._generation == generation)
        )
        return held

    def all_newer_than(self, stamp: Stamp) -> bool:
        """True if for every document a file newer than `stamp` is known to have held it."""
        exported, generation = stamp
        newer = (self._exported > exported) | (
            (self._exported == exported) & (self._generation > generation)
        )
        return bool((newer & self.known).all())

    def records(self, start: int, stop: int) -> IndexRecords:
        """Return the records of the known documents at the places from `start` up to `stop`."""
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
        records["generation"][self.incomplete[span][known]] *= -1
        return records


def find(keys: Keys, records: IndexRecords) -> NDArray[np.int64]:
    """Return the place of each record's key among the keys; -1 where it is not among them."""
    places, found = _seek(keys, records)
    places[~found] = -1
    return places


def merged(
    blocks: Iterable[IndexRecords], table: Table, *, trusted: bool = True
) -> Iterator[IndexRecords]:
    """Yield the records of the next index: the table's, and the present index's for other keys.

    Args:
        blocks: the present index, sorted by key.
        table: the documents of the file, as they are now.
        trusted: False if the contents in the present index may be outdated; they become unknown.
    """
    done = 0
    for block in blocks:
        if not len(block):
            continue
        places, found = _seek(table.keys, block)
        others = block.view(_OPAQUE)[~found].view(RECORD)
        if not trusted:
            others["content"] = UNKNOWN
        upto = int(places[-1]) + int(found[-1])
        yield from _joined(others, places[~found], table, done, upto)
        done = upto
    if done < len(table.known):
        nothing = np.empty(0, dtype=RECORD)
        yield from _joined(nothing, np.empty(0, np.int64), table, done, len(table.known))


def overlaid(
    older: Iterable[IndexRecords], newer: Iterable[IndexRecords]
) -> Iterator[IndexRecords]:
    """Yield the records of two indexes, sorted by key; of a key in both only the newer record.

    Both are read side by side, a block at a time.
    """
    olds, news = filter(len, older), filter(len, newer)
    old, new = next(olds, None), next(news, None)
    while old is not None and new is not None:
        # Both blocks have all records up to the lower of their last keys.
        last = min((old, new), key=_last_key)[-1]
        of_old, of_new = _count_upto(old, last), _count_upto(new, last)
        first, second = old[:of_old], new[:of_new]
        places, found = _seek(Keys(second["high"], second["low"]), first)
        yield _inserted(second, places[~found], first.view(_OPAQUE)[~found])
        old = old[of_old:] if of_old < len(old) else next(olds, None)
        new = new[of_new:] if of_new < len(new) else next(news, None)
    for block, rest in ((old, olds), (new, news)):
        if block is not None:
            yield block
        yield from rest


def _last_key(block: IndexRecords) -> tuple[int, int]:
    return int(block["high"][-1]), int(block["low"][-1])


def _count_upto(block: IndexRecords, last: Any) -> int:
    """Return the number of records up to the key of the record `last`, inclusive."""
    first = int(np.searchsorted(block["high"], last["high"]))
    same = block["low"][first : int(np.searchsorted(block["high"], last["high"], "right"))]
    return first + int(np.searchsorted(same, last["low"], "right"))


def _inserted(
    records: IndexRecords, places: NDArray[np.int64], others: IndexRecords
) -> IndexRecords:
    """Return records with others in between, each at its place."""
    if not len(others):
        return records
    return np.insert(records.view(_OPAQUE), places, others.view(_OPAQUE)).view(RECORD)


def dropped(blocks: Iterable[IndexRecords], keys: Iterable[str]) -> Iterator[IndexRecords]:
    """Yield the records of an index without those of some keys."""
    gone = sorted({halves(key) for key in keys})
    table = Keys(
        np.array([high for high, _ in gone], dtype=np.uint64),
        np.array([low for _, low in gone], dtype=np.uint64),
    )
    for block in blocks:
        yield block[find(table, block) < 0]


def stamp_of(age: Age) -> Stamp:
    """Return an age in numbers: 1970-01-02 and generation 7 give `(86_400_000_000, 7)`."""
    span = age.exported_at - _EPOCH
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds, age.generation


def age_of(stamp: Stamp) -> Age:
    """Return the age of a stamp; the reverse of `stamp_of`."""
    return Age(_EPOCH + timedelta(microseconds=stamp[0]), stamp[1])


def _joined(
    others: IndexRecords, places: NDArray[np.int64], table: Table, start: int, stop: int
) -> Iterator[IndexRecords]:
    """Yield the table's records at the places from `start` up to `stop`, with `others` in between.

    `places` are the places at which the keys of `others` sort in.
    """
    taken = 0
    for first in range(start, max(stop, start + 1), BLOCK):
        last = min(first + BLOCK, stop)
        upto = len(others) if last == stop else int(np.searchsorted(places, last))
        records = table.records(first, last)
        if upto > taken:
            known = np.append(0, table.known[first:last].cumsum())
            where = known[places[taken:upto] - first]
            records = _inserted(records, where, others[taken:upto])
            taken = upto
        if len(records):
            yield records


def _seek(keys: Keys, records: IndexRecords) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return per record the number of keys before its key, and True if its key is among the keys.

    Example: for the keys 3 and 7, the records 2, 3 and 9 give 0, 0, 2 and False, True, False.
    """
    count = len(records)
    found = np.zeros(count, dtype=bool)
    first, places, same = _search(keys, records)
    found[places[same]] = True
    before = first + np.bincount(places, minlength=count + 1)[:count].cumsum()
    return before - found, found


def _search(keys: Keys, records: IndexRecords) -> tuple[int, NDArray[np.int64], NDArray[np.bool_]]:
    """Look up the keys that lie between the first and the last record.

    The keys are looked up among the records, because a small file has few keys.

    Returns:
        The number of keys before the first record. Per key from there to the last record: the
        number of records before it, and True if the next record has this key.

    Example: for the keys 3 and 7, the records 2, 3 and 9 give 0, [1, 2] and [True, False].
    """
    count = len(records)
    if not count:
        return 0, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool)
    heads = records["high"]
    first = int(np.searchsorted(keys.high, heads[0]))
    last = int(np.searchsorted(keys.high, heads[-1], "right"))
    high, low = keys.high[first:last], keys.low[first:last]
    places = np.searchsorted(heads, high)
    while True:
        inside = np.minimum(places, count - 1)
        same = (places < count) & (heads[inside] == high)
        behind = same & (records["low"][inside] < low)
        if not behind.any():
            break
        places += behind
    return first, places, same & (records["low"][inside] == low)
