"""The end of an import: its reports, the last entry of its ledger document, its alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.core import ConnectionSettings, Problem
from shared.files import ExportFile, make_import_id
from shared.gcp.storage import Changed
from shared.index import Successor
from shared.ledger import (
    LOADED,
    PENDING,
    Claimed,
    Feed,
    Hold,
    Import,
    LedgerTransaction,
    Progress,
    Reports,
    Status,
    Success,
    release_feed,
)
from shared.mail import MailKind, Notice, addressed, notice_of, post, row_errors
from shared.mail import ended as mailed
from shared.parsing import Tally
from shared.reporting import (
    FAILED_TODO,
    IMPORT_CODES,
    OUTDATED,
    OUTDATED_TODO,
    REJECTED,
    REJECTED_TODO,
    Group,
    alert_paths,
    findings_of,
    groups_of,
    raise_alert,
    resolve_alerts,
    resolve_import_alerts,
    sentences,
)
from shared.reporting.reports import (
    RejectedFile,
    delete_report,
    part_name,
    report_of,
    reports_now,
    write_report,
)
from shared.services import Services

NAMES_TRIED = 30
"""Names that are tried to find a free one for the corrected rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFindings:
    """Findings of an attempt about a file, at its end."""

    header: tuple[str, ...] = ()
    tally: Tally = field(default_factory=Tally)
    left_out: int = 0
    """Values of good rows that could not be read."""
    rejected_file: RejectedFile | None = None
    successor: Successor | None = None
    """Index that the import leaves."""


def end(
    hold: Hold,
    services: Services,
    status: Status,
    *,
    named: ExportFile,
    found: FileFindings,
    settings: ConnectionSettings | None = None,
    error: Problem | None = None,
) -> tuple[Import, str | None]:
    """Write the reports, then the last entry of the ledger, together with the mail about it.

    The reports replace none, or those that existed while the import was known to be this worker's.
    A worker that was taken for dead and continues cannot replace newer reports. `settings` are
    those of the connection; None if they cannot be used.

    Returns:
        The ended import, and the id of its mail in the outbox; None if nobody is mailed.
    """
    tally, rejected_file, now = found.tally, found.rejected_file, services.now()
    if error is not None:
        tally.add(error)
    if rejected_file is not None:
        rejected_file.close()
    rejected = _publish(hold, services, named, rejected_file)
    reports = Reports(rejected=rejected, report=named.report_json)
    text = sentences.rejected(error) if error is not None else _outcome(hold, status, found)
    groups = groups_of(tally.kept, tally.summary())
    findings = findings_of(groups, tally.summary())

    def finished(current: Import) -> Import:
        return current.finding(findings).end(
            status,
            now=now,
            text=text,
            keep=services.deployment.ledger_retention,
            rows=hold.rows,
            progress=Progress(bytes_read=current.size, percent=100)
            if error is None
            else hold.progress,
            error=error,
            reports=reports,
            replay=False,
            force=False,
        )

    send_as = _send_as(hold.import_, named, services, now=now) if rejected else None
    notice = _notice(finished(hold.import_), groups, send_as, settings, services)
    mail: str | None = None

    def change(ledger: LedgerTransaction, current: Claimed) -> Claimed:
        nonlocal mail
        ended = finished(current.import_)
        feed = release_feed(ledger, ended)
        if notice is not None:
            mail = post(ledger, notice, settings, services, now=now)
        _alert(ledger, ended, feed, services, repeated=tally.counts["row.duplicate_key"], now=now)
        _put_feed(ledger, feed, ended, found)
        return Claimed(ended)

    zone = settings.time_zone if settings else services.deployment.time_zone
    report = report_of(
        finished(hold.import_), problems=tally.kept, zone=zone, groups=groups, send_as=send_as
    )
    try:
        write_report(services.bucket, report, replacing={})
    except Changed:
        before = reports_now(services.bucket, named.report_json)
        hold.confirm()
        write_report(services.bucket, report, replacing=before)
    changed = hold.change(change, needs=_alerts_of(hold.import_))
    if found.successor is not None:
        found.successor.clean_up(services)
    return changed.import_, mail


def _outcome(hold: Hold, status: Status, found: FileFindings) -> str:
    """Return the status sentence of an import that ends without an error."""
    return sentences.ended(
        hold.rows,
        checked=status == "checked",
        left_out=found.left_out,
        repeated=found.tally.counts["row.duplicate_key"],
        type=hold.import_.type,
    )


def _put_feed(ledger: LedgerTransaction, feed: Feed, ended: Import, found: FileFindings) -> None:
    """Give the feed the index that the import leaves and, if it was loaded, its success.

    Raises:
        TryAgain: the index of the feed has been replaced in the meantime.
    """
    if found.successor is not None:
        feed = found.successor.installed_in(feed)
        ledger.put_feed(feed)
    if ended.status in LOADED:
        success = Success(
            import_id=ended.import_id,
            uploaded_at=ended.uploaded_at,
            rejected=ended.rows.rejected,
        )
        feed = feed.loaded(success)
        if feed.latest is None or ended.import_id >= feed.latest:
            feed = replace(feed, latest=ended.import_id, header=found.header)
        ledger.put_feed(feed)


