"""A mail says what happened and what to do, in the subject already, and quotes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.core.errors import Problem
from shared.core.notify import Notify
from shared.ledger.imports import Import, Reports, RowCounts
from shared.mail.digest import LISTED, digest
from shared.mail.html import rich
from shared.mail.texts import (
    GROUPS,
    Content,
    ended,
    first_sentence,
    overdue,
    plain,
    recovered,
    refused_name,
    stopped,
    welcome,
)
from shared.reporting.groups import groups_of
from tests.support.imports import at, make_import

SYDNEY = ZoneInfo("Australia/Sydney")
NAME = "customers_20230501T115500Z"
ROWS = RowCounts(read=90, loaded=80, unchanged=4, outdated=2, rejected=4)
BAD_DATES = [
    Problem(code="row.bad_date", message="Not a date.", line=line, column="DOB", severity="row")
    for line in (2, 7, 8, 9)
]
MISSING = Problem(
    code="header.missing_column",
    message="The column PERIDX is missing. It may be PERSON_ID.",
    line=1,
    column="PERIDX",
)


def loaded(**fields: Any) -> Import:
    """Return an import with four rows to fix."""
    values: dict[str, Any] = {
        "connection": "au",
        "status": "loaded_with_rejects",
        "rows": ROWS,
        "finished_at": at("12:00"),
        "reports": Reports(
            rejected=f"rejected/au/{NAME}.rejected.csv", report=f"reports/au/{NAME}.report.json"
        ),
    }
    return make_import(NAME, **{**values, **fields})


def refused(import_id: str = NAME, problem: Problem = MISSING, **fields: Any) -> Import:
    """Return a rejected import."""
    return make_import(import_id, connection="au", status="rejected", error=problem, **fields)


def body(content: Content) -> str:
    """Return the text on one line."""
    return " ".join(plain(content, foot="Why.").split())


def test_rows_to_fix() -> None:
    """The whole mail: verdict, counts, errors before warnings, what to do, and the file."""
    warning = Problem(code="row.bad_email", message="x", line=3, column="EMAIL")
    content = ended(
        loaded(),
        groups_of([warning, *BAD_DATES]),
        zone=SYDNEY,
        send_as="customers_20230501T115501Z.csv",
    )

    assert content.subject("au") == "[au] ! customers 1 May 21:55: 86 of 90 rows loaded, 4 to fix"
    assert (
        plain(content, foot="Why you get this.").replace("-- \n", "--\n")
        == """\
4 rows could not be loaded. All other rows are in.

  90  rows in the file
  80  loaded, new or changed
   4  already up to date, or repeated
   2  older than the stored data
   4  not loaded because of errors

Errors (not loaded):
  * 4 rows: DOB: The cell is not a date – lines 2, 7–9

Warnings (loaded, please check):
  * 1 row: EMAIL: The cell is not one e-mail address – line 3

What to do:
  1. Open customers_20230501T115500Z.rejected.csv in the folder rejected/ of
     the SFTP server. It has only these rows, each with the reason. In
     Excel, choose Data, From Text/CSV, Do not detect data types: a double
     click would damage dates and numbers.
  2. Fix the rows, do not change the column export, and upload the file as
     customers_20230501T115501Z.csv.
  3. Correct them in Apparel21 as well, so that the next export has no such
     rows.

File:     customers_20230501T115500Z.csv
Uploaded: 1 May 2023 21:56:00 AEST
Finished: 1 May 2023 22:00:00 AEST
Report:   reports/au/customers_20230501T115500Z.summary.txt

