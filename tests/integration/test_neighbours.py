"""A document that somebody has spoilt is a matter of its own connection: all others are served."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core import exceptions

from shared.core.errors import TryAgain
from shared.core.isolation import IN_A_ROW, Apart
from shared.status import routes
from tests.support.alerts import alerts
from tests.support.imports import at
from tests.support.pipeline import Pipeline, customers_csv

NAME = "customers_20230501T115500Z"
TEXT = customers_csv({"PERIDX": "1"})


def _run(document: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the document of an import with other values in its map `run`."""
    return document | {"run": document["run"] | changes}


SPOILT: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "almost empty": lambda document: {"status": document["status"]},
    "no name": lambda document: _run(document, object=None),
    "no run": lambda document: {k: v for k, v in document.items() if k != "run"},
    "odd run": lambda document: document | {"run": "much"},
    "no upload": lambda document: {k: v for k, v in document.items() if k != "uploadedAt"},
    "odd time": lambda document: document | {"scheduledFor": "soon"},
    "end of time": lambda document: (
        document | {"scheduledFor": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)}
    ),
    "odd history": lambda document: document | {"history": [1, "x"]},
    "odd rows": lambda document: document | {"rows": "many"},
    "odd size": lambda document: _run(document, size=None),
    "odd lease": lambda document: _run(document, lease={"owner": 1}),
    "odd mode": lambda document: document | {"mode": "later"},
}


def page(pipeline: Pipeline, **query: str) -> routes.PageAnswer:
    """Ask for a page."""
    request = routes.Request(method="GET", path="/", query=query)
    return routes.answer(request, lambda: pipeline.services)


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_an_import_that_cannot_be_used(
    pipeline: Pipeline, spoil: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """The sweep looks after all others, one alert tells of it, and every page can be shown."""
    for connection in ("a", "b", "c"):
        pipeline.upload(f"{connection}/{NAME}.csv", TEXT)
    pipeline.queue.waiting.clear()
    spoilt = pipeline.database.document(f"connections/b/imports/{NAME}")
    spoilt.set(spoil(spoilt.get().to_dict() or {}))
    pipeline.services.bucket.blob(f"b/{NAME}.csv").delete()
    pipeline.clock.advance("13:00")

    swept = [pipeline.sweep()["revived"] for _ in range(2)]

    assert swept[0] == {"scheduled": 2}
    told = [one for one in alerts(pipeline).values() if one["code"] == "unusable"]
    assert [(one["connection"], one["open"], one["count"]) for one in told] == [("b", True, 1)]
    assert pipeline.run_due() == ["loaded", "loaded"]
    assert [
        page(pipeline).status,
        page(pipeline, connection="b").status,
        page(pipeline, status="under_way").status,
    ] == [200, 200, 200]
    spoilt.delete()
    pipeline.sweep()
    assert [
        one for one in alerts(pipeline).values() if one["code"] == "unusable" and one["open"]
    ] == []


def test_a_file_whose_record_cannot_be_used(pipeline: Pipeline) -> None:
    """A file that still lies where it was uploaded is taken in again, and loaded."""
    pipeline.clock.now = datetime.now(UTC)
    pipeline.upload(f"b/{NAME}.csv", TEXT)
    pipeline.queue.waiting.clear()
    pipeline.database.document(f"connections/b/imports/{NAME}").set({"status": "scheduled"})
    pipeline.clock.advance(timedelta(hours=1))

    pipeline.sweep()
    # Its first task has been there before, so it may take the sweep's second look.
    pipeline.clock.advance(timedelta(minutes=20))
    pipeline.sweep()

    assert pipeline.run_due() == ["loaded"]
    assert [*pipeline.documents("customers", "b")] == ["1"]


@pytest.mark.parametrize(
    "settings",
    [
        {"cadence": {"customers": "999999999d"}},
        {"cadence": {"customers": 10**18}},
        {"cadence": "daily"},
        {"timeZone": 5, "cadence": {"customers": "1d"}},
    ],
    ids=str,
)
def test_settings_that_cannot_be_used(pipeline: Pipeline, settings: dict[str, Any]) -> None:
    """The feeds of all other connections are watched, one alert tells of it, pages are shown."""
    for connection in ("a", "c"):
        pipeline.database.document(f"connections/{connection}").set({"cadence": {"rewards": "1d"}})
        pipeline.upload(f"{connection}/rewards_20230501T115500Z.csv", "PERIDX\n1\n")
    pipeline.database.document("connections/b").set(settings)
    pipeline.clock.now = at("20230505T120000Z")

    swept = [pipeline.sweep()["stopped"] for _ in range(2)]

    assert swept == [2, 2]
    told = {id: one["count"] for id, one in alerts(pipeline).items() if one["code"] == "unusable"}
    assert told == {"b~settings~unusable": 1}
    assert page(pipeline).status == 200


def test_a_feed_that_cannot_be_used(pipeline: Pipeline) -> None:
    """The other feeds are watched, and pages are shown."""
    for connection in ("a", "b", "c"):
        pipeline.database.document(f"connections/{connection}").set({"cadence": {"rewards": "1d"}})
        pipeline.upload(f"{connection}/rewards_20230501T115500Z.csv", "PERIDX\n1\n")
    pipeline.run_due()
    pipeline.database.document("connections/b/feeds/rewards").set({"index": {"parts": [1]}})
    pipeline.clock.now = at("20230505T120000Z")

    assert pipeline.sweep()["stopped"] == 2
    assert page(pipeline).status == 200


def test_an_object_that_cannot_be_deleted(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All others whose time is over are deleted; the sweep says that it has to come back."""
    for number in range(3):
        pipeline.put(f"processed/customers_20230501T10000{number}Z.csv", TEXT)
    pipeline.clock.now = datetime.now(UTC) + timedelta(days=60)
    delete = type(pipeline.services.bucket.blob("x")).delete

    def held(blob: Any, **conditions: Any) -> None:
        if blob.name.endswith("1Z.csv"):
            raise exceptions.Forbidden("retained")  # type: ignore[no-untyped-call]
        delete(blob, **conditions)

    with monkeypatch.context() as patched:
        patched.setattr("google.cloud.storage.blob.Blob.delete", held)
        with pytest.raises(TryAgain):
            pipeline.sweep()

    assert {"processed/customers_20230501T100001Z.csv"} == pipeline.objects()


def test_a_service_that_is_away_is_not_asked_for_everything() -> None:
    """After a few things in a row that could not be done now, the rest waits for another time."""
    apart = Apart("It could not be done.")

    def away() -> None:
        raise TryAgain("The ledger cannot be reached.")

    for _ in range(IN_A_ROW - 1):
        apart(away)
    with pytest.raises(TryAgain):
        apart(away)


def test_what_could_not_be_done_is_said_in_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """One thing that could not be done keeps no other from it, and the whole comes back."""
    apart, done = Apart("It could not be done."), []

    def do(number: int) -> int:
        if number == 1:
            raise TryAgain("The queue is out of reach.")
        if number == 2:
            raise ValueError("".join(("a sec", "ret cell")))
        done.append(number)
        return number

    for number in range(4):
        apart(lambda number=number: do(number), object=f"x{number}")  # type: ignore[misc]
    with pytest.raises(TryAgain, match="out of reach"):
        apart.end()

    assert done == [0, 3]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["severity"], one["object"]) for one in lines] == [
        ("WARNING", "x1"),
        ("ERROR", "x2"),
    ]
    assert "secret" not in str(lines)
