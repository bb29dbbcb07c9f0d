"""Rows made column by column come to what the pydantic model makes of them, byte for byte."""

from __future__ import annotations

import csv
import io
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from shared.core.errors import Problem
from shared.files.cells.vectorized import microseconds
from shared.files.filetype import FileType, file_type
from shared.files.layout import Header
from shared.files.rules import Rules
from shared.firestore.bulk.encoding import decode_content, encode_content
from shared.parsing.checked import CellCounts, Row, RowProblems
from shared.parsing.checker import Checker
from shared.parsing.columnar import cells
from shared.parsing.columnar.parts import NEVER
from shared.parsing.csv.chunk import Chunk
from shared.parsing.csv.reader import CsvReader
from shared.parsing.factory import join_parts, make_checker, make_document, make_part_maker
from tests.support.cells import SYDNEY

Table = Mapping[str, Sequence[str]]

ODDITIES = (
    *("", " ", "\u00a0", "-", " - ", "0", "1", "-1", "+1", "1.5", ".5", "5.", "1e3", "1,000"),
    *("1,00", "12.30", "12.300", "12.345", "99999999999999999999", "9" * 41, "-0", "0.1", "0.2"),
    *("10 %", "Yes", "no", "TRUE", "maybe", "AUD", "nzd", "A$", "x@y.z", "a@b", "J.O@X.com"),
    *("a@b.c, d@e.f", "a@b..c", "a@.b", "a@b.c.", "@b.c", "a b@c.d", "2023-04-24", "2023-02-30"),
    *("2024-02-29", "1900-01-01", "1899-12-31", "2100-01-01", "2023-13-01", "24/04/2023", "45000"),
    *("2023-04-24T00:00:00", "2023-04-24T20:12:30", "2023-04-24 20:12:30", "2023-04-24T20:12:30Z"),
    *("2023-04-24T24:00:00", "2023-04-02T02:30:00", "2023-10-01T02:30:00", "0000-00-00T00:00:00"),
    *("2023-04-24T20:12:30+12:00", "1931-05-06T07:08:09", "1970-01-01T10:00:00", "\x1c", "a/b"),
    *("2100-12-31T23:59:59", "2023-04-24T20:12:3０", "  padded  ", "tab\tinside", "line\nbreak"),
    *('a "quote"', '"', '""', "é", "\u3000ü\u2028", "🥇", "x" * 23, "y" * 130, "z" * 251),
    *("w" * 4097, "ß" * 3000, ".", "__x__", "1.2E+12", "\ufeff1", "\u200b", "٣", "D55/1"),
    *("12345.0", "8.0", "#N/A", "####", '="0800"', "'0800", "'0800'", "1E10", "x\u200by", "=1"),
    *("#WERT!", "08\x0100", "a\x01@b.c", "D\xa01", "Cafe\u0301"),
    *("Err:502", "'a@b.c'", "mailto:a@b.c", "a\u200b@b.c", "a@b.c'", "2023-04-24 20:12+10"),
    *("2023-04-24 20:12", "2023-04-24T20:12:30.123456", "2023-04-24T00:00:00.5", "2999-01-01"),
    *("JO.SMITH@EXAMPLE.COM", "[@Z.Az", "É@X.com", "ｊｏ@Ｘ．ＣＯＭ", "ﬁ​@Ａ.b", "İ@x.y", "`@{.Z"),
    *("Z" * 60 + "@A.b", "Q" * 248 + "@a.B", "Q" * 316 + "@a.B", "Q" * 317 + "@a.B"),
)
"""Cells that are blank, good, bad or strange, each to some kind or other."""


def chunks_of(
    type_: FileType, table: Table, rules: Rules, chance: random.Random
) -> tuple[Header, str, list[Chunk]]:
    """Write a table as a file in some form, and read it in blocks of some size."""
    text = io.StringIO(newline="")
    line_end = chance.choice(("\r\n", "\n", "\r"))
    # With CR alone, csv would leave an LF without quotes.
    quoted = line_end == "\r" or chance.random() < 0.5
    writer = csv.writer(
        text,
        quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL,
        lineterminator=line_end,
        delimiter=chance.choice(",;\t|"),
    )
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    data = text.getvalue().encode()
    reader = CsvReader(
        io.BytesIO(data), type_.layout(rules), block_bytes=chance.choice((500, 5_000, 1_000_000))
    )
    chunks = list(reader.chunks())
    assert [bad for chunk in chunks for bad in chunk.bad] == []
    return reader.header, reader.delimiter, chunks


