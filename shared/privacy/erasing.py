"""Erases one person: searches everywhere, removes, searches again, and writes a record.

Other imports continue meanwhile, and may write the person again behind the search. So a search
counts only if no import has begun since its start. Example: the search has passed
`customers/65432`. A replay of last night's file begins, writes that document, and ends. The import
has a new `startedAt`, so the search does not count.

The record has the time and the operator, but not the person: only a salted hash of the id. Until
the erasure is complete, the record also has the e-mail addresses and order numbers to search for.
So an interrupted erasure can be finished, even if the documents with these values are gone.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from shared.core import NotPossible, address_key
from shared.files.types import Column, FileType, Rules, all_types
from shared.firestore import Fields
from shared.firestore.database import Database, Reads
from shared.index import forget
from shared.ledger import LedgerTransaction, flat, import_path, imports_path
from shared.ledger.uploads import ERASED
from shared.loading.shards.cleanup import remove_rows
from shared.privacy.objects import Objects, delete, rewritten, search, take_out, unnamed
from shared.privacy.traces import Person
from shared.services import Services

ROUNDS = 4
"""Largest number of searches; a search may find another e-mail address to search for."""

_COST = (16_384, 8, 1)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """The result of an erasure, or of a dry run."""

    connection: str
    record: str | None
    """Path of the record; None for a dry run."""
    erased: Mapping[str, int]
    """Numbers that were erased, see `Findings.counts`; in a dry run, that would be."""
    objects: tuple[str, ...]
    """Names of the objects in which the person was found."""
    unreadable: tuple[tuple[str, str], ...]
    """Name and reason for each object without readable rows. The person may be in it."""
    looked: Mapping[str, int]
    """Numbers that the last search read: `objects`, `rows`, and `documents` of the ledger."""
    left: Mapping[str, int]
    """Numbers that the last search still found."""
    begun: tuple[str, ...]
    """Ids of imports that began during the last search; if any, the search proves nothing."""
    moved: int
    """Objects that moved during the last search; if any, the search proves nothing."""
    earlier: tuple[datetime, ...]
    """Times of earlier erasures of this person."""
    continues: bool = False
    """True if an erasure of this person was begun earlier and has not ended."""

    @property
    def unknown(self) -> bool:
        """True if the person was found nowhere, and no erasure of the person is on record."""
        return not (self.erased or self.earlier or self.continues)

    @property
    def proved(self) -> bool:
        """True if the last search found nothing, could read everything, and nothing changed."""
        quiet = not self.begun and not self.moved
        return quiet and not any(self.left.values()) and not self.unreadable


def erase(
    connection: str,
    person_id: str,
    services: Services,
    *,
    by: str,
    emails: frozenset[str] = frozenset(),
    delete_unreadable: bool = False,
    dry_run: bool = False,
    agree: Callable[[Erasure], bool] = lambda _: True,
) -> Erasure:
    """Remove every trace of a person from Firestore and the bucket, and prove it by a search.

    May be repeated, also after an interruption.

    Args:
        connection: the connection of the customer; an id belongs to one connection.
        person_id: id of the customer document.
        services: ledger, bucket, queue and clock.
        by: the operator, for the record.
        emails: further e-mail addresses of the person, which no document has.
        delete_unreadable: True deletes objects without readable rows.
        dry_run: True searches and changes nothing.
        agree: decides after the first search whether anything is erased; it gets the result that a
            dry run has.

    Raises:
        NotPossible: a file of the connection is being loaded.
        SettingsError: a setting of the connection cannot be used.
        TryAgain: Firestore or Cloud Storage could not be reached.
    """
    _refuse_while_loading(connection, services)
    database = services.ledger.database
    records = _records_of(connection, person_id, database)
    begun = next((id for id, data in records.items() if data["finishedAt"] is None), None)
    person = Person(id=person_id).knowing(emails=emails)
    if begun is not None:
        trail = records[begun].get("trail") or {}
        person = person.knowing(emails=trail.get("emails", ()), orders=trail.get("orders", ()))
    earlier = tuple(sorted(data["finishedAt"] for data in records.values() if data["finishedAt"]))
    types = _types(connection, services)

    found = _look_until_settled(connection, person, types, services)
    total, names = found.counts(), {one.blob.name for one in found.objects.traces}
    record = None

    def result(*, changed: bool) -> Erasure:
        return Erasure(
            connection=connection,
            record=f"erasures/{record}" if record else None,
            erased={name: count for name, count in total.items() if count},
            objects=tuple(sorted(names)),
            unreadable=tuple(sorted((blob.name, why) for blob, why in found.objects.unreadable)),
            looked=_looked(found),
            left={name: n for name, n in found.counts().items() if n} if changed else {},
            begun=found.begun if changed else (),
            moved=found.objects.moved if changed else 0,
            earlier=earlier,
            continues=begun is not None,
        )

    preview = result(changed=False)
    if not dry_run and agree(preview):
        record = begun or secrets.token_hex(10)
        data = records.get(begun or "") or _new_record(connection, person_id, by, services)
        erased: Counter[str] = Counter(data["erased"])
        for _ in range(ROUNDS):
            _put(database, f"erasures/{record}", {**data, "trail": _trail(found.person)})
            _refuse_while_loading(connection, services)
            remove_rows(services, connection)
            _take_out(found, connection, services, delete_unreadable=delete_unreadable)
            _forget(connection, found.person, services)
            names |= {one.blob.name for one in found.objects.traces}
            erased += found.counts()
            if delete_unreadable:
                erased["unreadable"] += len(found.objects.unreadable)
            data = {**data, "erased": dict(erased)}
            if found.settled and found.nothing and not found.objects.unreadable:
                break
            found = _look_until_settled(connection, found.person, types, services)
        total = erased
        proved = found.nothing and found.settled and not found.objects.unreadable
        done = {"finishedAt": services.now(), "trail": None} if proved else {}
        trail = {} if proved else {"trail": _trail(found.person)}
        _put(database, f"erasures/{record}", {**data, "looked": _looked(found), **trail, **done})
        return result(changed=True)
    return preview


def _refuse_while_loading(connection: str, services: Services) -> None:
    loading = services.ledger.find(connection, status="loading")
    if loading:
        names = ", ".join(sorted(one.import_id for one in loading))
        raise NotPossible(
            f"{names} is being loaded and may hold the person. Try again when it has ended."
        )


def _types(connection: str, services: Services) -> list[tuple[FileType, Rules]]:
    settings = services.settings_of(connection)
    rules = Rules.of(settings)
    return [(type_, rules) for type_ in all_types()]


# -- search -----------------------------------------------------------------------------------


def _look_until_settled(
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
    value: Any = data
    for name in column.field.split(".") if column is not None else ():
        value = value.get(name) if isinstance(value, Mapping) else None
    return str(value or "") if column is not None else ""


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
            mentions = _unnamed(fields, found.person)[1]
            if mentions:
                found.texts[place] = mentions


def _unnamed(value: Any, person: Person) -> tuple[Any, int]:
    """Return a value without numbers of the person's orders, and how many were removed."""
    if isinstance(value, str):
        return unnamed(value, person)
    if isinstance(value, Mapping):
        parts = {name: _unnamed(part, person) for name, part in value.items()}
        return {name: part for name, (part, _) in parts.items()}, sum(n for _, n in parts.values())
    if isinstance(value, list):
        items = [_unnamed(item, person) for item in value]
        return [item for item, _ in items], sum(n for _, n in items)
    return value, 0


