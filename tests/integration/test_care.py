"""What was forgotten is found, who must know is told, what is asked for is done again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.replaying import NotPossible, release, replay
from tests.integration.conftest import Make
from tests.support.alerts import alerts, overdue_orders
from tests.support.imports import at
from tests.support.pipeline import Pipeline, customers_csv, orders_csv

NAME = "customers_20230501T115500Z"


def later(pipeline: Pipeline, **span: int) -> None:
    """Set the clock so much later than the machine's: objects carry the machine's time."""
    pipeline.clock.now = datetime.now(UTC) + timedelta(**span)


# -- the bucket against the ledger ------------------------------------------------------------


def test_an_event_that_never_came(pipeline: Pipeline) -> None:
    """An object without an entry in the ledger is taken in by the sweep, once it is old enough."""
    pipeline.put(f"pending/au/{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.put("au/Orders_20230501.csv", "x")
    later(pipeline, minutes=9)
    assert {"found": 0, "settled": 0} == pipeline.sweep()["stock"]
    later(pipeline, minutes=11)

    assert {"found": 2, "settled": 0} == pipeline.sweep()["stock"]

    assert ["loaded"] == pipeline.run_due()
    assert {"1"} == set(pipeline.documents("customers", "au"))
    assert {"found": 0, "settled": 0} == pipeline.sweep()["stock"]


def test_an_event_of_a_correction_that_never_came(pipeline: Pipeline) -> None:
    """A newer upload whose event was lost takes over, too."""
    later(pipeline)
    pipeline.upload(f"{NAME}.csv", "CITY\r\nHobart\r\n")
    assert ["rejected"] == pipeline.run_due()
    pipeline.put(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    later(pipeline, minutes=11)

    assert 1 == pipeline.sweep()["stock"]["found"]
    assert ["loaded"] == pipeline.run_due()


def test_a_file_that_was_not_put_away(pipeline: Pipeline) -> None:
    """A loaded file that still lies where it was uploaded is put away by the sweep."""
    text = customers_csv({"PERIDX": "1"})
    event = pipeline.put(f"{NAME}.csv", text)
    later(pipeline)
    pipeline.upload(f"{NAME}.csv", text)
    pipeline.run_due()
    bucket = pipeline.services.bucket
    import_ = pipeline.import_(NAME)
    assert event.generation < import_.generation
    bucket.copy_blob(bucket.blob(f"processed/{NAME}.csv"), bucket, f"{NAME}.csv")
    restored = bucket.get_blob(f"{NAME}.csv")
    pipeline.database.document(f"connections/main/imports/{NAME}").update(
        {"generation": restored.generation}
    )
    later(pipeline, minutes=11)

    assert {"found": 0, "settled": 1} == pipeline.sweep()["stock"]
    assert f"{NAME}.csv" not in pipeline.objects()


# -- feeds ------------------------------------------------------------------------------------


def test_a_feed_that_stopped(pipeline: Pipeline) -> None:
    """A feed later than its cadence and its slack raises one alert, which the next file closes."""
    pipeline.database.document("connections/au").set({"cadence": {"customers": "1d"}})
    pipeline.upload(f"au/{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    pipeline.clock.advance(timedelta(hours=30))
    assert 0 == pipeline.sweep()["stopped"]
    pipeline.clock.advance(timedelta(minutes=1))

    assert 1 == pipeline.sweep()["stopped"]
    assert 1 == pipeline.sweep()["stopped"]

    (alert,) = alerts(pipeline).values()
    assert ("feed_stopped", "au", True, 1) == (
        alert["code"],
        alert["connection"],
        alert["open"],
        alert["count"],
    )
    assert "customers" in alert["what"]
    assert "1 May 2023 12:00:00 UTC" in alert["what"]
    pipeline.upload("au/customers_20230502T175500Z.csv", customers_csv({"PERIDX": "1"}))
    (alert,) = alerts(pipeline).values()
    assert not alert["open"]
    assert 0 == pipeline.sweep()["stopped"]


def test_a_feed_that_never_began(pipeline: Pipeline) -> None:
    """A feed that is expected and has never brought a file is missed, too."""
    later(pipeline)
    pipeline.database.document("connections/au").set({"cadence": {"orders": "30m"}})
    later(pipeline, minutes=89)
    assert 0 == pipeline.sweep()["stopped"]
    later(pipeline, minutes=91)

    assert 1 == pipeline.sweep()["stopped"]


def test_a_wrong_cadence_stops_no_sweep(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """A connection with wrong settings is named in the log; the others are watched all the same."""
    pipeline.database.document("connections/au").set({"cadence": "daily"})
    pipeline.database.document("connections/nz").set({"cadence": {"orders": "30m"}})
    later(pipeline, hours=3)

    assert 1 == pipeline.sweep()["stopped"]
    assert "connections/au.cadence" in capsys.readouterr().out


# -- retention --------------------------------------------------------------------------------


def test_retention(make: Make) -> None:
    """Processed files and reports go when their time is over, uploads that wait never."""
    pipeline = make(processed_retention=timedelta(days=7), reports_retention=timedelta(days=14))
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    pipeline.upload("orders_20200501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    assert 4 == len(pipeline.objects())
    later(pipeline, days=7, minutes=-1)
    assert 0 == pipeline.sweep()["deleted"]
    later(pipeline, days=7, minutes=1)

    assert 1 == pipeline.sweep()["deleted"]
    later(pipeline, days=14, minutes=1)
    assert 2 == pipeline.sweep()["deleted"]
    assert {"orders_20200501T115500Z.csv"} == pipeline.objects()


def test_retention_switched_off(make: Make) -> None:
    """With the clean-up switched off nothing is ever deleted."""
    pipeline = make(cleanup=False)
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    later(pipeline, days=4000)

    assert 0 == pipeline.sweep()["deleted"]


def test_the_ledger_expires(make: Make) -> None:
    """An ended import carries the time when it may go; one that is replayed no longer does."""
    pipeline = make(ledger_retention=timedelta(days=10))
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    assert pipeline.import_(NAME).expire_at is None
    pipeline.run_due()

    assert at("12:00") + timedelta(days=10) == pipeline.import_(NAME).expire_at


# -- replay and release -----------------------------------------------------------------------


def test_replay_of_a_loaded_import(pipeline: Pipeline) -> None:
    """A replay writes its rows again, from where the file was put away."""
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}, {"PERIDX": "2"}))
    pipeline.run_due()
    pipeline.database.document("connections/main/customers/1").update({"firstName": "Someone"})
    pipeline.database.document("connections/main/customers/2").delete()

    scheduled = replay("main", NAME, pipeline.services)

    assert ("scheduled", True) == (scheduled.status, scheduled.replay)
    assert ["loaded"] == pipeline.run_due()
    documents = pipeline.documents("customers")
    assert ["Ana", "Ana"] == [documents[key]["firstName"] for key in "12"]
    import_ = pipeline.import_(NAME)
    assert (2, False) == (import_.rows.loaded, import_.replay)


def test_replay_of_an_old_import(pipeline: Pipeline) -> None:
    """A replayed older file leaves what newer files have written as it is."""
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1", "PRIVACY": "No"}))
    pipeline.run_due()
    pipeline.upload(
        "customers_20230501T120500Z.csv", customers_csv({"PERIDX": "1", "PRIVACY": "Yes"})
    )
    pipeline.run_due()
    before = pipeline.documents("customers")

    replay("main", NAME, pipeline.services)

    assert ["loaded"] == pipeline.run_due()
    assert before == pipeline.documents("customers")
    assert 1 == pipeline.import_(NAME).rows.unchanged


def test_replay_of_a_rejected_import(pipeline: Pipeline) -> None:
    """A file refused for its columns loads in a replay once the connection has an alias."""
    pipeline.upload(f"{NAME}.csv", "CUST_NO,CITY\r\n1,Hobart\r\n")
    assert ["rejected"] == pipeline.run_due()
    pipeline.database.document("connections/main").set({"aliases": {"CUST_NO": "PERIDX"}})

    replay("main", NAME, pipeline.services)

    assert ["loaded"] == pipeline.run_due()
    import_ = pipeline.import_(NAME)
    assert import_.error is None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("customers_20230501T115500Z.csv", "PERIDX\r\n1\r\n", "goes on by itself"),
        ("customers_x.csv", "x", "can never be loaded"),
        (None, "", "no import"),
    ],
)
def test_replay_that_makes_no_sense(
    pipeline: Pipeline, name: str | None, text: str, message: str
) -> None:
    """What cannot be replayed is said to be so, with what to do instead."""
    import_id = "customers_20230501T115500Z"
    if name is not None:
        import_ = pipeline.upload(name, text)
        assert import_ is not None
        import_id = import_.import_id

    with pytest.raises(NotPossible, match=message):
        replay("main", import_id, pipeline.services)


def test_release(pipeline: Pipeline) -> None:
    """Orders that a person releases load without their customers, with a warning; alerts close."""
    overdue_orders(pipeline)
    with pytest.raises(NotPossible, match="Release it"):
        replay("main", "orders_20230501T115500Z", pipeline.services)

    released = release("main", "orders_20230501T115500Z", pipeline.services)

    assert ("scheduled", True) == (released.status, released.released)
    assert ["loaded"] == pipeline.run_due()
    assert "order.without_customers_file" in {
        warning["code"] for warning in pipeline.import_("orders_20230501T115500Z").warnings
    }
    (alert,) = alerts(pipeline).values()
    assert not alert["open"]


def test_release_of_what_does_not_wait(pipeline: Pipeline) -> None:
    """Only orders that wait can be released."""
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))

    with pytest.raises(NotPossible, match="only orders"):
        release("main", NAME, pipeline.services)


def test_release_of_empty_orders(pipeline: Pipeline) -> None:
    """Orders whose content may still come cannot be released: they would be rejected as empty."""
    pipeline.upload("orders_20230501T115500Z.csv", "")

    with pytest.raises(NotPossible, match="only orders that wait"):
        release("main", "orders_20230501T115500Z", pipeline.services)
