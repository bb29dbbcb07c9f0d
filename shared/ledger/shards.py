"""The record of one shard of a file: a document below that of its import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

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
        lease = self.lease
        return {
            "split": self.split,
            "status": self.status,
            "scheduledFor": self.scheduled_for,
            "taskNumber": self.task_number,
            "attempt": self.attempt,
            "lease": lease and {"owner": lease.owner, "expiresAt": lease.expires_at},
            "rows": asdict(self.rows),
            "rowsObject": asdict(self.rows_object),
            "checkpoint": self.checkpoint and asdict(self.checkpoint),
            "index": self.index and asdict(self.index),
            "result": self.result and asdict(self.result),
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
            "expireAt": self.expire_at,
        }

    @classmethod
    def from_document(
        cls, *, connection: str, import_id: str, number: int, data: Mapping[str, Any]
    ) -> Shard:
        """Return the shard of a stored document.

        Raises:
            KeyError, TypeError: the document cannot be used.
        """
        lease = data["lease"]
        checkpoint, index, result = (data[name] for name in ("checkpoint", "index", "result"))
        return cls(
            connection=connection,
            import_id=import_id,
            number=number,
            split=data["split"],
            rows_object=StateObject(**data["rowsObject"]),
            status=data["status"],
            scheduled_for=data["scheduledFor"],
            task_number=data["taskNumber"],
            attempt=data["attempt"],
            lease=lease and Lease(owner=lease["owner"], expires_at=lease["expiresAt"]),
            rows=RowCounts(**data["rows"]),
            checkpoint=checkpoint and StateObject(**checkpoint),
            index=index and StateObject(**index),
            result=result and StateObject(**result),
            started_at=data["startedAt"],
            finished_at=data["finishedAt"],
            expire_at=data["expireAt"],
        )


def recounted(import_: Import, shard: Shard, rows: RowCounts) -> tuple[Import, Shard]:
    """Return import and shard with `rows` as the shard's share in the import's count."""
    before, all_ = shard.rows, import_.rows
    counted = RowCounts(
        read=all_.read,
        loaded=all_.loaded + rows.loaded - before.loaded,
        unchanged=all_.unchanged + rows.unchanged - before.unchanged,
        outdated=all_.outdated + rows.outdated - before.outdated,
        rejected=all_.rejected + rows.rejected - before.rejected,
        orphaned=all_.orphaned + rows.orphaned - before.orphaned,
    )
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
