"""Events: what is read of them, and what is no event about an object."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import BadRequest
from shared.gcp.events import StorageObject, read_event

EVENT: dict[str, Any] = {
    "kind": "storage#object",
    "bucket": "uploads",
    "name": "orders_20230501T115500Z.csv",
    "generation": "1682942100000000",
    "size": "100",
    "crc32c": "AAAAAA==",
    "timeCreated": "2023-05-01T12:00:00.000Z",
    "updated": "2023-05-02T12:00:00.000Z",
}


def test_event() -> None:
    """An event says which object came into being, and when."""
    assert StorageObject(
        bucket="uploads",
        name="orders_20230501T115500Z.csv",
        generation=1682942100000000,
        size=100,
        crc32c="AAAAAA==",
        uploaded_at=datetime(2023, 5, 1, 12, tzinfo=UTC),
    ) == read_event(EVENT)


@pytest.mark.parametrize("name", ["é" * 512, "../x", "\x00", "a//b", "😀" * 256, "__x__"])
def test_names(name: str) -> None:
    """Any name that an object can have is taken: judging it is for another."""
    assert name == read_event({**EVENT, "name": name}).name


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"name": ["a"]}, "name"),
        ({"name": "\ud800.csv"}, "name"),
        ({"name": "x" * 1_025}, "name"),
        ({"name": "é" * 513}, "name"),
        ({"bucket": None}, "bucket"),
        ({"bucket": {}}, "bucket"),
        ({"bucket": "x" * 10_000_000}, "bucket"),
        ({"generation": None}, "generation"),
        ({"generation": ""}, "generation"),
        ({"generation": "-1"}, "generation"),
        ({"generation": "1_0"}, "generation"),
        ({"generation": "١"}, "generation"),
        ({"generation": " 1"}, "generation"),
        ({"generation": 1.5}, "generation"),
        ({"generation": True}, "generation"),
        ({"generation": str(2**63)}, "generation"),
        ({"generation": "9" * 100_000}, "generation"),
        ({"size": "many"}, "size"),
        ({"size": str(2**63)}, "size"),
        ({"crc32c": None}, "crc32c"),
        ({"crc32c": "AAAA"}, "crc32c"),
        ({"crc32c": [["AAAAAA=="]]}, "crc32c"),
        ({"timeCreated": None, "updated": None}, "updated"),
        ({"timeCreated": "2023-05-01T12:00:00"}, "timeCreated"),
        ({"timeCreated": "0001-01-01T00:00:00+10:00"}, "timeCreated"),
        ({"timeCreated": "9999-12-31T23:59:59-10:00"}, "timeCreated"),
        ({"timeCreated": 1682942100}, "timeCreated"),
        ({"timeCreated": "yesterday"}, "timeCreated"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_describes_no_object(changes: dict[str, Any], key: str) -> None:
    """An event that can be about no object is refused by the field that cannot be, in few words."""
    with pytest.raises(BadRequest, match=f"its {key} cannot be used") as refused:
        read_event({**EVENT, **changes})

    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("data", [None, [], "x", b"x", 5, {}])
def test_what_is_no_event(data: object) -> None:
    """What is not a description of an object is refused."""
    with pytest.raises(BadRequest):
        read_event(data)


@pytest.mark.parametrize("kind", ["deleted", "archived", "metadataUpdated"])
def test_other_events(kind: str) -> None:
    """Only an object that has come into being is taken in."""
    with pytest.raises(BadRequest, match="type"):
        read_event(EVENT, type=f"google.cloud.storage.object.v1.{kind}")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*EVENT, "other"]), json_values, max_size=4), json_values)
def test_any_json(changes: dict[str, Any], data: Any) -> None:
    """Whatever JSON an event carries, it is read or refused."""
    for given_data in (data, {**EVENT, **changes}):
        try:
            read_event(given_data)
        except BadRequest:
            continue
