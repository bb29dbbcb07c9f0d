"""Mails to a connection's people: texts, outbox, delivery."""

from __future__ import annotations

from shared.mail.delivery import FAILED, FAILED_TODO, bouncing, send_due, send_now
from shared.mail.digest import digest
from shared.mail.mailbox import Bounce, Mailbox
from shared.mail.message import message_bytes
from shared.mail.outbox import (
    MailKind,
    Notice,
    addressed,
    notice_of,
    post,
    post_about,
    put_digest,
    put_welcomes,
    row_errors,
)
from shared.mail.texts import Content, announced, ended, overdue, refused_name, stopped

__all__ = [
    "FAILED",
    "FAILED_TODO",
    "Bounce",
    "Content",
    "MailKind",
    "Mailbox",
    "Notice",
    "addressed",
    "announced",
    "bouncing",
    "digest",
    "ended",
    "message_bytes",
    "notice_of",
    "overdue",
    "post",
    "post_about",
    "put_digest",
    "put_welcomes",
    "refused_name",
    "row_errors",
    "send_due",
    "send_now",
    "stopped",
]
