"""Firestore fields of records: written and read back by the fields of a dataclass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.core.serialize import from_fields, to_fields


@dataclass(frozen=True)
class Leg:
    """A part of a trip."""

    to_place: str
    by: str = field(default="train", metadata={"key": "means"})


@dataclass(frozen=True)
class Trip:
    """A record with parts, one of which may be missing."""

    id: str
    legs: tuple[Leg, ...] = ()
    way_back: Leg | None = None
    day_count: int = 1


HOME = Leg("home", "bus")


@pytest.mark.parametrize(
    ("trip", "document"),
    [
        (Trip("a"), {"legs": [], "wayBack": None, "dayCount": 1}),
        (
            Trip("a", (Leg("sea"), HOME), HOME, 3),
            {
                "legs": [
                    {"toPlace": "sea", "means": "train"},
                    {"toPlace": "home", "means": "bus"},
                ],
                "wayBack": {"toPlace": "home", "means": "bus"},
                "dayCount": 3,
            },
        ),
    ],
)
def test_there_and_back(trip: Trip, document: dict[str, Any]) -> None:
    """A record is written with its parts under its fields' names, and is the same when read."""
    assert to_fields(trip, without=("id",)) == document
    assert from_fields(Trip, document, id="a") == trip


def test_an_older_document() -> None:
    """A field that a document lacks has its default, and one of a later version is not read."""
    assert from_fields(Trip, {"wayBack": {"toPlace": "home"}, "later": 1}, id="a") == Trip(
        "a", way_back=Leg("home")
    )


def test_a_field_that_is_needed() -> None:
    """A document without a field that has no default cannot be read."""
    with pytest.raises(TypeError):
        from_fields(Leg, {"means": "bus"})
