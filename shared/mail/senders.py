"""Senders of messages: over SMTP with checked certificates, or into a folder."""

from __future__ import annotations

import re
import smtplib
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

ANSWER_SECONDS = 10.0
"""Seconds that a mail server may take for one answer."""

SEND_SECONDS = 25.0
"""Seconds after which no message is begun to be sent. With the last answers that is less than a
lease, so two senders never have one message at once."""


class SendFailed(Exception):
    """No address got the message. `reason` names no address, so it may be logged."""

    def __init__(self, reason: str, *, final: bool = False, reply: str = "") -> None:
        """Take the reason.

        Args:
            reason: a few words, e.g. `SMTPServerDisconnected` or `the server answered 554`.
            final: True if the server refuses this message for good.
            reply: the server's answer, which may name an address.
        """
        super().__init__(reason)
        self.reason, self.final, self.reply = reason, final, reply


@dataclass(frozen=True, slots=True, kw_only=True)
class SentTo:
    """The answer of a mail server for each address."""

    accepted: tuple[str, ...] = ()
    rejected: Mapping[str, str] = field(default_factory=dict)
    """Address -> the server's answer, for addresses that it refuses for good."""
    pending: tuple[str, ...] = ()
    """Addresses that the server may take later."""
    response: str = ""
    """The server's answer to the message."""


Sender = Callable[[str, str, Sequence[str], bytes], SentTo]
"""Sends a message: takes mail server, address of the sender, addresses, and bytes.

Raises SendFailed if no address got the message.
"""


def send(url: str, sender: str, to: Sequence[str], message: bytes) -> SentTo:
    """Send a message to these addresses, by the URL of a mail server or of a folder.

    `smtps://…` is encrypted from the start; `smtp://…` must offer STARTTLS. Certificates are
    checked.
    `file:/data/mail` writes `/data/mail/….eml`; a message that is sent again replaces its file.

    Raises:
        SendFailed: no address got the message.
    """
    server = urlsplit(url)
    if server.scheme == "file":
        return _write(Path(unquote(server.path)), to, message)
    until = time.monotonic() + SEND_SECONDS
    try:
        smtp = _connected(server, name=sender.rpartition("@")[2])
        try:
            sent = _say(smtp, sender, to, message, until=until)
            # The server has the message: an error from here on must not have it sent again.
            with suppress(OSError, smtplib.SMTPException):
                smtp.quit()
            return sent
        finally:
            smtp.close()
    except smtplib.SMTPResponseException as error:
        raise SendFailed(
            f"{type(error).__name__}: the server answered {error.smtp_code}",
            final=isinstance(error, smtplib.SMTPDataError) and error.smtp_code // 100 == 5,
            reply=_reply(error.smtp_code, error.smtp_error),
        ) from None
    except (OSError, smtplib.SMTPException) as error:  # ssl.SSLError is an OSError
        raise SendFailed(type(error).__name__) from None


def _connected(server: SplitResult, *, name: str) -> smtplib.SMTP:
    """Return a connection that is encrypted and signed in; `name` is the domain that greets."""
    tls = ssl.create_default_context()
    host = str(server.hostname)
    smtp: smtplib.SMTP
    if server.scheme == "smtps":
        port = server.port or 465
        smtp = smtplib.SMTP_SSL(host, port, name, timeout=ANSWER_SECONDS, context=tls)
    else:
        smtp = smtplib.SMTP(host, server.port or 587, name, timeout=ANSWER_SECONDS)
    try:
        if server.scheme == "smtp":
            smtp.starttls(context=tls)  # raises if the server does not offer it
        smtp.ehlo_or_helo_if_needed()
        if server.username:
            smtp.login(unquote(server.username), unquote(server.password or ""))
    except BaseException:
        smtp.close()
        raise
    return smtp


def _say(
    smtp: smtplib.SMTP, sender: str, to: Sequence[str], message: bytes, *, until: float
) -> SentTo:
    """Offer the message to each address, then send it once."""

    def in_time() -> None:
        if time.monotonic() > until:
            raise SendFailed("the server is too slow")

    in_time()
    code, said = smtp.mail(sender)
    if code != 250:
        raise SendFailed(f"the server refuses the sender: {code}", reply=_reply(code, said))
    accepted, rejected, pending = [], {}, []
    for address in to:
        in_time()
        code, said = smtp.rcpt(address)
        if code in (250, 251):
            accepted.append(address)
        elif code // 100 == 5:
            rejected[address] = _reply(code, said)
        else:
            pending.append(address)
    if not accepted:
        return SentTo(rejected=rejected, pending=tuple(pending))
    in_time()
    code, said = smtp.data(message)
    if code != 250:
        raise SendFailed(
            f"the server refuses the message: {code}",
            final=code // 100 == 5,
            reply=_reply(code, said),
        )
    return SentTo(
        accepted=tuple(accepted),
        rejected=rejected,
        pending=tuple(pending),
        response=_reply(code, said),
    )


def _write(folder: Path, to: Sequence[str], message: bytes) -> SentTo:
    """Write a message into a folder, whole or not at all.

    The name follows from the message: its time and a hash.
    """
    folder.mkdir(parents=True, exist_ok=True)
    date = re.search(rb"^Date: (.+?)\r?$", message, re.MULTILINE)
    time_ = f"{parsedate_to_datetime(date[1].decode()):%Y%m%dT%H%M%SZ}-" if date else ""
    file = folder / f"{time_}{blake2b(message, digest_size=6).hexdigest()}.eml"
    part = file.with_suffix(".part")
    part.write_bytes(message)
    part.replace(file)
    return SentTo(accepted=tuple(to), response=f"250 {file.name}")


def _reply(code: int, said: object) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return f"{code} {' '.join(text.split())}"[:200]
