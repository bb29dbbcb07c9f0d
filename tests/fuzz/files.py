"""Whatever bytes a file holds, they are read in one way, and every row of it is accounted for."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, cast
from unittest.mock import patch

from hypothesis import strategies as st

from shared.core.codes import CODES
from shared.core.errors import FileRejected
from shared.files.layout import Layout
from shared.files.spreadsheet import unguard
from shared.parsing.csv import records as records_module
from shared.parsing.csv.header import HEADER_BYTES, HeaderLine, read_header
from shared.parsing.csv.reader import CsvReader
from shared.parsing.csv.records import Splitter
from shared.parsing.csv.text import text_of, without_bom
from tests.support import slow_reader

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
_TEXTS = st.sampled_from(
    [
        *("", "", "1", "27", "Bo", "Zoë", "Māori", "€", '5" heel', "a, b", "a;b", "a|b\tc", " x "),
        *("12 High St\nHobart", "12 High St\r\nHobart, TAS\rx", "a\n27,x,y\nb", "a\n27;x\nb"),
        *("\n", '"', '""', "\\", "\ufeff1", "\u00a0", "\ufffd"),
    ]
)
_DAMAGES = st.sampled_from(
    [
        *(
            b"",
            b"",
            b'"',
            b'""',
            b'\\"',
            b"\n",
            b"\r\n",
            b",",
            b",,\n",
            b" \n",
            b"\x1a",
            b"\x1a\r\n",
        ),
        *(
            b"\xc4",
            b"\x81",
            b"\0",
            b"\xef\xbb\xbf",
            b"\xc2\xa0",
            b'\n3,"VIP,x\n',
            b'\n4,"VIP",x\n',
            b"sep",
        ),
    ]
)


@st.composite
def _exports(draw: st.DrawFn) -> bytes:
    """Write a file as an export would, in any style, and damage it here and there."""
    delimiter, end = draw(st.sampled_from(",;\t|")), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "cp1252"]))
    quoting = draw(st.sampled_from(["all", "some", "spaced"]))
    names = ["PERIDX", "EMAIL", "SURNAME", "NOTE", "NOTE 2", ""][: draw(st.integers(1, 6))]
    lines = [names, *draw(st.lists(st.lists(_TEXTS, min_size=len(names), max_size=len(names))))]
    written: list[str] = []
    for cells in lines:
        quoted = [
            f'"{cell.replace(chr(34), chr(34) * 2)}"'
            if quoting != "some" or any(sign in cell for sign in f'{delimiter}"\r\n')
            else cell
            for cell in cells
        ]
        written.append((f" {delimiter} " if quoting == "spaced" else delimiter).join(quoted))
    data = (end.join(written) + end).encode(encoding, "replace")
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        stop = start + draw(st.integers(0, 3))
        data = data[:start] + draw(_DAMAGES) + data[stop:]
    return data


INPUTS = st.one_of(
    st.builds(lambda header, body: header + body, _HEADERS, _BODIES),
    _exports(),
    _exports(),
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
    _check_against_slow_reading(data, whole)
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
            assert [one for one, _ in reader.cut(chunk.bytes(chunk.numbers))] == cells
            for place in chunk.grid.regular.nonzero()[0].tolist():
                row = [chunk.grid.cell(place, column) for column in range(len(cells[place]))]
                assert row == cells[place], "cells do not lie where they are said to"
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


def _check_against_slow_reading(data: bytes, found: Outcome) -> None:
    """Hold rows, lines and cells against what a letter by letter reading makes of them."""
    head = without_bom(data)[:HEADER_BYTES]
    try:
        header = read_header(head, LAYOUT, final=True)
    except FileRejected:
        assert found.refused is not None
        return
    rows: dict[int, tuple[int, list[str], str | None]] = {}
    body = without_bom(data)[header.end :]
    try:
        for row in slow_reader.rows(body, header.delimiter, header.width, line=header.next_line):
            closed = row.text.endswith(("\n", "\r"))
            if not (closed or _has_all_cells(row, header) or not row.text.strip(" \t\x1a")):
                assert found.refused in (("file.truncated", row.line), ("file.footer", row.line))
                return
            if row.cells != []:
                rows[len(rows)] = (row.line, *_expected(row, header))
    except slow_reader.Truncated as truncated:
        line = truncated.args[0]
    else:
        line = None
    if line is not None:
        assert found.refused == ("file.truncated", line)
        return
    assert found.refused is None or found.refused[0] in ("file.not_csv", "file.utf16"), "refused"
    if found.refused is None:
        assert {number: (line, code) for number, (line, _, code) in rows.items()} == {
            number: (line, code) for number, (line, _, code) in found.rows.items()
        }
        for number, (_, cells, code) in rows.items():
            assert code or cells == found.rows[number][1], "cells differ"


def _has_all_cells(row: slow_reader.SlowRow, header: HeaderLine) -> bool:
    """Tell whether a last line, broken or not, has as many cells as the header."""
    return slow_reader.loose_count(row.text, header.delimiter) >= header.width


def _expected(row: slow_reader.SlowRow, header: HeaderLine) -> tuple[list[str], str | None]:
    """Return the cells of the columns that have names, and what the row is refused for."""
    named = len(header.header.names)
    if "\0" in row.text:
        return [], "row.nul"
    if row.cells is None:
        return [], "row.bad_quotes"
    if len(row.cells) != header.width:
        return [], "row.cell_count"
    cells = [text_of(cell.encode("utf-8", "surrogateescape"))[0] for cell in row.cells]
    cells[-1] = cells[-1].rstrip("\x1a")
    clean: Callable[[str], str] = unguard if header.reported else str
    if not header.reported and any(cell.strip() for cell in cells[named:]):
        return [], "row.cell_without_column"
    return [*map(clean, cells[:named])], None


def _check_blocks(data: bytes, block_bytes: int) -> None:
    """Make sure that a file reads the same whatever the size of the blocks it comes in."""
    # The first block is never smaller than a header can be; blank lines fill it up.
    padded = b"PERIDX,EMAIL\n" + b"\n" * HEADER_BYTES + data
    whole = _read(io.BytesIO(padded), len(padded))
    cut = _read(io.BytesIO(padded), len(padded), block_bytes=block_bytes)
    assert whole == cut, "the ends of blocks show"
    with patch.multiple(records_module, _WINDOW=block_bytes, _FEW=2, _PATIENCE=2):
        assert whole == _read(io.BytesIO(padded), len(padded)), "the ways of cutting differ"


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
