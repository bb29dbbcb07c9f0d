"""What an operator asks from a terminal is done, or refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from shared import ops
from tests.integration.conftest import Servers
from tests.support import story
from tests.support.imports import at
from tests.support.pipeline import BUCKET, Pipeline, customers_csv, orders_csv

pytest_plugins = ["tests.support.told"]

NAME = "customers_20230501T115500Z"

Ask = Callable[..., tuple[int, str]]


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

    assert ops.main(["replay", NAME, "--connection", "au"]) == 0

    assert f"au/{NAME} is scheduled: " in capsys.readouterr().out
    assert pipeline.run_due() == ["loaded"]


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("force", [False, True])
def test_replay_with_force(pipeline: Pipeline, force: bool) -> None:
    """Only with --force is the replay one that goes ahead in any case, and only that once."""
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()

    ops.main(["replay", NAME, *(["--force", "--yes"] if force else [])])

    assert force is pipeline.import_(NAME).force
    pipeline.run_due()
    assert not pipeline.import_(NAME).force


@pytest.mark.usefixtures("environment")
def test_release_as_json(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the answer is the import's document."""
    pipeline.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    capsys.readouterr()

    assert ops.main(["release", "orders_20230501T115500Z", "--json"]) == 0

    answer = json.loads(capsys.readouterr().out)
    assert (answer["status"], answer["run"]["released"]) == ("scheduled", True)
    assert at("12:00").isoformat() == answer["scheduledFor"]


@pytest.mark.usefixtures("environment")
def test_folders_of_a_new_connection(pipeline: Pipeline) -> None:
    """connections add makes the folders that its files are uploaded into; they are no files."""
    assert ops.main(["connections", "add", "nz"]) == 0

    names = {blob.name for blob in pipeline.services.bucket.list_blobs()}
    assert names >= {"pending/nz/", "test/nz/", "bulk/nz/"}


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("json_too", [False, True])
def test_what_makes_no_sense(json_too: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be done ends with exit code 1 and the reason."""
    arguments = ["replay", NAME, *(["--json"] if json_too else [])]

    assert ops.main(arguments) == 1

    captured = capsys.readouterr()
    assert f"There is no import {NAME}" in (captured.out if json_too else captured.err)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["replay", "x", "--connection", "../x"],
        ["imports", "list", "--status", "lost"],
        ["imports", "list", "--since", "yesterday"],
        ["imports", "list", "--limit", "0"],
        ["imports", "show"],
        ["connections", "add", "pending"],
    ],
)
def test_a_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong command line ends with exit code 2."""
    with pytest.raises(SystemExit) as ended:
        ops.main(arguments)

    assert ended.value.code == 2
    assert "usage: python -m shared.ops" in capsys.readouterr().err


def test_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A variable that cannot be used ends with exit code 2 and its name."""
    monkeypatch.setenv("ORDERS_DELAY", "soon")

    assert ops.main(["replay", NAME]) == 2
    assert "ORDERS_DELAY" in capsys.readouterr().err


# -- looking ----------------------------------------------------------------------------------


@pytest.fixture
def ask(told: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Ask the story something; gives the exit code and everything that was said."""
    monkeypatch.setattr("shared.ops.connect", lambda _: told.services)

    def command(*arguments: str) -> tuple[int, str]:
        code = ops.main(arguments)
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return command


def names(answer: tuple[int, str]) -> list[str]:
    """Return the imports of an answer in JSON."""
    code, text = answer
    assert code == 0
    return [f"{one['connection']}/{one['import']}" for one in json.loads(text)]


def test_list(ask: Ask) -> None:
    """imports lists the newest first, with the time in the zone of each connection."""
    code, text = ask("imports", "--limit", "3")

    assert code == 0
    lines = text.splitlines()
    assert lines[0].split() == ["import", "status", "loaded", "rejected", "uploaded", "what"]
    assert lines[1].startswith("nz/rewards_20241120T030930Z")
    assert "20 Nov 2024 16:09:00 NZDT" in lines[1]
    assert "▸ loading 73 %" in text
    assert lines[-1] == "There are more; list them with --limit 30."


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ("--status overdue", [f"nz/{story.OVERDUE}"]),
        ("--status overdue --status loading", [f"nz/{story.LOADING}", f"nz/{story.OVERDUE}"]),
        ("--connection outlet --until 2024-11-19", ["outlet/customers_20241116T160000Z"]),
        (
            "--type orders --since 2m",
            [f"nz/{story.BLOCKED}", "main/orders_20241120T030500Z"],
        ),
        ("--type rewards --connection main", []),
    ],
)
def test_filters(ask: Ask, filters: str, wanted: list[str]) -> None:
    """imports list shows what fits by connection, type, status and time of upload."""
    assert wanted == names(ask("imports", "list", "--json", *filters.split()))


def test_nothing_fits(ask: Ask) -> None:
    """A list of nothing says so."""
    assert ask("imports", "--connection", "nowhere") == (0, "No imports found.\n")


