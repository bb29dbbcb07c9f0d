"""What was forgotten is found, who must know is told, what is asked for is done again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.core.errors import NotPossible
from shared.ledger.lease import Claimed
from shared.loading.followup import follow_up
from shared.scheduling.claims import claim
from shared.scheduling.replay import release, replay
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
    assert pipeline.sweep()["reconciled"] == {"found": 0, "moved": 0, "aside": 0}
    later(pipeline, minutes=11)

    assert pipeline.sweep()["reconciled"] == {"found": 2, "moved": 0, "aside": 0}

    assert pipeline.run_due() == ["loaded"]
    assert {"1"} == set(pipeline.documents("customers", "au"))
    assert pipeline.sweep()["reconciled"] == {"found": 0, "moved": 0, "aside": 0}


def test_an_event_of_a_correction_that_never_came(pipeline: Pipeline) -> None:
    """A newer upload whose event was lost takes over, too."""
    later(pipeline)
    pipeline.upload(f"{NAME}.csv", "CITY\r\nHobart\r\n")
    assert pipeline.run_due() == ["rejected"]
    pipeline.put(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    later(pipeline, minutes=11)

    assert pipeline.sweep()["reconciled"]["found"] == 1
    assert pipeline.run_due() == ["loaded"]


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
        {"run.generation": restored.generation}
    )
    later(pipeline, minutes=11)

    assert pipeline.sweep()["reconciled"] == {"found": 0, "moved": 1, "aside": 0}
    assert f"{NAME}.csv" not in pipeline.objects()


def test_an_upload_that_was_superseded_under_another_name(pipeline: Pipeline) -> None:
    """Of two objects that are one import, the sweep puts the older aside, not over the newer."""
    later(pipeline)
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1", "CITY": "Hobart"}))
    later(pipeline)
    pipeline.upload(f"pending/{NAME}.csv", customers_csv({"PERIDX": "1", "CITY": "Perth"}))
    assert [result for result in pipeline.run_due() if result != "superseded"] == ["loaded"]
    later(pipeline, minutes=11)

    assert pipeline.sweep()["reconciled"]["aside"] == 1

    (aside,) = [name for name in pipeline.objects() if ".superseded-" in name]
    assert "Hobart" in pipeline.read(aside)
    assert "Perth" in pipeline.read(f"processed/{NAME}.csv")
    assert not {f"{NAME}.csv", f"pending/{NAME}.csv"} & pipeline.objects()


def test_a_late_move(pipeline: Pipeline) -> None:
    """A worker that is late to put its file away does not do so over a newer upload's."""
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1", "CITY": "Hobart"}))
    pipeline.run_due()
    early = pipeline.import_(NAME)
    bucket = pipeline.services.bucket
    bucket.copy_blob(bucket.blob(early.reports.report), bucket, f"{NAME}.csv")  # as if not moved
    early = replace(early, generation=int(bucket.get_blob(f"{NAME}.csv").generation))
    pipeline.clock.advance("12:10")
    pipeline.upload(f"pending/{NAME}.csv", customers_csv({"PERIDX": "1", "CITY": "Perth"}))
    pipeline.run_due()

    follow_up(early, pipeline.services)

    assert "Perth" in pipeline.read(f"processed/{NAME}.csv")


