"""Orders: rows become lines, and lines an order with its totals."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.files.filetype import file_type
from shared.files.rules import Rules
from shared.files.types.orders import COLUMNS
from shared.parsing.factory import make_document
from tests.support.cells import SYDNEY, check, document, found, read_header

HEAD = {"PERIDX": "65432", "ORDER_NUMBER": "D1", "ORDER_DATE": "2023-04-24"}
LINE = {"SKU": "S", "QUANTITY": "1", "PRICE": "10.00"}


def lines(*rows: Mapping[str, str]) -> list[dict[str, str]]:
    """Complete rows of one order, all with the same columns."""
    names = {name: "" for row in rows for name in row}
    return [{**HEAD, **LINE, **names, **HEAD, **LINE, **row} for row in rows]


def test_full_document() -> None:
    """Rows with every column become an order with every field, by the names agreed."""
    row = {column.name: column.example for column in COLUMNS} | {"WEB_ORDER_NUMBER": "#1135"}

    content, problems = document("orders", [row | {"REGISTER": "R3"}])

    assert content == {
        "orderNumber": "D55500000135",
        "personId": "65432",
        "email": "john.smith@example.com",
        "transactionId": "7000135",
        "webOrderNumber": "#1135",
        "type": "Sale",
        "orderDate": "2023-04-24",
        "store": {
            "id": "4983",
            "code": "Doncaster",
            "number": "014",
            "name": "Doncaster Westfield",
        },
        "staff": {"code": "SO", "name": "Sam O'Reilly"},
        "currency": "AUD",
        "lines": [
            {
                "lineId": "13500",
                "lineNumber": 0,
                "sku": "KN4401-OAT-S",
                "productCode": "KN4401",
                "productName": "Merino Crew Knit",
                "colourCode": "OAT",
                "colourName": "Oatmeal",
                "sizeCode": "S",
                "quantity": 2,
                "priceCents": 22950,
                "valueCents": 41310,
                "discountCents": 4590,
                "discountReason": "Mid-season sale, 10% off",
                "taxPercent": 10,
                "ref": {"group": "Category", "id": "303", "code": "KNITWEAR"},
                "extra": {"REGISTER": "R3"},
            }
        ],
        "lineCount": 1,
        "quantity": 2,
        "valueCents": 41310,
        "extra": {"REGISTER": "R3"},
    }
    assert problems == []


def test_aliases() -> None:
    """Every name under which a column is accepted means that column."""
    for column in COLUMNS:
        for alias in column.aliases:
            assert (column.name,) == read_header("orders", [alias.lower()]).canonical


def test_dash_is_none() -> None:
    """Apparel21 writes - where a product has no colour or size; other texts may be a dash."""
    rows = lines({"COLOUR_CODE": "-", "COLOUR_NAME": " - ", "SIZE_CODE": "-", "PRODUCT_NAME": "-"})

    content, _ = document("orders", rows)

    (line,) = content["lines"]
    assert line == {"sku": "S", "quantity": 1, "priceCents": 1000, "productName": "-"}


def test_order_date_with_a_time() -> None:
    """An order date with a time of day is a day, and a timestamp beside it."""
    content, _ = document("orders", lines({"ORDER_DATE": "2023-04-24T20:12:30"}))

    assert content["orderDate"] == "2023-04-24"
    assert datetime(2023, 4, 24, 10, 12, 30, tzinfo=UTC) == content["orderedAt"]


@pytest.mark.parametrize("day", ["2023-04-24", "2023-04-24T00:00:00"])
def test_order_date_without_a_time(day: str) -> None:
    """An order of which only the day is known has no `orderedAt`."""
    content, _ = document("orders", lines({"ORDER_DATE": day}))

    assert (content["orderDate"], content.get("orderedAt")) == ("2023-04-24", None)


@pytest.mark.parametrize(
    ("row", "currency"),
    [
        ({}, "AUD"),
        ({"CURRENCY": ""}, "AUD"),
        ({"CURRENCY": "nzd"}, "NZD"),
    ],
)
def test_currency(row: Mapping[str, str], currency: str) -> None:
    """The connection's currency stands in where the file names none."""
    rules = Rules(time_zone=SYDNEY.time_zone, currency="AUD")

    content, _ = document("orders", lines(row), rules)

    assert currency == content["currency"]


