"""Storage of the rows and the results of a shard in the bucket: boxes of data, one after another.

An object is used only if it is exactly the one in the ledger. An object consists of boxes. Each box
is a piece of plain Python data, compressed, with its lengths before it.
"""

from __future__ import annotations

import marshal
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import google.cloud.storage as storage

from shared.core import TryAgain
from shared.gcp.storage import ObjectReader, ObjectWriter, Unusable, find_exact
from shared.ledger import Span, StateObject

_HEAD = b"A21SPLIT00000001"
"""First bytes of every object: its kind, and the version of its boxes."""

_LENGTHS = struct.Struct("<II")
"""Lengths before each box: bytes of the box, then bytes after decompression."""

READ_BYTES = 1024 * 1024
LEAST_UPLOAD_BYTES = 256 * 1024
"""Least bytes of a piece of an upload to Cloud Storage, except for the last piece."""
_LEVEL = 1
"""Compression level of zlib: see `shared.parsing.buffer`."""


class Writing:
    """An object that is being written."""

    def __init__(
        self, bucket: storage.Bucket, name: str, *, upload_bytes: int = LEAST_UPLOAD_BYTES
    ) -> None:
        """Send `upload_bytes` at a time, a multiple of `LEAST_UPLOAD_BYTES`."""
        self._writer = ObjectWriter(
            bucket, name, chunk=upload_bytes, content_type="application/octet-stream"
        )
        self._writer.write(_HEAD)

    def add(self, data: Any, *, level: int = _LEVEL) -> None:
        """Write a box, compressed with a level of zlib; 0 is no compression.

        Raises:
            TryAgain: Cloud Storage could not be reached.
        """
        plain = marshal.dumps(data)
        box = zlib.compress(plain, level)
        self._writer.write(_LENGTHS.pack(len(box), len(plain)) + box)

    def close(self, span: Span) -> StateObject:
        """Finish the object and return its record, for the keys of a span.

        Raises:
            TryAgain: Cloud Storage could not be reached.
        """
        blob = self._writer.finish()
        return StateObject(
            object=blob.name,
            generation=int(blob.generation),
            size=blob.size,
            crc32c=blob.crc32c,
            first=span.first,
            last=span.last,
        )

    def abandon(self) -> None:
        """Cancel the object if it has not been closed, so that nothing is left."""
        self._writer.abandon()


def boxes(
    bucket: storage.Bucket,
    part: StateObject,
    *,
    tick: Callable[[], None],
    read_bytes: int = READ_BYTES,
) -> Iterator[Any]:
    """Yield the data of an object's boxes, in order.

    `tick` is called before each box; `read_bytes` are fetched at a time. The boxes can be trusted
    only once the end is reached.

    Raises:
        Unusable: the object is gone, or not what was written.
        TryAgain: Cloud Storage could not be reached.
    """
    found = find_exact(bucket, part.object, part.generation, size=part.size, crc32c=part.crc32c)
    stream = ObjectReader(found, chunk=read_bytes)
    if stream.read(len(_HEAD)) != _HEAD:
        raise Unusable(part.object)
    while stream.size < part.size:
        tick()
        lengths = stream.read(_LENGTHS.size)
        if len(lengths) < _LENGTHS.size:
            break
        length, plain = _LENGTHS.unpack(lengths)
        box = stream.read(length)
        yield marshal.loads(zlib.decompress(box, bufsize=max(1, plain)))
    if (stream.size, stream.crc32c) != (part.size, part.crc32c):
        raise TryAgain("The rows of a shard could not be read whole.")
