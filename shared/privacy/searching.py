"""Search for one person in Firestore and in the bucket.

Other imports continue meanwhile, and may write the person again behind the search. So a search
counts only if no import has begun since its start. Example: the search has passed
`customers/65432`. A replay of last night's file begins, writes that document, and ends. The import
has a new `startedAt`, so the search does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.core import address_key, get
from shared.files.types import Column, FileType, Rules, all_types
from shared.firestore import Fields
from shared.firestore.database import Database
from shared.ledger import flat, import_path, imports_path
from shared.privacy.objects import Objects, search, unnamed
from shared.privacy.traces import Person
from shared.services import Services

ROUNDS = 4
"""Largest number of searches; a search may find another e-mail address to search for."""


@dataclass(slots=True)
class Findings:
    """The result of one search of Firestore and the bucket."""

    person: Person
    documents: dict[str, str] = field(default_factory=dict)
    """Path -> collection of each document about the person."""
    texts: dict[str, int] = field(default_factory=dict)
    """Path of a ledger document -> number of times that it names orders of the person."""
    looked_at: int = 0
    """Ledger documents that were read; documents about people are read by id."""
    begun: tuple[str, ...] = ()
    """Ids of imports that began during the search, or were loading at its end."""
    objects: Objects = field(init=False)

    @property
    def settled(self) -> bool:
        """True if nothing changed during the search: no import began, and no object moved."""
        return not self.begun and not self.objects.moved

    @property
    def nothing(self) -> bool:
        """True if the person was not found in anything that could be read."""
        return not (self.documents or self.texts or self.objects.traces)

    @property
    def proof(self) -> bool:
        """True if nothing was found, everything could be read, and nothing changed meanwhile."""
        return self.nothing and self.settled and not self.objects.unreadable

    def looked(self) -> dict[str, int]:
        """Return numbers read: `objects`, `rows`, and `documents` of the ledger."""
        objects = self.objects
        return {"objects": objects.looked, "rows": objects.rows, "documents": self.looked_at}

    def unreadable(self) -> tuple[tuple[str, str], ...]:
        """Return name and reason for each object without readable rows."""
        return tuple(sorted((blob.name, why) for blob, why in self.objects.unreadable))

    def names(self) -> set[str]:
        """Return the names of the objects in which the person was found."""
        return {one.blob.name for one in self.objects.traces}

    def counts(self) -> Counter[str]:
        """Return numbers found: documents by collection, `rows`, `mentions` and `objects`."""
        objects = self.objects
        return Counter(
            {
                **Counter(self.documents.values()),
                "rows": sum(one.rows for one in objects.traces if one.look is not None),
                "mentions": sum(self.texts.values())
                + sum(one.rows for one in objects.traces if one.look is None),
                "objects": len(objects.traces),
            }
        )


def search_until_settled(
    connection: str, person: Person, types: list[tuple[FileType, Rules]], services: Services
) -> Findings:
    """Search until a search finds no further e-mail address or order; return the last findings.

    At most `ROUNDS` searches are made. The result may be worthless, see `Findings.settled`.
    """
    for _ in range(ROUNDS):
        found = _look(connection, person, types, services)
        if found.person == person:
            break
        person = found.person
    return found


def _look(
    connection: str, person: Person, types: list[tuple[FileType, Rules]], services: Services
) -> Findings:
    database = services.ledger.database
    found = Findings(person)
    before = database.find(imports_path(connection), {})
    _look_at_all_documents(database, connection, found)
    found.objects = search(services.bucket, connection, found.person, types)
    found.person = found.objects.person
    # Read again, because an import may have written documents during the long search.
    _look_at_all_documents(database, connection, found)
    imports = database.find(imports_path(connection), {})
    found.begun = tuple(sorted(_begun_since(before, imports)))
    _look_at_ledger(database, connection, imports, found)
    return found


def _begun_since(before: Mapping[str, Fields], imports: Mapping[str, Fields]) -> Iterator[str]:
    """Yield the ids of imports that are loading, or have begun since the state `before`."""
    for id, data in imports.items():
        now, was = flat(data), flat(before.get(id, {"run": data.get("run")}))
        same = all(now.get(name) == was.get(name) for name in ("generation", "startedAt"))
        if now["status"] == "loading" or not same:
            yield id


def _look_at_all_documents(database: Database, connection: str, found: Findings) -> None:
    found.documents = {}
    for type_ in all_types():
        if type_.personal:
            _look_at_documents(database, connection, type_, found)
    _look_at_mails(database, connection, found)


def _look_at_mails(database: Database, connection: str, found: Findings) -> None:
    """Find mails to an address of the person, and the record of mails if it knows an address."""
    addresses = found.person.addresses
    for id, data, _ in database.scan("mail", ("to",)) if addresses else ():
        to = {str(one).lower() for one in data.get("to") or ()}
        if id.startswith(f"{connection}~") and to & addresses:
            found.documents[f"mail/{id}"] = "mail"
    path = f"mailboxes/{connection}"
    box = database.documents([path]).get(path, {})
    bouncing = {str(one.get("address")).lower() for one in box.get("bounces") or ()}
    keys = {address_key(one) for one in addresses}
    if bouncing & addresses or keys.intersection(box.get("welcomed") or ()):
        found.documents[path] = "mail"


def _look_at_documents(
    database: Database, connection: str, type_: FileType, found: Findings
) -> None:
    person = found.person
    collection = f"connections/{connection}/{type_.collection}"
    id_column, email_column = type_.column_of("id"), type_.column_of("email")
    documents: dict[str, Fields] = {}
    if type_.key is id_column:
        documents = database.documents([f"{collection}/{person.id}"])
    else:
        found_by_field: dict[str, Fields] = {}
        if id_column is not None:
            found_by_field |= database.find(collection, {id_column.field: person.id})
        if email_column is not None:
            for email in sorted(person.emails | person.addresses):
                found_by_field |= {
                    id: data
                    for id, data in database.find(collection, {email_column.field: email}).items()
                    if not _text(data, id_column)
                }
        documents = {f"{collection}/{id}": data for id, data in found_by_field.items()}
    for path, data in documents.items():
        found.documents[path] = type_.collection
        found.person = found.person.knowing(
            emails=[_text(data, email_column)],
            orders=[] if type_.key is id_column else [_text(data, type_.key)],
        )


def _text(data: Fields, column: Column | None) -> str:
    """Return what a document holds of a column; "" where it holds nothing."""
    return str(get(data, column.field) or "") if column is not None else ""


def _look_at_ledger(
    database: Database, connection: str, imports: Mapping[str, Fields], found: Findings
) -> None:
    """Search the ledger's documents for numbers of the person's orders."""
    found.looked_at = len(imports)
    if not found.person.orders:
        return
    for id, data in imports.items():
        path = import_path(connection, id)
        older = database.find(f"{path}/generations", {})
        found.looked_at += len(older)
        for place, fields in (
            (path, data),
            *((f"{path}/generations/{generation}", old) for generation, old in older.items()),
        ):
            mentions = without_orders(fields, found.person)[1]
            if mentions:
                found.texts[place] = mentions


def without_orders(value: Any, person: Person) -> tuple[Any, int]:
    """Return a value without numbers of the person's orders, and how many were removed."""
    if isinstance(value, str):
        return unnamed(value, person)
    if isinstance(value, Mapping):
        parts = {name: without_orders(part, person) for name, part in value.items()}
        return {name: part for name, (part, _) in parts.items()}, sum(n for _, n in parts.values())
    if isinstance(value, list):
        items = [without_orders(item, person) for item in value]
        return [item for item, _ in items], sum(n for _, n in items)
    return value, 0
