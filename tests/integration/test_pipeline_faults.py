"""Faults between an upload and its documents, and what happens after each of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from google.cloud import firestore

from shared.core.errors import TryAgain
from shared.firestore.database import FirestoreDatabase
from shared.ledger.store import LedgerStore
from shared.ledger.tasks import LoadTask
from shared.loading.worker import work
from shared.scheduling.intake import take_in
from tests.integration.conftest import Make
from tests.support.imports import at
from tests.support.pipeline import Pipeline, csv_text, customers_csv, orders_csv
from tests.support.silence import seize


def test_the_queue_is_out_of_reach(pipeline: Pipeline) -> None:
    """An event whose task could not be enqueued must come again, and then finishes its work."""
    event = pipeline.put("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.queue.broken = True
    with pytest.raises(TryAgain):
        take_in(event, pipeline.services)
    assert pipeline.import_("customers_20230501T115500Z").status == "received"
    pipeline.queue.broken = False

    take_in(event, pipeline.services)

    assert pipeline.import_("customers_20230501T115500Z").status == "scheduled"
    assert pipeline.run_due() == ["loaded"]


def test_waiting_orders_are_not_forgotten_when_the_queue_fails(pipeline: Pipeline) -> None:
    """Orders that a customers file was about to schedule are scheduled by its next event."""
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    event = pipeline.put("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.queue.broken = True
    with pytest.raises(TryAgain):
        take_in(event, pipeline.services)
    assert pipeline.import_("orders_20230501T115500Z").status == "waiting"
    pipeline.queue.broken = False

    take_in(event, pipeline.services)

    assert pipeline.import_("orders_20230501T115500Z").status == "scheduled"
    pipeline.clock.advance("12:30")
    assert pipeline.run_due() == ["loaded", "loaded"]


def test_a_worker_that_died(make: Make) -> None:
    """A dead worker's import is taken over when its lease is over, and loaded to the end."""
    pipeline = make()
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    (task,) = pipeline.queue.due(at("12:00"))
    seize(pipeline, task, until=at("12:01"))

    assert work(task, pipeline.services) == "at work"
    pipeline.clock.advance("12:01")
    assert pipeline.run_due() == ["loaded"]
    assert pipeline.import_("customers_20230501T115500Z").attempt == 2


def test_orders_whose_worker_died_and_whose_customers_are_corrected(pipeline: Pipeline) -> None:
    """They wait for the correction, and hold up no other orders meanwhile."""
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    assert pipeline.run_due() == ["loaded"]
    pipeline.clock.advance("12:30")
    (task,) = pipeline.queue.due(at("12:30"))
    seize(pipeline, task, until=at("12:31"))
    pipeline.upload("customers_20230501T115500Z.csv", "CITY\r\nHobart\r\n")
    pipeline.clock.advance("13:10")

    assert work(task, pipeline.services) == "blocked"

    assert pipeline.services.ledger.feed("main", "orders").running is None


def test_workers_that_keep_dying(make: Make) -> None:
    """After the last attempt the import is failed, and says so."""
    pipeline = make(max_attempts=2)
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    (task,) = pipeline.queue.due(at("12:00"))
    seize(pipeline, task, until=at("12:01"), attempt=2)
    pipeline.clock.advance("12:02")

    assert work(task, pipeline.services) == "out of attempts"

    import_ = pipeline.import_("customers_20230501T115500Z")
    assert import_.status == "failed"
    assert import_.error is not None
    assert import_.error.code == "system.worker_lost"


