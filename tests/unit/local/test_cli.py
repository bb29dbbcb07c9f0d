"""The command line of the local stack refuses what it cannot do, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.cli import main
from local.endpoints import Endpoints, Sftp
from local.processes import free_ports
from local.stack import PORTS, loopback_environment


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "the following arguments are required"),
        (["up"], "the following arguments are required: --data"),
        (["up", "--data", "x", "--orders-delay", "soon"], "expected a length of time such as 30m"),
        (["up", "--data", "x", "--orders-delay", "5 s"], "expected a length of time such as 30m"),
        (["up", "--data", "x", "--firestore", "mongo"], "invalid choice: 'mongo'"),
    ],
)
def test_a_wrong_command_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command line that is wrong ends with exit code 2 and the reason."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port-base", "65530"], f"--port-base must leave room for {len(PORTS)} ports."),
        (["--port-base", "0"], f"--port-base must leave room for {len(PORTS)} ports."),
        (["--sweep-every", "0"], "--sweep-every must be at least 1s."),
    ],
)
def test_options_that_cannot_be(
    tmp_path: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An option with a value that cannot be used ends with exit code 2, and nothing has started."""
    code = main(["up", "--data", str(tmp_path), *arguments])

    assert code == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"NO_PROXY": "intranet, localhost"}, "127.0.0.1,intranet,localhost"),
        ({"no_proxy": "intranet"}, "127.0.0.1,intranet,localhost"),
    ],
)
def test_loopback_needs_no_proxy(before: dict[str, str], after: str) -> None:
    """Whatever proxy is set up, this machine is reached without it."""
    environment = loopback_environment({**before, "PATH": "/bin"})

    assert environment["NO_PROXY"] == environment["no_proxy"] == after
    assert environment["PATH"] == "/bin"


@pytest.mark.parametrize(
    "command",
    [
        ["replay", "orders_20230424T201230Z"],
        ["release", "orders_20230424T201230Z", "--json"],
        ["imports"],
        ["imports", "list"],
        ["connections", "add", "nz"],
        ["alerts"],
    ],
)
def test_asking_where_nothing_runs(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A command for a stack that does not run ends with exit code 2 and says how to start one."""
    assert main([*command, "--data", str(tmp_path)]) == 2
    assert "Start one: python -m local up --data" in capsys.readouterr().err


def test_asking_a_stack_that_was_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A stack that was killed has left its addresses behind; they are not waited for."""
    (port,) = free_ports([0])
    Endpoints(
        project="local-project",
        location="here",
        bucket="exports",
        queue="imports",
        firestore="127.0.0.1:1",
        storage="http://127.0.0.1:1",
        tasks=f"127.0.0.1:{port}",
        sftp=Sftp(host="127.0.0.1", port=1, user="x", password="x"),
        functions={},
        pid=1,
    ).write(tmp_path / "endpoints.json")

    assert main(["imports", "--data", str(tmp_path)]) == 2
    assert "Start it again: python -m local up --data" in capsys.readouterr().err


def test_a_folder_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file where the folder should be ends with exit code 2 and its name."""
    (tmp_path / "data").write_text("")

    assert main(["up", "--data", str(tmp_path / "data")]) == 2
    assert str(tmp_path / "data") in capsys.readouterr().err


def test_a_fault_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What nobody foresaw ends in a sentence and exit code 70, without a trace."""

    def fail(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr("local.cli.Stack.start", fail)

    assert main(["up", "--data", str(tmp_path)]) == 70
    said = capsys.readouterr().err
    assert "This should not have happened: KeyError in test_cli.py" in said
    assert "Traceback" not in said


def test_completion_needs_no_stack(capsys: pytest.CaptureFixture[str]) -> None:
    """The commands of the stack are completed as well, with or without one that runs."""
    assert main(["completion", "words", "--", "imports", "s"]) == 0
    assert capsys.readouterr().out == "show\n"

    assert main(["completion", "words", "--", "replay", ""]) == 0
    assert capsys.readouterr().out == "\n"
