"""Groups of problems: errors and warnings of one kind, with their lines, for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from shared.core import CODES, Problem, Severity, count

RANGES = 8
"""Largest number of line ranges in a text; the others are counted."""

_OF_FILES = ("file", "header", "name", "settings", "system")
"""First words of codes of problems of whole files."""

_Kind = tuple[Severity, str, str | None]
"""Severity, code and column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Problems with the same severity, code and column."""

    severity: Severity
    """`file`, `operator`: the file is not loaded. `row`: each of these rows is not loaded.
    `warning`: loaded, but check it."""
    code: str
    column: str | None
    message: str
    """The message of the problems; the meaning of the code where their messages differ."""
    hint: str
    count: int
    """Number of problems, those without a known line included."""
    lines: tuple[int, ...]
    """Lines of the file where the rows begin, as far as they are known."""
    rows: tuple[int, ...]
    """Row numbers that a spreadsheet shows for these lines."""

    def to_document(self) -> dict[str, Any]:
        """Return the group as the report has it.

        Example: `{"severity": "row", "code": "row.bad_date", "column": "DOB", "count": 14,
        "message": "…", "hint": "…", "lines": "lines 2–7, 9"}`.
        """
        document: dict[str, Any] = {"severity": self.severity, "code": self.code}
        if self.column is not None:
            document["column"] = self.column
        document |= {"count": self.count, "message": self.message, "hint": self.hint}
        if self.where:
            document["lines"] = self.where
        return document

    @property
    def is_error(self) -> bool:
        """True if the file, or each of the rows, is not loaded."""
        return self.severity != "warning"

    @property
    def text(self) -> str:
        """The problems in words, without their lines and the fix.

        Example: `14 rows: DOB: The cell is not a date.`
        """
        number = f"{count(self.count, self._noun)}: " if self._noun else ""
        return f"{number}{self.column + ': ' if self.column else ''}{self.message}"

    @property
    def kind(self) -> _Kind:
        """The parts that its problems have in common."""
        return self.severity, self.code, self.column

    @property
    def _noun(self) -> str:
        """The things that the problems are about, e.g. `row`; "" for a problem of the file."""
        subject = self.code.partition(".")[0]
        if not self.lines or subject in _OF_FILES:
            return ""
        return {"order": "order", "reward": "account"}.get(subject, "row")

    @property
    def where(self) -> str:
        """The lines of the problems, e.g. `lines 2–7, 9`; "" if none is known.

        Where a spreadsheet shows other numbers, they follow: `line 6 (row 4 in a spreadsheet)`.
        """
        if not self.lines:
            return ""
        more = max(0, self.count - len(self.lines)) if self._noun else 0
        text = numbers("line", self.lines, more=more)
        if self.rows != self.lines:
            text += f" ({numbers('row', self.rows, more=more)} in a spreadsheet)"
        return text


def groups_of(
    problems: Iterable[Problem], summary: Sequence[Mapping[str, Any]] = ()
) -> tuple[Group, ...]:
    """Return problems by kind: those of the file first, then errors, then warnings.

    Among equals the group with most problems is first.

    Args:
        problems: the problems, or the first of them.
        summary: the numbers of all problems, as `Tally.summary` gives them; empty: those in
            `problems`.
    """
    members: defaultdict[_Kind, list[Problem]] = defaultdict(list)
    for problem in problems:
        members[_kind(problem)].append(problem)
    totals: dict[_Kind, int] = {}
    for entry in summary:
        first = Problem.from_document(entry)
        kind = _kind(first)
        totals[kind] = entry.get("count", 1)
        if kind not in members:
            members[kind].append(first)
    groups = [_group(kind, found, totals.get(kind)) for kind, found in members.items()]
    return tuple(sorted(groups, key=_order))


def findings_of(
    groups: Iterable[Group], summary: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return a summary of problems as the ledger has it: in the order of its groups, with lines.

    Example: `{"code": "row.bad_date", "column": "DOB", "count": 14, "line": 2, "lines": "lines 2–7,
    9", …}`.
    """
    entries = {_kind(Problem.from_document(one)): one for one in summary}
    found = []
    for group in groups:
        entry = {**entries[group.kind], "message": group.message}
        found.append({**entry, "lines": group.where} if group.where else entry)
    return found


def place_of(finding: Mapping[str, Any]) -> str:
    """Return the number and the lines of a finding of the ledger; "" if neither is known.

    Example: `14 times: lines 2–7, 9 and 7 more`.
    """
    count_, line = finding.get("count", 1), finding.get("line")
    first = "first in " if count_ > 1 else ""
    lines = finding.get("lines") or (f"{first}line {line}" if line else "")
    number = f"{count_:,} times" if count_ > 1 else ""
    return ": ".join(part for part in (number, lines) if part)


def numbers(noun: str, found: Sequence[int], *, more: int = 0) -> str:
    """Return sorted numbers as ranges, e.g. `lines 2–7, 9 and 40 more`.

    `more` is the number of further ones that are not known.
    """
    ranges = []
    runs = groupby(enumerate(found), key=lambda one: one[1] - one[0])
    for _, run in islice(runs, RANGES):
        values = [number for _, number in run]
        # A range of two is no shorter than its two numbers.
        if len(values) == 2:
            ranges += [(values[0], 1), (values[1], 1)]
        else:
            ranges.append((values[0], len(values)))
    shown = ranges[:RANGES]
    more += len(found) - sum(size for _, size in shown)
    texts = [f"{first}" if size == 1 else f"{first}–{first + size - 1}" for first, size in shown]
    rest = f" and {more:,} more" if more else ""
    return f"{noun if len(found) + more == 1 else noun + 's'} {', '.join(texts)}{rest}"


def _kind(problem: Problem) -> _Kind:
    return problem.severity or "warning", problem.code, problem.column


def _group(kind: _Kind, found: Sequence[Problem], total: int | None) -> Group:
    severity, code, column = kind
    places = sorted({(one.line, one.row or one.line) for one in found if one.line is not None})
    messages = {one.message for one in found}
    known = CODES.get(code)
    return Group(
        severity=severity,
        code=code,
        column=column,
        message=known.meaning if known and len(messages) > 1 else found[0].message,
        hint=known.fix if known else "",
        count=len(found) if total is None else total,
        lines=tuple(line for line, _ in places),
        rows=tuple(row for _, row in places if row is not None),
    )


def _order(group: Group) -> tuple[object, ...]:
    return (
        group.severity in ("row", "warning"),
        not group.is_error,
        -group.count,
        group.lines[:1],
        group.code,
        group.column or "",
    )
