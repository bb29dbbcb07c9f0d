"""The message of a mail's document, as bytes that a mail server takes.

The same document always gives the same bytes. So a mail that is sent again after a crash is the
same message with the same `Message-ID`, which mailboxes show once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

_ADDRESS = re.compile(r"(?:.*<)?([^<>]+?)>?")
_HEADERS = ("Message-ID", "In-Reply-To", "References", "List-Id", "Auto-Submitted")
"""Headers that a document may set."""


def address_of(sender: str) -> str:
    """Return the address in a sender: `a@example.com` in `Imports <a@example.com>`."""
    found = _ADDRESS.fullmatch(sender.strip())
    return found[1] if found else sender.strip()


def domain_of(sender: str) -> str:
    """Return the domain in a sender's address; `localhost` if there is none."""
    return address_of(sender).rpartition("@")[2] or "localhost"


def message_id(id: str, sender: str) -> str:
    """Return the `Message-ID` of a mail, e.g. `<5f0c…@example.com>`: it follows from the mail's id.

    A hash, because an id may have characters that a header does not allow.
    """
    name = hashlib.blake2b(id.encode(), digest_size=16).hexdigest()
    return f"<{name}@{domain_of(sender)}>"


def message_bytes(document: Mapping[str, Any]) -> bytes:
    """Return the message of a document of `mail`, with line ends as SMTP has them.

    Raises:
        ValueError, KeyError, TypeError: the document cannot be a message, e.g. because a header has
            a line break.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = document["from"]
    message["To"] = ", ".join(document["to"])
    if document.get("replyTo"):
        message["Reply-To"] = document["replyTo"]
    message["Subject"] = document["message"]["subject"]
    message["Date"] = format_datetime(document["delivery"]["startTime"])
    for name in _HEADERS:
        if name in document["headers"]:
            message[name] = document["headers"][name]
    message.set_content(document["message"]["text"], cte="quoted-printable")
    message.add_alternative(document["message"]["html"], subtype="html", cte="quoted-printable")
    # The boundary would be random otherwise.
    boundary = hashlib.blake2b(message["Message-ID"].encode(), digest_size=12).hexdigest()
    message.set_boundary(f"=_{boundary}")
    return message.as_bytes()
