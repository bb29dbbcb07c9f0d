"""Rows of one key are known as such, and a document ends where it should."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

import shared.parsing.plan
from shared.parsing.checked import Row
from shared.parsing.plan import Plan, Planner
from tests.support.cells import see


def row(ordinal: int, key: str) -> Row:
    """Return a row of a key."""
    return Row(
        line=ordinal + 2,
        ordinal=ordinal,
        key=key,
        values={},
        last_updated=None,
        blank=frozenset(),
    )


def plan(
    rows: list[Row], *, rows_of_a_key: int | None = None, chunk: int = 3, limit: int = 1000
) -> Plan:
    """Return the plan of rows seen in chunks: the same for a small file and for a large one."""
    plans = []
    for small in (0, len(rows)):
        planner = Planner()
        for start in range(0, len(rows), chunk):
            see(planner, rows[start : start + chunk])
        with patch.object(shared.parsing.plan, "SMALL", small):
            plans.append(planner.plan(rows_of_a_key=rows_of_a_key, open_rows_limit=limit))
    several, one = plans
    assert several.keys.high.tolist() == one.keys.high.tolist()
    assert several.keys.low.tolist() == one.keys.low.tolist()
    assert several.places(range(len(rows))).tolist() == one.places(range(len(rows))).tolist()
    assert (several.repeated, several.partitions) == (one.repeated, one.partitions)
    return several


KEYS = st.lists(st.sampled_from("abcde"), max_size=40)


@settings(deadline=None)
@given(keys=KEYS)
def test_every_row_has_the_place_of_its_key(keys: list[str]) -> None:
    """Rows have the same place where they have the same key, whether or not they are the last."""
    made = plan([row(place, key) for place, key in enumerate(keys)])

    places = [~at if at < 0 else at for at in made.places(range(len(keys))).tolist()]
    assert len({*keys}) == len({*zip(keys, places, strict=True)})
    assert [*range(made.documents)] == sorted({*places})
    assert len(keys) - len({*keys}) == made.repeated


@settings(deadline=None)
@given(keys=KEYS)
def test_rows_that_are_alone(keys: list[str]) -> None:
    """A row is alone where no other has its key."""
    made = plan([row(place, key) for place, key in enumerate(keys)])

    alone = made.alone(made.places(range(len(keys)))).tolist()

    assert [keys.count(key) == 1 for key in keys] == alone


@settings(deadline=None)
@given(keys=KEYS, limit=st.integers(1, 8), held=st.none() | st.integers(1, 4))
def test_rows_of_one_document(keys: list[str], limit: int, held: int | None) -> None:
    """A document is complete with its last row, and no more rows are held than planned."""
    rows = [row(place, key) for place, key in enumerate(keys)]

    made = plan(rows, limit=10**6)
    open_rows: dict[str, list[Row]] = {}
    most = 0
    whole: dict[str, int] = {}
    for one, place in zip(rows, made.places(range(len(rows))), strict=True):
        open_rows.setdefault(one.key, []).append(one)
        most = max(most, sum(min(held or 40, len(of)) for of in open_rows.values()))
        if place >= 0:
            whole[one.key] = len(open_rows.pop(one.key))

    assert not open_rows
    assert {key: keys.count(key) for key in keys} == whole
    assert max(1, -(-most // limit)) == plan(rows, rows_of_a_key=held, limit=limit).partitions


def test_partitions_share_the_keys() -> None:
    """Every key belongs to one partition, and each partition has its share."""
    rows = [row(place, f"{place % 500}") for place in range(1000)]

    made = plan(rows, limit=100)

    assert 5 < made.partitions < 11
    shares = [0] * made.partitions
    for part in made.partition([str(number) for number in range(500)]):
        shares[part] += 1
    assert min(shares) > 500 / made.partitions / 2


def test_gaps_between_rows() -> None:
    """Ordinals of rows that are bad are simply not there."""
    made = plan([row(3, "a"), row(7, "b"), row(9, "a")])

    assert [place >= 0 for place in made.places([3, 7, 9])] == [False, True, True]


def test_no_rows() -> None:
    """A file without rows has a plan, too."""
    made = plan([])

    assert (made.documents, made.repeated, made.partitions) == (0, 0, 1)
