"""What the load function does with a task: the import is begun, run, put back or ended, settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

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
from shared.ledger import (
    ENDED,
    ENDED_WELL,
    LOADED,
    Hold,
    Import,
    LedgerTransaction,
    LoadTask,
    Running,
    release_feed,
)
from shared.ledger.uploads import Source
from shared.loading.shards.hold import (
    ShardBegun,
    ShardRests,
    begin_shard,
    enqueue_shards,
    split_anew,
)
from shared.loading.shards.worker import rest_shard, work_on_shard
from shared.reporting import FAILED_TODO, raise_alert, sentences, tell
from shared.scheduling import Rests, begin, enqueue, lying_there, pairing, plan_task, take_in
from shared.services import Services

PLACE_KEPT = timedelta(minutes=5)
"""How long the next in line may take to start before others may start instead."""


def work(task: LoadTask, services: Services) -> str:
    """Carry a task out, and return in a few words what came of it.

    Whatever it returns for, the import is in good order and the task is done with. Safe to call
    at any time, any number of times, by several workers at once.

    Raises:
        TryAgain: a later attempt may succeed; the task must come back.
    """
    begun = begin(task, services) if task.split is None else begin_shard(task, services)
    if isinstance(begun, Rests):
        return _rest(begun, services)
    if isinstance(begun, ShardRests):
        return rest_shard(begun, services)
    if isinstance(begun, ShardBegun):
        came_to = work_on_shard(begun, services)
        if isinstance(came_to, str):
            return came_to
        if came_to.status in ENDED:
            _log("INFO", came_to)
            settle(came_to, services)
            return came_to.status
        return _work(came_to, services)
    return _work(begun.import_, services)


def _work(import_: Import, services: Services) -> str:
    """Carry out an attempt at an import that has been begun."""
    hold = Hold(services.ledger, import_, now=services.now, lease=services.deployment.lease)
    _log("INFO", import_)
    try:
        ended = _carry_out(import_, hold, services)
    except LeaseLost as lost:
        _log("WARNING", import_, why=str(lost))
        return "lease lost"
    except SplitLost as lost:
        return _split_anew(import_, hold, services, lost)
    except TryAgain as trouble:
        return _put_back(import_, hold, services, trouble)
    except Exception as error:
        log_failure("A worker failed.", error, **_ids(import_))
        return _put_back(import_, hold, services, error)
    if ended.status == "scheduled":
        _log("INFO", ended)
        enqueue(ended, services)
        return "goes on"
    if ended.status == "loading":
        _log("INFO", ended)
        enqueue_shards(ended, services)
        return "in shards"
    _log("INFO", ended, rows=ended.to_document()["rows"], seconds=ended.seconds)
    settle(ended, services)
    return ended.status


def settle(import_: Import, services: Services) -> None:
    """See to what follows the end of an import: its file is put away, its dependants go on.

    Raises:
        TryAgain: something of it could not be done; all of it may be done again.
    """
    if import_.status in ENDED_WELL:
        try:
            Source(services.bucket, import_).move_to_processed(
                present=partial(_present, import_, services)
            )
        except FileRejected:
            _log("WARNING", import_, why="the file is no longer there to be put away")
    _remove_split(import_, services)
    wake_dependants(import_, services)
    if import_.error is not None and import_.error.code == "file.gone":
        _take_in_another(import_, services)
    if import_.status in ("failed", "rejected") or import_.rows.outdated:
        tell(services)


def _take_in_another(import_: Import, services: Services) -> None:
    """Take in the upload that lies where the import's is gone; its event may never be heeded."""
    arrived = lying_there(import_.object, services)
    if arrived is not None and arrived.generation != import_.generation:
        take_in(arrived, services)


def _remove_split(import_: Import, services: Services) -> None:
    if import_.split is not None:
        from shared.loading.shards.cleanup import remove_split  # with it comes numpy

        remove_split(import_, services)


