"""Orders and rewards wait for their customers, and files of a type for each other."""

from __future__ import annotations

import pytest

from shared.loading.worker import work
from tests.integration.conftest import Make
from tests.support.imports import at
from tests.support.pipeline import Pipeline, customers_csv, orders_csv
from tests.support.silence import seize


def test_orders_follow_their_customers(pipeline: Pipeline) -> None:
    """Orders start half an hour after their customers file was uploaded, once it is loaded."""
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    pipeline.clock.advance("12:05")

    orders = pipeline.upload(
        "orders_20230501T115500Z.csv",
        orders_csv({"ORDER_NUMBER": "D1"}, {"ORDER_NUMBER": "D1", "LINE_NUMBER": "2"}),
    )

    assert orders is not None
    assert ("scheduled", at("12:30"), "customers_20230501T115500Z") == (
        orders.status,
        orders.scheduled_for,
        orders.paired_with,
    )
    pipeline.clock.advance("12:29")
    assert pipeline.run_due() == []
    pipeline.clock.advance("12:30")
    assert pipeline.run_due() == ["loaded"]
    order = pipeline.documents("orders")["D1"]
    assert (
        order["personId"],
        order["lineCount"],
        order["quantity"],
        order["valueCents"],
    ) == ("1", 2, 2, 1990)


def test_orders_wait_for_their_customers(pipeline: Pipeline) -> None:
    """Orders that come first wait without a task; their customers file schedules them."""
    waiting = pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    assert waiting is not None
    assert (waiting.status, waiting.task) == ("waiting", None)
    assert not pipeline.queue.waiting

    pipeline.clock.advance("13:00")
    pipeline.upload("customers_20230501T115000Z.csv", customers_csv({"PERIDX": "1"}))

    orders = pipeline.import_("orders_20230501T115500Z")
    assert ("scheduled", at("13:30")) == (orders.status, orders.scheduled_for)
    assert pipeline.run_due() == ["loaded"]
    pipeline.clock.advance("13:30")
    assert pipeline.run_due() == ["loaded"]
    assert pipeline.import_("orders_20230501T115500Z").rows.orphaned == 0


def test_orders_are_blocked_by_customers_that_have_not_ended(pipeline: Pipeline) -> None:
    """Orders whose time has come wait on for customers still unloaded, and go on by themselves."""
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    (customers,) = pipeline.queue.due(at("12:00"))
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    pipeline.clock.advance("12:30")

    assert pipeline.run_due() == ["blocked"]

    orders = pipeline.import_("orders_20230501T115500Z")
    assert orders.blocked_by == "customers_20230501T115500Z"
    assert "customers_20230501T115500Z" in orders.status_text
    assert pipeline.documents("orders") == {}
    assert work(customers, pipeline.services) == "loaded"
    assert pipeline.run_due() == ["loaded"]
    assert {"D1"} == set(pipeline.documents("orders"))


def test_orders_wait_for_the_correction_of_their_customers(pipeline: Pipeline) -> None:
    """Rejected customers block their orders until a corrected upload has been loaded."""
    pipeline.upload("customers_20230501T115500Z.csv", "CITY\r\nHobart\r\n")
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    assert pipeline.run_due() == ["rejected", "blocked"]

    pipeline.clock.advance("13:00")
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))

    assert pipeline.run_due() == ["not due", "loaded"]
    assert at("13:30") == pipeline.import_("orders_20230501T115500Z").scheduled_for
    pipeline.clock.advance("13:30")
    assert pipeline.run_due() == ["loaded"]


