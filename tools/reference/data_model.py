"""Writes the page of documents for developers of apps.

`python -m tools.reference.data_model > docs/data-model.md` writes the page.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from shared.files.types import (
    EXAMPLE_STAMP,
    Column,
    FileType,
    Rules,
    all_types,
    example_csv,
)
from shared.firestore.bulk import Put, decode_content, encode_content
from shared.index import Origin, decide
from shared.parsing import Incoming, Row, make_checker, make_document
from tools.reference import documents
from tools.reference.tables import table, unless_said

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "data-model.md"
"""The page as it is kept beside the code."""

GENERATION = 1682367150123456
"""The upload that the examples are made of."""

_HEAD = """\
# Documents

For app developers; [start here](for-app-developers.md). A deployment with one retailer has
`connections/main`. Below, a field without an explanation is what its name says.

%s"""

_GUARANTEES = """\
## What you can rely on

* A document has the content of its row in the latest-exported file, in whatever order files
  were loaded. What that row leaves open is taken from the latest row that has it.
* `subscribed` is `true` only if the retailer's file says so. A blank or unknown value never
  subscribes anyone and changes nothing. Without any word there is no `subscribed`. Query for
  `true`, never `!= false`. A first load (`bulk/`) sets none.
* A blank cell is an absent field, never `null` or `""`, unless the connection keeps values
  (`blankMeans`). An unreadable cell changes nothing.
* Ids, codes, phones and postcodes are strings with leading zeros. Money is integer cents.
  Quantities and percentages are doubles, whole ones too. A field has one type.
* `orderDate` is the day in the connection's time zone.
* An order is replaced whole. It may be there before its customer.
* `incomplete: true`: lines, or rewards, are missing, also in the totals. The document never
  replaces a complete one, and the next complete one replaces it.
* Only the pipeline writes, one whole document at a time. Keep your app's data in your own
  documents. A file's documents do not change at one moment: the `status` of its import says
  when all are there.
* An unchanged row is not written again, so a listener gets changes only.

## Showing documents

|document|show|
|---|---|
|order with `incomplete: true`|the lines, and "We are still receiving details of this order." No \
total, count or "complete"|
|order without `valueCents`: an amount could not be read|the lines with prices, no total. Do not \
add them up|
|line without `valueCents`|quantity and price. Their product is before discounts|
|negative `quantity` or `valueCents`|"Returned", and a refund|
|customer without `subscribed`|not subscribed. Send nothing, and offer no "unsubscribe": consent \
changes in Apparel21|
|reward account with `incomplete: true`|points and tier. List rewards with "There may be more."|
|order without its customer: not exported, or erased|the order without a name|

## Reading documents

Clients read through [the rules](../firestore.rules), by the claims of their token. Set them on
your server.

|token|reads|
|---|---|
|`staff: true`|everything|
|`connection: "main"`|a retailer's staff: all of that connection|
|`connection: "main"`, `person: "65432"`|a shopper: `customers/65432`, `rewards/65432`, and \
orders of a query with `personId == "65432"`|

Servers read with `roles/datastore.viewer`. Queries need
[firestore.indexes.json](../firestore.indexes.json). Turn on App Check for Firestore.

|copy|for|
|---|---|
|[`reading.mjs`](examples/reading.mjs), [`reading.py`](examples/reading.py)|tested queries: a \
customer, customers by e-mail, orders of a person or of a store's day, subscribed people of a \
city, the status of a file|
|[`apparel21.ts`](app/apparel21.ts), [`apparel21.zod.ts`](app/apparel21.zod.ts), \
[`apparel21.dart`](app/apparel21.dart)|types; TypeScript with converters for the Firebase SDK|
|[`schema/`](app/schema/)|JSON Schema (2020-12) with examples; \
timestamps as text: `2023-04-24T20:12:30Z`|
|[`claimPerson.ts`](app/claimPerson.ts)|letting shoppers claim themselves, by verified address \
*and* a code to the mobile number on file|

## Changes

