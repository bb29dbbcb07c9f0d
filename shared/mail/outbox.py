"""The outbox: mails are written in the transaction that records what they tell.

A mail is the document `mail/{connection~import~generation~kind}`, in the fields of Firebase's
extension "Trigger Email". A document that exists means that people were told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import Any, Literal

from shared.core import ConnectionSettings, SettingsError, address_key
from shared.ledger import Import, LedgerTransaction
from shared.mail.html import rich
from shared.mail.mailbox import Mailbox, Posting
from shared.mail.message import domain_of, message_id
from shared.mail.texts import Content, plain, recovered, welcome
from shared.reporting import Group
from shared.services import Services

MailKind = Literal[
    "rejected",
    "rows",
    "announced",
    "refused_name",
    "overdue",
    "stopped",
    "recovered",
    "loaded",
    "digest",
    "welcome",
]
"""Kind of a mail, the last part of its id.

All but `loaded`, `digest` and `welcome` are in `notify.on`.
"""

KEPT = timedelta(days=30)
"""Time after which a mail's document is deleted, by the TTL policy on `delivery.expireAt`."""

ABOUT_ROWS = frozenset({"rows", "announced"})
"""Codes of trouble with single rows, after which a file can still be loaded."""

NO_TOPIC = "names"
"""Topic of files whose names do not say their type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """An event that people may be mailed about."""

    kind: MailKind
    connection: str
    about: str
    """Import id; for a feed, its type; for an address, its key."""
    generation: int
    """Generation of the upload; for a feed, a number that says which event it is."""
    topic: str
    """The feed; mails of one topic are one thread until the trouble is over."""
    code: str
    """Code of the error: one topic and code is mailed once an hour."""
    content: Content
    findings: str = ""
    """The errors of its rows, as `row_errors` gives them; "" if it is not about rows."""

    @property
    def id(self) -> str:
        """Id of the mail, e.g. `au~customers_20241120T033000Z~1732073400000000~rejected`."""
        return "~".join((self.connection, self.about, str(self.generation), self.kind))


def row_errors(groups: Iterable[Group]) -> str:
    """Return the errors of rows in short, e.g. `2 row.bad_date ORDER_DATE, 1 row.bad_key PERIDX`.

    Two readings of a file that give the same text found the same errors.
    """
    errors = sorted(
        f"{one.count} {one.code} {one.column or ''}".rstrip()
        for one in groups
        if one.severity == "row"
    )
    return ", ".join(errors)


def notice_of(
    import_: Import,
    kind: MailKind,
    content: Content,
    *,
    findings: str = "",
) -> Notice:
    """Return a notice about an import, whose code is that of the import's error, or the kind."""
    topic = NO_TOPIC if import_.type is None else import_.type
    return Notice(
        kind=kind,
        connection=import_.connection,
        about=import_.import_id,
        generation=import_.generation,
        topic=f"bulk_{topic}" if import_.mode == "bulk" else topic,
        code=import_.error.code if import_.error else kind,
        content=content,
        findings=findings,
    )


def addressed(settings: ConnectionSettings | None, services: Services) -> bool:
    """True if mails to the connection are written at all: somebody is to be mailed, by settings."""
    return bool(settings and settings.notify.to) and services.deployment.mailing != "off"


def post(
    ledger: LedgerTransaction,
    notice: Notice,
    settings: ConnectionSettings | None,
    services: Services,
    *,
    now: datetime,
) -> str | None:
    """Write the mail about an event into the outbox, in the transaction that records the event.

    Nothing is read or written if nobody is to be mailed. The event is only counted if people were
    mailed about the same lately, or often enough that day. Rows that were announced are not told
    again when they are loaded with the same errors. A notice of kind `loaded` says that the trouble
    of its topic is over.

    Returns:
        The id of the mail, to `send` after the transaction; None if there is none.
    """
    if settings is None or not addressed(settings, services):
        return None
    notify, zone = settings.notify, settings.time_zone
    well = notice.kind == "loaded"
    if not well and notice.kind not in notify.on:
        return None
    box = Mailbox.from_document(ledger.mailbox(notice.connection))
    if well:
        posting, changed = box.resolve(
            topic=notice.topic,
            each=notify.success == "each",
            recovery="recovered" in notify.on,
            now=now,
            zone=zone,
        )
        if posting is not None and posting.recovery:
            codes = {one.code for one in box.troubles if one.topic == notice.topic}
            rows_only = codes <= ABOUT_ROWS
            content = recovered(notice.content, notice.topic, rows_only=rows_only)
            notice = replace(notice, kind="recovered", content=content)
    elif notice.kind == "rows" and _announced(ledger, notice):
        posting, changed = None, box.without(notice.topic, but=ABOUT_ROWS)
    else:
        posting, changed = box.report(
            mail=notice.id, topic=notice.topic, code=notice.code, now=now, zone=zone
        )
        if notice.kind == "rows":
            changed = changed.without(notice.topic, but=ABOUT_ROWS)
    if posting is not None and ledger.mail(notice.id) is not None:
        return None  # told before, e.g. before a replay
    if changed != box:
        ledger.put_mailbox(notice.connection, changed.to_document())
    if posting is None:
        return None
    ledger.put_mail(notice.id, _document(notice, posting, settings, services, now=now))
    return notice.id