def plain(
    checker: Checker, header: Header, chunks: Sequence[Chunk]
) -> tuple[list[Row], list[RowProblems], list[Problem], CellCounts]:
    """Read every row with the pydantic model."""
    rows, rejected, warnings = [], [], []
    seen = CellCounts()
    for chunk in chunks:
        cells = {name: chunk.frame[name].tolist() for name in header.canonical}
        lines, numbers = chunk.lines_and_numbers(np.arange(len(chunk.numbers)))
        checked = checker.check(cells, lines, chunk.ordinals, numbers)
        rows += checked.rows
        rejected += checked.rejected
        warnings += checked.warnings
        seen.add(checked.seen)
    return rows, rejected, warnings, seen


def documents(
    type_: FileType,
    rows: Sequence[Row],
    *,
    grouped: bool,
    leave_out: frozenset[str],
    keepable: frozenset[str],
) -> tuple[dict[tuple[str, int], bytes], list[Problem]]:
    """Make every document out of dicts: (key, line of its last row) -> content."""
    groups: dict[object, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.key if grouped else row.ordinal].append(row)
    made, problems = {}, []
    for group in groups.values():
        content, found = make_document(type_, group, keepable)
        problems += found
        kept = {name: content[name] for name in content if name not in leave_out}
        made[group[-1].key, group[-1].line] = encode_content(kept)
    return made, problems


def agree(
    type_name: str,
    table: Table,
    rules: Rules = SYDNEY,
    *,
    chance: random.Random,
    leave_out: frozenset[str] = frozenset(),
) -> None:
    """Read a table both ways and compare everything that comes out."""
    type_ = file_type(type_name)
    header, delimiter, chunks = chunks_of(type_, table, rules, chance)
    file: dict[str, Any] = {
        "delimiter": delimiter,
        "exported_at": chance.choice((None, datetime(2023, 4, 24, 12, tzinfo=UTC))),
    }
    grouped = type_.grouped(header)
    checker = make_checker(type_, header, rules, **file)
    rows, rejected, warnings, seen = plain(checker, header, chunks)
    keepable = type_.keepable(rules)
    expected, problems = documents(
        type_, rows, grouped=grouped, leave_out=leave_out, keepable=keepable
    )
    maker = make_part_maker(type_, header, rules, leave_out=leave_out, **file)
    outcomes = [maker.make(chunk) for chunk in chunks]
    actual: dict[tuple[str, int], bytes] = {}
    found: list[Problem] = []
    groups: dict[str, list[Any]] = defaultdict(list)
    for outcome in outcomes:
        parts = outcome.parts
        if grouped:
            for key, part in zip(parts.keys, maker.parts(parts), strict=True):
                groups[key].append(part)
            continue
        for key, line, own in zip(parts.keys, parts.lines, parts.own, strict=True):
            actual[key, line] = own
    for key, group in groups.items():
        content, _, more = join_parts(type_, group)
        found += more
        actual[key, group[-1].line] = content

    assert [row.ordinal for row in rows] == [n for one in outcomes for n in one.parts.ordinals]
    assert [row.line for row in rows] == [n for one in outcomes for n in one.parts.lines]
    assert [row.key for row in rows] == [key for one in outcomes for key in one.parts.keys]
    assert [row.keep(keepable) for row in rows] == [k for one in outcomes for k in one.parts.keep]
    assert [
        NEVER if row.last_updated is None else 1000 * microseconds(row.last_updated) + row.finer
        for row in rows
    ] == [at for one in outcomes for at in one.parts.updated]
    assert rejected == [refused for one in outcomes for refused in one.rejected]
    assert warnings == [problem for one in outcomes for problem in one.warnings]
    assert problems == found
    found_in = CellCounts()
    for outcome in outcomes:
        found_in.add(outcome.seen)
    assert seen == found_in
    names = {column.name for column in type_.own_columns if column.field in leave_out}
    with_one = sum(not names.isdisjoint(row.values) for row in rows)
    assert sum(one.left_out for one in outcomes) == with_one
    if expected != actual:  # said in words that can be read
        assert {key: decode_content(content) for key, content in expected.items()} == {
            key: decode_content(content) for key, content in actual.items()
        }
    assert expected == actual


