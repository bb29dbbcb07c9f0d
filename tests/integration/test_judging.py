"""Files that wait are judged when they arrive: unusable ones are rejected, bad rows announced."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.core.errors import TryAgain
from shared.ledger.imports import Lease
from shared.parsing.examination import Examination
from shared.scheduling.intake import take_in
from tests.integration.conftest import Make
from tests.support.imports import at
from tests.support.pipeline import Pipeline, customers_csv, orders_csv

ORDERS = "orders_20230501T115500Z"
CUSTOMERS = "customers_20230501T115000Z"
UNUSABLE = "CITY\r\nHobart\r\n"
GOOD = orders_csv(*({"ORDER_NUMBER": f"D{number}"} for number in range(9)))
BAD_ROW = orders_csv(
    *({"ORDER_NUMBER": f"D{number}"} for number in range(8)),
    {"ORDER_NUMBER": "D8", "ORDER_DATE": "soon"},
)


def test_an_unusable_file_is_rejected_while_it_waits(pipeline: Pipeline) -> None:
    """Orders that no load could use are rejected and reported at once, without any attempt."""
    pipeline.upload(f"{ORDERS}.csv", UNUSABLE)

    assert pipeline.judge() == ["rejected"]

    import_ = pipeline.import_(ORDERS)
    assert (import_.status, import_.attempt, import_.lease) == ("rejected", 0, None)
    assert import_.error is not None
    assert import_.error.code == "header.missing_column"
    report = pipeline.report(f"reports/{ORDERS}.report.json")
    assert (report["status"], report["error"]["code"]) == ("rejected", "header.missing_column")
    assert "ORDER_NUMBER" in pipeline.read(f"reports/{ORDERS}.summary.txt")


def test_too_many_bad_rows(pipeline: Pipeline) -> None:
    """A file whose rows are mostly bad is rejected with its counts, as its load would do."""
    rows = [{"ORDER_NUMBER": f"a/{number}"} for number in range(9)]
    pipeline.upload(f"{ORDERS}.csv", orders_csv(*rows, {"ORDER_NUMBER": "D9"}))

    assert pipeline.judge() == ["rejected"]

    import_ = pipeline.import_(ORDERS)
    assert import_.error is not None
    assert import_.error.code == "file.too_many_bad_rows"
    assert (import_.rows.read, import_.rows.rejected) == (10, 9)


def test_a_corrected_file_is_loaded(pipeline: Pipeline) -> None:
    """A corrected upload under the same name takes the place of the one that was rejected."""
    pipeline.upload(f"{ORDERS}.csv", UNUSABLE)
    pipeline.judge()

    pipeline.upload(f"{ORDERS}.csv", GOOD)
    pipeline.upload(f"{CUSTOMERS}.csv", customers_csv({"PERIDX": "1"}))
    assert pipeline.run_due() == ["loaded"]
    pipeline.clock.advance("12:30")

    assert pipeline.run_due() == ["loaded"]
    assert len(pipeline.documents("orders")) == 9


def test_bad_rows_are_announced(pipeline: Pipeline) -> None:
    """The ledger says how many rows will be rejected, for as long as the file waits."""
    pipeline.upload(f"{ORDERS}.csv", BAD_ROW)

    assert pipeline.judge() == ["judged"]

    import_ = pipeline.import_(ORDERS)
    said = "1 of 9 rows will be rejected."
    assert (import_.status, import_.attempt) == ("waiting", 0)
    assert import_.status_text.startswith("Waiting for its customers file")
    assert said in import_.status_text
    assert "row.bad_date" in [one["code"] for one in import_.rejections]
    pipeline.upload(f"{CUSTOMERS}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    scheduled = pipeline.import_(ORDERS)
    assert (scheduled.status, scheduled.scheduled_for) == ("scheduled", at("12:30"))
    assert said in scheduled.status_text
    assert not pipeline.queue.to_judge


@pytest.mark.parametrize("content", [GOOD, BAD_ROW], ids=["good", "bad row"])
def test_a_judged_file_is_loaded_as_any_other(pipeline: Pipeline, content: str) -> None:
    """Documents and ledger are the same in the end, judged on arrival or not."""
    ends = []
    for connection in ("judged", "unjudged"):
        pipeline.clock.advance("12:00")
        pipeline.upload(f"{connection}/{ORDERS}.csv", content)
        if connection == "judged":
            assert pipeline.judge() == ["judged"]
        pipeline.queue.judging()
        pipeline.upload(f"{connection}/{CUSTOMERS}.csv", customers_csv({"PERIDX": "1"}))
        pipeline.clock.advance("12:30")
        for task in pipeline.queue.due(pipeline.clock()):
            assert pipeline.work(task).startswith("loaded")
        import_ = pipeline.import_(ORDERS, connection)
        documents = pipeline.documents("orders", connection)
        for document in documents.values():
            del document["source"]["generation"]
        objects = [name for name in pipeline.objects() if f"/{connection}/" in name]
        ends.append((documents, _told(import_.to_document()), len(objects)))

    assert ends[0] == ends[1]


def _told(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out what differs between two connections, and the way until the load."""
    return {
        name: value
        for name, value in document.items()
        if name not in ("connection", "run", "history", "reports")
    } | {"attempt": document["run"]["attempt"], "lease": document["run"].get("lease")}


