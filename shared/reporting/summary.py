"""The verdict on a file as text for people: `rejected/….summary.txt`.

A summary never quotes a cell, so it can be forwarded.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from itertools import islice

from shared.core import Problem, count, moment, printable
from shared.files import EXPORT
from shared.ledger import Import

LISTED = 20
"""Largest number of problems in a summary; the report has all."""

_WIDTH = 78


def summary_name(report_json: str) -> str:
    """Return the name of the summary beside a `….report.json`."""
    return f"{report_json.removesuffix('.report.json')}.summary.txt"


def report_names(import_: Import) -> dict[str, str]:
    """Return kind -> object name of an import's reports: `rejected`, `summary`, `report`."""
    reports = import_.reports
    names = {"rejected": reports.rejected}
    if reports.report:
        names |= {"summary": summary_name(reports.report), "report": reports.report}
    return {kind: name for kind, name in names.items() if name}


def summary_text(
    import_: Import, *, problems: Sequence[Problem], total: int, send_as: str | None = None
) -> str:
    """Return the summary of an import that has ended.

    Args:
        import_: the import.
        problems: problems of the file or its rows; the first `LISTED` are named.
        total: the number of all problems, including those that are not in `problems`.
        send_as: a name for the file of corrected rows.
    """
    rows = import_.rows
    parts = [
        "\n".join(_wrapped(import_.status_text)),
        "\n".join(
            (
                f"File:      {import_.object}",
                f"Uploaded:  {moment(import_.uploaded_at)}",
                *((f"Finished:  {moment(import_.finished_at)}",) if import_.finished_at else ()),
                f"Status:    {import_.status}",
            )
        ),
    ]
    if rows.read:
        parts.append(
            f"Rows:      {rows.read:,} read, {rows.loaded:,} loaded, {rows.unchanged:,} unchanged, "
            f"{rows.outdated:,} outdated, {rows.rejected:,} rejected"
        )
    if problems:
        parts.append("\n".join(_problems(problems, total)))
    if import_.status == "checked" and rows.rejected:
        parts.append("\n".join(_wrapped(_after_a_check(import_))))
    elif import_.reports.rejected:
        name = import_.reports.rejected.rpartition("/")[2]
        folder = import_.object.removesuffix(import_.file)
        under = folder + (send_as or f"{import_.type}_<time of now in UTC>Z.csv")
        parts.append(
            "\n".join(
                _wrapped(
                    f"The rows that were not loaded are in {name} beside this file. Fix them "
                    f"there, do not change the column {EXPORT}, and upload it as {under}."
                )
            )
        )
    elif import_.status == "rejected":
        text = "None of this file was loaded."
        if import_.exported_at is not None:
            text += f" Fix the file and upload it again under the same name: {import_.object}."
        parts.append("\n".join(_wrapped(text)))
    return printable("\n\n".join(parts) + "\n", keep="\n")


def _after_a_check(import_: Import) -> str:
    """Return the advice about the bad rows of a file in `test/`, of which nothing was loaded."""
    text = "This was a check: nothing was loaded. Fix these rows in the file itself"
    if import_.reports.rejected:
        name = import_.reports.rejected.rpartition("/")[2]
        text += f"; {name} beside this file only lists them, so do not send it"
    load = f"pending/{import_.object.partition('/')[2]}"
    return f"{text}. Then upload the whole file: {load}."


def _problems(problems: Sequence[Problem], total: int) -> Iterable[str]:
    yield f"{count(total, 'finding')}:"
    for problem in islice(problems, LISTED):
        yield from _wrapped(str(problem), first="* ", rest="  ")
    unlisted = total - min(len(problems), LISTED)
    if unlisted:
        yield f"… and {unlisted:,} more: see the .report.json beside this."


def _wrapped(text: str, *, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