def post_about(
    ledger: LedgerTransaction,
    import_: Import,
    kind: MailKind,
    content: Callable[[tzinfo], Content],
    services: Services,
    *,
    now: datetime,
) -> str | None:
    """Write the mail about an import whose handler has not read the settings; see `post`.

    `content` gets the connection's time zone. Nobody is mailed if a setting cannot be used. Nothing
    is read while mail is off.
    """
    if services.deployment.mailing == "off":
        return None
    try:
        settings = services.settings_from(import_.connection, ledger.connection(import_.connection))
    except SettingsError:
        return None
    if not addressed(settings, services):
        return None
    notice = notice_of(import_, kind, content(settings.time_zone))
    return post(ledger, notice, settings, services, now=now)


def _announced(ledger: LedgerTransaction, notice: Notice) -> bool:
    """Return True if people were mailed the same about this upload while it waited."""
    mail = ledger.mail(replace(notice, kind="announced").id)
    return mail is not None and mail.get("findings") == notice.findings


def put_digest(
    ledger: LedgerTransaction,
    connection: str,
    content: Content,
    settings: ConnectionSettings,
    services: Services,
    *,
    until: datetime,
    now: datetime,
) -> str:
    """Write a digest into the outbox; return its id, e.g. `au~2026-11-29~0~digest`."""
    notice = Notice(
        kind="digest",
        connection=connection,
        about=until.astimezone(settings.time_zone).date().isoformat(),
        generation=0,
        topic="digest",
        code="digest",
        content=content,
    )
    ledger.put_mail(notice.id, _document(notice, Posting(), settings, services, now=now))
    return notice.id


def put_welcomes(
    ledger: LedgerTransaction,
    connection: str,
    settings: ConnectionSettings,
    services: Services,
    *,
    now: datetime,
) -> int:
    """Write a mail to each new address of a connection; return their number.

    Its id has the key of the address, e.g. `au~5f0c…~0~welcome`.
    """
    box = Mailbox.from_document(ledger.mailbox(connection))
    told, changed = box.welcome(settings.notify.to, now=now, zone=settings.time_zone)
    if changed != box:
        ledger.put_mailbox(connection, changed.to_document())
    deployment = services.deployment
    content = welcome(
        connection, settings.notify, sender=deployment.mail_from, contact=deployment.mail_contact
    )
    for address in told:
        notice = Notice(
            kind="welcome",
            connection=connection,
            about=address_key(address),
            generation=0,
            topic="welcome",
            code="welcome",
            content=content,
        )
        alone = replace(settings, notify=replace(settings.notify, to=(address,)))
        ledger.put_mail(notice.id, _document(notice, Posting(), alone, services, now=now))
    return len(told)


def _document(
    notice: Notice,
    posting: Posting,
    settings: ConnectionSettings,
    services: Services,
    *,
    now: datetime,
) -> dict[str, Any]:
    """Return a mail's document in the fields of "Trigger Email"."""
    deployment = services.deployment
    content, sender = _with_more(notice.content, posting.more), deployment.mail_from
    foot = _foot(notice.connection, settings.time_zone)
    own, name = message_id(notice.id, sender), notice.connection
    headers = {
        "Message-ID": own,
        "Auto-Submitted": "auto-generated",
        "List-Id": f"Imports of {name} <{name}.imports.{domain_of(sender)}>",
    }
    if posting.thread is not None:
        begun = message_id(posting.thread, sender)
        headers |= {"In-Reply-To": begun, "References": begun}
    document: dict[str, Any] = {
        "connection": notice.connection,
        "to": list(settings.notify.to),
        "message": {
            "subject": content.subject(notice.connection),
            "text": plain(content, foot=foot),
            "html": rich(content, foot=foot),
        },
        "headers": headers,
    }
    if notice.findings:
        document["findings"] = notice.findings
    if sender:
        document["from"] = sender
    if deployment.mail_reply_to:
        document["replyTo"] = deployment.mail_reply_to
    if deployment.mailing == "send":
        # With `documents`, another sender writes `delivery`. It takes a mail that has none.
        document["delivery"] = {
            "state": "PENDING",
            "startTime": now,
            "endTime": None,
            "attempts": 0,
            "error": None,
            "leaseExpireTime": None,
            "expireAt": now + KEPT,
            "info": None,
        }
    return document


def _with_more(content: Content, more: int) -> Content:
    if not more:
        return content
    events = "1 more event" if more == 1 else f"{more:,} more events"
    return replace(content, lead=f"{content.lead} Since the last mail: {events} like this.")


def _foot(connection: str, zone: tzinfo) -> str:
    return (
        f"Times are those of {zone}. You get this mail because your address is in the setting "
        f"notify of the connection {connection}; answer it to change that. It quotes nothing from "
        "the file."
    )
