"""Rows of a large file: spread over shards by their keys, and read again.

The rows of a shard are in one object, in the order of the file. The rejected rows of the file, with
the other findings, are in another object, the verdict. A shard leaves an object of the same kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import google.cloud.storage as storage
import numpy as np
from numpy.typing import NDArray

from shared.core import Problem
from shared.core.arrays import Numbers
from shared.gcp.storage import Unusable
from shared.ledger import Span, StateObject, spans
from shared.loading.shards.objects import LEAST_UPLOAD_BYTES, READ_BYTES, Writing, boxes
from shared.parsing import PlainProblem, hashes, plain_problem

BUFFER_BYTES = 16 * 1024 * 1024
"""Approximate bytes of rows of all shards together that wait for their boxes."""
BOX_BYTES = 1024 * 1024
"""Approximate upper bound of the bytes of rows in a box."""
UPLOAD_BYTES = 8 * 1024 * 1024
"""Bytes of all shards together that wait to be sent, as far as the least piece allows."""

REJECTS = 1_000
"""Rejected rows of a file in a box."""
_ROW_BYTES = 24
"""Bytes of a row besides its contents."""

RejectedCells = tuple[list[str], list[PlainProblem], str | None]
"""The cells of a row, its problems, and the export that the file names for the row."""

SeenKeys = tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64] | None]
"""Three arrays about some rows: hashes of the key, ordinal, time of export. The last is None where
the file names no exports of its rows."""


RowBlock = tuple[bytes, Numbers, Numbers]
"""The bytes of rows, each with a line end; the lines where they begin; their ordinals."""


@dataclass(slots=True)
class _Pending:
    """Rows of one shard that wait for their box."""

    hashes: list[bytes] = field(default_factory=list)
    exported: list[bytes] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)
    size: int = 0


class RejectedRows:
    """Rejected rows that are being written into an object. The other findings come last.

    `read_findings` reads the object.
    """

    def __init__(self, bucket: storage.Bucket, name: str, *, in_box: int) -> None:
        """Keep `in_box` rows in memory."""
        self._object = Writing(bucket, name)
        self._in_box = in_box
        self._rows: list[RejectedCells] = []

    def add(self, cells: Sequence[str], problems: Sequence[Problem], *, export: str | None) -> None:
        """Take a row.

        Raises:
            TryAgain: Cloud Storage could not be reached.
        """
        self._rows.append((list(cells), [*map(plain_problem, problems)], export))
        if len(self._rows) >= self._in_box:
            self._flush()

    def close(self, findings: dict[str, Any], span: Span) -> StateObject:
        """Write the other findings, as plain data, then finish the object and return its record.

        Raises:
            TryAgain: Cloud Storage could not be reached.
        """
        self._flush()
        self._object.add(findings)
        return self._object.close(span)

    def abandon(self) -> None:
        """Remove a half-written object."""
        self._object.abandon()

    def _flush(self) -> None:
        if self._rows:
            self._object.add(self._rows)
            self._rows.clear()


def read_findings(
    bucket: storage.Bucket,
    part: StateObject,
    *,
    tick: Callable[[], None],
    read_bytes: int = READ_BYTES,
) -> Iterator[list[RejectedCells] | dict[str, Any]]:
    """Yield what `RejectedRows` has written: lists of rows, then the findings; see `boxes`."""
    return boxes(bucket, part, tick=tick, read_bytes=read_bytes)


class Spread:
    """Spreads rows over the objects of shards. The memory for this does not grow with the file."""

    def __init__(self, bucket: storage.Bucket, prefix: str, shards: int) -> None:
        """Begin objects whose names begin with `prefix`."""
        self._spans = list(spans(shards))
        self._shift = np.uint64(64 - (shards.bit_length() - 1))
        self._box_bytes = min(BOX_BYTES, BUFFER_BYTES // shards)
        upload = UPLOAD_BYTES // shards // LEAST_UPLOAD_BYTES * LEAST_UPLOAD_BYTES
        upload = max(LEAST_UPLOAD_BYTES, upload)
        self._pending = [_Pending() for _ in self._spans]
        self.verdict = RejectedRows(bucket, f"{prefix}.verdict", in_box=REJECTS)
        """Rejected rows of the file."""
        self._objects = [
            Writing(bucket, f"{prefix}-{number:03}.rows", upload_bytes=upload)
            for number in range(shards)
        ]

    def add(
        self,
        found: NDArray[np.uint64],
        lines: Numbers,
        rows: Sequence[bytes],
        exported: Numbers | None = None,
    ) -> None:
        """Take rows: hashes of their keys, line numbers, bytes and times of export.

        Args:
            found: the `hashes` of the keys of the rows' documents.
            lines: the lines where the rows begin.
            rows: the bytes of the rows.
            exported: the time of each export, as `shared.parsing.plan.Planner.see` takes it.

        Raises:
            TryAgain: Cloud Storage could not be reached.
        """
        if not len(found):
            return
        shard = self._shard_of(found)
        order = np.argsort(shard, kind="stable")
        ends = np.searchsorted(shard[order], np.arange(len(self._spans)), "right")
        every = [*rows]
        if not every[-1].endswith((b"\n", b"\r")):
            every[-1] += b"\n"  # the last row of a file may lack its line end
        for pending, object, places in zip(
            self._pending, self._objects, np.split(order, ends[:-1]), strict=True
        ):
            if not len(places):
                continue
            data = b"".join(map(every.__getitem__, places.tolist()))
            pending.hashes.append(found[places].tobytes())
            if exported is not None:
                pending.exported.append(exported[places].tobytes())
            pending.lines.append(lines[places].tobytes())
            pending.rows.append(data)
            pending.size += len(data) + _ROW_BYTES * len(places)
            if pending.size >= self._box_bytes:
                self._flush(pending, object)

    def close(
        self, *, broken: Iterable[str], too_large: Iterable[str], findings: dict[str, Any]
    ) -> tuple[StateObject, list[StateObject]]:
        """Finish; return the verdict's object and the shards' objects, in order.

        Args:
            broken: keys of documents with some rows that have errors.
            too_large: keys of documents that are too large, so that all their rows have errors.
            findings: the other findings about the file, as plain data.

        Raises:
            TryAgain: Cloud Storage could not be reached.
        """
        lists = [[*self._by_shard(sorted(keys))] for keys in (broken, too_large)]
        done = []
        for number, (span, pending, object) in enumerate(
            zip(self._spans, self._pending, self._objects, strict=True)
        ):
            if pending.rows:
                self._flush(pending, object)
            object.add(tuple([key for key, of in keys if of == number] for keys in lists))
            done.append(object.close(span))
        every = Span(self._spans[0].first, self._spans[-1].last)
        return self.verdict.close(findings, every), done

    def abandon(self) -> None:
        """Remove half-written objects."""
        self.verdict.abandon()
        for object in self._objects:
            object.abandon()

    def _shard_of(self, found: NDArray[np.uint64]) -> NDArray[np.int64]:
        return (found[:, 0] >> self._shift).astype(np.int64)

    def _by_shard(self, keys: Sequence[str]) -> Iterator[tuple[str, int]]:
        shards = self._shard_of(hashes(keys)).tolist() if keys else []
        return zip(keys, shards, strict=True)

    def _flush(self, pending: _Pending, object: Writing) -> None:
        columns = pending.hashes, pending.exported, pending.lines, pending.rows
        object.add(tuple(map(b"".join, columns)), level=0)  # to compress it would cost more
        for column in columns:
            column.clear()
        pending.size = 0


class SpreadRows:
    """The rows of one shard, fetched again for every use.

    Kept rows would take as much memory as everything that is made of them.
    """

    def __init__(
        self, bucket: storage.Bucket, part: StateObject, *, tick: Callable[[], None]
    ) -> None:
        """Prepare; `tick` is called before each box is read."""
        self._bucket = bucket
        self._part = part
        self._tick = tick
        self.count = 0
        """Rows of the shard. This count and the two sets are complete once `seen` has ended."""
        self.broken: set[str] = set()
        """Keys of documents with some rows that have errors."""
        self.too_large: set[str] = set()
        """Keys of documents that are too large: their rows have been rejected."""

    def seen(self) -> Iterator[SeenKeys]:
        """Yield the facts that the plan needs about the rows, box by box.

        Raises:
            Unusable: the object is gone.
            TryAgain: Cloud Storage could not be reached.
        """
        for seen, _ in self._boxes():
            self.count += len(seen[1])
            yield seen

    def rows(self) -> Iterator[RowBlock]:
        """Yield all rows, in the order of the file; their ordinals are those of `seen`.

        Raises:
            Unusable: the object is gone.
            TryAgain: Cloud Storage could not be reached.
        """
        for _, rows in self._boxes():
            yield rows

    def _boxes(self) -> Iterator[tuple[SeenKeys, RowBlock]]:
        count = 0
        for box in boxes(self._bucket, self._part, tick=self._tick):
            match box:
                case (bytes(found), bytes(exported), bytes(lines), bytes(data)):
                    ordinals = np.arange(count, count + len(lines) // 8)
                    count += len(ordinals)
                    seen = (
                        np.frombuffer(found, np.uint64).reshape(-1, 2),
                        ordinals,
                        np.frombuffer(exported, np.int64) if exported else None,
                    )
                    yield seen, (data, np.frombuffer(lines, np.int64), ordinals)
                case (list(broken), list(too_large)):
                    self.broken, self.too_large = set(broken), set(too_large)
                case _:
                    raise Unusable(self._part.object)
