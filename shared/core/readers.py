"""Readers of settings: each returns the value of a text, or says what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from shared.core.errors import SettingsError

_DURATION = re.compile(r"([0-9]{1,12})(s|m|h|d)?")
_DATABASE = re.compile(r"\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9]")
_SECONDS = {None: 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


LONGEST = timedelta(days=36_500)
"""Longest time a setting may have. Added to any time of this century, it is a valid datetime."""


def read_duration(name: str, text: object) -> timedelta:
    """Return a length of time such as `5s`, `30m`, `12h` or `7d`; a bare number is seconds.

    Raises:
        SettingsError: the text is something else, or longer than `LONGEST`.
    """
    match = _DURATION.fullmatch(str(text).strip()) if isinstance(text, str | int) else None
    if match is None or isinstance(text, bool):
        raise SettingsError(name, "expected a length of time such as 30m, 12h or 90s")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds > LONGEST.total_seconds():
        raise SettingsError(name, f"expected a length of time of at most {LONGEST.days} days")
    return timedelta(seconds=seconds)


def between(least: str, most: str) -> Callable[[str, object], timedelta]:
    """Return a function that reads a length of time from `least` to `most`, e.g. `1s` to `1h`.

    Raises (the returned function):
        SettingsError: the text is no length of time, or outside the limits.
    """
    shortest, longest = read_duration("", least), read_duration("", most)

    def read(name: str, text: object) -> timedelta:
        length = read_duration(name, text)
        if not shortest <= length <= longest:
            raise SettingsError(name, f"expected a length of time from {least} to {most}")
        return length

    return read


read_orders_delay = between("0s", "30d")
"""Reads `ORDERS_DELAY`: Cloud Tasks accepts tasks for the next 30 days."""

_read_cadence_of_type = between("1m", f"{LONGEST.days}d")


def read_text(name: str, value: object) -> str:
    """Return a text without the blanks around it; it may not be blank."""
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(name, "expected a text that is not blank")
    return value.strip()


def read_database(name: str, value: object) -> str:
    """Return the name of a Firestore database: `(default)`, or e.g. `shop-imports`."""
    if not isinstance(value, str) or not _DATABASE.fullmatch(value):
        raise SettingsError(name, "expected (default) or a name such as shop-imports")
    return value


def read_share(name: str, value: object) -> float:
    """Return a share from 0 to 1, written as `0.2` or `20 %`."""
    try:
        if isinstance(value, bool):
            raise ValueError
        text = str(value).strip()
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingsError(name, "expected a share such as 0.2, or 20 %")
    return share


def read_whole(name: str, value: object) -> int:
    """Return a whole number from 0, of at most nine digits."""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}", str(value).strip()):
        raise SettingsError(name, "expected a whole number")
    return int(str(value))


def read_count(name: str, value: object) -> int:
    """Return a whole number from 1."""
    count = read_whole(name, value)
    if count < 1:
        raise SettingsError(name, "expected a whole number of 1 or more")
    return count


def read_time_zone(name: str, value: object) -> ZoneInfo:
    """Return a time zone, named as `Australia/Sydney`."""
    try:
        return ZoneInfo(read_text(name, value))
    except (KeyError, ValueError, OSError):
        raise SettingsError(
            name, "expected a time zone such as Australia/Sydney or Pacific/Auckland"
        ) from None


def read_choice(*choices: str) -> Callable[[str, object], Any]:
    """Return a function that reads one of these words."""

    def read(name: str, value: object) -> str:
        if value not in choices:
            raise SettingsError(name, f"expected {' or '.join(choices)}")
        return str(value)

    return read


def read_switch(name: str, value: object) -> bool:
    """Return True for `on` or true, False for `off` or false."""
    if isinstance(value, bool):
        return value
    if value not in ("on", "off"):
        raise SettingsError(name, "expected on or off")
    return value == "on"


def read_url(name: str, value: object) -> str:
    """Return a URL with a host, of http or https."""
    url = read_text(name, value)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("https", "http") and bool(parts.hostname) and url.isascii()
        usable = usable and url.isprintable() and " " not in url and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(name, "expected a URL such as https://example.com/path")
    return url


def read_currency(name: str, value: object) -> str:
    """Return a currency of three capitals, such as `AUD`."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z]{3}", value):
        raise SettingsError(name, "expected a currency of three capitals such as AUD")
    return value


def read_aliases(name: str, value: object) -> dict[str, str]:
    """Return a map from the retailer's column names to the published ones."""
    if not isinstance(value, Mapping) or not all(
        isinstance(name_in_file, str)
        and name_in_file.strip()
        and isinstance(known, str)
        and known.strip()
        for name_in_file, known in value.items()
    ):
        raise SettingsError(
            name, "expected a map from the retailer's column name to the published one"
        )
    return {name_in_file.strip(): known.strip() for name_in_file, known in value.items()}


def read_cadence(name: str, value: object) -> dict[str, timedelta]:
    """Return type of file -> time between two files, e.g. `{"orders": 12h}`."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise SettingsError(name, "expected a map from a type of file to a length of time")
    return {key: _read_cadence_of_type(f"{name}.{key}", text) for key, text in value.items()}
