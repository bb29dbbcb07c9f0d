"""What the first reading has made of a file's rows, kept until it is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.parsing.columnar.parts import Packed, Parts
from shared.parsing.csv.reader import RowBytes

KeptRows = tuple[Parts, Sequence[bytes]]
"""What the rows of a chunk come to, and their bytes as they stand in the file."""

ROOM_BYTES = 72 * 1024 * 1024
"""Bytes that are kept at most. Of a file whose rows take more, nothing is kept."""


class Kept:
    """Keeps chunks of rows as long as all of them fit."""

    def __init__(self, *, room: int = ROOM_BYTES) -> None:
        self._left = room
        self._chunks: list[tuple[Packed, RowBytes]] = []

    @property
    def whole(self) -> bool:
        """Whether everything that was added is still there."""
        return self._left >= 0

    def add(self, parts: Packed, records: RowBytes) -> None:
        """Keep a chunk: what its rows come to, and the bytes of the rows."""
        if self._left < 0:
            return
        self._left -= parts.size + records.size
        if self._left < 0:
            self._chunks.clear()
        else:
            self._chunks.append((parts, records))

    def chunks(self) -> Iterator[KeptRows]:
        """Give every chunk back, in the order in which they were added."""
        for parts, records in self._chunks:
            yield parts.unpack(), records
