"""Encodes values as Firestore's protobuf bytes, as the protobuf library does but faster.

A document's content is the entries of a `Document`'s map `fields`, sorted by name at every level.
So equal content has equal bytes, and bytes can be joined column by column (`parts`). The encoding
is described at https://protobuf.dev/programming-guides/encoding/.

Example: the field `city` = `Perth` is
`12 10 | 0a 04 "city" | 12 08 | 8a 01 05 "Perth"`: entry, name, value, text.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["FIELD", "MAP_FIELD", "Heads", "entry", "fields", "moments", "usual_moments", "value"]

FIELD = b"\x12"
"""Tag of an entry of a Document's `fields`."""
MAP_FIELD = b"\x0a"
"""Tag of an entry of a MapValue's `fields`."""

_NAME = b"\x0a"
_VALUE = b"\x12"
_ITEM = b"\x0a"

_NULL = b"\x58\x00"
_TRUE, _FALSE = b"\x08\x01", b"\x08\x00"
_INTEGER = b"\x10"
_DOUBLE = struct.Struct("<Bd")
_DOUBLE_TAG = 0x19
_TEXT = b"\x8a\x01"
_TIMESTAMP = b"\x52"
_MAP = b"\x32"
_ARRAY = b"\x4a"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TWO_TO_64 = 1 << 64


def varint(number: int) -> bytes:
    """Return a number from 0 to 2**64 - 1 in groups of seven bits: 150 is `96 01`."""
    if number < _READY:
        return _VARINTS[number]
    return _LOW[number & _READY - 1] + varint(number >> 14)


_READY = 1 << 14
"""Numbers below this one are encoded in advance. They take one byte or two, as most lengths do."""
_VARINTS = [
    bytes((number,) if number < 0x80 else (number & 0x7F | 0x80, number >> 7))
    for number in range(_READY)
]
_LOW = [bytes((number & 0x7F | 0x80, number >> 7 | 0x80)) for number in range(_READY)]
"""The two lowest groups of longer numbers, by the number's lowest 14 bits."""


def _sized(tag: bytes, content: bytes) -> bytes:
    return b"".join((tag, varint(len(content)), content))


def entry(tag: bytes, name: bytes, value: bytes) -> bytes:
    """Return one entry of a map of fields; `value` is the encoded value, see `value`."""
    return _sized(tag, _sized(_NAME, name) + _sized(_VALUE, value))


def fields(data: Mapping[str, Any], tag: bytes = FIELD) -> bytes:
    """Return the encoded entries of a map, sorted by name.

    Raises:
        KeyError, TypeError, ValueError: a value cannot be stored; `encoding` finds out which.
    """
    return b"".join([_field(tag, name, data[name]) for name in sorted(data)])


def _field(tag: bytes, name: str, item: Any) -> bytes:
    kind = type(item)
    if kind is str:
        content: bytes = item.encode()
        return Heads.text(tag, name.encode())[len(content)] + content
    if kind is dict:
        content = fields(item, MAP_FIELD)
        return Heads.map(tag, name.encode())[len(content)] + content
    content = _ENCODERS[kind](item)
    return Heads.value(tag, name.encode())[len(content)] + content


def value(item: Any) -> bytes:
    """Return the encoded `Value` of a Python value, in the types that `encoding` lists.

    Raises:
        KeyError, TypeError, ValueError: the value cannot be stored.
    """
    return _ENCODERS[type(item)](item)


def _integer(number: int) -> bytes:
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError
    return _INTEGER + varint(number if number >= 0 else number + _TWO_TO_64)


@lru_cache(1024)
def _timestamp(time: datetime) -> bytes:
    since = time - _EPOCH  # TypeError for a naive datetime
    seconds = since.days * 86_400 + since.seconds
    nanos = since.microseconds * 1_000
    stamp = b"\x08" + varint(seconds % _TWO_TO_64) if seconds else b""
    return _sized(_TIMESTAMP, stamp + b"\x10" + varint(nanos) if nanos else stamp)


