"""Rows of one key come to one document in whatever order they stand in the file."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.folding import get, put
from shared.firestore.bulk.encoding import decode_content, encode_content
from shared.parsing.columnar.parts import NEVER
from shared.parsing.repeats import Repeats, RowOfKey

CONSENT = "subscribed"
FIELDS = ("city", "address.line1", CONSENT)


@dataclass(frozen=True)
class Said:
    """What a row says: values, None where a field is cleared, nothing where it is left open."""

    updated: int | None
    fields: dict[str, Any]


def row(said: Said, ordinal: int) -> RowOfKey:
    content: dict[str, Any] = {}
    for path, value in said.fields.items():
        put(content, path, value)
    updated = NEVER if said.updated is None else said.updated
    left = dict.fromkeys(path for path in FIELDS if path not in said.fields)
    return RowOfKey(ordinal + 2, (updated, ordinal), encode_content(content), {**left})


def together(said: Iterable[Said]) -> RowOfKey:
    repeats = Repeats(frozenset({CONSENT}))
    for ordinal, one in enumerate(said):
        repeats.add(7, row(one, ordinal))
    return repeats.pop(7)


def expected(said: Sequence[Said]) -> tuple[dict[str, Any], set[str], int]:
    """Return content, fields left open, and which row counts, straight from the rule."""
    order = sorted(
        range(len(said)), key=lambda at: (said[at].updated is not None, said[at].updated or 0, at)
    )
    fields: dict[str, Any] = {}
    for at in order:
        fields |= said[at].fields
    consents = [(one.updated, one.fields[CONSENT]) for one in said if CONSENT in one.fields]
    latest = max((updated for updated, _ in consents if updated is not None), default=None)
    if consents:
        fields[CONSENT] = all(given for updated, given in consents if updated in (None, latest))
    content = {path: value for path, value in fields.items() if value is not None}
    return content, {*FIELDS} - fields.keys(), order[-1]


ROW = st.builds(
    Said,
    st.none() | st.integers(1, 3),
    st.fixed_dictionaries(
        {},
        optional={
            "city": st.sampled_from(("Perth", "Hobart", None)),
            "address.line1": st.sampled_from(("1 A St", None)),
            CONSENT: st.booleans(),
        },
    ),
)


@settings(max_examples=500, deadline=None)
@given(said=st.lists(ROW, min_size=1, max_size=9))
def test_rows_of_a_key(said: list[Said]) -> None:
    """However many rows: the latest word on each field counts, and in doubt a withdrawal."""
    content, left, counts = expected(said)

    made = together(said)

    found = decode_content(made.wire)
    assert content == {path: v for path in FIELDS if (v := get(found, path)) is not None}
    assert left == made.keep
    assert counts + 2 == made.line


NO, YES = {CONSENT: True}, {CONSENT: False}
"""PRIVACY No and Yes."""


@pytest.mark.parametrize(
    ("said", "subscribed"),
    [
        ([Said(1, NO), Said(2, YES)], False),
        ([Said(1, YES), Said(2, NO)], True),
        ([Said(1, YES), Said(2, {})], False),
        ([Said(1, YES), Said(1, NO)], False),
        ([Said(None, YES), Said(2, NO)], False),
        ([Said(None, NO), Said(2, YES)], False),
        ([Said(None, NO), Said(1, YES), Said(2, NO)], True),
        ([Said(None, YES), Said(None, NO)], False),
        ([Said(None, YES), Said(2, {}), Said(3, {})], False),
        ([Said(1, YES), Said(2, NO), Said(2, {"city": "Perth"})], True),
    ],
)
def test_consent(said: list[Said], subscribed: bool) -> None:
    """Of three rows, in any order, the latest that says something, and in doubt a withdrawal."""
    for order in itertools.permutations(said):
        assert subscribed is decode_content(together(order).wire)[CONSENT]


def test_few_rows_are_held() -> None:
    """However often a key repeats, hardly any of its rows are held."""
    repeats = Repeats(frozenset({CONSENT}))

    for ordinal in range(1000):
        repeats.add(7, row(Said(None, {"city": str(ordinal)}), ordinal))

    assert sum(map(len, repeats._rows.values())) <= 4
