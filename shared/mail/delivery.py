"""Delivery of the outbox: each mail is leased, sent, and marked; failures are tried again.

A mail is sent under a lease of `LEASE`, so that of two processes only one sends it. If a process
dies between the server's answer and the mark, the mail is sent again when the lease is over. It is
then the same message with the same `Message-ID`, which mailboxes show once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from shared.core import log
from shared.ledger import LedgerTransaction
from shared.mail.mailbox import Bounce, Mailbox
from shared.mail.message import address_of, message_bytes
from shared.mail.senders import Sender, SendFailed, SentTo, send
from shared.reporting import new_alert, open_once, resolve_alerts
from shared.services import Services

LEASE = timedelta(seconds=60)
"""Time in which no other process sends a mail that one has begun to send."""

BACKOFF = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
)
"""Time from a failed attempt to the next, by attempt; the last one repeats."""

GIVEN_UP = timedelta(hours=24)
"""Time after which a mail that nobody takes is given up."""

SENT_AT_ONCE = 100
"""Largest number of mails that one sweep sends; the next sweep continues."""

FAILED = "mail_failed"
"""Code of the alert about a connection whose mails do not arrive; resolved when one does."""

FAILED_TODO = (
    "Read delivery.error of the mail in Firestore. Correct MAIL_URL, MAIL_FROM or the address in "
    "`notify` of the connection; to send a mail again, set its delivery.state to RETRY."
)

_UNSENT = ("PENDING", "PROCESSING", "RETRY")


@dataclass(frozen=True, slots=True)
class _Leased:
    """A mail that this process may send until its lease is over."""

    id: str
    document: Mapping[str, Any]

    @property
    def to(self) -> tuple[str, ...]:
        """Addresses that have not answered for good."""
        info = self.document["delivery"].get("info") or {}
        done = {*info.get("accepted", ()), *info.get("rejected", ())}
        return tuple(one for one in self.document["to"] if one not in done)


def send_now(ids: Iterable[str | None], services: Services, *, sender: Sender = send) -> int:
    """Send these mails of the outbox, without waiting for the next sweep.

    A mail that cannot be sent now is sent by a later sweep. Return the number of mails sent.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    if services.deployment.mailing != "send":
        return 0
    return sum(_send_one(id, services, sender) == "SUCCESS" for id in ids if id is not None)


def send_due(services: Services, *, sender: Sender = send) -> int:
    """Send all mails that are due, the oldest first; return the number of mails sent.

    After two mails in a row that the server did not take, the others wait for the next sweep.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    if services.deployment.mailing != "send":
        return 0
    now, sent, failed = services.now(), 0, 0
    waiting = {
        id: data["delivery"]
        for id, data in services.ledger.mails(*_UNSENT).items()
        if due(data["delivery"], now)
    }
    for id in sorted(waiting, key=lambda id: waiting[id].get("startTime") or now)[:SENT_AT_ONCE]:
        state = _send_one(id, services, sender)
        sent += state == "SUCCESS"
        failed = failed + 1 if state == "RETRY" else 0
        if failed > 1:
            break
    return sent


def due(delivery: Mapping[str, Any], now: datetime) -> bool:
    """True if a mail is to be sent: never tried, its backoff over, or its sender silent."""
    match delivery.get("state"):
        case "PENDING":
            return True
        case "PROCESSING":
            until = delivery.get("leaseExpireTime")
            return not isinstance(until, datetime) or now >= until
        case "RETRY":
            ended, attempts = delivery.get("endTime"), delivery.get("attempts") or 1
            wait = BACKOFF[min(attempts, len(BACKOFF)) - 1]
            return not isinstance(ended, datetime) or now >= ended + wait
        case _:
            return False


def bouncing(
    services: Services, people: Mapping[str, Sequence[str]]
) -> dict[str, tuple[Bounce, ...]]:
    """Return connection -> addresses that their servers refuse, for connections that have any.

    `people` is connection -> addresses that are mailed now; no other address counts.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    found = services.ledger.mailboxes(people)
    boxes = {name: Mailbox.from_document(data) for name, data in found.items()}
    bounces = {
        name: tuple(one for one in box.bounces if one.address in people[name])
        for name, box in boxes.items()
    }
    return {name: some for name, some in bounces.items() if some}