def test_files_that_need_not_wait_are_not_judged(pipeline: Pipeline) -> None:
    """Customers, rewards, checks and orders that can start at once need no second task."""
    pipeline.upload(f"{CUSTOMERS}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.upload("rewards_20230501T115500Z.csv", "PERIDX,TIER_NAME\r\n1,Gold\r\n")
    pipeline.upload(f"test/{ORDERS}.csv", GOOD)
    pipeline.run_due()
    pipeline.clock.advance("12:30")
    pipeline.upload(f"{ORDERS}.csv", GOOD)

    assert pipeline.run_due() == ["loaded"]
    assert pipeline.queue.judged == []


def test_an_event_that_comes_twice(pipeline: Pipeline) -> None:
    """However often its event comes, a file is judged by one task."""
    event = pipeline.put(f"{ORDERS}.csv", GOOD)
    for _ in range(3):
        take_in(event, pipeline.services)
        pipeline.judge()

    assert len(pipeline.queue.judged) == 1


def test_a_newer_upload_takes_over_meanwhile(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result for an upload that is superseded does not count for the new one."""
    pipeline.upload(f"{ORDERS}.csv", UNUSABLE)
    (task,) = pipeline.queue.judging()
    judge_file = Examination.judge

    def superseded(self: Examination) -> Any:
        pipeline.upload(f"{ORDERS}.csv", GOOD)
        monkeypatch.setattr(Examination, "judge", judge_file)
        return judge_file(self)

    monkeypatch.setattr(Examination, "judge", superseded)
    pipeline.work(task)

    import_ = pipeline.import_(ORDERS)
    assert (import_.status, import_.judged) == ("waiting", None)
    assert f"reports/{ORDERS}.report.json" not in pipeline.objects()
    assert pipeline.judge() == ["judged"]


def test_a_load_that_begins_meanwhile(pipeline: Pipeline) -> None:
    """A file that is being loaded, or has been, is not judged any more."""
    pipeline.upload(f"{ORDERS}.csv", GOOD)
    (task,) = pipeline.queue.judging()
    pipeline.upload(f"{CUSTOMERS}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    pipeline.clock.advance("12:30")
    assert pipeline.run_due() == ["loaded"]
    before = pipeline.import_(ORDERS)

    assert pipeline.work(task) == "not to be judged"
    assert pipeline.import_(ORDERS) == before


def test_no_load_begins_while_a_file_is_rejected(pipeline: Pipeline) -> None:
    """While a worker is about to reject a file, its load waits until that lease is over."""
    pipeline.upload(f"{ORDERS}.csv", UNUSABLE)
    (judging_task,) = pipeline.queue.judging()
    pipeline.upload(f"{CUSTOMERS}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    pipeline.queue.judging()
    pipeline.clock.advance("12:30")
    held = Lease(owner="another", expires_at=at("12:31"))
    pipeline.services.ledger.transact(
        lambda ledger: ledger.put(replace(pipeline.import_(ORDERS), lease=held))
    )

    assert pipeline.run_due() == ["at work"]
    with pytest.raises(TryAgain):
        pipeline.work(judging_task)
    pipeline.clock.advance("12:31")
    assert pipeline.run_due() == ["rejected"]


def test_a_fault_of_the_bucket(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault while the file is rejected gives the lease back, and the task comes again."""
    pipeline.upload(f"{ORDERS}.csv", UNUSABLE)
    (task,) = pipeline.queue.judging()

    def fail(*_: Any, **__: Any) -> None:
        raise TryAgain("The bucket cannot be reached.")

    with monkeypatch.context() as broken:
        broken.setattr("shared.loading.ending.write_report", fail)
        with pytest.raises(TryAgain):
            pipeline.work(task)

    import_ = pipeline.import_(ORDERS)
    assert (import_.status, import_.lease, import_.attempt) == ("waiting", None, 0)
    assert pipeline.work(task) == "rejected"


def test_a_large_file_is_judged_as_far_as_is_cheap(make: Make) -> None:
    """Of a file that is loaded in shards only the beginning is read; its header counts."""
    pipeline = make(shard_bytes=300)
    rows = [{"ORDER_NUMBER": f"D{number}"} for number in range(40_000)]
    pipeline.upload(f"{ORDERS}.csv", orders_csv(*rows))
    pipeline.upload("orders_20230501T115600Z.csv", UNUSABLE + "Perth\r\n" * 100)

    assert sorted(pipeline.judge()) == ["judged", "rejected"]

    judged = pipeline.import_(ORDERS).judged
    assert judged is not None
    assert (judged.whole, judged.read < 40_000) == (False, True)


def test_a_lost_judging(pipeline: Pipeline) -> None:
    """A judging that is lost is made up for when the file turns out to be overdue."""
    pipeline.upload(f"{ORDERS}.csv", UNUSABLE)
    assert len(pipeline.queue.judging()) == 1  # lost
    pipeline.clock.advance(timedelta(hours=6))
    pipeline.sweep()
    (task,) = pipeline.queue.due(pipeline.clock())
    assert pipeline.work(task) == "overdue"

    assert pipeline.judge() == ["rejected"]


def test_orders_of_rejected_customers(pipeline: Pipeline) -> None:
    """Orders whose customers file was rejected before they came are judged, too."""
    pipeline.upload(f"{CUSTOMERS}.csv", UNUSABLE)
    assert pipeline.run_due() == ["rejected"]
    pipeline.upload(f"{ORDERS}.csv", BAD_ROW)
    assert pipeline.run_due() == ["blocked"]

    assert "1 of 9 rows will be rejected." in pipeline.import_(ORDERS).status_text


def test_an_empty_file(pipeline: Pipeline) -> None:
    """Orders that stay empty are rejected once their content can no longer come, not after the
    wait for their customers."""
    pipeline.upload(f"{ORDERS}.csv", "")
    assert pipeline.judge() == []
    pipeline.clock.advance("12:20")
    pipeline.sweep()

    assert pipeline.run_due() == ["waiting"]

    import_ = pipeline.import_(ORDERS)
    assert import_.error is not None
    assert (import_.status, import_.error.code) == ("rejected", "file.empty")
