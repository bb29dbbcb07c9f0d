"""Names that the gateway has refused: each note becomes an entry, a report and an alert."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.core.errors import TryAgain
from shared.gcp.events import StorageObject
from shared.ledger.imports import Import
from shared.scheduling.intake import take_in_event
from tests.integration.conftest import Make
from tests.support.alerts import alerts
from tests.support.pipeline import Pipeline, customers_csv
from tests.support.stack import Hands
from tests.support.waiting import eventually

WRONG = "pending/au/customers_20230501T110000.csv"
ID = WRONG.replace("/", "~")
RIGHT = "pending/au/customers_20230501T010000Z.csv"
NOTE = "refusals/au/20230501T12-6f1c2a9d04be77aa.json"


def note(pipeline: Pipeline, content: object, name: str = NOTE) -> StorageObject:
    """Leave a note as the gateway does; return its event."""
    text = content if isinstance(content, str) else json.dumps(content)
    return pipeline.put(name, text)


def arrive(pipeline: Pipeline, event: StorageObject) -> Import | None:
    """Let the event of a note arrive."""
    return take_in_event(event, pipeline.services)


def test_a_note_becomes_an_entry(pipeline: Pipeline) -> None:
    """The refused name is rejected in the ledger, with its code and the right name, and the note
    is gone."""
    arrive(pipeline, note(pipeline, {"object": WRONG}))

    import_ = pipeline.import_(ID, "au")
    assert (import_.status, import_.file, import_.type, import_.size) == (
        "rejected",
        "customers_20230501T110000.csv",
        "customers",
        0,
    )
    assert import_.error is not None
    assert import_.error.code == "name.not_utc"
    assert import_.status_text.startswith("Refused before the upload, so nothing was kept.")
    report = "reports/au/customers_20230501T110000.report.json"
    assert pipeline.objects() == {report, report.replace(".report.json", ".summary.txt")}
    assert pipeline.report(report)["error"]["code"] == "name.not_utc"


def test_the_right_name_in_the_zone_of_the_connection(pipeline: Pipeline) -> None:
    """A time in the future that is local time is told as UTC, by the connection's own zone."""
    pipeline.database.document("connections/au").set({"timeZone": "Pacific/Auckland"})
    now = datetime.now(pipeline.clock.now.tzinfo)  # as the bucket has it
    ahead = f"pending/au/customers_{now + timedelta(hours=10):%Y%m%dT%H%M%S}Z.csv"
    pipeline.services = replace(
        pipeline.services,
        deployment=replace(pipeline.services.deployment, future_tolerance=timedelta(minutes=15)),
    )

    import_ = arrive(pipeline, note(pipeline, {"object": ahead}))

    assert import_ is not None
    assert import_.error is not None
    assert import_.error.code == "name.in_future"
    assert "Pacific/Auckland" in import_.error.message


def test_an_alert_a_type(make: Make) -> None:
    """Refused names of a type are one alert, which is over when a file of that type arrives."""
    pipeline = make(alert_rejected=True)
    arrive(pipeline, note(pipeline, {"object": WRONG}))
    again = note(pipeline, {"object": WRONG.replace("11", "12")}, NOTE.replace("6f", "7a"))
    arrive(pipeline, again)
    (alert,) = alerts(pipeline).values()
    assert (alert["code"], alert["count"], alert["open"]) == ("refused_name", 2, True)
    assert "customers_20230501" in alert["what"]

    pipeline.upload("au/orders_20230501T110000Z.csv", "ORDER_NUMBER\r\n")
    (alert,) = alerts(pipeline).values()
    assert alert["open"]
    pipeline.upload("au/customers_20230501T110000Z.csv", customers_csv({"PERIDX": "1"}))
    (alert,) = alerts(pipeline).values()
    assert not alert["open"]


def test_a_name_without_a_type(make: Make) -> None:
    """A name that tells no type is an alert of its own, over when any file arrives rightly."""
    pipeline = make(alert_rejected=True)
    arrive(pipeline, note(pipeline, {"object": "pending/au/export.csv"}))
    assert [*alerts(pipeline)] == ["au~names~refused_name"]

    pipeline.upload("au/customers_20230501T110000Z.csv", customers_csv({"PERIDX": "1"}))

    (alert,) = alerts(pipeline).values()
    assert not alert["open"]


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "5", "{}", '{"object": 5}', '{"object": ""}', "\x00", "[" * 9_000),
        json.dumps({"object": "x" * 1_025}),
        json.dumps({"object": RIGHT}),
        json.dumps({"object": "processed/au/x.csv"}),
        json.dumps({"object": "\ud800"}),
    ],
    ids=lambda content: content[:20],
)
def test_notes_that_are_none(pipeline: Pipeline, content: str) -> None:
    """A note that is not of the gateway, or is about a right name, is removed without a trace."""
    assert arrive(pipeline, note(pipeline, content)) is None

    assert pipeline.objects() == set()
    imports: Any = pipeline.database.collection_group("imports")
    assert [*imports.stream()] == []


def test_an_event_that_comes_again(pipeline: Pipeline) -> None:
    """A note is taken once: nothing is left when its event is delivered again."""
    event = note(pipeline, {"object": WRONG})
    arrive(pipeline, event)
    before = pipeline.import_(ID, "au")

    assert arrive(pipeline, event) is None
    assert pipeline.import_(ID, "au") == before


def test_broken_off_before_the_note_is_removed(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note whose taking failed stays, and is taken when its event comes again."""
    event = note(pipeline, {"object": WRONG})

    def fail(*_: object, **__: object) -> None:
        raise TryAgain("Firestore cannot be reached.")

    with monkeypatch.context() as broken:
        broken.setattr("shared.scheduling.intake.sentences.refused", fail)
        with pytest.raises(TryAgain):
            arrive(pipeline, event)
    assert pipeline.objects() == {NOTE}

    assert arrive(pipeline, event) is not None
    assert NOTE not in pipeline.objects()


def test_a_note_whose_event_was_lost(pipeline: Pipeline) -> None:
    """The sweep takes notes that nobody has taken."""
    note(pipeline, {"object": WRONG})
    pipeline.clock.now = datetime.now(pipeline.clock.now.tzinfo) + timedelta(hours=1)

    assert pipeline.sweep()["reconciled"]["found"] == 1

    assert pipeline.import_(ID, "au").status == "rejected"
    assert NOTE not in pipeline.objects()


def test_over_sftp(stack: Hands) -> None:
    """A name that the gateway refuses is in the ledger soon after, and its report beside it."""
    with stack.sftp() as sftp, pytest.raises(PermissionError):
        sftp.open("pending/door/customers_20nov.csv", "wb")

    import_ = stack.wait_for("door", "pending~door~customers_20nov.csv", "rejected")

    assert import_.error is not None
    assert import_.error.code.startswith("name.")
    assert eventually(lambda: not [*stack.bucket.list_blobs(prefix="refusals/")])
    with stack.sftp() as sftp:
        assert "customers_20nov.summary.txt" in sftp.listdir("reports/door")