--
Why you get this.
"""
    )


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        RowCounts(read=40, rejected=14),
        RowCounts(read=3, unchanged=3),
        RowCounts(),
    ],
)
def test_the_counts_add_up(rows: RowCounts) -> None:
    """The first number is the sum of the others, also where good rows were rejected with a file."""
    content = ended(loaded(rows=rows), (), zone=SYDNEY)
    total, *parts = (number for _, number in content.counts)

    assert total == sum(parts)


def test_a_rejected_file() -> None:
    """The subject has the reason, the body the whole message, its fix, and who waits."""
    waiting = [f"orders_20230501T11{minute}00Z.csv" for minute in range(10, 15)]
    content = ended(refused(), groups_of([MISSING]), zone=SYDNEY, waiting=waiting)

    assert content.subject("au") == (
        "[au] ✗ customers 1 May 21:55: nothing loaded – column PERIDX is missing"
    )
    assert "It may be PERSON_ID." in body(content)
    assert f"{waiting[2]} and 2 other files wait for this file" in body(content)
    assert f"upload the file again under the same name: {NAME}.csv" in body(content)


def test_at_most_five_groups() -> None:
    """The others are counted, and the report has them."""
    problems = [
        Problem(code="row.bad_date", message="x", line=2, column=f"C{n}", severity="row")
        for n in range(GROUPS + 3)
    ]
    content = ended(loaded(), groups_of(problems), zone=SYDNEY)

    ((_, lines),) = content.groups
    assert len(lines) == GROUPS + 1
    assert lines[-1] == "… and 3 other kinds of problems: see the report."


def test_no_message_of_a_row_is_quoted() -> None:
    """A warning may name orders by their numbers. A mail has its meaning instead."""
    orphans = Problem(code="order.customer_unknown", message="Orders D-10077 have no customer.")
    content = ended(loaded(), groups_of([orphans]), zone=SYDNEY)

    assert "10077" not in body(content) + rich(content, foot="")


def test_a_refused_name() -> None:
    """The right name is in the subject, because that is all there is to do."""
    problem = Problem(code="name.wrong_order", message="The name is wrong.")
    import_ = refused(problem=problem, exported_at=None)
    content = refused_name(import_, zone=SYDNEY, suggestion="customers_20230501T115500Z.csv")

    assert content.subject("au") == (
        f"[au] refused: {NAME}.csv – rename to customers_20230501T115500Z.csv"
    )
    assert "Rename it to customers_20230501T115500Z.csv" in body(content)
    without = refused_name(import_, zone=SYDNEY)
    assert without.subject("au") == f"[au] refused: {NAME}.csv"
    assert problem.hint in body(without)


def test_overdue_orders() -> None:
    """The mail says which file is missing, or which one has to be corrected."""
    orders = make_import("orders_20230501T115500Z", uploaded=at("12:00"))
    missing = overdue(orders, zone=SYDNEY, now=at("18:00"))
    rejected = overdue(
        make_import("orders_20230501T115500Z", uploaded=at("12:00"), paired_with=NAME),
        zone=SYDNEY,
        now=at("18:00"),
    )

    assert missing.subject("au") == (
        "[au] ! orders 1 May 21:55: waiting for 6 hours – no customers file has arrived"
    )
    assert "Send the customers file." in body(missing)
    assert "Send the corrected customers file." in body(rejected)


@pytest.mark.parametrize(
    ("cadence", "expected"),
    [("1d", "daily"), ("1h", "hourly"), ("7d", "weekly"), ("2d", "every 2 days")],
)
def test_a_stopped_feed(cadence: str, expected: str) -> None:
    """The subject says since when, and how often a file is expected."""
    span = timedelta(**{{"d": "days", "h": "hours"}[cadence[-1]]: int(cadence[:-1])})
    content = stopped("customers", last=at("12:00"), cadence=span, zone=SYDNEY)

    assert content.subject("au") == (
        f"[au] No customers file since Mon 01 May 22:00 (expected {expected})"
    )
    never = stopped("customers", last=None, cadence=span, zone=SYDNEY)
    assert never.subject("au") == f"[au] No customers file yet (expected {expected})"


def test_a_recovery() -> None:
    """The end of trouble is told with the file that ended it."""
    well = ended(
        loaded(status="loaded", rows=RowCounts(read=3, loaded=3), status_text="All are in."),
        (),
        zone=SYDNEY,
    )

    again = recovered(well, "customers", rows_only=False)
    fixed = recovered(well, "bulk_customers", rows_only=True)

    assert again.subject("au") == "[au] ✓ customers: loading again"
    assert fixed.subject("au") == "[au] ✓ bulk customers: no rows to fix any more"
    assert "All are in." in body(again)


@pytest.mark.parametrize(
    "file",
    [
        "cust.csv\r\nBcc: all@example.com\r\n\r\nBody",
        "cust\u2028\u202e.csv",
        f"{'long' * 100}.csv",
        "<script>alert(1)</script>.csv",
    ],
)
def test_a_name_cannot_break_out(file: str) -> None:
    """Whatever a file is called, the subject is one short line and the HTML has no tag of it."""
    problem = Problem(code="name.not_an_export", message=f"{file} is no export.")
    content = refused_name(refused(problem=problem, file=file, object=file), zone=SYDNEY)

    subject = content.subject("au")
    assert subject.isprintable()
    assert len(subject) <= 140
    assert "<script" not in rich(content, foot=file)
    assert plain(content, foot="").replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("The column PERIDX is missing. It may be ID.", "column PERIDX is missing"),
        ("14 of 40 rows (35%) have errors. The limit is 20%.", "14 of 40 rows (35%) have errors"),
        ("Line 2.5 is no line.", "Line 2.5 is no line"),
        ("No full stop", "No full stop"),
    ],
)
def test_first_sentence(message: str, expected: str) -> None:
    """The first sentence of a message is the reason in a subject."""
    assert first_sentence(message) == expected


# -- the digest -----------------------------------------------------------------------------------


def test_a_quiet_day_has_no_digest() -> None:
    """Nobody is mailed that nothing came; a dry run and a replaced upload are nothing."""
    files = [make_import(f"test_{NAME}"), make_import(NAME, status="superseded")]

    assert digest(files, begin=at("07:00"), held=0, zone=SYDNEY) is None


def test_a_day_of_files() -> None:
    """The digest adds up all rows, and names what is to be fixed, first of all."""
    other = "customers_20230501T125500Z"
    files = [
        loaded(),
        make_import(other, status="loaded", rows=RowCounts(read=10, loaded=10)),
        refused("orders_20230501T115500Z", rows=RowCounts(read=5, rejected=5)),
        make_import("orders_20230501T125500Z", status="waiting", status_text="Waiting for it."),
    ]
    content = digest(files, begin=at("07:00"), held=0, zone=SYDNEY)

    assert content is not None
    assert content.subject("au") == "[au] ! 4 files since 1 May 17:00: 2 to fix"
    assert dict(content.counts)["rows in the file"] == 105
    heads = [head for head, _ in content.groups]
    assert heads == ["Files to fix", "Files that wait, or are being loaded", "Loaded"]
    assert content.groups[0][1] == (
        "customers 1 May 21:55: 4 rows not loaded",
        "orders 1 May 21:55: nothing loaded – column PERIDX is missing",
    )


def test_many_files_of_one_kind_are_one_line() -> None:
    """500 misnamed files do not make a mail of 500 lines."""
    files = [
        refused(file=f"c{n}.csv", exported_at=None, problem=Problem(code=code, message="No."))
        for code in ("name.copy", "name.offset")
        for n in range(250)
    ]
    many = [
        refused(problem=Problem(code=f"made.up_{n}", message="No."), type=f"t{n}")
        for n in range(LISTED + 2)
    ]

    content = digest(files, begin=at("07:00"), held=480, zone=SYDNEY)
    long = digest(many, begin=at("07:00"), held=0, zone=SYDNEY)

    assert content is not None
    assert [line.partition(":")[0] for line in content.groups[0][1]] == [
        "250 files, the first c0.csv",
        "250 files, the first c0.csv",
    ]
    assert "480 events had no mail of their own" in content.lead
    assert long is not None
    assert long.groups[0][1][-1] == "… and 2 more"


def test_an_address_that_is_added() -> None:
    """The whole mail: what about, from where, and whom to ask to stop it."""
    notify = Notify(on=frozenset({"rows", "recovered"}))
    content = welcome("au", notify, sender="imports@example.com", contact="help@example.com")

    assert content.subject("au") == "[au] You get mail about the files of au from now on"
    assert (
        plain(content, foot="Why you get this.").replace("-- \n", "--\n")
        == """\
Your address was added to those that are mailed about the files of au. Files
without errors are listed in one mail a day.

You get a mail when:
  * rows are rejected
  * a problem is over

Mails come from: imports@example.com
To stop them:    write to help@example.com, or answer this mail

--
Why you get this.
"""
    )


def test_an_address_that_is_added_where_nobody_is_named() -> None:
    """Another sender writes its own address; of kinds that are not mailed, nothing is said."""
    text = body(welcome("au", Notify(on=frozenset()), sender="", contact=""))

    assert "when:" not in text
    assert "come from" not in text
    assert "To stop them: answer this mail" in text