@pytest.mark.parametrize("name", ["customers_20230501T115500.csv", "customers_20230501.csv"])
def test_misnamed_customers_stop_no_orders(pipeline: Pipeline, name: str) -> None:
    """Orders take no notice of a misnamed file, even if its name begins like that of customers."""
    pipeline.upload(name, customers_csv({"PERIDX": "1"}))
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    pipeline.upload("customers_20230501T115400Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.clock.advance("12:30")

    assert pipeline.run_due() == ["loaded", "loaded"]


def test_misnamed_orders_stop_no_customers(pipeline: Pipeline) -> None:
    """Customers take no notice of a misnamed file whose name begins like that of orders."""
    pipeline.upload("orders_20230501T115500.csv", orders_csv({"ORDER_NUMBER": "D1"}))

    pipeline.upload("customers_20230501T115400Z.csv", customers_csv({"PERIDX": "1"}))

    assert pipeline.run_due() == ["loaded"]


def test_a_better_match_that_comes_late(pipeline: Pipeline) -> None:
    """Scheduled orders move to a later-exported customers file that arrives before they begin."""
    pipeline.upload("customers_20230501T110000Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    pipeline.run_due()
    pipeline.clock.advance("12:20")

    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))

    orders = pipeline.import_("orders_20230501T115500Z")
    assert ("customers_20230501T115500Z", at("12:50")) == (orders.paired_with, orders.scheduled_for)
    pipeline.clock.advance("12:30")
    assert sorted(pipeline.run_due()) == ["loaded", "not due"]
    pipeline.clock.advance("12:50")
    assert pipeline.run_due() == ["loaded"]


def test_overdue_orders_are_held(pipeline: Pipeline) -> None:
    """Orders without customers are overdue after the deadline and go on when these arrive."""
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    pipeline.clock.advance("17:59")
    assert pipeline.sweep()["revived"] == {}
    pipeline.clock.advance("18:00")

    assert pipeline.sweep()["revived"] == {"waiting": 1}

    assert pipeline.run_due() == ["overdue"]
    overdue = pipeline.import_("orders_20230501T115500Z")
    assert "6 hours" in overdue.status_text
    assert pipeline.sweep()["revived"] == {}
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    assert pipeline.run_due() == ["loaded"]
    pipeline.clock.advance("18:30")
    assert pipeline.run_due() == ["loaded"]


def test_overdue_orders_load_where_told_to(make: Make) -> None:
    """With ORDERS_WITHOUT_CUSTOMERS=load overdue orders are loaded, with a warning and orphans."""
    pipeline = make(orders_without_customers="load")
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    pipeline.clock.advance("18:00")
    pipeline.sweep()

    assert pipeline.run_due() == ["loaded"]

    import_ = pipeline.import_("orders_20230501T115500Z")
    assert import_.rows.orphaned == 1
    assert [warning["code"] for warning in import_.warnings] == [
        "order.without_customers_file",
        "order.customer_unknown",
    ]
    assert "D1" in import_.warnings[1]["message"]


def test_blocked_orders_become_overdue(pipeline: Pipeline) -> None:
    """Orders whose customers are never loaded are overdue after the deadline."""
    pipeline.upload("customers_20230501T115500Z.csv", "CITY\r\nHobart\r\n")
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    pipeline.clock.advance("12:30")
    assert sorted(pipeline.run_due()) == ["blocked", "rejected"]
    pipeline.clock.advance("18:00")
    pipeline.sweep()

    assert pipeline.run_due() == ["overdue"]


def test_rewards_follow_running_customers(pipeline: Pipeline) -> None:
    """Rewards load at once, unless customers are being loaded: then after them."""
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    (customers,) = pipeline.queue.due(at("12:00"))
    seize(pipeline, customers, until=at("12:01"))
    pipeline.upload("rewards_20230501T115500Z.csv", "PERIDX,TIER_NAME\r\n1,Gold\r\n")

    assert pipeline.run_due() == ["blocked"]

    pipeline.clock.advance("12:02")
    assert work(customers, pipeline.services) == "loaded"
    assert pipeline.run_due() == ["loaded"]
    assert pipeline.documents("rewards")["1"]["tier"] == {"name": "Gold"}


def test_one_import_of_a_type_at_a_time(pipeline: Pipeline) -> None:
    """A second customers file waits while the first is being loaded, and then goes on by itself."""
    pipeline.upload("customers_20230501T110000Z.csv", customers_csv({"PERIDX": "1"}))
    (first,) = pipeline.queue.due(at("12:00"))
    seize(pipeline, first, until=at("12:01"))
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "2"}))

    assert pipeline.run_due() == ["blocked"]
    assert work(first, pipeline.services) == "at work"
    pipeline.clock.advance("12:02")
    assert pipeline.run_due() == ["loaded", "loaded"]
    assert {"1", "2"} == set(pipeline.documents("customers"))
