"""Rows are kept, kept in part or refused, and no message repeats what is in their cells."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from shared.core.codes import CODES
from shared.files.filetype import file_type
from shared.files.rules import Rules
from shared.parsing.checked import Row
from shared.parsing.checker import ROW_LIMIT_BYTES
from shared.parsing.factory import make_checker, make_document
from tests.support.cells import SYDNEY, check, found, read_header

GOOD = {"PERIDX": "1", "EMAIL": "jo@example.com", "PRIVACY": "No"}
KEEP = Rules(time_zone=SYDNEY.time_zone, blank_means="keep")


def test_good_row() -> None:
    """A good row has its key, its values by column, its time and what it leaves open."""
    row = {
        **GOOD,
        "EMAIL": "Jo@example.com",
        "ADRS2": " ",
        "LAST_UPDATED": "2023-04-24T20:12:30",
        "OWN": " x ",
    }

    checked = check("customers", [row])

    updated = datetime(2023, 4, 24, 10, 12, 30, tzinfo=UTC)
    values: dict[str, Any] = {
        "PERIDX": "1",
        "EMAIL": "Jo@example.com",
        "EMAIL_LOWER": "jo@example.com",
        "PRIVACY": True,
        "LAST_UPDATED": updated,
        "extra": {"OWN": "x"},
    }
    blank = frozenset({"address.line2"})
    assert [Row(2, 0, "1", values, updated, blank)] == checked.rows
    assert (checked.rejected, checked.warnings) == ([], [])


@pytest.mark.parametrize("blanks", [" {} ", "\u00a0{}\u00a0", "\t{}\r\n", "\u3000{}\u2009"])
def test_trims(blanks: str) -> None:
    """Blanks of any kind around a cell do not count, around a key neither."""
    checked = check("customers", [{name: blanks.format(cell) for name, cell in GOOD.items()}])

    email = dict.fromkeys(("EMAIL", "EMAIL_LOWER"), "jo@example.com")
    assert checked.rows[0].values == {"PERIDX": "1", **email, "PRIVACY": True}


@pytest.mark.parametrize(
    ("type_", "row", "problem"),
    [
        ("customers", {"PERIDX": ""}, ("PERIDX", "row.missing_key")),
        ("customers", {"PERIDX": "\u00a0"}, ("PERIDX", "row.missing_key")),
        ("customers", {"PERIDX": "1.2E+12"}, ("PERIDX", "row.bad_key")),
        ("orders", {"PERIDX": ""}, ("PERIDX", "row.missing_key")),
        ("orders", {"PERIDX": "x"}, ("PERIDX", "row.bad_key")),
        ("orders", {"ORDER_NUMBER": ""}, ("ORDER_NUMBER", "row.missing_key")),
        ("orders", {"ORDER_NUMBER": "a/b"}, ("ORDER_NUMBER", "row.bad_key")),
        ("orders", {"ORDER_DATE": ""}, ("ORDER_DATE", "row.missing_value")),
        ("orders", {"ORDER_DATE": "24/04/2023"}, ("ORDER_DATE", "row.bad_date")),
        ("orders", {"ORDER_DATE": "2023-04-24T25:00:00"}, ("ORDER_DATE", "row.bad_time")),
        ("orders", {"QUANTITY": ""}, ("QUANTITY", "row.missing_value")),
        ("orders", {"QUANTITY": "two"}, ("QUANTITY", "row.bad_number")),
        ("orders", {"PRICE": ""}, ("PRICE", "row.missing_value")),
        ("orders", {"PRICE": "$5"}, ("PRICE", "row.bad_amount")),
        ("orders", {"SKU": ""}, (None, "row.missing_value")),
        ("rewards", {"PERIDX": ""}, ("PERIDX", "row.missing_key")),
    ],
)
def test_refuses(type_: str, row: Mapping[str, str], problem: tuple[str | None, str]) -> None:
    """A row is refused without a usable key, or another value it cannot do without."""
    base = {
        "customers": GOOD,
        "rewards": GOOD,
        "orders": {
            "PERIDX": "1",
            "ORDER_NUMBER": "D1",
            "ORDER_DATE": "2023-04-24",
            "SKU": "S",
            "PRODUCT_CODE": "",
            "QUANTITY": "1",
            "PRICE": "5",
        },
    }[type_]

    checked = check(type_, [base, {**base, **row}, base])

    assert [row.ordinal for row in checked.rows] == [0, 2]
    assert [(refused.line, refused.ordinal) for refused in checked.rejected] == [(3, 1)]
    assert [(3, *problem)] == found(checked.rejected[0].problems)
    assert checked.warnings == []


@pytest.mark.parametrize(
    ("column", "cell", "code", "field"),
    [
        ("EMAIL", "jo", "row.bad_email", "email"),
        ("DOB", "24/04/1990", "row.bad_date", "dateOfBirth"),
        ("RETAIL_REP", "maybe", "row.bad_flag", "retailRep"),
        ("CREATED_DATE", "2023-04-24", "row.bad_time", "created"),
        ("LAST_UPDATED", "yesterday", "row.bad_time", "lastUpdated"),
        ("PRIVACY", "maybe", "row.consent_unknown", "subscribed"),
        ("PRIVACY", "", "row.consent_unknown", "subscribed"),
    ],
)
def test_keeps_without_a_bad_value(column: str, cell: str, code: str, field: str) -> None:
    """A row with a bad value elsewhere is kept without it; the field is left open."""
    checked = check("customers", [{**GOOD, "FIRSTNAME": "Jo", column: cell}])

    (row,) = checked.rows
    assert [(2, column, code)] == found(checked.warnings)
    assert column not in row.values
    beside = {"emailLower"} if field == "email" else set()
    assert {field, *beside} == row.blank
    assert row.last_updated is None
    assert row.values["FIRSTNAME"] == "Jo"


def test_says_everything_about_a_refused_row() -> None:
    """All faults of a refused row are named at once, the ones it is refused for first."""
    checked = check("customers", [{**GOOD, "DOB": "1/1/99", "PERIDX": "x", "EMAIL": "jo"}])

    assert found(checked.rejected[0].problems) == [
        (2, "PERIDX", "row.bad_key"),
        (2, "EMAIL", "row.bad_email"),
        (2, "DOB", "row.bad_date"),
    ]
    assert checked.warnings == []


def test_names_columns_as_the_file_does() -> None:
    """A problem names the column as it stands in the file's own header."""
    row = {"PersonId": "1", "Number": "D1", "Sale_Date": "x", "Sku": "S", "Qty": "1", "Price": "1"}

    checked = check("orders", [row])

    assert found(checked.rejected[0].problems) == [(2, "Sale_Date", "row.bad_date")]


