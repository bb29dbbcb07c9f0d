"""The objects of an index that a file reads and merges, by their sizes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from shared.index import objects
from shared.index.choice import GROWTH, RECORDS_PER_READ, SMALL, first_merged, first_read
from shared.index.records import RECORD
from shared.ledger.parts import StateObject


def parts(sizes: Sequence[int]) -> list[StateObject]:
    """Return objects of so many records."""
    return [
        StateObject(object="o", generation=1, size=24 + size * RECORD.itemsize, crc32c="")
        for size in sizes
    ]


@pytest.mark.parametrize(
    ("sizes", "documents", "merged"),
    [
        ([], 10, 0),
        ([SMALL], 1, 0),
        ([SMALL + 1], 1, 1),
        ([1_000_000, 70_000, 900], 1_000, 2),
        ([1_000_000, 70_000, 900], 300_000, 0),
        ([1_000_000], 249_999, 1),
        ([1_000_000], 250_000, 0),
        ([1_000_000, 4 * SMALL, SMALL], SMALL // 4, 1),
    ],
)
def test_objects_that_are_merged(sizes: Sequence[int], documents: int, merged: int) -> None:
    """A file merges the newest objects, as long as they are not much larger than what it has."""
    assert merged == first_merged(parts(sizes), documents)


@pytest.mark.parametrize(
    ("sizes", "unknown", "read"),
    [
        ([1_000_000], 0, 1),
        ([1_000 * RECORDS_PER_READ], 1_000, 0),
        ([1_000 * RECORDS_PER_READ + 1], 1_000, 1),
        ([10**6, 10_000], 700, 0),  # a file of 1,000 rows, a third of them for the same documents
        ([10**7, 90_000], 100, 1),
        ([10**7, 90_000], 10, 2),
        ([], 10, 0),
    ],
)
def test_objects_that_are_read(sizes: Sequence[int], unknown: int, read: int) -> None:
    """The index is read where that costs less than the documents, from its newest object on."""
    assert read == first_read(parts(sizes), unknown)


def test_objects_stay_few() -> None:
    """However many files come, an index has few objects, and a record is rarely written again."""
    sizes: list[int] = []
    written = 0
    for _ in range(3_000):
        place = first_merged(parts(sizes), 1_000)
        sizes[place:] = [sum(sizes[place:]) + 1_000]
        written += sizes[-1]
        assert all(SMALL < larger > smaller for larger, smaller in pairwise(sizes))
        assert len(sizes) <= 6

    assert sum(sizes) == 3_000_000
    assert written <= 25 * sum(sizes)
    assert objects.count(parts(sizes)) == 3_000_000
    assert GROWTH == 4
