"""Things that need a person: bad files that were not corrected, alerts, feeds without files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.core import SettingsError, count, length
from shared.ledger import Import, Status
from shared.mail import FAILED as MAIL_FAILED
from shared.mail import FAILED_TODO as MAIL_TODO
from shared.mail import Bounce
from shared.reporting import (
    FAILED_TODO,
    FEED_STOPPED,
    NO_TYPE,
    REFUSED_NAME,
    REJECTED,
    REJECTED_TODO,
    Alert,
    FeedState,
    overdue_todo,
)
from shared.status.mails import Delay, MailTrouble, told
from shared.status.masking import mask

BAD: tuple[Status, ...] = ("rejected", "failed", "overdue")
"""Statuses of imports that need a person."""

MAIL_BOUNCES = "mail_bounces"
"""Kind of a need: an address that its server refuses."""
MAIL_DELAYED = "mail_delayed"
"""Kind of a need: mails that no server has taken for a while."""

_ASK = "Ask the retailer whether the export still runs; the next sweep raises an alert."


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One thing that needs a person. Files with the same fault are one thing."""

    connection: str
    """"" if it is about several."""
    kind: str
    """`rejected`, `failed`, `overdue`, `settings`, `mail_bounces`, `mail_delayed`, or the code of
    an alert."""
    what: str
    todo: str
    since: datetime | None
    """None if it is not known."""
    type: str | None = None
    files: tuple[Import, ...] = ()
    """The files, the newest first."""
    waiting: tuple[Import, ...] = ()
    """Files that wait until this is done."""
    import_id: str | None = None
    """The import that an alert names."""
    times: int = 1


def needs_of(
    bad: Iterable[Import],
    alerts: Sequence[Alert],
    feeds: Sequence[FeedState],
    under_way: Sequence[Import],
    wrong: Mapping[str, SettingsError],
    mail: MailTrouble | None = None,
) -> tuple[Need, ...]:
    """Return everything that needs a person: what stops most comes first, then the newest.

    Args:
        bad: imports with a status of `BAD`, the newest first.
        alerts: the open alerts.
        feeds: the states of all feeds.
        under_way: the imports that have not ended.
        wrong: connection -> error of its settings.
        mail: the mails that do not arrive.
    """
    states = {(feed.connection, feed.type): feed for feed in feeds}
    files: defaultdict[tuple[str, ...], list[Import]] = defaultdict(list)
    for one in bad:
        if not is_corrected(one, states):
            files[_kind(one)].append(one)
    needs = [_of_files(some, under_way) for some in files.values()]
    needs += [
        Need(
            connection=connection,
            kind="settings",
            what=f"A setting has an error, so nothing is loaded: {error}.",
            todo="Correct the setting, then replay the imports that failed.",
            since=None,
        )
        for connection, error in wrong.items()
    ]
    if mail is not None:
        needs += [_of_bounce(name, one) for name, some in mail.bounces.items() for one in some]
        needs += [_of_delay(delay) for delay in mail.delays]
    listed = {(one.connection, one.import_id) for some in files.values() for one in some}
    types = {(need.connection, need.type) for need in needs if need.kind == "rejected"}
    needs += [
        _of_alert(alert, states)
        for alert in alerts
        if not _is_listed(alert, listed, types, wrong, mail)
    ]
    stopped = {_feed_of(alert) for alert in alerts if alert.code == FEED_STOPPED}
    needs += [
        _of_silence(feed)
        for key, feed in states.items()
        if feed.missing and feed.cadence is not None and key not in stopped
    ]
    return tuple(sorted(needs, key=_order))


def is_corrected(one: Import, feeds: Mapping[tuple[str, str], FeedState]) -> bool:
    """True if a rejected file was corrected: a later upload of its type has been loaded.

    For a file whose name does not tell its type, an upload of any type counts. A rejected dry run
    needs nobody but the retailer who has asked for it.
    """
    if one.status != "rejected":
        return False
    if one.mode == "test":
        return True
    return any(
        feed.good_at is not None and feed.good_at > one.uploaded_at
        for (connection, type), feed in feeds.items()
        if connection == one.connection and one.type in (None, type)
    )


def _kind(one: Import) -> tuple[str, ...]:
    """Return the parts that imports with the same fault have in common."""
    error = one.error.code if one.error else ""
    column = (one.error.column or "") if one.error else ""
    own = one.import_id if one.status != "rejected" else ""
    return one.connection, one.status, one.type or "", one.mode, error, column, own


