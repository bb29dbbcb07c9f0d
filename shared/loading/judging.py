"""Judging of a file that waits: it is read when it arrives, so that its verdict does not wait.

A task of its own reads the file as the load will. It loads nothing. While it reads, it holds
nothing either, so it delays no load:

* A file that cannot be used is rejected at once, with its reports, under a lease of a moment.
* Of any other file, the ledger says how many rows will be rejected, and people are mailed it. The
  import waits on, and its load decides again from the file itself.

Each result counts only if the import still waits and its file is still this upload. A file larger
than `SHARD_BYTES` is read that far only: its header and first rows are judged here, the rest by its
load. Whatever goes wrong here is left to the load, which would find the same.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from shared.core import (
    ConnectionSettings,
    FileRejected,
    LeaseLost,
    Problem,
    SettingsError,
    TryAgain,
    log,
    log_failure,
)
from shared.files import ExportFile, read_name
from shared.ledger import (
    Claimed,
    Hold,
    Import,
    Judged,
    Lease,
    LedgerTransaction,
    LoadTask,
    new_owner,
)
from shared.ledger.uploads import Source
from shared.loading.attempt import Attempt, examination
from shared.loading.followup import follow_up
from shared.loading.garbage import seldom_collected
from shared.mail import addressed, announced, notice_of, post, row_errors, send_now
from shared.parsing import Examination, Watcher
from shared.reporting import findings_of, groups_of, sentences
from shared.scheduling import is_unjudged
from shared.services import Services


class _Enough(Exception):
    """As much of the file was read as may be."""


class _Limits(Watcher):
    """The watcher of a reading that has limits."""

    def __init__(self, services: Services) -> None:
        self._now = services.now
        self._most_bytes = services.deployment.shard_bytes
        self._until = services.now() + services.deployment.task_deadline

    def beat(self, bytes_read: int, percent: int) -> None:
        """Stop at the limits."""
        if bytes_read > self._most_bytes or self._now() >= self._until:
            raise _Enough


def judge(task: LoadTask, services: Services) -> str:
    """Judge the file of an import that waits, and return the result in a few words.

    Safe to call at any time, any number of times.

    Raises:
        TryAgain: a later call may succeed; the task must be repeated.
    """
    import_ = services.ledger.import_(task.connection, task.import_id)
    if not waits_for_judging(import_, task):
        return "not to be judged"
    assert import_ is not None
    named = read_name(import_.object)
    if not isinstance(named, ExportFile):
        raise TypeError("only export files get tasks")
    try:
        with seldom_collected():
            return _judge(named, import_, task, services)
    except (LeaseLost, SettingsError) as error:
        why = str(error)
    except TryAgain:
        raise
    except Exception as error:
        log_failure("A file could not be judged before its time.", error, **import_.log_fields)
        why = "unexpected error"
    log("WARNING", f"Not judged before its time: {why}", **import_.log_fields)
    return "left to the load"


def waits_for_judging(import_: Import | None, task: LoadTask) -> bool:
    """Return True if the import is still what the task is about: unread, and this upload."""
    return import_ is not None and import_.generation == task.generation and is_unjudged(import_)


def _judge(named: ExportFile, import_: Import, task: LoadTask, services: Services) -> str:
    settings = services.settings_of(import_.connection)
    found = examination(
        named,
        import_,
        services,
        settings,
        open=lambda: Source(services.bucket, import_).open(),
        watcher=_Limits(services),
    )
    whole = True
    try:
        found.judge()
    except _Enough:
        whole = False
    except FileRejected as error:
        if error.problem.code == "file.gone":
            return "left to the load"  # a newer upload is on its way, or the file was withdrawn
        return _refuse(named, task, services, settings, found=found, problem=error.problem)
    return _announce(task, services, settings, found=found, whole=whole)


def _announce(
    task: LoadTask,
    services: Services,
    settings: ConnectionSettings,
    *,
    found: Examination,
    whole: bool,
) -> str:
    """Record what reading the file has found, together with the mail about bad rows."""
    summary = found.tally.summary()
    groups = groups_of(found.tally.kept, summary)
    findings = findings_of(groups, summary)
    mail: str | None = None

    def change(ledger: LedgerTransaction) -> Import | None:
        nonlocal mail
        mail, now = None, services.now()
        current = ledger.import_(task.connection, task.import_id)
        if current is None or not waits_for_judging(current, task):
            return None
        judged = Judged(at=now, read=found.read, rejected=found.rejected, whole=whole)
        text = f"{current.status_text} {sentences.judged(judged)}".rstrip()
        fresh = replace(current, judged=judged, warnings=(), rejections=())
        said = fresh.finding(findings).saying(text, now=now)
        ledger.put(said)
        if judged.rejected and addressed(settings, services):
            content = announced(said, judged, groups, zone=settings.time_zone)
            notice = notice_of(said, "announced", content, findings=row_errors(groups))
            mail = post(ledger, notice, settings, services, now=now)
        return said

    said = services.ledger.transact(change)
    if said is None:
        return "not to be judged"
    log("INFO", f"{said.status}: {said.status_text}", **said.log_fields)
    send_now([mail], services)
    return "judged"


def _refuse(
    named: ExportFile,
    task: LoadTask,
    services: Services,
    settings: ConnectionSettings,
    *,
    found: Examination,
    problem: Problem,
) -> str:
    """Reject a file that cannot be used.

    Raises:
        TryAgain: a later call may succeed.
        LeaseLost: a newer upload has taken over.
    """
    owner, lease = new_owner(), services.deployment.lease

    def take(ledger: LedgerTransaction) -> Import | None:
        now = services.now()
        current = ledger.import_(task.connection, task.import_id)
        if current is None or not waits_for_judging(current, task):
            return None
        if current.lease is not None and current.lease.live(now):
            raise TryAgain("Another worker is about to reject the file.")
        taken = replace(current, lease=Lease(owner=owner, expires_at=now + lease))
        ledger.put(taken)
        return taken

    taken = services.ledger.transact(take)
    if taken is None:
        return "not to be judged"
    hold = Hold(services.ledger, Claimed(taken), now=services.now, lease=lease)
    try:
        feed = services.ledger.feed_of(taken)
        attempt = Attempt(named, hold, services, settings, feed)
        attempt.found = found
        attempt.note_same_content()
        if found.header is not None:
            attempt.compare_header(found.header)
        left = attempt.refuse(problem)
        ended = left.claimed.import_
    except TryAgain:
        with suppress(TryAgain, LeaseLost):
            hold.change(_let_go)
        raise
    log("INFO", f"{ended.status}: {ended.status_text}", **ended.log_fields)
    follow_up(ended, services)
    send_now([left.mail], services)
    return ended.status


def _let_go(ledger: LedgerTransaction, current: Claimed) -> Claimed:
    return Claimed(replace(current.import_, lease=None))
