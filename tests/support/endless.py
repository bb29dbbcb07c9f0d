"""A process that reads files larger than memory, and tells what became of them and what it needed.

`python -m tests.support.endless` writes one JSON object a file, by its name in `FILES`.
"""

from __future__ import annotations

import io
import json
import resource
from typing import BinaryIO, cast

from shared.core.errors import FileRejected
from shared.files.layout import Layout
from shared.parsing.csv.reader import CsvReader

MEGABYTE = 1 << 20
LAYOUT = Layout(columns={"PERIDX": "PERIDX"}, required=(("PERIDX",),))

FILES: dict[str, tuple[bytes, bytes, int]] = {
    # name: how the file begins, what then comes again and again, megabytes of that
    "no line end": (b"PERIDX,NOTE\n1,", b"x", 1_024),
    "no closing quote": (b'PERIDX,NOTE\n1,"', b"2,b\n", 1_024),
    "no end of the header": (b"", b"x", 1_024),
    "endless header": (b"PERIDX,", b"c,", 1_024),
    "endless cells": (b"PERIDX,NOTE\n", b",", 1_024),
    "zero bytes": (b"PERIDX,NOTE\n", b"\0", 1_024),
    "blank lines": (b"PERIDX,NOTE\n", b"\n", 8),
    "rows of 250,000 cells": (b"PERIDX,NOTE\n", b"ab," * 250_000 + b"\n", 24),
}


class Stream(io.RawIOBase):
    """A file that is made while it is read."""

    def __init__(self, first: bytes, again: bytes, size: int) -> None:
        self._first = first
        self._block = again * (-(-MEGABYTE // len(again)))
        self._left = size

    def read(self, size: int = -1, /) -> bytes:
        """Give up to `size` bytes."""
        if self._first:
            part, self._first = self._first[:size], self._first[size:]
            return part
        part = self._block[: min(size, self._left)]
        self._left -= len(part)
        return part


def read(first: bytes, again: bytes, megabytes: int) -> dict[str, object]:
    """Read a file to its end or its refusal."""
    code, rows, megabytes_read = None, 0, 0.0
    stream = cast(BinaryIO, Stream(first, again, megabytes * MEGABYTE))
    try:
        reader = CsvReader(stream, LAYOUT)
        try:
            rows = sum(len(chunk.lines) + len(chunk.bad) for chunk in reader.chunks())
        finally:
            megabytes_read = reader.bytes_read / MEGABYTE
    except FileRejected as refused:
        code = refused.problem.code
    return {"code": code, "rows": rows, "read": megabytes_read}


def peak() -> float:
    """Megabytes that the process has needed at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    list(CsvReader(io.BytesIO(b"PERIDX,X\n1,2\n"), LAYOUT).chunks())
    before = peak()
    found = {name: {**read(*file), "needed": peak() - before} for name, file in FILES.items()}
    print(json.dumps(found))