def test_too_long() -> None:
    """A text longer than Apparel21 holds is kept whole, with a warning that counts."""
    checked = check("customers", [{**GOOD, "FIRSTNAME": "J" * 20}, {**GOOD, "FIRSTNAME": "J" * 21}])

    assert found(checked.warnings) == [(3, "FIRSTNAME", "row.too_long")]
    assert "has 21 characters; Apparel21 holds 20" in checked.warnings[0].message
    assert checked.rows[1].values["FIRSTNAME"] == "J" * 21


@pytest.mark.parametrize("column", ["ADRS1", "OWN"])
@pytest.mark.parametrize(("letters", "passes"), [(ROW_LIMIT_BYTES - 17, True), (899_984, False)])
def test_too_large(column: str, letters: int, passes: bool) -> None:
    """A row that would make a document too large is refused, known column or not."""
    checked = check("customers", [{**GOOD, column: "x" * letters}])

    assert passes == bool(checked.rows)
    assert ([] if passes else [[(2, None, "row.too_large")]]) == [
        found(refused.problems) for refused in checked.rejected
    ]


def test_too_large_in_bytes() -> None:
    """What counts is bytes, not letters."""
    checked = check("customers", [{**GOOD, "ADRS1": "🥇" * 300_000}])

    assert found(checked.rejected[0].problems) == [(2, None, "row.too_large")]


def test_blank_consent_column() -> None:
    """A file without PRIVACY leaves every consent open, without a warning for each row."""
    checked = check("customers", [{"PERIDX": "1", "EMAIL": ""}])

    assert checked.warnings == []
    assert frozenset({"subscribed", "email", "emailLower"}) == checked.rows[0].blank


def test_columns_that_the_file_has_not_are_not_blank() -> None:
    """Only columns that are there can be blank, but for consent."""
    checked = check("orders", [ORDER | {"EMAIL": "", "COLOUR_CODE": ""}])

    assert frozenset({"email"}) == checked.rows[0].blank


ORDER = {
    "PERIDX": "1",
    "ORDER_NUMBER": "D1",
    "ORDER_DATE": "2023-04-24",
    "SKU": "S",
    "QUANTITY": "1",
    "PRICE": "5",
}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("__x__", "begins and ends with two underscores"),
        ("ä" * 751, "longer than 1500 bytes"),
        ("", "no name"),
    ],
)
def test_unusable_names(name: str, why: str) -> None:
    """A column whose name Firestore does not take is left out, and that is said once a file."""
    header = read_header("customers", [*GOOD, name])
    checker = make_checker(file_type("customers"), header, SYDNEY)
    columns = {**{column: [cell] for column, cell in GOOD.items()}, name: ["x"]}

    first = checker.check(columns, [2], [0])
    second = checker.check(columns, [3], [1])

    assert found(first.warnings) == [(1, None, "header.unusable_name")]
    assert why in first.warnings[0].message
    assert second.warnings == []
    assert "extra" not in first.rows[0].values


