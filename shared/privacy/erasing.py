"""Erases one person: searches everywhere, removes, searches again, and writes a record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.core import NotPossible
from shared.files.types import FileType, Rules, all_types
from shared.firestore import Fields
from shared.firestore.database import Reads
from shared.gcp.storage import delete_if_there
from shared.index import forget
from shared.ledger import LedgerTransaction
from shared.ledger.uploads import ERASED
from shared.loading.shards.cleanup import remove_rows
from shared.privacy.objects import rewritten, take_out
from shared.privacy.record import ErasureRecord, records_of, write_document
from shared.privacy.searching import ROUNDS, Findings, search_until_settled, without_orders
from shared.privacy.traces import Person
from shared.services import Services


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
    records = records_of(connection, person_id, services.ledger.database)
    begun = next((one for one in records if one.finished_at is None), None)
    person = Person(id=person_id).knowing(emails=emails)
    if begun is not None:
        person = begun.followed(person)
    rules = Rules.of(services.settings_of(connection))
    types = [(type_, rules) for type_ in all_types()]
    found = search_until_settled(connection, person, types, services)
    preview = Erasure(
        connection=connection,
        record=None,
        erased=_some(found.counts()),
        objects=tuple(sorted(found.names())),
        unreadable=found.unreadable(),
        looked=found.looked(),
        left={},
        begun=(),
        moved=0,
        earlier=tuple(sorted(one.finished_at for one in records if one.finished_at)),
        continues=begun is not None,
    )
    if dry_run or not agree(preview):
        return preview
    record = begun or ErasureRecord.new(connection, person_id, by=by, now=services.now())
    return _erase(preview, record, found, types, services, delete_unreadable=delete_unreadable)


def _erase(
    preview: Erasure,
    record: ErasureRecord,
    found: Findings,
    types: list[tuple[FileType, Rules]],
    services: Services,
    *,
    delete_unreadable: bool,
) -> Erasure:
    """Remove what a search has found, and search again, until a search proves that nothing is left.

    At most `ROUNDS` rounds are made.
    """
    connection, database = preview.connection, services.ledger.database
    names, erased = set(preview.objects), Counter[str](record.data["erased"])
    for _ in range(ROUNDS):
        record = record.write(database, found.person, erased=dict(erased))
        _refuse_while_loading(connection, services)
        remove_rows(services, connection)
        _take_out(found, connection, services, delete_unreadable=delete_unreadable)
        _forget(connection, found.person, services)
        names |= found.names()
        erased += found.counts()
        if delete_unreadable:
            erased["unreadable"] += len(found.objects.unreadable)
        if found.proof:
            break
        found = search_until_settled(connection, found.person, types, services)
    record.write(
        database,
        None if found.proof else found.person,
        erased=dict(erased),
        looked=found.looked(),
        finishedAt=services.now() if found.proof else None,
    )
    return replace(
        preview,
        record=record.path,
        erased=_some(erased),
        objects=tuple(sorted(names)),
        unreadable=found.unreadable(),
        looked=found.looked(),
        left=_some(found.counts()),
        begun=found.begun,
        moved=found.objects.moved,
    )


def _some(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts that are not 0."""
    return {name: count for name, count in counts.items() if count}


def _refuse_while_loading(connection: str, services: Services) -> None:
    loading = services.ledger.find(connection, status="loading")
    if loading:
        names = ", ".join(sorted(one.import_id for one in loading))
        raise NotPossible(
            f"{names} is being loaded and may hold the person. Try again when it has ended."
        )


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
            delete_if_there(services.bucket, blob.name, blob.generation)
    for path in found.texts:

        def change(reads: Reads, path: str = path) -> tuple[None, dict[str, Fields]]:
            data = reads.document(path)
            return None, {} if data is None else {path: without_orders(data, person)[0]}

        database.transact(change)
    for path in found.documents:
        if path.startswith("mailboxes/"):
            # An empty record: the others are not told again that they are mailed.
            write_document(database, path, {})
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
