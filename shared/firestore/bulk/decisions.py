"""What is to be done about documents, and what came of it: of one, or of many column by column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.core import Problem
from shared.firestore.bulk.encoding import timestamp
from shared.firestore.bulk.transport import Stored

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Put:
    """Replace the whole document with `data`, in the types that `encoding` knows."""

    data: Mapping[str, Any]
    wire: bytes = field(default=b"", repr=False)
    """Further fields, as `encode_content` made them."""
    only: tuple[str, ...] | None = None
    """Field paths to replace instead of the whole document; one that `data` lacks is removed."""


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the document, which is there."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Write nothing: what is stored is as new, or newer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What a document is taken to be without reading it, and what is then to be written."""

    put: Put
    update_time: Any
    """The raw Timestamp that the document has; None where there is no document."""


@dataclass(frozen=True, slots=True)
class Written:
    """The document was written; `update_time` is the raw Timestamp the server gave it."""

    update_time: Any
    stored: Stored | None = field(default=None, compare=False, repr=False)
    """Where only some fields were written: the document as it was before."""


@dataclass(frozen=True, slots=True)
class Left:
    """Nothing was written, for the reason that the decision gave (`exists` when only creating)."""

    reason: str
    stored: Stored | None = field(default=None, compare=False, repr=False)
    """What the decision was made on."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The server will never take this document. The problem has no line: the caller knows it."""

    problem: Problem


Outcome = Written | Left | Refused

Decide = Callable[[T, Stored | None], Put | Leave | Remove]
"""What to do about a document, given what is stored under its key (None: nothing).

Pure: it is called on several threads, and again whenever what is stored has changed. It must answer
Leave to a document that the same import wrote, or a lost answer would have it written twice.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations(Generic[T]):
    """What documents are taken to be without reading them, and what is then to be written.

    Lists of one length; what is said of one document is what `Expected` says.
    """

    keys: Sequence[str]
    """Each once."""
    wires: Sequence[bytes]
    """Fields of each document, as `encode_content` made them."""
    sources: Sequence[bytes]
    """The other fields of each."""
    updates: Sequence[int]
    """The update time that each has, in nanoseconds since 1970; 0 where there is no document."""
    document: Callable[[int], T]
    """Gives the document at a place in the lists, for one that has to be read and decided on."""
    written: Callable[[slice | list[int], NDArray[np.int64]], None]
    """Called with the places of documents that were written, and with their new update times."""

    def expected(self, at: int) -> Expected:
        """Return what is expected of one of them."""
        update = self.updates[at]
        put = Put({}, self.wires[at] + self.sources[at])
        return Expected(put, timestamp(update) if update else None)


def refused(why: str) -> Refused:
    """Return the outcome of a document that cannot be stored; `why` holds none of its values."""
    message = f"Firestore does not take the document: {why}"
    return Refused(Problem(code="write.refused", message=message.rstrip(".") + "."))
