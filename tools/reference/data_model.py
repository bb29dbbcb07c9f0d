"""Writes the page of documents for developers of apps.

`python -m tools.reference.data_model > docs/data-model.md` writes the page: its tables and its
example documents come from the tables of columns, its queries from the files in docs/examples/.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
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

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "data-model.md"
"""The page as it is kept beside the code."""

GENERATION = 1682367150123456
"""The upload that the examples are made of."""

_HEAD = """\
# The documents

For developers of apps. All documents of a retailer's connection are below
`connections/{connection}`; a deployment with one feed has the connection `main`. This page is
made from the program's own tables and from the examples that its tests run: `python -m
tools.reference.data_model > docs/data-model.md`.

| path | one document a | made from |
|---|---|---|
%s
| `connections/{c}/imports/{import}` | export file | see [the ledger](ledger.md) |"""

_GUARANTEES = """\
## What you can rely on

* A document's content is that of its latest row in the latest-exported file that holds it, in
  whatever order files were uploaded, retried or replayed. An older or replayed file never
  overwrites newer data. Where that row leaves a field open, the latest row that says something
  about the field counts.
* `subscribed` is `true` only where the retailer's file says so (PRIVACY = No). A blank or unknown
  PRIVACY never subscribes anyone and leaves what is stored alone. A person of whom no file has
  said anything has no `subscribed`: ask for `== true`, never for `!= false`.
* A field whose cell is blank is absent, never `null` or `""` (unless the connection is set to
  `keep`). A cell that cannot be read never changes a stored value.
* Ids, codes, phones and postcodes are strings with their leading zeros. Money is integer cents,
  in fields that end in `Cents`. A date is a string `YYYY-MM-DD`; a time is a Firestore timestamp,
  whatever zone the file was written in. Quantities and percentages are doubles, whole ones too.
* A field has one Firestore type, whatever the file says. So `orderDate` is always a day, in the
  connection's time zone, and orders sort by it; where the file gives the time of the sale,
  `orderedAt` is there besides.
* An orders file is authoritative for the orders it holds: an order is replaced whole. Returns are
  negative.
* An order with `incomplete: true` lacks lines that could not be read, and so do its totals: do not
  add it up. It never replaces a complete order, and the next complete one replaces it. (A reward
  account is marked the same way.)
* A first load (`bulk/`) takes no consent: its documents have no `subscribed`.
* An order can be there before its customer only if it was counted as `orphaned` in its import.
* Documents are written by the pipeline alone, whole: keep what your app has to say in documents
  of its own.
* Every write is one document. There is no moment at which all documents of a file change
  together: an import's `status` says when all of them are there.
* A row that has not changed is not written again, so a listener hears only of what is new;
  `source` then still names the file that changed it last.

## Showing them

| the document | means | show |
|---|---|---|
| an order with `incomplete: true` | lines are missing until the retailer sends them again | \
the lines that are there, with "We are still receiving details of this order." No total, no \
count of lines, no "complete" status |
| an order without `valueCents` | an amount of a line could not be read | the lines with their \
prices, and no total. Do not add up the lines: the missing amount may be a discount or a return \
|
| a line without `valueCents` | the file says only the price | quantity and price. `quantity` × \
`priceCents` is before discounts: do not call it what was paid |
| an order with negative `quantity` or `valueCents` | a return or an exchange | "Returned", and \
the amount as a refund |
| a customer without `subscribed` | no file has said anything about consent | the same as \
`false`: not subscribed, and send nothing. Do not offer "unsubscribe"; a change of consent is \
made in Apparel21 |
| a customer without `email` or `mobile` | there is none on file | a blank, not "unknown" |
| a reward account with `incomplete: true` | an issued reward is missing | the points and the \
tier. List the rewards with "There may be more." |
| an order whose customer is not there | the customer was not exported, or was erased | the \
order, with no name |

## How it changes

Fields are added without notice: read what you know and ignore the rest. A field is never renamed,
never removed and never given another type within a major version; [the changes](../CHANGELOG.md)
name every addition. Columns that this system does not know appear under `extra` by the name the
retailer gave them, and may move out of it in a later version only by being added as a field of
their own *besides*.

## Reading them

Clients read through [the rules](../firestore.rules), by the custom claims in their token. Nobody
writes.

| token | reads |
|---|---|
| `staff: true` | everything |
| `connection: "main"` | a retailer's staff: all documents of that connection |
| `connection: "main"`, `person: "65432"` | a shopper: `customers/65432`, `rewards/65432` and the \
orders with `personId == "65432"`, which the query must name; nothing else |

Set the claims on your server. [`claimPerson.ts`](app/claimPerson.ts) is a sample that lets shoppers
claim themselves. It asks for a verified address *and* a code sent to the mobile number on file: an
address alone proves nothing, because families share addresses. Turn on App Check for Firestore, so
that only your app reads.

Servers read with `roles/datastore.viewer`. The composite indexes that these queries need are in
[firestore.indexes.json](../firestore.indexes.json).

### With types

Copy what you need from [docs/app](app/):

| file | contents |
|---|---|
| [`apparel21.ts`](app/apparel21.ts) | interfaces, and converters for the Firebase JavaScript SDK |
| [`apparel21.zod.ts`](app/apparel21.zod.ts) | the same as zod schemas |
| [`apparel21.dart`](app/apparel21.dart) | classes for Flutter |
| [`schema/`](app/schema/) | JSON Schema (2020-12); a timestamp is a string |
| [`claimPerson.ts`](app/claimPerson.ts) | for shoppers: Cloud Functions that claim a person |"""


def page() -> str:
    """Return the whole page, as Markdown."""
    sections = [
        _HEAD % "\n".join(map(_path, all_types())),
        *(_section(type_) for type_ in all_types()),
        _common(),
        _GUARANTEES,
        "### In Python\n\n" + _example("reading.py", "python"),
        "### In JavaScript\n\n" + _example("reading.mjs", "js"),
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


def _path(type_: FileType) -> str:
    """Return the row of a type in the table of paths."""
    inside = f", its `{type_.items}` inside" if type_.items else ""
    rows = "a row, or rows," if type_.items else "a row"
    article = "an" if type_.name[0] in "aeiou" else "a"
    path = f"connections/{{c}}/{type_.collection}/{{{type_.key.name}}}"
    return f"| `{path}` | {type_.document}{inside} | {rows} of {article} {type_.name} file |"


def _section(type_: FileType) -> str:
    whole = [column for column in type_.columns if column.part == "document"]
    items = [column for column in type_.columns if column.part == "item"]
    rows = [_row(column) for column in whole]
    rows += [(f"`{total.field}`", total.stored, total.meaning) for total in documents.totals(type_)]
    parts = [
        f"## {type_.name}",
        f"`connections/{{connection}}/{type_.collection}/{{{type_.key.name}}}`",
        _table(("field", "type", "what"), rows),
    ]
    if items:
        parts += [
            f"Each entry of `{type_.items}`:",
            _table(("field", "type", "what"), (_row(column) for column in items)),
        ]
    text = json.dumps(example_document(type_), ensure_ascii=False, indent=2, default=_moment)
    parts.append(f"An example, a time in quotes standing for a timestamp:\n\n```json\n{text}\n```")
    return "\n\n".join(parts)


def _common() -> str:
    extra, source = documents.COMMON
    assert isinstance(source.value, documents.Shape)
    rows = [(f"`{extra.name}`", _words(extra.value), extra.meaning)]
    rows += [
        (f"`{source.name}.{field.name}`", _words(field.value), field.meaning)
        for field in source.value.fields
    ]
    rows.append(
        (
            "`source.content`",
            "integer",
            "A hash of the content, for the pipeline alone: it tells whether a row has changed. "
            "JavaScript cannot hold all of its digits. Absent where a part of the document was "
            "changed afterwards, and in documents written before there was this field.",
        )
    )
    return "## In every document\n\n" + _table(("field", "type", "what"), rows)


def _words(value: documents.Value) -> str:
    assert not isinstance(value, documents.Shape)
    return value.value if isinstance(value, documents.Scalar) else value.words


def _row(column: Column) -> tuple[str, str, str]:
    return (
        f"`{column.field}`",
        documents.stored(column).value,
        documents.meaning(column) + (" Always there." if column.needed else ""),
    )


def _example(name: str, language: str) -> str:
    return f"```{language}\n{(DOCS / 'examples' / name).read_text(encoding='utf-8').strip()}\n```"


def _moment(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    raise TypeError(type(value).__name__)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.buffer.write(page().encode())
