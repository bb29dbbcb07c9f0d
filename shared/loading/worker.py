"""Work on one task: claims its import or shard, attempts it, and ends it or puts it back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared.core import (
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
    Claimed,
    Hold,
    Import,
    LedgerTransaction,
    LoadTask,
    RowCounts,
    release_feed,
    stay_leased,
)
from shared.loading.followup import follow_up
from shared.mail import send_due, send_now
from shared.reporting import sentences, tell
from shared.scheduling import (
    NotNow,
    claim,
    enqueue,
    enqueue_judging,
    enqueue_shard,
    enqueue_shards,
    give_up,
    split_again,
)
from shared.services import Services

if TYPE_CHECKING:
    from shared.loading.attempt import AttemptResult


def work(task: LoadTask, services: Services) -> str:
    """Carry out a task, and return the result in a few words.

    After a return, the ledger is complete and the task is done. Safe to call at any time, any
    number of times, by several workers at once.

    Raises:
        TryAgain: a later attempt may succeed; the task must be repeated.
    """
    if task.judge:
        from shared.loading.judging import judge  # with it come pandas and pydantic

        return judge(task, services)
    found = claim(task, services)
    return rest(found, services) if isinstance(found, NotNow) else make_attempt(found, services)


def rest(found: NotNow, services: Services) -> str:
    """Make sure that the planned tasks exist, when there is nothing to load now.

    Raises:
        TryAgain: Firestore or the queue could not be reached.
    """
    import_, shard = found.import_, found.shard
    if import_ is None:
        return found.why
    if shard is not None:
        if found.why == "ended":
            enqueue_shards(import_, services)
        else:
            enqueue_shard(import_, shard, services)
        return f"shard {found.why}"
    severity = "ERROR" if import_.status in ("overdue", "failed") else "INFO"
    _log(severity, Claimed(import_), why=found.why)
    if import_.status in ENDED:
        follow_up(import_, services)
    elif import_.status == "overdue":
        tell(services)
        send_due(services)
    else:
        enqueue(import_, services)
        if import_.status == "loading":
            enqueue_shards(import_, services)
    enqueue_judging(import_, services)
    return found.why


def make_attempt(claimed: Claimed, services: Services) -> str:
    """Make an attempt at what a worker has claimed; see `work`."""
    hold = Hold(services.ledger, claimed, now=services.now, lease=services.deployment.lease)
    _log("INFO", claimed)
    try:
        left = _carry_out(hold, services)
    except LeaseLost as lost:
        _log("WARNING", claimed, why=str(lost))
        return "lease lost"
    except SplitLost as lost:
        return _split_again(hold, services, lost)
    except TryAgain as trouble:
        return _put_back(hold, services, trouble)
    except Exception as error:
        log_failure("A worker failed.", error, **_ids(claimed))
        return _put_back(hold, services, error)
    return _after_attempt(left, hold, services)


def _after_attempt(left: AttemptResult, hold: Hold, services: Services) -> str:
    """Create the tasks after an attempt that has not failed, or follow up the end."""
    import_, shard = left.claimed.import_, left.claimed.shard
    if import_.status in ENDED:
        rows = import_.to_document()["rows"]
        _log("INFO", Claimed(import_), rows=rows, seconds=import_.seconds)
        follow_up(import_, services)
        send_now([left.mail], services)
        return import_.status
    _log("INFO", left.claimed)
    if shard is None:
        if import_.status == "scheduled":
            enqueue(import_, services)
            return "continues"
        enqueue_shards(import_, services)
        return "in shards"
    if left.next is not None:
        enqueue_shard(import_, left.next, services)
    if import_.lease is not None and import_.lease.owner == hold.owner:
        return make_attempt(Claimed(import_), services)  # all shards have ended: join
    return "shard loaded" if shard.status == "loaded" else "continues"


def _split_again(hold: Hold, services: Services, lost: SplitLost) -> str:
    """Schedule an import again whose shards cannot continue."""
    from shared.loading.shards.cleanup import remove_split

    def change(ledger: LedgerTransaction, current: Claimed) -> Claimed:
        shard = current.shard and replace(current.shard, lease=None)
        return Claimed(split_again(ledger, current.import_, now=services.now()), shard)

    try:
        changed = hold.change(change)
    except LeaseLost:
        return "lease lost"
    _log("WARNING", changed, why=str(lost))
    remove_split(hold.import_, services)
    enqueue(changed.import_, services)
    return "split again"


def _put_back(hold: Hold, services: Services, error: Exception) -> str:
    """Record that an attempt has failed: the task is repeated, or the import ends as failed."""
    attempts = services.deployment.max_attempts
    now = services.now()

    def change(ledger: LedgerTransaction, current: Claimed) -> Claimed:
        back = current.recounted(RowCounts())
        if back.shard is not None:
            shard = replace(back.shard, status="scheduled", lease=None, scheduled_for=now)
            back = replace(back, shard=shard)
        if back.attempt < attempts:
            return replace(back, import_=_waiting(ledger, back, services))
        problem = Problem(
            code="system.retries_used_up",
            message=f"{sentences.failed(attempts)} The last fault: {fault_of(error)}.",
        )
        return replace(back, import_=give_up(ledger, back.import_, problem, services))

    try:
        changed = hold.change(change)
    except LeaseLost:
        return "lease lost"
    failed = changed.import_.status == "failed"
    _log("ERROR" if failed else "WARNING", changed, fault=fault_of(error))
    if not failed:
        raise TryAgain(sentences.retrying(changed.attempt, attempts)) from error
    follow_up(changed.import_, services)
    return changed.import_.status


def _waiting(ledger: LedgerTransaction, back: Claimed, services: Services) -> Import:
    """Return the import as it waits for the next attempt, at the import or at its shard."""
    now, import_ = services.now(), back.import_
    if back.shard is None:
        release_feed(ledger, import_)
        text = sentences.retrying(import_.attempt, services.deployment.max_attempts)
        waiting = import_.to("scheduled", now=now, text=text, lease=None)
        return replace(waiting, scheduled_for=now)
    feed = ledger.feed_of(import_)
    if feed.running is not None and feed.running.import_id != import_.import_id:
        return import_
    return stay_leased(ledger, import_, feed, now=now)


def _carry_out(hold: Hold, services: Services) -> AttemptResult:
    # Imported here: pandas and pydantic come with these modules. The sweep, and a task that has to
    # wait, do not need them.
    from shared.loading.attempt import Attempt, AttemptResult, hold_whole
    from shared.loading.ending import FileFindings, end
    from shared.loading.garbage import seldom_collected
    from shared.loading.shards.attempt import load_shard
    from shared.loading.shards.joining import join
    from shared.loading.shards.splitting import split
    from shared.loading.whole import load

    import_ = hold.import_
    named = read_name(import_.object)
    if not isinstance(named, ExportFile):
        raise TypeError("only export files get tasks")
    try:
        document, feed = services.ledger.connection_and_feed(import_.connection, named.type)
        settings = services.settings_from(import_.connection, document)
        attempt = Attempt(named, hold, services, settings, feed)
    except SettingsError as error:
        whole, found = hold_whole(hold, services), FileFindings()
        ended, _ = end(whole, services, "failed", named=named, found=found, error=error.problem)
        return AttemptResult(Claimed(ended))
    step = {"load": load, "split": split, "shard": load_shard, "join": join}[attempt.step]
    try:
        with seldom_collected():
            return step(attempt)
    except FileRejected as error:
        return attempt.refuse(error.problem)
    except Undecidable as error:
        return attempt.fail(error.problem)
    finally:
        attempt.close()


def _ids(claimed: Claimed) -> dict[str, Any]:
    import_, shard = claimed.import_, claimed.shard
    own = {} if shard is None else {"shard": shard.number}
    return {**import_.log_fields, "attempt": claimed.attempt, **own}


def _log(severity: Any, claimed: Claimed, **fields: Any) -> None:
    import_ = claimed.import_
    log(severity, f"{import_.status}: {import_.status_text}", **_ids(claimed), **fields)