def _of_files(files: Sequence[Import], under_way: Sequence[Import]) -> Need:
    newest, oldest = files[0], files[-1]
    ids = {one.import_id for one in files}
    todo = FAILED_TODO
    if newest.status == "overdue":
        todo = overdue_todo(newest)
    elif newest.error is not None:
        todo = newest.error.hint
    elif newest.status == "rejected":
        todo = REJECTED_TODO
    what = newest.status_text
    if newest.status == "rejected" and newest.error is not None:
        noun = f"{newest.type or 'misnamed'} file"
        number = "" if len(files) == 1 else f"{count(len(files), noun)}: "
        what = f"{number}{newest.error.message}"
    return Need(
        connection=newest.connection,
        kind=newest.status,
        what=what,
        todo=todo,
        since=oldest.uploaded_at,
        type=newest.type,
        files=tuple(files),
        waiting=tuple(
            one
            for one in under_way
            if one.connection == newest.connection
            and not ids.isdisjoint((one.blocked_by, one.paired_with))
        ),
        times=len(files),
    )


def _of_silence(feed: FeedState) -> Need:
    cadence = "" if feed.cadence is None else f" of {length(feed.cadence)}"
    return Need(
        connection=feed.connection,
        kind=FEED_STOPPED,
        what=f"No {feed.type} file has arrived for longer than its cadence{cadence}.",
        todo=_ASK,
        since=feed.received_at,
        type=feed.type,
    )


def _of_bounce(connection: str, bounce: Bounce) -> Need:
    why = told(bounce.reply)
    return Need(
        connection=connection,
        kind=MAIL_BOUNCES,
        what=f"The address {mask(bounce.address)} takes no mail{f' ({why})' if why else ''}.",
        todo=(
            "Look at the mails of the connection, where the address can be shown, and correct "
            f"notify.to with this command: connections set {connection} notify.to=…"
        ),
        since=bounce.since,
    )


def _of_delay(delay: Delay) -> Need:
    one = delay.connections[0] if len(delay.connections) == 1 else ""
    people = "" if one else f" to the people of {count(len(delay.connections), 'retailer')}"
    waits, them = ("waits", "it") if delay.number == 1 else ("wait", "them")
    error = f" ({delay.error})" if delay.error else ""
    return Need(
        connection=one,
        kind=MAIL_DELAYED,
        what=f"{count(delay.number, 'mail')}{people} {waits}: no server takes {them}{error}.",
        todo=f"Mails are tried again for 24 hours. {MAIL_TODO}",
        since=delay.since,
    )


def _is_listed(
    alert: Alert,
    listed: Set[tuple[str, str]],
    types: Set[tuple[str, str | None]],
    wrong: Mapping[str, SettingsError],
    mail: MailTrouble | None,
) -> bool:
    """Return True if the subject of an alert is in the list without it, or was corrected.

    Args:
        alert: the alert.
        listed: connection and id of the files in the list.
        types: connection and type of the rejected files in the list.
        wrong: connection -> error of its settings.
        mail: the mails that do not arrive.
    """
    subject = _feed_of(alert)[1]
    if alert.code in BAD and (alert.connection, alert.import_id) in listed:
        return True
    type = None if subject == NO_TYPE else subject
    if alert.code in (REJECTED, REFUSED_NAME) and (alert.connection, type) in types:
        return True
    if alert.code == MAIL_FAILED and mail is not None and alert.connection in mail.silent:
        return True
    return subject == "settings" and alert.connection in wrong


def _of_alert(alert: Alert, states: Container[tuple[str, str]]) -> Need:
    feed = _feed_of(alert)
    return Need(
        connection=alert.connection,
        kind=alert.code,
        what=alert.what,
        todo=alert.todo,
        since=alert.first_at,
        type=feed[1] if feed in states else None,
        import_id=alert.import_id,
        times=alert.count,
    )


def _feed_of(alert: Alert) -> tuple[str, str]:
    """Return connection and type of an alert about a feed, from its id `au~customers~rejected`."""
    return alert.connection, alert.id.removesuffix(f"~{alert.code}").rpartition("~")[2]


_RANKS = ("settings", "late", "failed", "unusable", "overdue", FEED_STOPPED, REJECTED, REFUSED_NAME)


def _order(need: Need) -> tuple[object, ...]:
    rank = _RANKS.index(need.kind) if need.kind in _RANKS else len(_RANKS)
    since = need.since or datetime(1970, 1, 1, tzinfo=UTC)
    return rank, -since.timestamp(), need.connection, need.what
