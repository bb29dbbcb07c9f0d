"""The record of one shard of a file: a document below that of its import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from shared.core import from_fields, to_fields
from shared.ledger.imports import Import, Lease, RowCounts
from shared.ledger.parts import StateObject
from shared.ledger.split import Split

ShardStatus = Literal["scheduled", "loading", "loaded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One shard of an import."""

    connection: str
    import_id: str
    number: int
    """Number of the shard, counted from 0."""
    split: str
    """Id of the splitting."""
    rows_object: StateObject
    """The object that holds the shard's rows."""
    status: ShardStatus = "scheduled"
    scheduled_for: datetime | None = None
    """Earliest start; None: the shard before it in its lane has not ended."""
    task_number: int = 1
    """Number of the task that will load the shard."""
    attempt: int = 0
    """Attempts so far."""
    lease: Lease | None = None
    rows: RowCounts = field(default_factory=RowCounts)
    """The shard's share in the import's count of rows."""
    checkpoint: StateObject | None = None
    """The index that the last task left at its deadline; None: no task reached its deadline."""
    index: StateObject | None = None
    """The index of the shard's keys; None until the shard has ended."""
    result: StateObject | None = None
    """The object that holds the shard's result; None until the shard has ended."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expire_at: datetime | None = None
    """Earliest deletion from the ledger; the field of the collection's TTL policy."""

    def planned(self, time: datetime) -> Shard:
        """Return the shard with a new task, which starts no earlier than `time`."""
        return replace(self, scheduled_for=time, task_number=self.task_number + 1)

    def to_document(self) -> dict[str, Any]:
        """Return the fields as stored in Firestore."""
        return to_fields(self, without=_IN_PATH)

    @classmethod
    def from_document(
        cls, *, connection: str, import_id: str, number: int, data: Mapping[str, Any]
    ) -> Shard:
        """Return the shard of a stored document.

        Raises:
            TypeError, AttributeError: the document cannot be used.
        """
        return from_fields(cls, data, connection=connection, import_id=import_id, number=number)


_IN_PATH = ("connection", "import_id", "number")


def recounted(import_: Import, shard: Shard, rows: RowCounts) -> tuple[Import, Shard]:
    """Return import and shard with `rows` as the shard's share in the import's count."""
    counted = replace(import_.rows + rows - shard.rows, read=import_.rows.read)
    progress = replace(
        import_.progress,
        bytes_read=import_.size,
        percent=max(50, min(99, round(50 + 50 * counted.settled / max(1, counted.read)))),
    )
    return replace(import_, rows=counted, progress=progress), replace(shard, rows=rows)


def next_of(split: Split, shards: Iterable[Shard]) -> Iterator[Shard]:
    """Give the first shard of each lane that has not ended."""
    by_number = {shard.number: shard for shard in shards}
    for first in range(min(split.at_once, split.shards)):
        for number in split.lane(first):
            shard = by_number.get(number)
            if shard is not None and shard.status != "loaded":
                yield shard
                break
