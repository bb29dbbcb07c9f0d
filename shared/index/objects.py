"""Where the records of an index are kept: objects in the bucket that are never changed.

An object is used only if it is exactly the one that the feed points at: its generation, its size
and its checksum. So whatever happens to it, a changed index is no index.
"""

from __future__ import annotations

import uuid
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import google.cloud.storage as storage
import numpy as np

from shared.core import TryAgain
from shared.files import STATE
from shared.gcp.storage import (
    ObjectReader,
    ObjectWriter,
    Unusable,
    delete_object,
    find_exact,
    read_object,
)
from shared.index.records import BLOCK, RECORD, IndexRecords
from shared.ledger import Span, StateObject

_HEAD = b"A21INDEX00000002"
"""How every index begins: what it is, and the version of its records."""

_UPLOAD_BYTES = 8 * 1024 * 1024


def folder(connection: str, type: str) -> str:
    """Return how the names of all index objects of a type begin."""
    return f"{STATE}/{connection}/{type}/"


def read(
    bucket: storage.Bucket,
    part: StateObject,
    *,
    span: Span | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[IndexRecords]:
    """Give the records of a part, or those of a span of keys, a block at a time.

    `tick` is called before each. What has been given must not be relied on before the end is
    reached.

    Raises:
        Unusable: it is not what was written.
        TryAgain: Cloud Storage could not be reached.
    """
    stream = ObjectReader(_found(bucket, part), chunk=BLOCK * RECORD.itemsize)
    start, end = 0, part.size
    if span is not None and not part.within(span):
        start, end = _stretch(bucket, part, span, tick)
    whole = (start, end) == (0, part.size)
    if start:
        stream.seek(start)

    def take(count: int) -> bytes:
        tick()
        return stream.read(min(count, end - start - stream.size))

    if whole:
        head = take(len(_HEAD))
        if head != _HEAD or (part.size - len(_HEAD)) % RECORD.itemsize:
            raise Unusable(part.object)
    while stream.size < end - start:
        block = take(BLOCK * RECORD.itemsize)
        if not block or len(block) % RECORD.itemsize:
            break
        yield np.frombuffer(block, dtype=RECORD)
    if stream.size != end - start or (whole and stream.crc32c != part.crc32c):
        raise TryAgain("The index could not be read whole.")


def _found(bucket: storage.Bucket, part: StateObject) -> storage.Blob:
    return find_exact(bucket, part.object, part.generation, size=part.size, crc32c=part.crc32c)


def usable(bucket: storage.Bucket, part: StateObject) -> bool:
    """Whether the object is still what was written, as far as Cloud Storage says.

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
    """Return from where to where in an object the records of a span are."""
    count, rest = divmod(part.size - len(_HEAD), RECORD.itemsize)
    if rest:
        raise Unusable(part.object)

    def start_of(number: int) -> int:
        return len(_HEAD) + number * RECORD.itemsize

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
    """Write records as a new object of a folder, calling `tick` before each block.

    Raises:
        TryAgain: Cloud Storage could not be reached.
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
    """Remove an object that nothing points at any more, if that can be done now.

    The sweep removes what is left.
    """
    with suppress(TryAgain):
        delete_object(bucket, part.object, part.generation)
