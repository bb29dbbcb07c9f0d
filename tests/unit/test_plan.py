"""Of the rows of one key the right one counts, and grouped documents end where they should."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.plan import Plan, Planner
from shared.schemas import Row
from tests.support.cells import see
from tests.support.imports import at


def row(ordinal: int, key: str, updated: int | None = None) -> Row:
    """Return a row of a key, updated so many minutes past noon."""
    return Row(
        line=ordinal + 2,
        ordinal=ordinal,
        key=key,
        values={},
        last_updated=None if updated is None else at("12:00") + timedelta(minutes=updated),
        blank=frozenset(),
    )


def plan(rows: list[Row], *, grouped: bool, chunk: int = 3, limit: int = 1000) -> Plan:
    """Return the plan of rows seen in chunks."""
    planner = Planner()
    for start in range(0, len(rows), chunk):
        see(planner, rows[start : start + chunk])
    return planner.plan(grouped=grouped, open_rows_limit=limit)


KEYED = st.lists(st.tuples(st.sampled_from("abcde"), st.none() | st.integers(-3, 3)), max_size=40)


@given(keyed=KEYED)
def test_the_row_updated_last_wins(keyed: list[tuple[str, int | None]]) -> None:
    """Of one key the row updated last counts, of equals the later one; no time is the oldest."""
    rows = [row(place, key, updated) for place, (key, updated) in enumerate(keyed)]
    best: dict[str, tuple[float, int]] = {}
    for place, (key, updated) in enumerate(keyed):
        rank = (float("-inf") if updated is None else updated, place)
        best[key] = max(best.get(key, rank), rank)

    made = plan(rows, grouped=False)

    assert {place for _, place in best.values()} == {
        ordinal for ordinal, place in enumerate(made.places(range(len(rows)))) if place >= 0
    }
    assert len(best) == made.documents
    assert len(rows) - len(best) == made.repeated


@given(keyed=KEYED, grouped=st.booleans())
def test_every_row_has_the_place_of_its_key(
    keyed: list[tuple[str, int | None]], grouped: bool
) -> None:
    """Rows have the same place where they have the same key, whether or not they count."""
    rows = [row(place, key, updated) for place, (key, updated) in enumerate(keyed)]

    made = plan(rows, grouped=grouped)

    places = [~at if at < 0 else at for at in made.places(range(len(rows))).tolist()]
    keys = [key for key, _ in keyed]
    assert len({*keys}) == len({*zip(keys, places, strict=True)})
    assert [*range(made.documents)] == sorted({*places})


@given(keys=st.lists(st.sampled_from("abcde"), max_size=40), limit=st.integers(1, 8))
def test_grouped_rows(keys: list[str], limit: int) -> None:
    """A document is complete with its last row, and no more rows are held than planned."""
    rows = [row(place, key) for place, key in enumerate(keys)]

    made = plan(rows, grouped=True, limit=10**6)
    open_rows: dict[str, list[Row]] = {}
    most = 0
    whole: dict[str, int] = {}
    for one, place in zip(rows, made.places(range(len(rows))), strict=True):
        open_rows.setdefault(one.key, []).append(one)
        most = max(most, sum(map(len, open_rows.values())))
        if place >= 0:
            whole[one.key] = len(open_rows.pop(one.key))

    assert not open_rows
    assert {key: keys.count(key) for key in keys} == whole
    assert max(1, -(-most // limit)) == plan(rows, grouped=True, limit=limit).partitions


def test_partitions_share_the_keys() -> None:
    """Every key belongs to one partition, and each partition has its share."""
    rows = [row(place, f"{place % 500}") for place in range(1000)]

    made = plan(rows, grouped=True, limit=100)

    assert 5 < made.partitions < 11
    shares = [0] * made.partitions
    for part in made.partition([str(number) for number in range(500)]):
        shares[part] += 1
    assert min(shares) > 500 / made.partitions / 2


def test_gaps_between_rows() -> None:
    """Ordinals of rows that are bad are simply not there."""
    made = plan([row(3, "a"), row(7, "b"), row(9, "a")], grouped=False)

    assert [False, True, True] == [place >= 0 for place in made.places([3, 7, 9])]


def test_no_rows() -> None:
    """A file without rows has a plan, too."""
    made = plan([], grouped=True)

    assert (0, 0, 1) == (made.documents, made.repeated, made.partitions)