def test_bad_currency_is_not_replaced() -> None:
    """A currency that cannot be read is left out: the connection's own would be a guess."""
    rules = Rules(time_zone=SYDNEY.time_zone, currency="AUD")

    checked = check("orders", lines({"CURRENCY": "$"}), rules)

    assert found(checked.warnings) == [(2, "CURRENCY", "row.bad_currency")]
    assert "currency" not in make_document(file_type("orders"), checked.rows)[0]


@pytest.mark.parametrize(
    ("row", "cents"),
    [
        ({"VALUE": "8.00", "DISCOUNT": "5.00"}, 800),
        ({"VALUE": "0"}, 0),
        ({"VALUE": ""}, 1000),
        ({"QUANTITY": "3"}, 3000),
        ({"QUANTITY": "3", "DISCOUNT": "5.00"}, 2500),
        ({"QUANTITY": "-1"}, -1000),
        ({"QUANTITY": "-1", "DISCOUNT": "2.00"}, -800),
        ({"QUANTITY": "-1", "DISCOUNT": "-2.00"}, -800),
        ({"QUANTITY": "0.5", "PRICE": "0.01"}, 1),
        ({"QUANTITY": "-0.5", "PRICE": "0.01"}, -1),
        ({"QUANTITY": "0.35", "PRICE": "0.10"}, 4),
        ({"QUANTITY": "1.1", "PRICE": "1.10"}, 121),
        ({"QUANTITY": "0"}, 0),
    ],
)
def test_value_of_a_line(row: Mapping[str, str], cents: int) -> None:
    """What was paid is VALUE, else worked out; a discount makes a refund smaller as well."""
    content, _ = document("orders", lines(row))

    assert cents == content["valueCents"]


def test_totals() -> None:
    """Quantities and values are added up exactly, returns taken off."""
    rows = lines({"QUANTITY": "0.1"}, {"QUANTITY": "0.2"}, {"QUANTITY": "-1", "VALUE": "-7.00"})

    content, _ = document("orders", rows)

    assert tuple(content[name] for name in ("lineCount", "quantity", "valueCents")) == (
        3,
        -0.7,
        -400,
    )


@pytest.mark.parametrize("quantities", [("0.1", "0.9"), ("1", "0"), ("3", "-2.0")])
def test_quantities_are_doubles(quantities: tuple[str, str]) -> None:
    """Quantities are doubles, whole ones and their total too."""
    content, _ = document("orders", lines(*({"QUANTITY": one} for one in quantities)))

    values = [content["quantity"], *(line["quantity"] for line in content["lines"])]
    assert values[0] == 1
    assert {float} == set(map(type, values))


@pytest.mark.parametrize("row", [{"VALUE": "(4.00)"}, {"VALUE": "", "DISCOUNT": "half"}])
def test_no_total_without_an_amount(row: Mapping[str, str]) -> None:
    """An amount that cannot be read is not worked out: the order has no total, and it is told."""
    checked = check("orders", lines({"VALUE": "1.00"}, row))

    content, problems = make_document(file_type("orders"), checked.rows)

    assert [(3, next(name for name in row if row[name]), "row.bad_amount")] == found(
        checked.warnings
    )
    assert found(problems) == [(3, None, "order.total_unknown")]
    assert "valueCents" not in content
    assert [line.get("valueCents") for line in content["lines"]] == [100, None]


def test_lines_whose_id_is_damaged_stay_apart() -> None:
    """Two lines whose LINE_ID a spreadsheet has shortened are two lines."""
    checked = check("orders", lines({"LINE_ID": "1.2E+12"}, {"LINE_ID": "1.2E+12"}))

    content, problems = make_document(file_type("orders"), checked.rows)

    assert (content["lineCount"], problems) == (2, [])


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"VALUE": "92233720368547758.00"}, "valueCents"),
        ({"QUANTITY": "9223372036854775807", "VALUE": "1"}, "quantity"),
    ],
)
def test_totals_beyond_firestore(row: Mapping[str, str], field: str) -> None:
    """A total that no number in Firestore holds is left out, and said so."""
    content, problems = document("orders", lines(row, row))

    assert found(problems) == [(3, None, "order.total_too_large")]
    assert field not in content
    assert len(content["lines"]) == 2


