"""Customers: every published column, and where it ends up."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.files.filetype import file_type
from shared.files.types.customers import COLUMNS
from tests.support.cells import document, read_header

PUBLISHED = tuple(
    column.name
    for column in COLUMNS
    if file_type("customers").source_of(column) == "templates" and not column.reads
)
"""The columns that the vendor has published, in the order of publication."""


def test_published_columns() -> None:
    """All 26 columns that the vendor has published are there, in the order of publication."""
    published = [
        *("PERIDX", "PERSON_CODE", "FIRSTNAME", "SURNAME", "ADRS1"),
        *("ADRS2", "CITY", "STATE", "POSTCODE", "COUNTRY"),
        *("MOBILE", "EMAIL", "DOB", "PRIVACY", "RETAIL_REP"),
        *("LAST_UPDATED", "CREATED_DATE", "JOINED_STORE_ID", "JOINED_STORE_CODE", "STORE_ID"),
        *("STORE_CODE", "STORE_NUMBER", "REF1_GROUP", "REF1_ID", "REF1_CODE"),
        *("LOYALTY_CODE",),
    ]

    assert len(published) == 26
    assert tuple(published) == PUBLISHED
    assert published == [column.name for column in COLUMNS if column.name in published]


def test_full_document() -> None:
    """A row with every published column, and the loyalty level's name, becomes a document with
    every field of these, by the names agreed."""
    agreed = (*PUBLISHED, "LOYALTY_NAME")
    row = {column.name: column.example for column in COLUMNS if column.name in agreed}

    content, problems = document("customers", [row])

    assert {
        "personId": "65432",
        "personCode": "SMITJOHN22",
        "firstName": "JOHN",
        "lastName": "SMITH",
        "address": {
            "line1": "12 GEORGE ST",
            "line2": "LEVEL 2",
            "city": "DARWIN",
            "state": "NT",
            "postcode": "0800",
            "country": "AUSTRALIA",
        },
        "mobile": "+61491570006",
        "email": "john.smith@example.com",
        "emailLower": "john.smith@example.com",
        "dateOfBirth": "1990-04-24",
        "subscribed": True,
        "retailRep": False,
        "lastUpdated": datetime(2023, 4, 24, 10, 12, 30, tzinfo=UTC),
        "created": datetime(2021, 3, 24, 22, 30, tzinfo=UTC),
        "joinedStore": {"id": "4983", "code": "Doncaster"},
        "latestStore": {"id": "4984", "code": "Bondi", "number": "021"},
        "ref1": {"group": "Customer Category", "id": "1020", "code": "RETAIL"},
        "loyaltyCode": "99",
        "loyaltyName": "VIP Gold",
    } == content
    assert problems == []


def test_sparse_document() -> None:
    """Blank cells leave no field and no empty map behind."""
    row = {column.name: "" for column in COLUMNS} | {"PERIDX": "7", "PRIVACY": "Yes", "OWN": ""}

    content, _ = document("customers", [row])

    assert content == {"personId": "7", "subscribed": False}


def test_one_row_a_document() -> None:
    """Rows of one person are never joined into one document."""
    header = read_header("customers", PUBLISHED)

    assert not file_type("customers").grouped(header)
