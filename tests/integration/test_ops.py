"""What an operator asks from a terminal is done, or refused with the reason."""

from __future__ import annotations

import json

import pytest

from shared import ops
from tests.integration.conftest import Servers
from tests.support.imports import at
from tests.support.pipeline import BUCKET, Pipeline, customers_csv, orders_csv

NAME = "customers_20230501T115500Z"


@pytest.fixture
def environment(pipeline: Pipeline, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead the command to the pipeline's database, with its queue in the test's hands."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", pipeline.database.project)
    monkeypatch.setenv("BUCKET", BUCKET)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", servers.storage)
    monkeypatch.setenv("CLOUD_TASKS_EMULATOR_HOST", "127.0.0.1:9")
    monkeypatch.setattr("shared.ops.connect", lambda _: pipeline.services)


@pytest.mark.usefixtures("environment")
def test_replay(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    """replay puts an ended import into the queue and says so."""
    pipeline.upload(f"au/{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    capsys.readouterr()

    assert 0 == ops.main(["replay", NAME, "--connection", "au"])

    assert f"au/{NAME} is scheduled: " in capsys.readouterr().out
    assert ["loaded"] == pipeline.run_due()


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("force", [False, True])
def test_replay_with_force(pipeline: Pipeline, force: bool) -> None:
    """Only with --force is the replay one that goes ahead in any case, and only that once."""
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()

    ops.main(["replay", NAME, *(["--force"] if force else [])])

    assert force is pipeline.import_(NAME).force
    pipeline.run_due()
    assert not pipeline.import_(NAME).force


@pytest.mark.usefixtures("environment")
def test_release_as_json(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the answer is the import's document."""
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    capsys.readouterr()

    assert 0 == ops.main(["release", "orders_20230501T115500Z", "--json"])

    answer = json.loads(capsys.readouterr().out)
    assert ("scheduled", True) == (answer["status"], answer["released"])
    assert str(at("12:00")) == answer["scheduledFor"]


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("json_too", [False, True])
def test_what_makes_no_sense(json_too: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be done ends with exit code 1 and the reason."""
    arguments = ["replay", NAME, *(["--json"] if json_too else [])]

    assert 1 == ops.main(arguments)

    captured = capsys.readouterr()
    assert f"There is no import {NAME}" in (captured.out if json_too else captured.err)


@pytest.mark.parametrize("arguments", [[], ["replay"], ["replay", "x", "--connection", "../x"]])
def test_a_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong command line ends with exit code 2."""
    with pytest.raises(SystemExit) as ended:
        ops.main(arguments)

    assert 2 == ended.value.code
    assert "usage: python -m shared.ops" in capsys.readouterr().err


def test_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A variable that cannot be used ends with exit code 2 and its name."""
    monkeypatch.setenv("ORDERS_DELAY", "soon")

    assert 2 == ops.main(["replay", NAME])
    assert "ORDERS_DELAY" in capsys.readouterr().err
