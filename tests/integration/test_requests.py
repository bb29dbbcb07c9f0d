"""What the functions answer to requests that are none, or that meet what nobody foresaw."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared.core.errors import SettingsError
from shared.scheduling.intake import take_in
from shared.services import Services
from shared.sweeping import reconciliation
from tests.support.functions import EVENT_HEADERS, Call, client, lines, undisturbed
from tests.support.pipeline import BUCKET, Pipeline, customers_csv

NAME = "customers_20230501T115500Z"
CELL = "ana.canary@example.com"

EVENT: dict[str, Any] = {
    "bucket": BUCKET,
    "name": f"{NAME}.csv",
    "generation": "1",
    "size": "3",
    "crc32c": "AAAAAA==",
    "timeCreated": "2023-05-01T12:00:00Z",
}


@pytest.fixture
def call(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """Load functions over the pipeline's services."""
    with undisturbed(monkeypatch):
        yield lambda name: client(name, pipeline.services, monkeypatch)


def recorded(pipeline: Pipeline) -> dict[str, Any]:
    """Return import id -> error code of whatever is in the ledger."""
    found = pipeline.database.collection_group("imports").stream()
    return {one.id: one.get("error.code") for one in found}


# -- events -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left_out", "changed", "body"),
    [
        ("", {}, b"[" * 100_000),
        ("", {"Content-Type": "application/cloudevents+json"}, b"["),
        ("", {"Content-Type": "application/cloudevents+json"}, b"[]"),
        ("", {"ce-specversion": "9"}, b"{}"),
        ("ce-", {}, b""),
        ("ce-", {}, b"{"),
        ("ce-", {}, b"[]"),
        ("ce-", {}, b"[" * 100_000),
        ("ce-", {}, b'{"context": 1, "data": 2}'),
        ("ce-id", {}, b"{}"),
        ("ce-type", {}, b"{}"),
        ("ce-specversion", {}, b"{}"),
    ],
)
def test_what_is_no_event(
    call: Call,
    pipeline: Pipeline,
    capfd: pytest.CaptureFixture[str],
    left_out: str,
    changed: dict[str, str],
    body: bytes,
) -> None:
    """A request that is no event is answered 400, with one line in the log."""
    headers = {
        name: value
        for name, value in EVENT_HEADERS.items()
        if not (left_out and name.startswith(left_out))
    }

    answer = call("classify").post("/", headers=headers | changed, data=body)

    assert answer.status_code == 400
    assert {"error"} == set(answer.get_json())
    (line,) = lines("".join(capfd.readouterr()))
    assert line["message"].startswith("Not a request for this function")
    assert recorded(pipeline) == {}


