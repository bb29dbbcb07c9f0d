"""How the rows of a shard, and what came of them, are kept in the bucket: sealed boxes in a row.

An object is used only if it is exactly the one that the ledger points at. It is made of boxes, each
a piece of plain Python data, compressed, with its lengths before it.
"""

from __future__ import annotations

import marshal
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import google.cloud.storage as storage

from shared.core import TryAgain
from shared.gcp.storage import ObjectReader, ObjectWriter, Unusable, find_exact
from shared.ledger import Span, StateObject

_HEAD = b"A21SPLIT00000001"
"""How every object begins: what it is, and the version of its boxes."""

_LENGTHS = struct.Struct("<II")
"""Before each box: how many bytes it has, and how many it has when it is opened."""

READ_BYTES = 1024 * 1024
LEAST_UPLOAD_BYTES = 256 * 1024
"""Cloud Storage takes no shorter pieces of an object, but for the last."""
_LEVEL = 1
"""Of zlib: see `shared.parsing.buffer`."""


class Writing:
    """An object that is being written."""

    def __init__(
        self, bucket: storage.Bucket, name: str, *, upload_bytes: int = LEAST_UPLOAD_BYTES
    ) -> None:
        """`upload_bytes` are sent at a time, a multiple of the least."""
        self._writer = ObjectWriter(
            bucket, name, chunk=upload_bytes, content_type="application/octet-stream"
        )
        self._writer.write(_HEAD)

    def add(self, data: Any, *, level: int = _LEVEL) -> None:
        """Write a box, compressed so much; 0 is not at all.

        Raises:
            TryAgain: Cloud Storage could not be reached.
        """
        plain = marshal.dumps(data)
        box = zlib.compress(plain, level)
        self._writer.write(_LENGTHS.pack(len(box), len(plain)) + box)

    def close(self, span: Span) -> StateObject:
        """Finish the object; return which one it is, about the keys of a span.

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
        """Leave nothing behind, if it has not been closed."""
        self._writer.abandon()


def boxes(
    bucket: storage.Bucket,
    part: StateObject,
    *,
    tick: Callable[[], None],
    read_bytes: int = READ_BYTES,
) -> Iterator[Callable[[], Any]]:
    """Give the boxes of an object in order, each as a function that opens it.

    `tick` is called before each; `read_bytes` are fetched at a time. What has been given must not
    be relied on before the end is reached.

    Raises:
        Unusable: it is gone, or not what was written.
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
        yield partial(_opened, box, plain)
    if (stream.size, stream.crc32c) != (part.size, part.crc32c):
        raise TryAgain("The rows of a shard could not be read whole.")


def _opened(box: bytes, size: int) -> Any:
    return marshal.loads(zlib.decompress(box, bufsize=max(1, size)))