def _present(import_: Import, services: Services) -> bool:
    where = import_.connection, import_.import_id
    current = services.ledger.get_many([where]).get(where)
    return current is not None and current.generation == import_.generation


def wake_dependants(import_: Import, services: Services) -> None:
    """Give a task to each import that may start now because this one has ended.

    These are the files that wait for this one, as orders do for customers, and of the files that
    wait in line behind each other the next one alone: it wakes its successor when it ends.

    Those whose awaited file will not be loaded as it is find that out at once, too; and so do
    those whose awaited file was rejected and that this one may stand in for.

    Raises:
        TryAgain: Firestore or the queue could not be reached.
    """
    ledger = services.ledger
    ended_badly = import_.status in ("rejected", "failed")
    held = {
        one.import_id: one
        for one in (
            *ledger.find(import_.connection, blockedBy=import_.import_id),
            *ledger.find(import_.connection, pairedWith=import_.import_id),
        )
        if not pairing.in_line(one)
        and (
            one.status in ("blocked", "overdue")
            or (one.status == "scheduled" and (one.blocked_by is not None or ended_badly))
        )
    }
    for type_ in import_.awaited_by if import_.status in LOADED else ():
        window = services.deployment.pairing_window
        freed = pairing.freed_range(import_.import_id, type_, window=window)
        for one in ledger.transact(partial(_between, import_.connection, *freed)):
            if one.status in ("blocked", "overdue") and not pairing.in_line(one):
                held[one.import_id] = one
    by = import_.import_id
    for one in held.values():
        wake = partial(_wake, one=one, by=by, early=ended_badly, services=services)
        enqueue(ledger.transact(wake), services)
    for one in _next_in_line(import_, services):
        enqueue(ledger.transact(partial(_call, one=one, by=by, services=services)), services)


def _between(connection: str, first: str, last: str, ledger: LedgerTransaction) -> Sequence[Import]:
    return ledger.imports_between(connection, first, last)


def _next_in_line(import_: Import, services: Services) -> list[Import]:
    """Return the imports whose turn it is after this one: at most one of each type that waits."""
    if import_.type is None or import_.mode == "test":
        return []
    ledger, found = services.ledger, list[Import]()
    for type_ in pairing.lines(import_.type):
        # What an earlier call has woken, perhaps without having created its task.
        woken = ledger.find(
            import_.connection, blockedBy=import_.import_id, status="scheduled", type=type_
        )
        if not woken:
            blocked = ledger.find(import_.connection, status="blocked", type=type_)
            woken = [one for one in blocked if pairing.in_line(one)]
        found += sorted(woken, key=pairing.turn)[:1]
    return pairing.turns(found)


def _wake(
    ledger: LedgerTransaction, *, one: Import, by: str, early: bool, services: Services
) -> Import:
    now = services.now()
    current = ledger.import_(one.connection, one.import_id)
    if current is None:
        return one
    early = early and current.scheduled_for is not None and current.scheduled_for > now
    if current.status not in ("blocked", "overdue") and not (
        early and current.status == "scheduled"
    ):
        return current
    woken = plan_task(current, at=now)
    woken = woken.to("scheduled", now=now, text=sentences.scheduled(woken, now), blocked_by=by)
    ledger.put(woken)
    return woken


def _call(ledger: LedgerTransaction, *, one: Import, by: str, services: Services) -> Import:
    """Wake the next in line and keep its place: no newcomer starts before its task has come.

    Where another one has started already, that one wakes its successor in its turn.
    """
    now = services.now()
    feed = ledger.feed(one.connection, one.type or "")
    if feed.live(now) not in (None, one.import_id):
        return one
    place = Running(import_id=one.import_id, owner="", expires_at=now + PLACE_KEPT)
    called = _wake(ledger, one=one, by=by, early=False, services=services)
    if called.status == "scheduled":
        ledger.put_feed(replace(feed, running=place))
    return called


