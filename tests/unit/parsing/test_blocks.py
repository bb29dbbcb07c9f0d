"""Blocks of documents, and how they are cut."""

from __future__ import annotations

import numpy as np
import pytest

from shared.parsing.blocks import Block, Incoming


def block(count: int, *, refers: bool = True) -> Block:
    """Return documents with keys that count up, every third of two rows."""
    return Block(
        keys=[f"{number:03}" for number in range(count)],
        wires=[bytes((number,)) for number in range(count)],
        keep=[frozenset(("subscribed",)) if number % 2 else frozenset() for number in range(count)],
        lines=[(number, 900) if number % 3 == 0 else (number,) for number in range(count)],
        places=[*range(count)],
        refers_to=[f"p{number}" for number in range(count)] if refers else [],
    )


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 100])
@pytest.mark.parametrize("size", [1, 7, 10, 200])
def test_lots(count: int, size: int) -> None:
    """Lots hold every document once, and no more than they may."""
    lots = [*block(count).lots(size)]

    assert sorted(key for lot in lots for key in lot.keys) == block(count).keys
    assert all(0 < len(lot) <= size for lot in lots)


def test_neighbours_are_spread() -> None:
    """Documents that follow each other in the file are in different lots."""
    first, second, third = block(9).lots(3)

    assert [lot.keys for lot in (first, second, third)] == [
        ["000", "003", "006"],
        ["001", "004", "007"],
        ["002", "005", "008"],
    ]


@pytest.mark.parametrize("refers", [True, False])
def test_parts(refers: bool) -> None:
    """What is taken of a block is the same document by document, however it is taken."""
    whole = block(10, refers=refers)
    marks = np.arange(10) % 4 == 1
    expected: list[Incoming] = [whole[at] for at in (1, 5, 9)]

    assert [*whole.some(marks)] == expected
    assert [*whole.part(slice(1, None, 4))] == expected
    assert [*whole.some(marks & ~marks)] == []


def test_rows() -> None:
    """A block knows how many rows its documents were made of."""
    assert block(4).rows == 6
