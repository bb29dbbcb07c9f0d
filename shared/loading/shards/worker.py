"""What the load function does with the task of a shard: it is run, put back, left to the next."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from shared.core import (
    ConnectionSettings,
    FileRejected,
    LeaseLost,
    Problem,
    SettingsError,
    SplitLost,
    TryAgain,
    Undecidable,
    fault_of,
    log,
    log_failure,
)
from shared.files import ExportFile, read_name
from shared.ledger import Hold, Import, LedgerTransaction, RowCounts, Shard, new_owner, recounted
from shared.loading.shards.hold import (
    ShardBegun,
    ShardHold,
    ShardRests,
    enqueue_shard,
    enqueue_shards,
    fail,
    hold_on,
    split_anew,
    still_held,
    taken,
)
from shared.reporting import sentences
from shared.scheduling import enqueue
from shared.services import Services

if TYPE_CHECKING:
    from shared.loading.shards.attempt import ShardLeft


def work_on_shard(begun: ShardBegun, services: Services) -> str | Import:
    """Load a shard that has been begun.

    Returns:
        In a few words what came of it; or the import, if it has ended because of this shard, or if
        all shards have ended and this worker holds it, to close it.

    Raises:
        TryAgain: a later attempt may succeed; the task must come back.
    """
    hold = ShardHold(services.ledger, begun, now=services.now, lease=services.deployment.lease)
    _log("INFO", "A shard is being loaded.", begun.import_, begun.shard)
    try:
        left = _carry_out(hold, services)
    except LeaseLost as lost:
        _log("WARNING", str(lost), begun.import_, begun.shard)
        return "lease lost"
    except SplitLost as lost:
        return _split_anew(hold, services, lost)
    except TryAgain as trouble:
        return _put_back(hold, services, trouble)
    except Exception as error:
        log_failure("A worker failed.", error, **_ids(begun.import_, begun.shard))
        return _put_back(hold, services, error)
    if isinstance(left, Import):
        return left
    _log("INFO", f"{left.shard.status}: a shard.", left.import_, left.shard)
    if left.next is not None:
        enqueue_shard(left.import_, left.next, services)
    if left.last:
        return left.import_
    return "shard loaded" if left.shard.status == "loaded" else "goes on"


def rest_shard(rests: ShardRests, services: Services) -> str:
    """Make sure of the tasks that are to come, where there is nothing to do now.

    Raises:
        TryAgain: Firestore or the queue could not be reached.
    """
    if rests.why == "ended":
        enqueue_shards(rests.import_, services)
    else:
        enqueue_shard(rests.import_, rests.shard, services)
    return f"shard {rests.why}"


def _carry_out(hold: ShardHold, services: Services) -> ShardLeft | Import:
    # pandas and pydantic come with it: see `shared.loading.worker`.
    from shared.loading.shards.attempt import ShardRun

    import_ = hold.import_
    named = read_name(import_.object)
    if not isinstance(named, ExportFile):
        raise TypeError("only export files get tasks")
    try:
        settings = ConnectionSettings.from_document(
            services.ledger.connection_document(import_.connection),
            connection=import_.connection,
            deployment=services.deployment,
        )
        return ShardRun(named, hold, services, settings).carry_out()
    except FileRejected as error:
        return _end(hold, services, "rejected", named, error.problem)
    except (Undecidable, SettingsError) as error:
        return _end(hold, services, "failed", named, error.problem)


def _end(
    hold: ShardHold,
    services: Services,
    status: Literal["rejected", "failed"],
    named: ExportFile,
    problem: Problem,
) -> Import:
    """End the whole import, whose other shards are told by the ledger."""
    from shared.loading.ending import end

    owner, lease = new_owner(), services.deployment.lease

    def take(ledger: LedgerTransaction, current: Import, shard: Shard) -> tuple[Import, Shard]:
        now = services.now()
        feed = ledger.feed(current.connection, str(current.type))
        if taken(current, now=now):
            raise TryAgain("Another worker sees to all shards.")
        current = hold_on(ledger, current, feed, now=now, owner=owner, span=lease)
        return current, replace(shard, lease=None)

    import_, _ = hold.change_shard(take)
    whole = Hold(services.ledger, import_, now=services.now, lease=lease)
    return end(import_, whole, services, status, named=named, error=problem)


def _put_back(hold: ShardHold, services: Services, error: Exception) -> str | Import:
    """Record that an attempt has failed: the task comes back, or the import is given up."""
    attempts = services.deployment.max_attempts

    def change(ledger: LedgerTransaction, current: Import, shard: Shard) -> tuple[Import, Shard]:
        now = services.now()
        feed = ledger.feed(current.connection, str(current.type))
        current, shard = recounted(current, shard, RowCounts())
        shard = replace(shard, status="scheduled", lease=None, scheduled_for=now)
        if shard.attempt >= attempts:
            message = f"{sentences.failed(attempts)} The last fault: {fault_of(error)}."
            problem = Problem(code="system.retries_used_up", message=message)
            return fail(ledger, current, problem, services=services), shard
        if feed.running is None or feed.running.import_id == current.import_id:
            current = still_held(ledger, current, feed, now=now)
        return current, shard

    try:
        import_, shard = hold.change_shard(change)
    except LeaseLost:
        return "lease lost"
    failed = import_.status == "failed"
    _log(
        "ERROR" if failed else "WARNING",
        "An attempt at a shard has failed.",
        import_,
        shard,
        fault=fault_of(error),
    )
    if failed:
        return import_
    raise TryAgain(sentences.retrying(shard.attempt, attempts)) from error


def _split_anew(hold: ShardHold, services: Services, lost: SplitLost) -> str:
    """Send the import back whose shards cannot go on."""
    from shared.loading.shards.cleanup import remove_split

    def change(ledger: LedgerTransaction, current: Import, shard: Shard) -> tuple[Import, Shard]:
        sent_back = split_anew(ledger, current, now=services.now())
        return sent_back, replace(shard, lease=None)

    try:
        import_, shard = hold.change_shard(change)
    except LeaseLost:
        return "lease lost"
    _log("WARNING", import_.status_text, import_, shard, why=str(lost))
    remove_split(hold.import_, services)
    enqueue(import_, services)
    return "split anew"


def _ids(import_: Import, shard: Shard) -> dict[str, Any]:
    return {
        "connection": import_.connection,
        "importId": import_.import_id,
        "generation": import_.generation,
        "shard": shard.number,
        "attempt": shard.attempt,
        "type": import_.type,
    }


def _log(severity: Any, text: str, import_: Import, shard: Shard, **fields: Any) -> None:
    log(severity, text, **_ids(import_, shard), **fields)
