"""Parses and checks the resource names of databases, collections and documents."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from local.emulators.firestore.refusals import Refused, invalid

MAX_ID_BYTES = 1500
MAX_NAME_BYTES = 6144
MAX_PATH_IDS = 200
"""A hundred levels, each a collection id and a document id."""

_RESERVED = re.compile(r"__.+__", re.DOTALL)
_NUMERIC = re.compile(r"__id-?[0-9]+__")


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection, `path` being relative to the database: `shops/1/orders`."""

    database: str
    """`projects/{project}/databases/{database}`."""
    path: str

    @property
    def id(self) -> str:
        return self.path.rpartition("/")[2]

    def document(self, document_id: str) -> str:
        """Return the full resource name of a document in the collection."""
        return f"{self.database}/documents/{self.path}/{document_id}"


@dataclass(frozen=True, slots=True)
class Document:
    """A document: its collection and its id."""

    collection: Collection
    id: str

    @property
    def name(self) -> str:
        return self.collection.document(self.id)

    @property
    def path(self) -> str:
        """The path relative to the database: `shops/1/orders/7`."""
        return f"{self.collection.path}/{self.id}"


@dataclass(frozen=True, slots=True)
class Parent:
    """Start of a list or a query: the root of a database (`path` is "") or a document."""

    database: str
    path: str

    def collection(self, collection_id: str) -> Collection:
        return Collection(self.database, self.prefix + collection_id)

    @property
    def prefix(self) -> str:
        """Beginning of every path below the parent."""
        return f"{self.path}/" if self.path else ""


def parse_database(name: str) -> str:
    """Check `projects/{project}/databases/{database}` and return it."""
    parts = name.split("/")
    if len(parts) == 4 and _is_database(parts):
        return name
    raise _explain(
        "Database name", name, ("projects", "a project id", "databases", "a database id")
    )


def parse_document(name: str, *, what: str = "Document name") -> Document:
    """Read the full resource name of a document; `what` begins the sentence of a refusal."""
    head, slash, document_id = name.rpartition("/")
    collection = _collection(head) if slash else None
    if collection is None or document_id in ("", ".", ".."):
        raise _document_refusal(what, name)
    check_id(document_id, "Resource id")
    return Document(collection, document_id)


def parse_parent(name: str) -> Parent:
    """Read the parent of a collection: `{database}/documents` or a document's name."""
    parts = name.split("/")
    if len(parts) == 5 and parts[4] == "documents" and _is_database(parts):
        return Parent("/".join(parts[:4]), "")
    document = parse_document(name, what="Document parent name")
    return Parent(document.collection.database, document.path)


def check_id(value: str, what: str) -> None:
    """Refuse an id that no collection or document can have. `what`: `Resource id`, for instance."""
    if value.startswith("__") and _RESERVED.fullmatch(value) and not _NUMERIC.fullmatch(value):
        raise invalid(f'{what} "{value}" is invalid because it is reserved.')
    if "/" in value:
        raise invalid(f'{what} "{value}" is invalid because it contains "/".')
    if value in (".", ".."):
        raise invalid(f'{what} "{value}" is invalid.')


def check_writable(document: Document) -> None:
    """Refuse a name that can be read but not written."""
    if len(document.id) > MAX_ID_BYTES // 4 and len(document.id.encode()) > MAX_ID_BYTES:
        raise invalid(f"The key path element name is longer than {MAX_ID_BYTES} bytes.")
    _check_writable_collection(document.collection)
    if len(document.path) > MAX_ID_BYTES and len(document.path.encode()) > MAX_NAME_BYTES:
        raise invalid(f"The document name is longer than {MAX_NAME_BYTES} bytes.")


@lru_cache(maxsize=4096)
def _check_writable_collection(collection: Collection) -> None:
    ids = collection.path.split("/")
    if len(ids) >= MAX_PATH_IDS:
        raise invalid("Key path is too long. Cannot exceed 100 elements.")
    for position, part in enumerate(ids):
        if len(part.encode()) > MAX_ID_BYTES:
            element = "name" if position % 2 else "kind"
            raise invalid(f"The key path element {element} is longer than {MAX_ID_BYTES} bytes.")


@lru_cache(maxsize=4096)
def _collection(name: str) -> Collection | None:
    """Read `{database}/documents/{path}` of a collection; None where it is not one."""
    parts = name.split("/")
    if len(parts) < 6 or len(parts) % 2 or parts[4] != "documents" or not _is_database(parts):
        return None
    ids = parts[5:]
    if any(part in ("", ".", "..") for part in ids):
        return None
    for position, part in enumerate(ids):
        check_id(part, "Resource id" if position % 2 else "Collection id")
    return Collection("/".join(parts[:4]), "/".join(ids))


def _is_database(parts: list[str]) -> bool:
    return bool(parts[0] == "projects" and parts[1] and parts[2] == "databases" and parts[3])


def _document_refusal(what: str, name: str) -> Refused:
    ids = name.split("/")[5:]
    expected: list[str] = ["projects", "a project id", "databases", "a database id", "documents"]
    expected += ["a collection id", "a resource id"] * max((len(ids) + 1) // 2, 1)
    return _explain(what, name, tuple(expected))


def _explain(what: str, name: str, expected: tuple[str, ...]) -> Refused:
    """Return a refusal with the position where a name stops being valid."""
    parts = name.split("/")
    if len(parts) == 5 and parts[4] == "documents" and len(expected) > 4:
        return invalid(
            f'{what} "{name}" is invalid: Omit "/documents" when referencing a database '
            "(except as the parent of a document)."
        )
    index = 0
    for position, wanted in enumerate(expected):
        if position >= len(parts):
            return invalid(f'{what} "{name}" lacks "/" at index {index - 1}.')
        part = parts[position]
        last = position == len(parts) - 1
        if " " not in wanted:
            if part != wanted:
                return invalid(f'{what} "{name}" lacks "{wanted}" at index {index}.')
        elif not part:
            if last and position > 5:
                return invalid(f'{what} "{name}" has invalid trailing "/".')
            return invalid(f'{what} "{name}" lacks {wanted} at index {index}.')
        elif part in (".", "..") and position > 4:
            return invalid(
                f'{what} "{name}" contains {wanted.replace("an ", "a ")} "{part}" at index {index}.'
            )
        index += len(part) + 1
    return invalid(f'{what} "{name}" has invalid trailing "/".')