def test_unknown_columns_by_their_own_name() -> None:
    """Unknown columns keep the name and the case they have in the file, dots and all."""
    rows = [{**GOOD, "Shoe.Size": " 43 ", "VIP?": ""}, {**GOOD, "Shoe.Size": "", "VIP?": " "}]

    first, second = check("customers", rows).rows

    assert first.values["extra"] == {"Shoe.Size": "43"}
    assert "extra" not in second.values


def test_keepable() -> None:
    """Consent may always be left as it is; the other fields of a document where blanks keep."""
    expected = {
        "customers": {column.field for column in file_type("customers").columns} - {"personId"},
        "orders": {
            *("email", "transactionId", "webOrderNumber", "type", "currency", "staff.code"),
            *("staff.name", "store.id", "store.code", "store.number", "store.name"),
        },
    }

    for name, fields in expected.items():
        consent = {"subscribed"} if name == "customers" else set()
        assert consent == file_type(name).keepable(SYDNEY) == file_type(name).consent
        assert fields == file_type(name).keepable(KEEP)


@pytest.mark.parametrize("type_", ["customers", "orders", "rewards"])
def test_key_in_a_cell(type_: str) -> None:
    """The key of a row that was refused can still be told, blank or not."""
    cells = ["a", " b ", "\u00a0", '="00123"']

    assert [file_type(type_).read_key(cell) for cell in cells] == ["a", "b", "", "00123"]


def test_pydantic_model() -> None:
    """Rows are checked against a pydantic model with a field for each known column."""
    header = read_header("orders", ["Own", *ORDER])

    model = make_checker(file_type("orders"), header, SYDNEY).model

    assert issubclass(model, BaseModel)
    assert {*ORDER, "ORDERED_AT"} == set(model.model_fields)
    assert {"PERIDX", "ORDER_NUMBER", "ORDER_DATE", "QUANTITY", "PRICE"} == {
        name for name, field in model.model_fields.items() if field.is_required()
    }


SECRET = "Geheim-4711"
"""What no message may hold, whatever stands around it."""

CELLS = st.one_of(
    st.sampled_from(["", " ", "-", "Yes", "No", "1", "2023-04-24", "2023-04-24T10:00:00", "5.50"]),
    st.sampled_from(["{}", "1{}", "{}@{}", "2023-04-24{}", "{}/04/2023", "-{}.5", "__{}__", "%{}"]),
    st.text(max_size=8, alphabet=st.characters(exclude_categories=["Cs"])),
).map(lambda cell: cell.replace("{}", SECRET))


@pytest.mark.parametrize("type_", ["customers", "orders", "rewards"])
@settings(max_examples=40)
@given(data=st.data())
def test_any_cells(type_: str, data: st.DataObject) -> None:
    """Whatever the cells, each row comes out once, holds what Firestore can, and tells nothing."""
    names = [column.name for column in file_type(type_).own_columns] + ["OWN"]
    drawn = data.draw(
        st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), max_size=4)
    )
    rows = [dict(zip(names, cells, strict=True)) for cells in drawn]
    header = read_header(type_, names)
    columns = {name: [row[name] for row in rows] for name in names}

    checked = make_checker(file_type(type_), header, SYDNEY).check(
        columns, range(2, 2 + len(rows)), range(len(rows))
    )

    kept = [row.ordinal for row in checked.rows]
    assert sorted(kept + [r.ordinal for r in checked.rejected]) == list(range(len(rows)))
    problems = [*checked.warnings, *(p for r in checked.rejected for p in r.problems)]
    for row in checked.rows:
        content, more = make_document(file_type(type_), [row])
        problems += more
        assert_storable(content)
    for problem in problems:
        assert problem.code in CODES
        assert SECRET not in str(problem)


def assert_storable(value: Any) -> None:
    """Check that a value is what Firestore holds and nothing is empty."""
    if isinstance(value, dict):
        assert value
        assert all(isinstance(name, str) for name in value)
        for inner in value.values():
            assert_storable(inner)
    elif isinstance(value, list):
        assert value
        for inner in value:
            assert_storable(inner)
    elif isinstance(value, datetime):
        assert value.tzinfo == UTC
    else:
        assert type(value) in (str, int, float, bool)
        assert value != ""
        assert type(value) is not int or abs(value) < 2**63
