"""Python values and raw Firestore protobuf."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import numpy
import pandas
import pytest
from google.cloud.firestore_v1 import _helpers, types
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.firestore.encoding import decode_fields, encode_fields

RawDocument: Any = types.Document.pb()
RawValue: Any = types.Value.pb()

SYDNEY_SUMMER = timezone(timedelta(hours=11))


def encoded(data: Any) -> Any:
    document = RawDocument()
    encode_fields(data, document.fields)
    return document


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Zoë 日本 🛒",
        "0400 000 000",
        0,
        -(2**63),
        2**63 - 1,
        0.1,
        -0.0,
        float("inf"),
        True,
        False,
        None,
        datetime(2023, 4, 24, 20, 12, 30, 123456, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        {},
        [],
        {"a b": {"c.d": [{"e": [1]}, "f", {}]}},
    ],
    ids=repr,
)
def test_round_trip(value: object) -> None:
    """A value of every kind comes back as it went, of the same type."""
    actual = decode_fields(encoded({"field": value}).fields)

    assert {"field": value} == actual
    assert type(value) is type(actual["field"])


def test_time_zone_is_converted() -> None:
    """A time of any zone is stored as the same instant."""
    local = datetime(2023, 4, 25, 7, 12, 30, tzinfo=SYDNEY_SUMMER)

    actual = decode_fields(encoded({"at": local}).fields)["at"]

    assert datetime(2023, 4, 24, 20, 12, 30, tzinfo=UTC) == actual
    assert UTC is actual.tzinfo


def test_booleans_are_not_integers() -> None:
    """True is a boolean in Firestore, although Python counts it among the integers."""
    assert encoded({"on": True}).fields["on"].WhichOneof("value_type") == "boolean_value"


def test_any_mapping_at_the_top() -> None:
    """The document itself may be any mapping."""
    assert encoded({"a": 1}) == encoded(MappingProxyType({"a": 1}))


def test_unknown_kinds_survive() -> None:
    """A kind of value that is none of ours is handed over raw and can be written back."""
    document = RawDocument()
    document.fields["place"].geo_point_value.latitude = -33.86
    document.fields["photo"].bytes_value = b"\xff"

    assert document == encoded(decode_fields(document.fields))


DOCUMENTS = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        st.one_of(
            st.text(max_size=12),
            st.booleans(),
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=False),
            st.none(),
            st.datetimes(timezones=st.just(UTC)),
        ),
        lambda inner: st.one_of(
            st.dictionaries(st.text(max_size=6), inner, max_size=3),
            # Firestore has no array directly inside an array.
            st.lists(inner.filter(lambda item: not isinstance(item, list)), max_size=3),
        ),
        max_leaves=8,
    ),
    max_size=4,
)


@settings(max_examples=150)
@given(DOCUMENTS)
def test_same_as_the_client_library(data: dict[str, Any]) -> None:
    """What is encoded is, message for message, what google-cloud-firestore would send."""
    expected = RawDocument()
    for name, value in _helpers.encode_dict(data).items():
        expected.fields[name].CopyFrom(types.Value.pb(value))

    actual = encoded(data)

    assert expected == actual
    assert data == decode_fields(actual.fields)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a": Decimal("1.5")}, "a: a value of type Decimal cannot be stored"),
        ({"a": date(2023, 4, 24)}, "a: a value of type date cannot be stored"),
        ({"a": pandas.NaT}, "a: a value of type NaTType cannot be stored"),
        ({"a": pandas.NA}, "a: a value of type NAType cannot be stored"),
        ({"a": numpy.int64(1)}, "a: a value of type int64 cannot be stored"),
        ({"a": numpy.float64(1)}, "a: a value of type float64 cannot be stored"),
        ({"a": pandas.Timestamp.now(tz=UTC)}, "a: a value of type Timestamp cannot be stored"),
        ({"a": ("x",)}, "a: a value of type tuple cannot be stored"),
        ({"a": b"x"}, "a: a value of type bytes cannot be stored"),
        (
            {"ok": 1, "a": {"b": [1, {"c": set()}]}},
            "a.b[1].c: a value of type set cannot be stored",
        ),
        ({"a": datetime(2023, 4, 24)}, "a: a datetime without a time zone cannot be stored"),  # noqa: DTZ001
        ({"a": [[1]]}, "a[0]: an array directly inside an array"),
        ({"a": {1: "x"}}, "a: a field name of type int, not str"),
        ({None: "x"}, "the document: a field name of type NoneType, not str"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_types(data: dict[str, Any], message: str) -> None:
    """A value of any other type is refused with its field path."""
    with pytest.raises(TypeError) as caught:
        encoded(data)

    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a": {"b": 2**63}}, "a.b: an integer beyond 64 bits cannot be stored"),
        ({"a": [-(2**63) - 1]}, "a[0]: an integer beyond 64 bits cannot be stored"),
        ({"a": "Smith\ud800"}, "a: text that is not valid Unicode cannot be stored"),
        ({"a": {"Smith\ud800": 1}}, "a: a field name is not valid Unicode"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_impossible_values(data: dict[str, Any], message: str) -> None:
    """A value that Firestore cannot hold is refused with its field path, and not quoted."""
    with pytest.raises(ValueError) as caught:
        encoded(data)

    assert message == str(caught.value)
    # Nor may it be quoted by an error that this one was raised from.
    assert caught.value.__suppress_context__
