"""Mails to a connection's people: what is said and when, the outbox, and its delivery."""

from __future__ import annotations

from shared.mail.delivery import bouncing, send_due, send_now
from shared.mail.digest import digest
from shared.mail.mailbox import Bounce, Mailbox
from shared.mail.outbox import (
    MailKind,
    Notice,
    addressed,
    notice_of,
    post,
    put_digest,
    settings_within,
)
from shared.mail.texts import Content, ended, overdue, refused_name, stopped

__all__ = [
    "Bounce",
    "Content",
    "MailKind",
    "Mailbox",
    "Notice",
    "addressed",
    "bouncing",
    "digest",
    "ended",
    "notice_of",
    "overdue",
    "post",
    "put_digest",
    "refused_name",
    "send_due",
    "send_now",
    "settings_within",
    "stopped",
]
