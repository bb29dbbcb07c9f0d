"""Results of the first reading of a file's rows, kept until they are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.parsing.columnar.parts import Packed, Parts
from shared.parsing.csv.chunk import RowBytes

KeptRows = tuple[Parts, Sequence[bytes]]
"""Parts of the rows of a chunk, and the bytes of these rows in the file."""

ROOM_BYTES = 72 * 1024 * 1024
"""Upper bound of the kept bytes. If the rows of a file take more, nothing of the file is kept."""


class Kept:
    """Keeps chunks of rows as long as all of them fit."""

    def __init__(self, *, room: int = ROOM_BYTES) -> None:
        self._left = room
        self._chunks: list[tuple[Packed, RowBytes]] = []

    @property
    def whole(self) -> bool:
        """True if all added chunks are still kept."""
        return self._left >= 0

    def add(self, parts: Packed, records: RowBytes) -> None:
        """Keep a chunk: the parts of its rows, and the bytes of the rows."""
        if self._left < 0:
            return
        self._left -= parts.size + records.size
        if self._left < 0:
            self._chunks.clear()
        else:
            self._chunks.append((parts, records))

    def chunks(self) -> Iterator[KeptRows]:
        """Yield every chunk, in the order in which they were added."""
        for parts, records in self._chunks:
            yield parts.unpack(), records
