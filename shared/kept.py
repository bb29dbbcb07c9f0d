"""What the first reading has made of a file's rows, kept small until it is written."""

from __future__ import annotations

import marshal
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from itertools import chain

from shared.schemas import Parts

Rows = tuple[Parts, Sequence[bytes]]
"""What the rows of a chunk come to, and their bytes as they stand in the file, where wanted."""

FILE_BYTES = 40 * 1024 * 1024
"""Bytes of the largest file of which anything is kept: more would not fit, and be let go of."""
PLAIN_BYTES = 24 * 1024 * 1024
"""Bytes that are kept as they are; what comes after them is compressed."""
COMPRESSED_BYTES = 12 * 1024 * 1024
"""Compressed bytes that are kept at most. Of a file that has more, nothing is kept."""

_ROW_BYTES = 128
"""What a row takes besides its contents, about: a key, two numbers, a few references."""
_LEVEL = 1
"""Of zlib. Field names repeat so much that the quickest level leaves a sixth of the bytes."""


class Kept:
    """Keeps chunks of rows as long as all of them fit."""

    def __init__(
        self, size: int, *, plain: int = PLAIN_BYTES, compressed: int = COMPRESSED_BYTES
    ) -> None:
        """`size` is that of the file in bytes."""
        self._plain_left = plain
        self._compressed_left = compressed
        self._chunks: list[Rows | bytes] = []
        self.whole = size <= FILE_BYTES
        """Whether everything that was added is still there."""

    def add(self, parts: Parts, records: Sequence[bytes]) -> None:
        """Keep a chunk: what its rows come to, and the bytes of the rows where they are wanted."""
        if not self.whole:
            return
        parts = replace(parts, updated=[])  # has done its work
        size = _ROW_BYTES * len(parts.lines) + sum(map(len, records))
        size += sum(map(len, parts.items))
        size += sum(map(len, chain.from_iterable(parts.own) if parts.items else parts.own))
        if size <= self._plain_left:
            self._plain_left -= size
            self._chunks.append((parts, records))
            return
        self._plain_left = 0
        columns = [getattr(parts, one.name) for one in fields(parts)]
        chunk = zlib.compress(marshal.dumps((columns, list(records))), _LEVEL)
        self._compressed_left -= len(chunk)
        self._chunks.append(chunk)
        if self._compressed_left < 0:
            self.whole = False
            self._chunks.clear()

    def chunks(self) -> Iterator[Rows]:
        """Give every chunk back, in the order in which they were added."""
        for chunk in self._chunks:
            if isinstance(chunk, bytes):
                columns, records = marshal.loads(zlib.decompress(chunk))
                yield Parts(*columns), records
            else:
                yield chunk
