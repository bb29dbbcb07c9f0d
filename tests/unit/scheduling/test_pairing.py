"""Orders start after the customers they belong to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.files.names import make_import_id
from shared.scheduling.pairing import (
    BlockedBy,
    NotBefore,
    Overdue,
    Ready,
    Timing,
    Waits,
    awaited_range,
    earliest_start,
    judge,
    later_range,
    matching_id,
    stand_in,
    waiting_range,
)
from tests.support.imports import at, make_import

WINDOW = timedelta(hours=12)
RULES = Timing(
    delay=timedelta(minutes=30),
    window=WINDOW,
    deadline=timedelta(hours=6),
    without_customers="hold",
)


@pytest.mark.parametrize(
    ("orders", "customers", "matching"),
    [
        ("orders_20230501T120000Z", [], None),
        ("orders_20230501T120000Z", ["customers_20230501T120000Z"], 0),
        ("orders_20230501T120000Z", ["customers_20230501T120001Z"], None),
        ("orders_20230501T120000Z", ["customers_20230501T000000Z"], 0),
        ("orders_20230501T120000Z", ["customers_20230430T235959Z"], None),
        (
            "orders_20230501T120000Z",
            [
                "customers_20230501T080000Z",
                "customers_20230501T113000Z",
                "customers_20230501T123000Z",
            ],
            1,
        ),
        ("orders_20230501T120000Z", ["bulk_customers_20230501T113000Z"], None),
        ("bulk_orders_20230501T120000Z", ["bulk_customers_20230501T113000Z"], 0),
        ("bulk_orders_20230501T120000Z", ["customers_20230501T113000Z"], None),
        ("orders_20230501T120000Z", ["rewards_20230501T113000Z"], None),
        ("orders_20230501T120000Z", ["orders_20230501T113000Z"], None),
    ],
)
def test_matching(orders: str, customers: list[str], matching: int | None) -> None:
    """The match is the latest customers file of the mode up to the orders, in the window."""
    expected = None if matching is None else customers[matching]

    assert expected == matching_id(orders, customers, window=WINDOW)


_TIMES = st.integers(0, 4_000_000_000).map(lambda second: datetime.fromtimestamp(second, UTC))


@given(orders=_TIMES, offset=st.integers(-90_000, 90_000))
def test_ranges_agree(orders: datetime, offset: int) -> None:
    """A customers file matches just when each lies in the range of ids that the other looks at."""
    o = make_import_id(mode="load", type="orders", exported_at=orders)
    c = make_import_id(
        mode="load", type="customers", exported_at=orders + timedelta(seconds=offset)
    )

    matches = matching_id(o, [c], window=WINDOW) == c

    first, last = awaited_range(o, window=WINDOW)
    assert matches == (first <= c <= last)
    first, last = waiting_range(c, "orders", window=WINDOW)
    assert matches == (first <= o <= last)
    first, last = later_range(c, window=WINDOW)
    assert first == c < last


def test_ranges_at_the_ends_of_time() -> None:
    """The first and the last possible times have ranges, too."""
    assert awaited_range("orders_00010101T000000Z", window=WINDOW) == (
        "customers_00010101T000000Z",
        "customers_00010101T000000Z",
    )
    assert waiting_range("customers_99991231T235959Z", "orders", window=WINDOW) == (
        "orders_99991231T235959Z",
        "orders_99991231T235959Z",
    )


@pytest.mark.parametrize(
    ("type", "mode", "waits"),
    [
        ("orders", "load", True),
        ("orders", "bulk", True),
        ("orders", "test", False),
        ("customers", "load", False),
        ("rewards", "load", False),
    ],
)
def test_paired(type: str, mode: Any, waits: bool) -> None:
    """Orders that will be loaded wait for customers; a check waits for nothing."""
    import_ = replace(make_import(f"{type}_20230501T120000Z"), mode=mode)

    assert import_.waits_for == ("customers" if waits else None)


ORDERS = make_import("orders_20230501T120000Z", uploaded=at("12:10"), status="scheduled")


def customers(status: str, uploaded: str = "12:00") -> Any:
    """Return the matching customers file in a status."""
    return make_import("customers_20230501T115500Z", uploaded=at(uploaded), status=status)


@pytest.mark.parametrize(
    ("now", "match", "verdict"),
    [
        ("12:10", None, Waits()),
        ("18:09", None, Waits()),
        ("18:10", None, Overdue()),
        ("12:29", customers("loaded"), NotBefore(at("12:30"))),
        ("12:30", customers("loaded"), Ready()),
        ("12:30", customers("loaded_with_rejects"), Ready()),
        ("12:29", customers("loading"), NotBefore(at("12:30"))),
        ("12:30", customers("loading"), BlockedBy("customers_20230501T115500Z")),
        ("12:30", customers("received"), BlockedBy("customers_20230501T115500Z")),
        ("12:30", customers("scheduled"), BlockedBy("customers_20230501T115500Z")),
        ("12:15", customers("rejected"), BlockedBy("customers_20230501T115500Z")),
        ("12:45", customers("failed"), BlockedBy("customers_20230501T115500Z")),
        ("18:10", customers("failed"), Overdue()),
        ("18:10", customers("loading"), Overdue()),
        ("18:10", customers("loaded"), Ready()),
        ("18:10", customers("loaded", uploaded="18:00"), NotBefore(at("18:30"))),
    ],
)
def test_orders(now: str, match: Any, verdict: object) -> None:
    """Orders start when the customers are loaded and half an hour has passed since their upload."""
    assert verdict == judge(
        ORDERS, now=at(now), rules=RULES, awaited=match, running=None, ahead=None
    )


@pytest.mark.parametrize("match", [None, customers("failed"), customers("loading")])
def test_overdue_orders_load_where_told_to(match: Any) -> None:
    """With ORDERS_WITHOUT_CUSTOMERS=load overdue orders start alone, and not a moment sooner."""
    rules = Timing(
        delay=RULES.delay, window=WINDOW, deadline=RULES.deadline, without_customers="load"
    )

    def verdict(now: str) -> object:
        return judge(ORDERS, now=at(now), rules=rules, awaited=match, running=None, ahead=None)

    assert Ready(alone=True) == verdict("18:10")
    assert Ready(alone=True) != verdict("18:09")


@pytest.mark.parametrize(
    ("match", "alone"), [(None, True), (customers("failed"), True), (customers("loaded"), False)]
)
def test_released_orders(match: Any, alone: bool) -> None:
    """Orders that a person has released start at once, alone if their customers are not there."""
    released = make_import(ORDERS.import_id, uploaded=at("12:10"), status="overdue", released=True)

    assert Ready(alone=alone) == judge(
        released,
        now=at("12:11"),
        rules=RULES,
        awaited=match,
        running=None,
        ahead=None,
    )


@pytest.mark.parametrize(
    ("import_id", "running", "ahead", "verdict"),
    [
        ("customers_20230501T120000Z", None, None, Ready()),
        ("customers_20230501T120000Z", "customers_x", None, BlockedBy("customers_x")),
        ("customers_20230501T120000Z", "customers_20230501T120000Z", None, Ready()),
        ("rewards_20230501T120000Z", None, None, Ready()),
        ("rewards_20230501T120000Z", None, "customers_x", BlockedBy("customers_x")),
        ("rewards_20230501T120000Z", "rewards_x", None, BlockedBy("rewards_x")),
        ("test_orders_20230501T120000Z", "orders_x", None, Ready()),
        ("test_rewards_20230501T120000Z", "rewards_x", "customers_x", Ready()),
    ],
)
def test_one_at_a_time(
    import_id: str, running: str | None, ahead: str | None, verdict: object
) -> None:
    """One import of a type runs at a time, rewards after running customers; checks do not wait."""
    assert verdict == judge(
        make_import(import_id),
        now=at("12:30"),
        rules=RULES,
        awaited=None,
        running=running,
        ahead=ahead,
    )


def test_start_is_never_before_the_upload() -> None:
    """Orders that come long after their customers start as soon as they are there."""
    late = make_import("orders_20230501T120000Z", uploaded=at("15:00"))

    assert at("15:00") == earliest_start(late, customers("loaded"), RULES)
    assert at("12:30") == earliest_start(ORDERS, customers("loaded"), RULES)
    assert earliest_start(ORDERS, None, RULES) is None


REJECTED = make_import("customers_20230501T100000Z", status="rejected", uploaded=at("10:30"))


@pytest.mark.parametrize(
    ("candidate", "stands_in"),
    [
        (("customers_20230501T103500Z", "loaded", "10:40"), True),
        (("customers_20230501T220000Z", "loaded_with_rejects", "22:01"), True),
        (("customers_20230501T220001Z", "loaded", "22:02"), False),
        (("customers_20230501T100000Z", "loaded", "10:40"), False),
        (("customers_20230501T095900Z", "loaded", "10:40"), False),
        (("customers_20230501T103500Z", "loaded", "10:30"), False),
        (("customers_20230501T103500Z", "rejected", "10:40"), False),
        (("customers_20230501T103500Z", "loading", "10:40"), False),
        (("bulk_customers_20230501T103500Z", "loaded", "10:40"), False),
    ],
)
def test_what_stands_in_for_rejected_customers(
    candidate: tuple[str, Any, str], stands_in: bool
) -> None:
    """A later export that has loaded, within the window, and that was uploaded afterwards."""
    id, status, uploaded = candidate
    other = make_import(id, status=status, uploaded=at(uploaded))

    assert (other if stands_in else None) == stand_in(REJECTED, [other], window=WINDOW)


def test_the_first_of_several_stands_in() -> None:
    """Of several corrected files the one that was exported first counts."""
    first, second = (
        make_import(f"customers_20230501T{hour}0000Z", status="loaded") for hour in (11, 12)
    )

    assert first == stand_in(REJECTED, [second, first], window=WINDOW)


def test_orders_of_rejected_customers_do_not_wait_for_the_delay() -> None:
    """There is nothing to wait for, and they say so at once."""
    orders = make_import("orders_20230501T100500Z", uploaded=at("10:06"))

    assert at("10:06") == earliest_start(orders, REJECTED, RULES)
