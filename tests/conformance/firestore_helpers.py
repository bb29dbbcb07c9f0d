"""Helpers of the tests of a Firestore server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from tests.conformance.firestore_servers import EMBEDDED

only_embedded = pytest.mark.parametrize("server", [EMBEDDED], indirect=True)


def ids(found: Any) -> list[str]:
    """The ids of what a query has found, in its order."""
    return [snapshot.id for snapshot in found]


def fill(db: Any, collection: str, documents: dict[str, dict[str, Any]]) -> Any:
    """Write documents by their ids; the collection."""
    batch = db.batch()
    target = db.collection(collection)
    for document_id, data in documents.items():
        batch.set(target.document(document_id), data)
    batch.commit()
    return target


def where(field: str, operator: str, value: Any) -> Callable[[Any], Any]:
    """Return a filter that can be added to a query."""
    return lambda query: query.where(filter=FieldFilter(field, operator, value))


def begin(db: Any) -> Any:
    """Begin a transaction and return it."""
    transaction = db.transaction()
    transaction._begin()
    return transaction


def increment(db: Any, path: str, *, times: int) -> None:
    """Add one in transactions of their own."""
    document = db.document(path)

    @firestore.transactional
    def add(transaction: Any) -> None:
        found = document.get(transaction=transaction)
        transaction.set(document, {"n": (found.get("n") if found.exists else 0) + 1})

    for _ in range(times):
        # On a busy machine, Firestore may refuse a waiting transaction many times.
        add(db.transaction(max_attempts=100))
