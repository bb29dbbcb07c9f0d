"""Vectorized reading: the cells of a whole column at once, with surely the result of their kind.

All functions here take cells as arrays of bytes and return only what is certain. About an unusual
cell they return nothing, and the cell is read alone by its kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from shared.core.arrays import Mask, Numbers, Octets, Words

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

UNREAD = np.iinfo(np.int64).min
"""Value for a time or a whole number that must be read alone."""

Doubles: TypeAlias = npt.NDArray[np.float64]
"""Numbers with decimals. NaN is a cell that must be read alone, or that is a whole number."""

NUMBER_BYTES = 16
"""Bytes of the longest number that is read here. All such numbers are exact as doubles."""
_TENS = np.array([10**power for power in range(NUMBER_BYTES + 1)])

_FORM = b"0000-00-00T00:00:00"
MOMENT_BYTES = len(_FORM)
DAY_BYTES = 10
_DAYS_OF_MONTH = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, *[0] * 115])

_CENTURIES = range(19, 21)
_FIRST_YEAR = _CENTURIES.start * 100
_YEARS = len(_CENTURIES) * 100
_UNASKED = UNREAD + 1
_IN_A_DAY = (timedelta(hours=12), timedelta(days=1, seconds=-1))
"""Times of a day at which the offset is checked again. No zone has ever changed it twice in 24
hours."""


def _each(octet: int) -> np.uint64:
    """Return a word of eight such bytes."""
    return np.uint64(octet * 0x0101010101010101)


_LOW, _HIGH, _SEVEN_BITS = _each(0x01), _each(0x80), _each(0x7F)
_NONE, _ALL = np.uint64(0), _each(0xFF)

_MEANINGS = bytearray(256)
"""Meanings of a byte in an e-mail address, as bits: known, @, dot, known only before the @."""
for _sign in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
    _MEANINGS[_sign] = 0b0001
for _sign in b"!#$%&'*+/=?^`{|}~":
    _MEANINGS[_sign] = 0b1001
_MEANINGS[ord("@")], _MEANINGS[ord(".")] = 0b011, 0b101


def read_moments(signs: Octets, zone: ZoneInfo) -> Numbers:
    """Read times `YYYY-MM-DDTHH:MM:SS` of a zone.

    Returns seconds since 1970. UNREAD for all other cells, and on days when the zone changes its
    offset. `signs` has a row per cell and 19 columns, or more columns with zeros after the cell's
    end.
    """
    good, pairs = _of_form(_FORM, signs)
    # The first day of 1900 is used for cells without a day.
    year = _number(pairs[0], 0) * 100 + _number(pairs[0], 2) - _FIRST_YEAR
    month, day = _number(pairs[0], 5), _number(pairs[1], 0)
    hour, minute, second = _number(pairs[1], 3), _number(pairs[1], 6), _number(pairs[2], 1)
    good &= (year > 0) & (year < _YEARS) & (month <= 12) & (day <= 31)
    good &= (hour < 24) & (minute < 60) & (second < 60)
    midnights = _midnights(zone).at(((year << 9) + (month << 5) + day) * good)
    good &= midnights != UNREAD
    return np.where(good, midnights + ((hour * 60 + minute) * 60 + second), UNREAD)


def no_time(signs: Octets, lengths: Numbers) -> Mask:
    """Return True for cells, with a day or a day and a time, that certainly have no time."""
    return (lengths <= DAY_BYTES) | midnights(signs, lengths)


def midnights(signs: Octets, lengths: Numbers) -> Mask:
    """Return True for cells of 19 bytes that end in T00:00:00.

    `signs` has a row per cell and 24 columns."""
    _, second, third = _words(signs)
    good: Mask = (second >> np.uint64(16) == _MIDNIGHT[0]) & (third == _MIDNIGHT[1])
    good &= lengths == MOMENT_BYTES
    return good


_MIDNIGHT = tuple(np.uint64(int.from_bytes(part, "little")) for part in (b"T00:00", b":00"))


def digits(signs: Octets, lengths: Numbers) -> Mask:
    """Return True for cells with only digits; `signs` has a row per cell, zeros after its end."""
    return _all_are(_digits, signs, lengths)


def letters_and_digits(signs: Octets, lengths: Numbers) -> Mask:
    """Return True for cells with only letters and digits, both ASCII."""
    return _all_are(_letters_and_digits, signs, lengths)


def codes(signs: Octets, lengths: Numbers, *, decimals: bool = False) -> Mask:
    """Return True for ASCII cells, without blanks around them, that are certainly no damaged codes.

    Cells that begin like a number hold no plus after the first sign. They hold a dot or comma only
    if `decimals` may be part of a code.
    """
    begins = BEGINS[signs[:, 0]]
    words = _words(signs)
    wide = _unprinted(words[0])
    for word in words[1:]:
        wide |= _unprinted(word)
    good: Mask = (wide == _NONE) & (lengths <= signs.shape[1])
    good &= begins < MARK
    marked = np.flatnonzero(begins == MARK)
    if len(marked):  # #1135 is a number of an order
        first, second = signs[marked, 0], words[0][marked] >> np.uint64(8) & np.uint64(0xFF)
        good[marked] = (first == ord("#")) & (second >= 0x30) & (second <= 0x39)
        good[marked] |= (first | 0x20 == ord("e")) & (words[0][marked] & _FOUR | _SMALL != _ERR)
        good[marked] &= (wide[marked] == _NONE) & (lengths[marked] <= signs.shape[1])
    rows = np.flatnonzero(begins == NUMBER)
    if len(rows):
        dubious = _beside(words[0][rows] & ~np.uint64(0xFF), decimals)
        for word in words[1:]:
            dubious |= _beside(word[rows], decimals)
        good[rows] &= (dubious & _HIGH) == _NONE
    return good


def _beside(word: Words, decimals: bool) -> Words:
    """Set the high bits of bytes that are a plus or, unless decimals are allowed, dot or comma."""
    if decimals:
        return _between(word, 0x2B, 0x2B)
    return _between(word, 0x2B, 0x2C) | _between(word, 0x2E, 0x2E)


NUMBER, MARK = 1, 2
BEGINS = np.zeros(256, np.uint8)
"""Possible damage of a code by its first byte: NUMBER, MARK (a sign before the text), or 0 for
neither."""
BEGINS[[*b"0123456789+-"]] = NUMBER
BEGINS[[*b"#='\"eE"]] = MARK
_FOUR, _SMALL = np.uint64(0xFFFFFFFF), np.uint64(0x20202020)
_ERR = np.uint64(int.from_bytes(b"err:", "little"))


def days(signs: Octets, lengths: Numbers) -> Mask:
    """Return True for days of the calendar, `YYYY-MM-DD`, from 1901 to 2099, except 29 February."""
    return born_between(signs, lengths, _FIRST_YEAR + _YEARS)


def born_between(signs: Octets, lengths: Numbers, end: int) -> Mask:
    """Return True for such days of the years from 1901 to before `end`."""
    good, pairs = _of_form(_FORM[:DAY_BYTES], signs)
    month, day = _number(pairs[0], 5), _number(pairs[1], 0)
    year = _number(pairs[0], 0) * 100 + _number(pairs[0], 2)
    good &= (year > _FIRST_YEAR) & (year < min(end, _FIRST_YEAR + _YEARS))
    good &= (day > 0) & (day <= _DAYS_OF_MONTH[month & 0x7F]) & (lengths == DAY_BYTES)
    return good


def addresses(signs: Octets, lengths: Numbers) -> Mask:
    """Return True for cells that certainly are e-mail addresses.

    Such an address has letters, digits and the usual signs, and one @. There is text before the @,
    and labels with dots between them after it.
    """
    meanings = np.frombuffer(signs.tobytes().translate(_MEANINGS), np.uint8).reshape(signs.shape)
    count = len(signs)
    known, ats = np.zeros(count, np.uint8), np.zeros(count, np.uint8)
    wrong, dotted, behind, carried = (np.zeros(count, np.uint64) for _ in range(4))
    for word in _words(meanings):
        at, dot = word >> np.uint64(1) & _LOW, word >> np.uint64(2) & _LOW
        known += np.bitwise_count(word & _LOW)
        ats += np.bitwise_count(at)
        # If the word has an @, all bytes after the @; else all bytes or none.
        domain = ~(at | (at - np.uint64(1))) | behind
        behind |= _NONE - (at != _NONE).astype(np.uint64)
        before = word << np.uint64(8) | carried
        carried = word >> np.uint64(56)
        dotted |= domain & dot
        wrong |= domain & word >> np.uint64(3) & _LOW
        wrong |= (domain & dot & (before >> np.uint64(1) | before >> np.uint64(2))) | (
            ~word & _LOW & before >> np.uint64(2)
        )
    wrong |= carried >> np.uint64(2)
    first = _NOT_FIRST[signs[:, 0]]
    good: Mask = (known == lengths) & (ats == 1) & (wrong == _NONE) & (dotted != _NONE) & ~first
    return good


def lower_letters(words: Words) -> tuple[Words, Mask]:
    """Return ASCII texts in lower case, and True for each text that changed."""
    capital = _between(words, 0x41, 0x5A) & _HIGH
    return words | capital >> np.uint64(2), (capital != _NONE).any(axis=1)


_NOT_FIRST = np.zeros(256, bool)
"""Signs that begin no address: an @, and signs that are used as quotes."""
_NOT_FIRST[[*b"@'`"]] = True


def read_whole(signs: Octets, lengths: Numbers) -> tuple[Numbers, Doubles]:
    """Read numbers that are whole, written with or without decimals.

    `signs` has a row per cell and 8 columns or NUMBER_BYTES, with zeros after the cell's end.
    """
    good, minus, whole, rest, _ = _parts(signs, lengths)
    return np.where(good & (rest == 0), minus * whole, UNREAD), np.full(len(signs), np.nan)


def read_cents(signs: Octets, lengths: Numbers) -> tuple[Numbers, Doubles]:
    """Read amounts of money as cents; see `read_whole`."""
    good, minus, whole, rest, parts = _parts(signs, lengths)
    cents, below = np.divmod(rest * 100, parts)
    cents += whole * 100
    return np.where(good & (below == 0), minus * cents, UNREAD), np.full(len(signs), np.nan)


def read_decimals(signs: Octets, lengths: Numbers) -> tuple[Numbers, Doubles]:
    """Read numbers, all of them as doubles; see `read_whole`."""
    good, minus, whole, rest, parts = _parts(signs, lengths)
    # With decimals, both numbers are below 2**53, so exact as doubles, and their quotient is the
    # nearest.
    doubles = np.where(rest == 0, whole.astype(np.float64), (whole * parts + rest) / parts)
    return np.full(len(signs), UNREAD), np.where(good, minus * doubles + 0.0, np.nan)


def _parts(signs: Octets, lengths: Numbers) -> tuple[Mask, Numbers, Numbers, Numbers, Numbers]:
    """Return True for cells of digits, with an optional sign before and an optional dot among them.

    Also returns, for each cell: -1 or 1, the number before the dot, and the number after the dot as
    a numerator and a denominator.
    """
    negative = signs[:, 0] == ord("-")
    known = (negative | (signs[:, 0] == ord("+"))).astype(np.uint8)
    count = len(signs)
    figures, dots = np.zeros(count, np.uint8), np.zeros(count, np.uint8)
    number, dot = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for place, word in enumerate(_words(signs)):
        is_digit, is_dot = _digits(word) & _HIGH, _between(word, 0x2E, 0x2E) & _HIGH
        figures += np.bitwise_count(is_digit)
        dots += np.bitwise_count(is_dot)
        before = np.bitwise_count(is_dot - np.uint64(1)) >> 3  # all eight where there is none
        dot += before * (dot == 8 * place)
        number = number * 10**8 + _eight_digits(word & (is_digit >> np.uint64(7)) * np.uint64(15))
    good: Mask = (known + figures + dots == lengths) & (figures > 0) & (dots <= 1)
    # The zeros after a cell's end count as digits after its dot, so all cells have the same number
    # of them.
    behind = np.maximum(signs.shape[1] - np.minimum(dot, lengths), 0)
    whole, rest = np.divmod(number, _TENS[behind])
    return good, 1 - 2 * negative.astype(np.int64), whole, rest, _TENS[np.maximum(behind - 1, 0)]


def _eight_digits(word: Words) -> Numbers:
    """Return the number that bytes of 0 to 9 make. The first byte is the highest digit."""
    for bits, kept in ((8, 0x00FF00FF00FF00FF), (16, 0x0000FFFF0000FFFF), (32, 0xFFFFFFFF)):
        tens = np.uint64(10 ** (bits // 8))
        word = word * tens + (word >> np.uint64(bits)) & np.uint64(kept)
    return word.astype(np.int64)


def _all_are(wanted: Callable[[Words], Words], signs: Octets, lengths: Numbers) -> Mask:
    """Return True for cells with bytes of one kind only, whose high bits `wanted` sets."""
    count = np.zeros(len(signs), np.uint8)
    for word in _words(signs):
        count += np.bitwise_count(wanted(word) & _HIGH)
    all_are: Mask = count == lengths
    return all_are


def _digits(word: Words) -> Words:
    return _between(word, 0x30, 0x39)


def _letters_and_digits(word: Words) -> Words:
    return _between(word, 0x30, 0x39) | _between(word | _each(0x20), 0x61, 0x7A)


def _between(word: Words, least: int, most: int) -> Words:
    """Set the high bits of bytes that are no less and no more than two ASCII signs."""
    low = word & _SEVEN_BITS
    return (low + _each(0x80 - least)) & ~(low + _each(0x7F - most)) & ~word


def _unprinted(word: Words) -> Words:
    """Set the high bits of control characters and of bytes outside ASCII, and no others.

    Zeros fill cells up; they are no control characters here.
    """
    low = word & _SEVEN_BITS
    control = ~(low + _each(0x80 - 0x20)) & (low + _each(0x80 - 0x01)) | (low + _each(0x80 - 0x7F))
    unprinted: Words = (word | control) & _HIGH
    return unprinted


def _words(signs: Octets) -> list[Words]:
    """Return rows of bytes as words of eight, one array per place, filled up with zeros."""
    count, width = signs.shape
    if width % 8:
        filled = np.zeros((count, width + -width % 8), np.uint8)
        filled[:, :width] = signs
        signs = filled
    words = signs.view("<u8")
    return [words[:, place] for place in range(words.shape[1])]


def _of_form(form: bytes, signs: Octets) -> tuple[Mask, list[Words]]:
    """Return True for cells of a form, in which 0 is any digit and other signs are themselves.

    Also returns, for each word of the form, in each byte the number of that digit and the next.
    """
    wanted = form.ljust(max(signs.shape[1], len(form)) + 7 & ~7, b"\0")
    words = _words(signs)
    words += [np.zeros(len(signs), np.uint64)] * (len(wanted) // 8 - len(words))
    wrong = np.zeros(len(signs), np.uint64)
    pairs = []
    for place, word in enumerate(words):
        part = wanted[8 * place : 8 * place + 8]
        spare = bytes([0x76 if sign == 0x30 else 0x7F for sign in part])  # to the high bit
        digits = word ^ np.uint64(int.from_bytes(part, "little"))
        wrong |= ((digits & _SEVEN_BITS) + np.uint64(int.from_bytes(spare, "little"))) | digits
        pairs.append(digits * np.uint64(10) + (digits >> np.uint64(8)))
    good: Mask = (wrong & _HIGH) == _NONE
    return good, pairs


def _number(pairs: Words, place: int) -> Numbers:
    return (pairs >> np.uint64(8 * place) & np.uint64(0xFF)).astype(np.int64)


def microseconds(moment: datetime) -> int:
    """Return an aware time in microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def finer(time: str) -> int:
    """Return the nanoseconds of a written time that are beyond its microseconds."""
    match = _BEYOND_MICROSECONDS.search(time)
    return int(match[1].ljust(3, "0")) if match else 0