@pytest.mark.parametrize(
    ("id", "says"),
    [
        (story.TEN_FAULTS, "40 read: 36 loaded, 0 unchanged, 0 outdated, 4 rejected"),
        (f"test_{story.TEN_FAULTS}", "40 read: 36 good, 4 with errors"),
        (story.TEN_FAULTS, "row.bad_email EMAIL, line 20"),
        (f"nz/{story.OVERDUE}", "deadline 20 Nov 2024 15:01:00 NZDT (1 hour ago)"),
        (f"nz/{story.OVERDUE}", "Waiting for its customers file (none from the previous 12 hours"),
        (f"nz/{story.OVERDUE}", f"python -m shared.ops release nz/{story.OVERDUE}"),
        (f"nz/{story.LOADING}", "progress 73 %, 4.4 kB read"),
        (f"nz/{story.BLOCKED}", f"comes after nz/{story.LOADING}"),
        (f"nz/{story.MISNAMED}", "The right name would be nz/customers_20241120T010000Z.csv."),
    ],
)
def test_show(ask: Ask, id: str, says: str) -> None:
    """imports show tells what it waits for, what was wrong, what has happened, and what to do."""
    code, text = ask("imports", "show", id)

    assert code == 0
    assert says in " ".join(text.split())


def test_show_what_is_not_there(ask: Ask) -> None:
    """An id that is not there ends with exit code 1 and how to see what is."""
    code, text = ask("imports", "show", "nz/orders_x")

    assert code == 1
    assert "There is no import orders_x in the connection nz." in text
    assert "python -m shared.ops imports list --connection nz" in text


def test_connections(ask: Ask) -> None:
    """connections shows settings, cadence and the last file of each type, and what is missing."""
    code, text = ask("connections")

    assert code == 0
    assert "settings: timeZone=Pacific/Auckland, cadence.customers=1d, cadence.rewards=2d" in text
    assert "expected every day" in text
    assert "17 Nov 2024 03:00:00 AEDT (3 days ago)" in text
    assert "! missing" in text
    feeds = {one["connection"]: one["feeds"] for one in json.loads(ask("connections", "--json")[1])}
    assert feeds["outlet"]["customers"]["missing"]
    assert feeds["nz"]["rewards"]["cadence"] == "2d"


def test_alerts(ask: Ask) -> None:
    """alerts says what needs a person, what to do, and what to type."""
    code, text = ask("alerts")

    assert code == 0
    assert "! outlet: feed_stopped" in text
    assert f"python -m shared.ops release nz/{story.OVERDUE}" in text
    assert [
        one["code"] for one in json.loads(ask("alerts", "list", "--connection", "nz", "--json")[1])
    ] == ["overdue"]
    assert "✓ nz: feed_stopped" in ask("alerts", "list", "--all")[1]


# -- doing ------------------------------------------------------------------------------------


