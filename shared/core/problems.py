"""Problems as documents: how the ledger and the reports write them."""

from __future__ import annotations

from typing import Any

from shared.core.errors import Problem


def problem_document(problem: Problem) -> dict[str, Any]:
    """Return a problem as the ledger and the reports write it; absent parts are left out."""
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
