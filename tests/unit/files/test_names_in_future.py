"""A name may not be ahead of its upload: the one who is right next would count as older."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.paths import View
from shared.files.names import Arrival, ExportFile, Misnamed, read_name
from tests.support.imports import at

NOON = at("12:00")
SYDNEY, AUCKLAND = ZoneInfo("Australia/Sydney"), ZoneInfo("Pacific/Auckland")


def arrival(zone: ZoneInfo = SYDNEY) -> Arrival:
    """Return an arrival at noon, UTC."""
    return Arrival(NOON, timedelta(minutes=15), zone)


@pytest.mark.parametrize(
    "name",
    [
        "customers_20230501T120000Z.csv",
        "customers_20230501T121500Z.csv",
        "test/au/orders_2023-05-01T12:15:00Z.csv",
        "bulk/rewards_00010101T000000Z.csv",
    ],
)
def test_a_time_that_may_be(name: str) -> None:
    """Clocks may differ by the tolerance."""
    assert isinstance(read_name(name, arrival()), ExportFile)


@pytest.mark.parametrize(
    ("name", "zone", "suggestion"),
    [
        ("customers_20230501T121501Z.csv", SYDNEY, "customers_20230501T021501Z.csv"),
        (
            "pending/au/customers_20230501T215500Z.csv",
            SYDNEY,
            "pending/au/customers_20230501T115500Z.csv",
        ),
        ("test/customers_20230501T235500Z.csv", AUCKLAND, "test/customers_20230501T115500Z.csv"),
        (
            "bulk/nz/orders_2023-05-01T23:55:00Z.csv",
            AUCKLAND,
            "bulk/nz/orders_2023-05-01T11:55:00Z.csv",
        ),
        ("customers_20230501T235500Z.csv", SYDNEY, None),
        ("customers_20240501T115500Z.csv", SYDNEY, None),
        ("customers_99991231T235959Z.csv", SYDNEY, None),
        ("customers_20230501T130000Z.csv", ZoneInfo("UTC"), None),
    ],
)
def test_a_time_in_the_future(name: str, zone: ZoneInfo, suggestion: str | None) -> None:
    """A file whose time is later is refused; local time with a Z has its name in UTC proposed."""
    read = read_name(name, arrival(zone))

    assert isinstance(read, Misnamed)
    assert ("name.in_future", suggestion) == (read.problem.code, read.suggestion)
    assert ("local time" in read.problem.message) == (suggestion is not None)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("customers_20230501T215500.csv", "customers_20230501T115500Z.csv"),
        ("Customers_20230501T115500Z.csv", "customers_20230501T115500Z.csv"),
        ("customers_20250501T215500.csv", None),
    ],
)
def test_no_suggestion_is_in_the_future(name: str, suggestion: str | None) -> None:
    """A name that is wrong for another reason is never corrected to one that would be refused."""
    read = read_name(name, arrival())

    assert isinstance(read, Misnamed)
    assert suggestion == read.suggestion


def test_the_gateway_says_so() -> None:
    """The gateway refuses the file at once and names the right name as its user knows it."""
    view = View(connection="au")
    place = view.place(b"/pending/customers_20230501T215500Z.csv")

    reason = view.why_not_upload(place, arrival()) or ""

    assert "The right name is: pending/customers_20230501T115500Z.csv [name.in_future]" in reason
