"""Samples with a wrong name, with errors in their content, or with something odd."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import date

from local.sample_data.people import AUSTRALIA, CUSTOMER_COLUMNS, Person, make_people
from local.sample_data.purchases import ORDER_COLUMNS, Order, make_orders
from local.sample_data.sample import Sample, consents, customers_file, totals, write_csv


def faulty_samples(chance: random.Random) -> list[Sample]:
    """Make the samples with a wrong name, with errors, or with something odd."""
    wednesday = date(2024, 11, 20)
    people = make_people(chance, AUSTRALIA, first=900_000, count=40, latest=wednesday)
    orders = make_orders(chance, AUSTRALIA, people, first=5000, count=20, day=wednesday)
    lines = [row for order in orders for row in order.rows]
    few = people[:5]
    return [
        *_misnamed(customers_file(few), write_csv(ORDER_COLUMNS, orders[0].rows)),
        *_odd_but_right(people),
        *_bad_rows(people, orders),
        *_unusable(people, lines),
    ]


WRONG_NAME = "faulty/wrong-name/"


def _misnamed(customers: bytes, orders: bytes) -> list[Sample]:
    def sample(file: str, code: str, about: str, content: bytes = customers) -> Sample:
        return Sample(
            path=f"{WRONG_NAME}{file}",
            about=about,
            happens="Never loaded. The gateway refuses such a file at once and says the right "
            "name; one that gets into the bucket by other means is `rejected` in the ledger.",
            status="rejected",
            codes=(code,),
            content=content,
        )

    return [
        sample("Customers_20241120T010000Z.csv", "name.wrong_case", "A capital in the type."),
        sample("customers_20241120T010100Z.CSV", "name.wrong_extension", "`.CSV` in capitals."),
        sample("customers_20241120T010200.csv", "name.not_utc", "No `Z`: is that UTC?"),
        sample(
            "customers_20241120T120300+1100.csv", "name.offset", "A local time with its offset."
        ),
        sample("customers_20241120.csv", "name.missing_time", "A day without a time."),
        sample("customers_20241131T010500Z.csv", "name.bad_date", "The 31st of November."),
        sample("customer_20241120T010600Z.csv", "name.misspelt_type", "The type in the singular."),
        sample("customers_20241120T010700Z (1).csv", "name.copy", "What a browser calls a copy."),
        sample(
            "orders-20241120T010800Z.csv",
            "name.wrong_separator",
            "A hyphen in place of the underscore.",
            orders,
        ),
        sample("stocktake_20241120T010900Z.csv", "name.unknown_type", "A type not agreed on."),
    ]


def _odd_but_right(people: Sequence[Person]) -> list[Sample]:
    accented = [
        person
        for person in people
        if any(ord(letter) > 127 for cell in person.cells.values() for letter in cell)
    ]
    plain = people[:12]

    def sample(
        name: str,
        stamp: str,
        content: bytes,
        loaded: Sequence[Person],
        about: str,
        happens: str,
        codes: tuple[str, ...] = (),
    ) -> Sample:
        blank = ("row.consent_unknown",) if any(p.subscribed is None for p in loaded) else ()
        return Sample(
            path=f"faulty/{name}/customers_{stamp}Z.csv",
            about=about,
            happens=happens,
            status="loaded",
            codes=(*codes, *blank),
            content=content,
            rows=len(loaded),
            truth=consents(loaded),
        )

    shuffled = sorted(CUSTOMER_COLUMNS, reverse=True)
    return [
        sample(
            "bom",
            "20241120T020000",
            customers_file(plain, encoding="utf-8-sig"),
            plain,
            "A byte order mark before the first column, as Excel writes it.",
            "The mark is not part of the column's name.",
        ),
        sample(
            "semicolons",
            "20241120T020100",
            customers_file(plain, delimiter=";"),
            plain,
            "Semicolons between the cells.",
            "The delimiter is recognised.",
        ),
        sample(
            "windows-1252",
            "20241120T020200",
            customers_file(accented, encoding="cp1252"),
            accented,
            "Accented letters in Windows-1252 instead of UTF-8.",
            "A warning says so; letters that Windows-1252 lacks (macrons) would be lost "
            "before the file is written, so the export should be UTF-8.",
            ("file.not_utf8",),
        ),
        sample(
            "columns-in-another-order",
            "20241120T020300",
            write_csv(shuffled, (person.cells for person in plain)).replace(
                b"FIRSTNAME", b" FirstName ", 1
            ),
            plain,
            "The columns in another order, one of them in mixed case with blanks around it.",
            "Columns are found by name, whatever their order, case and blanks.",
        ),
        sample(
            "header-only",
            "20241120T020400",
            customers_file([]),
            [],
            "A header and no row: nothing has changed since the last export.",
            "Nothing to load: a quiet day is not a fault.",
        ),
        _duplicates(plain),
    ]


def _duplicates(people: Sequence[Person]) -> Sample:
    newer = people[0].but(PRIVACY="Yes", LAST_UPDATED="2024-11-20T12:00:00")
    older = people[1].but(PRIVACY="Yes", LAST_UPDATED="2001-01-01T09:00:00")
    rows = [*people, newer, older]
    return Sample(
        path="faulty/duplicate-keys/customers_20241120T020500Z.csv",
        about="Two people are in it twice: one again with a later LAST_UPDATED, one with an "
        "earlier.",
        happens="The row with the later LAST_UPDATED wins, not simply the last; a warning "
        "counts them.",
        status="loaded",
        codes=("row.duplicate_key",),
        content=customers_file(rows),
        rows=len(rows),
        truth=consents([newer, *people[1:]]),
    )


def _bad_rows(people: Sequence[Person], orders: Sequence[Order]) -> list[Sample]:
    def with_more(cells: Mapping[str, str]) -> str:
        return _one(CUSTOMER_COLUMNS, cells).replace("\r\n", ",surplus\r\n")

    def with_less(cells: Mapping[str, str]) -> str:
        return _one(CUSTOMER_COLUMNS[:-1], {c: cells[c] for c in CUSTOMER_COLUMNS[:-1]})

    ragged = _with_lines(people, {9: with_more, 20: with_less})
    dates = [
        person.but(DOB="24/04/1990") if place % 10 == 4 else person
        for place, person in enumerate(people)
    ]
    faults: Mapping[int, Mapping[str, str]] = {
        3: {"PERIDX": ""},
        6: {"PERIDX": "9.00003E+5"},
        9: {"PERIDX": "90O042"},
        15: {"EMAIL": "nobody at example.com"},
        18: {"DOB": "1990-02-30"},
        21: {"LAST_UPDATED": "20/11/2024 4:15 pm"},
        24: {"PRIVACY": "Maybe"},
        27: {"RETAIL_REP": "perhaps"},
        30: {"FIRSTNAME": "Bartholomew Maximilian Alexander"},
    }
    ten = [person.but(**faults.get(place, {})) for place, person in enumerate(people)]
    ten_content = _with_lines(ten, {12: with_more})
    ten_loaded = [person for place, person in enumerate(ten) if place not in {3, 6, 9, 12}]
    too_many = [
        person.but(PERIDX="9.00003E+5") if place % 3 == 0 else person
        for place, person in enumerate(people)
    ]
    spoilt, kept = orders[0], orders[1:]
    order_rows = [
        *({**row, "ORDER_DATE": "20/11/2024"} for row in spoilt.rows),
        *(row for order in kept for row in order.rows),
    ]
    unknown = ("row.consent_unknown",)
    return [
        Sample(
            path="faulty/ragged-rows/customers_20241120T030000Z.csv",
            about="One row has a cell more than the header, one a cell less.",
            happens="The two rows are rejected, because nobody can tell which cell belongs where; "
            "the others are loaded.",
            status="loaded_with_rejects",
            codes=("row.cell_count", *unknown),
            content=ragged,
            rows=len(people),
            rejected=2,
            truth=consents(p for place, p in enumerate(people) if place not in {9, 20}),
        ),
        Sample(
            path="faulty/bad-dates/customers_20241120T030100Z.csv",
            about="Four dates of birth as `24/04/1990`.",
            happens="The rows are loaded without the date of birth; a warning names each.",
            status="loaded",
            codes=("row.bad_date", *unknown),
            content=customers_file(dates),
            rows=len(dates),
            truth=consents(dates),
        ),
        Sample(
            path="faulty/ten-faults/customers_20241120T030200Z.csv",
            about="Ten rows, each with a fault of its own: no key, a key that Excel has ruined, "
            "a key with a letter, a surplus cell, a bad e-mail, an impossible date, an unusable "
            "LAST_UPDATED, an unknown consent, an unknown flag, a name that is too long.",
            happens="The first four are rejected; the other six are loaded without the bad value "
            "(the long name as it is), each with a warning.",
            status="loaded_with_rejects",
            codes=(
                *("row.missing_key", "row.bad_key", "row.cell_count", "row.bad_email"),
                *("row.bad_date", "row.bad_time", "row.consent_unknown", "row.bad_flag"),
                "row.too_long",
            ),
            content=ten_content,
            rows=len(ten),
            rejected=4,
            truth=consents(ten_loaded),
        ),
        Sample(
            path="faulty/too-many-bad-rows/customers_20241120T030300Z.csv",
            about="Every third key has become `9.00003E+5`: saved from Excel.",
            happens="Too many of the rows are bad: nothing is loaded.",
            status="rejected",
            codes=("file.too_many_bad_rows", "row.bad_key", *unknown),
            content=customers_file(too_many),
            rows=len(too_many),
        ),
        Sample(
            path="faulty/bad-order-date/orders_20241120T030400Z.csv",
            about="One order has a date as `20/11/2024`.",
            happens="A date of an order is needed: its rows are rejected, the other orders "
            "are loaded.",
            status="loaded_with_rejects",
            codes=("row.bad_date",),
            content=write_csv(ORDER_COLUMNS, order_rows),
            rows=len(order_rows),
            rejected=len(spoilt.rows),
            truth=totals(kept),
        ),
    ]


def _one(columns: Sequence[str], cells: Mapping[str, str]) -> str:
    text = io.StringIO(newline="")
    csv.DictWriter(text, columns, lineterminator="\r\n").writerow(cells)
    return text.getvalue()


def _with_lines(
    people: Sequence[Person], spoil: Mapping[int, Callable[[Mapping[str, str]], str]]
) -> bytes:
    """Write a customers file in which the functions in `spoil` write the rows at their places."""
    header = ",".join(CUSTOMER_COLUMNS) + "\r\n"
    rows = (
        spoil[place](person.cells) if place in spoil else _one(CUSTOMER_COLUMNS, person.cells)
        for place, person in enumerate(people)
    )
    return (header + "".join(rows)).encode()


def _unusable(people: Sequence[Person], lines: Sequence[Mapping[str, str]]) -> list[Sample]:
    good = customers_file(people)
    no_key = [column for column in CUSTOMER_COLUMNS if column != "PERIDX"]
    no_number = [column for column in ORDER_COLUMNS if column != "ORDER_NUMBER"]
    half = good[: good.rindex(b",AUSTRALIA")]

    def sample(name: str, file: str, code: str, about: str, happens: str, content: bytes) -> Sample:
        return Sample(
            path=f"faulty/{name}/{file}",
            about=about,
            happens=f"{happens} Nothing is loaded.",
            status="rejected",
            codes=(code,),
            content=content,
        )

    # The orders come before the customers files below, so that they match one that was loaded.
    return [
        sample(
            "missing-column",
            "orders_20241120T040000Z.csv",
            "header.missing_column",
            "Orders without ORDER_NUMBER.",
            "The missing column is named.",
            write_csv(no_number, ({c: row[c] for c in no_number} for row in lines)),
        ),
        sample(
            "missing-column",
            "customers_20241120T050000Z.csv",
            "header.missing_column",
            "Customers without PERIDX.",
            "The missing column is named.",
            write_csv(no_key, ({c: p.cells[c] for c in no_key} for p in people)),
        ),
        sample(
            "duplicate-column",
            "customers_20241120T050100Z.csv",
            "header.duplicate_column",
            "EMAIL is in the header twice.",
            "Nobody can tell which of the two holds.",
            good.replace(b"SMS_OPT_IN", b"EMAIL", 1),
        ),
        sample(
            "no-header",
            "customers_20241120T050200Z.csv",
            "header.missing",
            "The first line is a customer already.",
            "Without a header no cell has a name.",
            good.split(b"\r\n", 1)[1],
        ),
        sample(
            "truncated",
            "customers_20241120T050300Z.csv",
            "file.truncated",
            "The upload broke off in the middle of the last row.",
            "What is missing may be more than that row.",
            half,
        ),
        sample(
            "truncated-in-quotes",
            "customers_20241120T050400Z.csv",
            "file.truncated",
            "The file ends inside a quoted cell.",
            "What is missing may be more than that row.",
            good + b'900999,LAST,"AMELIA',
        ),
        sample(
            "utf-16",
            "customers_20241120T050500Z.csv",
            "file.utf16",
            'Saved from Excel as "Unicode text".',
            "Exports are UTF-8.",
            b"\xff\xfe" + customers_file(people[:12], encoding="utf-16-le"),
        ),
        sample(
            "spreadsheet",
            "customers_20241120T050600Z.csv",
            "file.spreadsheet",
            "A workbook that was renamed to `.csv`.",
            "A workbook does not become a CSV file by its name.",
            b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00\x21\x00"
            + b"\x00" * 12
            + b"\x13\x00\x00\x00[Content_Types].xml",
        ),
        sample(
            "empty",
            "customers_20241120T050700Z.csv",
            "file.empty",
            "No byte at all.",
            "Not at once, because some gateways write an empty file before the real one, "
            "but when it is still empty after five minutes.",
            b"",
        ),
    ]
