"""The bytes of one upload under way: what has arrived, and what is still missing.

Clients send many writes at once and not always in order, and some come back to change what they
have written; the disk takes it all, whatever the size of the file.
"""

from __future__ import annotations

import bisect
import tempfile
import threading
from pathlib import Path

_MOST_PIECES = 4_096
"""Separate pieces of a file that may have arrived; honest clients leave a handful."""


class TooScattered(Exception):
    """The writes of a client leave more gaps than any honest transfer does."""


class Spool:
    """A nameless temporary file; it is gone when it is closed, or when the process dies.

    Methods block on the disk and may be called from several threads.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed by close()
        self._lock = threading.Lock()
        self._pieces: list[tuple[int, int]] = []
        """What has arrived, as (start, end), in order, apart from each other."""
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of the file, counting what has not arrived yet before its last byte."""
        return self._size

    @property
    def prefix(self) -> int:
        """Bytes that have arrived without a gap, from the first on."""
        return self._pieces[0][1] if self._pieces and self._pieces[0][0] == 0 else 0

    @property
    def gap(self) -> tuple[int, int] | None:
        """The first stretch, as (start, end), that has not arrived; None when all is there."""
        start = self.prefix
        if start == self._size:
            return None
        later = [piece[0] for piece in self._pieces if piece[0] > start]
        return start, (later[0] if later else self._size)

    def write(self, offset: int, data: bytes) -> None:
        """Take bytes at an offset. Raises OSError (disk full) and TooScattered."""
        if not data:
            return
        with self._lock:
            self._file.seek(offset)
            self._file.write(data)
            self._add(offset, offset + len(data))
            self._size = max(self._size, offset + len(data))

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from an offset; gaps read as zeros, the end as b""."""
        with self._lock:
            self._file.seek(offset)
            return self._file.read(max(0, min(size, self._size - offset)))

    def truncate(self, size: int) -> None:
        """Cut the file, or announce a greater size: what is added counts as not arrived."""
        with self._lock:
            self._file.truncate(size)
            self._pieces = [(start, min(end, size)) for start, end in self._pieces if start < size]
            self._size = size

    def close(self) -> None:
        """Give the disk its space back. Can be called twice."""
        self._file.close()

    def _add(self, start: int, end: int) -> None:
        pieces = self._pieces
        if pieces and pieces[-1][0] <= start <= pieces[-1][1]:  # the usual case: the next bytes
            pieces[-1] = (pieces[-1][0], max(pieces[-1][1], end))
            return
        first = bisect.bisect_left(pieces, start, key=lambda piece: piece[1])
        last = bisect.bisect_right(pieces, end, key=lambda piece: piece[0])
        if first < last:
            start = min(start, pieces[first][0])
            end = max(end, pieces[last - 1][1])
        elif len(pieces) >= _MOST_PIECES:
            raise TooScattered
        pieces[first:last] = [(start, end)]
