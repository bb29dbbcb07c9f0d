"""Settings of mail: the people of a connection who are mailed, the sender, and the mail server."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from shared.core.errors import SettingsError
from shared.core.readers import read_choice

NotifyOn = Literal[
    "rejected", "rows", "announced", "refused_name", "overdue", "stopped", "recovered"
]
"""Kinds of events that people can be mailed about, each with something to do or to be glad of."""

SuccessMail = Literal["digest", "each", "never"]

ADDRESSES = 10
"""Largest number of addresses of a connection."""

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = re.compile(rf"{_ATOM}(\.{_ATOM})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_LONGEST_ADDRESS = 254
_NAMED = re.compile(r"(?:[^<>,;:@\"\\()]*<([^<> ]+)>|([^<> ]+))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """The people of a connection who are mailed, and what about: its setting `notify`."""

    to: tuple[str, ...] = ()
    """Mail addresses, `notify.to`. Empty: nobody is mailed."""
    on: frozenset[str] = frozenset(get_args(NotifyOn))
    """Kinds of events that are mailed at once, `notify.on`."""
    success: SuccessMail = "digest"
    """Mails about files without errors, `notify.success`: one a day, one per file, or none."""


def read_notify(name: str, value: object) -> Notify:
    """Return the setting of a map such as `{"to": ["ann@example.com"], "success": "never"}`.

    A list may be written as text with commas: `"rejected, rows"`. None mails nobody. Addresses are
    personal data, so no error quotes one.

    Raises:
        SettingsError: a part cannot be used; the error names it.
    """
    if value is None:
        return Notify()
    if not isinstance(value, Mapping):
        raise SettingsError(name, "expected a map with to, on and success")
    if value.keys() - _PARTS.keys():
        raise SettingsError(name, f"expected no other parts than {', '.join(_PARTS)}")
    given = {key: part for key, part in value.items() if part is not None}
    return Notify(**{key: _PARTS[key](f"{name}.{key}", part) for key, part in given.items()})


def read_address(name: str, value: object) -> str:
    """Return a mail address such as `ann@example.com`.

    Raises:
        SettingsError: the value is something else; the error does not quote it.
    """
    text = value.strip() if isinstance(value, str) else ""
    if not _ADDRESS.fullmatch(text) or len(text) > _LONGEST_ADDRESS:
        raise SettingsError(name, "expected a mail address such as ann@example.com")
    return text


def address_key(address: str) -> str:
    """Return a hash that identifies a mail address, in upper or lower case, without naming it.

    Who knows the address can find the hash. So it is personal data, too.
    """
    return hashlib.blake2b(address.lower().encode(), digest_size=16).hexdigest()


def read_sender(name: str, value: object) -> str:
    """Return an address, with or without a name: `Shop imports <imports@example.com>`.

    Raises:
        SettingsError: the value is something else.
    """
    text = value.strip() if isinstance(value, str) else ""
    named = _NAMED.fullmatch(text)
    if named is None or not text.isprintable():
        raise SettingsError(name, "expected an address such as Shop imports <imports@example.com>")
    read_address(name, named[1] or named[2])
    return text


def read_mail_url(name: str, value: object) -> str:
    """Return the URL of a mail server, `smtps://…` or `smtp://…`, or of a folder, `file:/…`.

    Raises:
        SettingsError: the value is something else. The error does not quote it: it has a password.
    """
    url = value.strip() if isinstance(value, str) else ""
    try:
        parts = urlsplit(url)
        usable = url.isascii() and url.isprintable() and " " not in url
        if parts.scheme == "file":
            usable = usable and parts.path.startswith("/") and not parts.netloc
        else:
            usable = usable and parts.scheme in ("smtp", "smtps") and bool(parts.hostname)
            usable = usable and parts.port != 0 and bool(parts.username) == bool(parts.password)
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(
            name,
            "expected smtps://USER:PASSWORD@HOST:465, smtp://USER:PASSWORD@HOST:587 or file:/DIR, "
            "with %40 for an @ in the user or the password",
        )
    return url


def _read_addresses(name: str, value: object) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(read_address(name, one) for one in _list(name, value)))
    if len(found) > ADDRESSES:
        raise SettingsError(name, f"expected at most {ADDRESSES} addresses")
    return found


def _read_kinds(name: str, value: object) -> frozenset[str]:
    kinds = get_args(NotifyOn)
    found = frozenset(_list(name, value))
    if not found <= set(kinds):
        raise SettingsError(name, f"expected a list of {', '.join(kinds)}")
    return found


def _list(name: str, value: object) -> list[str]:
    """Return the texts of a list, or of a text with commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise SettingsError(name, "expected a list of texts")
    return [part.strip() for part in parts if part.strip()]


_PARTS: dict[str, Callable[[str, object], Any]] = {
    "to": _read_addresses,
    "on": _read_kinds,
    "success": read_choice(*get_args(SuccessMail)),
}