@pytest.mark.parametrize(
    ("rows", "skus"),
    [
        ([{"LINE_NUMBER": "4"}, {"LINE_NUMBER": "0"}, {"LINE_NUMBER": "12"}], "bac"),
        ([{"LINE_NUMBER": "4"}, {"LINE_NUMBER": ""}, {"LINE_NUMBER": "1"}], "abc"),
        ([{}, {}, {}], "abc"),
        ([{"LINE_ID": "9"}, {"LINE_ID": "8"}, {"LINE_ID": "7"}], "abc"),
        ([{"LINE_ID": "9"}, {"LINE_ID": ""}, {"LINE_ID": ""}], "abc"),
        # Without a line id, a line's number tells it apart; where ids differ it does not matter.
        (
            [
                {"LINE_ID": "9", "LINE_NUMBER": "1"},
                {"LINE_ID": "8", "LINE_NUMBER": "1"},
                {"LINE_ID": "", "LINE_NUMBER": "1"},
            ],
            "abc",
        ),
    ],
)
def test_order_of_lines(rows: list[Mapping[str, str]], skus: str) -> None:
    """Lines stand by their numbers if all have one, else as in the file."""
    numbered = [{**row, "SKU": sku} for row, sku in zip(rows, "abc", strict=True)]

    content, problems = document("orders", lines(*numbered))

    assert problems == []
    assert skus == "".join(line["sku"] for line in content["lines"])


@pytest.mark.parametrize(("column", "skus"), [("LINE_ID", ["b", "S"]), ("LINE_NUMBER", ["S", "b"])])
def test_duplicate_line(column: str, skus: list[str]) -> None:
    """Of two rows with one line the later counts, in its place, in the lines and in the totals."""
    rows = lines(
        {column: "1", "SKU": "a"}, {column: "2", "SKU": "b"}, {column: "1", "QUANTITY": "5"}
    )

    content, problems = document("orders", rows)

    assert found(problems) == [(4, None, "row.duplicate_line")]
    assert tuple(content[name] for name in ("lineCount", "quantity", "valueCents")) == (2, 6, 6000)
    assert skus == [line["sku"] for line in content["lines"]]


def test_exchange() -> None:
    """The same product sold and returned in one order is two lines."""
    content, problems = document("orders", lines({"QUANTITY": "1"}, {"QUANTITY": "-1"}))

    assert problems == []
    assert tuple(content[name] for name in ("lineCount", "quantity", "valueCents")) == (2, 0, 0)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"PERIDX": "7"}, "different customers;"),
        ({"ORDER_DATE": "2023-04-25"}, "different dates;"),
        ({"ORDER_DATE": "2023-04-24T10:00:00"}, "different dates;"),
        ({"PERIDX": "7", "ORDER_DATE": "2023-04-25"}, "different customers and dates;"),
    ],
)
def test_differing_heads(row: Mapping[str, str], words: str) -> None:
    """Where the rows of an order disagree about it, the last one counts, with a warning."""
    content, problems = document("orders", lines({}, {}, row))

    assert found(problems) == [(4, None, "order.header_differs")]
    assert words in problems[0].message
    expected: dict[str, Any] = {**HEAD, **row}
    assert (expected["PERIDX"], expected["ORDER_DATE"][:10]) == (
        content["personId"],
        content["orderDate"],
    )


def test_what_belongs_to_the_order_is_of_its_last_row() -> None:
    """A cell that is blank in the last row is not filled from an earlier one."""
    rows = lines(
        {"STORE_CODE": "Bondi", "STAFF_CODE": "SO", "REGISTER": "R1"},
        {"STORE_CODE": "Valley", "STAFF_CODE": "", "REGISTER": ""},
    )

    content, _ = document("orders", rows)

    assert content["store"] == {"code": "Valley"}
    assert {"staff", "extra"}.isdisjoint(content)
    assert [line.get("extra") for line in content["lines"]] == [{"REGISTER": "R1"}, None]


@pytest.mark.parametrize(("sku", "product"), [("S", ""), ("", "P"), ("S", "P")])
def test_either_product_or_sku(sku: str, product: str) -> None:
    """A line needs a SKU or a product code, not both."""
    checked = check("orders", lines({"SKU": sku, "PRODUCT_CODE": product}))

    assert len(checked.rows) == 1


def test_always_grouped() -> None:
    """Several rows may make one order, whatever the header."""
    assert file_type("orders").grouped(read_header("orders", [*HEAD, *LINE]))
