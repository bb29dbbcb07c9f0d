"""Who must know is told: once, and without holding up or failing what the pipeline is for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from shared.core.errors import TryAgain
from shared.reporting import alerts as alerting
from shared.scheduling.replay import release, replay
from tests.integration.conftest import Make
from tests.support.alerts import ORDERS, Receiver, alerts, overdue_orders
from tests.support.imports import at
from tests.support.pipeline import Pipeline, customers_csv
from tests.support.waiting import PATIENCE, eventually

NAME = "customers_20230501T115500Z"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Run a receiver."""
    with Receiver().running() as running:
        yield running


def logged(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the messages of the alerts in the log since the last look."""
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    return [
        line["message"]
        for line in lines
        if line["severity"] == "ERROR" and line["message"].startswith("Alert: ")
    ]


def fail(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, name: str = NAME) -> None:
    """Let an import fail for good."""
    pipeline.upload(f"{name}.csv", customers_csv({"PERIDX": "1"}))

    def out_of_reach(*_: Any, **__: Any) -> None:
        raise TryAgain("Cloud Storage cannot be reached: ServiceUnavailable")

    with monkeypatch.context() as patched:
        patched.setattr("shared.loading.attempt.Source", out_of_reach)
        assert pipeline.run_due() == ["failed"]


# -- what an alert is about -------------------------------------------------------------------


def test_overdue_orders_raise_an_alert(
    make: Make, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """Overdue orders are told of in Firestore, the log and the webhook: once, with what to do."""
    pipeline = make(alert_webhook=receiver.url)

    overdue_orders(pipeline)

    ((id, alert),) = alerts(pipeline).items()
    assert f"main~{ORDERS}~overdue" == id
    assert ("overdue", True, at("18:00")) == (alert["code"], alert["open"], alert["toldAt"])
    assert "release" in alert["todo"]
    (message,) = receiver.got
    assert alert["what"] in message["text"]
    assert alert["todo"] in message["text"]
    assert len(logged(capsys)) == 1
    assert pipeline.sweep()["told"] == 0
    assert len(receiver.got) == 1


def test_an_alert_is_over_when_the_orders_are_loaded(make: Make) -> None:
    """The alert is closed, not deleted, when its import ends well."""
    pipeline = make()
    overdue_orders(pipeline)
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.clock.advance("18:30")
    assert pipeline.run_due() == ["loaded", "loaded"]

    (alert,) = alerts(pipeline).values()
    assert (False, at("18:30")) == (alert["open"], alert["resolvedAt"])


def test_an_alert_is_over_when_the_orders_are_rejected(pipeline: Pipeline) -> None:
    """Orders that turn out to be unusable are no longer overdue."""
    pipeline.upload(f"{ORDERS}.csv", "CITY\r\nHobart\r\n")
    pipeline.queue.judging()  # the task that judges the file when it arrives is lost
    pipeline.clock.advance("18:00")
    pipeline.sweep()
    (task,) = pipeline.queue.due(pipeline.clock())
    assert pipeline.work(task) == "overdue"
    release("main", ORDERS, pipeline.services)

    assert pipeline.judge() == ["rejected"]

    assert not alerts(pipeline)[f"main~{ORDERS}~overdue"]["open"]
    assert alerts(pipeline)["main~orders~rejected"]["open"]


def test_a_failed_import_raises_an_alert(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last attempt leaves an alert with the fault; a replay that ends well closes it."""
    pipeline = make(max_attempts=1)
    fail(pipeline, monkeypatch)
    (alert,) = alerts(pipeline).values()
    assert (alert["code"], alert["open"]) == ("failed", True)
    assert "ServiceUnavailable" in alert["what"]

    replay("main", NAME, pipeline.services)
    assert pipeline.run_due() == ["loaded"]
    (alert,) = alerts(pipeline).values()
    assert not alert["open"]


def test_trouble_that_comes_again(
    make: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alert about trouble that is over and comes again is opened and told anew."""
    pipeline = make(max_attempts=1, alert_webhook=receiver.url)
    fail(pipeline, monkeypatch)
    replay("main", NAME, pipeline.services)
    pipeline.run_due()
    pipeline.clock.advance("13:00")

    fail(pipeline, monkeypatch)  # another upload of the same name

    (alert,) = alerts(pipeline).values()
    assert (True, 1, at("13:00")) == (alert["open"], alert["count"], alert["firstAt"])
    assert (None, at("13:00")) == (alert["resolvedAt"], alert["toldAt"])
    assert len(receiver.got) == 2


def test_trouble_that_goes_on(
    make: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay that fails again is counted in the open alert, and nobody is told twice."""
    pipeline = make(max_attempts=1, alert_webhook=receiver.url)
    fail(pipeline, monkeypatch)
    replay("main", NAME, pipeline.services)
    monkeypatch.setattr("shared.loading.attempt.Source", lambda *_: 1 / 0)

    assert pipeline.run_due() == ["failed"]

    (alert,) = alerts(pipeline).values()
    assert (alert["open"], alert["count"]) == (True, 2)
    assert "ZeroDivisionError" in alert["what"]
    assert len(receiver.got) == 1


def test_a_wrong_setting_raises_an_alert(pipeline: Pipeline) -> None:
    """An import that a setting has failed is told of; the setting mended, a replay loads it."""
    settings = pipeline.database.document("connections/au")
    settings.set({"timeZone": "Sydney"})
    pipeline.upload(f"au/{NAME}.csv", customers_csv({"PERIDX": "1"}))
    assert pipeline.run_due() == ["failed"]
    (alert,) = alerts(pipeline).values()
    assert "connections/au.timeZone" in alert["what"]
    settings.set({"timeZone": "Australia/Sydney"})

    replay("au", NAME, pipeline.services)

    assert pipeline.run_due() == ["loaded"]


def test_a_failed_import_that_turns_out_to_be_unusable(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay that refuses the file closes the alert: the report tells the retailer."""
    pipeline = make(max_attempts=1)
    fail(pipeline, monkeypatch)
    replay("main", NAME, pipeline.services)
    pipeline.services.bucket.blob(f"{NAME}.csv").delete()

    assert pipeline.run_due() == ["rejected"]
    assert not alerts(pipeline)[f"main~{NAME}~failed"]["open"]


def test_rejected_files_of_which_nobody_wants_to_be_told(make: Make) -> None:
    """With ALERT_REJECTED=off a rejected file raises no alert."""
    pipeline = make(alert_rejected=False)
    pipeline.upload(f"{NAME}.csv", "CITY\r\nHobart\r\n")

    assert pipeline.run_due() == ["rejected"]
    assert alerts(pipeline) == {}


def test_rejected_files(make: Make, receiver: Receiver) -> None:
    """A feed has one alert, however many rejected files, until one of it is loaded."""
    pipeline = make(alert_webhook=receiver.url)
    for hour in (8, 9):
        pipeline.upload(f"customers_20230501T{hour:02}0000Z.csv", "CITY\r\nHobart\r\n")
        pipeline.upload(f"test/customers_20230501T{hour:02}0000Z.csv", "CITY\r\nHobart\r\n")
        assert pipeline.run_due() == ["rejected", "rejected"]

    ((id, alert),) = alerts(pipeline).items()
    assert (id, alert["count"], alert["open"]) == ("main~customers~rejected", 2, True)
    assert alert["what"].startswith("customers_20230501T090000Z.csv: Not loaded.")
    assert len(receiver.got) == 1
    pipeline.upload("customers_20230501T100000Z.csv", customers_csv({"PERIDX": "1"}))
    assert pipeline.run_due() == ["loaded"]
    (alert,) = alerts(pipeline).values()
    assert not alert["open"]


def test_a_newest_upload_that_is_older_than_what_is_stored(make: Make, receiver: Receiver) -> None:
    """When the newest upload of a feed has outdated rows only, somebody is told, until a file of
    the feed has others; a late file among newer ones is none."""
    pipeline = make(alert_webhook=receiver.url)

    def load(hour: int, city: str) -> None:
        """Upload a file that holds one person twice."""
        name = f"customers_20230501T{hour:02}0000Z.csv"
        pipeline.upload(name, customers_csv({"PERIDX": "1"}, {"PERIDX": "1", "CITY": city}))

    load(11, "Hobart")
    assert pipeline.run_due() == ["loaded"]
    load(9, "Perth")
    (late,) = pipeline.queue.due(pipeline.clock())
    load(10, "Perth")
    assert pipeline.work(late) == "loaded"
    assert alerts(pipeline) == {}
    pipeline.upload("test/customers_20230501T120000Z.csv", customers_csv({"PERIDX": "1"}))

    assert {"loaded", "checked"} == set(pipeline.run_due())

    ((id, alert),) = alerts(pipeline).items()
    assert (id, alert["open"]) == ("main~customers~outdated", True)
    assert "1 row is older than the stored data" in alert["what"]
    assert "undo main/customers_20230501T110000Z" in alert["todo"]
    assert len(receiver.got) == 1
    pipeline.clock.now = at("20230501T120500Z")
    load(12, "Perth")
    assert pipeline.run_due() == ["loaded"]
    (alert,) = alerts(pipeline).values()
    assert not alert["open"]


def test_a_file_with_older_data_that_is_uploaded_again_and_rejected(pipeline: Pipeline) -> None:
    """The alert that its rows are older is over; one about another file stays open."""

    def upload(hour: int, text: str) -> dict[str, bool]:
        pipeline.upload(f"customers_20230501T{hour:02}0000Z.csv", text)
        pipeline.run_due()
        return {id.rpartition("~")[2]: alert["open"] for id, alert in alerts(pipeline).items()}

    upload(11, customers_csv({"PERIDX": "1", "CITY": "Hobart"}))
    assert upload(10, customers_csv({"PERIDX": "1"})) == {"outdated": True}

    assert upload(9, "NOBODY\n1\n") == {"outdated": True, "rejected": True}
    assert upload(10, "NOBODY\n1\n") == {"outdated": False, "rejected": True}


# -- receivers as they are --------------------------------------------------------------------

TROUBLE: list[dict[str, Any]] = [
    {"status": 500},
    {"status": 404},
    {"status": 302},
    {"garbage": b"220 mail.example.com ESMTP\r\n"},
    {"garbage": b"\x00\xff\x00"},
    {"garbage": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1_000},
    {"drip": 0.01},
]


@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda trouble: str(trouble)[:30])
def test_a_receiver_in_trouble(
    make: Make,
    receiver: Receiver,
    trouble: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An alert that the webhook did not take is told by the next sweep, and once to the log."""
    monkeypatch.setattr(alerting, "WEBHOOK_SECONDS", 0.3)
    pipeline = make(alert_webhook=receiver.url)
    before = dict(vars(receiver))
    for name, value in trouble.items():
        setattr(receiver, name, value)

    overdue_orders(pipeline)
    assert pipeline.sweep()["told"] == 0

    (alert,) = alerts(pipeline).values()
    assert alert["toldAt"] is None
    for name in trouble:
        setattr(receiver, name, before[name])
    monkeypatch.setattr(alerting, "WEBHOOK_SECONDS", PATIENCE)
    receiver.got.clear()
    assert pipeline.sweep()["told"] == 1
    assert pipeline.sweep()["told"] == 0
    (alert,) = alerts(pipeline).values()
    assert at("18:00") == alert["toldAt"]
    assert len(receiver.got) == 1
    assert {"POST /hook/T0P-S3CRET"} == set(receiver.paths)
    output = capsys.readouterr()
    assert output.out.count('"message": "Alert: ') == 1
    assert "S3CRET" not in output.out + output.err


def test_a_receiver_that_refuses_one_alert(
    make: Make,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All alerts are logged, and all others are told; the refused one is tried again, last."""
    pipeline = make(alert_webhook=receiver.url, max_attempts=1)
    for hour in (8, 9, 10):
        with monkeypatch.context() as patched:
            patched.setattr("shared.loading.followup.tell", lambda services: 0)
            fail(pipeline, monkeypatch, f"customers_20230501T1155{hour:02}Z")
            fail(pipeline, monkeypatch, f"rewards_20230501T1155{hour:02}Z")
    receiver.refuse = "customers_20230501T115508Z"

    assert pipeline.sweep()["told"] == 5

    assert len(logged(capsys)) == 6
    assert len(receiver.got) == 6
    untold = [id for id, alert in alerts(pipeline).items() if alert["toldAt"] is None]
    assert untold == ["main~customers_20230501T115508Z~failed"]
    receiver.refuse = ""
    pipeline.clock.advance(timedelta(minutes=10))
    assert pipeline.sweep()["told"] == 1
    assert logged(capsys) == []


def test_many_refused_alerts_keep_no_other_waiting(make: Make, receiver: Receiver) -> None:
    """However many alerts are refused for good, a new one is posted in its turn."""
    pipeline = make(alert_webhook=receiver.url)
    receiver.refuse = "refused"
    texts = {f"a{number}": "refused" for number in range(alerting.TOLD_AT_ONCE)} | {"z": "new"}
    for id, what in texts.items():
        pipeline.database.document(f"alerts/{id}").set(
            alerting.Alert(
                id=id,
                code="failed",
                connection="main",
                import_id=None,
                what=what,
                todo="Fix it.",
                first_at=pipeline.clock() - timedelta(hours=1 if what == "refused" else 0),
                last_at=pipeline.clock(),
            ).to_document()
        )

    told = [pipeline.sweep()["told"]]
    pipeline.clock.advance(timedelta(minutes=10))
    told.append(pipeline.sweep()["told"])

    assert told == [0, 1]


def test_an_alert_that_cannot_be_used(make: Make, receiver: Receiver) -> None:
    """A document that lacks fields, or has wrong ones, keeps no other alert from being told."""
    pipeline = make(alert_webhook=receiver.url)
    pipeline.database.document("alerts/a").set({"open": True, "toldAt": None})
    odd = {"open": True, "toldAt": None, "code": 1, "firstAt": "yesterday"}
    pipeline.database.document("alerts/b").set(odd)

    overdue_orders(pipeline)

    assert len(receiver.got) == 1


def test_a_receiver_that_is_down(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """A receiver that is not there keeps nothing from being done, and its address is not logged."""
    receiver = Receiver()
    receiver.server.server_close()
    pipeline = make(alert_webhook=receiver.url)

    overdue_orders(pipeline)

    assert pipeline.sweep()["told"] == 0
    assert "S3CRET" not in capsys.readouterr().out


def test_a_receiver_that_does_not_answer(
    make: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many alerts there are, a silent receiver is waited for once."""
    monkeypatch.setattr(alerting, "WEBHOOK_SECONDS", 1.0)
    receiver.hold.clear()
    pipeline = make(alert_webhook=receiver.url, max_attempts=1)
    for minute in range(5):
        fail(pipeline, monkeypatch, f"customers_20230501T11{minute:02}00Z")
    receiver.got.clear()

    assert pipeline.sweep()["told"] == 0

    assert eventually(lambda: bool(receiver.got))
    assert len(receiver.got) == 1
    receiver.hold.set()
    monkeypatch.setattr(alerting, "WEBHOOK_SECONDS", PATIENCE)
    assert pipeline.sweep()["told"] == 5


def test_two_processes_tell_at_once(
    make: Make, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """While one process is telling an alert, another leaves it alone."""
    pipeline = make(alert_webhook=receiver.url)
    receiver.status = 500
    overdue_orders(pipeline)
    receiver.status = 200
    receiver.hold.clear()
    receiver.got.clear()
    with ThreadPoolExecutor(1) as other:
        first = other.submit(alerting.tell, pipeline.services)
        assert eventually(lambda: bool(receiver.got))

        assert alerting.tell(pipeline.services) == 0

        receiver.hold.set()
        assert first.result() == 1
    assert len(receiver.got) == 1
    assert len(logged(capsys)) == 1


def test_a_process_that_dies_while_telling(
    make: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alert that a process took and never told is told by another one a minute later."""
    pipeline = make(alert_webhook=receiver.url)
    with monkeypatch.context() as patched:
        patched.setattr(alerting, "_post", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            overdue_orders(pipeline)
    assert pipeline.sweep()["told"] == 0
    pipeline.clock.advance(timedelta(minutes=1))

    assert pipeline.sweep()["told"] == 1
    assert len(receiver.got) == 1


def test_an_alert_that_is_over_before_it_was_told(
    make: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told of trouble that is over."""
    pipeline = make(alert_webhook=receiver.url)
    receiver.status = 500
    overdue_orders(pipeline)
    receiver.got.clear()
    release("main", ORDERS, pipeline.services)

    assert pipeline.sweep()["told"] == 0
    assert receiver.got == []
