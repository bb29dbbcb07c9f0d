"""The records of an index: found, replaced and merged by key, whatever lies next to what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.firestore.bulk.encoding import encode_content
from shared.index import records as index
from shared.index.records import (
    RECORD,
    UNKNOWN,
    IndexRecords,
    Table,
    age_of,
    content_hashes,
    dropped,
    find,
    merged,
    overlaid,
    stamp_of,
)
from shared.ledger.feeds import Age
from shared.parsing.hashing import halves, hash64, hashes
from shared.parsing.plan import Keys
from tests.support.imports import at

# Few numbers at both ends of what 64 bits hold, so that halves of keys are often equal.
HALF = st.sampled_from((0, 1, 2, 2**63, 2**64 - 1))
KEY = st.tuples(HALF, HALF)
VALUE = st.tuples(
    st.integers(1, 2**64 - 1),
    st.integers(0, 2**62),
    st.integers(-(2**60), 2**60),
    st.integers(-(2**62), 2**62),
)
CONTENTS = st.dictionaries(KEY, VALUE, max_size=25)

Contents = dict[tuple[int, int], tuple[int, int, int, int]]


def records(contents: Contents) -> IndexRecords:
    """Return the records of some keys, sorted."""
    return np.array([(*key, *contents[key]) for key in sorted(contents)], dtype=RECORD)


def contents(
    blocks: Iterator[IndexRecords],
) -> list[tuple[tuple[int, int], tuple[int, int, int, int]]]:
    """Return keys and values of some blocks, in their order."""
    return [
        ((high, low), (content, updated, exported, generation))
        for block in blocks
        for high, low, content, updated, exported, generation in block.tolist()
    ]


def blocks(of: IndexRecords, size: int) -> Iterator[IndexRecords]:
    """Give records a block at a time, an empty one first."""
    yield of[:0]
    for start in range(0, len(of), size):
        yield of[start : start + size]


def table(keys: set[tuple[int, int]]) -> Table:
    """Return the table of a file with these keys."""
    ordered = sorted(keys)
    high, low = (np.array([key[half] for key in ordered], dtype=np.uint64) for half in (0, 1))
    return Table(Keys(high, low))


def test_a_record_has_48_bytes() -> None:
    """A million documents take 48 MB in the bucket, and a table of them hardly more."""
    assert RECORD.itemsize == 48


@given(old=CONTENTS, keys=st.sets(KEY, max_size=25), size=st.integers(1, 7))
def test_a_table_learns_its_own_keys(old: Contents, keys: set[tuple[int, int]], size: int) -> None:
    """A table takes over what an index says of its keys, and nothing of others."""
    learnt = table(keys)
    for block in blocks(records(old), size):
        learnt.learn(block)

    places = {key: place for place, key in enumerate(sorted(keys))}
    assert {key: key in old for key in keys} == {
        key: bool(learnt.known[place]) for key, place in places.items()
    }
    assert {key: old[key] for key in keys & old.keys()} == {
        key: (learnt.content(place), learnt.updated(place), exported, generation * sign)
        for key, place in places.items()
        if learnt.known[place]
        for exported, generation in [learnt.stamp(place)]
        for sign in [-1 if learnt.incomplete[place] else 1]
    }
    assert all(learnt.stamp(place)[1] >= 0 for place in places.values())


@given(old=CONTENTS, new=CONTENTS)
def test_a_table_keeps_what_it_knows(old: Contents, new: Contents) -> None:
    """Objects are learnt from the newest on: a record that is known is not replaced."""
    learnt = table({*old, *new})
    for known in (new, old):
        learnt.learn(records(known))

    assert sorted({**old, **new}.items()) == contents(iter([learnt.records(0, len(learnt.known))]))


@pytest.mark.parametrize("block", [1, 2, 100])
@given(
    old=CONTENTS, new=CONTENTS, unseen=st.sets(KEY, max_size=9), size=st.integers(1, 7), trusted=...
)
def test_the_next_index(
    block: int,
    old: Contents,
    new: Contents,
    unseen: set[tuple[int, int]],
    size: int,
    trusted: bool,
) -> None:
    """The next index has the file's own records in place of the old, and all others, in order."""
    own = table(new.keys() | unseen)
    for place, key in enumerate(sorted(new.keys() | unseen)):
        if key in new:
            content, updated, exported, generation = new[key]
            own.put(
                place,
                content=content,
                updated=updated,
                stamp=(exported, abs(generation)),
                incomplete=generation < 0,
            )
    stays = {
        key: value if trusted else (UNKNOWN, *value[1:])
        for key, value in old.items()
        if key not in unseen
    }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "BLOCK", block)
        found = contents(merged(blocks(records(old), size), own, trusted=trusted))

    assert sorted({**stays, **new}.items()) == found