def test_a_fault_outside_the_file(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault is repeated until the attempts are used up; then the import is failed."""
    pipeline = make(max_attempts=2)
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    (task,) = pipeline.queue.due(at("12:00"))

    def out_of_reach(*_: Any, **__: Any) -> None:
        raise TryAgain("Cloud Storage cannot be reached: ServiceUnavailable")

    monkeypatch.setattr("shared.loading.attempt.Source", out_of_reach)
    with pytest.raises(TryAgain):
        work(task, pipeline.services)
    import_ = pipeline.import_("customers_20230501T115500Z")
    assert (import_.status, import_.lease) == ("scheduled", None)
    assert "Attempt 1 of 2" in import_.status_text

    assert work(task, pipeline.services) == "failed"

    import_ = pipeline.import_("customers_20230501T115500Z")
    assert import_.status == "failed"
    assert import_.error is not None
    assert "ServiceUnavailable" in import_.error.message


def test_a_wrong_setting(pipeline: Pipeline) -> None:
    """A setting that cannot be used fails the import and is named."""
    pipeline.database.document("connections/au").set({"timeZone": "Sydney"})
    pipeline.upload("au/customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))

    assert pipeline.run_due() == ["failed"]

    import_ = pipeline.import_("customers_20230501T115500Z", "au")
    assert import_.error is not None
    assert import_.error.code == "settings.invalid"
    assert "connections/au.timeZone" in import_.status_text


def test_an_empty_object_may_fill_up(pipeline: Pipeline) -> None:
    """A 0-byte object waits for its content, which takes over when it comes."""
    pipeline.upload("customers_20230501T115500Z.csv", "")
    assert not pipeline.queue.waiting
    assert pipeline.import_("customers_20230501T115500Z").status == "received"
    pipeline.clock.advance(timedelta(seconds=2))

    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))

    assert pipeline.run_due() == ["loaded"]


def test_an_empty_object_that_stays_empty(pipeline: Pipeline) -> None:
    """A 0-byte object that stays empty is rejected after its grace."""
    pipeline.upload("customers_20230501T115500Z.csv", "")
    pipeline.clock.advance("12:05")
    assert pipeline.sweep()["revived"] == {"received": 1}

    assert pipeline.run_due() == ["rejected"]

    import_ = pipeline.import_("customers_20230501T115500Z")
    assert import_.error is not None
    assert import_.error.code == "file.empty"


def test_empty_customers_do_not_count_as_come(pipeline: Pipeline) -> None:
    """Orders are not paired with a customers file that has no content yet."""
    pipeline.upload("customers_20230501T115500Z.csv", "")

    orders = pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))

    assert orders is not None
    assert orders.status == "waiting"


@pytest.mark.parametrize("type", ["customers", "orders", "rewards"])
def test_a_file_without_rows(pipeline: Pipeline, type: str) -> None:
    """A header alone is a good file with nothing to load."""
    headers = {
        "customers": customers_csv(),
        "orders": orders_csv(),
        "rewards": csv_text(["PERIDX", "TIER_NAME"], []),
    }
    pipeline.upload("customers_20230501T110000Z.csv", headers["customers"])
    pipeline.upload(f"{type}_20230501T115500Z.csv", headers[type])
    pipeline.clock.advance("12:30")
    pipeline.run_due()

    import_ = pipeline.import_(f"{type}_20230501T115500Z")
    assert (
        import_.status,
        import_.status_text,
    ) == ("loaded", "The file has no rows, so there was nothing to load.")


def test_lost_tasks_are_found(pipeline: Pipeline) -> None:
    """The sweep gives an import whose task has vanished a new one."""
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.queue.waiting.clear()
    pipeline.clock.advance("12:09")
    assert pipeline.sweep()["revived"] == {}
    pipeline.clock.advance("12:10")

    assert pipeline.sweep()["revived"] == {"scheduled": 1}
    assert pipeline.run_due() == ["loaded"]


def test_more_tasks_than_needed_do_no_harm(pipeline: Pipeline) -> None:
    """Tasks of unknown, superseded or ended imports are answered and change nothing."""
    pipeline.upload("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    (task,) = pipeline.queue.due(at("12:00"))
    assert work(task, pipeline.services) == "loaded"
    before = pipeline.import_("customers_20230501T115500Z")

    assert work(task, pipeline.services) == "ended"
    assert (
        work(
            LoadTask(connection="main", import_id=task.import_id, generation=1, number=1),
            pipeline.services,
        )
        == "superseded"
    )
    assert (
        work(
            LoadTask(connection="main", import_id="customers_x", generation=1, number=1),
            pipeline.services,
        )
        == "unknown import"
    )
    assert before == pipeline.import_("customers_20230501T115500Z")


def test_firestore_is_out_of_reach(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the ledger an event must come again."""
    pipeline = make()
    event = pipeline.put("customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
    database = FirestoreDatabase(firestore.Client(project="x"), sleep=lambda _: None)
    nowhere = replace(pipeline.services, ledger=LedgerStore(database))

    with pytest.raises(TryAgain):
        take_in(event, nowhere)
