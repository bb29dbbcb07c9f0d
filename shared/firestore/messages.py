"""Raw message classes of Firestore's calls, and how answers with documents are read.

The client library wraps these classes in proto-plus, which costs several times more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from google.cloud.firestore_v1 import types
from google.protobuf.empty_pb2 import Empty

Document: Any = types.Document.pb()
FieldFilter: Any = types.StructuredQuery.FieldFilter.pb()
MapValue: Any = types.MapValue.pb()
Precondition: Any = types.Precondition.pb()
Query: Any = types.StructuredQuery.pb()
Write: Any = types.Write.pb()

BatchGetRequest: Any = types.BatchGetDocumentsRequest.pb()
BatchWriteRequest: Any = types.BatchWriteRequest.pb()
BatchWriteResponse: Any = types.BatchWriteResponse.pb()
CommitRequest: Any = types.CommitRequest.pb()
CountRequest: Any = types.RunAggregationQueryRequest.pb()
QueryRequest: Any = types.RunQueryRequest.pb()
RollbackRequest: Any = types.RollbackRequest.pb()


def classes(method: str) -> tuple[Any, Any]:
    """Return the classes of a call's request and answer, e.g. of `RunQuery`."""
    answer: Any = getattr(types, f"{method}Response", None)  # Rollback has none
    return getattr(types, f"{method}Request").pb(), answer.pb() if answer else Empty


def documents(answers: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Yield name and raw document of each answer to BatchGetDocuments; None for one missing."""
    for answer in answers:
        if answer.HasField("found"):
            yield answer.found.name, answer.found
        elif answer.missing:
            yield answer.missing, None