@given(old=CONTENTS, new=CONTENTS, sizes=st.tuples(st.integers(1, 7), st.integers(1, 7)))
def test_overlaid_indexes(old: Contents, new: Contents, sizes: tuple[int, int]) -> None:
    """Of two indexes all records are there, in order; of a key in both the newer one."""
    found = contents(overlaid(blocks(records(old), sizes[0]), blocks(records(new), sizes[1])))

    assert sorted({**old, **new}.items()) == found


def test_no_index_and_no_keys() -> None:
    """Of nothing comes nothing."""
    assert contents(merged(iter([]), table(set()))) == []


@given(keys=st.sets(st.text(max_size=3), max_size=20), gone=st.sets(st.text(max_size=3)))
def test_dropped_keys(keys: set[str], gone: set[str]) -> None:
    """Of dropped keys nothing stays, of the others everything."""
    old: Contents = {halves(key): (1, 2, 3, 4) for key in keys}

    assert sorted(halves(key) for key in keys - gone) == [
        key for key, _ in contents(dropped(blocks(records(old), 4), gone))
    ]


def test_neighbours_are_not_mistaken() -> None:
    """Keys that differ in their last or first bits alone are different keys."""
    own = table({(5, 1), (5, 3), (6, 1)})
    others = records({(5, 0): _value(), (5, 2): _value(), (5, 4): _value(), (7, 1): _value()})

    assert find(own.keys, others).tolist() == [-1, -1, -1, -1]
    assert find(
        own.keys, records({(5, 1): _value(), (5, 3): _value(), (6, 1): _value()})
    ).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("stamp", "newer"), [((9, 9), True), ((10, 6), True), ((10, 7), False), ((11, 0), False)]
)
def test_all_newer(stamp: tuple[int, int], newer: bool) -> None:
    """Whether all documents were held by a newer file goes by time of export, then upload."""
    own = table({(1, 1), (2, 2)})
    for place, age in enumerate(((10, 7), (12, 0))):
        own.put(place, content=1, updated=1, stamp=age)

    assert newer is own.all_newer_than(stamp)
    assert not table({(1, 1)}).all_newer_than((0, 0))


def test_what_a_first_load_creates_is_no_other_file_s() -> None:
    """The same content has another hash where it was only created: consent was left out of it."""
    wire = encode_content({"a": 1})

    assert _hash(wire, frozenset(), create_only=True) != _hash(wire, frozenset())


def test_ages_come_back() -> None:
    """An age is the same after it was recorded."""
    age = Age(at("20230424T201230Z"), 1682367150123456)

    assert age == age_of(stamp_of(age))


@pytest.mark.parametrize(
    ("content", "keep"),
    [({"a": 2}, ()), ({"a": 1, "b": 1}, ()), ({"a": "1"}, ()), ({"a": 1}, ("a",)), ({}, ())],
)
def test_what_changes_the_hash(content: dict[str, Any], keep: tuple[str, ...]) -> None:
    """Another value, field, kind or open field makes another hash; the order of fields does not."""
    usual = _hash(encode_content({"a": 1}), frozenset())

    assert usual != _hash(encode_content(content), frozenset(keep))
    assert _hash(encode_content({"x": {"b": 1, "a": 2}, "c": 3}), frozenset("de")) == (
        _hash(encode_content({"c": 3, "x": {"a": 2, "b": 1}}), frozenset("ed"))
    )


def _hash(wire: bytes, keep: frozenset[str], *, create_only: bool = False) -> int:
    (hashed,) = content_hashes([wire], [keep], create_only=create_only)
    return int(hashed)


def _value() -> tuple[int, int, int, int]:
    return (1, 1, 1, 1)


def test_hashes_stay_as_they_are() -> None:
    """What an index was recorded with is found again by every later version."""
    assert halves("a") == (5788215143322038476, 15486649642267748247)
    assert halves("Ω" * 40) == tuple(hashes(["x", "Ω" * 40])[1].tolist())
    assert hash64([b"a\0b", b"a\0c", b"a"], "key of document1").tolist() == [
        5617712088679774665,
        1338555959043435641,
        5788215143322038476,
    ]
    assert hashes([]).shape == (0, 2)
