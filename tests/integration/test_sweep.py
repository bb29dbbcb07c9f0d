"""A sweep as a whole: how often it asks Firestore, and what one failure stops."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.core.errors import TryAgain
from shared.ledger.store import LedgerStore
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
            "list connections": 1,
            "find alerts": 2,  # unusable, and not told yet
            "find mail": 3,  # pending, being sent, and to be sent again
        }
    ]


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