def _array(items: Sequence[Any]) -> bytes:
    if any(type(item) is list for item in items):
        raise TypeError
    return _sized(_ARRAY, b"".join([_sized(_ITEM, value(item)) for item in items]))


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    str: lambda text: _sized(_TEXT, text.encode()),
    bool: lambda flag: _TRUE if flag else _FALSE,
    int: _integer,
    float: lambda number: _DOUBLE.pack(_DOUBLE_TAG, number),
    type(None): lambda _: _NULL,
    datetime: _timestamp,
    dict: lambda items: _sized(_MAP, fields(items, MAP_FIELD)),
    list: _array,
}


def encodes(type_: type, encoder: Callable[[Any], bytes]) -> None:
    """Add a Python type and the function that encodes its values."""
    _ENCODERS[type_] = encoder


class Heads(dict[int, bytes]):
    """The bytes before the content of a field, by the content's length in bytes.

    The content of a text is its UTF-8, that of a map its encoded entries. Fields of one name share
    their heads, those of other files included.

    Example: `Heads.text(FIELD, b"city")[5]` is `12 10 0a 04 "city" 12 08 8a 01 05`.
    """

    def __init__(self, levels: Iterable[tuple[bytes, bytes]], last: bytes = b"") -> None:
        """Take the levels of nested messages, outermost first, and the bytes before the content.

        A level is a tag, and the bytes before the next level inside the message.
        """
        self._levels = tuple(levels)
        self._last = last
        self._joined: dict[tuple[int, int], tuple[bytes, npt.NDArray[np.int32]]] = {}

    def __missing__(self, length: int) -> bytes:
        head, inside = self._last, length
        for tag, before in reversed(self._levels):
            head = before + head
            inside = length + len(head)
            head = tag + varint(inside) + head
        if length < _REMEMBERED:
            self[length] = head
        return head

    def joined(self, first: int, stop: int) -> tuple[bytes, npt.NDArray[np.int32]]:
        """Return the heads of the lengths from `first` up to `stop`, joined, and the size of each.

        Every file asks for the same ones.
        """
        made = self._joined.get((first, stop))
        if made is None:
            heads = [self[length] for length in range(first, stop)]
            sizes = np.array([len(head) for head in heads], np.int32)
            made = self._joined[first, stop] = b"".join(heads), sizes
        return made

    @classmethod
    @lru_cache(1024)
    def value(cls, tag: bytes, name: bytes) -> Heads:
        """Heads of a whole `Value` in a field of this name."""
        return cls(((tag, _sized(_NAME, name)), (_VALUE, b"")))

    @classmethod
    @lru_cache(1024)
    def integer(cls, tag: bytes, name: bytes) -> Heads:
        """Heads of an integer, by the length of its `varint`, in a field of this name."""
        return cls(((tag, _sized(_NAME, name)), (_VALUE, b"")), _INTEGER)

    @classmethod
    @lru_cache(1024)
    def text(cls, tag: bytes, name: bytes) -> Heads:
        """Return the heads of a text in a field of this name."""
        return cls(((tag, _sized(_NAME, name)), (_VALUE, b""), (_TEXT, b"")))

    @classmethod
    @lru_cache(1024)
    def time(cls, tag: bytes, name: bytes) -> Heads:
        """Return the heads of a time in whole seconds, by the length of the seconds' `varint`."""
        return cls(((tag, _sized(_NAME, name)), (_VALUE, b""), (_TIMESTAMP, b"")), b"\x08")

    @classmethod
    @lru_cache(1024)
    def map(cls, tag: bytes, name: bytes) -> Heads:
        """Return the heads of a map in a field of this name."""
        return cls(((tag, _sized(_NAME, name)), (_VALUE, b""), (_MAP, b"")))

    @classmethod
    @lru_cache(1024)
    def array(cls, tag: bytes, name: bytes) -> Heads:
        """Return the heads of an array in a field of this name."""
        return cls(((tag, _sized(_NAME, name)), (_VALUE, b""), (_ARRAY, b"")))

    @classmethod
    @lru_cache(1024)
    def item(cls) -> Heads:
        """Return the heads of a map that is an item of an array."""
        return cls(((_ITEM, b""), (_MAP, b"")))


