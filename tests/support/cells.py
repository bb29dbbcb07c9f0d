"""Rows for tests as they are easiest to write down: mappings from column to cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from shared.core.errors import Problem
from shared.files.cells.vectorized import microseconds
from shared.files.filetype import FileType, file_type
from shared.files.layout import Header
from shared.files.rules import Rules
from shared.parsing.checked import Checked, Row
from shared.parsing.columnar.parts import NEVER
from shared.parsing.factory import make_checker, make_document
from shared.parsing.plan import Planner

SYDNEY = Rules(time_zone=ZoneInfo("Australia/Sydney"))


def as_type(type_: FileType | str) -> FileType:
    return file_type(type_) if isinstance(type_, str) else type_


def read_header(type_: FileType | str, names: Sequence[str], rules: Rules = SYDNEY) -> Header:
    """Return what the type makes of a header."""
    return as_type(type_).layout(rules).header(names)


def check(
    type_: FileType | str, rows: Sequence[Mapping[str, str]], rules: Rules = SYDNEY
) -> Checked:
    """Check rows; the header is the columns of the first, the first row stands in line 2."""
    names = list(rows[0])
    header = read_header(type_, names, rules)
    columns = {
        canonical: [row[name] for row in rows]
        for name, canonical in zip(names, header.canonical, strict=True)
    }
    checker = make_checker(as_type(type_), header, rules)
    return checker.check(columns, range(2, 2 + len(rows)), range(len(rows)))


def document(
    type_: FileType | str, rows: Sequence[Mapping[str, str]], rules: Rules = SYDNEY
) -> tuple[dict[str, Any], list[Problem]]:
    """Return the document of rows that all pass, without warnings, and have one key."""
    checked = check(type_, rows, rules)
    assert (checked.rejected, checked.warnings) == ([], [])
    assert len({row.key for row in checked.rows}) == 1
    return make_document(as_type(type_), checked.rows)


def found(problems: Sequence[Problem]) -> list[tuple[int | None, str | None, str]]:
    """Return where and what, without the words."""
    return [(problem.line, problem.column, problem.code) for problem in problems]


def updated(rows: Sequence[Row]) -> list[int]:
    """Return when each row was last changed, in microseconds since 1970, or NEVER."""
    return [NEVER if row.last_updated is None else microseconds(row.last_updated) for row in rows]


def see(planner: Planner, rows: Sequence[Row]) -> None:
    """Let a planner take note of rows."""
    planner.see([row.key for row in rows], [row.ordinal for row in rows])
