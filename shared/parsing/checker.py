"""Checks of the rows of a file: a row passes with values, or is rejected with reasons."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from shared.core import Problem, Severity
from shared.files import Header
from shared.files.cells.vectorized import finer
from shared.files.types import (
    CONSENT,
    EXTRA,
    Column,
    Context,
    Paths,
    Repair,
    Rules,
    fields_of,
    nest,
)
from shared.parsing.checked import CellCounts, Checked, Row, RowProblems
from shared.parsing.model import (
    ColumnSource,
    Fault,
    ModelField,
    ReadColumn,
    build_model,
    undecodable,
    validators,
)

ROW_LIMIT_BYTES = 900_000
"""Upper bound of the UTF-8 bytes in the cells of a row. Firestore accepts documents of 1 MiB in
all."""

CONSENT_BLANK = "The consent is blank"
"""Beginning of the warning about a blank consent. A consent that cannot be read has another
warning."""

_NAME_LIMIT_BYTES = 1500
_NOTHING_SURE: Mapping[str, Sequence[bool]] = {}
_RESERVED_NAME = re.compile(r"__.*__", re.DOTALL)
_PATTERNS = 4096

_NO_CONSENT = Fault("row.consent_unknown", f"{CONSENT_BLANK}, so the stored consent is unchanged.")


_Found = tuple[str, Fault | Repair]
"""Column and its fault or repair; the column is "" for a fault of the whole row."""


@dataclass(kw_only=True)
class _RowCells:
    """Rows that are being checked, column by column."""

    cells: Mapping[str, list[str]]
    """Column -> trimmed cells."""
    own: Sequence[str]
    """Columns that do not read the cells of another one."""
    extra: Mapping[str, list[str]]
    """Column that the table does not have -> trimmed cells."""
    limits: Sequence[tuple[str, int]]
    """Columns with a cell that is too long, and the characters that Apparel21 holds."""
    values: list[Sequence[Any]] = field(default_factory=list)
    """Values of each column, in the order of `cells`."""
    faults: dict[int, list[_Found]] = field(default_factory=dict)
    """Place of a row -> faults of its cells."""
    repairs: dict[int, list[_Found]] = field(default_factory=dict)
    """Place of a row -> repairs of its cells."""
    seen: CellCounts = field(default_factory=CellCounts)

    def add(self, name: str, column: ReadColumn) -> None:
        """Add a column that was read."""
        self.values.append(column.values)
        if name not in self.own:
            return  # the column with the cells says it
        cells = self.cells[name]
        self.seen.filled[name] = sum(map(bool, cells))
        for place, fault in column.faults.items():
            self.faults.setdefault(place, []).append((name, fault))
            if cells[place]:
                self.seen.unreadable[name, fault.message] += 1
        for place, done in column.repairs.items():
            self.repairs.setdefault(place, []).extend((name, one) for one in done)

    @cached_property
    def written(self) -> list[list[str]]:
        """All columns, each cell of the file once."""
        return [*(self.cells[name] for name in self.own), *self.extra.values()]

    @cached_property
    def may_be_large(self) -> bool:
        """True if a row may be larger than a document."""
        longest = (max(map(len, column), default=0) for column in self.written)
        return 4 * sum(longest) > ROW_LIMIT_BYTES


class Checker:
    """Checks the rows of one file, some at a time."""

    def __init__(
        self,
        name: str,
        *,
        header: Header,
        columns: Sequence[Column],
        sources: Sequence[ColumnSource],
        one_of: tuple[tuple[str, ...], ...],
        rules: Rules,
        context: Context,
    ) -> None:
        """Prepare to check.

        Args:
            name: the name of the model.
            header: the file's header.
            columns: the table of the type.
            sources: the columns of the table in the file, in the order of the table. All other
                columns of the file are unknown.
            one_of: groups of columns; a row needs a value in one column of each.
            rules: the rules in the connection's settings.
            context: the facts about the file.
        """
        self.model = build_model(name, tuple(sources), context)
        """Pydantic model of a row."""
        self.header = header
        self.columns = tuple(columns)
        self.sources = tuple(sources)
        self.rules = rules
        self.context = context
        self._names = tuple(source.column.name for source in sources)
        self._own = {source.column.name: header.names[source.place] for source in sources}
        self._needed = {source.column.name for source in sources if source.column.needed}
        reads = validators(self.model)
        self._read = tuple(ModelField(source, reads[source.column.name]) for source in sources)
        self.key = next(source.column.name for source in sources if source.column.key)
        """Column that names the document."""
        self.recency = next((s.column.name for s in sources if s.column.recency), "")
        """Column with the time of the record's last change; "" if there is none."""
        self.consents = tuple(s.column.name for s in sources if s.kind is CONSENT)
        """Columns for which a blank cell gets a warning."""
        self.one_of = one_of
        self._one_of = [
            (group, [self._names.index(name) for name in group if name in self._own])
            for group in one_of
        ]
        """(columns, the places of those that the file has)."""
        self.others = tuple((c.name, c.falls_back_to) for c in columns if c.falls_back_to)
        """(column, the column whose value replaces a blank)."""
        self.defaults = tuple(
            (column.name, value)
            for column in columns
            if column.setting and (value := getattr(rules, column.setting)) is not None
        )
        """(column, the value that replaces a blank)."""
        self._fields = {
            source.column.name: fields_of(source.column, columns)
            for source in sources
            if source.column.part != "item" and source.column.reads is None
        }
        self.always_open = frozenset(
            column.field
            for column in columns
            if column.kind is CONSENT and column.name not in self._own
        )
        """Paths of the fields that every row leaves open."""
        self._open: dict[tuple[str, ...], frozenset[str]] = {}
        known = {source.place for source in sources}
        unknown = [place for place in range(len(header.names)) if place not in known]
        unusable = {place: why for place in unknown if (why := _why_unusable(header.names[place]))}
        self._said = [
            Problem(
                code="header.unusable_name",
                message=f"Column {place + 1} is not kept: {why}.",
                line=1,
                severity="warning",
            )
            for place, why in unusable.items()
        ]
        self.extra = tuple(place for place in unknown if place not in unusable)
        """Places in the header of the columns that are kept under `extra`."""
        self._extra_names = tuple(header.names[place] for place in self.extra)

    def check(
        self,
        columns: Mapping[str, Sequence[str]],
        lines: Sequence[int],
        ordinals: Sequence[int],
        numbers: Sequence[int | None] | None = None,
        sure: Mapping[str, Sequence[bool]] = _NOTHING_SURE,
    ) -> Checked:
        """Check rows given as columns of equal length, by the header's canonical names.

        Every row is either in `rows` or in `rejected`. Warnings about the header are in the result
        of the first call.

        Args:
            columns: the cells, in the order of the header.
            lines: the line on which each row begins.
            ordinals: the place of each row in the file.
            numbers: the row numbers that a spreadsheet shows; None: the lines.
            sure: column name -> True for cells that are known to be good. The text of such a cell
                may take the place of its value.
        """
        reading = self._read_columns(columns, sure)
        checked = Checked(warnings=self._said, seen=reading.seen)
        self._said = []
        rows: Iterable[tuple[Any, ...]] = zip(*reading.values, strict=True)
        for place, (line, ordinal, number, row) in enumerate(
            zip(lines, ordinals, numbers or [None] * len(lines), rows, strict=True)
        ):
            bad = reading.faults.get(place, [])
            if reasons := self._reasons(reading, place, row, bad):
                problems = self._problems(reasons, line, number, "row")
                as_written = [column[place] for column in columns.values()]
                checked.rejected.append(RowProblems(line, ordinal, problems, as_written))
                continue
            found_in = zip(self._names, row, strict=True)
            values = {name: value for name, value in found_in if value is not None}
            if doubts := [*bad, *self._doubts(reading, place, values)]:
                checked.warnings += self._problems(doubts, line, number, "warning")
            faulty = frozenset(name for name, _ in bad)
            checked.rows.append(self._row(reading, place, values, faulty, line, ordinal))
        return checked

    def _read_columns(
        self, columns: Mapping[str, Sequence[str]], sure: Mapping[str, Sequence[bool]]
    ) -> _RowCells:
        """Read all cells, column by column."""
        canonical = self.header.canonical
        cells = {
            source.column.name: _trim(columns[canonical[source.place]], source.kind.blanks)
            for source in self.sources
        }
        extra = {
            name: _trim(columns[canonical[place]])
            for name, place in zip(self._extra_names, self.extra, strict=True)
        }
        reading = _RowCells(
            cells=cells,
            own=[source.column.name for source in self.sources if source.column.reads is None],
            extra=extra,
            limits=[
                (source.column.name, source.limit)
                for source in self.sources
                if source.limit is not None
                and max(map(len, cells[source.column.name]), default=0) > source.limit
            ],
        )
        for reader, (name, texts) in zip(self._read, cells.items(), strict=True):
            reading.add(name, reader.read(texts, sure.get(name)))
        for name, texts in extra.items():
            for place, fault in undecodable(texts).items():
                reading.faults.setdefault(place, []).append((name, fault))
                texts[place] = ""
        return reading

    def _reasons(
        self, reading: _RowCells, place: int, row: Sequence[Any], bad: Sequence[_Found]
    ) -> list[_Found]:
        """Return what is wrong with a row if it is rejected; nothing if it is not.

        The reasons come first, then the row's other problems.
        """
        fatal = [one for one in bad if one[0] in self._needed]
        refused = [] if fatal else self._missing_of_groups(row)
        if reading.may_be_large:
            refused += _too_large([column[place] for column in reading.written])
        if not fatal and not refused:
            return []
        others = [one for one in bad if one[0] not in self._needed]
        return [*(("", one) for one in refused), *fatal, *others]

    def _doubts(
        self, reading: _RowCells, place: int, values: Mapping[str, Any]
    ) -> Iterator[_Found]:
        """Yield what is told about a row that passes, besides its unreadable cells."""
        yield from reading.repairs.get(place, ())
        for name, limit in reading.limits:
            if name in values and len(cell := reading.cells[name][place]) > limit:
                yield name, _too_long(limit, cell)
        for name in self.consents:
            if not reading.cells[name][place]:
                yield name, _NO_CONSENT

    def _row(
        self,
        reading: _RowCells,
        place: int,
        values: dict[str, Any],
        faulty: frozenset[str],
        line: int,
        ordinal: int,
    ) -> Row:
        """Return a row that passes."""
        cells = reading.cells
        self._stand_in(values, cells, place)
        blank = self._left_open(values)
        if kept := {name: texts[place] for name, texts in reading.extra.items() if texts[place]}:
            values[EXTRA] = kept
        return Row(
            line=line,
            ordinal=ordinal,
            key=values[self.key],
            values=values,
            last_updated=values.get(self.recency),
            finer=finer(cells[self.recency][place]) if self.recency else 0,
            blank=blank,
            unreadable=frozenset(
                field
                for name in faulty
                for field in ((EXTRA,) if name in reading.extra else self._fields.get(name, ()))
            ),
            faulty=faulty,
        )

    def _problems(
        self,
        found: Iterable[_Found],
        line: int,
        number: int | None,
        severity: Severity,
    ) -> tuple[Problem, ...]:
        """Return the problems of a row; each is found in a column, or in the whole row."""
        return tuple(
            [
                Problem(
                    code=one.code,
                    message=one.message,
                    line=line,
                    column=self._own.get(name, name) or None,
                    severity=severity,
                    row=number,
                )
                for name, one in found
            ]
        )

    def _missing_of_groups(self, row: Sequence[Any]) -> list[Fault]:
        return [
            Fault("row.missing_value", f"The row needs a value in one of {', '.join(group)}.")
            for group, places in self._one_of
            if all(row[place] is None for place in places)
        ]

    def no_consent(self, name: str, line: int, number: int | None) -> Problem:
        """Return the warning about a row with a blank consent."""
        (problem,) = self._problems([(name, _NO_CONSENT)], line, number, "warning")
        return problem

    def _left_open(self, values: Mapping[str, Any]) -> frozenset[str]:
        pattern = tuple(values)
        known = self._open.get(pattern)
        if known is None:
            known = frozenset(
                self.always_open.union(
                    *(fields for name, fields in self._fields.items() if name not in values)
                )
            )
            if len(self._open) < _PATTERNS:
                self._open[pattern] = known
        return known

    def _stand_in(
        self, values: dict[str, Any], cells: Mapping[str, Sequence[str]], place: int
    ) -> None:
        """Fill blanks for which there is another value. An unreadable cell is not a blank."""
        for name, other in self.others:
            if other in values and not (name in cells and cells[name][place]):
                values[name] = values[other]
        values |= {
            name: value
            for name, value in self.defaults
            if not (name in cells and cells[name][place])
        }


