"""Columns of an orders file, and the rules by which its rows, one per line, become orders."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from shared.core import Problem
from shared.files.aggregation import Aggregation
from shared.files.cells.numbers import DECIMAL, INT64_MAX, MONEY, PERCENT, WHOLE, round_cents
from shared.files.cells.texts import (
    CODE,
    CURRENCY,
    DASHED,
    DOCUMENT_ID,
    EMAIL,
    NAME_OR_DASH,
    PERSON_ID,
    SIZE,
    TEXT,
)
from shared.files.cells.times import DAY, TIME_OF_DAY
from shared.files.column import Column
from shared.files.filetype import Assembled, FileType, ItemRow, R, Reference, Total, register

COLUMNS = (
    Column(
        name="PERIDX",
        field="personId",
        kind=PERSON_ID,
        aliases=("PERSON_ID", "PERSONID"),
        required=True,
        max_length=22,
        person="id",
        meaning="Buyer's PERIDX in the customers file.",
        example="65432",
    ),
    Column(
        name="EMAIL",
        field="email",
        kind=EMAIL,
        max_length=250,
        person="email",
        meaning="Buyer's e-mail address.",
        example="john.smith@example.com",
    ),
    Column(
        name="ORDER_NUMBER",
        field="orderNumber",
        kind=DOCUMENT_ID,
        aliases=("TRANSACTION_NUMBER", "DOCKET_NUMBER", "NUMBER"),
        key=True,
        max_length=30,
        personal=False,
        meaning="Number of the order.",
        example="D55500000135",
    ),
    Column(
        name="TRANSACTION_ID",
        field="transactionId",
        kind=CODE,
        aliases=("TRANIDX", "ORDER_ID"),
        max_length=22,
        personal=False,
        meaning="Transaction's id.",
        example="7000135",
    ),
    Column(
        name="WEB_ORDER_NUMBER",
        field="webOrderNumber",
        kind=CODE,
        aliases=("CUSTOMER_ORDER_NUMBER",),
        max_length=30,
        personal=False,
        meaning="Shopper's order number of a web sale.",
        example="",
    ),
    Column(
        name="TRANSACTION_TYPE",
        field="type",
        kind=TEXT,
        aliases=("TYPE", "ORDER_TYPE"),
        max_length=30,
        personal=False,
        meaning="Sale, Layby, Layby Update, Special Order or Special Order Update. "
        "Exchanges and returns are sales.",
        example="Sale",
    ),
    Column(
        name="ORDER_DATE",
        field="orderDate",
        kind=DAY,
        aliases=("SALE_DATE", "TRANSACTION_DATE"),
        required=True,
        personal=False,
        meaning="Day of the sale.",
        example="2023-04-24",
    ),
    Column(
        name="ORDERED_AT",
        field="orderedAt",
        kind=TIME_OF_DAY,
        reads="ORDER_DATE",
        meaning="Time of the sale, if the file has it.",
        example="",
    ),
    Column(
        name="STORE_ID",
        field="store.id",
        kind=CODE,
        max_length=22,
        personal=False,
        meaning="Selling store's id.",
        example="4983",
    ),
    Column(
        name="STORE_CODE",
        field="store.code",
        kind=CODE,
        max_length=30,
        personal=False,
        meaning="Store's code.",
        example="Doncaster",
    ),
    Column(
        name="STORE_NUMBER",
        field="store.number",
        kind=CODE,
        max_length=3,
        personal=False,
        meaning="Store's number.",
        example="014",
    ),
    Column(
        name="STORE_NAME",
        field="store.name",
        kind=TEXT,
        max_length=30,
        personal=False,
        meaning="Store's name.",
        example="Doncaster Westfield",
    ),
    Column(
        name="STAFF_CODE",
        field="staff.code",
        kind=CODE,
        aliases=("SALES_REP_CODE", "RETAIL_REP"),
        meaning="Seller's code.",
        example="SO",
    ),
    Column(
        name="STAFF_NAME",
        field="staff.name",
        kind=TEXT,
        aliases=("SALES_REP_NAME",),
        meaning="Seller's name.",
        example="Sam O'Reilly",
    ),
    Column(
        name="CURRENCY",
        field="currency",
        kind=CURRENCY,
        aliases=("CURRENCY_CODE",),
        setting="currency",
        personal=False,
        meaning="Currency of the amounts.",
        example="AUD",
    ),
    Column(
        name="LINE_ID",
        field="lineId",
        part="item",
        kind=CODE,
        aliases=("DETAIL_ID", "TRANDIDX"),
        max_length=22,
        personal=False,
        meaning="Id of the line: tells lines apart best.",
        example="13500",
    ),
    Column(
        name="LINE_NUMBER",
        field="lineNumber",
        part="item",
        kind=WHOLE,
        aliases=("SEQUENCE",),
        personal=False,
        meaning="Place of the line.",
        example="0",
    ),
    Column(
        name="SKU",
        field="sku",
        part="item",
        kind=CODE,
        aliases=("SKU_ID", "SKUIDX", "BARCODE"),
        personal=False,
        meaning="Unit that is sold.",
        example="KN4401-OAT-S",
    ),
    Column(
        name="PRODUCT_CODE",
        field="productCode",
        part="item",
        kind=CODE,
        aliases=("STYLE_CODE",),
        max_length=10,
        personal=False,
        meaning="Style's code.",
        example="KN4401",
    ),
    Column(
        name="PRODUCT_NAME",
        field="productName",
        part="item",
        kind=TEXT,
        aliases=("STYLE_NAME", "DESCRIPTION"),
        max_length=30,
        personal=False,
        meaning="Style's name.",
        example="Merino Crew Knit",
    ),
    Column(
        name="COLOUR_CODE",
        field="colourCode",
        part="item",
        kind=DASHED,
        aliases=("COLOR_CODE",),
        max_length=21,
        personal=False,
        meaning="Colour's code.",
        example="OAT",
    ),
    Column(
        name="COLOUR_NAME",
        field="colourName",
        part="item",
        kind=NAME_OR_DASH,
        aliases=("COLOR_NAME",),
        max_length=61,
        personal=False,
        meaning="Colour's name.",
        example="Oatmeal",
    ),
    Column(
        name="SIZE_CODE",
        field="sizeCode",
        part="item",
        kind=SIZE,
        aliases=("SIZE",),
        max_length=7,
        personal=False,
        meaning="Size.",
        example="S",
    ),
    Column(
        name="QUANTITY",
        field="quantity",
        part="item",
        kind=DECIMAL,
        aliases=("QTY",),
        required=True,
        personal=False,
        meaning="Units sold; negative if returned.",
        example="2",
    ),
    Column(
        name="PRICE",
        field="priceCents",
        part="item",
        kind=MONEY,
        aliases=("UNIT_PRICE",),
        required=True,
        personal=False,
        meaning="Price of a unit with tax, before discounts.",
        example="229.50",
    ),
    Column(
        name="VALUE",
        field="valueCents",
        part="item",
        kind=MONEY,
        aliases=("LINE_TOTAL", "NETT_VALUE"),
        personal=False,
        meaning="Paid for the line, after tax and discounts; negative for a return.",
        example="413.10",
    ),
    Column(
        name="DISCOUNT",
        field="discountCents",
        part="item",
        kind=MONEY,
        aliases=("DISCOUNT_AMOUNT",),
        personal=False,
        meaning="Discount on the line.",
        example="45.90",
    ),
    Column(
        name="DISCOUNT_REASON",
        field="discountReason",
        part="item",
        kind=TEXT,
        personal=False,
        meaning="Reason of the discount.",
        example="Mid-season sale, 10% off",
    ),
    Column(
        name="TAX_PERCENT",
        field="taxPercent",
        part="item",
        kind=PERCENT,
        aliases=("TAX_PERCENTAGE",),
        personal=False,
        meaning="Included tax rate.",
        example="10",
    ),
    Column(
        name="PRODUCT_REF_GROUP",
        field="ref.group",
        part="item",
        kind=TEXT,
        meaning="Group of the style reference.",
        example="Category",
    ),
    Column(
        name="PRODUCT_REF_ID",
        field="ref.id",
        part="item",
        kind=CODE,
        meaning="Reference's id.",
        example="303",
    ),
    Column(
        name="PRODUCT_REF_CODE",
        field="ref.code",
        part="item",
        kind=CODE,
        aliases=("CATEGORY",),
        meaning="Reference's code.",
        example="KNITWEAR",
    ),
)


def assemble(rows: Sequence[R], items: Sequence[R]) -> Assembled[R]:
    """Combine the rows of one order, in file order.

    Columns that all lines share are taken from the last row. A line is identified by LINE_ID, else
    by LINE_NUMBER, else by its place in the order. It is never identified by its SKU: an exchange
    sells and returns the same SKU in one order. Of two rows with one line the later counts.
    """
    last = rows[-1]
    problems: list[Problem] = []
    if len(rows) > 1:
        problems += _differences(rows)

    by_line: dict[tuple[str, Any], R] = {}
    for place, row in enumerate(items):
        line = _line_key(row, place)
        if by_line.pop(line, None) is not None:
            problems.append(
                Problem(
                    code="row.duplicate_line",
                    message="An earlier row holds the same line of the order; this one is taken.",
                    line=row.line,
                )
            )
        by_line[line] = row
    kept = list(by_line.values())
    if all(row.values.get("LINE_NUMBER") is not None for row in kept):
        kept.sort(key=lambda row: int(row.values["LINE_NUMBER"]))

    totals: dict[str, int | float] = {"lineCount": len(kept)}
    paid = [_paid(row) for row in kept]
    known = [cents for cents in paid if cents is not None]
    if len(known) < len(paid):
        problems.append(
            Problem(
                code="order.total_unknown",
                message="An amount of this line cannot be read, so the order has no valueCents.",
                line=kept[paid.index(None)].line,
            )
        )
    for field, total in {
        "quantity": _sum([row.values["QUANTITY"] for row in kept]),
        **({"valueCents": sum(known)} if len(known) == len(paid) else {}),
    }.items():
        if abs(total) <= INT64_MAX:
            totals[field] = total
        else:
            problems.append(
                Problem(
                    code="order.total_too_large",
                    message=f"The order's {field} is too large for a number in Firestore.",
                    line=last.line,
                )
            )
    return Assembled(kept, totals, problems)


def _line_key(row: ItemRow, place: int) -> tuple[str, Any]:
    for name in ("LINE_ID", "LINE_NUMBER"):
        value = row.values.get(name)
        if value is not None:
            return name, value
    return "place", place


def _differences(rows: Sequence[ItemRow]) -> list[Problem]:
    differing = [
        words
        for words, names in (("customers", ("PERIDX",)), ("dates", ("ORDER_DATE", "ORDERED_AT")))
        if len({tuple(row.values.get(name) for name in names) for row in rows}) > 1
    ]
    if not differing:
        return []
    message = (
        f"The rows of one order name different {' and '.join(differing)}; the last row counts."
    )
    return [Problem(code="order.header_differs", message=message, line=rows[-1].line)]


def _paid(row: ItemRow) -> int | None:
    """Return the amount paid for a line in cents, calculated if the file does not give it.

    None if the file gives an amount that cannot be read.
    """
    values = row.values
    paid = values.get("VALUE")
    if paid is not None:
        return int(paid)
    if row.faulty & {"VALUE", "DISCOUNT"}:
        return None
    quantity = values["QUANTITY"]
    discount = values.get("DISCOUNT") or 0
    # A discount makes a refund smaller too, with either sign in the file.
    discount = -abs(discount) if quantity < 0 else discount
    return round_cents(Decimal(values["PRICE"]) * Decimal(str(quantity)) - discount)


def _sum(quantities: Sequence[float]) -> float:
    """Add up without the error of binary fractions: 0.1 and 0.2 are 0.3."""
    return float(sum((Decimal(str(quantity)) for quantity in quantities), Decimal()))


ORDERS = register(
    FileType(
        name="orders",
        collection="orders",
        document="order",
        waits_for="customers",
        refers_to=Reference(type="customers", column="PERIDX"),
        read_by="connection",
        columns=COLUMNS,
        source="API guide",
        about="Retail transactions, one row per line, with the columns of the order repeated. "
        "All rows of an order belong into one file, in any place: the order replaces an earlier "
        "one. Rows with one `LINE_ID`, or without it one `LINE_NUMBER`, are the same line. "
        "A blank `VALUE` is calculated from `PRICE`, `QUANTITY` and `DISCOUNT`.",
        one_of=(("SKU", "PRODUCT_CODE"),),
        grouped_where=lambda header: True,
        assemble=assemble,
        aggregation=Aggregation(
            shared=("PERIDX", "ORDER_DATE", "ORDERED_AT"),
            item_keys=("LINE_ID", "LINE_NUMBER"),
            sorted_by="LINE_NUMBER",
            count="lineCount",
            sums={"quantity": "QUANTITY", "valueCents": "VALUE"},
        ),
        looks_at=(
            *("PERIDX", "ORDER_DATE", "ORDERED_AT", "LINE_ID", "LINE_NUMBER"),
            *("QUANTITY", "PRICE", "VALUE", "DISCOUNT"),
        ),
        items="lines",
        totals=(
            Total(field="lineCount", stored="integer", meaning="Number of lines."),
            Total(field="quantity", stored="double", meaning="Sum over the lines."),
            Total(
                field="valueCents",
                stored="integer, cents",
                meaning="Sum over the lines; negative for a refund. Absent if an amount could "
                "not be read.",
            ),
        ),
        example_rows=(
            {},
            {
                "LINE_ID": "13501",
                "LINE_NUMBER": "2",
                "SKU": "BT0099----",
                "PRODUCT_CODE": "BT0099",
                "PRODUCT_NAME": "Bootlaces",
                "COLOUR_CODE": "-",
                "COLOUR_NAME": "-",
                "SIZE_CODE": "-",
                "QUANTITY": "-1",
                "PRICE": "9.95",
                "VALUE": "-9.95",
                "DISCOUNT": "",
                "DISCOUNT_REASON": "",
                "PRODUCT_REF_ID": "304",
                "PRODUCT_REF_CODE": "ACCESSORIES",
            },
        ),
    )
)
