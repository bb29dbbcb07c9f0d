"""How the cells of a whole column are read at once, wherever that comes to what `kinds` reads.

Everything here takes cells as arrays of bytes and says only what is certain: of a cell that is out
of the ordinary it says nothing, and its kind reads it alone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

UNREAD = np.iinfo(np.int64).min
"""Stands for a time that must be read alone."""

_FORM = b"0000-00-00T00:00:00"
MOMENT_BYTES = len(_FORM)
_DAYS = 16_384

_DIGIT = np.zeros(256, bool)
_DIGIT[list(b"0123456789")] = True
_LETTER_OR_DIGIT = _DIGIT.copy()
_LETTER_OR_DIGIT[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")] = True
_IN_ADDRESS = _LETTER_OR_DIGIT.copy()
_IN_ADDRESS[list(b"!#$%&'*+-/=?^_`{|}~.@")] = True
_DIGITS = np.array([place for place, sign in enumerate(_FORM) if sign == 0x30])
_OTHERS = np.array([place for place, sign in enumerate(_FORM) if sign != 0x30])
_DAY = 10 ** np.arange(7, -1, -1)
"""Makes a number YYYYMMDD of the digits of a date."""

_IN_A_DAY = (timedelta(hours=12), timedelta(days=1, seconds=-1))
"""Where on a day the offset is looked at again: no zone has ever changed it twice in 24 hours."""
_DAY_BYTES = 10
_DAYS_OF_MONTH = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, *[0] * 87])

Octets = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Read = Callable[[str, ZoneInfo], Any]


def read_moments(signs: Octets, zone: ZoneInfo, read: Read) -> npt.NDArray[np.int64]:
    """Read times `YYYY-MM-DDTHH:MM:SS`; returns seconds since 1970, UNREAD for all other cells.

    `signs` has a row a cell and 19 columns. `read` reads one time. It is asked once a day of the
    calendar, on which the zone must keep its offset for the times to lie as far from midnight as
    they say.
    """
    numbers = signs[:, _DIGITS].astype(np.int64) - 0x30
    good = ((numbers >= 0) & (numbers <= 9)).all(axis=1)
    good &= (signs[:, _OTHERS] == np.frombuffer(_FORM, np.uint8)[_OTHERS]).all(axis=1)
    hours, minutes, seconds = (
        numbers[:, place] * 10 + numbers[:, place + 1] for place in (8, 10, 12)
    )
    good &= (hours < 24) & (minutes < 60) & (seconds < 60)
    days, which = np.unique(np.where(good, numbers[:, :8] @ _DAY, 0), return_inverse=True)
    midnights = np.array([_midnight(day, zone, read) for day in days.tolist()], np.int64)
    midnight = midnights[which]
    found = midnight + hours * 3600 + minutes * 60 + seconds
    return np.where(good & (midnight != UNREAD), found, UNREAD)


def digits(signs: Octets, lengths: npt.NDArray[np.int64]) -> Mask:
    """Whether cells are nothing but digits; `signs` has a row a cell, zeros behind its end."""
    return _all_in(_DIGIT, signs, lengths)


def letters_and_digits(signs: Octets, lengths: npt.NDArray[np.int64]) -> Mask:
    """Whether cells are nothing but letters and digits, both ASCII."""
    return _all_in(_LETTER_OR_DIGIT, signs, lengths)


def days(signs: Octets, lengths: npt.NDArray[np.int64]) -> Mask:
    """Whether cells are days of the calendar, `YYYY-MM-DD`, from 1900 to 2099; not 29 February."""
    if signs.shape[1] < _DAY_BYTES:
        return np.zeros(len(signs), bool)
    date = signs[:, :_DAY_BYTES]
    numbers = date[:, _DIGITS[:8]].astype(np.int64) - 0x30
    good: Mask = ((numbers >= 0) & (numbers <= 9)).all(axis=1) & (lengths == _DAY_BYTES)
    good &= (date[:, 4] == 0x2D) & (date[:, 7] == 0x2D)
    century, month, day = (numbers[:, place] * 10 + numbers[:, place + 1] for place in (0, 4, 6))
    good &= (century == 19) | (century == 20)
    good &= (day > 0) & (day <= _DAYS_OF_MONTH[np.where(good, month, 0)])
    return good


def addresses(signs: Octets, lengths: npt.NDArray[np.int64]) -> Mask:
    """Whether cells certainly are e-mail addresses: letters, digits and the usual signs, one @,
    something before it, and labels with dots between them after it."""
    rows = np.arange(len(signs))
    at = signs == 0x40
    place = at.argmax(axis=1)
    dots = signs == 0x2E
    domain = np.arange(signs.shape[1]) > place[:, None]
    wrong = dots[:, 1:] & (dots[:, :-1] | at[:, :-1]) & domain[:, 1:]
    good: Mask = _all_in(_IN_ADDRESS, signs, lengths)
    good &= (at.sum(axis=1) == 1) & (place > 0) & (dots & domain).any(axis=1)
    good &= ~(wrong.any(axis=1) | dots[rows, lengths - 1])
    return good


def _all_in(wanted: Mask, signs: Octets, lengths: npt.NDArray[np.int64]) -> Mask:
    all_in: Mask = wanted[signs].sum(axis=1) == lengths
    return all_in


def microseconds(moment: datetime) -> int:
    """Return an aware time in microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


@lru_cache(_DAYS)
def _midnight(day: int, zone: ZoneInfo, read: Read) -> int:
    """Return when a day YYYYMMDD begins; UNREAD if it cannot be read or the offset changes."""
    text = f"{day:08}"
    date = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    try:
        midnight: datetime = read(f"{date}T00:00:00", zone)
        local = datetime.fromisoformat(date)  # by the clock on the wall, as `read` goes by it
    except (ValueError, OverflowError):
        return int(UNREAD)
    offset = zone.utcoffset(local)
    if any(zone.utcoffset(local + hours) != offset for hours in _IN_A_DAY):
        return int(UNREAD)
    return microseconds(midnight) // 1_000_000