def content(row: Row, to: Paths) -> dict[str, Any]:
    """Return the fields of a document or an item that have a path, from one row."""
    document = nest(row.values, to)
    if EXTRA in row.values:
        document[EXTRA] = dict(row.values[EXTRA])
    return document


def _trim(cells: Sequence[str], blanks: frozenset[str] = frozenset()) -> list[str]:
    """Remove blanks at both ends, no-break spaces included, and texts that mean a blank."""
    trimmed = [*map(str.strip, cells)]
    return ["" if cell in blanks else cell for cell in trimmed] if blanks else trimmed


def _too_large(row: Sequence[str]) -> list[Fault]:
    size = sum(len(cell.encode()) for cell in row)
    if size <= ROW_LIMIT_BYTES:
        return []
    message = f"The row holds {size:,} bytes; a document has room for {ROW_LIMIT_BYTES:,}."
    return [Fault("row.too_large", message)]


def _too_long(limit: int, cell: str) -> Fault:
    message = f"The cell has {len(cell)} characters; Apparel21 holds {limit} at most."
    return Fault("row.too_long", message)


def _why_unusable(name: str) -> str:
    """Return the reason why Firestore does not accept a field name; "" if it does."""
    # https://firebase.google.com/docs/firestore/quotas#collections_documents_and_fields
    if not name:
        return "it has no name"
    if _RESERVED_NAME.fullmatch(name):
        return "its name begins and ends with two underscores"
    if len(name.encode()) > _NAME_LIMIT_BYTES:
        return f"its name is longer than {_NAME_LIMIT_BYTES} bytes"
    return ""