def test_many_lost_tasks(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep revives so many imports at most, and the next one goes on with the others."""
    monkeypatch.setattr("shared.sweeping.caretaker.REVIVED_AT_ONCE", 2)
    for minute in range(3):
        pipeline.upload(f"rewards_20230501T11{minute:02}00Z.csv", "PERIDX,TIER_NAME\r\n1,Gold\r\n")
    pipeline.queue.waiting.clear()
    pipeline.clock.advance("12:10")

    assert pipeline.sweep()["revived"] == {"scheduled": 2}
    assert pipeline.sweep()["revived"] == {"scheduled": 1}
    assert pipeline.sweep()["revived"] == {}


def test_many_objects(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """More objects than a sweep can look at are no secret."""
    monkeypatch.setattr("shared.sweeping.reconciliation.LOOKED_AT", 1)
    pipeline.put(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.sweep()
    assert "are in the upload folders" not in capsys.readouterr().out

    pipeline.put(f"pending/{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.sweep()

    assert "More than 1 files are in the upload folders" in capsys.readouterr().out


# -- feeds ------------------------------------------------------------------------------------


def test_a_feed_that_stopped(pipeline: Pipeline) -> None:
    """A feed later than its cadence and its slack raises one alert, which the next file closes."""
    pipeline.database.document("connections/au").set({"cadence": {"customers": "1d"}})
    pipeline.upload(f"au/{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    pipeline.clock.advance(timedelta(hours=30))
    assert pipeline.sweep()["stopped"] == 0
    pipeline.clock.advance(timedelta(minutes=1))

    assert pipeline.sweep()["stopped"] == 1
    assert pipeline.sweep()["stopped"] == 1

    (alert,) = alerts(pipeline).values()
    assert (
        alert["code"],
        alert["connection"],
        alert["open"],
        alert["count"],
    ) == ("feed_stopped", "au", True, 1)
    assert "customers" in alert["what"]
    assert "1 May 2023 22:00:00 AEST" in alert["what"]
    pipeline.upload("au/customers_20230502T175500Z.csv", customers_csv({"PERIDX": "1"}))
    (alert,) = alerts(pipeline).values()
    assert not alert["open"]
    assert pipeline.sweep()["stopped"] == 0


def test_a_feed_that_never_began(pipeline: Pipeline) -> None:
    """A feed that is expected and has never brought a file is missed, too."""
    later(pipeline)
    pipeline.database.document("connections/au").set({"cadence": {"orders": "30m"}})
    later(pipeline, minutes=89)
    assert pipeline.sweep()["stopped"] == 0
    later(pipeline, minutes=91)

    assert pipeline.sweep()["stopped"] == 1


def test_a_wrong_cadence_stops_no_sweep(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """A connection with wrong settings is named in the log; the others are watched all the same."""
    pipeline.database.document("connections/au").set({"cadence": "daily"})
    pipeline.database.document("connections/nz").set({"cadence": {"orders": "30m"}})
    later(pipeline, hours=3)

    assert pipeline.sweep()["stopped"] == 1
    assert "connections/au.cadence" in capsys.readouterr().out


# -- retention --------------------------------------------------------------------------------


def test_retention(make: Make) -> None:
    """Processed files and reports go when their time is over, uploads that wait never."""
    pipeline = make(processed_retention=timedelta(days=7), reports_retention=timedelta(days=14))
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    pipeline.upload("orders_20200501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    assert len(pipeline.objects()) == 4
    later(pipeline, days=7, minutes=-1)
    assert pipeline.sweep()["deleted"] == 0
    later(pipeline, days=8)

    assert pipeline.sweep()["deleted"] == 1
    later(pipeline, days=15)
    assert pipeline.sweep()["deleted"] == 2
    assert {"orders_20200501T115500Z.csv"} == pipeline.objects()


def test_what_an_attempt_has_left_of_a_rejected_file(make: Make) -> None:
    """A rejected file that was never published goes after a day, published ones stay."""
    pipeline = make(cleanup=False)
    rows = [{"PERIDX": str(number)} for number in range(9)]
    pipeline.upload(f"{NAME}.csv", customers_csv(*rows, {"PERIDX": "x"}))
    pipeline.run_due()
    pipeline.put(f"rejected/{NAME}.rejected.csv.part", "PERIDX\nx\n")
    later(pipeline, days=1, minutes=-1)
    assert pipeline.sweep()["deleted"] == 0
    later(pipeline, days=2)

    assert pipeline.sweep()["deleted"] == 1
    assert f"rejected/{NAME}.rejected.csv" in pipeline.objects()
    assert f"rejected/{NAME}.rejected.csv.part" not in pipeline.objects()


def test_retention_switched_off(make: Make) -> None:
    """With the clean-up switched off nothing is ever deleted."""
    pipeline = make(cleanup=False)
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    later(pipeline, days=4000)

    assert pipeline.sweep()["deleted"] == 0


def test_the_ledger_expires(make: Make) -> None:
    """An ended import carries the time when it may go; one that is replayed no longer does."""
    pipeline = make(ledger_retention=timedelta(days=10))
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    assert pipeline.import_(NAME).expire_at is None
    pipeline.run_due()

    assert at("12:00") + timedelta(days=10) == pipeline.import_(NAME).expire_at


def test_superseded_imports_expire(make: Make) -> None:
    """An upload that was superseded before it was loaded is not kept for ever either."""
    pipeline = make(ledger_retention=timedelta(days=10))
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.clock.advance("13:00")
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "2"}))

    generations = pipeline.database.collection(f"connections/main/imports/{NAME}/generations")
    (archived,) = [one.to_dict() or {} for one in generations.stream()]
    assert at("13:00") + timedelta(days=10) == archived["expireAt"]


# -- replay and release -----------------------------------------------------------------------


def test_replay_of_a_loaded_import(pipeline: Pipeline) -> None:
    """A replay writes its rows again, from where the file was put away."""
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}, {"PERIDX": "2"}))
    pipeline.run_due()
    pipeline.database.document("connections/main/customers/1").update({"firstName": "Someone"})
    pipeline.database.document("connections/main/customers/2").delete()

    scheduled = replay("main", NAME, pipeline.services)

    assert (scheduled.status, scheduled.replay) == ("scheduled", True)
    assert pipeline.run_due() == ["loaded"]
    documents = pipeline.documents("customers")
    assert [documents[key]["firstName"] for key in "12"] == ["Ana", "Ana"]
    import_ = pipeline.import_(NAME)
    assert (import_.rows.loaded, import_.replay) == (2, False)


def test_a_replay_that_waits(pipeline: Pipeline) -> None:
    """A replayed import that waits is not removed from the ledger: the time to go is taken away."""
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    assert pipeline.import_(NAME).expire_at is not None

    replay("main", NAME, pipeline.services)

    assert (pipeline.import_(NAME).status, pipeline.import_(NAME).expire_at) == ("scheduled", None)
    pipeline.run_due()
    assert pipeline.import_(NAME).expire_at is not None


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

    assert pipeline.run_due() == ["loaded"]
    assert before == pipeline.documents("customers")
    assert pipeline.import_(NAME).rows.outdated == 1


def test_replay_of_a_rejected_import(pipeline: Pipeline) -> None:
    """A file refused for its columns loads in a replay once the connection has an alias."""
    pipeline.upload(f"{NAME}.csv", "CUST_NO,CITY\r\n1,Hobart\r\n")
    assert pipeline.run_due() == ["rejected"]
    pipeline.database.document("connections/main").set({"aliases": {"CUST_NO": "PERIDX"}})

    replay("main", NAME, pipeline.services)

    assert pipeline.run_due() == ["loaded"]
    import_ = pipeline.import_(NAME)
    assert import_.error is None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("customers_20230501T115500Z.csv", "PERIDX\r\n1\r\n", "continues automatically"),
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

    assert (released.status, released.released) == ("scheduled", True)
    assert pipeline.run_due() == ["loaded"]
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


def test_replay_of_a_file_that_is_gone(pipeline: Pipeline) -> None:
    """A loaded import whose file has been cleaned away stays loaded, and must be uploaded again."""
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    pipeline.services.bucket.blob(f"processed/{NAME}.csv").delete()

    with pytest.raises(NotPossible, match="Upload it again"):
        replay("main", NAME, pipeline.services)

    assert pipeline.import_(NAME).status == "loaded"


# -- load that cannot be reached --------------------------------------------------------------


def test_load_that_takes_no_tasks(pipeline: Pipeline) -> None:
    """Imports that nobody begins are one alert, 10 minutes after their time, which names the
    oldest; it stays until a worker begins that import."""
    pipeline.upload(f"au/{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.clock.advance("12:01")
    pipeline.upload(f"nz/{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.clock.advance("12:09")
    assert (pipeline.sweep()["late"], alerts(pipeline)) == (0, {})

    pipeline.clock.advance("12:19")
    assert tuple(map(pipeline.sweep().get, ("late", "told"))) == (2, 1)
    ((id, alert),) = alerts(pipeline).items()
    assert (
        *(id, alert["code"], alert["connection"], alert["importId"]),
        alert["open"],
    ) == ("*~load~late", "late", "au", NAME, True)
    assert "due since 1 May 2023 12:00:00 UTC" in alert["what"]

    pipeline.clock.advance("12:20")  # both have been given a new task
    assert pipeline.sweep()["late"] == 0
    assert [one["open"] for one in alerts(pipeline).values()] == [True]
    pipeline.clock.advance("12:40")
    assert tuple(map(pipeline.sweep().get, ("late", "told"))) == (2, 0)

    assert {"loaded"} <= set(pipeline.run_due())
    pipeline.sweep()
    ((_, alert),) = alerts(pipeline).items()
    assert (alert["open"], alert["count"]) == (False, 1)


def test_a_worker_that_never_came_back(pipeline: Pipeline) -> None:
    """An import whose worker has died and that no other takes up is late as well."""
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    (task,) = pipeline.queue.due(pipeline.clock())
    begun = claim(task, pipeline.services)
    assert isinstance(begun, Claimed)
    pipeline.clock.advance("12:10")
    assert pipeline.sweep()["late"] == 0

    pipeline.clock.advance("12:12")

    assert pipeline.sweep()["late"] == 1
    assert {"*~load~late"} == set(alerts(pipeline))


def test_orders_that_wait_are_not_late(pipeline: Pipeline) -> None:
    """Orders that wait for their customers or their time say nothing about load."""
    pipeline.upload("orders_20230501T110000Z.csv", orders_csv({}))
    pipeline.clock.advance("13:00")

    assert pipeline.sweep()["late"] == 0
    assert alerts(pipeline) == {}
