"""Hashes of keys and contents, many at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pandas.util import hash_array


def halves(key: str) -> tuple[int, int]:
    """Return the 128 bits that identify a key, as two numbers: high and low."""
    high, low = hashes([key])[0].tolist()
    return high, low


def hashes(keys: Sequence[str]) -> NDArray[np.uint64]:
    """Return the `halves` of each key, one row per key."""
    return np.stack([hash64(keys, key) for key in _HALVES], axis=1)


def hash64(values: Sequence[str] | Sequence[bytes], key: str) -> NDArray[np.uint64]:
    """Return 64 bits of each value: its SipHash-2-4 with a key of 16 characters.

    The index stores these hashes, so they must never change.
    """
    found: NDArray[np.uint64] = hash_array(
        np.fromiter(values, object, len(values)), hash_key=key, categorize=False
    )
    return found


_HALVES = ("key of document1", "key of document2")
"""Keys of the two hashes of a document key. Together they give 128 independent bits."""