_REMEMBERED = 4096


Entries: TypeAlias = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]
"""Encoded entries as rows of an array, padded with zeros, and the length of each in bytes."""


def integers(tag: bytes, name: bytes, numbers: npt.NDArray[np.int64]) -> Entries:
    """Return the encoded entry of each integer."""
    rest = numbers.view(np.uint64)
    sizes = np.ones(len(numbers), np.int64)
    for group in range(1, 10):
        sizes += rest >= np.uint64(1 << 7 * group)
    heads = [Heads.integer(tag, name)[size] for size in range(1, int(sizes.max(initial=1)) + 1)]
    entries = np.zeros((len(numbers), len(heads[-1]) + len(heads)), np.uint8)
    lengths = np.zeros(len(numbers), np.int64)
    for size, head in enumerate(heads, 1):
        which = np.flatnonzero(sizes == size)
        if len(which):
            groups = rest[which, None] >> np.arange(0, 7 * size, 7, dtype=np.uint64)
            groups |= np.uint64(0x80)
            groups[:, -1] &= np.uint64(0x7F)
            entries[which, : len(head)] = np.frombuffer(head, np.uint8)
            entries[which, len(head) : len(head) + size] = groups.astype(np.uint8)
            lengths[which] = len(head) + size
    return entries, lengths


def padded_integers(
    tag: bytes, name: bytes, numbers: npt.NDArray[Any], groups: int
) -> npt.NDArray[np.uint8]:
    """Return the encoded entry of each integer, all of one length: rows of an array.

    A number is its `padded_varints`; negative ones need ten groups.
    """
    rest = numbers.astype(np.uint64, copy=False)
    head = Heads.integer(tag, name)[groups]
    entries = np.empty((len(numbers), len(head) + groups), np.uint8)
    entries[:, : len(head)] = np.frombuffer(head, np.uint8)
    entries[:, len(head) :] = padded_varints(rest, groups)
    return entries


def doubles(tag: bytes, name: bytes, numbers: npt.NDArray[np.float64]) -> Entries:
    """Return the encoded entry of each number."""
    content = numbers.astype("<f8").view(np.uint8).reshape(len(numbers), 8)
    return _behind(Heads.value(tag, name)[9] + bytes((_DOUBLE_TAG,)), content)


def usual_moments(seconds: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return True for each time that `moments` can encode: from July 1978 to the year 3058.

    The times are in seconds since 1970.
    """
    return (seconds >= 1 << 28) & (seconds < 1 << 35)  # five groups of seven bits


def moments(tag: bytes, name: bytes, seconds: npt.NDArray[np.int64]) -> Entries:
    """Return the encoded entry of each timestamp, in whole seconds since 1970.

    Every time must be one of `usual_moments`; the entries of other times are not valid.
    """
    groups = padded_varints(seconds, 5)
    return _behind(Heads.time(tag, name)[groups.shape[1]], groups)


def _behind(head: bytes, contents: npt.NDArray[np.uint8]) -> Entries:
    heads = np.broadcast_to(np.frombuffer(head, np.uint8), (len(contents), len(head)))
    entries = np.hstack((heads, contents))
    return entries, np.full(len(entries), entries.shape[1])


def padded_varints(numbers: npt.NDArray[Any], groups: int) -> npt.NDArray[np.uint8]:
    """Return the `varint` of each number with so many groups of seven bits: rows of an array.

    Groups that a number does not need are zero, which every reader of protobuf takes. Five groups
    are enough for 0 to 2**35 - 1.
    """
    made = np.empty((len(numbers), groups), np.uint8)
    for group in range(groups):
        more = 0x80 if group < groups - 1 else 0
        made[:, group] = numbers >> numbers.dtype.type(7 * group) & 0x7F | more
    return made
