"""Strings are their pieces, one behind the other, wherever in the supply these are."""

from __future__ import annotations

from itertools import chain, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.core.arrays import Numbers
from shared.firestore.bulk import wire
from shared.parsing.columnar.cells import Pool, Supply
from shared.parsing.columnar.groups import Made, Shares
from shared.parsing.columnar.pieces import Pieces, Strings

BLOCK = bytes(range(256)) * 2
ALWAYS = b"what is there for every chunk, and long enough to be moved in several goes"


def piece(start: int, length: int) -> tuple[int, bytes]:
    """Return a piece of the block, or, from behind, of what is always there."""
    if start >= 0:
        return start, BLOCK[start : start + length]
    start = max(start, -len(ALWAYS))
    return start, ALWAYS[start:][:length]


PIECES = st.builds(
    piece, st.integers(-len(ALWAYS), 256), st.sampled_from((0, 0, 1, 7, 31, 32, 33, 64, 65, 200))
)


TABLES = st.integers(0, 6).flatmap(
    lambda width: st.lists(
        st.lists(PIECES, min_size=width, max_size=width), min_size=1, max_size=12
    )
)


class Table:
    """Rows of pieces, and the supply that they lie in."""

    def __init__(self, rows: list[tuple[tuple[int, bytes], ...]]) -> None:
        pool = Pool()
        pool.add(ALWAYS)
        self.supply = Supply(np.frombuffer(BLOCK, np.uint8), pool)
        self._columns = [*zip(*rows, strict=True)]

    def pieces(self, rows: Numbers) -> Pieces:
        """Return the pieces of some rows."""
        starts = [np.array([start for start, _ in column], np.int32) for column in self._columns]
        sizes = [np.array([len(part) for _, part in column], np.int32) for column in self._columns]
        return Pieces([of[rows] for of in starts], [of[rows] for of in sizes])


@given(
    table=TABLES,
    chosen=st.sets(st.integers(0, 11)),
    instead=st.dictionaries(st.integers(0, 11), st.binary()),
)
def test_strings(
    table: list[tuple[tuple[int, bytes], ...]], chosen: set[int], instead: dict[int, bytes]
) -> None:
    """The string of each wanted row is its pieces, or what stands in for them."""
    rows = sorted(row for row in chosen if row < len(table))
    of = Table(table)

    strings = Strings(of.pieces, of.supply, np.array(rows, np.int64), instead)

    expected = [instead.get(row, b"".join([part for _, part in table[row]])) for row in rows]
    assert expected == strings.join()


@given(
    own=TABLES,
    items=TABLES,
    documents=st.lists(st.tuples(st.integers(0, 11), st.lists(st.integers(0, 11), max_size=4))),
    cuts=st.lists(st.integers(0, 6), min_size=3, max_size=3).map(sorted),
    at=st.integers(0, 2),
    total=st.integers(-(2**63), 2**63 - 1),
)
def test_gathered_documents(
    own: list[tuple[tuple[int, bytes], ...]],
    items: list[tuple[tuple[int, bytes], ...]],
    documents: list[tuple[int, list[int]]],
    cuts: list[int],
    at: int,
    total: int,
) -> None:
    """A document is what its last row says, and what is made of all its rows in between."""
    count = min(len(own), len(items))
    documents = [(row % count, [item % count for item in of]) for row, of in documents]
    first, second = Table(own), Table(items)
    edges = [0, *cuts, 6]
    totals = np.array([total - 1 if total > 0 else total, total] * len(documents), np.int64)
    totals = totals[: len(documents)]
    heads = wire.Heads.array(wire.FIELD, b"items")
    between: list[wire.Heads | Made] = [
        wire.integers(wire.FIELD, name, totals) for name in (b"a", b"b")
    ]
    between.insert(at, heads)

    shares = Shares(
        lambda rows, _: [
            Pieces(pieces.starts[start:end], pieces.lengths[start:end])
            for pieces in [first.pieces(rows)]
            for start, end in pairwise(edges)
        ],
        second.pieces,
        lambda rows: second.pieces(rows).sizes() > 0,
        first.supply,
        np.arange(count),
        {},
    )
    gathered = shares.gather(
        np.array([row for row, _ in documents], np.int64),
        np.array([item for _, of in documents for item in of], np.int64),
        np.array([len(of) for _, of in documents], np.int64),
        between,
        {},
    )

    expected = []
    for (row, of), number in zip(documents, totals.tolist(), strict=True):
        array = b"".join([part for item in of for _, part in items[item]])
        made = [wire.entry(wire.FIELD, name, wire.value(number)) for name in (b"a", b"b")]
        made.insert(at, heads[len(array)] + array if array else b"")
        octets = [part for _, part in own[row]]
        said = [b"".join(octets[start:end]) for start, end in pairwise(edges)]
        expected.append(b"".join([*chain(*zip(said, made, strict=False)), said[-1]]))
    assert expected == gathered
