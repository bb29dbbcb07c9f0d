"""What is known of one shard of a file: a document below that of its import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from shared.ledger.imports import Import, Lease, RowCounts
from shared.ledger.parts import StateObject

ShardStatus = Literal["scheduled", "loading", "loaded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One shard of an import."""

    connection: str
    import_id: str
    number: int
    """Which one, counted from 0."""
    split: str
    """Id of the splitting that it belongs to."""
    rows_object: StateObject
    """The object that its rows are in."""
    status: ShardStatus = "scheduled"
    scheduled_for: datetime | None = None
    """Earliest start; None: the shard before it in its lane has not ended."""
    task_number: int = 1
    """Which of its tasks will work on it."""
    attempt: int = 0
    """Workers that have begun it."""
    lease: Lease | None = None
    rows: RowCounts = field(default_factory=RowCounts)
    """What the import's own count includes of its rows."""
    checkpoint: StateObject | None = None
    """The index as its last task has left it, where that has worked as long as it may."""
    index: StateObject | None = None
    """The index as it has left it, once it has ended."""
    result: StateObject | None = None
    """The object that holds what came of it, once it has ended."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expire_at: datetime | None = None
    """When it may be deleted from the ledger; the field of the collection's TTL policy."""

    def planned(self, at: datetime) -> Shard:
        """Return the shard with a new task as the one that will work on it."""
        return replace(self, scheduled_for=at, task_number=self.task_number + 1)

    def to_document(self) -> dict[str, Any]:
        """Return the fields as Firestore keeps them."""
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
        """Read the document of a shard."""
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
    """Return both with `rows` as the shard's share in the import's count."""
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
