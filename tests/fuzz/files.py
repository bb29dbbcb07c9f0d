"""Whatever bytes a file holds, they are read in one way, and every row of it is accounted for."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from hypothesis import strategies as st

from shared.codes import CODES
from shared.decoding import without_bom
from shared.errors import FileRejected
from shared.header import HEADER_BYTES
from shared.layout import Layout
from shared.reader import CsvReader
from shared.records import Splitter

LAYOUT = Layout(
    columns={"PERIDX": "PERIDX", "EMAIL": "EMAIL", "SURNAME": "SURNAME"}, required=(("PERIDX",),)
)
SECONDS = 5.0
"""CPU time that a file of a few hundred bytes may take at most, on a slow and busy machine."""

PARTS = [
    *(b"PERIDX", b"EMAIL", b"1", b"a", b" ", b",", b",", b";", b"\t", b"|", b'"', b'"', b'""'),
    *(b"\n", b"\n", b"\r\n", b"\r", b'","', b'"\n', b"\0", b"\x1a", b"\xef\xbb\xbf", b"\xc3\xa9"),
    *(b"\xe9", b"\x81", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xe2\x80\xa8", b"x" * 90, b"\x0b"),
]
_BODIES = st.lists(st.one_of(st.sampled_from(PARTS), st.binary(max_size=3)), max_size=40).map(
    b"".join
)
_HEADERS = st.sampled_from(
    [
        *(b"PERIDX,EMAIL\n", b"PERIDX;EMAIL;SURNAME\r\n", b"PERIDX\n", b"PERIDX\tx\ty\r"),
        *(b'\xef\xbb\xbf"PERIDX"|EMAIL|\n', b"\n\r\nPERIDX,EMAIL,,\n", b"PERIDX,Gr\xf6sse\n", b""),
        b"PERIDX,EMAIL,line,column,code,reason\n",
    ]
)
INPUTS = st.one_of(
    st.builds(lambda header, body: header + body, _HEADERS, _BODIES),
    st.binary(max_size=200),
)


@dataclass(frozen=True)
class Outcome:
    """What became of a file."""

    refused: tuple[str, int | None] | None
    """Code and line."""
    rows: dict[int, tuple[int, list[str], str | None]]
    """Which row of the file -> its line, its cells, and the code of what is wrong with it."""
    about: Any
    """Delimiter, encoding, columns, warnings."""


def check(data: bytes) -> None:
    """Make sure of all that is promised of a file; raises AssertionError where it is broken."""
    begun = time.process_time()
    whole = _read(io.BytesIO(data), len(data))
    assert whole == _read(_Trickle(data, 1 + len(data) % 5), len(data)), "bits of a stream show"
    _check_accounts(whole)
    _check_against_csv(data, whole)
    _check_blocks(data, 1 + sum(data) % 23)
    _check_splitter(data)
    assert time.process_time() - begun < SECONDS, "it takes too long"


class _Trickle(io.RawIOBase):
    def __init__(self, data: bytes, step: int) -> None:
        self._data, self._step = io.BytesIO(data), step

    def read(self, size: int = -1, /) -> bytes:
        return self._data.read(min(size, self._step))


def _read(stream: io.IOBase, size: int, *, block_bytes: int = 1 << 20) -> Outcome:
    rows: dict[int, tuple[int, list[str], str | None]] = {}
    try:
        reader = CsvReader(cast(BinaryIO, stream), LAYOUT, size=size, block_bytes=block_bytes)
        for chunk in reader.chunks():
            cells = chunk.frame.to_numpy().tolist()
            for ordinal, line, row in zip(chunk.ordinals, chunk.lines, cells, strict=True):
                assert ordinal not in rows
                rows[ordinal] = (line, row, None)
            free = iter(
                ordinal
                for ordinal in range(chunk.first_row, chunk.first_row + len(cells) + len(chunk.bad))
                if ordinal not in rows
            )
            for bad in chunk.bad:
                rows[next(free)] = (bad.line, bad.cells, bad.problem.code)
    except FileRejected as refused:
        problem = refused.problem
        assert CODES[problem.code].severity == "file"
        assert problem.message.isprintable()
        return Outcome((problem.code, problem.line), {}, None)
    warnings = [(problem.code, problem.line) for problem in reader.warnings]
    about = (reader.delimiter, reader.encoding, reader.header, warnings)
    return Outcome(None, rows, about)


def _check_accounts(found: Outcome) -> None:
    assert sorted(found.rows) == list(range(len(found.rows))), "rows are not counted one by one"
    lines = [found.rows[ordinal][0] for ordinal in sorted(found.rows)]
    assert lines == sorted(set(lines)), "two rows stand in one line"
    for _, cells, code in found.rows.values():
        assert all(type(cell) is str for cell in cells)
        assert code is None or code in CODES


def _check_against_csv(data: bytes, found: Outcome) -> None:
    """Hold a sound file against what Python's csv module reads in it."""
    if found.refused or b"\0" in data:
        return
    try:
        text = without_bom(data).decode()
    except UnicodeDecodeError:
        return
    delimiter, _, header, _ = found.about
    everything = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    first, *expected = [row for row in everything if row]
    if len(found.rows) == len(expected) - 1 and not "".join(expected[-1]).strip(" \x1a"):
        expected.pop()  # what stands behind the last line end is no row
    named = len(header.names)
    assert len(expected) == len(found.rows), "rows are lost or made up"
    for ordinal, row in enumerate(expected):
        _, cells, code = found.rows[ordinal]
        if code is None:
            assert len(row) == len(first), "a row of another width is taken for good"
            assert row[:named] == cells
        else:
            assert row == cells
            spoilt = any(cell.strip() for cell in row[named:])
            assert len(row) != len(first) or spoilt, "a good row is taken for bad"


def _check_blocks(data: bytes, block_bytes: int) -> None:
    """Make sure that a file reads the same whatever the size of the blocks it comes in."""
    # The first block is never smaller than a header can be; blank lines fill it up.
    padded = b"PERIDX,EMAIL\n" + b"\n" * HEADER_BYTES + data
    whole = _read(io.BytesIO(padded), len(padded))
    cut = _read(io.BytesIO(padded), len(padded), block_bytes=block_bytes)
    assert whole == cut, "the ends of blocks show"


def _check_splitter(data: bytes) -> None:
    """Make sure that records are the same wherever the file is cut on its way."""
    for delimiter in ",;":
        whole = _records(delimiter, [data])
        for step in (1, 2, 7):
            parts = [data[start : start + step] for start in range(0, len(data), step)]
            assert whole == _records(delimiter, [*parts, b""]), "a cut shows"


def _records(delimiter: str, blocks: list[bytes]) -> list[tuple[bytes, int, int]] | str:
    splitter = Splitter(delimiter)
    found = []
    try:
        for place, block in enumerate(blocks):
            records = splitter.split(block, final=place == len(blocks) - 1)
            found += [
                (records.record(row), int(records.cells[row]), int(records.lines[row]))
                for row in range(len(records))
            ]
    except FileRejected as refused:
        return refused.problem.code
    return found