_BEYOND_MICROSECONDS = re.compile(r"[.,][0-9]{6}([0-9]{1,3})")


class _Midnights:
    """Times at which the days of a zone begin."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._known = np.full(_YEARS << 9, _UNASKED)

    def at(self, days: Numbers) -> Numbers:
        """Return when each day begins, in seconds since 1970.

        UNREAD for no day, or for a day on which the offset changes.

        A day is the number of its year, a month in four bits and a day of the month in five.
        """
        found = self._known[days]
        unasked = found == _UNASKED
        if unasked.any():
            for day in np.unique(days[unasked]).tolist():
                self._known[day] = self._ask(day)
            found = self._known[days]
        return found

    def _ask(self, day: int) -> int:
        try:  # by the clock on the wall
            local = datetime(_FIRST_YEAR + (day >> 9), day >> 5 & 0xF, day & 0x1F)  # noqa: DTZ001
        except ValueError:
            return int(UNREAD)
        offset = self._zone.utcoffset(local)
        if offset is None or any(self._zone.utcoffset(local + at) != offset for at in _IN_A_DAY):
            return int(UNREAD)
        return (local.replace(tzinfo=UTC) - _EPOCH - offset) // timedelta(seconds=1)


@lru_cache(2)
def _midnights(zone: ZoneInfo) -> _Midnights:
    return _Midnights(zone)
