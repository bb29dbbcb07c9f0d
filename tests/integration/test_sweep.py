"""A sweep as a whole: how often it asks Firestore, and what one failure stops."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from benchmarks.intercepting import intercepted
from shared.core.errors import TryAgain
from shared.ledger.store import LedgerStore
from shared.sweeping import caretaker, retention
from tests.integration.conftest import Make
from tests.support.alerts import alerts
from tests.support.pipeline import Pipeline, customers_csv

NAME = "customers_20230501T115500Z"


@dataclass(slots=True)
class Asked:
    """Stands before the database, counts what is asked of it, and refuses as often as told."""

    database: Any
    questions: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """Question -> how often it is yet to be refused."""

    def __getattr__(self, name: str) -> Any:
        ask = getattr(self.database, name)

        def asked(*arguments: Any, **more: Any) -> Any:
            about = arguments[0] if isinstance(arguments[0], str) else ""
            question = f"{name} {about}".strip()
            self.questions[question] += 1
            if self.refused[question]:
                self.refused[question] -= 1
                raise TryAgain("The ledger cannot be reached.")
            return ask(*arguments, **more)

        return asked


def asked_by(pipeline: Pipeline) -> Asked:
    """Stand before a pipeline's database."""
    asked = Asked(pipeline.services.ledger.database)
    pipeline.services = replace(pipeline.services, ledger=LedgerStore(asked))
    return asked


@pytest.fixture
def pipeline(make: Make) -> Pipeline:
    """Build a pipeline that sends mails."""
    return make(mail_url="file:/nowhere", mail_from="imports@example.com")


def test_questions_of_a_sweep(pipeline: Pipeline) -> None:
    """A sweep with nothing to do asks a few questions, as many for three connections as for one."""
    pipeline.sweep()  # the day's sweep, which checks everything
    found = []
    for connection in ("au", "nz", "uk"):
        pipeline.database.document(f"connections/{connection}").set({"timeZone": "UTC"})
        asked = asked_by(pipeline)
        pipeline.sweep()
        found.append({**asked.questions})

    assert found == 3 * [
        {
            "find_in_group imports": 3,  # late, unusable, and to be revived
            "transact": 1,  # late no more
            "documents": 1,  # when everything was checked
            "list connections": 1,
            "find alerts": 2,  # unusable, and not told yet
            "find mail": 3,  # pending, being sent, and to be sent again
        }
    ]


def test_old_files_cost_a_sweep_nothing(pipeline: Pipeline) -> None:
    """A sweep asks as much however many files have ended; once a day everything is checked."""

    def requests() -> Counter[str]:
        """Return what a sweep asks of the ledger and of Cloud Storage."""
        asked, sent = asked_by(pipeline), Counter[str]()
        count = partial(sent.update, ["requests to Cloud Storage"])
        with intercepted(lambda method: None, lambda *_: count()):
            assert not pipeline.sweep()["whole"]
        return asked.questions + sent

    def later(**span: int) -> None:
        pipeline.clock.now = datetime.now(UTC) + timedelta(**span)

    later(hours=2)
    assert pipeline.sweep()["whole"]
    before = requests()

    for minute in range(4):
        pipeline.upload(f"customers_20230501T11{minute:02}00Z.csv", customers_csv({"PERIDX": "1"}))
        pipeline.upload(f"rewards_20230501T11{minute:02}00Z.csv", "CITY\r\nHobart\r\n")
    pipeline.put("rewards_20230501T112000Z.csv", "PERIDX,TIER_NAME\r\n1,Gold\r\n")
    assert {*pipeline.run_due()} == {"loaded", "rejected"}

    assert requests() == before
    later(days=1, hours=2)
    assert pipeline.sweep()["reconciled"] == {"found": 1, "moved": 0, "aside": 0}


def test_a_sweep_that_could_not_check_everything(pipeline: Pipeline) -> None:
    """The next sweep checks everything, too."""
    asked = asked_by(pipeline)
    pipeline.put(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.clock.now = datetime.now(UTC) + timedelta(minutes=11)
    asked.refused["documents"] = 1
    with pytest.raises(TryAgain):
        pipeline.sweep()

    assert pipeline.sweep()["whole"]
    assert not pipeline.sweep()["whole"]


def test_more_old_files_than_one_sweep_deletes(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sweeps delete what is older than its retention until nothing is left, on the same day."""
    for module in (caretaker, retention):
        monkeypatch.setattr(module, "DELETED_AT_ONCE", 2)
    for number in range(3):
        pipeline.services.bucket.blob(f"reports/au/{number}.html").upload_from_string("x")
    pipeline.clock.now = datetime.now(UTC) + timedelta(days=1000)

    done = [pipeline.sweep() for _ in range(3)]

    assert [one["deleted"] for one in done] == [2, 1, 0]
    assert [one["whole"] for one in done] == [False, True, False]


@pytest.mark.parametrize(
    ("times", "stopped"),
    [pytest.param(1, True, id="once"), pytest.param(3, False, id="for all who ask")],
)
def test_connections_that_cannot_be_listed(pipeline: Pipeline, times: int, stopped: bool) -> None:
    """The sweep comes back, but does what needs no list; who asks later lists them again."""
    pipeline.put(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.database.document("connections/au").set({"cadence": {"customers": "1d"}})
    pipeline.clock.now = datetime.now(UTC) + timedelta(days=7)
    asked = asked_by(pipeline)
    asked.refused["list connections"] = times

    with pytest.raises(TryAgain, match="cannot be reached"):
        pipeline.sweep()

    assert pipeline.import_(NAME).status == "scheduled"
    assert ("au~customers~feed_stopped" in alerts(pipeline)) == stopped
    assert asked.refused["list connections"] == 0