Fields are added without notice: ignore those you do not know. Within a major version no field
is renamed, removed or given another type. An unknown column is in `extra`, and stays there
when it gets a field of its own. [The changes](../CHANGELOG.md) name each addition."""


def page() -> str:
    """Return the whole page, as Markdown."""
    sections = [
        _HEAD % table(("path", "document"), map(_path, all_types())),
        *(_section(type_) for type_ in all_types()),
        _common(),
        _GUARANTEES,
    ]
    return "\n\n".join(sections) + "\n"


def example_document(type_: FileType) -> dict[str, Any]:
    """Return the document that the example rows of docs/formats.md become (the first of several).

    It is made by the code that makes the real ones.
    """
    first, *others = csv.reader(io.StringIO(example_csv(type_)))
    rules = Rules(time_zone=ZoneInfo("Australia/Sydney"))
    header = type_.layout(rules).header(first)
    columns = zip(*others, strict=True)
    cells = {name: list(cells) for name, cells in zip(header.canonical, columns, strict=True)}
    numbers = range(len(others))
    checked = make_checker(type_, header, rules).check(
        cells, [number + 2 for number in numbers], numbers
    )
    rows = [row for row in checked.rows if row.key == checked.rows[0].key]
    if not type_.grouped(header):
        rows = rows[:1]
    return _in_order(_stored(type_, rows), type_)


def _in_order(document: dict[str, Any], type_: FileType) -> dict[str, Any]:
    """Return a document with its fields in the order of the tables; Firestore keeps none."""
    fields = [c.field for c in type_.columns] + [total.field for total in documents.totals(type_)]
    fields += [type_.items, *("import", "row", "exportedAt", "generation"), "extra", "source"]
    names = list(dict.fromkeys(part for field in fields for part in field.split(".")))

    def ordered(value: Any) -> Any:
        if isinstance(value, dict):
            known = sorted(value, key=lambda name: names.index(name))
            return {name: ordered(value[name]) for name in known}
        return [ordered(one) for one in value] if isinstance(value, list) else value

    made: dict[str, Any] = ordered(document)
    return made


def _stored(type_: FileType, rows: Sequence[Row]) -> dict[str, Any]:
    content, _ = make_document(type_, rows)
    exported_at = datetime.strptime(EXAMPLE_STAMP, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    decision = decide(
        Incoming(
            key=rows[0].key,
            wire=encode_content(content),
            keep=frozenset(),
            lines=tuple(row.line for row in rows),
        ),
        None,
        origin=Origin(
            import_id=f"{type_.name}_{EXAMPLE_STAMP}",
            exported_at=exported_at,
            generation=GENERATION,
        ),
        consent=type_.consent,
        create_only=False,
    )
    assert isinstance(decision, Put)
    return {**content, **decode_content(decision.wire)}


def _path(type_: FileType) -> tuple[str, str]:
    """Return the row of a type in the table of paths."""
    inside = f", its `{type_.items}` inside" if type_.items else ""
    path = f"connections/{{c}}/{type_.collection}/{{{type_.key.name}}}"
    return f"`{path}`", f"[{type_.document}](#{type_.name}){inside}"


def _section(type_: FileType) -> str:
    whole = [column for column in type_.columns if column.part == "document"]
    items = [column for column in type_.columns if column.part == "item"]
    rows = [_row(column) for column in whole]
    rows += [(f"`{total.field}`", total.stored, total.meaning) for total in documents.totals(type_)]
    parts = [
        f"## {type_.name}",
        _fields(rows),
    ]
    if items:
        parts += [
            f"Each entry of `{type_.items}`:",
            _fields(_row(column) for column in items),
        ]
    return "\n\n".join(parts)


def _common() -> str:
    extra, source = documents.COMMON
    assert isinstance(source.value, documents.Shape)
    rows = [(f"`{extra.name}`", _words(extra.value), extra.meaning)]
    rows += [
        (f"`{source.name}.{field.name}`", _words(field.value), field.meaning)
        for field in source.value.fields
        if not field.internal
    ]
    internal = [field.name for field in source.value.fields if field.internal] + ["content"]
    names = ", ".join(f"`{source.name}.{name}`" for name in internal)
    rows.append((names, "any", "For the pipeline only."))
    return "## Every document\n\n" + _fields(rows)


def _fields(rows: Iterable[tuple[str, str, str]]) -> str:
    """Return the table of fields; neighbours of one type that need no words share a row."""
    shared: list[tuple[str, str, str]] = []
    for (type_, what), group in groupby(rows, lambda row: row[1:]):
        names = [name for name, *_ in group]
        shared += (
            [(", ".join(names), type_, what)] if not what else [(n, type_, what) for n in names]
        )
    return table(("field", "type", "what"), shared)


def _words(value: documents.Value) -> str:
    assert not isinstance(value, documents.Shape)
    return value.value if isinstance(value, documents.Scalar) else value.words


def _row(column: Column) -> tuple[str, str, str]:
    meaning = documents.meaning(column)
    words = unless_said(meaning, column.field) + (" Always there." if column.needed else "")
    return f"`{column.field}`", documents.stored(column).value, words.strip()


if __name__ == "__main__":
    sys.stdout.buffer.write(page().encode())