def _publish(
    hold: Hold, services: Services, named: ExportFile, rejected_file: RejectedFile | None
) -> str | None:
    """Publish the rejected rows, or delete those of an earlier load; return the object's name.

    The rows of this worker are finished, or the earlier reports are known, while the import is
    this worker's. So whoever has taken it over decides what is left in the end.
    """
    bucket = services.bucket
    if rejected_file is not None and rejected_file.rows:
        hold.confirm()
        return rejected_file.publish()
    stale = {
        name: generation
        for name, generation in reports_now(bucket, named.report_json, rejected=True).items()
        if name in (part_name(named.rejected_csv), named.rejected_csv)
    }
    if stale:
        hold.confirm()
    for name, generation in stale.items():
        delete_report(bucket, name, generation=generation)
    return None


def _alerts_of(import_: Import) -> list[str]:
    """Return the paths of the alerts that the end of an import may raise or resolve."""
    of_import = alert_paths(*IMPORT_CODES, connection=import_.connection, about=import_.import_id)
    if import_.mode != "load" or import_.type is None:
        return of_import
    codes = REJECTED, OUTDATED
    return of_import + alert_paths(*codes, connection=import_.connection, about=import_.type)


def _notice(
    ended: Import,
    groups: Sequence[Group],
    send_as: str | None,
    settings: ConnectionSettings | None,
    services: Services,
) -> Notice | None:
    """Return the notice about an import's end; None if its connection's people are not mailed it.

    A dry run is for whoever waits for its report, and a failed import is for the operators.
    """
    if settings is None or not addressed(settings, services):
        return None
    if ended.mode == "test" or ended.status == "failed":
        return None
    kind: MailKind = "loaded"
    waiting: list[str] = []
    if ended.status == "rejected":
        kind = "rejected"
        if ended.awaited_by:
            paired = services.ledger.find(ended.connection, pairedWith=ended.import_id)
            waiting = sorted(one.file for one in paired if one.status in PENDING)
    elif ended.rows.rejected:
        kind = "rows"
    content = mailed(
        ended,
        groups,
        zone=settings.time_zone,
        waiting=waiting,
        send_as=send_as,
    )
    errors = row_errors(groups) if kind == "rows" else ""
    return notice_of(ended, kind, content, findings=errors)


def _send_as(
    import_: Import, named: ExportFile, services: Services, *, now: datetime
) -> str | None:
    """Return a name under which the corrected rows can be sent; None if no name is free yet.

    The name is as little later than the file's as possible. No other file has it, and its time is
    in the past.
    """
    seconds = range(1, NAMES_TRIED + 1)
    times = [named.exported_at + timedelta(seconds=number) for number in seconds]
    ids = {
        make_import_id(mode=named.mode, type=named.type, exported_at=at): at
        for at in times
        if at <= now
    }
    taken = services.ledger.get_many((import_.connection, id) for id in ids)
    for id, at in ids.items():
        if (import_.connection, id) not in taken:
            return f"{make_import_id(mode='load', type=named.type, exported_at=at)}.csv"
    return None


def _alert(
    ledger: LedgerTransaction,
    ended: Import,
    feed: Feed,
    services: Services,
    *,
    repeated: int,
    now: datetime,
) -> None:
    """Raise the alert that the end of an import calls for, and resolve those that no longer apply.

    `repeated` rows of the file are unchanged only because another row of their key counts.
    """
    if ended.status == "failed":
        raise_alert(ledger, "failed", ended, todo=FAILED_TODO, now=now)
        return
    resolve_import_alerts(ledger, ended, now=now)
    if ended.mode != "load" or ended.type is None:
        return
    about = {"connection": ended.connection, "about": ended.type}
    if ended.status in LOADED:
        resolve_alerts(ledger, REJECTED, now=now, **about)
        rows = ended.rows
        if rows.loaded or rows.unchanged > repeated:
            resolve_alerts(ledger, OUTDATED, now=now, **about)
        elif rows.outdated and feed.uploaded == ended.import_id:
            todo = OUTDATED_TODO.format(latest=f"{ended.connection}/{feed.latest}")
            raise_alert(ledger, OUTDATED, ended, todo=todo, now=now, about=ended.type)
        return
    # An earlier upload of the file had older data; nothing of this one is loaded.
    resolve_alerts(ledger, OUTDATED, now=now, naming=ended.import_id, **about)
    if services.deployment.alert_rejected:
        raise_alert(ledger, REJECTED, ended, todo=REJECTED_TODO, now=now, about=ended.type)
