"""Stores the bytes of one upload on disk, and knows which of them are still missing.

Clients send many writes at once, not always in order. Some overwrite earlier bytes. The disk holds
files of any size.
"""

from __future__ import annotations

import bisect
import tempfile
import threading
from pathlib import Path

_MOST_PIECES = 4_096
"""Separate pieces of a file that may have arrived. Normal clients have only a few."""


class TooScattered(Exception):
    """Writes that leave more gaps than any normal transfer."""


class Spool:
    """A temporary file without a name. It disappears when it is closed or the process ends.

    Methods block on the disk and may be called from several threads.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed by close()
        self._lock = threading.Lock()
        self._pieces: list[tuple[int, int]] = []
        """Ranges that have arrived, as (start, end), in order and separate."""
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of the file, including gaps before its last byte."""
        return self._size

    @property
    def prefix(self) -> int:
        """Bytes from the start that have arrived without a gap."""
        return self._pieces[0][1] if self._pieces and self._pieces[0][0] == 0 else 0

    @property
    def gap(self) -> tuple[int, int] | None:
        """First missing range, as (start, end); None when the file is complete."""
        start = self.prefix
        if start == self._size:
            return None
        later = [piece[0] for piece in self._pieces if piece[0] > start]
        return start, (later[0] if later else self._size)

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes at an offset. Raises OSError (disk full) and TooScattered."""
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
        """Shorten the file, or announce a larger size whose new bytes count as missing."""
        with self._lock:
            self._file.truncate(size)
            self._pieces = [(start, min(end, size)) for start, end in self._pieces if start < size]
            self._size = size

    def close(self) -> None:
        """Release the disk space. Can be called twice."""
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
