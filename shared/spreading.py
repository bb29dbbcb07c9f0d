"""How what the rows of a file come to is spread over shards by their keys, and read back.

The rows of a shard are in one object, in the order of the file; what is to be known of the rows
that were found wrong is in another, the verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain
from typing import Any

import google.cloud.storage as storage
import numpy as np
from numpy.typing import NDArray

from shared.errors import Problem
from shared.kept import Rows
from shared.plan import hashes
from shared.schemas import Parts
from shared.split_objects import LEAST_UPLOAD_BYTES, Writing, boxes
from shared.state import Part, Span, spans
from shared.tally import PlainProblem, plain_problem

BUFFER_BYTES = 16 * 1024 * 1024
"""Bytes of rows that wait for their boxes, of all shards together, about."""
BOX_BYTES = 1024 * 1024
"""Bytes of rows in a box at most, about."""
UPLOAD_BYTES = 8 * 1024 * 1024
"""Bytes that wait to be sent, of all shards together, as far as that is in our hands."""

_REJECTS = 1_000
"""Rejected rows in a box."""
_ROW_BYTES = 128
"""What a row takes besides its contents, about."""

_COLUMNS = tuple(spec.name for spec in fields(Parts) if spec.name not in ("updated", "ordinals"))
"""What is kept of `Parts` besides what planning takes."""

RejectedRow = tuple[list[str], list[PlainProblem]]
"""The cells of a row, and what is wrong with it."""


@dataclass(slots=True)
class _Pending:
    """Rows of one shard that wait for their box."""

    hashes: list[bytes] = field(default_factory=list)
    updated: list[bytes] = field(default_factory=list)
    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in _COLUMNS})
    records: list[bytes] = field(default_factory=list)
    size: int = 0


class Spread:
    """Spreads rows over the objects of shards. Its memory does not grow with the file."""

    def __init__(self, bucket: storage.Bucket, prefix: str, shards: int) -> None:
        """`prefix` is how the objects' names begin."""
        self._spans = list(spans(shards))
        self._shift = np.uint64(64 - (shards.bit_length() - 1))
        self._box_bytes = min(BOX_BYTES, BUFFER_BYTES // shards)
        upload = UPLOAD_BYTES // shards // LEAST_UPLOAD_BYTES * LEAST_UPLOAD_BYTES
        upload = max(LEAST_UPLOAD_BYTES, upload)
        self._pending = [_Pending() for _ in self._spans]
        self._rejects: list[RejectedRow] = []
        self._verdict = Writing(bucket, f"{prefix}.verdict")
        self._objects = [
            Writing(bucket, f"{prefix}-{number:03}.rows", upload_bytes=upload)
            for number in range(shards)
        ]

    def add(self, parts: Parts, records: Sequence[bytes]) -> None:
        """Take the rows of a chunk, and their bytes where they are wanted.

        Raises:
            TryAgain: Cloud Storage could not be reached.
        """
        if not parts.keys:
            return
        found, updated = hashes(parts.keys), np.array(parts.updated, np.int64)
        shard = self._shard_of(found)
        order = np.argsort(shard, kind="stable")
        ends = np.searchsorted(shard[order], np.arange(len(self._spans)), "right")
        for pending, object, places in zip(
            self._pending, self._objects, np.split(order, ends[:-1]), strict=True
        ):
            chosen = places.tolist()
            if not chosen:
                continue
            pending.hashes.append(found[places].tobytes())
            pending.updated.append(updated[places].tobytes())
            for name, column in pending.columns.items():
                some = getattr(parts, name)
                if some:
                    column.extend(map(some.__getitem__, chosen))
            pending.records.extend(map(records.__getitem__, chosen) if records else ())
            pending.size += self._weight(pending, len(chosen))
            if pending.size >= self._box_bytes:
                self._flush(pending, object)

    def reject(self, cells: Sequence[str], problems: Sequence[Problem]) -> None:
        """Take a row that was found wrong.

        Raises:
            TryAgain: Cloud Storage could not be reached.
        """
        self._rejects.append((list(cells), [*map(plain_problem, problems)]))
        if len(self._rejects) >= _REJECTS:
            self._flush_rejects()

    def close(self, *, broken: Iterable[str], findings: Any) -> tuple[Part, list[Part]]:
        """Finish; return the verdict's object and the shards', in order.

        Args:
            broken: keys of documents some of whose rows were found wrong.
            findings: what else is to be known of the file, as plain data.

        Raises:
            TryAgain: Cloud Storage could not be reached.
        """
        keys = sorted(broken)
        shard = self._shard_of(hashes(keys)).tolist() if keys else []
        done = []
        for number, (span, pending, object) in enumerate(
            zip(self._spans, self._pending, self._objects, strict=True)
        ):
            if pending.columns["keys"]:
                self._flush(pending, object)
            object.add([key for key, of in zip(keys, shard, strict=True) if of == number])
            done.append(object.close(span))
        if self._rejects:
            self._flush_rejects()
        self._verdict.add(findings)
        return self._verdict.close(Span(self._spans[0].first, self._spans[-1].last)), done

    def abandon(self) -> None:
        """Leave no half-written objects behind."""
        for object in (self._verdict, *self._objects):
            object.abandon()

    def _shard_of(self, found: NDArray[np.uint64]) -> NDArray[np.int64]:
        return (found[:, 0] >> self._shift).astype(np.int64)

    def _weight(self, pending: _Pending, rows: int) -> int:
        """Return about how many bytes the last so many rows take."""
        size = _ROW_BYTES * rows + sum(map(len, pending.records[-rows:]))
        items, own = pending.columns["items"], pending.columns["own"][-rows:]
        size += sum(map(len, items[-rows:]))
        return size + sum(map(len, chain.from_iterable(own) if items else own))

    def _flush(self, pending: _Pending, object: Writing) -> None:
        object.add((b"".join(pending.hashes), b"".join(pending.updated)))
        object.add((list(pending.columns.values()), pending.records))
        for column in (
            *(pending.hashes, pending.updated),
            *(*pending.columns.values(), pending.records),
        ):
            column.clear()
        pending.size = 0

    def _flush_rejects(self) -> None:
        self._verdict.add(self._rejects)
        self._rejects.clear()


class SpreadRows:
    """The rows of one shard, as often as they are wanted; like `shared.kept.Kept`."""

    whole = True

    def __init__(self, bucket: storage.Bucket, part: Part, *, tick: Callable[[], None]) -> None:
        """`tick` is called before each box is read."""
        self._bucket = bucket
        self._part = part
        self._tick = tick
        self.count = 0
        """How many there are; complete after `seen`, like the next."""
        self.broken: set[str] = set()
        """Keys of documents some of whose rows were found wrong."""

    def seen(self) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]]:
        """Give hashes of the key, time of the last change and ordinal of the rows, box by box.

        Raises:
            Unusable: the object is gone.
            TryAgain: Cloud Storage could not be reached.
        """
        count = 0
        last: Any = None
        for number, box in enumerate(boxes(self._bucket, self._part, tick=self._tick)):
            if number % 2 == 1:
                continue
            last = box()
            if isinstance(last, tuple):
                found = np.frombuffer(last[0], np.uint64).reshape(-1, 2)
                updated = np.frombuffer(last[1], np.int64)
                yield found, updated, np.arange(count, count + len(found))
                count += len(found)
        self.count, self.broken = count, set(last)

    def chunks(self) -> Iterator[Rows]:
        """Give all rows, in the order of the file; their ordinals are those of `seen`.

        Raises:
            Unusable: the object is gone.
            TryAgain: Cloud Storage could not be reached.
        """
        count = 0
        for number, box in enumerate(boxes(self._bucket, self._part, tick=self._tick)):
            if number % 2 == 0:
                continue
            columns, records = box()
            parts = Parts(**dict(zip(_COLUMNS, columns, strict=True)))
            parts.ordinals = list(range(count, count + len(parts.keys)))
            count += len(parts.keys)
            yield parts, records
