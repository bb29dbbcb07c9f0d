"""Tally of the problems of one file: all are counted by code, the first are kept in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from shared.core import Problem, Severity

_Kind = tuple[Severity | None, str, str | None]
"""Severity, code and column of a problem."""

PROBLEMS_LIMIT = 10_000
"""Problems listed one by one in a report. Further problems are only counted."""


PlainProblem = tuple[str, str, int | None, str | None, Severity | None, int | None]
"""A problem as plain data: code, message, line, column, severity, row."""


def plain_problem(problem: Problem) -> PlainProblem:
    """Return a problem as plain data."""
    return (
        problem.code,
        problem.message,
        problem.line,
        problem.column,
        problem.severity,
        problem.row,
    )


def problem_of(plain: PlainProblem) -> Problem:
    """Return the problem from its plain data; that of older versions has no severity and no row."""
    code, message, line, column, severity, row = (*plain, None, None)[:6]
    return Problem(code=code, message=message, line=line, column=column, severity=severity, row=row)


class Tally:
    """Keeps the problems of a file: all are counted by code, the first are kept in full."""

    def __init__(self) -> None:
        self.kept: list[Problem] = []
        self.counts: Counter[str] = Counter()
        self._first: dict[_Kind, dict[str, Any]] = {}

    def add(self, problem: Problem, *, times: int = 1) -> None:
        """Record a problem that occurs `times` times."""
        self.counts[problem.code] += times
        if len(self.kept) < PROBLEMS_LIMIT:
            self.kept.append(problem)
        key = (problem.severity, problem.code, problem.column)
        known = self._first.get(key)
        if known is not None and (problem.line or 0) >= known.get("line", 0):
            known["count"] += times
        elif known is not None:
            _count(known, {**problem.to_document(), "count": times})
        elif len(self._first) < PROBLEMS_LIMIT:
            self._first[key] = {**problem.to_document(), "count": times}

    def extend(self, problems: Iterable[Problem]) -> None:
        """Record several problems."""
        for problem in problems:
            self.add(problem)

    def dump(self) -> dict[str, Any]:
        """Return the tally as plain data, for `absorb`."""
        return {
            "kept": [plain_problem(problem) for problem in self.kept],
            "counts": dict(self.counts),
            "first": list(self._first.values()),
        }

    def absorb(self, dumped: Mapping[str, Any]) -> None:
        """Add the problems of another tally."""
        self.counts.update(dumped["counts"])
        room = PROBLEMS_LIMIT - len(self.kept)
        self.kept.extend(map(problem_of, dumped["kept"][:room]))
        for entry in dumped["first"]:
            key = (entry.get("severity"), entry["code"], entry.get("column"))
            if key in self._first:
                _count(self._first[key], entry)
            elif len(self._first) < PROBLEMS_LIMIT:
                self._first[key] = dict(entry)

    def summary(self) -> tuple[dict[str, Any], ...]:
        """Return one entry per severity, code and column: the first such problem, with its count.

        Example: `{"code": "row.bad_date", …, "severity": "row", "line": 4, "count": 14}`.
        """
        return tuple(self._first.values())


def _count(known: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add to the count of a problem; keep the problem that comes first in the file."""
    count = known["count"] + more["count"]
    if 0 < more.get("line", 0) < known.get("line", 0):
        known.clear()
        known.update(more)
    known["count"] = count
