"""The verdict in plain words."""

from __future__ import annotations

from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import pytest

from shared.core.errors import Problem
from shared.ledger.imports import Reports, RowCounts
from shared.reporting.groups import groups_of
from shared.reporting.sentences import ended, rejected
from shared.reporting.summary import LISTED, summary_name, summary_text
from tests.support.imports import at, make_import

NAME = "customers_20230501T115500Z"


def test_a_summary_names_the_file_the_rows_and_what_to_mend() -> None:
    """Somebody who only sees this text knows what was loaded, what was not, and what to do."""
    rows = RowCounts(read=3, loaded=2, rejected=1)
    import_ = make_import(
        NAME,
        status="loaded_with_rejects",
        status_text=ended(rows, checked=False),
        finished_at=at("12:00"),
        rows=rows,
        reports=Reports(
            rejected=f"rejected/{NAME}.rejected.csv", report=f"reports/{NAME}.report.json"
        ),
    )
    rejected_row = Problem(
        code="row.bad_key", message="The key is not a number.", line=4, row=3, column="PERIDX"
    )
    warned = [
        Problem(code="row.bad_date", message="Not a date.", line=line, column="DOB")
        for line in (2, 3)
    ]

    text = summary_text(
        import_,
        groups=groups_of([*warned, rejected_row]),
        zone=ZoneInfo("Australia/Sydney"),
        send_as="customers_20230501T115501Z.csv",
    )

    assert (
        text
        == """\
2 of 3 rows loaded. 1 row has errors: see the rejected file.

File:      customers_20230501T115500Z.csv
Uploaded:  1 May 2023 21:56:00 AEST
Finished:  1 May 2023 22:00:00 AEST
Status:    loaded_with_rejects

Rows:      3 read, 2 loaded, 0 unchanged, 0 outdated, 1 rejected

Errors (not loaded):
* 1 row: PERIDX: The key is not a number. [row.bad_key]
  Line 4 (row 3 in a spreadsheet).
  > Copy the key from Apparel21. A spreadsheet shortens long numbers.

Warnings (loaded, but check them):
* 2 rows: DOB: Not a date. [row.bad_date]
  Lines 2, 3.
  > Use YYYY-MM-DD. Rows that require this date are rejected; other rows load
    without it.

The rows that were not loaded are in
rejected/customers_20230501T115500Z.rejected.csv. Fix them there, do not
change the column export, and upload it as customers_20230501T115501Z.csv.
"""
    )


def test_a_rejected_file_leaves_nothing_behind_and_says_so() -> None:
    """Of a file that cannot be used, the summary says that nothing of it was loaded."""
    problem = Problem(code="file.truncated", message="The file ends in a row.", line=9)
    import_ = make_import(NAME, status="rejected", status_text=rejected(problem))

    text = summary_text(import_, groups=groups_of([problem]), zone=UTC)

    assert (
        "None of this file was loaded. Fix the file and upload it again under the same\n"
        "name: customers_20230501T115500Z.csv.\n"
    ) in text
    assert "rejected.csv" not in text


def test_a_check_loads_nothing_and_says_so() -> None:
    """Bad rows of a file in test/ are to be fixed in the file, which is then uploaded whole."""
    rows = RowCounts(read=3, rejected=1)
    import_ = make_import(
        f"test_{NAME}",
        file=f"{NAME}.csv",
        object=f"test/au/{NAME}.csv",
        status="checked",
        status_text=ended(rows, checked=True),
        rows=rows,
        reports=Reports(rejected=f"rejected/au/test/{NAME}.rejected.csv"),
    )

    text = summary_text(import_, groups=(), zone=UTC)

    assert "Rows:      3 read, 2 good, 1 with errors\n" in text
    assert "Fix these rows in the file itself" in " ".join(text.split())
    assert text.endswith(f"Then upload the whole file:\npending/au/{NAME}.csv.\n")


def test_what_to_do_is_said_once() -> None:
    """The fix of the problem for which a file is refused is in its first sentence already."""
    problem = Problem(code="file.truncated", message="The file ends in a row.", line=9)
    import_ = make_import(NAME, status="rejected", status_text=rejected(problem))

    text = " ".join(summary_text(import_, groups=groups_of([problem]), zone=UTC).split())

    assert text.count(problem.hint) == 1
    assert "* The file ends in a row. [file.truncated] Line 9." in text


@pytest.mark.parametrize(("loaded", "told"), [(0, True), (1, False)])
def test_a_file_with_only_older_rows_says_what_to_look_at(loaded: int, told: bool) -> None:
    """Somebody whose newest export changes nothing learns why; a late file needs no advice."""
    rows = RowCounts(read=3, loaded=loaded, outdated=2 - loaded, rejected=1)

    text = summary_text(
        make_import(NAME, status="loaded_with_rejects", rows=rows), groups=[], zone=UTC
    )

    assert ("tell the operator" in " ".join(text.split())) is told


def test_a_long_list_is_cut_and_counted() -> None:
    """Beyond so many kinds the warnings are counted, not the errors, and the report is named."""
    import_ = make_import(NAME, status="loaded", finished_at=at("12:00") + timedelta(seconds=1))
    warnings = [
        Problem(code="row.bad_date", message="Not a date.", line=2, column=f"C{number}")
        for number in range(LISTED + 3)
    ]
    error = Problem(code="row.missing_key", message="No key.", line=9, column="PERIDX")

    text = summary_text(import_, groups=groups_of([*warnings, error]), zone=UTC)

    assert text.count("\n* ") == LISTED
    assert "PERIDX: No key." in text
    assert "… and 4 more kinds of problems: see the .report.json" in text


def test_a_summary_lies_beside_its_report() -> None:
    """Its name is the report's, with another ending."""
    assert f"reports/au/{NAME}.summary.txt" == summary_name(f"reports/au/{NAME}.report.json")