def _send_one(id: str, services: Services, sender: Sender) -> str | None:
    """Send a mail if it is due; return its new state, or None if it is not this process's."""
    leased = services.ledger.transact(partial(_lease, id=id, now=services.now()))
    if leased is None:
        return None
    trouble: SendFailed | None = None
    sent = SentTo(pending=leased.to)
    url, from_ = services.deployment.mail_url, services.deployment.mail_from
    try:
        if not url:
            raise SendFailed("MAIL_MODE is send, but there is no MAIL_URL")
        sent = sender(url, address_of(from_), leased.to, message_bytes(leased.document))
    except SendFailed as failed:
        trouble = failed
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        trouble = SendFailed(f"the document cannot be sent: {type(error).__name__}", final=True)
    settle = partial(_settle, leased=leased, sent=sent, trouble=trouble, now=services.now())
    state = services.ledger.transact(settle)
    why = f": {trouble.reason}" if trouble else ""
    log(
        "INFO" if state == "SUCCESS" else "WARNING",  # the alert is the ERROR
        f"Mail {(state or 'taken over').lower()}{why}.",
        event="mail",
        mail=id,
        connection=id.partition("~")[0],
        accepted=len(sent.accepted),
        refused=len(sent.rejected),
    )
    return state


def _lease(ledger: LedgerTransaction, *, id: str, now: datetime) -> _Leased | None:
    document = ledger.mail(id)
    delivery = document.get("delivery") if document else None
    if document is None or not isinstance(delivery, Mapping) or not due(delivery, now):
        return None
    leased = {
        **delivery,
        "state": "PROCESSING",
        "attempts": (delivery.get("attempts") or 0) + 1,
        "leaseExpireTime": now + LEASE,
    }
    document = {**document, "delivery": leased}
    ledger.put_mail(id, document)
    return _Leased(id, document)


def _settle(
    ledger: LedgerTransaction,
    *,
    leased: _Leased,
    sent: SentTo,
    trouble: SendFailed | None,
    now: datetime,
) -> str | None:
    """Record the server's answer, unless another process has leased the mail since.

    Return the mail's state: `SUCCESS`, `RETRY` or `ERROR`.
    """
    document, mine = ledger.mail(leased.id), leased.document["delivery"]
    current = document.get("delivery") if document else None
    if document is None or not isinstance(current, Mapping):
        return None
    if any(current.get(key) != mine[key] for key in ("state", "attempts", "leaseExpireTime")):
        return None
    info = _info(mine.get("info") or {}, sent, document)
    state = _state(info, trouble, begun=mine.get("startTime"), now=now)
    error = (trouble.reply or trouble.reason) if trouble else None
    if state != "SUCCESS" and error is None:
        error = next(iter(sent.rejected.values()), "no address took the mail")
    delivery = {
        **mine,
        "state": state,
        "endTime": now,
        "leaseExpireTime": None,
        "error": error,
        "info": info,
    }
    ledger.put_mail(leased.id, {**document, "delivery": delivery})
    _note(ledger, leased.id, sent, state, now=now)
    return state


def _info(before: Mapping[str, Any], sent: SentTo, document: Mapping[str, Any]) -> dict[str, Any]:
    accepted: Sequence[str] = [*before.get("accepted", ()), *sent.accepted]
    rejected: Sequence[str] = [*before.get("rejected", ()), *sent.rejected]
    return {
        "messageId": (document.get("headers") or {}).get("Message-ID"),
        "accepted": accepted,
        "rejected": rejected,
        "pending": [one for one in sent.pending if one not in (*accepted, *rejected)],
        "response": sent.response or before.get("response"),
    }


def _state(
    info: Mapping[str, Any], trouble: SendFailed | None, *, begun: datetime | None, now: datetime
) -> str:
    final = trouble is not None and trouble.final
    if info["pending"] and not final and (begun is None or now < begun + GIVEN_UP):
        return "RETRY"
    return "SUCCESS" if info["accepted"] else "ERROR"


def _note(ledger: LedgerTransaction, id: str, sent: SentTo, state: str, *, now: datetime) -> None:
    """Record which addresses bounce, and open or resolve the connection's alert."""
    connection = id.partition("~")[0]
    if sent.accepted or sent.rejected:
        box = Mailbox.from_document(ledger.mailbox(connection))
        changed = box.delivered(accepted=sent.accepted, refused=sent.rejected, now=now)
        if changed != box:
            ledger.put_mailbox(connection, changed.to_document())
    if state == "SUCCESS":
        resolve_alerts(ledger, FAILED, connection=connection, about="mail", now=now)
    elif state == "ERROR":
        alert = new_alert(
            FAILED,
            connection=connection,
            about="mail",
            what=f"A mail to the people of {connection} was not delivered; the mail is {id}.",
            todo=FAILED_TODO,
            now=now,
        )
        open_once(ledger, alert)
