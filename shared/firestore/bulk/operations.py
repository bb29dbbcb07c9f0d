"""Operations on documents, and outcomes: of one document, or of many column by column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.core import Problem
from shared.firestore.bulk.transport import Stored
from shared.firestore.encoding import timestamp

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Put:
    """The operation that replaces the whole document by `data` and `wire`, or only some fields."""

    data: Mapping[str, Any]
    """Fields, in the types that `encoding` lists."""
    wire: bytes = field(default=b"", repr=False)
    """Further fields, encoded by `encode_content`."""
    only: tuple[str, ...] | None = None
    """Field paths to replace instead of the whole document; a path that `data` lacks is removed."""


@dataclass(frozen=True, slots=True)
class Remove:
    """The operation that deletes a document that exists."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The operation that writes nothing, because the stored document is as new or newer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Expected:
    """A write without a read first: its precondition is the expected update time."""

    put: Put
    update_time: Any
    """Raw Timestamp that the stored document must have; None: there must be no document."""


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a written document."""

    update_time: Any
    """Raw Timestamp that the server gave the document."""
    stored: Stored | None = field(default=None, compare=False, repr=False)
    """The document before the write, if only some fields were written."""


@dataclass(frozen=True, slots=True)
class Left:
    """The outcome of a document that was not written, with the decision's reason."""

    reason: str
    """The decision's reason; `exists` if the writer only creates."""
    stored: Stored | None = field(default=None, compare=False, repr=False)
    """The document that the decision was based on."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The outcome of a document that the server will never accept.

    The problem has no line: the caller adds the line.
    """

    problem: Problem


Outcome = Written | Left | Refused

Decide = Callable[[T, Stored | None], Put | Leave | Remove]
"""Decides on a document, given the document stored under its key (None: there is none).

A pure function: it runs on several threads, and again whenever the stored document has changed. It
must return Leave for a document that the same import wrote. Otherwise a lost answer would count the
document twice.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations(Generic[T]):
    """Writes of many documents without a read first, column by column; see `Expected`.

    All lists have the same length: one item per document.
    """

    keys: Sequence[str]
    """Document ids, each once."""
    wires: Sequence[bytes]
    """The fields of each document except `source`, encoded by `encode_content`."""
    sources: Sequence[bytes]
    """The encoded field `source` of each document."""
    updates: Sequence[int]
    """Expected update time of each document in nanoseconds since 1970; 0: there is no document."""
    document: Callable[[int], T]
    """Returns the document at a place in the lists, if it has to be read and decided on."""
    written: Callable[[slice | list[int], NDArray[np.int64]], None]
    """Called with the places of written documents, and their new update times in nanoseconds."""

    def expected(self, place: int) -> Expected:
        """Return the expected write of the document at a place in the lists."""
        update = self.updates[place]
        put = Put({}, self.wires[place] + self.sources[place])
        return Expected(put, timestamp(update) if update else None)


def refused(why: str) -> Refused:
    """Return the outcome of a document that cannot be stored; `why` must quote no value."""
    message = f"Firestore does not take the document: {why}"
    return Refused(Problem(code="write.refused", message=message.rstrip(".") + "."))