def _rest(rests: Rests, services: Services) -> str:
    import_ = rests.import_
    if import_ is not None:
        severity = "ERROR" if import_.status in ("overdue", "failed") else "INFO"
        _log(severity, import_, why=rests.why)
        if import_.status in ENDED:
            settle(import_, services)
        elif import_.status == "overdue":
            tell(services)
        else:
            enqueue(import_, services)
            if import_.split is not None and import_.status == "loading":
                enqueue_shards(import_, services)
    return rests.why


def _split_anew(import_: Import, hold: Hold, services: Services, lost: SplitLost) -> str:
    """Send an import back whose shards cannot go on."""

    def change(ledger: LedgerTransaction, current: Import) -> Import:
        return split_anew(ledger, current, now=services.now())

    try:
        changed = hold.change(change)
    except LeaseLost:
        return "lease lost"
    _log("WARNING", changed, why=str(lost))
    _remove_split(import_, services)
    enqueue(changed, services)
    return "split anew"


def _put_back(import_: Import, hold: Hold, services: Services, error: Exception) -> str:
    """Record that an attempt has failed: the task comes back, or the import is given up."""
    attempts = services.deployment.max_attempts
    last = import_.attempt >= attempts
    now = services.now()

    def change(ledger: LedgerTransaction, current: Import) -> Import:
        release_feed(ledger, current)
        if not last:
            return replace(
                current.to(
                    "scheduled",
                    now=now,
                    text=sentences.retrying(current.attempt, attempts),
                    lease=None,
                ),
                scheduled_for=now,
            )
        problem = Problem(
            code="system.retries_used_up",
            message=f"{sentences.failed(attempts)} The last fault: {fault_of(error)}.",
        )
        failed = current.end(
            "failed",
            now=now,
            text=problem.message,
            keep=services.deployment.ledger_retention,
            error=problem,
        )
        raise_alert(ledger, "failed", failed, todo=FAILED_TODO, now=now)
        return failed

    try:
        changed = hold.change(change)
    except LeaseLost:
        return "lease lost"
    _log("ERROR" if last else "WARNING", changed, fault=fault_of(error))
    if not last:
        raise TryAgain(changed.status_text) from error
    settle(changed, services)
    return changed.status


def _carry_out(import_: Import, hold: Hold, services: Services) -> Import:
    # pandas and pydantic come with it: the sweep, and a task that has to wait, do without.
    from shared.loading.attempt import Run
    from shared.loading.ending import end
    from shared.loading.garbage import seldom_collected
    from shared.loading.shards.closing import Closing
    from shared.loading.shards.splitting import Splitting, is_split

    named = read_name(import_.object)
    if not isinstance(named, ExportFile):
        raise TypeError("only export files get tasks")
    try:
        settings = ConnectionSettings.from_document(
            services.ledger.connection_document(import_.connection),
            connection=import_.connection,
            deployment=services.deployment,
        )
        kind = Run
        if import_.split is not None:
            kind = Closing
        elif is_split(import_, shard_bytes=services.deployment.shard_bytes):
            kind = Splitting
        run = kind(import_, named, hold, services, settings)
    except SettingsError as error:
        return end(import_, hold, services, "failed", named=named, error=error.problem)
    try:
        with seldom_collected():
            return run.carry_out()
    except FileRejected as error:
        return run.refuse(error.problem)
    except Undecidable as error:
        return run.fail(error.problem)
    finally:
        run.abandon()


def _ids(import_: Import) -> dict[str, Any]:
    return {
        "connection": import_.connection,
        "importId": import_.import_id,
        "generation": import_.generation,
        "attempt": import_.attempt,
        "type": import_.type,
        "status": import_.status,
    }


def _log(severity: Any, import_: Import, **fields: Any) -> None:
    log(severity, f"{import_.status}: {import_.status_text}", **_ids(import_), **fields)
