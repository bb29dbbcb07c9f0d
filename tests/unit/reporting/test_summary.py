"""The verdict in plain words."""

from __future__ import annotations

from datetime import timedelta

from shared.core.errors import Problem
from shared.ledger.imports import Reports, RowCounts
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
            rejected=f"rejected/{NAME}.rejected.csv", report=f"rejected/{NAME}.report.json"
        ),
    )
    problem = Problem(
        code="row.bad_key", message="The key is not a number.", line=4, column="PERIDX"
    )

    text = summary_text(
        import_, problems=[problem], total=1, send_as="customers_20230501T115501Z.csv"
    )

    assert (
        text
        == """\
2 of 3 rows loaded. 1 row has errors: see the rejected file.

File:      customers_20230501T115500Z.csv
Uploaded:  1 May 2023 11:56:00 UTC
Finished:  1 May 2023 12:00:00 UTC
Status:    loaded_with_rejects

Rows:      3 read, 2 loaded, 0 unchanged, 0 outdated, 1 rejected

1 finding:
* line 4: PERIDX: The key is not a number. [row.bad_key]

The rows that were not loaded are in customers_20230501T115500Z.rejected.csv
beside this file. Fix them there, do not change the column export, and upload
it as customers_20230501T115501Z.csv.
"""
    )


def test_a_rejected_file_leaves_nothing_behind_and_says_so() -> None:
    """Of a file that cannot be used, the summary says that nothing of it was loaded."""
    problem = Problem(code="file.truncated", message="The file ends in a row.", line=9)
    import_ = make_import(NAME, status="rejected", status_text=rejected(problem))

    text = summary_text(import_, problems=[problem], total=1)

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

    text = summary_text(import_, problems=[], total=0)

    assert "Fix these rows in the file itself" in " ".join(text.split())
    assert text.endswith(f"Then upload the whole file:\npending/au/{NAME}.csv.\n")


def test_a_long_list_is_cut_and_counted() -> None:
    """Beyond the first so many, problems are counted and the report is named."""
    import_ = make_import(NAME, status="loaded", finished_at=at("12:00") + timedelta(seconds=1))
    problems = [
        Problem(code="row.bad_date", message="Not a date.", line=line) for line in range(2, 50)
    ]

    text = summary_text(import_, problems=problems, total=5_000)

    assert text.count("* line ") == LISTED
    assert f"… and {5_000 - LISTED:,} more" in text


def test_a_summary_lies_beside_its_report() -> None:
    """Its name is the report's, with another ending."""
    assert f"rejected/au/{NAME}.summary.txt" == summary_name(f"rejected/au/{NAME}.report.json")
