"""Search for documents of many rows that are larger than Firestore accepts, in constant memory.

A first reading adds up an upper bound of the rows' sizes, for all keys whose hashes begin alike.
Only if a sum is too large are the rows of these keys measured, in another reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.cloud.firestore_v1 import types
from numpy.typing import NDArray

from shared.core.arrays import Numbers

DOCUMENT_BYTES = 1024 * 1024
"""Bytes of a whole document that Firestore accepts."""
LINES = 5
"""Lines that are named for a document that is too large."""

_OUTSIDE = 2048
"""Approximate upper bound of the bytes of a document's name and its field `source`."""
_BITS = 16
_ARRAY: Any = types.ArrayValue.pb()
_DOCUMENT: Any = types.Document.pb()


class Sums:
    """Upper bounds of the sizes of keys' rows, added up for all keys whose hashes begin alike."""

    def __init__(self, row_bytes: int) -> None:
        """Begin; `row_bytes` are the bytes of the names of a row's fields."""
        self._row_bytes = row_bytes
        self._sums = np.zeros(1 << _BITS, np.int64)

    def add(self, found: NDArray[np.uint64], lengths: Numbers) -> None:
        """Add rows: the hashes of their keys, and their bytes in the file."""
        np.add.at(self._sums, _bucket(found), lengths.astype(np.int64) + self._row_bytes)

    @property
    def suspicious(self) -> bool:
        """True if there may be a document that is too large."""
        return bool(self._sums.max() > DOCUMENT_BYTES - _OUTSIDE)

    def suspects(self, found: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Mark the rows that may belong to such a document."""
        mask: NDArray[np.bool_] = self._sums[_bucket(found)] > DOCUMENT_BYTES - _OUTSIDE
        return mask


@dataclass(slots=True)
class Measured:
    """Measured sizes of the rows of one key."""

    items: int = 0
    """Bytes of the items, as Firestore counts them."""
    own: int = 0
    """Bytes of the document's own fields, in the last row."""
    rows: int = 0
    lines: list[int] = field(default_factory=list)
    """Lines of the first rows."""

    @property
    def too_large(self) -> bool:
        """True if the rows are too large for a document."""
        return self.items + self.own > DOCUMENT_BYTES - _OUTSIDE

    def count(self, line: int) -> None:
        """Count a row."""
        self.rows += 1
        if len(self.lines) < LINES:
            self.lines.append(line)

    def add(self, own: Sequence[bytes], item: bytes) -> None:
        """Add the size of a row: entries of the document's own fields, and the item of the row."""
        self.items += _size(_ARRAY.FromString(item).values)
        if own:
            self.own = _fields_size(_DOCUMENT.FromString(b"".join(own)).fields)

    def __str__(self) -> str:
        lines = ", ".join(f"{line:,}" for line in self.lines)
        more = self.rows - len(self.lines)
        return f"lines {lines} and {more:,} more" if more else f"lines {lines}"


def _bucket(found: NDArray[np.uint64]) -> NDArray[np.int64]:
    return (found[:, 0] >> np.uint64(64 - _BITS)).astype(np.int64)


# https://firebase.google.com/docs/firestore/storage-size


def _size(values: Iterable[Any]) -> int:
    return sum(map(_value_size, values))


def _fields_size(fields: Any) -> int:
    return sum(len(name.encode()) + 1 + _value_size(fields[name]) for name in fields)


def _value_size(value: Any) -> int:
    match value.WhichOneof("value_type"):
        case "string_value":
            return len(value.string_value.encode()) + 1
        case "map_value":
            return _fields_size(value.map_value.fields)
        case "array_value":
            return _size(value.array_value.values)
        case "boolean_value" | "null_value":
            return 1
    return 8
