"""What a customers file must come to, worked out a second time without the pipeline's own code."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from shared.ledger.imports import Import

ZONE = ZoneInfo("Australia/Sydney")
"""Zone of the times in a file, unless a connection says otherwise."""

FIELDS = {
    "PERIDX": "personId",
    "PERSON_CODE": "personCode",
    "FIRSTNAME": "firstName",
    "SURNAME": "lastName",
    "ADRS1": "address.line1",
    "ADRS2": "address.line2",
    "CITY": "address.city",
    "STATE": "address.state",
    "POSTCODE": "address.postcode",
    "COUNTRY": "address.country",
    "MOBILE": "mobile",
    "EMAIL": "email",
    "DOB": "dateOfBirth",
    "PRIVACY": "subscribed",
    "RETAIL_REP": "retailRep",
    "LAST_UPDATED": "lastUpdated",
    "CREATED_DATE": "created",
    "JOINED_STORE_ID": "joinedStore.id",
    "JOINED_STORE_CODE": "joinedStore.code",
    "STORE_ID": "latestStore.id",
    "STORE_CODE": "latestStore.code",
    "STORE_NUMBER": "latestStore.number",
    "REF1_GROUP": "ref1.group",
    "REF1_ID": "ref1.id",
    "REF1_CODE": "ref1.code",
    "LOYALTY_CODE": "loyaltyCode",
    "LOYALTY_NAME": "loyaltyName",
}
"""Column -> path of its field, as it has been agreed."""


def csv_file(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, encoding: str = "utf-8"
) -> tuple[bytes, list[int]]:
    """Write a file; returns it and the line on which each row begins. Rows may have any length."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    lines, line = [], 2
    for row in rows:
        lines.append(line)
        line += 1 + sum(cell.count("\n") for cell in row)
        writer.writerow(row)
    return text.getvalue().encode(encoding), lines


def customer_document(
    cells: Mapping[str, str], *, import_: Import, line: int, without: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the document of one row of an import; `without` names columns with unusable cells."""
    document: dict[str, Any] = {}
    for column, cell in cells.items():
        if not cell or column in without:
            continue
        *parents, last = FIELDS.get(column, f"extra.{column}").split(".")
        level = document
        for parent in parents:
            level = level.setdefault(parent, {})
        level[last] = _value(column, cell)
        if column == "EMAIL":
            document["emailLower"] = unicodedata.normalize("NFKC", cell).lower()
    document["source"] = {
        "import": import_.import_id,
        "row": line,
        "exportedAt": import_.exported_at,
        "generation": import_.generation,
    }
    # Consent may always be left open; for any other field the document has to say so.
    silent = {FIELDS[column] for column in without if column != "PRIVACY"}
    if silent:
        beside = {"emailLower"} if "email" in silent else set()
        document["source"]["open"] = sorted(silent | beside)
    return document


def _value(column: str, cell: str) -> Any:
    match column:
        case "PRIVACY":
            return {"Yes": False, "No": True}[cell]
        case "RETAIL_REP":
            return {"Yes": True, "No": False}[cell]
        case "LAST_UPDATED" | "CREATED_DATE":
            return datetime.fromisoformat(cell).replace(tzinfo=ZONE).astimezone(UTC)
        case _:
            return cell


def _without_hash(document: Mapping[str, Any]) -> dict[str, Any]:
    source = {name: value for name, value in document["source"].items() if name != "content"}
    return {**document, "source": source}


def differences(
    expected: Mapping[str, Mapping[str, Any]], actual: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Describe the first few documents that are missing, too many or not as expected.

    The hash in `source` is not compared.
    """
    found = []
    for key in sorted(expected.keys() | actual.keys()):
        if key not in actual:
            found.append(f"{key} is missing")
        elif key not in expected:
            found.append(f"{key} should not be there: {actual[key]}")
        elif expected[key] != _without_hash(actual[key]):
            found.append(f"{key} is {actual[key]}, not {expected[key]}")
        if len(found) == 5:
            break
    return found
