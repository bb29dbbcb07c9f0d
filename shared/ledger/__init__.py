"""The ledger: records of imports, feeds and shards, their transitions, and their store."""

from __future__ import annotations

from shared.ledger.feeds import Age, Feed, Holder, Index, Paced, Running, Success, without
from shared.ledger.imports import (
    ENDED,
    ENDED_WELL,
    LOADED,
    PENDING,
    HistoryEntry,
    Import,
    Judged,
    Lease,
    Progress,
    Reports,
    RowCounts,
    Status,
    flat,
)
from shared.ledger.lease import (
    BEAT_SECONDS,
    Claimed,
    Hold,
    lease_to,
    lease_to_shards,
    new_owner,
    release_feed,
    stay_leased,
    taken,
)
from shared.ledger.parts import Span, StateObject, spans
from shared.ledger.paths import feed_path, import_path, imports_path, shard_path
from shared.ledger.queries import Totals, Which
from shared.ledger.shards import Shard, next_of
from shared.ledger.split import Split, shards_of
from shared.ledger.store import LedgerStore, LedgerTransaction
from shared.ledger.tasks import LoadTask, Queue

__all__ = [
    "BEAT_SECONDS",
    "ENDED",
    "ENDED_WELL",
    "LOADED",
    "PENDING",
    "Age",
    "Claimed",
    "Feed",
    "HistoryEntry",
    "Hold",
    "Holder",
    "Import",
    "Index",
    "Judged",
    "Lease",
    "LedgerStore",
    "LedgerTransaction",
    "LoadTask",
    "Paced",
    "Progress",
    "Queue",
    "Reports",
    "RowCounts",
    "Running",
    "Shard",
    "Span",
    "Split",
    "StateObject",
    "Status",
    "Success",
    "Totals",
    "Which",
    "feed_path",
    "flat",
    "import_path",
    "imports_path",
    "lease_to",
    "lease_to_shards",
    "new_owner",
    "next_of",
    "release_feed",
    "shard_path",
    "shards_of",
    "spans",
    "stay_leased",
    "taken",
    "without",
]