def overdue(pipeline: Pipeline, number: int) -> list[str]:
    """Let orders become overdue; gives their ids."""
    ids = [f"orders_2023050{day}T115500Z" for day in range(1, 1 + number)]
    for id in ids:
        pipeline.upload(f"au/{id}.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    pipeline.clock.advance(timedelta(hours=7))
    pipeline.sweep()
    pipeline.run_due()
    assert {"overdue"} == {pipeline.import_(id, "au").status for id in ids}
    return ids


@pytest.mark.usefixtures("environment")
def test_several_at_once(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    """Of several ids each is done that can be; the exit code tells that one could not."""
    first, second = overdue(pipeline, 2)
    capsys.readouterr()

    assert ops.main(["release", f"au/{first}", "orders_x", f"au/{second}", "--json"]) == 1

    answers = json.loads(capsys.readouterr().out)
    assert [one.get("status") for one in answers] == ["scheduled", None, "scheduled"]
    assert "There is no import orders_x" in answers[1]["error"]


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(("typed", "code", "status"), [("y", 0, "scheduled"), ("", 1, "overdue")])
def test_a_selection_is_asked_about(
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    code: int,
    status: str,
) -> None:
    """All overdue orders are shown and asked about before they are released."""
    ids = overdue(pipeline, 2)
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return typed

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", answer)

    assert code == ops.main(["imports", "release", "--all-overdue"])

    assert asked == ["Release 2 imports? [y/N] "]
    assert {status} == {pipeline.import_(id, "au").status for id in ids}
    assert f"au/{ids[0]}" in capsys.readouterr().out


@pytest.mark.usefixtures("environment")
def test_a_selection_without_a_person(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nobody can be asked, a selection needs --yes."""
    (id,) = overdue(pipeline, 1)

    assert ops.main(["release", "--all-overdue"]) == 2
    assert "Add --yes to confirm." in capsys.readouterr().err
    assert pipeline.import_(id, "au").status == "overdue"

    assert ops.main(["release", "--all-overdue", "--yes"]) == 0
    assert pipeline.import_(id, "au").status == "scheduled"


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["release"], "Name the imports, or use --all-overdue."),
        (["replay", "x", "--all-failed"], "Name imports or use --all-failed, not both."),
        (["replay", "au/x", "--connection", "nz"], "au/x is not of the connection nz."),
        (["replay", "a/b/c"], "is not the id of an import"),
        (["replay", "A/b"], "is not the id of an import"),
        (["connections", "set", "au"], "Say what to set: key=value"),
        (["connections", "set", "au", "timeZone=Australia/Perth"], "au has no settings. Add it:"),
        (["connections", "add", "au", "timeZone"], "'timeZone' is not key=value."),
        (
            ["connections", "add", "au", "tiemZone=x"],
            "Unknown setting 'tiemZone'. Did you mean timeZone?",
        ),
        (["connections", "add", "au", "timeZone=Mars"], "connections/au.timeZone: expected a time"),
        (
            ["connections", "add", "au", "cadence=1d"],
            "cadence has parts: write cadence.NAME",
        ),
        (
            ["connections", "add", "au", "cadence.gifts=1d"],
            "Unknown type of file 'gifts'. Use one of customers, orders, rewards.",
        ),
        (["connections", "add", "au", "currency.x=AUD"], "currency has no parts"),
        (["connections", "list", "au"], "There is no connection au. Add it: python -m shared.ops"),
    ],
)
def test_what_cannot_be_asked(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be is refused with what can."""
    assert ops.main(arguments) in (1, 2)
    assert says in capsys.readouterr().err


@pytest.mark.usefixtures("environment")
def test_a_connection_is_set_up(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    """add and set write settings that the pipeline reads; an empty value takes one away."""
    document = pipeline.database.document("connections/nz")

    assert (
        ops.main(
            [
                *("connections", "add", "nz", "timeZone=Pacific/Auckland", "cadence.customers=1d"),
                *("aliases.CUST_MOBILE=MOBILE", "rejectLimit=10 %"),
            ]
        )
        == 0
    )
    assert document.get().to_dict() == {
        "timeZone": "Pacific/Auckland",
        "cadence": {"customers": "1d"},
        "aliases": {"CUST_MOBILE": "MOBILE"},
        "rejectLimit": "10 %",
    }
    assert "pending/nz/" in capsys.readouterr().out

    document.update({"note": "Kim looks after them."})
    assert (
        ops.main(
            [
                "connections",
                "set",
                "nz",
                "cadence.customers=",
                "cadence.orders=2h",
                "aliases.CUST_MOBILE=",
            ]
        )
        == 0
    )
    assert document.get().to_dict() == {
        "timeZone": "Pacific/Auckland",
        "cadence": {"orders": "2h"},
        "rejectLimit": "10 %",
        "note": "Kim looks after them.",
    }

    assert ops.main(["connections", "add", "nz"]) == 2
    assert "nz is there already. Change it:" in capsys.readouterr().err


@pytest.mark.usefixtures("environment")
def test_undo(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    """--dry-run shows the effect, --yes does it, and without either nothing is done
    where nobody can be asked."""
    pipeline.upload(f"{NAME}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    capsys.readouterr()

    assert ops.main(["undo", NAME, "--dry-run"]) == 0
    assert "1 would be removed" in capsys.readouterr().out
    assert ops.main(["undo", NAME]) == 2
    assert {"1"} == set(pipeline.documents("customers"))

    capsys.readouterr()
    assert ops.main(["undo", NAME, "--yes", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert tuple(answer[name] for name in ("documents", "restored", "removed", "left")) == (
        1,
        0,
        1,
        0,
    )
    assert pipeline.documents("customers") == {}
    assert ops.main(["undo", "customers_20230501T000000Z", "--yes"]) == 1


@pytest.mark.usefixtures("environment")
def test_leaflet_of_a_connection(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    """connections show prints the page for retailers with the connection's own settings."""
    ops.main(["connections", "add", "nz", "timeZone=Pacific/Auckland", "notify.to=ann@example.com"])
    capsys.readouterr()

    assert ops.main(["connections", "show", "nz"]) == 0
    printed = capsys.readouterr()
    text = " ".join(printed.out.split())
    assert "use pending/nz/, test/nz/ and so on" in text
    assert "This one is 25 Apr 2023 08:12:30 NZST" in text
    assert "Mail goes to ann@example.com about each problem and its end." in text
    assert "SFTP_ADDRESS is not set" in printed.err

    assert ops.main(["connections", "show", "nz", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["folders"]["pending"] == "pending/nz/"
    assert (
        " ".join(line.removeprefix("## ") for line in answer["text"].split("\n")).replace("`", "")
        == text
    )


@pytest.mark.usefixtures("environment")
def test_leaflet_of_no_connection(capsys: pytest.CaptureFixture[str]) -> None:
    """A connection that does not exist has no leaflet."""
    assert ops.main(["connections", "show", "zz"]) == 2
    assert "There is no connection zz. Add it: python -m" in capsys.readouterr().err
