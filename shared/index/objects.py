"""Objects in the bucket that hold an index's records. An object is written once, never changed.

An object is used only if its generation, size and checksum are those that the feed names. So an
index that anybody has changed counts as lost.

Example: `state/au/customers/4f1c….index`: 24 bytes of head, then 48 bytes per record.
"""

from __future__ import annotations

import uuid
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import chain

import google.cloud.storage as storage
import numpy as np

from shared.core import TryAgain
from shared.files import STATE
from shared.gcp.storage import (
    Gone,
    ObjectStream,
    ObjectWriter,
    Unusable,
    delete_object,
    find_exact,
    read_object,
)
from shared.index.records import BLOCK, RECORD, IndexRecords, overlaid
from shared.ledger import Span, StateObject

_HEAD = b"A21INDEX00000003\0\0\0\0\0\0\0\0"
"""First 24 bytes of every object: a name, and the version. Object 3 may be one of several that have
keys in common. A program that knows only version 2 cannot read it, whole or in part."""

_HEADS = {len(head): head for head in (_HEAD, b"A21INDEX00000002")}
"""Heads that can be read, by their length."""

SEARCHED_BYTES = 1024 * 1024
"""A span of keys is searched for in a larger object; a smaller one is read whole."""

_UPLOAD_BYTES = 8 * 1024 * 1024


def folder(connection: str, type: str) -> str:
    """Return the prefix of a type's index objects, e.g. `state/au/customers/`."""
    return f"{STATE}/{connection}/{type}/"


def read(
    bucket: storage.Bucket,
    part: StateObject,
    *,
    span: Span | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[IndexRecords]:
    """Yield the records of a part, or those of a span of keys, in blocks of at most `BLOCK`.

    `tick` is called before each block. Use no record before the iterator has ended: the checksum
    is known only then.

    Raises:
        Unusable: the object is not the one that was written.
        TryAgain: Cloud Storage could not be reached, or the object was not read whole.
    """
    blob = bucket.blob(part.object, generation=part.generation)
    start, end = 0, part.size
    if span is not None and not part.within(span) and part.size > SEARCHED_BYTES:
        _found(bucket, part)
        start, end = _stretch(bucket, part, span, tick)
    whole = (start, end) == (0, part.size)
    stream = ObjectStream(blob, start=start, end=end)

    def take(count: int) -> bytes:
        tick()
        try:
            return stream.read(min(count, end - start - stream.size))
        except Gone:
            if stream.size:
                raise
            raise Unusable(part.object) from None

    with closing(stream):
        if whole:
            size = _head_size(part)
            if take(size) != _HEADS[size]:
                raise Unusable(part.object)
        while stream.size < end - start:
            block = take(BLOCK * RECORD.itemsize)
            if not block or len(block) % RECORD.itemsize:
                break
            yield _within(np.frombuffer(block, dtype=RECORD), span)
    if stream.size != end - start or (whole and stream.crc32c != part.crc32c):
        _found(bucket, part)
        raise TryAgain("The index could not be read whole.")


def layered(
    parts: Sequence[StateObject], read: Callable[[StateObject], Iterator[IndexRecords]]
) -> Iterator[IndexRecords]:
    """Yield the records of several parts, sorted by key; of a key in several, that of the last.

    `read` yields the records of one part. All parts with keys in common are read side by side, so
    memory is needed for a block of each.
    """
    records: Iterator[IndexRecords] = iter(())
    for run in _runs(parts):
        records = overlaid(records, chain.from_iterable(map(read, run)))
    return records


def _runs(parts: Sequence[StateObject]) -> list[list[StateObject]]:
    """Divide parts into runs; the parts of a run follow each other by the keys that they hold."""
    runs: list[list[StateObject]] = []
    for part in parts:
        if runs and runs[-1][-1].last < part.first:
            runs[-1].append(part)
        else:
            runs.append([part])
    return runs


def count(parts: Iterable[StateObject]) -> int:
    """Return the number of records in some parts."""
    return sum(part.size // RECORD.itemsize for part in parts)


def _within(records: IndexRecords, span: Span | None) -> IndexRecords:
    """Return the records with keys in the span; `None` means all keys."""
    if span is None:
        return records
    first = int(np.searchsorted(records["high"], np.uint64(span.low)))
    last = int(np.searchsorted(records["high"], np.uint64(span.end - 1), "right"))
    return records[first:last]


def _head_size(part: StateObject) -> int:
    """Return the length of a part's head.

    Raises:
        Unusable: the object's size is not that of a head and whole records.
    """
    size = part.size % RECORD.itemsize
    if size not in _HEADS:
        raise Unusable(part.object)
    return size


def _found(bucket: storage.Bucket, part: StateObject) -> storage.Blob:
    return find_exact(bucket, part.object, part.generation, size=part.size, crc32c=part.crc32c)


def usable(bucket: storage.Bucket, part: StateObject) -> bool:
    """True if Cloud Storage still has the object with the size and checksum that were written.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    try:
        _found(bucket, part)
    except Unusable:
        return False
    return True


def _stretch(
    bucket: storage.Bucket, part: StateObject, span: Span, tick: Callable[[], None]
) -> tuple[int, int]:
    """Return the offsets in bytes at which a span's records begin and end.

    The records are sorted by key, so a binary search finds both. Each step reads one record.

    Raises:
        Unusable: the object's size is not that of whole records.
        TryAgain: Cloud Storage could not be reached.
    """
    head = _head_size(part)
    count = part.size // RECORD.itemsize

    def start_of(number: int) -> int:
        return head + number * RECORD.itemsize

    def high(number: int) -> int:
        tick()
        start = start_of(number)
        end = start + RECORD.itemsize - 1
        record = read_object(bucket, part.object, part.generation, start=start, end=end)
        return int(np.frombuffer(record, dtype=RECORD)["high"][0])

    first = bisect_left(range(count), span.low, key=high)
    behind = bisect_left(range(count), span.end, lo=first, key=high)
    return start_of(first), start_of(behind)


def write(
    bucket: storage.Bucket,
    folder: str,
    blocks: Iterable[IndexRecords],
    *,
    tick: Callable[[], None] = lambda: None,
) -> StateObject:
    """Write records as a new object of a folder, and return the reference to the object.

    `tick` is called before each block. A failed upload leaves no object.

    Raises:
        TryAgain: Cloud Storage could not be reached, or holds other bytes than were sent.
    """
    name = f"{folder}{uuid.uuid4().hex}.index"
    upload = ObjectWriter(
        bucket, name, chunk=_UPLOAD_BYTES, content_type="application/octet-stream"
    )
    try:
        upload.write(_HEAD)
        for records in blocks:
            tick()
            upload.write(records.tobytes())
        blob = upload.finish()
    except BaseException:
        upload.abandon()
        raise
    return StateObject(
        object=name, generation=int(blob.generation), size=blob.size, crc32c=blob.crc32c
    )


def delete(bucket: storage.Bucket, part: StateObject) -> None:
    """Delete an object that no feed points at. Failures are ignored: the sweep deletes the rest."""
    with suppress(TryAgain):
        delete_object(bucket, part.object, part.generation)
