"""The verdict on a file as text for people: `reports/….summary.txt`.

A summary never quotes a cell, so it can be forwarded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from itertools import chain

from shared.core import count, moment, printable, wrapped
from shared.files import EXPORT
from shared.ledger import LOADED, Import
from shared.reporting.groups import Group

LISTED = 10
"""Largest number of groups of problems in a summary; the report has all problems."""

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
    import_: Import, *, groups: Sequence[Group], zone: tzinfo, send_as: str | None = None
) -> str:
    """Return the summary of an import that has ended.

    Args:
        import_: the import.
        groups: problems of the file or its rows, as `groups_of` returns them; the first `LISTED`
            are named.
        zone: the time zone of the connection.
        send_as: a name for the file of corrected rows.
    """
    rows = import_.rows
    parts = [
        _wrapped(import_.status_text),
        "\n".join(
            (
                f"File:      {import_.object}",
                f"Uploaded:  {moment(import_.uploaded_at, zone)}",
                *(
                    (f"Finished:  {moment(import_.finished_at, zone)}",)
                    if import_.finished_at
                    else ()
                ),
                f"Status:    {import_.status}",
            )
        ),
    ]
    if rows.read and import_.status == "checked":
        parts.append(
            f"Rows:      {rows.read:,} read, {rows.good:,} good, {rows.rejected:,} with errors"
        )
    elif rows.read:
        parts.append(
            f"Rows:      {rows.read:,} read, {rows.loaded:,} loaded, {rows.unchanged:,} unchanged, "
            f"{rows.outdated:,} outdated, {rows.rejected:,} rejected"
        )
    if rows.outdated and rows.outdated == rows.good:
        parts.append(_wrapped(_ALL_OUTDATED))
    parts += _problems(import_, groups)
    if import_.status == "checked" and rows.rejected:
        parts.append(_wrapped(_after_a_check(import_)))
    elif import_.reports.rejected:
        folder = import_.object.removesuffix(import_.file)
        under = folder + (send_as or f"{import_.type}_<time of now in UTC>Z.csv")
        parts.append(
            _wrapped(
                f"The rows that were not loaded are in {import_.reports.rejected}. Fix them "
                f"there, do not change the column {EXPORT}, and upload it as {under}."
            )
        )
    elif import_.status == "rejected":
        text = "None of this file was loaded."
        if import_.exported_at is not None:
            text += f" Fix the file and upload it again under the same name: {import_.object}."
        parts.append(_wrapped(text))
    return printable("\n\n".join(parts) + "\n", keep="\n")


_ALL_OUTDATED = (
    "Files with newer data were loaded before, so this one changed nothing. If it is your newest "
    "export, the time in its name or in the name of an earlier file is wrong: compare it with the "
    "time of the export, and tell the operator."
)


def _after_a_check(import_: Import) -> str:
    """Return the advice about the bad rows of a file in `test/`, of which nothing was loaded."""
    text = "This was a check: nothing was loaded. Fix these rows in the file itself"
    if import_.reports.rejected:
        text += f"; {import_.reports.rejected} only lists them, so do not send it"
    load = f"pending/{import_.object.partition('/')[2]}"
    return f"{text}. Then upload the whole file: {load}."


def _problems(import_: Import, groups: Sequence[Group]) -> Iterator[str]:
    """Yield a paragraph with the errors and one with the warnings, as far as there is room."""
    shown = groups[:LISTED]
    errors, warnings = "Errors", "Warnings"
    if import_.status in LOADED:
        errors, warnings = f"{errors} (not loaded)", f"{warnings} (loaded, but check them)"
    for title, wanted in ((errors, True), (warnings, False)):
        some = [group for group in shown if group.is_error == wanted]
        if some:
            yield "\n".join(
                (f"{title}:", *chain.from_iterable(_group(one, import_) for one in some))
            )
    unlisted = len(groups) - len(shown)
    if unlisted:
        yield f"… and {count(unlisted, 'more kind')} of problems: see the .report.json."


def _group(group: Group, import_: Import) -> Iterator[str]:
    yield _wrapped(f"{group.text} [{group.code}]", first="* ", rest="  ")
    if group.where:
        yield _wrapped(f"{group.where[0].upper()}{group.where[1:]}.", first="  ", rest="  ")
    if group.hint and group.hint not in import_.status_text:
        yield _wrapped(group.hint, first="  > ", rest="    ")


def _wrapped(text: str, *, first: str = "", rest: str = "") -> str:
    return "\n".join(wrapped(text, _WIDTH, first=first, rest=rest))