@pytest.mark.parametrize(
    ("changed", "body"),
    [
        ({}, b""),
        ({}, b"null"),
        ({}, b"{"),
        ({}, b"\xff\xfe"),
        ({}, b"{}"),
        ({"Content-Type": "text/plain"}, b"hello"),
        ({"ce-type": "google.cloud.storage.object.v1.deleted"}, json.dumps(EVENT).encode()),
        ({}, json.dumps(EVENT | {"bucket": "another"}).encode()),
        ({}, json.dumps(EVENT | {"bucket": "x" * 900}).encode()),
        ({}, json.dumps(EVENT | {"name": "\ud800.csv"}).encode()),
        ({}, json.dumps(EVENT | {"name": "x" * 2_000}).encode()),
        ({}, json.dumps(EVENT | {"generation": str(2**64)}).encode()),
        ({}, json.dumps(EVENT | {"timeCreated": "0001-01-01T00:00:00+14:00"}).encode()),
    ],
)
def test_events_about_nothing_of_ours(
    call: Call,
    pipeline: Pipeline,
    capfd: pytest.CaptureFixture[str],
    changed: dict[str, str],
    body: bytes,
) -> None:
    """An event about no object of ours is done with, so that it never comes again, and logged."""
    answer = call("classify").post("/", headers=EVENT_HEADERS | changed, data=body)

    assert answer.status_code == 200
    (line,) = lines("".join(capfd.readouterr()))
    assert line["severity"] == "ERROR"
    assert len(line["message"]) < 300
    assert recorded(pipeline) == {}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (f"../{NAME}.csv", "name.bad_path"),
        (f"pending/../{NAME}.csv", "name.bad_path"),
        (f"a//{NAME}.csv", "name.bad_path"),
        (f"/{NAME}.csv", "name.bad_path"),
        ("pending/..", "name.bad_path"),
        (f"__x__/{NAME}.csv", "name.bad_connection"),
        (f"{NAME}.csv\u200b", "name.bad_characters"),
        (f"{NAME}\x1b[31m\x7f.csv", "name.bad_characters"),
        (f"\u202e{NAME}.csv", "name.bad_characters"),
        ("__x__", "name.not_an_export"),
        ("é" * 512, "name.too_long"),
        ("a/" * 509 + "x.csv", "name.bad_folder"),
        ("x'\"><script>.csv", "name.not_an_export"),
    ],
)
def test_hostile_names(
    call: Call, pipeline: Pipeline, capfd: pytest.CaptureFixture[str], name: str, code: str
) -> None:
    """Whatever an object is called, it is in the ledger and has a report, and nothing is loaded."""
    pipeline.services.bucket.blob(name).upload_from_string(b"PERIDX\r\n1\r\n")
    body = json.dumps(EVENT | {"name": name})

    answers = [call("classify").post("/", headers=EVENT_HEADERS, data=body) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [code] == list(recorded(pipeline).values())
    (report,) = (one for one in pipeline.objects() if one.endswith(".report.json"))
    assert code == pipeline.report(report)["error"]["code"]
    assert pipeline.run_due() == []
    lines("".join(capfd.readouterr()))


def test_an_event_while_the_queue_is_out_of_reach(
    call: Call, pipeline: Pipeline, capfd: pytest.CaptureFixture[str]
) -> None:
    """What a later event can mend is answered 503, with one warning."""
    pipeline.queue.broken = True
    pipeline.put(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))

    answer = call("classify").post("/", headers=EVENT_HEADERS, data=json.dumps(EVENT))

    assert answer.status_code == 503
    *_, line = lines("".join(capfd.readouterr()))
    assert (line["severity"], "out of reach" in line["message"]) == ("WARNING", True)


# -- tasks ------------------------------------------------------------------------------------

BODIES = [
    *(b"", b"{", b"null", b"[]", b"\xff", b"[" * 60_000, b'{"import": "orders_x"}'),
    b'{"connection": "../au", "import": "orders_x", "generation": 1, "number": 1}',
    b'{"connection": "main", "import": "a/b", "generation": 1, "number": 1}',
    b'{"connection": "main", "import": "orders_x", "generation": "1", "number": 1}',
    b'{"connection": "main", "import": "orders_x", "generation": 1, "number": 1' + b" " * 70_000,
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:50]))
def test_what_is_no_task(
    call: Call, pipeline: Pipeline, capfd: pytest.CaptureFixture[str], body: bytes
) -> None:
    """A body that is no task is answered 400; out of the queue as done with, so that it ends."""
    load = call("load")

    answer = load.post("/", data=body)
    queued = load.post("/", data=body, headers={"X-CloudTasks-TaskName": "t"})

    assert (answer.status_code, queued.status_code) == (400, 200)
    assert {"error"} == set(answer.get_json()) == set(queued.get_json())
    assert [line["severity"] for line in lines("".join(capfd.readouterr()))] == ["ERROR", "ERROR"]


def test_a_body_without_a_length(call: Call) -> None:
    """A body that does not say how long it is is not read."""
    answer = call("load").post("/", headers={"Transfer-Encoding": "chunked"})

    assert answer.status_code == 400


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_other_methods(call: Call, method: str) -> None:
    """A request that is no POST brings no task."""
    assert getattr(call("load"), method)("/").status_code == 400


