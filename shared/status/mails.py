"""Mails to a connection's people, for the page: their states, and what does not arrive.

Addresses are personal data, and so is a server's answer, which may name one. Both are masked until
somebody asks to see them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.core import ConnectionSettings, get
from shared.mail import Bounce, bouncing
from shared.reporting import Face
from shared.services import Services
from shared.status.masking import mask

MAILS_SHOWN = 10
"""Largest number of mails on a connection's page."""
DELAYED_READ = 50
"""Largest number of delayed mails that are read."""
DELAYED = timedelta(minutes=30)
"""Time after which a mail that no server has taken needs a person."""

_FACES: Mapping[str, Face] = {
    "PENDING": Face("to be sent", "○", "busy"),
    "PROCESSING": Face("being sent", "▸", "busy"),
    "RETRY": Face("will be tried again", "△", "warn"),
    "SUCCESS": Face("sent", "✓", "good"),
    "ERROR": Face("not delivered", "✕", "bad"),
}
_PARTLY = Face("sent, but not to all", "△", "warn")
_UNKNOWN = Face("unknown", "–", "calm")
_CODES = re.compile(r"\d{3}(?: \d\.\d{1,3}\.\d{1,3})?(?= |$)")
"""Codes at the beginning of a mail server's answer, e.g. `550 5.1.1`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMail:
    """A mail as the page shows it."""

    id: str
    subject: str
    text: str
    to: tuple[str, ...]
    refused: tuple[str, ...]
    """Addresses that their server refuses."""
    face: Face
    attempts: int
    begun: datetime | None
    error: str
    """The last error; "" if there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Mails that no server has taken for `DELAYED`, all with the same error."""

    connections: tuple[str, ...]
    number: int
    since: datetime | None
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailTrouble:
    """The mails that do not arrive, as far as the page has asked."""

    bounces: Mapping[str, Sequence[Bounce]]
    """Connection -> its addresses that refuse mail."""
    silent: frozenset[str]
    """Connections of which every address refuses mail."""
    delays: Sequence[Delay]


def newest_mails(connection: str, services: Services, *, reveal: bool) -> tuple[ShownMail, ...]:
    """Return a connection's newest mails, the latest first.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    found = services.ledger.newest_mails(connection=connection, limit=MAILS_SHOWN)
    return tuple(_shown(id, data, reveal=reveal) for id, data in found.items())


def mail_trouble(
    settings: Mapping[str, ConnectionSettings], services: Services
) -> MailTrouble | None:
    """Return the mails of these connections that do not arrive; None if no mail is sent.

    `settings` are those of the connections by name.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    people = {name: one.notify.to for name, one in settings.items() if one.notify.to}
    if services.deployment.mailing != "send" or not people:
        return None
    bounces = bouncing(services, people)
    return MailTrouble(
        bounces=bounces,
        silent=frozenset(name for name, some in bounces.items() if len(some) == len(people[name])),
        delays=_delays(people, services),
    )


def told(error: object) -> str:
    """Return an error of a mail without what may name a person: a server's codes, or our words.

    Example: `550 5.1.1 bo@shop.example is unknown` becomes `550 5.1.1`.
    """
    text = error if isinstance(error, str) else ""
    codes = _CODES.match(text)
    return codes[0] if codes else "" if "@" in text else text


def _delays(people: Mapping[str, Sequence[str]], services: Services) -> list[Delay]:
    before = services.now() - DELAYED
    found: defaultdict[str, list[tuple[str, datetime]]] = defaultdict(list)
    for id, data in services.ledger.delayed_mails(before=before, limit=DELAYED_READ).items():
        connection, since = id.partition("~")[0], get(data, "delivery.startTime")
        if connection in people and isinstance(since, datetime):
            found[told(get(data, "delivery.error"))].append((connection, since))
    return [
        Delay(
            connections=tuple(sorted({connection for connection, _ in some})),
            number=len(some),
            since=min(since for _, since in some),
            error=error,
        )
        for error, some in found.items()
    ]


def _shown(id: str, data: Mapping[str, Any], *, reveal: bool) -> ShownMail:
    refused = _texts(get(data, "delivery.info.rejected"))
    state, error = get(data, "delivery.state"), get(data, "delivery.error")
    face = _PARTLY if state == "SUCCESS" and refused else _FACES.get(str(state), _UNKNOWN)
    attempts, begun = get(data, "delivery.attempts"), get(data, "delivery.startTime")
    return ShownMail(
        id=id,
        subject=str(get(data, "message.subject") or ""),
        text=str(get(data, "message.text") or ""),
        to=tuple(one if reveal else mask(one) for one in _texts(data.get("to"))),
        refused=tuple(one if reveal else mask(one) for one in refused),
        face=face,
        attempts=attempts if isinstance(attempts, int) else 0,
        begun=begun if isinstance(begun, datetime) else None,
        error=str(error or "") if reveal else told(error),
    )


def _texts(value: object) -> tuple[str, ...]:
    """Return the texts of a list, or the one text; the extension takes either as `to`."""
    some = [value] if isinstance(value, str) else value
    return tuple(one for one in some if isinstance(one, str)) if isinstance(some, list) else ()
