"""A batch: documents that are settled together, and the limits of batches."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.firestore.bulk.operations import Expectations, Expected, Outcome
from shared.firestore.bulk.transport import Stored

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Entry(Generic[T]):
    """One document of a batch that has no outcome yet."""

    name: str
    """Full resource name, `projects/…/documents/connections/au/customers/65432`."""
    document: T
    read: bool
    """True if the document must be read before the next decision."""
    expected: Expected | None = None
    """The write to try without a read; if that fails, the document is read and decided on."""
    stored: Stored | None = None
    payload: bytes | None = None
    """The encoded write, after the decision."""
    conflicts: int = 0
    """Times that the precondition of the write failed."""


Some = tuple[Expectations[T], range]
"""Expectations, and the places in them of the documents that are meant."""


@dataclass(slots=True)
class Batch(Generic[T]):
    """Documents that one thread settles together, with the outcomes so far."""

    todo: deque[list[Entry[T]]]
    """Documents without an outcome, in groups of one request each."""
    expected: list[Some[T]] = field(default_factory=list)
    """Documents to write without a read, not tried yet; all go into one request."""
    outcomes: list[tuple[T, Outcome]] = field(default_factory=list)
    written: list[tuple[Expectations[T], slice | list[int], NDArray[np.int64]]] = field(
        default_factory=list
    )
    """Documents that were written without a read: places, and update times in nanoseconds."""
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a writer: sizes, and times to wait."""

    batch_size: int = 250
    """Documents per batch. The server takes 500, but answers large batches late or not at all."""
    in_flight: int = 12
    """Batches under way at the same time."""
    request_bytes: int = 8 * 1024 * 1024
    """Bytes per request; the server takes 10 MiB."""
    rpc_timeout: float = 60.0
    """Seconds that one call may take."""
    patience: float = 180.0
    """Seconds without an outcome for any document of a batch, after which the writer gives up."""