def test_a_task_of_nothing(call: Call) -> None:
    """A task of an import, or a connection, that is not there is done with."""
    body = {"connection": "nowhere", "import": NAME, "generation": 1, "number": 1}

    answer = call("load").post("/", json=body)

    assert (answer.status_code, answer.get_json()) == (200, {"result": "unknown import"})


def test_a_forged_task(call: Call, pipeline: Pipeline) -> None:
    """A task for another generation, or ahead of its time, starts nothing."""
    import_ = pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    assert import_ is not None
    body = {"connection": "main", "import": NAME, "generation": 5, "number": 1}
    load = call("load")

    assert load.post("/", json=body).get_json()["result"] == "superseded"
    body["generation"] = import_.generation
    pipeline.clock.advance("11:00")
    assert load.post("/", json=body).get_json()["result"] == "not due"
    assert pipeline.documents("customers") == {}


# -- what nobody foresaw ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("classify", "shared.scheduling.take_in_event"),
        ("load", "shared.loading.work"),
    ],
)
def test_an_error_that_nobody_foresaw(
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    name: str,
    inside: str,
) -> None:
    """An unforeseen error is one line with its place, and its words are neither there nor told."""

    def bad(*_: Any) -> None:
        int(CELL)

    monkeypatch.setattr(inside, bad)
    task = {"connection": "main", "import": NAME, "generation": 1, "number": 1}
    headers = {"X-Cloud-Trace-Context": f"{'a' * 32}/1;o=1"}

    if name == "classify":
        answer = call(name).post("/", headers=EVENT_HEADERS | headers, data=json.dumps(EVENT))
    else:
        answer = call(name).post("/", headers=headers, json=task)

    assert answer.status_code == 500
    output = "".join(capfd.readouterr())
    (line,) = lines(output)
    assert (line["severity"], line["error"]) == ("ERROR", "ValueError")
    assert ", in bad\n" in line["stack_trace"]
    assert f"projects/test/traces/{'a' * 32}" == line["logging.googleapis.com/trace"]
    assert CELL not in output + answer.get_data(as_text=True)


def test_a_part_of_the_sweep_that_nobody_foresaw(
    call: Call, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of the sweep that fails keeps the others from nothing, and the sweep comes back."""
    seen: list[Services] = []
    monkeypatch.setattr("shared.sweeping.caretaker.reconcile", lambda _: 1 / 0)
    monkeypatch.setattr("shared.sweeping.caretaker.tell", seen.append)

    answer = call("sweep").post("/")

    assert answer.status_code == 503
    assert [pipeline.services] == seen


def test_an_object_that_nobody_foresaw(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An object that cannot be taken in keeps the sweep from none behind it."""
    pipeline.put("a.csv", "x")
    pipeline.put("b.csv", "x")
    pipeline.clock.advance("12:00")
    monkeypatch.setattr(reconciliation, "GRACE", -reconciliation.GRACE * 10**6)
    monkeypatch.setattr(
        reconciliation,
        "take_in",
        lambda arrived, services: 1 / 0 if arrived.name == "a.csv" else take_in(arrived, services),
    )

    assert pipeline.sweep()["reconciled"]["found"] == 1
    assert recorded(pipeline) == {"b.csv": "name.not_an_export"}
    assert "a.csv" in capsys.readouterr().out


def test_a_wrong_setting(
    call: Call, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A deployment with a wrong setting says which, and asks for the event again."""

    def wrong(*_: Any) -> None:
        raise SettingsError("ORDERS_DELAY", "expected a length of time")

    monkeypatch.setattr("shared.scheduling.take_in_event", wrong)

    answer = call("classify").post("/", headers=EVENT_HEADERS, data=json.dumps(EVENT))

    assert answer.status_code == 500
    (line,) = lines("".join(capfd.readouterr()))
    assert (line["severity"], line["code"]) == ("CRITICAL", "settings.invalid")
    assert "ORDERS_DELAY" in line["message"]
