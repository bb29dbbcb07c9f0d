"""Records: where they begin and end, however the file is cut into blocks."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core.errors import FileRejected
from shared.parsing.csv.dialect import Dialect
from shared.parsing.csv.records import BROKEN, Splitter
from tests.support import slow_reader

Found = list[tuple[int, bytes, int]]
"""(line, bytes, cells) of each record."""


def split(
    blocks: Iterable[bytes],
    delimiter: str = ",",
    *,
    width: int | None = None,
    record_bytes: int = 1_000_000,
) -> Found:
    """Split blocks and put together what comes out."""
    splitter = Splitter(delimiter, width=width, record_bytes=record_bytes)
    *firsts, last = blocks
    found: Found = []
    for final, block in [*((False, block) for block in firsts), (True, last)]:
        records = splitter.split(block, final=final)
        found += [
            (int(records.lines[i]), records.record(i), int(records.cells[i]))
            for i in range(len(records))
        ]
    return found


texts = st.lists(
    st.sampled_from(
        [
            *("a", "é", " ", ",", ",", ";", '"', '"', '""', "\n", "\r\n", "\r", '",', ',"', '\n"'),
            *("\n1,a\n", '"\n', "\u2003", "\ufeff", "\x1a"),
        ]
    ),
    max_size=40,
).map("".join)
"""Texts in which nearly everything is a quote, a delimiter or a line end."""


@given(
    texts,
    st.lists(st.integers(0, 60), max_size=6),
    st.sampled_from(",;"),
    st.sampled_from([None, 1, 2, 3]),
)
@example('a,"b\r', [4], ",", None)
@example('"a"\r\n"b"\r', [3, 4], ",", None)
@example('a"b\n"c\nd"\n', [], ",", None)
@example('"a""', [3], ",", None)
@example("\r\r\n\n\r", [1, 2], ",", None)
@example('"a\n1,b\nc",d\n', [3], ",", 2)
@example('1,"a\n2,b",d\n', [3], ",", 2)
@example('"a"\u2003\n', [4], ",", 2)
def test_against_a_slow_reading(
    text: str, cuts: list[int], delimiter: str, width: int | None
) -> None:
    """Lines, bytes and cells of every record are those of a letter by letter reading."""
    data = text.encode()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    blocks = [data[a:b] for a, b in pairwise(places)]
    expected: Found = []
    try:
        for row in slow_reader.rows(data, delimiter, width):
            count = BROKEN if row.cells is None else len(row.cells)
            expected.append((row.line, row.text.encode(), count))
    except slow_reader.Truncated as truncated:
        begun = truncated.args[0]
    else:
        begun = None
    if begun is None:
        assert split(blocks, delimiter, width=width) == expected
    else:
        with pytest.raises(FileRejected) as refused:
            split(blocks, delimiter, width=width)
        problem = refused.value.problem
        assert (problem.code, problem.line) == ("file.truncated", begun)


@given(texts, st.sampled_from(",;"), st.sampled_from([None, 2]))
def test_cells_are_those_of_a_slow_reading(text: str, delimiter: str, width: int | None) -> None:
    """Cells of every row are those of a letter by letter reading."""
    dialect = Dialect(delimiter, width=width)
    with suppress(slow_reader.Truncated):
        for row in slow_reader.rows(text.encode(), delimiter, width):
            record = dialect.cut(row.text.encode())
            if row.cells is None:
                assert record is None or record.broken
            else:
                assert record is not None
                assert [cell.decode() for cell in record.cells] == row.cells
                assert dialect.loose(row.text.encode()) == [*record.cells] or not record.cells


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
        (b'""\n"",""\n', [1, 2], [0, 0]),
        (b',,\n ,"\t"\n\x1a\n\xc2\xa0\n', [1, 2, 3, 4], [0, 0, 0, 0]),
        (b',,x\n""""\n', [1, 2], [3, 1]),
        (b'5" heel,x\n"y\nz",1\n', [1, 2], [2, 2]),
        (b'"a"b,c\n"d\ne",f\n', [1, 2], [BROKEN, 2]),
        (b'a, "b" ,"c"\x1a', [1], [3]),
        (b" \n", [1], [0]),
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


class Counting:
    """A pattern that counts the bytes it has matched."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern = pattern
        self.bytes = 0

    def match(self, data: bytes, start: int, stop: int) -> re.Match[bytes] | None:
        found = self._pattern.match(data, start, stop)
        self.bytes += found.end() - start if found else 0
        return found


@pytest.mark.parametrize(
    "data",
    [
        '"a\n' + 'a","\n' * 5_000 + 'a"z\n1,b\n',
        '"a\n' + 'a","\n' * 5_000 + '1,2\n"\n1,b\n',
        '"a\n' + 'a","\n' * 5_000 + 'a"\n',
        '"x\n' * 5_000 + 'y"z\n',
        '"' * 20_000 + "\n",
        '""","\n"' * 5_000 + "x\n",
    ],
    ids=["chain", "chain to a row", "chain that closes", "openings", "quotes", "mixed"],
)
def test_no_byte_is_read_again_and_again(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However quotes hang together, each byte is looked at a few times only."""
    splitter = Splitter(",", width=2)
    counting = [Counting(getattr(splitter._dialect, name)) for name in ("_cell", "_opened")]
    for name, one in zip(("_cell", "_opened"), counting, strict=True):
        monkeypatch.setattr(splitter._dialect, name, one)
    with suppress(FileRejected):
        splitter.split(data.encode(), final=True)

    assert sum(one.bytes for one in counting) < 6 * len(data)


def test_cells_that_are_not_wanted_are_not_cut() -> None:
    """Of a row of a million cells, only as many as wanted are cut; the rest is the last one."""
    row = b"," * 1_000_000 + b"\n"
    tracemalloc.start()
    try:
        cells = Dialect(",").loose(row, most=3)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert (cells[:2], len(cells[2])) == ([b"", b""], 999_998)
    assert most < 4 * len(row)
