"""Records: where they begin and end, however the file is cut into blocks."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import FileRejected
from shared.records import Dialect, Splitter

Found = list[tuple[int, bytes, int]]
"""(line, bytes, cells) of each record."""


def split(blocks: Iterable[bytes], delimiter: str = ",", *, record_bytes: int = 1_000_000) -> Found:
    """Split blocks and put together what comes out."""
    splitter = Splitter(delimiter, record_bytes=record_bytes)
    *firsts, last = blocks
    found: Found = []
    for final, block in [*((False, block) for block in firsts), (True, last)]:
        records = splitter.split(block, final=final)
        found += [
            (int(records.lines[i]), records.record(i), int(records.cells[i]))
            for i in range(len(records))
        ]
    return found


def reference(text: str, delimiter: str) -> Iterator[tuple[int, str, int]]:
    """Walk through a text letter by letter; ends with a record of -1 cells when it is cut off."""
    line, start, begun = 1, 0, 1
    cells, state = 1, "cell begins"
    for place, letter in enumerate(text):
        line_end = letter == "\n" or (letter == "\r" and text[place + 1 : place + 2] != "\n")
        line += line_end
        if state == "quoted":
            state = "quote in quotes" if letter == '"' else "quoted"
        elif state in ("cell begins", "quote in quotes") and letter == '"':
            state = "quoted"
        elif letter == delimiter:
            cells, state = cells + 1, "cell begins"
        elif line_end:
            record = text[start : place + 1]
            yield begun, record, cells if record.strip("\r\n") else 0
            start, begun, cells, state = place + 1, line, 1, "cell begins"
        elif letter != "\r":
            state = "cell"
    if state == "quoted":
        yield begun, text[start:], -1
    elif start < len(text):
        yield begun, text[start:], cells


texts = st.lists(
    st.sampled_from(
        ["a", "é", " ", ",", ",", ";", '"', '"', '""', "\n", "\r\n", "\r", '",', '\n"']
    ),
    max_size=40,
).map("".join)
"""Texts in which nearly everything is a quote, a delimiter or a line end."""


@given(texts, st.lists(st.integers(0, 60), max_size=6), st.sampled_from(",;"))
@example('a,"b\r', [4], ",")
@example('"a"\r\n"b"\r', [3, 4], ",")
@example('a"b\n"c\nd"\n', [], ",")
@example('"a""', [3], ",")
@example("\r\r\n\n\r", [1, 2], ",")
def test_against_a_slow_reading(text: str, cuts: list[int], delimiter: str) -> None:
    """Lines, bytes and cells of every record are those of a letter by letter reading."""
    data = text.encode()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    blocks = [data[a:b] for a, b in pairwise(places)]
    expected = [(line, part.encode(), cells) for line, part, cells in reference(text, delimiter)]

    if expected and expected[-1][2] == -1:
        with pytest.raises(FileRejected) as refused:
            split(blocks, delimiter)
        assert refused.value.problem.code == "file.truncated"
        assert refused.value.problem.line == expected[-1][0]
    else:
        assert split(blocks, delimiter) == expected


@given(texts, st.sampled_from(",;"))
def test_against_the_csv_module(text: str, delimiter: str) -> None:
    """Cells are those of the csv module, in regular and in irregular files."""
    if any(cells == -1 for _, _, cells in reference(text, delimiter)):
        text += '"\n'
    dialect = Dialect(delimiter)
    expected = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    found = split([text.encode()], delimiter)

    assert [count for _, _, count in found] == [len(row) for row in expected]
    assert [
        [cell.decode() for cell in record.cells]
        for _, part, _ in found
        if (record := dialect.cut(part))
    ] == expected


@pytest.mark.parametrize(
    ("data", "lines", "cells"),
    [
        (b"", [], []),
        (b"\n", [1], [0]),
        (b"a", [1], [1]),
        (b"a,b", [1], [2]),
        (b"a,b\nc,d\n", [1, 2], [2, 2]),
        (b"a,b\r\nc,d\r\n", [1, 2], [2, 2]),
        (b"a,b\rc,d\r", [1, 2], [2, 2]),
        (b"a\r\nb\nc\rd", [1, 2, 3, 4], [1, 1, 1, 1]),
        (b"a\n\n\r\n\rb\n", [1, 2, 3, 4, 5], [1, 0, 0, 0, 1]),
        (b'"a\nb",c\nd,e\n', [1, 3], [2, 2]),
        (b'"a\r\nb\rc\n\nd",c\ne,f\n', [1, 6], [2, 2]),
        (b'"a,""b"",c",d\n', [1], [2]),
        (b'""\n"",""\n', [1, 2], [1, 2]),
        (b'5" heel,x\n"y\nz",1\n', [1, 2], [2, 2]),
        (b'"a"b,c\n"d\ne",f\n', [1, 2], [2, 2]),
        (b" \n", [1], [1]),
    ],
)
def test_records(data: bytes, lines: list[int], cells: list[int]) -> None:
    """Each record has its line and its number of cells."""
    found = split([data])

    assert [line for line, _, _ in found] == lines
    assert [count for _, _, count in found] == cells


def test_closed() -> None:
    """Only the last record of a file can lack its line end."""
    assert Splitter(",").split(b"a\nb\n", final=True).closed
    assert not Splitter(",").split(b"a\nb", final=True).closed


@pytest.mark.parametrize(
    "row", [b'1,"never closed,2\n', b"x" * 5_000, b'5" heel,"never closed\n'], ids=repr
)
def test_row_without_end(row: bytes) -> None:
    """A row that does not end is refused by its line before much of the file has been read."""
    taken = 0

    def read_on() -> None:
        nonlocal taken
        splitter = Splitter(",", record_bytes=2_000)
        splitter.split(b"a,b\n\n" + row, final=False)
        for _ in range(1_000):
            taken += 1
            splitter.split(b"more " * 20, final=False)

    with pytest.raises(FileRejected) as refused:
        read_on()

    assert refused.value.problem.code == "file.record_too_long"
    assert refused.value.problem.line == 3
    assert taken < 25


def test_long_row_that_ends() -> None:
    """A row over the limit is refused even when it ends in the block it begins in."""
    with pytest.raises(FileRejected) as refused:
        split([b"a,b\n" + b"x" * 2_000 + b",b\n"], record_bytes=2_000)

    assert refused.value.problem.line == 2


def test_long_row_within_the_limit() -> None:
    """A row of just the limit is read, over many blocks."""
    row = b'"' + b"x\n" * 998 + b'",\n'

    assert split([row[i : i + 7] for i in range(0, len(row), 7)], record_bytes=2_000) == [
        (1, row, 2)
    ]
