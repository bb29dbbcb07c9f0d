"""How many shards a file is split into, which keys each is about, and which follow each other."""

from __future__ import annotations

from typing import Any

import pytest

from shared.ledger.imports import Import, RowCounts
from shared.ledger.parts import Span, StateObject, spans
from shared.ledger.shards import Shard, recounted
from shared.ledger.split import Split, shards_of
from shared.parsing.hashing import halves
from tests.support.imports import make_import

PART = StateObject(object="state/main/customers/x", generation=1, size=1, crc32c="AAAAAA==")


@pytest.mark.parametrize(
    ("size", "shards"),
    [(0, 1), (100, 1), (101, 2), (200, 2), (201, 4), (900, 16), (25_600, 256), (10**9, 256)],
)
def test_shards_of_a_file(size: int, shards: int) -> None:
    """A file is split into a power of two of shards of at most so many bytes, and 256 at most."""
    assert shards == shards_of(size, shard_bytes=100)


@pytest.mark.parametrize("shards", [1, 2, 8, 256])
def test_every_key_has_one_shard(shards: int) -> None:
    """The spans of all shards together are all keys, each once."""
    found = list(spans(shards))

    assert (found[0].low, found[-1].end) == (0, 2**64)
    assert [one.end for one in found[:-1]] == [one.low for one in found[1:]]
    high, _ = halves("100")
    assert sum(one.low <= high < one.end for one in found) == 1


@pytest.mark.parametrize(
    ("span", "within", "overlaps"),
    [
        (Span(64, 127), True, True),
        (Span(0, 255), True, True),
        (Span(64, 95), False, True),
        (Span(128, 255), False, False),
        (Span(0, 63), False, False),
    ],
)
def test_parts_and_spans(span: Span, within: bool, overlaps: bool) -> None:
    """A part of an index is read whole, in part or not at all for a span of keys."""
    part = StateObject(object="x", generation=1, size=1, crc32c="", first=64, last=127)

    assert (within, overlaps) == (part.within(span), part.overlaps(span))


def test_an_index_from_before_there_were_shards() -> None:
    """A part of which the ledger does not say what keys it is about is about all."""
    stored: dict[str, Any] = {"object": "x", "generation": 1, "size": 1, "crc32c": ""}

    assert StateObject(**stored).within(Span(0, 255))


def test_lanes() -> None:
    """Every shard is in one lane, in which the next one begins when it has ended."""
    split = Split(id="x", shards=8, at_once=3, read=1, rejected=0, base="", verdict=PART)

    lanes = [list(split.lane(first)) for first in range(3)]

    assert lanes == [[0, 3, 6], [1, 4, 7], [2, 5]]


def test_documents() -> None:
    """Import and shard are read as they were written."""
    split = Split(id="x", shards=8, at_once=3, read=1, rejected=0, base="", verdict=PART)
    whole = make_import("customers_20230501T110000Z", split=split)
    shard = Shard(
        connection="main", import_id=whole.import_id, number=3, split="x", rows_object=PART
    )

    assert whole == Import.from_document(
        connection=whole.connection, import_id=whole.import_id, data=whole.to_document()
    )
    assert shard == Shard.from_document(
        connection="main", import_id=whole.import_id, number=3, data=shard.to_document()
    )


def test_a_shard_that_is_counted_again() -> None:
    """What the import's count includes of a shard is replaced, not added to."""
    whole = make_import("customers_20230501T110000Z", rows=RowCounts(read=100, rejected=5))
    shard = Shard(
        connection="main", import_id=whole.import_id, number=0, split="x", rows_object=PART
    )

    whole, shard = recounted(whole, shard, RowCounts(loaded=30, unchanged=10))
    whole, shard = recounted(whole, shard, RowCounts(loaded=1, rejected=1))

    assert RowCounts(read=100, loaded=1, rejected=6) == whole.rows
