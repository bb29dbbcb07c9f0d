"""The rows of a large file, spread over shards by their keys, and read back.

The rows of a shard are in one object, in the order of the file. The rejected rows of the file, and
what else was found, are in another one, the verdict. A shard leaves an object of the same kind.
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
"""Bytes of rows that wait for their boxes, of all shards together, about."""
BOX_BYTES = 1024 * 1024
"""Bytes of rows in a box at most, about."""
UPLOAD_BYTES = 8 * 1024 * 1024
"""Bytes that wait to be sent, of all shards together, as far as that is in our hands."""

REJECTS = 1_000
"""Rejected rows of a file in a box."""
_ROW_BYTES = 24
"""What a row takes besides its contents."""

RejectedCells = tuple[list[str], list[PlainProblem], str | None]
"""The cells of a row, what is wrong with it, and what the file names as its export."""

SeenKeys = tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64] | None]
"""Of some rows: hashes of the key, ordinal, and time of export where the file names the exports of
its rows."""


RowBlock = tuple[bytes, Numbers, Numbers]
"""The bytes of rows, each with a line end, the lines where they begin, and their ordinals."""


@dataclass(slots=True)
class _Pending:
    """Rows of one shard that wait for their box."""

    hashes: list[bytes] = field(default_factory=list)
    exported: list[bytes] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)
    size: int = 0


class RejectedRows:
    """Rejected rows that are being written into an object; what else was found comes last.

    `read_findings` reads the object.
    """

    def __init__(self, bucket: storage.Bucket, name: str, *, in_box: int) -> None:
        """`in_box` rows are kept in memory."""
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
        """Finish the object with what else was found, as plain data, and return it.

        Raises:
            TryAgain: Cloud Storage could not be reached.
        """
        self._flush()
        self._object.add(findings)
        return self._object.close(span)

    def abandon(self) -> None:
        """Leave no half-written object behind."""
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
    """Give what `RejectedRows` has written: lists of rows, then the findings; see `boxes`."""
    for box in boxes(bucket, part, tick=tick, read_bytes=read_bytes):
        yield box()


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
        self.verdict = RejectedRows(bucket, f"{prefix}.verdict", in_box=REJECTS)
        """Takes the rejected rows of the file."""
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
        """Take rows: the `hashes` of the keys of their documents, the lines where they begin, their
        bytes, and when each was exported, as `shared.parsing.plan.Planner.see` takes it.

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
        """Finish; return the verdict's object and the shards', in order.

        Args:
            broken: keys of documents some of whose rows were found wrong.
            too_large: keys of documents all of whose rows were.
            findings: what else is to be known of the file, as plain data.

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
        """Leave no half-written objects behind."""
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
    """The rows of one shard, fetched as often as they are wanted: kept, they would take as much
    memory as all that is made of them."""

    def __init__(
        self, bucket: storage.Bucket, part: StateObject, *, tick: Callable[[], None]
    ) -> None:
        """`tick` is called before each box is read."""
        self._bucket = bucket
        self._part = part
        self._tick = tick
        self.count = 0
        """How many there are; complete after `seen`, like the next."""
        self.broken: set[str] = set()
        """Keys of documents some of whose rows were found wrong."""
        self.too_large: set[str] = set()
        """Keys of documents that are too large: their rows have been rejected."""

    def seen(self) -> Iterator[SeenKeys]:
        """Give what is to be known of the rows to plan them, box by box.

        Raises:
            Unusable: the object is gone.
            TryAgain: Cloud Storage could not be reached.
        """
        for seen, _ in self._boxes():
            self.count += len(seen[1])
            yield seen

    def rows(self) -> Iterator[RowBlock]:
        """Give all rows, in the order of the file; their ordinals are those of `seen`.

        Raises:
            Unusable: the object is gone.
            TryAgain: Cloud Storage could not be reached.
        """
        for _, rows in self._boxes():
            yield rows

    def _boxes(self) -> Iterator[tuple[SeenKeys, RowBlock]]:
        count = 0
        for box in boxes(self._bucket, self._part, tick=self._tick):
            match box():
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