def columns_of(type_: FileType, chance: random.Random) -> list[str]:
    """Choose columns: those that are needed, most others, under some name; and unknown ones."""
    header = [
        chance.choice((column.name, column.name.lower(), *column.aliases))
        for column in type_.own_columns
        if column.needed or column.name in ("SKU", "PRODUCT_CODE") or chance.random() < 0.85
    ]
    header += chance.sample(["OWN", "a.b", "Ünïcode", "__x__", "zz top", "`"], chance.randrange(4))
    chance.shuffle(header)
    return header


def cell(type_: FileType, name: str, chance: random.Random, share: float) -> str:
    """Draw a cell: from the examples of its column's kind, or, with that share, an oddity."""
    if chance.random() < share:
        return chance.choice(ODDITIES)
    for column in type_.own_columns:
        if name.upper() in (column.name, *column.aliases):
            if column.kind.identifies:
                return str(chance.randrange(1, 9))
            examples = [text for text, _ in column.kind.examples]
            blank = [] if column.needed else [""]
            return chance.choice([*examples, *blank, column.example])
    return chance.choice(("", "x", "y"))


RULES = (
    SYDNEY,
    Rules(time_zone=ZoneInfo("Pacific/Auckland"), blank_means="keep", currency="NZD"),
    Rules(time_zone=ZoneInfo("Australia/Lord_Howe"), blank_means="keep"),
)


@pytest.mark.parametrize("type_name", ["customers", "orders", "rewards"])
@pytest.mark.parametrize("seed", range(16))
def test_agrees_on_files(type_name: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents, rejects, warnings, order and all: a file comes to the same both ways."""
    chance = random.Random(f"{type_name} {seed}")
    monkeypatch.setattr(cells, "MANY", chance.choice((0, 10, cells.MANY)))
    type_ = file_type(type_name)
    header = columns_of(type_, chance)
    share = chance.choice((0.0, 0.002, 0.02, 0.2))
    count = chance.choice((1, 30, 100))
    table = {name: [cell(type_, name, chance, share) for _ in range(count)] for name in header}

    agree(
        type_name,
        table,
        RULES[seed % len(RULES)],
        chance=chance,
        leave_out=type_.consent if chance.random() < 0.3 else frozenset(),
    )


@pytest.mark.parametrize("rules", RULES, ids=lambda rules: str(rules.time_zone))
def test_agrees_on_days_with_a_time(rules: Rules) -> None:
    """A day of sale comes to the same both ways: with or without a time, at midnight, strange."""
    chance = random.Random(0)
    times = [
        *("2023-04-24", "2023-04-24T00:00:00", "2023-04-24T20:12:30", "2023-04-24T00:00:01", ""),
        *("2023-10-01T00:00:00", "2023-10-01T02:30:00", "2023-04-02T02:30:00", "2024-02-29"),
        *("2024-02-29T00:00:00", "2023-02-29T00:00:00", "2023-02-29T10:00:00", " 2023-04-24"),
        *("2023-04-24 20:12:30", "2023-04-24 00:00:00", "2023-04-24T20:12:30Z", "1970-01-01"),
        *("1970-01-01T10:00:00", "1931-05-06T00:00:00", "1931-05-06T07:08:09", "24/04/2023"),
        *("2100-12-31T00:00:00", "2100-12-31T23:59:59", "1899-12-31T00:00:00", "2023-04-24T24:00"),
        *(
            f"20{year:02}-{month:02}-28T{month:02}:{year:02}:00"
            for year in range(50)
            for month in (1, 7)
        ),
    ]
    count = len(times)

    agree(
        "orders",
        {
            "ORDER_NUMBER": [f"D{order}" for order in range(count)],
            "PERIDX": ["65432"] * count,
            "ORDER_DATE": chance.sample(times, count),
            "SKU": ["A1"] * count,
            "QUANTITY": ["1"] * count,
            "PRICE": ["9.95"] * count,
        },
        rules,
        chance=chance,
    )


@pytest.mark.parametrize("row", [b'"1" , "No"\n', b"1,No\x1a\n", b'"\xe9", No\n', b"1,No\n"])
def test_values_that_are_left_out_are_counted(row: bytes) -> None:
    """A row whose consent is not to be written is counted, however the row is written."""
    type_ = file_type("customers")
    rules = Rules(time_zone=ZoneInfo("Australia/Sydney"), key_column="CARD")
    reader = CsvReader(io.BytesIO(b"CARD,PRIVACY\n" + row), type_.layout(rules))
    maker = make_part_maker(type_, reader.header, rules, leave_out=type_.consent)

    assert [maker.make(chunk).left_out for chunk in reader.chunks()] == [1]
