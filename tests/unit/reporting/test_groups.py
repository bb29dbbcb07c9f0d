"""Problems of one kind as one entry for people."""

from __future__ import annotations

import pytest

from shared.core.codes import CODES
from shared.core.errors import Problem
from shared.parsing.problems import Tally
from shared.reporting.groups import RANGES, findings_of, groups_of, numbers, place_of


def bad_date(line: int, *, row: int | None = None, message: str = "Not a date.") -> Problem:
    """Return a problem of the column DOB in a rejected row."""
    return Problem(
        code="row.bad_date", message=message, line=line, column="DOB", severity="row", row=row
    )


@pytest.mark.parametrize(
    ("lines", "more", "expected"),
    [
        ([7], 0, "line 7"),
        ([2, 3, 4, 5, 6, 7, 9], 0, "lines 2–7, 9"),
        ([2, 3, 9], 0, "lines 2, 3, 9"),
        ([2], 1, "lines 2 and 1 more"),
        (
            [*range(2, 2 + 2 * RANGES + 4, 2)],
            1_000,
            f"lines {', '.join(str(2 * n) for n in range(1, RANGES + 1))} and 1,002 more",
        ),
        ([1, *range(2_000, 3_000)], 0, "lines 1, 2000–2999"),
    ],
)
def test_numbers_are_ranges(lines: list[int], more: int, expected: str) -> None:
    """Neighbours are a range, and what is not named is counted."""
    assert numbers("line", lines, more=more) == expected


def test_errors_come_first() -> None:
    """Problems of the file come first, then rejected rows, then warnings."""
    warning = Problem(code="row.bad_phone", message="No phone.", line=3, column="MOBILE")
    rare = Problem(code="row.missing_key", message="No key.", line=2, column="PERIDX")
    whole = Problem(code="file.too_many_bad_rows", message="Too many.")

    found = groups_of([warning, warning, warning, rare, bad_date(4), bad_date(5), whole])

    assert [group.code for group in found] == [
        "file.too_many_bad_rows",
        "row.bad_date",
        "row.missing_key",
        "row.bad_phone",
    ]
    assert [group.is_error for group in found] == [True, True, True, False]


def test_a_group_in_words() -> None:
    """A group says how many rows it has, what is wrong with them, where, and what to do."""
    (group,) = groups_of([bad_date(line) for line in (4, 5, 6, 9)])

    assert group.text == "4 rows: DOB: Not a date."
    assert group.where == "lines 4–6, 9"
    assert group.hint == CODES["row.bad_date"].fix


def test_different_messages_are_told_by_their_code() -> None:
    """A message that is true of one row is not told of the others."""
    (group,) = groups_of([bad_date(4, message="Month 13."), bad_date(5, message="Day 32.")])

    assert group.message == CODES["row.bad_date"].meaning


def test_one_code_in_good_and_in_bad_rows() -> None:
    """The rows that were loaded are told apart from those that were not."""
    left_out = Problem(code="row.bad_date", message="Not a date.", line=9, column="DOB")

    errors, warnings = groups_of([left_out, bad_date(4)])

    assert (errors.lines, warnings.lines) == ((4,), (9,))


def test_rows_of_a_spreadsheet() -> None:
    """If cells hold line ends, the row numbers of a spreadsheet are given, too."""
    (group,) = groups_of([bad_date(2), bad_date(6, row=3)])

    assert group.where == "lines 2, 6 (rows 2, 3 in a spreadsheet)"


def test_the_numbers_are_those_of_the_whole_file() -> None:
    """Problems beyond the kept ones are counted; a kind that was not kept has its first line."""
    tally = Tally()
    for line in range(2, 12):
        tally.add(bad_date(line))
    tally.add(Problem(code="row.missing_key", message="No key.", line=40), times=3)

    found = groups_of(tally.kept[:4], tally.summary())

    assert [(group.count, group.where) for group in found] == [
        (10, "lines 2–5 and 6 more"),
        (3, "lines 40 and 2 more"),
    ]


def test_a_problem_of_the_file_has_no_number_of_rows() -> None:
    """Nobody reads `1 row` about the header."""
    missing = Problem(code="header.missing_column", message="No PERIDX.", line=1)

    (group,) = groups_of([missing])

    assert (group.text, group.where) == ("No PERIDX.", "line 1")


def test_the_ledger_has_the_groups_with_their_lines() -> None:
    """The entries of the ledger are in the order of the report, and say all lines."""
    tally = Tally()
    tally.add(Problem(code="header.changed", message="Other columns.", line=1, severity="warning"))
    tally.add(Problem(code="row.bad_key", message="No key.", line=2, column="ID", severity="row"))
    tally.extend(bad_date(line, message=f"Not a date, {line}.") for line in (4, 5, 6, 9))

    found = findings_of(groups_of(tally.kept, tally.summary()), tally.summary())

    assert [(one["code"], one["count"], one["line"], one["lines"]) for one in found] == [
        ("row.bad_date", 4, 4, "lines 4–6, 9"),
        ("row.bad_key", 1, 2, "line 2"),
        ("header.changed", 1, 1, "line 1"),
    ]
    assert found[0]["message"] == CODES["row.bad_date"].meaning


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        ({"count": 4, "line": 4, "lines": "lines 4–6, 9"}, "4 times: lines 4–6, 9"),
        ({"count": 1, "line": 4, "lines": "line 4"}, "line 4"),
        ({"count": 1_200, "line": 4}, "1,200 times: first in line 4"),
        ({"count": 1_200}, "1,200 times"),
        ({}, ""),
    ],
)
def test_place_of_a_finding(finding: dict[str, object], expected: str) -> None:
    """Known lines are shown; a ledger of an earlier version has none."""
    assert place_of(finding) == expected
