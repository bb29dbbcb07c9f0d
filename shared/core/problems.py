"""Documents that the ledger and the reports write about problems."""

from __future__ import annotations

from typing import Any

from shared.core.errors import Problem


def problem_document(problem: Problem) -> dict[str, Any]:
    """Return the document of a problem; `line` and `column` are left out where there is none.

    Example: `{"code": "row.bad_date", "message": "…", "hint": "Use YYYY-MM-DD. …", "line": 4}`.
    """
    document: dict[str, Any] = {
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
    }
    if problem.line is not None:
        document["line"] = problem.line
    if problem.column is not None:
        document["column"] = problem.column
    return document
