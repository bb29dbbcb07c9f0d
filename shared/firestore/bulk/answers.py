"""Meaning of Firestore's answers to a batch: what passes, what does not, and what may be told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from grpc import StatusCode

from shared.core import TryAgain
from shared.firestore import messages
from shared.firestore.bulk.batch import Entry
from shared.firestore.encoding import decode_fields

PASSING = frozenset(
    {
        StatusCode.UNAVAILABLE,
        StatusCode.ABORTED,
        StatusCode.RESOURCE_EXHAUSTED,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.INTERNAL,
        StatusCode.UNKNOWN,
        StatusCode.CANCELLED,
    }
)
"""Status codes of calls that may succeed when they are retried."""
CONFLICT = frozenset(
    (StatusCode.FAILED_PRECONDITION, StatusCode.ALREADY_EXISTS, StatusCode.NOT_FOUND)
)
"""Statuses of a write whose document is another one than was read."""
PUSHES_BACK = frozenset(
    (StatusCode.RESOURCE_EXHAUSTED, StatusCode.ABORTED, StatusCode.DEADLINE_EXCEEDED)
)
"""Statuses by which the server asks for fewer writes."""
PUSHING_BACK = frozenset(code.value[0] for code in PUSHES_BACK)
"""The same as numbers, as single writes of a batch have them."""
FORBIDDEN = frozenset((StatusCode.PERMISSION_DENIED, StatusCode.UNAUTHENTICATED))
"""Statuses that last until somebody gives the account its role."""
_CODES: dict[int, StatusCode] = {code.value[0]: code for code in StatusCode}

_FIXES = {
    StatusCode.PERMISSION_DENIED: "give the function's service account roles/datastore.user",
    StatusCode.UNAUTHENTICATED: "check the credentials the function runs with",
    StatusCode.NOT_FOUND: "create the Firestore database, or correct its name",
    StatusCode.FAILED_PRECONDITION: "the database must be Firestore in native mode",
}


def code_of(status: Any) -> StatusCode:
    """Return the code of a write's status, a raw `google.rpc.Status`; UNKNOWN for a strange one."""
    return _CODES.get(status.code, StatusCode.UNKNOWN)


def give_up(method: str, code: StatusCode, details: str = "") -> TryAgain:
    """Return the error for an answer that lasts until somebody acts, with what to do about it.

    `details` must hold no values of documents.
    """
    fix = f"; {_FIXES[code]}" if code in _FIXES else ""
    said = f" ({details[:300]})" if details else ""
    return TryAgain(f"Firestore answered {code.name} to {method}{fix}{said}.")


_WORD = re.compile(r"\w{3,}")


def without_values(words: str, entries: Sequence[Entry[Any]]) -> str:
    """Return the server's message, with `…` for each word that is in the documents' values.

    The message names the field and the reason, but may quote the field's value. At most 300
    characters are returned.
    """
    values = []
    for entry in entries:
        values.append(entry.name.rpartition("/")[2])
        if entry.payload is not None:
            write = messages.BatchWriteRequest.FromString(entry.payload).writes[0]
            values.extend(_texts(decode_fields(write.update.fields)))
    secret = {word for value in values for word in _WORD.findall(value.lower())}
    return _WORD.sub(lambda match: "…" if match[0].lower() in secret else match[0], words)[:300]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