def _looked(found: Findings) -> dict[str, int]:
    objects = found.objects
    return {"objects": objects.looked, "rows": objects.rows, "documents": found.looked_at}


# -- removal ----------------------------------------------------------------------------------


def _take_out(
    found: Findings, connection: str, services: Services, *, delete_unreadable: bool
) -> None:
    """Remove the person: first from files, last from documents, so that no file is loaded again."""
    database, person = services.ledger.database, found.person
    for trace in found.objects.traces:
        take_out(services.bucket, trace, person)
    _amend_ledger(connection, services)
    if delete_unreadable:
        for blob, _ in found.objects.unreadable:
            delete(services.bucket, blob)
    for path in found.texts:

        def change(reads: Reads, path: str = path) -> tuple[None, dict[str, Fields]]:
            data = reads.document(path)
            return None, {} if data is None else {path: _unnamed(data, person)[0]}

        database.transact(change)
    for path in found.documents:
        if path.startswith("mailboxes/"):
            # An empty record: the others are not told again that they are mailed.
            _put(database, path, {})
        else:
            database.delete(path)


def _forget(connection: str, person: Person, services: Services) -> None:
    """Remove the records of the person's documents from the indexes of all types."""
    for type_ in all_types():
        keys = [person.id] if type_.key.person == "id" else sorted(person.orders)
        if type_.personal and keys:
            forget(services, connection, type_.name, keys)


def _amend_ledger(connection: str, services: Services) -> None:
    """Write the new checksums of rewritten files into the ledger, so that they can be replayed."""
    for import_id, blob in rewritten(services.bucket, connection):

        def change(ledger: LedgerTransaction, id: str = import_id, blob: Any = blob) -> None:
            import_ = ledger.import_(connection, id)
            if import_ is not None and import_.crc32c in blob.metadata[ERASED].split():
                ledger.put(replace(import_, crc32c=blob.crc32c, size=blob.size))

        services.ledger.transact(change)


# -- record -----------------------------------------------------------------------------------


def _new_record(connection: str, person_id: str, by: str, services: Services) -> Fields:
    return {
        "connection": connection,
        "person": _hash(person_id, secrets.token_bytes(16)),
        "by": by,
        "startedAt": services.now(),
        "finishedAt": None,
        "erased": {},
        "looked": {},
        "trail": None,
    }


def _trail(person: Person) -> dict[str, list[str]]:
    return {"emails": sorted(person.emails), "orders": sorted(person.orders)}


def _put(database: Database, path: str, data: Fields) -> None:
    def change(_: Reads) -> tuple[None, dict[str, Fields]]:
        return None, {path: data}

    database.transact(change)


def _records_of(connection: str, person_id: str, database: Database) -> dict[str, Fields]:
    """Return id -> record of each erasure of this person."""
    return {
        id: data
        for id, data in database.find("erasures", {"connection": connection}).items()
        if hmac.compare_digest(
            _hash(person_id, bytes.fromhex(data["person"].split("$")[4])), data["person"]
        )
    }


def _hash(person_id: str, salt: bytes) -> str:
    """Return a salted scrypt hash of an id.

    The hash is slow on purpose: with a fast hash all ids could be tried, because there are few.
    """
    n, r, p = _COST
    digest = hashlib.scrypt(person_id.encode(), salt=salt, n=n, r=r, p=p, dklen=32)
    return f"scrypt${n}${r}${p}${salt.hex()}${digest.hex()}"
