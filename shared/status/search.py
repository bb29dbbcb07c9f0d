"""Search by a name: an import id, a file name, or the exact key of a document such as an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from shared.core import get
from shared.files import ExportFile, is_connection, read_name
from shared.files.types import FileType, all_types
from shared.ledger import Import
from shared.reporting import Zones, connections_of
from shared.services import Services
from shared.status.masking import mask
from shared.status.query import is_id

FOUND_SHOWN = 50
"""Largest number of imports of one search."""
CONNECTIONS_SEARCHED = 100
"""Largest number of connections whose documents one search looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDocument:
    """One document with the key that was searched for."""

    connection: str
    noun: str
    """The document in a word, e.g. `order`."""
    import_id: str | None
    """The import that its content comes from."""
    exported_at: datetime | None
    fields: tuple[tuple[str, str], ...]
    """Field -> value; letters and digits of personal data are masked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """The result of a search."""

    imports: Sequence[Import]
    documents: Sequence[FoundDocument]
    zones: Zones
    connections: Sequence[str]


def search(text: str, services: Services, *, reveal: bool = False) -> Hits:
    """Return what has a name: imports by id or file, and documents by their exact key.

    Only documents whose key does not name a person are searched, e.g. orders.

    Example: `customers_20230424T201230Z.csv`, `au/orders_20230424T201230Z`, `D1001`.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    connections = connections_of(services)
    names = [each.name for each in connections]
    with ThreadPoolExecutor(3, thread_name_prefix="search") as pool:
        by_id = pool.submit(services.ledger.get_many, _ids(text, names))
        file = text.rpartition("/")[2]
        by_file = pool.submit(lambda: list(islice(services.ledger.of_file(file), FOUND_SHOWN)))
        documents = pool.submit(_documents, text, names, services, reveal=reveal)
        found = {(one.connection, one.import_id): one for one in by_file.result()}
        found |= by_id.result()
        imports = sorted(found.values(), key=lambda one: one.uploaded_at, reverse=True)
        return Hits(
            imports=imports[:FOUND_SHOWN],
            documents=documents.result(),
            zones=Zones.of_connections(connections, services),
            connections=names,
        )


def _ids(text: str, connections: Sequence[str]) -> list[tuple[str, str]]:
    """Return the imports that a text may name: `au/orders_…`, `orders_…`, or the path of a file."""
    named = read_name(text)
    if isinstance(named, ExportFile):
        where = [named.connection] if named.folder else connections
        return [(connection, named.import_id) for connection in where]
    first, slash, rest = text.partition("/")
    if slash and is_connection(first) and is_id(rest):
        return [(first, rest)]
    return [(connection, text) for connection in connections if is_id(text)]


def _documents(
    text: str, connections: Sequence[str], services: Services, *, reveal: bool
) -> list[FoundDocument]:
    if not is_id(text):
        return []
    paths = {
        f"connections/{connection}/{type_.collection}/{text}": (connection, type_)
        for connection in connections[:CONNECTIONS_SEARCHED]
        for type_ in all_types()
        if type_.key.person is None
    }
    found = services.ledger.database.documents(paths)
    return [
        _document(*paths[path], data, reveal=reveal)
        for path, data in sorted(found.items())
        if path in paths
    ]


def _document(
    connection: str, type_: FileType, data: Mapping[str, Any], *, reveal: bool
) -> FoundDocument:
    source = data.get("source")
    source = source if isinstance(source, Mapping) else {}
    exported_at = source.get("exportedAt")
    return FoundDocument(
        connection=connection,
        noun=type_.document,
        import_id=source.get("import"),
        exported_at=exported_at if isinstance(exported_at, datetime) else None,
        fields=tuple(
            (column.field, text if reveal or not column.personal else mask(text))
            for column in type_.columns
            if column.part == "document" and (text := _text(get(data, column.field)))
        ),
    )


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return "" if value is None else str(value)
