"""Strings are their pieces, one behind the other, wherever in the supply these are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.cells import Pool, Supply
from shared.schemas.pieces import Pieces, Strings

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


@given(
    table=st.integers(1, 6).flatmap(
        lambda width: st.lists(
            st.lists(PIECES, min_size=width, max_size=width), min_size=1, max_size=12
        )
    ),
    chosen=st.sets(st.integers(0, 11)),
    cut=st.integers(0, 6),
    instead=st.dictionaries(st.integers(0, 11), st.tuples(st.binary(), st.binary())),
)
def test_strings(
    table: list[list[tuple[int, bytes]]],
    chosen: set[int],
    cut: int,
    instead: dict[int, tuple[bytes, bytes]],
) -> None:
    """The two parts of each wanted row are its pieces before and behind a cut, or what stands in
    for them."""
    pool = Pool()
    pool.add(ALWAYS)
    supply = Supply(np.frombuffer(BLOCK, np.uint8), pool)
    columns = [*zip(*table, strict=True)]
    starts = [np.array([start for start, _ in column], np.int32) for column in columns]
    lengths = [np.array([len(part) for _, part in column], np.int32) for column in columns]
    pieces = [Pieces(starts[:cut], lengths[:cut]), Pieces(starts[cut:], lengths[cut:])]
    rows = sorted(row for row in chosen if row < len(table))

    strings = Strings(lambda: pieces, supply, np.array(rows, np.int64), instead)

    expected: list[bytes] = []
    for row in rows:
        octets = [part for _, part in table[row]]
        own = (b"".join(octets[:cut]), b"".join(octets[cut:]))
        expected += instead.get(row, own)
    assert expected == strings.join()
